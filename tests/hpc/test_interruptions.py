"""Jobs that are killed, told to stop or out of time: what was finished is kept, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.mpi

EXIT_STOPPED = 75
MARGIN_S = 1.5


def assert_resumes(engine: Any, store: Path, before: Counter[int], reference: dict[str, bytes]) -> None:
    """The same command on other ranks completes the store and computes nothing twice."""
    assert engine.run(2, store, "--seconds", 0.001)[0] == 0
    after = engine.ledger(store).units("partial")
    assert set(after) == set(range(12))
    assert all(after[unit] == 1 for unit in before)
    assert engine.shard_bytes(store) == reference
    assert not list(store.rglob("*.partial"))


@pytest.mark.parametrize("victim", ["rank 0", "rank 1", "mpiexec"])
def test_kill_in_the_middle(tmp_path: Path, engine: Any, reference: dict[str, bytes], victim: str) -> None:
    store = tmp_path / "toy.zarr"
    process = engine.start(2, store, "--seconds", 0.3)
    ledger = engine.ledger(store)
    ledger.wait_for("partial", 3)
    pids = engine.rank_pids(store)
    os.kill(process.pid if victim == "mpiexec" else pids[int(victim[-1])], signal.SIGKILL)
    assert process.wait(engine.timeout_s) != 0
    end_s = time.monotonic() + 5.0
    while any(engine.is_alive(pid) for pid in pids):
        assert time.monotonic() < end_s, "ranks outlive the job"
        time.sleep(0.01)
    before = ledger.units("partial")
    assert 3 <= len(before) < 12
    assert_resumes(engine, store, before, reference)


def test_kill_between_the_stages(tmp_path: Path, engine: Any, reference: dict[str, bytes]) -> None:
    store = tmp_path / "toy.zarr"
    process = engine.start(3, store, "--pause", 60)
    ledger = engine.ledger(store)
    ledger.wait_for("partial", 12)
    process.kill()
    process.wait(engine.timeout_s)
    assert not ledger.units("sum")
    assert_resumes(engine, store, ledger.units("partial"), reference)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_to_mpiexec(tmp_path: Path, engine: Any, reference: dict[str, bytes], number: signal.Signals) -> None:
    store = tmp_path / "toy.zarr"
    grace_s = 0.3
    process = engine.start(2, store, "--seconds", 0.8, "--grace", grace_s)
    ledger = engine.ledger(store)
    ledger.wait_for("partial", 1)
    process.send_signal(number)
    sent_s = time.monotonic()
    assert process.wait(engine.timeout_s) == EXIT_STOPPED
    assert time.monotonic() - sent_s < grace_s + MARGIN_S
    before = ledger.units("partial")
    assert 1 <= len(before) < 12
    status = json.loads((store / "status.json").read_text())
    assert status["state"] == "stopped"
    assert status["stages"][0]["done"] == len(before)
    assert_resumes(engine, store, before, reference)


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGINT])
def test_signal_to_one_rank_stops_all(tmp_path: Path, engine: Any, number: signal.Signals) -> None:
    """Units in flight end within the grace time and are kept."""
    store = tmp_path / "toy.zarr"
    process = engine.start(3, store, "--seconds", 0.6, "--grace", 30)
    ledger = engine.ledger(store)
    ledger.wait_for("partial", 1)
    os.kill(engine.rank_pids(store)[2], number)
    sent_s = time.monotonic()
    assert process.wait(engine.timeout_s) == EXIT_STOPPED
    assert time.monotonic() - sent_s < 10
    assert len(ledger.units("partial")) < 12
    logs = [json.loads(line) for path in (store / "logs").iterdir() for line in path.read_text().splitlines()]
    assert sum(line["message"] == "stage ends early" and line["reason"] == number.name for line in logs) == 3
    # Whatever was begun was finished.
    begun = sum(line["message"] == "unit done" for line in logs)
    assert begun == len(ledger.units("partial"))
    dropped = [line for line in logs if line["message"] == "unit dropped"]
    assert all(not line["begun"] for line in dropped)


def test_a_deaf_unit_does_not_hold_up_the_stop(tmp_path: Path, engine: Any) -> None:
    store = tmp_path / "toy.zarr"
    grace_s = 0.2
    process = engine.start(2, store, "--fault", "deaf", "--culprit", 2, "--seconds", 60, "--grace", grace_s)
    log_s = time.monotonic() + engine.timeout_s
    while not list((store / "logs").glob("*-1.jsonl")):
        assert time.monotonic() < log_s
        time.sleep(0.05)
    time.sleep(0.3)
    process.terminate()
    sent_s = time.monotonic()
    assert process.wait(engine.timeout_s) == EXIT_STOPPED
    assert time.monotonic() - sent_s < grace_s + MARGIN_S


def test_deadline(tmp_path: Path, engine: Any, reference: dict[str, bytes]) -> None:
    """Nothing is begun that would not end in time, so that nothing is abandoned."""
    store = tmp_path / "toy.zarr"
    begun_s = time.monotonic()
    code, _, err = engine.run(2, store, "--seconds", 0.8, "--deadline", "4s", "--grace", 0)
    assert (code, err) == (EXIT_STOPPED, "horseshoe: stopped early (deadline); the same command goes on\n")
    assert time.monotonic() - begun_s < 4 + 4
    before = engine.ledger(store).units("partial")
    assert 0 < len(before) < 12
    logs = "".join(path.read_text() for path in (store / "logs").iterdir())
    assert '"deadline"' in logs
    assert_resumes(engine, store, before, reference)


def test_a_deadline_shorter_than_any_unit_is_refused(tmp_path: Path, engine: Any) -> None:
    """A job that queues itself again after 75 would never end."""
    code, _, err = engine.run(2, tmp_path / "toy.zarr", "--seconds", 60, "--deadline", "5s")
    assert code == 2
    assert err.startswith("horseshoe: run.shard: a unit may take ")
    assert err.count("\n") == 1


def test_deadline_of_slurm_goes_first(tmp_path: Path, engine: Any) -> None:
    environment = {**os.environ, "SLURM_JOB_END_TIME": str(int(time.time()) - 5)}
    code, _, _ = engine.run(2, tmp_path / "toy.zarr", "--deadline", "1h", env=environment)
    assert code == EXIT_STOPPED
    assert not engine.ledger(tmp_path / "toy.zarr").units("partial")
