"""Stages whose units are made by groups of ranks together: who takes which run, stopping, progress, the end.

Owns the loop over runs in the main thread of every rank, and what a run is given of the engine. Knows nothing of training.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpc import devices, process_group
from hpc.launch import EXIT_DONE, EXIT_REQUEST, EXIT_STOPPED, abandon, say
from hpc.messages import End
from hpc.options import RunOptions
from hpc.plan import GroupStage, Plan
from hpc.process_group import Group, Processes, TorchDevice, attempt, line_of
from hpc.stops import Stops
from kernels.backends.base import Array, Backend
from kernels.errors import RequestError

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

log = logging.getLogger(__name__)

LOOK_S = 0.25
WAIT_S = 0.01
STOP_WORD = "stop"
SPEAKER_WORD = "speaker"

# What the other ranks of a group get to come to the same refusal, and a launcher to end a job that has lost a rank.
ACCORD_S = 5.0

Value = TypeVar("Value")
Write = Callable[[int, dict[str, Array], float], None]
Observe = Callable[[int, float, str, bool, float], None]
"""Units done, cost done, a note for people, whether the job is being stopped, and the time."""


class Member:
    """What one rank has of the engine while its group works on a run of a stage."""

    def __init__(
        self,
        group: Group,
        backend: TorchDevice,
        store: Path,
        writer: str,
        finished: NDArray[np.bool_],
        board: Board,
        write: Write,
    ) -> None:
        self.group = group
        self.backend = backend
        self.store = store
        self.writer = writer
        self.finished = finished
        self._board = board
        self._write = write

    @property
    def leads(self) -> bool:
        """Whether this rank writes, and speaks for its group."""
        return self.group.rank == 0

    def everywhere(self, function: Callable[[], Value]) -> Value:
        """Run `function` on every rank of the group; where it is refused on any, RequestError on all."""
        return attempt(self.group, self._board.words, function)

    def write(self, unit: int, arrays: dict[str, Array], seconds: float, cost: float) -> None:
        """Make a unit durable; called on the leader alone. Raises OSError."""
        self._write(unit, arrays, seconds)
        self._board.add(1, cost)

    def is_told_to_stop(self) -> bool:
        """Whether this rank knows that the job has to stop: the others of the group are to be told in the next sum."""
        return self._board.is_told_to_stop()

    def stop(self) -> None:
        """Take note that the group stops early, as all its ranks have agreed."""
        self._board.has_stopped = True

    def report(self, cost: float, note: str) -> None:
        """Say how far the unit under way is, and something about it for people; may be called at every step."""
        if self.leads:
            self._board.report(cost, note)


class Board:
    """What the groups of a stage tell each other through the words that they share: next run, progress, stop."""

    def __init__(
        self, words: Any, name: str, stops: Stops, deadline_s: float | None = None, observe: Observe | None = None
    ) -> None:
        self.words = words
        self.has_stopped = False
        self._name = name
        self._stops = stops
        self._deadline_s = deadline_s
        self._observe = observe
        self._looked_s = 0.0
        self._stop = False
        self._in_flight = 0.0
        self._note = ""

    def next_run(self, num_runs: int) -> int:
        """The next number in the queue of runs: each is given once; -1 where the job stops before it."""
        number = int(self.words.add(f"{self._name}/next", 1)) - 1
        return -1 if number < num_runs and self.is_told_to_stop() else number

    def add(self, units: int, cost: float) -> None:
        """Units have become durable, of so much cost."""
        self._in_flight = 0.0
        self.words.add(f"{self._name}/units", units)
        self.words.add(f"{self._name}/cost", round(cost))

    def report(self, cost: float, note: str) -> None:
        """Progress of this rank's group since its last unit."""
        self._in_flight, self._note = cost, note
        self.look()

    def is_told_to_stop(self) -> bool:
        """Whether a signal, the deadline or another rank has asked this one to stop."""
        if self._stops.reason is not None and not self._stop:
            self.tell(self._stops.reason)
        self.look()
        return self._stop

    def tell(self, reason: str) -> None:
        """Ask all ranks to stop."""
        self._stop = True
        if not self.words.check([STOP_WORD]):
            self.words.set(STOP_WORD, reason)

    def is_shared(self, group: Group, run: int) -> bool:
        """Whether all ranks of this one's group refuse a run, as this one does; the others get a while to come to it."""
        word = f"{self._name}/refused/{run}"
        count, end_s = int(self.words.add(word, 1)), time.monotonic() + ACCORD_S
        while count < group.size and time.monotonic() < end_s:
            time.sleep(WAIT_S)
            count = int(self.words.add(word, 0))
        return count >= group.size

    def may_speak(self) -> bool:
        """True for the first rank that asks: one line is enough, where several end the job on their own."""
        return int(self.words.add(SPEAKER_WORD, 1)) == 1

    def look(self, *, now: bool = False) -> None:
        """Look at the clock and at what others have said, and publish, a few times a second or `now`."""
        now_s = time.monotonic()
        if now_s < self._looked_s + LOOK_S and not now:
            return
        self._looked_s = now_s
        if not self._stop and self._deadline_s is not None and now_s >= self._deadline_s:
            self.tell("deadline")
        self._stop = self._stop or bool(self.words.check([STOP_WORD]))
        if self._observe is not None:
            units = int(self.words.add(f"{self._name}/units", 0))
            cost = float(self.words.add(f"{self._name}/cost", 0)) + self._in_flight
            self._observe(units, cost, self._note, self._stop, now_s)

    def reason(self) -> str:
        """Why the job stops."""
        return str(self.words.get(STOP_WORD).decode())


