"""The divergence kind: defaults, arrays, per-frame parameters, units, and what the formulas become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpc import store
from jobs import model
from jobs.divergence.stage import DivergenceStage

from .conftest import compute, unit_arrays

MakeJob = Callable[..., model.Job]

EDGE: dict[str, Any] = {"resolution": [16, 16], "sampling": "edge", "rows": "down"}


def constants(job: model.Job) -> dict[str, np.ndarray[Any, Any]]:
    return {spec.name: values[tuple(map(slice, spec.shape))] for spec, values in model.plan(job).constants}


@pytest.mark.parametrize(
    ("outputs", "value"),
    [
        (["times", "outcome"], "steps - times"),
        (["outcome"], "outcome"),
        (["outcome", "separation"], "separation"),
        (["final"], "final_0"),
    ],
)
def test_a_picture_shows_what_is_there(outputs: list[str], value: str) -> None:
    assert model.load("three-body", [f"outputs={outputs}"]).picture.value == value


def test_a_view_that_moves_is_stored(make_job: MakeJob) -> None:
    view = {"resolution": [8, 4], "center": [1, "t"], "width": "40/2**t", "rotation": "30*t"}
    job = make_job(frames={"count": 3}, view=view, picture={"value": "times + rotation"})
    found = constants(job)
    assert found["rotation"].tolist() == [0, 30, 60]
    assert found["center_v"].tolist() == [0, 1, 2]
    assert found["width"].tolist() == [40, 20, 10]
    assert found["height"].tolist() == [20, 10, 5]
    assert "center_u" not in found
    specs = {spec.name: spec.attributes for spec, _ in model.plan(job).constants}
    assert specs["rotation"] == {"units": "degree", "long_name": "view.rotation"}


def stage_of(job: model.Job) -> DivergenceStage:
    stage = model.plan(job).stages[0]
    assert isinstance(stage, DivergenceStage)
    return stage


def test_defaults_are_the_spec_s(make_job: MakeJob) -> None:
    times = compute(model.plan(make_job(view=EDGE)))["times"]
    assert times.sum() == 11_418_997


def test_constants_and_attributes(make_job: MakeJob) -> None:
    job = make_job(
        frames={"count": 3},
        bodies={"mass": ["10 + t", "u", 30], "position": [["u", "v", "t"], [0, 0, 0], [10, 10, 12]]},
        integrator={"steps": "100*1.5**t"},
    )
    plan = model.plan(job)
    found = constants(job)
    assert set(found) == {"x", "y", "steps", "dt", "distance", "gravity", "mass_1", "mass_3", "position_1_z"}
    assert found["steps"].tolist() == [100, 150, 225]
    assert found["steps"].dtype == np.int32
    assert found["mass_1"].tolist() == [10, 11, 12]
    assert found["position_1_z"].tolist() == [0, 1, 2]
    assert found["x"].shape == found["y"].shape == (3, 8)
    times, outcome = plan.stages[0].arrays
    assert times.attributes["never"] == "steps"
    assert outcome.attributes["outcomes"] == {"never": 0, "diverged": 1, "non-finite": 2}
    assert (times.fill_value, outcome.fill_value) == (-1, 255)
    assert times.dimensions == ("frame", "y", "x")
    assert model.plan(make_job()).stages[0].arrays[0].attributes["never"] == 50_000
    root = plan.attributes
    assert set(root) == {"format", "kind", "job", "job_hash", "pictures", "kernel_digest"}
    assert root["pictures"]["value"] == "steps - times"


def test_formulas_of_steps_are_floored(make_job: MakeJob) -> None:
    assert constants(make_job(integrator={"steps": "99.9"}))["steps"].tolist() == [99]


def test_units_cover_every_pixel_once(make_job: MakeJob) -> None:
    job = make_job(view={"resolution": [10, 7]}, frames={"count": 2}, run={"shard": [3, 4]})
    stage = stage_of(job)
    assert stage.num_units == 2 * 3 * 3
    seen = np.zeros((2, 7, 10), dtype=int)
    for unit in range(stage.num_units):
        tile = stage.tile(unit)
        seen[tile.frame, tile.rows, tile.columns] += 1
        region = store.unit_region(stage.arrays[0], unit)
        assert region[1:] == (tile.rows, tile.columns)
        assert stage.cost(unit) == tile.shape[0] * tile.shape[1] * 50_000
        assert 0 < stage.memory_bytes(unit) < 10_000
    assert (seen == 1).all()


def test_tiles_are_the_map_of_one_tile(make_job: MakeJob) -> None:
    """Stitched tiles equal a single run, with positions, velocities, masses, gravity and shift of the pixel."""
    sections: dict[str, Any] = {
        "view": {"resolution": [13, 9], "rotation": 20},
        "frames": {"count": 2},
        "bodies": {
            "mass": [10, "20 + u/40", 30],
            "position": [["u", "v + t", -11], [0, "sin(u)", 0], [10, 10, 12]],
            "velocity": [[-3, 0, "v/20"], [0, 0, 0], [3, 0, 0]],
            "gravity": "9.8 + v/100",
        },
        "twin": {"shift": [0.01, "0.01*(1 + cos(v))", 0], "distance": 0.03},
        "integrator": {"steps": "3000 + 500*t"},
        "outputs": ["times", "outcome", "separation", "energy_error", "final"],
    }
    whole = compute(model.plan(make_job(**sections)))
    tiled = compute(model.plan(make_job(**sections, run={"shard": [4, 5]})))
    assert set(whole) == set(sections["outputs"])
    for name, values in whole.items():
        assert values.tobytes() == tiled[name].tobytes(), name
    assert whole["final"].shape == (2, 18, 9, 13)
    ended = whole["times"] < np.array([3000, 3500])[:, None, None]
    assert 0 < ended.sum() < ended.size
    assert (whole["outcome"] == ended).all()


def test_pixel_formulas_equal_numbers(make_job: MakeJob) -> None:
    """A formula of the pixel gives the bytes that its value gives as a number."""
    sections: dict[str, Any] = {"view": {"resolution": [4, 1], "center": [20, 9.8], "width": 40}}
    start: dict[str, Any] = {"position": [[-7.5, 2.5, -11], [0, 0, 0], [10, 10, 12]], "gravity": 9.8}
    masses = compute(model.plan(make_job(**sections, bodies={**start, "mass": ["u", 20, 30]})))["times"]
    for column, mass in enumerate([5, 15, 25, 35]):
        one = make_job(view={"resolution": [1, 1]}, bodies={**start, "mass": [mass, 20, 30]})
        assert compute(model.plan(one))["times"].item() == masses[0, 0, column]


def test_frames_of_a_sweep_equal_single_jobs(make_job: MakeJob) -> None:
    swept = compute(model.plan(make_job(view=EDGE, frames={"count": 2}, bodies={"gravity": "5*(t + 1)"})))["times"]
    for frame, gravity in enumerate([5, 10]):
        single = compute(model.plan(make_job(view=EDGE, bodies={"gravity": gravity})))["times"]
        assert (swept[frame] == single[0]).all()


def test_growth_follows_from_one_map(make_job: MakeJob) -> None:
    """Spec A7: min(times of 100,000 steps, n) is the map of n steps, for the picture's every frame."""
    long = compute(model.plan(make_job(view=EDGE, integrator={"steps": 100_000})))["times"]
    for steps in (1000, 20_000, 50_000):
        short = compute(model.plan(make_job(view=EDGE, integrator={"steps": steps})))["times"]
        assert (np.minimum(long, steps) == short).all()


