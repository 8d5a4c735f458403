"""How the units of a stage are shared among jobs, without MPI: the cut, the ledgers, what is asked for, how it ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc import runs
from hpc.claims import Claims
from hpc.leases import LeaseFolder, Tempo
from hpc.ledger import Follower, LedgerFile, Record, encode
from hpc.messages import End, Report
from hpc.sharing import MOST_BLOCKS, Blocks, SharedStage, Sharing
from kernels.errors import RequestError

EXIT_REQUEST = 2
EXIT_STOPPED = 75


@given(st.lists(st.floats(0.0, 1e6), max_size=80))
def test_blocks_hold_every_unit_once_the_costly_first(costs: list[float]) -> None:
    cost = np.array(costs, dtype=np.float64)
    blocks = Blocks(cost)
    units = [int(unit) for block in range(blocks.number) for unit in blocks.units(block)]
    assert units == sorted(range(cost.size), key=lambda unit: (-cost[unit], unit))
    assert all(blocks.units(block).size for block in range(blocks.number))
    assert [int(block) for block in blocks.of[units]] == sorted(int(block) for block in blocks.of)


def test_blocks_are_about_equal_in_cost_and_not_too_many() -> None:
    cost = np.random.default_rng(1).choice([1.0, 2.0, 30.0], 100_000)
    blocks = Blocks(cost)
    shares = np.bincount(blocks.of, weights=cost) / cost.sum()
    assert blocks.number == MOST_BLOCKS
    assert 0.5 / MOST_BLOCKS < shares.min() < shares.max() < 1.5 / MOST_BLOCKS
    assert Blocks(np.ones(64)).number == 64
    assert Blocks(np.zeros(10_000)).number == MOST_BLOCKS


class Job:
    """One job's part in a stage; looks are taken by the test."""

    def __init__(self, store: Path, run_id: str, costs: np.ndarray, finished: tuple[int, ...] = ()) -> None:
        if not runs.read_run(store, run_id):
            runs.begin(store, run_id)
        self.run_id = run_id
        self.folder = LeaseFolder(store, run_id, Tempo())
        self.folder.beat()
        bitmap = np.zeros(costs.size, dtype=np.bool_)
        bitmap[list(finished)] = True
        follower = Follower(store, run_id, self.folder.list("").runs)
        self.stage = SharedStage("partial", costs, bitmap, self.folder, follower, threading.Event())
        self.ledger = LedgerFile(store / "ledger" / f"{run_id}-0.jsonl")
        self.units: list[int] = []

    def lease(self, num_units: int, cost: float = 0.0) -> list[int]:
        """Ask, and let the thread look; the units that have come."""
        self.stage.ask(num_units, cost)
        self.stage.look()
        units = [int(unit) for part in self.stage.take() for unit in part]
        self.units += units
        return units

    def finish(self, *units: int) -> None:
        for unit in units:
            self.ledger.append(Record("partial", unit, self.run_id, 1.0, {}))
        self.stage.report(list(units))


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    return lambda run_id, costs, finished=(): Job(tmp_path, run_id, np.array(costs, dtype=np.float64), finished)


def test_jobs_share_the_units(job: Any) -> None:
    first, second = job("a-1", [1.0] * 6, (0,)), job("b-2", [1.0] * 6, (0,))
    assert first.lease(2) == [1, 2]
    assert second.lease(2) == [3, 4]
    first.finish(1, 2)
    assert first.lease(9) == [5]
    assert not first.stage.is_exhausted
    second.finish(3)
    first.finish(5)
    assert first.lease(1) == []
    assert first.stage.is_dry
    assert (first.stage.num_elsewhere, first.stage.cost_elsewhere) == (1, 1.0)
    second.finish(4)
    assert second.lease(1) == []
    assert second.stage.is_exhausted
    assert first.lease(1) == []
    assert first.stage.is_exhausted
    assert first.folder.list("partial").blocks == {}


def test_what_was_made_while_nobody_looked_is_not_made_again(job: Any) -> None:
    """The other job has come after this one, and gone before its next look."""
    first = job("a-1", [1.0] * 6)
    assert first.lease(1) == [0]
    second = job("b-2", [1.0] * 6)
    assert second.lease(4) == [1, 2, 3, 4]
    second.finish(1, 2, 3, 4)
    second.stage.look()
    second.folder.leave()
    assert first.lease(3) == []
    assert not first.stage.is_dry
    assert first.lease(3) == [5]
    assert first.stage.is_exhausted
    assert first.stage.num_elsewhere == 4


