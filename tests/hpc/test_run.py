"""Whole runs of the toy plan on real ranks: same bytes on any number, and what is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.reading import open_for_reading

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize(("num_ranks", "concurrent"), [(2, 1), (3, 1), (1, 4)])
def test_same_bytes_on_any_ranks(
    tmp_path: Path, engine: Any, reference: dict[str, bytes], num_ranks: int, concurrent: int
) -> None:
    store = tmp_path / "toy.zarr"
    code, out, err = engine.run(num_ranks, store, "--concurrent", concurrent)
    assert (code, err) == (0, "")
    assert out == f"{store}\n"
    assert engine.shard_bytes(store) == reference

    # Every unit was computed once, and with several ranks by more than one of them.
    ledger = engine.ledger(store)
    assert set(ledger.units("partial").values()) == set(ledger.units("sum").values()) == {1}
    assert len(list((store / "ledger").glob("*.jsonl"))) == num_ranks


def test_sum_is_right(tmp_path: Path, engine: Any, toy: Any) -> None:
    store = tmp_path / "toy.zarr"
    assert engine.run(2, store, "--seconds", 0.001)[0] == 0
    total = np.zeros(toy.NUM_BINS, dtype=int)
    for stage in range(12):
        run = toy.make_plan().stages[0].start(stage, None, None)
        while run.advance(10.0) < 1.0:
            pass
        total += run.arrays()["partial"][0]
    assert total.sum() == 12 * toy.NUM_VALUES
    np.testing.assert_array_equal(open_for_reading(store).read("histogram"), total)


def test_what_a_run_leaves_behind(tmp_path: Path, engine: Any) -> None:
    store = tmp_path / "toy.zarr"
    assert engine.run(2, store)[0] == 0
    assert engine.run(1, store)[0] == 0

    # Two starts, two records, in the order of their names.
    records = [json.loads(path.read_text()) for path in sorted((store / "runs").glob("*.json"))]
    assert [len(record["ranks"]) for record in records] == [2, 1]
    for record in records:
        assert record["exit_code"] == 0
        assert record["started"] <= record["ended"]
        assert record["versions"]["numpy"] == np.__version__
        assert str(store) in record["command"]
        assert {rank["device"] for rank in record["ranks"]} == {"toy"}

    # The second start found nothing to do, and says so.
    assert max(engine.ledger(store).units("partial").values()) == 1
    status = json.loads((store / "status.json").read_text())
    assert (status["state"], status["percent"], status["run"]) == ("done", 100.0, records[1]["run"])
    assert status["stages"] == [
        {"name": "partial", "done": 12, "total": 12},
        {"name": "sum", "done": 2, "total": 2},
    ]

    # One log a rank, every line an object.
    logs = sorted(path.name for path in (store / "logs").iterdir())
    assert logs == [f"{records[0]['run']}-0.jsonl", f"{records[0]['run']}-1.jsonl", f"{records[1]['run']}-0.jsonl"]
    lines = [json.loads(line) for name in logs for line in (store / "logs" / name).read_text().splitlines()]
    assert sum(line["message"] == "unit done" for line in lines) == 14
    assert not list(store.rglob("*.partial"))


def test_without_a_launcher_and_without_readers(tmp_path: Path, engine: Any, reference: dict[str, bytes]) -> None:
    """A closed pipe on stdout and stderr loses neither data nor the exit code."""
    store = tmp_path / "toy.zarr"
    command = [sys.executable, str(engine.toy_job), str(store), "--progress", "lines"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(engine.timeout_s) == 0
    assert engine.shard_bytes(store) == reference

    closed = tmp_path / "closed.zarr"
    words = " ".join([sys.executable, str(engine.toy_job), str(closed), "--progress", "lines"])
    assert subprocess.run(["sh", "-c", f"exec {words} >&- 2>&-"], timeout=engine.timeout_s).returncode == 0
    assert engine.shard_bytes(closed) == reference
