"""Geometry jobs: one experiment each, whose arrays begin with the run; and what is wrong with one in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.images import image
from analysis.measures import quantity
from hpc.reading import open_for_reading
from jobs import model
from kernels.errors import RequestError

from .conftest import compute_store

CIRCLE: dict[str, Any] = {
    "kind": "geometry",
    "name": "ring",
    "parametrised": {"x": "2*cos(p)", "y": "2*sin(p)", "p": [0, 1], "count": 10, "equation": "x**2 + y**2 - 4"},
    "picture": {"y": "residual"},
}


def test_points_of_a_curve(tmp_path: Path) -> None:
    store = compute_store(model.from_tree(CIRCLE), tmp_path / "ring.zarr")
    reader = open_for_reading(store)
    np.testing.assert_array_equal(reader.read("p")[0], np.linspace(0, 1, 10))
    np.testing.assert_allclose(reader.read("x")[0], 2 * np.cos(np.linspace(0, 1, 10)), rtol=1e-15)
    assert reader.array("x").metadata.dimension_names == ("run", "point")  # type: ignore[union-attr]


def test_a_point_that_is_not_on_the_surface_is_told(tmp_path: Path) -> None:
    tree = {**CIRCLE, "parametrised": {**CIRCLE["parametrised"], "equation": "x**2 + y**2 - 3"}}
    store = compute_store(model.from_tree(tree), tmp_path / "ring.zarr")
    assert quantity(store, "residual.min") == pytest.approx(1.0)


def test_points_by_area_lie_farther_out(tmp_path: Path) -> None:
    means = []
    for density in ("", "3 + cos(p)"):
        overrides = ["parametrised.count=20000", f"parametrised.density='{density}'", "outputs=['p']"]
        job = model.load("torus-points", overrides)
        store = compute_store(job, tmp_path / f"torus{len(means)}.zarr")
        means.append(float(np.cos(open_for_reading(store).read("p")).mean()))
    assert means == [pytest.approx(0, abs=0.03), pytest.approx(1 / 6, abs=0.03)]


def test_runs_have_names(tmp_path: Path) -> None:
    store = compute_store(model.load("matrix-groups", ["groups.count=10"]), tmp_path / "groups.zarr")
    assert open_for_reading(store).attributes["runs"] == ["GL", "O", "SO"]
    assert open_for_reading(store).read("components").tolist() == [2.0, 2.0, 1.0]
    assert image(store, tmp_path / "groups.png").stat().st_size > 1000


def test_heads_keep_rotations_and_inputs_do_not(tmp_path: Path) -> None:
    overrides = ["symmetry.seeds=2", "symmetry.dtype=float32", 'symmetry.scores=["dot", "squared-distance"]']
    store = compute_store(model.load("attention-symmetry", overrides), tmp_path / "symmetry.zarr")
    assert image(store, tmp_path / "symmetry.png").stat().st_size > 1000
    reader = open_for_reading(store)
    runs = reader.attributes["runs"]
    assert runs == ["dot, input", "dot, heads", "squared-distance, input", "squared-distance, heads"]
    rotation, translation = reader.read("rotation"), reader.read("translation")
    assert rotation[1::2].max() < 1e-5 < 0.1 < rotation[::2].min()
    assert translation[3].max() < 1e-4 < 0.05 < translation[:3].min()


def test_widths_for_numbers_of_points(tmp_path: Path) -> None:
    overrides = ['width.points=["20", "1e570"]', "width.trials=2"]
    store = compute_store(model.load("width-estimate", overrides), tmp_path / "width.zarr")
    assert image(store, tmp_path / "width.png").stat().st_size > 1000
    reader = open_for_reading(store)
    assert reader.read("smallest_width").tolist() == [24, 96, 10_500, 42_000]
    assert reader.read("allowed_error").tolist() == [1.0, 0.5, 1.0, 0.5]
    # Distances are kept the better the wider, and nothing is projected to more features than it has.
    errors = reader.read("projection_error")
    assert (errors[0] > errors[1]).all()
    assert np.isnan(errors[2:]).all()


def test_the_same_seed_gives_the_same_points(tmp_path: Path) -> None:
    overrides = ["parametrised.count=100"]
    sums = [
        quantity(compute_store(model.load("torus-by-area", [*overrides, seed]), tmp_path / f"{i}.zarr"), "x.sha256")
        for i, seed in enumerate(("parametrised.seed=1", "parametrised.seed=1", "parametrised.seed=2"))
    ]
    assert sums[0] == sums[1] != sums[2]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"parametrised": None}, "one of implicit, parametrised"),
        ({"atlas": {}}, "has parametrised and atlas"),
        ({"outputs": ["w"]}, "outputs: 'w' is none of p, q, x"),
        ({"picture": {"y": "loss"}}, "picture.y[0], column 1: unknown name 'loss'"),
        ({"parametrised": {**CIRCLE["parametrised"], "x": "cos(s)"}}, "parametrised.x, column 5: unknown name 's'"),
        ({"parametrised": {**CIRCLE["parametrised"], "count": 1}}, "parametrised.count"),
        ({"parametrised": None, "width": {"points": ["1"]}}, "width.points[0]: 1 has no two points"),
        ({"parametrised": None, "width": {"points": ["1e99999"]}}, "width.points"),
        ({"parametrised": None, "symmetry": {"heads": 3}}, "symmetry.heads: 3 heads need"),
        ({"parametrised": {**CIRCLE["parametrised"], "radius": 1}}, "parametrised.radius: unknown key"),
    ],
)
def test_mistakes_name_the_key(change: dict[str, Any], line: str) -> None:
    tree = {key: value for key, value in {**CIRCLE, **change}.items() if value is not None}
    with pytest.raises(RequestError) as caught:
        model.from_tree(tree)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_complex_values_are_refused(tmp_path: Path) -> None:
    tree = {**CIRCLE, "parametrised": {**CIRCLE["parametrised"], "x": "(p - 2)**0.5 + 0*i"}}
    with pytest.raises(RequestError, match=r"parametrised\.x: its values are complex"):
        compute_store(model.from_tree(tree), tmp_path / "ring.zarr")