def test_what_a_dead_job_held_is_taken_over_without_what_it_made(tmp_path: Path, job: Any) -> None:
    dead = job("a-1", [1.0] * 6)
    assert dead.lease(6) == [0, 1, 2, 3, 4, 5]
    dead.finish(0, 3)
    other = job("b-2", [1.0] * 6, (0, 3))
    dead.finish(4)
    assert other.lease(6) == []
    runs.update(tmp_path, "a-1", {"pid": 2**22 + 1})
    assert other.lease(6) == [1, 2, 5]


def test_little_is_leased_ahead_near_the_end(job: Any) -> None:
    """Two jobs, each may take a quarter of what is free ahead of need, but always the next unit."""
    first, second = job("a-1", [1.0] * 40), job("b-2", [1.0] * 40)
    assert len(first.lease(0, 1e9)) == 10
    assert len(second.lease(0, 1e9)) == 7
    while first.lease(0, 1e9) or second.lease(0, 1e9):
        pass
    assert sorted(first.units + second.units) == list(range(40))
    assert len(first.lease(1)) == 0


def test_ranks_that_wait_get_what_they_need_at_any_time(job: Any) -> None:
    first, _ = job("a-1", [1.0] * 40), job("b-2", [1.0] * 40)
    assert len(first.lease(38)) == 38


def test_a_follower_reads_what_is_new_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir()
    lines = [encode(Record("partial", unit, "b-2", 1.0, {})) for unit in range(6)]
    (folder / "b-2-0.jsonl").write_bytes(lines[0])
    (folder / "a-1-0.jsonl").write_bytes(lines[5])
    follower = Follower(tmp_path, "a-1", frozenset())

    def look(*at_work: str) -> list[int]:
        return [int(unit) for unit in follower.look("partial", 6, frozenset(at_work))]

    assert look() == []
    with (folder / "b-2-0.jsonl").open("ab") as file:
        file.write(lines[1] + lines[2][:9])
    assert look() == []
    assert look("b-2") == [1]
    with (folder / "b-2-0.jsonl").open("ab") as file:
        file.write(lines[2][9:] + b"nonsense\n" + encode(Record("sum", 0, "b-2", 1.0, {})) + lines[3])
    assert look() == [2, 3]
    (folder / "c-3-1.jsonl").write_bytes(lines[4] + encode(Record("partial", 6, "c-3", 1.0, {})))
    assert look() == [4]
    assert look("c-3") == []


@pytest.mark.parametrize("target", ["pipe", "/dev/zero"])
def test_a_follower_waits_for_no_pipe(tmp_path: Path, target: str) -> None:
    """It reads in a thread that rank 0 waits for."""
    (tmp_path / "ledger").mkdir()
    follower = Follower(tmp_path, "a-1", frozenset())
    name = tmp_path / "ledger" / "b-2-0.jsonl"
    if target == "pipe":
        os.mkfifo(name)
    else:
        name.symlink_to(target)
    with pytest.raises(RequestError, match=r"b-2-0.jsonl: cannot be read \(not a regular file\)"):
        follower.look("partial", 6, frozenset())


class Wells:
    """A source that gives what a test says."""

    def __init__(self) -> None:
        self.is_dry = self.is_exhausted = False
        self.delay_s = 0.0
        self.problem: str | None = None
        self.supply: list[np.ndarray] = []
        self.asked: list[tuple[int, float]] = []
        self.done: list[int] = []

    def ask(self, num_units: int, cost: float) -> None:
        self.asked.append((num_units, cost))

    def take(self) -> list[np.ndarray]:
        supply, self.supply = self.supply, []
        return supply

    def report(self, units: list[int]) -> None:
        self.done += units

    def give(self, *units: int, last: bool = False) -> None:
        self.supply.append(np.array(units, dtype=np.int64))
        self.is_exhausted = last


def queue_of(source: Wells, costs: list[float], num_ranks: int = 1, **options: Any) -> Claims:
    finished = np.zeros(len(costs), dtype=np.bool_)
    return Claims(np.array(costs), finished, [1] * num_ranks, grace_s=3.0, source=source, **options)


