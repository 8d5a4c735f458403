"""The hash of a job: what changes it, what does not, and that it stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs import model
from jobs.identity import digest, identity, resolved

MakeJob = Callable[..., model.Job]


def hash_of(job: model.Job, device: str | None = None) -> str:
    return digest(identity(job, device))


@pytest.mark.parametrize(
    "sections",
    [
        {"name": "other", "title": "T", "description": "D", "source": "S"},
        {"picture": {"colormap": "gray", "value": "times"}},
        {"run": {"threads": 3, "device": "host", "grace_s": 1, "deadline": "2h", "progress": "none"}},
        {"check": [{"quantity": "times.sum", "value": 1}]},
        {"bodies": {"gravity": 9.8, "mass": [10, 20.0, 30]}, "integrator": {"steps": 50_000, "dt": 1e-3}},
        {"view": {"center": [0, 0]}, "frames": {"count": 1}},
        {"bodies": {"position": [[" u ", "v", -11], [0, 0, 0], [10, 10, 12]]}},
        {"outputs": ["outcome", "times"]},
        {"run": {"shard": [128, 128]}},
        {"numerics": {"precision": "float64"}},
    ],
)
def test_same_job(make_job: MakeJob, sections: dict[str, Any]) -> None:
    tree = {"kind": "divergence", "name": "small", "view": {"resolution": [8, 8]}}
    assert hash_of(make_job(**sections)) == hash_of(model.from_tree(tree))


@pytest.mark.parametrize(
    "sections",
    [
        {"bodies": {"gravity": 9.9}},
        {"bodies": {"gravity": "9.8*1"}},
        {"view": {"resolution": [8, 9]}},
        {"view": {"axes": ["y", "z"]}},
        {"frames": {"count": 2}},
        {"numerics": {"arithmetic": "plain"}},
        {"outputs": ["times"]},
        {"run": {"shard": [8, 8]}},
        {"twin": {"body": 2}},
    ],
)
def test_another_job(make_job: MakeJob, sections: dict[str, Any]) -> None:
    assert hash_of(make_job(**sections)) != hash_of(make_job())


def test_fast_arithmetic_adds_the_device(make_job: MakeJob) -> None:
    class Device:
        kind = "host"
        num_lanes_float64 = 8
        concurrent_units = 1

        def describe(self) -> str:
            return "a host"

    fast = make_job(numerics={"arithmetic": "fast"})
    assert model.device_of(make_job(), Device()) is None  # type: ignore[arg-type]
    device = model.device_of(fast, Device())  # type: ignore[arg-type]
    assert device == "host, 8 lanes"
    assert hash_of(fast, device) != hash_of(fast, "cuda, 1 lanes")


def test_the_hash_stays() -> None:
    """A new default key or a new rule of resolution must not orphan the stores that exist."""
    assert hash_of(model.load("three-body")) == "2399efcca47e521ec76933513828728d3d5fdaacaa4ad381eeadbdabb5f73ec9"


def test_resolved_is_plain_data(make_job: MakeJob) -> None:
    tree = resolved(make_job(view={"width": 3}))
    assert tree["view"]["width"] == 3.0
    assert isinstance(tree["view"]["width"], float)
    assert tree["integrator"] == {"method": "euler", "dt": 0.001, "steps": 50_000.0, "early_stop": True}
    assert tree["run"]["shard"] == [128, 128]