def check(plan: Plan, num_ranks: int) -> None:
    """Refuse a plan whose groups need more ranks than there are. Raises RequestError naming the key."""
    for stage in plan.stages:
        if isinstance(stage, GroupStage):
            stage.group_size(num_ranks)


def choose_device(plan: Plan, options: RunOptions, local_rank: int, num_sharing: int) -> Backend:
    """What a rank computes a plan on: torch's devices where groups of ranks compute. Raises RequestError as `choose` does."""
    together = any(isinstance(stage, GroupStage) for stage in plan.stages)
    choose: Callable[[RunOptions, int, int], Backend] = process_group.choose if together else devices.choose
    return choose(options, local_rank, num_sharing)


def pending_runs(stage: GroupStage, finished: NDArray[np.bool_], store: Path) -> list[int]:
    """The runs that something is missing of, the costly ones first."""
    row = stage.num_units // stage.num_runs
    missing = [run for run in range(stage.num_runs) if stage.is_pending(run, finished, store)]
    costs = {run: sum(stage.cost(unit) for unit in range(run * row, (run + 1) * row)) for run in missing}
    return sorted(missing, key=lambda run: (-costs[run], run))


def look(plan: Plan, pending: Sequence[Sequence[int]], rank: int, num_ranks: int) -> None:
    """Let every stage of groups look at what its `pending` runs are made from; called on all ranks. RequestErrors as there."""
    for stage, runs in zip(plan.stages, pending, strict=True):
        if isinstance(stage, GroupStage) and runs:
            stage.look(runs, rank, num_ranks)


class Groups:
    """The groups of a job's ranks, from its first such stage to its end; all ranks make one and close it together."""

    def __init__(
        self, comm: Intracomm, backend: TorchDevice, store: Path, run_id: str, stops: Stops, deadline_s: float | None
    ) -> None:
        self._comm = comm
        self._backend = backend
        self._store = store
        self._writer = f"{run_id}-{comm.rank}"
        self._stops = stops
        self._deadline_s = deadline_s
        self._processes = Processes(comm, backend.device)

    def run(
        self, stage: GroupStage, runs: Sequence[int], finished: NDArray[np.bool_], write: Write, observe: Observe | None
    ) -> End:
        """One rank's part in a stage, to its end on all ranks; `runs` is what `pending_runs` has found."""
        board = Board(self._processes.words, stage.name, self._stops, self._deadline_s, observe)
        group = self._processes.split(stage.group_size(self._comm.size))

        def member(of: Group) -> Member:
            return Member(of, self._backend, self._store, self._writer, finished, board, write)

        try:
            end = work(stage, runs, group, board, member)
            if end.lost:
                self._end_alone(end, board)
            return settle(self._comm, end, board)
        except RuntimeError:
            # Where a rank has gone, what the others send it fails; let the launcher end them without a word.
            if self._comm.size > 1:
                log.exception("waits for the end of the job", extra={"stage": stage.name})
                time.sleep(ACCORD_S)
            raise

    def _end_alone(self, end: End, board: Board) -> NoReturn:
        """End the job from this rank: others of its group wait in a sum for it, where nothing reaches them."""
        place = f"rank {self._comm.rank} on {socket.gethostname()}"
        log.error(end.reason, extra={"place": place})
        if board.may_speak():
            say(f"{place}: {end.reason}")
        abandon(self._comm, end.code)

    def close(self) -> None:
        """End torch's processes. Called by all ranks."""
        self._processes.close()


def work(
    stage: GroupStage, runs: Sequence[int], group: Group | None, board: Board, member: Callable[[Group], Member]
) -> End:
    """Take runs until none is left, on every rank of a group; a rank without a group has nothing to do.

    What all ranks of a group refuse ends the stage, once the others have stopped. What this one alone refuses makes it
    lost to its group: the end says so.
    """
    number = 0
    try:
        while group is not None and not board.has_stopped:
            number = group.from_leader(board.next_run(len(runs)) if group.rank == 0 else 0)
            if number >= len(runs):
                break
            if number < 0:
                board.has_stopped = True
                break
            told = {"stage": stage.name, "run_number": runs[number]}
            log.info("run begins", extra={**told, "group_size": group.size})
            begun_s, begun_cpu_s = time.monotonic(), time.process_time()
            stage.work(runs[number], member(group))
            wall_s, cpu_s = time.monotonic() - begun_s, time.process_time() - begun_cpu_s
            clocks = {"wall_s": round(wall_s, 3), "cpu_share": round(cpu_s / max(wall_s, 1e-9), 3)}
            log.info("run ends", extra={**told, **clocks})
    except (RequestError, OSError, MemoryError) as error:
        assert group is not None
        shared = board.is_shared(group, number)
        board.tell("refused")
        return End(EXIT_REQUEST, line_of(error), lost=() if shared else (group.rank,))
    return End(EXIT_STOPPED, board.reason()) if board.has_stopped else End(EXIT_DONE, "finished")


def settle(comm: Intracomm, end: End, board: Board) -> End:
    """Wait, without holding a core, until all ranks have ended the stage, and agree on how."""
    request = comm.Ibarrier()
    while not request.Test():
        board.is_told_to_stop()
        time.sleep(WAIT_S)
    board.look(now=True)
    ends = comm.allgather((end.code, end.reason))
    code = next((one for one in (EXIT_REQUEST, EXIT_STOPPED) if one in dict(ends)), EXIT_DONE)
    return End(code, dict(ends)[code])