def test_units_are_asked_for_before_they_are_needed() -> None:
    source = Wells()
    queue = queue_of(source, [1.0] * 100, 2)
    assert source.asked == [(2, 0.0)]
    queue.receive(0, Report(wanted=1))
    assert queue.orders(0.0) == []
    assert source.asked[-1] == (1, 0.0)
    assert queue.waits_for_others
    source.give(7, 3, 5)
    assert [orders.units for _, orders in queue.orders(0.0)] == [(3,)]
    assert source.asked[-1] == (0, 0.0)

    # A unit takes half a second: two ranks work off eight in two seconds, and two are here.
    queue.receive(0, Report(finished=((3, 0.5),), num_orders=1))
    queue.orders(0.5)
    assert source.done == [3]
    assert source.asked[-1] == (0, 6.0)
    source.delay_s = 1.0
    queue.orders(0.5)
    assert source.asked[-1] == (0, 22.0)


def test_the_end_waits_for_what_others_compute() -> None:
    source = Wells()
    queue = queue_of(source, [1.0] * 4)
    source.give(0, 1)
    queue.receive(0, Report(wanted=2))
    assert [orders.units for _, orders in queue.orders(0.0)] == [(0, 1)]
    queue.receive(0, Report(finished=((0, 1.0), (1, 1.0)), wanted=1, num_orders=1))
    assert queue.orders(1.0) == []
    assert queue.waits_for_others
    source.is_exhausted = True
    assert [orders.end for _, orders in queue.orders(2.0)] == [End(0, "finished")]
    assert not queue.waits_for_others


def test_who_waits_hears_signals_deadlines_and_trouble() -> None:
    for report, now_s, end in (
        (Report(stop="SIGTERM"), 0.0, End(EXIT_STOPPED, "SIGTERM", 3.0)),
        (Report(), 9.0, End(EXIT_STOPPED, "deadline", 3.0)),
    ):
        queue = queue_of(Wells(), [1.0], deadline_s=9.0)
        queue.receive(0, report)
        assert [orders.end for _, orders in queue.orders(now_s)] == [end]
    source = Wells()
    source.problem = "store: cannot be written"
    assert queue_of(source, [1.0]).orders(0.0)[0][1].end == End(EXIT_REQUEST, "store: cannot be written")


def test_before_the_deadline_cheaper_units_are_looked_for() -> None:
    """What does not fit is no reason to stop until nothing else is to be had; nor is it refused while others work."""
    source = Wells()
    queue = queue_of(source, [9.0, 1.0], deadline_s=5.0, window_s=5.0, seconds_per_cost=1.0)
    source.give(0)
    queue.receive(0, Report(wanted=1))
    assert queue.orders(0.0) == []
    assert source.asked[-1] == (1, 0.0)
    source.give(1)
    assert [orders.units for _, orders in queue.orders(0.0)] == [(1,)]
    source = Wells()
    queue = queue_of(source, [9.0, 1.0], deadline_s=5.0, window_s=5.0, seconds_per_cost=1.0)
    source.give(0)
    queue.receive(0, Report(wanted=1))
    queue.orders(0.0)
    source.is_dry = True
    assert queue.orders(0.0)[0][1].end == End(EXIT_STOPPED, "deadline")


def test_a_stage_of_groups_is_for_one_job_at_a_time(tmp_path: Path) -> None:
    for run_id in ("a-1", "b-2"):
        runs.begin(tmp_path, run_id)
    first, second = (Sharing(tmp_path, run_id) for run_id in ("a-1", "b-2"))
    try:
        assert first.hold("train")
        assert not second.hold("train")
        first.let_go("train")
        assert second.hold("train")
    finally:
        first.close()
        second.close()
    assert not (tmp_path / "leases").exists() or not list((tmp_path / "leases").glob("*.beat"))


def test_what_a_thread_dies_of_is_raised_where_units_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.begin(tmp_path, "a-1")
    sharing = Sharing(tmp_path, "a-1")
    try:
        stage = sharing.begin("partial", np.ones(3), np.zeros(3, dtype=np.bool_))
        monkeypatch.setattr(stage, "look", lambda: 1 // 0)
        stage.ask(1, 0.0)
        while stage.crash is None:
            time.sleep(0.001)
        with pytest.raises(ZeroDivisionError):
            stage.take()
    finally:
        sharing.close()
