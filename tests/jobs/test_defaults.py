"""A key that a store lacks stands for its default: the types of a kind say which that is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hpc import store
from jobs import model
from jobs.defaults import defaults
from jobs.maps import MapJob
from kernels.errors import RequestError

MakeJob = Callable[..., model.Job]


def test_defaults_by_dotted_name(make_job: MakeJob) -> None:
    found = model.plan(make_job()).defaults
    assert found["twin.distance"] == 0.5
    assert found["twin"]["shift"] == [0.001, 0.001, 0.001]
    assert found["view.width"] == 40.0
    assert found["outputs"] == ["times", "outcome"]
    assert found["run.shard"] is None
    assert "kind" not in found
    json.dumps(found)


@pytest.mark.parametrize("kind", sorted(model.KINDS))
def test_every_optional_key_has_a_default(kind: str) -> None:
    module = model.kind_of(kind)
    found = defaults(module.MODEL, module.DEFAULTS)
    assert {"title", "run.threads", "run.grace_s", "picture.colormap"} <= set(found)
    if issubclass(module.MODEL, MapJob):
        assert {"frames", "frames.count", "numerics.precision", "run.chunk", "view.sampling"} <= set(found)
    if kind == "boundary":
        assert found["integrator"] is None
        assert found["integrator.method"] == "euler"
        assert found["roots.tolerance"] == 1e-3
        assert "integrator.dt" not in found


def test_a_store_without_a_key_is_not_that_of_another_value(make_job: MakeJob, tmp_path: Path) -> None:
    place = tmp_path / "old.zarr"
    store.prepare(place, model.plan(make_job()), run_id="first")
    root = json.loads((place / "zarr.json").read_text())
    del root["attributes"]["identity"]["twin"]["distance"]
    root["attributes"]["horseshoe"]["job_hash"] = "of an older version"
    (place / "zarr.json").write_text(json.dumps(root))
    store.check(place, model.plan(make_job()))
    with pytest.raises(RequestError, match=r"twin.distance is 0.5 there and 5.0 here"):
        store.check(place, model.plan(make_job(twin={"distance": 5.0})))
