"""Units that fail: the job ends for all ranks, with a traceback for our mistakes and one line for the user's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.mpi


def test_an_exception_in_a_unit_ends_the_job(tmp_path: Path, engine: Any, reference: dict[str, bytes]) -> None:
    store = tmp_path / "toy.zarr"
    # Unit 5 is among the first that are handed out: the other ranks are busy for a minute.
    code, _, err = engine.run(3, store, "--fault", "crash", "--culprit", 5, "--seconds", 60)
    assert code != 0
    assert "ZeroDivisionError: the culprit" in err
    assert "in unit 5 of stage 'partial'" in err
    assert "Traceback" in err

    # The mistake mended, the same command resumes.
    assert engine.run(2, store)[0] == 0
    assert engine.shard_bytes(store) == reference


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("refuse", "horseshoe: bodies.mass: the culprit\n"),
        ("memory", "horseshoe: run.shard: out of memory in unit 5 of stage 'partial', which needs 1 MiB\n"),
    ],
)
def test_a_refusal_in_a_unit_is_one_line(tmp_path: Path, engine: Any, fault: str, line: str) -> None:
    options = ["--culprit", 5, "--seconds", 60, "--progress", "lines"]
    code, _, err = engine.run(2, tmp_path / "toy.zarr", "--fault", fault, *options)
    assert (code, err) == (2, line)


@pytest.mark.parametrize("fault", ["refuse", "memory"])
def test_what_no_unit_can_do_is_refused_before_anything(tmp_path: Path, engine: Any, fault: str) -> None:
    """Unit 6 stands for all: it is tried first."""
    code, _, err = engine.run(2, tmp_path / "toy.zarr", "--fault", fault, "--culprit", 6, "--progress", "lines")
    assert code == 2
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_one_line(tmp_path: Path, engine: Any, reference: dict[str, bytes]) -> None:
    store = tmp_path / "toy.zarr"
    past = {**os.environ, "SLURM_JOB_END_TIME": "1"}
    assert engine.run(1, store, env=past)[0] == 75

    # A file where a folder has to be, as permissions do not hold for root.
    obstacle = store / "partial" / "c"
    obstacle.write_text("")
    code, _, err = engine.run(2, store, "--progress", "lines")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"horseshoe: {store}: cannot be written (")
    assert not engine.ledger(store).units("partial")

    # The obstacle gone, the same command goes on.
    obstacle.unlink()
    assert engine.run(2, store)[0] == 0
    assert engine.shard_bytes(store) == reference


def test_units_larger_than_memory_are_refused_before_anything(tmp_path: Path, engine: Any) -> None:
    code, _, err = engine.run(2, tmp_path / "toy.zarr", "--fault", "huge")
    assert code == 2
    assert err.startswith("horseshoe: run.shard: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_store_of_another_job_is_one_line(tmp_path: Path, engine: Any) -> None:
    store = tmp_path / "toy.zarr"
    assert engine.run(1, store, "--seconds", 0.001)[0] == 0
    code, _, err = engine.run(2, store, "--units", 13)
    assert code == 2
    assert "num_units" in err
    assert err.count("\n") == 1
