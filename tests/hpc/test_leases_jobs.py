"""Real jobs that compute one store at once: they share the units, outlive each other, and hear while they wait."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpc import leases, runs

pytestmark = pytest.mark.mpi

EXIT_REQUEST, EXIT_STOPPED = 2, 75
QUICK = ("--tempo", 0.2, 1.0, 0.05)


@pytest.fixture
def start(engine: Any) -> Callable[..., subprocess.Popen[str]]:
    """Start the toy job as on a host of its own, of which nothing can be known from elsewhere."""

    def run(host: str, num_ranks: int, store: Path, *arguments: object) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = engine.start(num_ranks, store, *QUICK, "--host", host, *arguments)
        return process

    return run


def wait_until(condition: Callable[[], object], engine: Any) -> None:
    end_s = time.monotonic() + engine.timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def units_by_host(store: Path) -> dict[str, list[int]]:
    """The units of the first stage that each host has recorded."""
    lines = [line for path in (store / "ledger").glob("*.jsonl") for line in path.read_bytes().split(b"\n")[:-1]]
    found: dict[str, list[int]] = {}
    for record in map(json.loads, lines):
        if record["stage"] == "partial":
            found.setdefault(runs.read_run(store, record["run"])["host"], []).append(record["unit"])
    return found


def finish(process: subprocess.Popen[str], engine: Any) -> tuple[int, str]:
    _, err = process.communicate(timeout=engine.timeout_s)
    return process.returncode, err


def test_two_jobs_share_the_units(tmp_path: Path, engine: Any, start: Any, reference: dict[str, bytes]) -> None:
    """Each unit is computed once, the store is that of one job, and both are told."""
    store = tmp_path / "toy.zarr"
    first = start("one", 1, store, "--seconds", 0.6)
    wait_until(lambda: leases.living_runs(store), engine)
    second = start("two", 2, store, "--seconds", 0.6)
    wait_until(lambda: len(leases.living_runs(store)) == 2, engine)
    (early, late) = runs.read_runs(store)
    assert finish(first, engine) == (0, "")
    line = f"horseshoe: {store}: computed by another run too ({early}); the work is shared\n"
    assert finish(second, engine) == (0, line)
    assert engine.ledger(store).units("partial") == dict.fromkeys(range(12), 1)
    assert engine.ledger(store).units("sum") == dict.fromkeys(range(2), 1)
    assert units_by_host(store).keys() == {"one", "two"}
    assert engine.shard_bytes(store) == reference
    assert [runs.read_run(store, run_id)["exit_code"] for run_id in (early, late)] == [0, 0]
    assert not (store / "leases").exists()


def test_two_jobs_that_start_at_once(tmp_path: Path, engine: Any, reference: dict[str, bytes]) -> None:
    store = tmp_path / "toy.zarr"
    jobs = [engine.start(num_ranks, store, "--seconds", 0.1) for num_ranks in (1, 2)]
    assert [finish(job, engine)[0] for job in jobs] == [0, 0]
    assert engine.ledger(store).units("partial") == dict.fromkeys(range(12), 1)
    assert engine.shard_bytes(store) == reference
    assert not (store / "leases").exists()


def test_the_other_job_finishes_what_a_killed_one_held(
    tmp_path: Path, engine: Any, start: Any, reference: dict[str, bytes]
) -> None:
    """It holds leases on another host: they are left alone until they expire."""
    store = tmp_path / "toy.zarr"
    victim = start("one", 2, store, "--seconds", 1.0)
    wait_until(lambda: leases.living_runs(store), engine)
    other = start("two", 1, store, "--seconds", 1.0)
    wait_until(lambda: len(units_by_host(store)) == 2, engine)
    pids = [rank["pid"] for rank in next(iter(runs.read_runs(store).values()))["ranks"]]
    os.kill(pids[0], signal.SIGKILL)
    assert victim.wait(engine.timeout_s) != 0
    before = units_by_host(store)["one"]
    assert finish(other, engine)[0] == 0
    units = engine.ledger(store).units("partial")
    assert units == dict.fromkeys(range(12), 1)
    assert units_by_host(store)["one"] == before
    assert engine.shard_bytes(store) == reference


def test_who_wakes_up_late_costs_double_work_at_most(
    tmp_path: Path, engine: Any, start: Any, reference: dict[str, bytes]
) -> None:
    """Its leases have expired while it stood still: it goes on as if nothing were, and both end well."""
    store = tmp_path / "toy.zarr"
    sleeper = start("one", 1, store, "--seconds", 0.5)
    wait_until(lambda: units_by_host(store), engine)
    (record,) = runs.read_runs(store).values()
    os.kill(record["pid"], signal.SIGSTOP)
    try:
        assert finish(start("two", 1, store, "--seconds", 0.01), engine)[0] == 0
        assert engine.ledger(store).units("partial") == dict.fromkeys(range(12), 1)
    finally:
        os.kill(record["pid"], signal.SIGCONT)
    assert finish(sleeper, engine) == (0, "")
    assert max(engine.ledger(store).units("partial").values()) <= 2
    assert engine.shard_bytes(store) == reference


@pytest.mark.parametrize("how", ["signal", "deadline"])
def test_who_waits_for_others_can_be_stopped(tmp_path: Path, engine: Any, start: Any, how: str) -> None:
    """Nothing is left to lease; it holds no core, and leaves with 75."""
    store = tmp_path / "toy.zarr"
    holder = start("one", 1, store, "--units", 1, "--seconds", 120)
    wait_until(lambda: list((store / "leases").glob("*.lease")), engine)
    more = ("--deadline", "5s") if how == "deadline" else ()
    waiting = start("two", 2, store, "--units", 1, "--seconds", 0.01, *more)
    wait_until(lambda: len(leases.living_runs(store)) == 2, engine)
    if how == "signal":
        pids = list(runs.read_runs(store).values())[1]["ranks"]
        before_s = sum(cpu_s(rank["pid"]) for rank in pids)
        time.sleep(1.5)
        assert sum(cpu_s(rank["pid"]) for rank in pids) - before_s < 0.8
        waiting.terminate()
    code, err = finish(waiting, engine)
    assert code == EXIT_STOPPED
    reason = "SIGTERM" if how == "signal" else "deadline"
    assert err.splitlines()[-1] == f"horseshoe: stopped early ({reason}); the same command goes on"
    assert not units_by_host(store)
    assert holder.poll() is None
    assert len(list((store / "leases").glob("*.beat"))) == 1


def cpu_s(pid: int) -> float:
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("name", "target", "code", "reason"),
    [
        ("partial.0.0.lease", "pipe", 0, ""),
        (
            "partial.0.0.lease",
            "/dev/zero",
            EXIT_REQUEST,
            "partial.0.0.lease: cannot be written (Too many levels of symbolic links)",
        ),
        ("stranger.beat", "pipe", 0, ""),
    ],
)
def test_a_lease_that_is_no_file_holds_up_nobody(
    tmp_path: Path, engine: Any, name: str, target: str, code: int, reason: str
) -> None:
    """Whoever had a store before may have left anything in it."""
    store = tmp_path / "toy.zarr"
    assert engine.run(1, store)[0] == 0
    for path in [*(store / "ledger").iterdir(), *(store / "partial" / "c").rglob("0")]:
        if path.is_file():
            path.unlink()
    (store / "leases").mkdir()
    if target == "pipe":
        os.mkfifo(store / "leases" / name)
    else:
        (store / "leases" / name).symlink_to(target)
    found, _, err = engine.run(1, store, *QUICK)
    lines = [line for line in err.splitlines() if "computed by another run" not in line]
    assert (found, len(lines)) == (code, int(code != 0)), err
    assert reason in err
    assert "Traceback" not in err


def test_a_pipe_among_the_ledgers_ends_a_job_with_a_line(tmp_path: Path, engine: Any, start: Any) -> None:
    store = tmp_path / "toy.zarr"
    job = start("one", 2, store, "--seconds", 0.3)
    wait_until(lambda: units_by_host(store), engine)
    os.mkfifo(store / "ledger" / "stranger-0.jsonl")
    code, err = finish(job, engine)
    assert (code, err.count("\n")) == (EXIT_REQUEST, 1)
    assert err.startswith(f"horseshoe: {store}/ledger/stranger-0.jsonl: cannot be read (not a regular file); ")
