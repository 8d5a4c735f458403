"""Units that fail: the job ends for all ranks, with a traceback for our mistakes and one line for the user's."""

from __future__ import annotations

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
    code, _, err = engine.run(2, tmp_path / "toy.zarr", "--fault", fault, "--culprit", 5, "--seconds", 60)
    assert (code, err) == (2, line)


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
