"""One start of a job on one rank: what is found out and made before the first unit, and what is written of its end.

Owns the device, the deadline, the trial, the store made ready, its logs and provenance. Never runs a stage.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from hpc import groups, ledger, memory, provenance, store, trial
from hpc.launch import EXIT_DONE, EXIT_REQUEST, EXIT_STOPPED, Value, agree, everywhere, leave, say
from hpc.leases import Tempo, living_runs
from hpc.logs import RankLog
from hpc.messages import COORDINATOR, End
from hpc.options import RunOptions, deadline
from hpc.plan import GroupStage, Plan, Stage
from hpc.progress import Display, Meter, StageProgress, State
from hpc.reading import is_store
from hpc.sharing import Sharing
from hpc.stops import Stops
from hpc.views import choose_view
from kernels.backends.base import Backend
from kernels.errors import RequestError

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

log = logging.getLogger(__name__)

STOPPED = "stopped early ({reason}); the same command goes on"
STATES: dict[int, State] = {EXIT_DONE: "done", EXIT_STOPPED: "stopped", EXIT_REQUEST: "refused"}


@dataclass(frozen=True)
class Lead:
    """What rank 0 alone has: it measures and shows the job, and shares the store with others."""

    meter: Meter
    display: Display
    sharing: Sharing

    def publish(
        self, state: State, num_done: int, cost_done: float, cost_in_flight: float, now_s: float, note: str
    ) -> None:
        """Show how far the stage under way is; counts as `Meter.measure` has them."""
        self.display.publish(self.meter.measure(state, num_done, cost_done, cost_in_flight, now_s, note))


class Start:
    """One rank's part in one start of a job, made by all ranks together.

    RequestErrors and signals end the job in here, before anything is written. What is opened is closed with `stack`;
    `backend` is None where one is to be chosen.
    """

    def __init__(
        self,
        comm: Intracomm,
        plan: Plan,
        path: Path,
        options: RunOptions,
        stops: Stops,
        tempo: Tempo,
        stack: ExitStack,
        backend: Backend | None,
    ) -> None:
        self.started_s, started_unix_s = time.monotonic(), time.time()
        self.comm = comm
        self.plan = plan
        self.path = path
        self.options = options
        self.stops = stops
        self.tempo = tempo

        # Find a device.
        self.hosts = comm.allgather(socket.gethostname())
        local_rank, local_size, num_sharing = _neighbours(comm)
        self.backend = backend or self._prepare(lambda: groups.choose_device(plan, options, local_rank, num_sharing))
        everywhere(comm, lambda: memory.check(plan, self.backend.concurrent_units, local_size))
        everywhere(comm, lambda: groups.check(plan, comm.size))

        # Let rank 0 alone look at the environment, at the clock on the wall, once, and at what is on the disk.
        end_s = agree(comm, lambda: deadline(options, os.environ, started_unix_s))
        self.deadline_s = None if end_s is None else end_s - started_unix_s + self.started_s

        # Try a unit of each stage on all ranks at a time, so that what they share is shared in the measure as well.
        units = agree(comm, self._pending_units)
        measured = self.deadline_s is not None
        seconds = self._prepare(lambda: trial.of_stages(plan.stages, units, self.backend, measured=measured))
        self.seconds_per_cost = trial.slowest(comm.allgather(seconds))
        pending = agree(comm, self._pending_runs)
        self._prepare(lambda: groups.look(plan, pending, comm.rank, comm.size))

        # Write from here on.
        self.run_id = agree(comm, provenance.new_run_id)
        agree(comm, lambda: store.prepare(path, plan, run_id=self.run_id))
        self.writer = everywhere(comm, lambda: store.Writer(path, plan, self.run_id, comm.rank))
        stack.enter_context(everywhere(comm, lambda: RankLog(path, self.run_id, comm.rank)))
        self._record_begin()
        self.concurrent_units = comm.allgather(self.backend.concurrent_units)
        self.lead = everywhere(comm, lambda: self._take_lead(stack) if comm.rank == COORDINATOR else None)

    def begin(self, index: int, stage: Stage) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None]:
        """Begin a stage: the bitmap that rank 0 reads from the ledgers, on all ranks, and on it alone the units' costs."""

        def read() -> NDArray[np.bool_]:
            assert self.lead is not None
            self.lead.sharing.follow()
            return store.finished_units(self.path, stage)

        finished = agree(self.comm, read)
        if self.lead is None:
            return finished, None
        costs = np.fromiter(map(stage.cost, range(stage.num_units)), np.float64, stage.num_units)
        done = int(np.count_nonzero(finished))
        self.lead.meter.begin(index, done, float(costs[finished].sum()), float(costs.sum()), time.monotonic())
        return finished, costs

    def record_end(self, end: End) -> None:
        """Provenance: when and how the job ended, and the last status."""
        if self.lead is None:
            return
        self.lead.display.publish(self.lead.meter.finish(STATES[end.code]))
        facts: dict[str, Any] = {"ended": provenance.utc_now(), "exit_code": end.code, "reason": end.reason}

        # Nothing is lost with this record where the disk is full: the process will be found gone.
        with suppress(OSError):
            store.append_provenance(self.path, self.run_id, facts)

    def _record_begin(self) -> None:
        """Provenance: who computes, where and with what."""
        ranks = self.comm.gather(provenance.rank_facts(self.comm.rank, self.backend), root=COORDINATOR)
        facts = {} if ranks is None else provenance.job_facts(ranks, os.environ, provenance.mpi_library())
        agree(self.comm, lambda: store.append_provenance(self.path, self.run_id, facts))
        log.info("job begins", extra={"run": self.run_id, "command": sys.argv})

    def _take_lead(self, stack: ExitStack) -> Lead:
        """Begin to show the job and to share the store with other jobs, and say that they are there."""
        stages = tuple(StageProgress(stage.name, 0, stage.num_units) for stage in self.plan.stages)
        meter = Meter(self.run_id, self.comm.size, stages)
        display = Display(self.path, lambda: choose_view(self.options.progress))
        stack.callback(display.close)
        sharing = Sharing(self.path, self.run_id, self.tempo)
        stack.callback(sharing.close)
        others = [run_id for run_id in living_runs(self.path) if run_id != self.run_id]
        if others:
            number = "another run" if len(others) == 1 else f"{len(others)} other runs"
            say(f"{self.path}: computed by {number} too ({', '.join(others)}); the work is shared")
        return Lead(meter, display, sharing)

    def _prepare(self, function: Callable[[], Value]) -> Value:
        """As `everywhere`; where ranks were told to stop meanwhile, they all leave."""

        def attempt() -> Value | None:
            try:
                return function()
            except RequestError:
                # A signal to the whole job ends the compiler too, which is no mistake of the user.
                if self.stops.reason is None:
                    raise
                return None

        value = everywhere(self.comm, attempt)
        reason = next(filter(None, self.comm.allgather(self.stops.reason)), None)
        if reason is not None:
            if self.comm.rank == COORDINATOR:
                say(STOPPED.format(reason=reason))
            leave(self.comm, EXIT_STOPPED)
        return cast(Value, value)

    def _pending_units(self) -> list[int | None]:
        """The middle one of the missing units of each stage, None where it is complete. RequestError as `check`."""
        store.check(self.path, self.plan)
        store_path = self.path if is_store(self.path) else None
        tallies = ledger.tally(store_path, {stage.name: stage.num_units for stage in self.plan.stages})
        pending = [np.flatnonzero(~tallies[stage.name].finished) for stage in self.plan.stages]
        tried = [
            units.size > 0 and not isinstance(stage, GroupStage)
            for stage, units in zip(self.plan.stages, pending, strict=True)
        ]
        return [int(units[units.size // 2]) if can else None for can, units in zip(tried, pending, strict=True)]

    def _pending_runs(self) -> list[list[int]]:
        """What is missing of each stage that groups of ranks make; nothing of the others."""
        place = self.path if is_store(self.path) else None
        tallies = ledger.tally(place, {stage.name: stage.num_units for stage in self.plan.stages})
        return [
            groups.pending_runs(stage, tallies[stage.name].finished, self.path) if isinstance(stage, GroupStage) else []
            for stage in self.plan.stages
        ]


def _neighbours(comm: Intracomm) -> tuple[int, int, int]:
    """This rank's number on its host, how many ranks the host has, and how many of them share this rank's cores."""
    from mpi4py import MPI

    local = comm.Split_type(MPI.COMM_TYPE_SHARED)
    mine = frozenset(os.sched_getaffinity(0))
    others = local.allgather(mine)
    place = local.rank, local.size, sum(bool(mine & cores) for cores in others)
    local.Free()
    return place
