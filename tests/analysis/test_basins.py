from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.measures import measure, quantity
from kernels.errors import RequestError

Store = Callable[..., Path]
STEPS = {"steps": [1000.0, 500.0]}


def rows_of(name: str, path: Path) -> list[dict[str, Any]]:
    with measure(name, path, path.with_suffix(".csv")).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def outcome() -> np.ndarray:
    """Two frames: 300 pixels diverged and 80 not finite in the first, none ended in the second."""
    found = np.zeros((2, 40, 52), np.uint8)
    found[0, :10, :30] = 1
    found[0, 20:, 48:] = 2
    return found


def test_area_is_the_share_that_never_ended_of_the_view(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters=STEPS)
    first, second = rows_of("area", path)
    assert (first["pixels"], first["never"], first["finished"]) == ("2080", "35", "1.0")
    assert float(first["view_area"]) == pytest.approx(40 * (40 * 40 / 52))
    assert float(first["area"]) == pytest.approx(35 / 2080 * 40 * 40 * 40 / 52)
    assert float(second["view_area"]) == pytest.approx(20 * (20 * 40 / 52))
    assert int(second["never"]) == np.count_nonzero(times[1] == 500)


def test_area_of_a_disc(store: Store) -> None:
    y, x = (np.mgrid[0:400, 0:600] + 0.5) / 100
    times = np.where(np.hypot(x - 3, y - 2) < 1.5, 7, 3).astype(np.int32)[np.newaxis]
    path = store(
        arrays={"times": times}, parameters={"steps": [7]}, shard=(256, 256), view={"width": 6, "height": "8/2"}
    )
    assert quantity(path, "times.area") == pytest.approx(np.pi * 1.5**2, rel=1e-3)


def test_area_counts_what_is_finished(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters=STEPS, unfinished=(1, 2, 3, *range(12, 24)))
    first, second = rows_of("area", path)
    assert int(first["pixels"]) == 40 * 52 - 16 * 36
    assert int(first["never"]) == 35
    assert (second["pixels"], second["never_fraction"], second["area"]) == ("0", "", "")


def test_basin_fraction(store: Store, times: np.ndarray, outcome: np.ndarray) -> None:
    path = store(arrays={"times": times, "outcome": outcome}, parameters=STEPS)
    rows = rows_of("basin-fraction", path)
    found = [(row["frame"], row["array"], row["value"], row["meaning"], row["pixels"]) for row in rows]
    assert found == [
        ("0", "outcome", "0", "never", "1700"),
        ("0", "outcome", "1", "diverged", "300"),
        ("0", "outcome", "2", "non-finite", "80"),
        ("1", "outcome", "0", "never", "2080"),
    ]
    assert [float(row["fraction"]) for row in rows] == pytest.approx([1700 / 2080, 300 / 2080, 80 / 2080, 1])


def test_roots_are_named_by_their_index(store: Store) -> None:
    root = np.array([0, 1, 1, -2], np.int16).repeat(16).reshape(1, 8, 8)
    path = store(arrays={"root": root}, shard=(4, 4))
    rows = rows_of("basin-fraction", path)
    assert [(row["value"], row["meaning"], row["fraction"]) for row in rows] == [
        ("-2", "none", "0.25"),
        ("0", "none", "0.25"),
        ("1", "none", "0.5"),
    ]
    assert quantity(path, "root.fraction(1)") == 0.5
    assert quantity(path, "root.fraction(-2)") == 0.25
    assert quantity(path, "root.fraction(7)") == 0


def test_quantities(store: Store, times: np.ndarray, outcome: np.ndarray) -> None:
    path = store(arrays={"times": times, "outcome": outcome}, parameters=STEPS)
    assert quantity(path, "outcome[0].fraction(1)") == 300 / 2080
    assert quantity(path, "outcome.fraction(non-finite)") == 80 / 4160
    assert quantity(path, "times[0].area") == pytest.approx(35 / 2080 * 40 * 40 * 40 / 52)
    assert quantity(path, "times[0].fraction(1000)") == 35 / 2080


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("times.area", r"is that of one frame; write times\[0\]\.area"),
        ("outcome[0].area", "counts nothing that could end"),
        ("outcome.fraction", r"write ARRAY\.STATISTIC"),
        ("times.sum(3)", r"write ARRAY\.STATISTIC"),
        ("outcome.fraction(lost)", "'lost' is no value of outcome; write an integer or one of never, diverged"),
        ("times.fraction(never)", "'never' is no value of times; write an integer$"),
        ("separation.fraction(1)", "fraction is of integers"),
        ("separation[0].boundary_dimension", "separation has no basins"),
        ("times.boundary_dimension", "is that of one frame"),
    ],
)
def test_quantities_that_are_not_there(
    store: Store, times: np.ndarray, outcome: np.ndarray, name: str, message: str
) -> None:
    path = store(arrays={"times": times, "outcome": outcome, "separation": times / 7}, parameters=STEPS)
    with pytest.raises(RequestError, match=message) as caught:
        quantity(path, name)
    assert "\n" not in str(caught.value)


def test_what_has_no_basins_is_told(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters=STEPS)
    with pytest.raises(RequestError, match="has no array root or outcome"):
        rows_of("basin-fraction", path)
