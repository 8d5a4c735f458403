"""Groups of ranks: who takes which run, how a group is told to stop or refuses, where ranks meet."""

# ruff: noqa: ARG001, ARG002, ARG005 (stages take what the protocol gives them)

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributed import HashStore

from hpc import groups, torchrun
from hpc.groups import Board, Member, pending_runs
from hpc.options import RunOptions
from hpc.plan import ArraySpec, GroupStage, Plan
from hpc.process_group import Group, TorchDevice, address_towards, attempt, choose
from hpc.stops import Stops
from kernels.errors import RequestError

CPU = torch.device("cpu")
BACKEND = TorchDevice(CPU, 1)


class RowStage:
    """Three runs of two units; what each does is told."""

    name = "rows"
    num_runs = 3
    num_units = 6

    def __init__(self, work: Callable[[int, Member], None]) -> None:
        self._work = work
        self.arrays = (
            ArraySpec(
                "value", (3, 2), "<f8", (1, 1), (1, 1), ("run", "block"), math.nan, {"units": "1", "long_name": ""}
            ),
        )

    def cost(self, unit: int) -> float:
        return 1.0 + (unit // 2 == 1)

    def memory_bytes(self, unit: int) -> int:
        return 1

    def start(self, unit: int, backend: Any, finished: Any) -> Any:
        raise TypeError

    def group_size(self, num_ranks: int) -> int:
        if num_ranks < 2:
            raise RequestError("rows: need 2 ranks")
        return 2

    def is_pending(self, run: int, finished: Any, store: Path) -> bool:
        return not finished[2 * run : 2 * run + 2].all()

    def seconds_per_cost(self, backend: Any) -> float | None:
        return None

    def look(self, runs: Any, rank: int, num_ranks: int) -> None:
        if 2 in runs:
            raise RequestError(f"rows: row 2 is not there for rank {rank} of {num_ranks}")

    def work(self, run: int, member: Member) -> None:
        self._work(run, member)


def run(stage: Any, board: Board, runs: list[int], written: list[int] | None = None) -> groups.End:
    group = Group(0, 1, CPU, None)
    finished = np.zeros(6, np.bool_)

    def write(unit: int, arrays: Any, seconds: float) -> None:
        if written is not None:
            written.append(unit)

    return groups.work(
        stage, runs, group, board, lambda of: Member(of, BACKEND, Path(), "test-0", finished, board, write)
    )


def board(words: Any, stops: Stops | None = None, **told: Any) -> Board:
    return Board(words, "rows", stops or Stops(), **told)


def test_the_costly_runs_first_and_finished_ones_never() -> None:
    stage: Any = RowStage(lambda number, member: None)
    assert isinstance(stage, GroupStage)
    assert pending_runs(stage, np.zeros(6, np.bool_), Path()) == [1, 0, 2]
    assert pending_runs(stage, np.array([1, 1, 0, 1, 1, 0], np.bool_), Path()) == [1, 2]


def test_each_run_is_taken_once() -> None:
    words, seen, written = HashStore(), [], []

    def work(number: int, member: Member) -> None:
        seen.append(number)
        for unit in (2 * number, 2 * number + 1):
            member.write(unit, {}, 0.1, 1.0)

    stage = RowStage(work)
    told: list[Any] = []
    observe = told.append
    first = board(words, observe=lambda *given: observe(given))
    assert run(stage, first, [1, 0, 2], written).code == 0
    assert run(stage, board(words), [1, 0, 2]).code == 0
    assert seen == [1, 0, 2]
    assert written == [2, 3, 0, 1, 4, 5]
    first.look(now=True)
    assert told[-1][:2] == (6, 6.0)


def test_a_signal_stops_all_groups() -> None:
    words, stops = HashStore(), Stops()

    def work(number: int, member: Member) -> None:
        stops.reason = "SIGTERM"
        assert member.is_told_to_stop()
        member.stop()

    end = run(RowStage(work), board(words, stops), [0, 1, 2])
    assert (end.code, end.reason) == (75, "SIGTERM")

    # Another group hears of it before it takes the next run.
    other = board(words)
    other.look(now=True)
    end = run(RowStage(lambda number, member: pytest.fail("taken")), other, [0, 1, 2])
    assert (end.code, end.reason) == (75, "SIGTERM")


def test_a_deadline_stops() -> None:
    late = board(HashStore(), deadline_s=0.0)
    assert late.is_told_to_stop()
    assert late.reason() == "deadline"


def test_a_refusal_is_one_line_and_stops_others() -> None:
    words = HashStore()

    def refuse(number: int, member: Member) -> None:
        member.everywhere(lambda: (_ for _ in ()).throw(OSError(28, "No space left on device", "/full")))

    end = run(RowStage(refuse), board(words), [0])
    assert end.code == 2
    assert end.reason == "/full: No space left on device; mend that, the same command goes on"
    assert board(words).reason() == "refused"


def test_attempt_gives_back_what_it_is_given() -> None:
    group = Group(0, 1, CPU, None)
    assert attempt(group, HashStore(), lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        attempt(group, HashStore(), lambda: 1 // 0)
    assert group.sum([1.5, 2.0]) == [1.5, 2.0]
    assert group.from_leader(-1) == -1
    assert group.memory_bytes() > 1 << 20


def test_too_few_ranks() -> None:
    stage: Any = RowStage(lambda number, member: None)
    plan = Plan((stage,), (), {}, {})
    with pytest.raises(RequestError, match="rows: need 2 ranks"):
        groups.check(plan, 1)
    groups.check(plan, 2)


def test_the_device() -> None:
    before = torch.get_num_threads()
    try:
        found = choose(RunOptions(threads=1, device="host"), 0, 1)
        assert (found.kind, found.threads, torch.get_num_threads()) == ("host", 1, 1)
        assert found.describe() == f"host, 1 thread of torch {torch.__version__}"
    finally:
        torch.set_num_threads(before)
    if not torch.cuda.is_available():
        with pytest.raises(RequestError, match=r"run\.device: no GPU that torch can use"):
            choose(RunOptions(device="cuda"), 0, 1)


def test_the_way_to_another_host() -> None:
    assert address_towards("127.0.0.1") == "127.0.0.1"
    with pytest.raises(RequestError, match=r"host nowhere\.invalid: no way to it"):
        address_towards("nowhere.invalid")


def test_what_torchrun_starts() -> None:
    own = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "GROUP_WORLD_SIZE": "1"}
    words = [sys.executable, "-m", "jobs", "run", "job"]
    found = torchrun.command(own, words)
    assert found is not None
    assert found[0].endswith("mpiexec")
    assert found[1:] == ["-n", "3", *words]
    assert torchrun.command({**own, "LOCAL_RANK": "2"}, words) == []
    assert torchrun.command({}, words) is None
    assert torchrun.command({**own, "PMI_RANK": "0"}, words) is None
    with pytest.raises(RequestError, match="torchrun: starts this on one node only"):
        torchrun.command({**own, "GROUP_WORLD_SIZE": "2"}, words)


MEETING = """
import psutil
from hpc import launch, process_group as pg
from hpc.options import RunOptions
comm = launch.start()
device = pg.choose(RunOptions(threads=1, device="host"), comm.rank, 1)
def listening():
    return {one.laddr for one in psutil.Process().net_connections() if one.status == "LISTEN"}
before = listening()
processes = pg.Processes(comm, device.device)
group = processes.split(2)
alone = processes.split(1)
assert (alone.rank, alone.size) == (0, 1)
new = listening() - before
if comm.rank < 2:
    assert group.sum([1.0, comm.rank]) == [2.0, 1.0]
    assert group.from_leader(comm.rank + 7) == 7
    def refuse():
        if comm.rank == 1:
            raise MemoryError
    try:
        pg.attempt(group, processes.words, refuse)
    except Exception as error:
        assert "out of memory" in str(error)
    else:
        raise AssertionError("not refused")
else:
    assert group is None
assert processes.words.add("count", 1) >= 1
comm.Barrier()
assert processes.words.add("count", 0) == 3
assert new and {address.ip for address in new} == {"127.0.0.1"}, new
print("met", flush=True)
processes.close()
launch.leave(comm, 0)
"""


@pytest.mark.mpi
def test_ranks_of_one_host_meet_on_it_alone(start_program: Any) -> None:
    process = start_program(3, "-c", MEETING)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert out.count("met") == 3
