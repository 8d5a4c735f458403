"""What hangs is named, and ends the job with 75; what only takes long is left alone."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.claims import Claims
from hpc.messages import Orders, Report, Stall
from hpc.watchdog import Awake, Patience, Slices, Watch
from hpc.workers import Flight

FAULTY_JOB = Path(__file__).with_name("faulty_job.py")
EXIT_STOPPED = 75
HOSTS = ["n1", "n1", "n2"]


def watch(**options: Any) -> Watch:
    patience = Patience(factor=20.0, least_s=60.0, silence_s=100.0)
    return Watch("map", **{"ranks": (1, 2), "hosts": HOSTS, "patience": patience, **options})


def test_estimates_of_units() -> None:
    costs, finished = np.array([1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 8.0]), np.zeros(7, dtype=bool)
    queue = Claims(costs, finished, [1], grace_s=0.0)
    for number, unit in enumerate((0, 2, 3, 4, 5)):
        assert queue.expected_s(6) is None
        queue.receive(0, Report(finished=((unit, 3.0),), wanted=1, num_orders=number))
        queue.orders(0.0)
    assert queue.expected_s(6) == 24.0
    assert queue.expected_s(1) == 6.0

    # Until then the plan's, twice.
    queue = Claims(costs, finished, [1], grace_s=0.0, seconds_per_cost=2.0)
    assert queue.expected_s(6) == 32.0


@pytest.mark.parametrize(
    ("expected_s", "longest_s"), [(None, float("inf")), (0.0, 60.0), (2.9, 60.0), (3.1, 62.0), (1000.0, 20_000.0)]
)
def test_twenty_times_the_estimate_but_a_minute_at_least(expected_s: float | None, longest_s: float) -> None:
    assert Patience().for_unit(expected_s) == pytest.approx(longest_s)
    watching = watch(expected_s=lambda _: expected_s)
    assert watching.hear(2, Report(stall=Stall(17, min(longest_s, 1e9))), 0.0) is None
    if expected_s is not None:
        complaint = watching.hear(2, Report(stall=Stall(17, longest_s + 1)), 0.0)
        assert complaint == f"rank 2 on n2 hangs in unit 17 of stage 'map': nothing came back for {longest_s + 1:.0f} s"


def test_silent_ranks_are_found_once_and_those_that_are_heard_again_taken_back() -> None:
    watching = watch()
    watching.hear(1, Report(stall=Stall(4, 0.1)), 50.0)
    assert watching.find_lost(99.0) == {}
    assert watching.find_lost(101.0) == {2: "rank 2 on n2 is silent for 101 s"}
    assert watching.find_lost(120.0) == {}
    assert list(watching.lost) == [2]
    watching.hear(2, Report(), 130.0)
    assert watching.lost == {}
    assert watching.find_lost(151.0) == {1: "rank 1 on n1 is silent for 101 s in unit 4 of stage 'map'"}


def test_who_has_ended_or_is_not_listened_to_may_be_silent() -> None:
    watching = watch(ranks=(1,))
    watching.hear(0, Orders(), 0.0)
    watching.hear(1, Report(final=True), 0.0)
    assert watching.find_lost(1e6) == {}


def test_a_clock_that_stands_still_while_nobody_looks() -> None:
    awake = Awake()
    assert awake.turn(1000.0) == 0.0
    assert awake.turn(1000.5) == 0.5
    # Ctrl-Z, an hour, fg.
    assert awake.turn(4600.0) == 1.5
    assert awake.turn(4600.25) == 1.75


def test_only_a_slice_that_is_out_counts() -> None:
    slices = Slices()
    run: Any = object()

    def flight(unit: int, seen_s: float, run: Any = run) -> Flight:
        return Flight(unit, started_s=0.0, seen_s=seen_s, run=run)

    # A compiler may take its time.
    assert slices.longest([flight(3, 0.0, None)], 0.0) is None
    assert slices.longest([flight(3, 0.0, None)], 500.0) is None
    assert slices.longest([flight(3, 500.0)], 501.0) == Stall(3, 0.0)
    assert slices.longest([flight(3, 500.0)], 511.0) == Stall(3, 10.0)
    # Another unit has just come back, this one not.
    assert slices.longest([flight(4, 511.5), flight(3, 500.0)], 512.0) == Stall(3, 11.0)
    # Now it has, and the other one not.
    assert slices.longest([flight(4, 511.5), flight(3, 512.5)], 513.0) == Stall(4, 1.0)
    assert slices.longest([], 514.0) is None


def assert_finishes(engine: Any, store: Path, reference: dict[str, bytes]) -> None:
    before = engine.ledger(store).units("partial")
    assert engine.run(2, store, "--seconds", 0.001)[0] == 0
    assert all(engine.ledger(store).units("partial")[unit] == 1 for unit in before)
    assert engine.shard_bytes(store) == reference


@pytest.mark.mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_a_kernel_that_hangs(
    tmp_path: Path, engine: Any, start_program: Any, reference: dict[str, bytes], rank: int
) -> None:
    store = tmp_path / "toy.zarr"
    process = start_program(2, FAULTY_JOB, "hanging", rank, 1, store, "--grace", 0.2)
    _, err = process.communicate(timeout=engine.timeout_s)
    assert process.returncode == EXIT_STOPPED
    assert err.startswith(f"horseshoe: stopped early (rank {rank} on {socket.gethostname()} hangs in unit ")
    assert "of stage 'partial': nothing came back for " in err
    assert err.endswith(" s); the same command goes on\n")
    assert err.count("\n") == 1
    assert len(engine.ledger(store).units("partial")) == 11
    assert_finishes(engine, store, reference)


@pytest.mark.mpi
@pytest.mark.parametrize(("num_ranks", "victim"), [(2, 1), (3, 0)])
def test_a_rank_that_is_silent(
    tmp_path: Path, engine: Any, start_program: Any, reference: dict[str, bytes], num_ranks: int, victim: int
) -> None:
    """The others finish what they can, then the job ends without it. Rank 1 looks after rank 0."""
    store = tmp_path / "toy.zarr"
    process = start_program(num_ranks, FAULTY_JOB, "none", "", 0, store, "--seconds", 0.5, "--grace", 0.2)
    engine.ledger(store).wait_for("partial", 1)
    pids = engine.rank_pids(store)
    os.kill(pids[victim], signal.SIGSTOP)
    _, err = process.communicate(timeout=engine.timeout_s)
    assert process.returncode == EXIT_STOPPED
    assert err.startswith(f"horseshoe: stopped early (rank {victim} on {socket.gethostname()} is silent for ")
    assert err.endswith("; the same command goes on\n")
    assert err.count("\n") == 1
    end_s = time.monotonic() + engine.timeout_s
    while any(engine.is_alive(pid) for pid in pids):
        assert time.monotonic() < end_s, "ranks outlive the job"
        time.sleep(0.01)
    assert_finishes(engine, store, reference)


@pytest.mark.mpi
@pytest.mark.check
def test_a_job_that_was_stopped_and_continued_goes_on(
    tmp_path: Path, engine: Any, start_program: Any, reference: dict[str, bytes]
) -> None:
    store = tmp_path / "toy.zarr"
    process = start_program(2, FAULTY_JOB, "none", "", 0, store, "--seconds", 1)
    engine.ledger(store).wait_for("partial", 1)
    pids = engine.rank_pids(store)
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in pids:
            os.kill(pid, number)
        time.sleep(8)
    _, err = process.communicate(timeout=engine.timeout_s)
    assert (process.returncode, err) == (0, "")
    assert engine.shard_bytes(store) == reference
