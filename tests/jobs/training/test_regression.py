"""Jobs whose task is `regression`: what they leave, what their keys do, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.measures import measure
from hpc.reading import open_for_reading
from jobs import model
from jobs.training.tasks import module_of
from kernels.errors import RequestError
from networks.data import sources, tables

from ..conftest import compute_store

FIELDS = {"Cost": 5, "Total Deliverers": 3, "Busy Deliverers": 3, "Estimated Transit Time": 4, "Linear Estimation": 4}


def make_job(**sections: Any) -> model.Job:
    """A small job with keys of [data], [model], [train] and [sweep] of its own."""
    tree = {
        "kind": "training",
        "task": "regression",
        "name": "regression",
        "data": {"generator": "deliveries", "count": 200, "shown": 30, **sections.get("data", {})},
        "model": {"hidden": [20, 10], "scale": 1000.0, **sections.get("model", {})},
        "train": {"steps": 20, "batch": 16, "rate": 3e-3, "checkpoint_every": 20, **sections.get("train", {})},
        "sweep": sections.get("sweep", {}),
    }
    return model.from_tree(tree)


@pytest.fixture
def values(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Train a job: its arrays by name."""

    def run(**sections: Any) -> dict[str, Any]:
        reader = open_for_reading(compute_store(make_job(**sections), tmp_path / "store.zarr"))
        return {name: reader.read(name) for name in reader.arrays()}

    return run


def test_what_is_left(values: Callable[..., dict[str, Any]]) -> None:
    found = values()
    assert found["actual"].shape == found["predicted"].shape == (1, 30)
    assert np.all(np.isfinite(found["predicted"]))
    assert found["evaluation_determination"][0, -1] == pytest.approx(found["final_determination"][0], abs=1e-5)
    assert "estimated" not in found


def test_a_linear_estimation_is_a_column_and_is_judged(values: Callable[..., dict[str, Any]]) -> None:
    found = values(data={"linear_estimation": True, "count": 1000})
    actual, estimated = found["actual"][0], found["estimated"][0]
    assert found["estimated_determination"][0] == pytest.approx(0.5, abs=0.25)
    assert np.corrcoef(actual, estimated)[0, 1] > 0.5
    assert np.all(estimated == np.rint(estimated))


def test_a_table_with_its_estimates_is_read_by_another_job(tmp_path: Path) -> None:
    first = compute_store(make_job(data={"linear_estimation": True}), tmp_path / "first.zarr")
    out = measure("estimates", first, tmp_path / "boosted.csv")
    table, made = tables.read(out), tables.read(sources.generated("deliveries", 200))
    assert table.columns.keys() == made.columns.keys()
    assert {name for name in made.columns if table.columns[name] != made.columns[name]} == {"Linear Estimation"}

    # Read again they are what a model was told that fits them itself.
    fields = {"fields": {"Cost": 5, "Linear Estimation": 5}}
    told = []
    for number, data in enumerate(({"linear_estimation": True}, {"path": str(out), "generator": None})):
        second = make_job(data={**fields, **data})
        module = module_of("regression")
        told.append(module.task(second.data, second.model, seed=number).rows.codes)
    np.testing.assert_array_equal(*told)


def test_estimates_of_another_table_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_bytes((sources.generated("deliveries", 50) / "deliveries.csv").read_bytes())
    data = {"path": str(own), "generator": None, "linear_estimation": True}
    store = compute_store(make_job(data=data), tmp_path / "store.zarr")
    assert len(tables.read(measure("estimates", store, tmp_path / "out.csv"))) == 50
    own.write_text(own.read_text().replace("1", "2"))
    with pytest.raises(RequestError, match=r"own\.csv is not the table that its estimates are of"):
        measure("estimates", store, tmp_path / "out.csv")
    without = compute_store(make_job(), tmp_path / "without.zarr")
    with pytest.raises(RequestError, match="has no linear estimates; training jobs of the task regression with"):
        measure("estimates", without, tmp_path / "out.csv")


def test_an_exact_law_is_estimated_exactly(values: Callable[..., dict[str, Any]]) -> None:
    found = values(data={"linear_estimation": True, "missing": 0.0, "target": "10*total_deliverers - 5*market + 100"})
    np.testing.assert_array_equal(found["estimated"], found["actual"])
    assert found["estimated_determination"][0] == 1


def test_a_table_of_one_s_own(values: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("Width,Depth\n" + "".join(f"{number % 7},{number % 5}\n" for number in range(60)))
    own = {"generator": None, "path": str(path), "fields": {"Width": 1, "Depth": 1}, "target": "width*depth"}
    found = values(data=own, model={"form": "linear", "scale": 1.0}, train={"batch": 8, "steps": 4})
    assert set(found["actual"][0][:12]) <= {float(a * b) for a in range(7) for b in range(5)}
    assert np.isnan(found["actual"][0][12:]).all()


def test_widths_of_fields_can_be_varied(values: Callable[..., dict[str, Any]]) -> None:
    found = values(data={"fields": FIELDS}, sweep={"data.fields.Cost": [5, 4], "data.compact": [False, True]})
    losses = found["evaluation_loss"][:, -1]
    assert losses.shape == (4,)
    assert len(set(losses)) == 4
    np.testing.assert_array_equal(found["actual"][0], found["actual"][3])


def test_an_alphabet_by_name(tmp_path: Path) -> None:
    job = make_job(data={"alphabet": "ascii", "fields": FIELDS}, model={"form": "linear"})
    store = compute_store(job, tmp_path / "store.zarr")
    assert open_for_reading(store).constant("parameters").tolist() == [128 * sum(FIELDS.values()) + 1]


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"data": {"generator": None}}, r"data\.path: give this or data\.generator"),
        ({"data": {"path": "x.csv"}}, r"data\.path: give this or data\.generator"),
        ({"data": {"path": "x.csv", "generator": None}}, r"data\.path: there is no x\.csv"),
        ({"data": {"fields": {"Cost": 5}, "linear_estimation": True}}, r"data\.linear_estimation: needs room for"),
        ({"data": {"alphabet": "0123456789"}}, r"data\.alphabet: "),
        (
            {"data": {"target": "elapsed_tim"}},
            r"data\.target, column 1: unknown name .elapsed_tim.; did you mean .elapsed_time.",
        ),
        ({"model": {"form": "encoder", "heads": 4}}, r"model\.heads: 4 does not divide the 15"),
        (
            {"data": {"alphabet": "ascii"}, "model": {"form": "encoder", "heads": 5}},
            r"model\.heads: 5 does not divide the 128 of data\.alphabet",
        ),
        ({"model": {"hidden": [0]}}, r"model\.hidden"),
    ],
)
def test_refused(sections: dict[str, Any], line: str) -> None:
    with pytest.raises(RequestError, match=line):
        make_job(**sections)


def test_a_target_that_is_no_number_is_refused(tmp_path: Path) -> None:
    job = make_job(data={"target": "order_made"})
    with pytest.raises(AssertionError, match=r"data\.target: no column of numbers is called order_made"):
        compute_store(job, tmp_path / "store.zarr")


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    identities = []
    for last in ("3", "4"):
        path.write_text(f"a,b\n1,2\n2,{last}\n")
        job = make_job(data={"generator": None, "path": str(path), "fields": {"a": 1}, "target": "b"})
        identities.append(model.plan(job).identity)
    assert identities[0] != identities[1]
