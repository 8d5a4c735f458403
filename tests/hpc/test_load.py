"""What a unit and a record cost by themselves, in bytes and messages: a plan of a million must fit on any rank.

Bounds are some times what docs/scaling.md measures; none is on time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import scaling, scaling_units
from hpc import ledger
from hpc.claims import Claims
from hpc.messages import Report

RECORD_BYTES = 400
TALLY_BYTES = 60
CLAIMS_BYTES = 80
COORDINATOR_BYTES = 200
RANK_BYTES = 80
START_BYTES = 60 << 20
"""What a job takes on a rank whatever the number of its units."""

START_S = 500.0

Start = Callable[..., subprocess.Popen[str]]


def peak_bytes(function: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def write_ledger(store: Path, num_units: int) -> None:
    files = {"number": (scaling_units.SIZE_BYTES, scaling_units.DIGEST)}
    (store / "ledger").mkdir(parents=True)
    lines = [ledger.encode(ledger.Record("naps", unit, "run", 1.25, files)) for unit in range(num_units)]
    (store / "ledger" / "run-0.jsonl").write_bytes(b"".join(lines))


def test_a_record_is_short() -> None:
    assert scaling.record_bytes("times") < RECORD_BYTES * 2 // 3
    assert scaling.record_bytes("times", "outcome") < RECORD_BYTES


def test_reading_a_ledger_holds_no_records(tmp_path: Path) -> None:
    sizes = (2_000, 42_000)
    for size in sizes:
        write_ledger(tmp_path / str(size), size)
    few, many = (peak_bytes(lambda size=size: ledger.tally(tmp_path / str(size), {"naps": size})) for size in sizes)
    assert (many - few) / (sizes[1] - sizes[0]) < TALLY_BYTES


def test_a_pending_unit_is_two_numbers() -> None:
    costs, finished = np.ones(200_000), np.zeros(200_000, dtype=np.bool_)
    assert peak_bytes(lambda: Claims(costs, finished, [1, 1], grace_s=0.0)) / costs.size < CLAIMS_BYTES


def test_a_million_units_are_handed_out_in_few_orders() -> None:
    """Units of 10 us: two ranks that ask whenever they run dry."""
    num_units = 1_000_000
    queue = Claims(np.ones(num_units), np.zeros(num_units, dtype=np.bool_), [1, 1], grace_s=0.0)
    seen = np.zeros(num_units, dtype=np.int8)
    num_orders, outstanding = [0, 0], [(), ()]
    while queue.end is None:
        for rank in (0, 1):
            done = tuple((unit, 1e-5) for unit in outstanding[rank])
            queue.receive(rank, Report(done, 1, num_orders[rank]))
            outstanding[rank] = ()
        for rank, orders in queue.orders(0.0):
            seen[list(orders.units)] += 1
            outstanding[rank] = orders.units
            num_orders[rank] += bool(orders.units)
    assert (seen == 1).all()
    assert sum(num_orders) < 200


def units_recorded(store: Path, num_units: int) -> int:
    """Number of records; no unit has two."""
    told = ledger.tally(store, {"naps": num_units})["naps"]
    assert told.units.size == told.finished.sum()
    return told.units.size


def schedule_and_resume(store: Path, num_units: int) -> None:
    """Through the engine on two ranks, twice; half of the longest ledger is lost in between."""
    for attempt in range(2):
        ranks = scaling.program(2, scaling_units.__name__, store, "--units", num_units)
        assert [rank["rank"] for rank in ranks] == [0, 1]
        assert units_recorded(store, num_units) == num_units
        for rank, unit_bytes in zip(ranks, (COORDINATOR_BYTES, RANK_BYTES), strict=True):
            assert rank["peak_bytes"] - rank["before_bytes"] < START_BYTES + unit_bytes * num_units
        if attempt == 0:
            victim = max((store / "ledger").iterdir(), key=lambda file: file.stat().st_size)
            os.truncate(victim, victim.stat().st_size // 2)
            assert num_units // 10 < units_recorded(store, num_units) < num_units


@pytest.mark.mpi
def test_many_units_are_scheduled_and_resumed(tmp_path: Path) -> None:
    schedule_and_resume(tmp_path / "store", 5_000)


@pytest.mark.check
def test_a_million_units_are_scheduled_and_resumed() -> None:
    with scaling.folder_in_memory() as folder:
        schedule_and_resume(Path(folder) / "store", 1_000_000)


@pytest.mark.check
def test_64_ranks_are_killed_and_resume(tmp_path: Path, start_program: Start, engine: Any) -> None:
    store, listed = tmp_path / "store", tmp_path / "seconds.txt"
    np.savetxt(listed, np.full(1000, 0.5))

    # Kill a rank as soon as some units are recorded.
    process = start_program(64, "-m", scaling_units.__name__, store, "--seconds", listed, cwd=scaling.ROOT)

    # 64 times Python on few cores: give it minutes to start.
    end_s = time.monotonic() + START_S
    while engine.ledger(store).units("naps").total() < 100:
        assert time.monotonic() < end_s
        time.sleep(0.1)
    os.kill(engine.rank_pids(store)[63], signal.SIGKILL)
    assert process.wait(timeout=engine.timeout_s) != 0
    assert 100 <= units_recorded(store, 1000) < 1000

    ranks = scaling.program(64, scaling_units.__name__, store, "--seconds", listed)
    assert len(ranks) == 64
    assert max(rank["peak_bytes"] - rank["before_bytes"] for rank in ranks) < START_BYTES
    assert units_recorded(store, 1000) == 1000
    runs = [json.loads(file.read_text()) for file in (store / "runs").glob("*.json")]
    assert [len(run["ranks"]) for run in runs] == [64, 64]
