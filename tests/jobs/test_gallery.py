"""Every gallery file: its check values hold, its head explains it, and it is what the spec asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.measures import quantity
from jobs import model
from jobs.reading import gallery_names, locate, merge, read

from .conftest import compute_store

LONG = {
    "architectures-stories-small",
    "attention-weights-small",
    "deep-mixer-stories-small",
    "deliveries",
    "deliveries-control-cost-times-busy",
    "deliveries-control-ten-deliverers",
    "deliveries-cut-cost",
    "embedding-map-stories-small",
    "encoder-deliveries-small",
    "expanded-mixer-stories-small",
    "gpt-stories-small",
    "head-networks-stories-small",
    "hybrid-stories-small",
    "linear-deliveries",
    "llama-heads-stories-small",
    "llama-ranks-stories-small",
    "lstm-places",
    "mixer-positions-stories-small",
    "mixer-precision-small",
    "mixer-scaling-small",
    "multi-head-mixer-stories-small",
    "parallel-mixer-stories-small",
    "rotation-invariant-stories-small",
    "samples-stories-small",
    "transformer-scaling-small",
}
"""Jobs whose checks take more than about ten seconds: part of `make check`."""


def cases() -> list[Any]:
    """Job, overrides (JSON) and the checks that share them."""
    found: dict[tuple[str, str], list[tuple[str, Any, float]]] = {}
    for name in gallery_names():
        for check in model.load(name).check:
            key = (name, json.dumps(check.overrides))
            found.setdefault(key, []).append((check.quantity, check.value, check.tolerance))
    return [
        pytest.param(name, overrides, tuple(checks), marks=[pytest.mark.check] if name in LONG else [])
        for (name, overrides), checks in found.items()
    ]


@pytest.mark.parametrize(("name", "overrides", "checks"), cases())
def test_check(name: str, overrides: str, checks: tuple[tuple[str, Any, float], ...], tmp_path: Path) -> None:
    job = model.from_tree(merge(read(locate(name)), json.loads(overrides)))
    store = compute_store(job, tmp_path / "store.zarr")
    for measured, expected, tolerance in checks:
        value = quantity(store, measured)
        if isinstance(expected, str):
            assert value == expected, measured
        else:
            assert value == pytest.approx(expected, abs=tolerance, rel=0), measured


@pytest.mark.parametrize("name", gallery_names())
def test_file(name: str) -> None:
    text = locate(name).read_text()
    head = text[: text.index("\nkind")]
    assert all(f"# {word}" in head for word in ("Physics", "Parameters", "Cost", "Command"))
    assert f"horseshoe run {name}" in head
    job = model.load(name)
    assert job.name == name
    assert job.title
    assert job.description
    assert job.source
    assert job.check


def test_names() -> None:
    assert set(gallery_names()) >= {
        "three-body",
        "three-body-yz",
        "three-body-growth",
        "three-body-z-sweep",
        "three-body-mass-sweep",
        "three-body-gravity-sweep",
        "three-body-wide",
        "three-body-parameters",
        "two-body-control",
    }


def test_text_sizes_are_the_defaults() -> None:
    job: Any = model.load("three-body")
    assert job.view.resolution == (1000, 1000)
    assert job.integrator.steps == 50_000
    assert (job.view.sampling, job.view.rows) == ("edge", "down")
    yz = model.load("three-body-yz").view
    assert (yz.sampling, yz.rows) == ("edge", "up")
    growth: Any = model.load("three-body-growth")
    assert (growth.integrator.steps, growth.picture.frames, growth.frames.count) == (100_000, 101, 1)
