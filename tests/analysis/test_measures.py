from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.measures import MEASURES, measure, quantity
from kernels.errors import RequestError

Store = Callable[..., Path]
STEPS = {"steps": [1000.0, 500.0]}


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_quantities_are_those_of_numpy(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters=STEPS)
    assert quantity(path, "times.sum") == times.sum()
    assert quantity(path, "times.min") == times.min()
    assert quantity(path, "times[1].max") == times[1].max()
    assert quantity(path, "times.mean") == pytest.approx(times.mean(), rel=1e-15)
    assert quantity(path, "times.ended") == np.count_nonzero(times[0] != 1000) + np.count_nonzero(times[1] != 500)
    assert quantity(path, "times[1].never") == np.count_nonzero(times[1] == 500)
    assert quantity(path, "times[1].ended") == np.count_nonzero(times[1] != 500)
    assert isinstance(quantity(path, "times.sum"), int)


def test_sha256_is_that_of_the_contiguous_array(store: Store, times: np.ndarray) -> None:
    final = np.random.default_rng(2).normal(size=(2, 3, 40, 52))
    path = store(arrays={"times": times, "final": final}, parameters=STEPS)
    for name, values in {"times": times, "final": final, "times[1]": times[1], "final[0]": final[0]}.items():
        assert quantity(path, f"{name}.sha256") == hashlib.sha256(np.ascontiguousarray(values)).hexdigest()
    x = np.tile(-20 + 40 * np.arange(52) / 52, (2, 1))
    assert quantity(path, "x.sha256") == hashlib.sha256(x).hexdigest()


def test_sums_of_large_integers_are_exact(store: Store) -> None:
    times = np.full((1, 64, 64), 2**31 - 1, np.int32)
    times[0, 0, 0] = 1
    path = store(arrays={"times": times}, parameters={"steps": [2**31 - 1]})
    assert quantity(path, "times.sum") == 4095 * (2**31 - 1) + 1


def test_nan_is_left_out_and_what_is_not_finite_refused(store: Store) -> None:
    separation = np.linspace(0, 1, 256).reshape(1, 16, 16)
    separation[0, 3, 3] = np.nan
    path = store(arrays={"separation": separation, "energy": np.where(separation > 0.9, np.inf, 0.0)}, shard=(8, 8))
    assert quantity(path, "separation.sum") == pytest.approx(np.nansum(separation), rel=1e-15)
    assert quantity(path, "separation.max") == 1.0
    with pytest.raises(RequestError, match=r"'energy\.max': inf is not a finite number"):
        quantity(path, "energy.max")
    with pytest.raises(RequestError, match="counts nothing that could end"):
        quantity(path, "separation.ended")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("times", r"write ARRAY\.STATISTIC"),
        ("times.median", "one of sum, min"),
        ("tims.sum", "no array 'tims'; it has times"),
        ("times[2].sum", "no frame 2, only 0 to 1"),
        ("times.sum\n", "write ARRAY"),
    ],
)
def test_quantities_that_are_not_there(store: Store, times: np.ndarray, name: str, message: str) -> None:
    path = store(arrays={"times": times}, parameters=STEPS)
    with pytest.raises(RequestError, match=message) as caught:
        quantity(path, name)
    assert "\n" not in str(caught.value)


def test_quantities_ask_for_a_finished_array_or_frame(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters=STEPS, unfinished=(1, 2, 3))
    with pytest.raises(RequestError, match=r"87\.5 % is computed; run the job to its end"):
        quantity(path, "times.sum")
    assert quantity(path, "times[1].sum") == times[1].sum()


def test_summary(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters=STEPS, unfinished=(0,))
    first, second, every = rows_of(measure("summary", path, path.with_suffix(".csv")))
    assert [row["frame"] for row in (first, second, every)] == ["0", "1", "all"]
    rest = np.ma.array(times[0], mask=False)
    rest[:16, :16] = np.ma.masked
    assert int(first["sum"]) == rest.sum()
    assert int(first["min"]) == rest.min()
    assert float(first["mean"]) == pytest.approx(rest.mean())
    assert float(first["finished"]) == pytest.approx(11 / 12)
    assert first["sha256"] == every["sha256"] == ""
    assert second["sha256"] == hashlib.sha256(times[1]).hexdigest()
    assert int(every["sum"]) == rest.sum() + times[1].sum()


def test_divergence_gives_the_share_that_ended(store: Store, times: np.ndarray) -> None:
    path = store(
        arrays={"times": times, "outcome": (times < 500).astype(np.uint8)}, parameters=STEPS | {"dt": [0.1, 0.2]}
    )
    rows = rows_of(measure("divergence", path, path.with_suffix(".csv")))
    assert [(row["frame"], row["array"], row["steps"], row["dt"]) for row in rows] == [
        ("0", "times", "1000.0", "0.1"),
        ("1", "times", "500.0", "0.2"),
    ]
    for row, values, never in zip(rows, times, (1000, 500), strict=True):
        ended = values[values != never]
        assert int(row["ended"]) == ended.size
        assert float(row["ended_fraction"]) == pytest.approx(ended.size / values.size)
        assert float(row["mean_ended"]) == pytest.approx(ended.mean())


def test_picture_gives_the_range_frame_by_frame(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters=STEPS)
    rows = rows_of(measure("picture", path, path.with_suffix(".csv"), picture={"value": "times/10 + t", "frames": 3}))
    expected = [times[0] / 10, times[1] / 10 + 1, times[1] / 10 + 2]
    assert [float(row["low"]) for row in rows] == pytest.approx([values.min() for values in expected])
    assert [float(row["high"]) for row in rows] == pytest.approx([values.max() for values in expected])


@pytest.mark.parametrize(
    "name", sorted([name for name in MEASURES if name not in ("runs", "completions", "estimates")])
)
def test_every_measure_serves_a_store_with_nothing_finished(store: Store, times: np.ndarray, name: str) -> None:
    outcome = np.zeros(times.shape, np.uint8)
    path = store(arrays={"times": times, "outcome": outcome}, parameters=STEPS, unfinished=tuple(range(24)))
    rows = rows_of(measure(name, path, path.with_suffix(".csv")))
    assert rows
    assert {row["finished"] for row in rows} == {"0.0"}


def test_unknown_measures_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"the nearest of summary, divergence, picture, area, .* is 'summary'"):
        measure("sumary", tmp_path, tmp_path / "a.csv")