def test_wide_strip_diverges_in_the_spec_s_columns() -> None:
    """Spec B13."""
    job = model.load("three-body-wide", ["view.resolution=[51, 8]"])
    times = compute(model.plan(job))["times"][0]
    x = constants(job)["x"][0]
    counts = dict(zip(x.tolist(), (times < 50_000).sum(axis=0).tolist(), strict=True))
    assert {column: count for column, count in counts.items() if count} == {
        **dict.fromkeys([-10, 0, 10], 2),
        **dict.fromkeys([60, 70, 130, 140, 150, 210, 230], 1),
    }


def test_yz_map_is_its_mirror_image_where_the_shift_is() -> None:
    """Spec A11: with a shift along x, pairs mirrored in the plane through bodies 2 and 3 have equal times."""
    job = model.load("three-body-yz", ["view.resolution=[16, 16]", "twin.shift=[0.001, 0, 0]"])
    mirrored = model.load(
        "three-body-yz",
        [
            "view.resolution=[16, 16]",
            "twin.shift=[0.001, 0, 0]",
            'bodies.position=[[-10, "u - 24*(12*u - 10*v)/244", "v + 20*(12*u - 10*v)/244"], [0,0,0], [10,10,12]]',
        ],
    )
    times, other = compute(model.plan(job))["times"], compute(model.plan(mirrored))["times"]
    assert (times < 50_000).sum() > 50
    # Points of the two maps differ in the last bit, which early divergence does not feel.
    assert (times == other).mean() > 0.99


def test_shift_and_test_follow_the_chosen_body(make_job: MakeJob) -> None:
    far: dict[str, Any] = {"shift": [1, 0, 0], "distance": 0.5}
    for body in (1, 2, 3):
        assert (compute(model.plan(make_job(twin={**far, "body": body})))["times"] == 0).all()
    firsts = [compute(model.plan(make_job(view=EDGE, twin={"body": body})))["times"].tobytes() for body in (1, 2, 3)]
    assert len(set(firsts)) == 3


@pytest.mark.parametrize("precision", ["auto", "float64", "float32"])
def test_precision(make_job: MakeJob, precision: str) -> None:
    times = compute(model.plan(make_job(view=EDGE, numerics={"precision": precision})))["times"]
    # Spec B10: about a third of the pixels differ in float32.
    assert (times.sum() == 11_418_997) == (precision != "float32")


def test_units_are_pure(make_job: MakeJob) -> None:
    plan = model.plan(make_job(view=EDGE, run={"shard": [8, 8]}, integrator={"steps": 20_000}))
    first = unit_arrays(plan, 2)
    unit_arrays(plan, 1)
    again = unit_arrays(plan, 2)
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
