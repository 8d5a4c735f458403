"""Runs a plan into a store with all ranks of a communicator: stage after stage, resumable at any moment.

Owns the order of things. Knows plans and stores, never job files or kinds.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from hpc import groups, ledger, memory, process_group, provenance, store, trial
from hpc.claims import Claims
from hpc.earlier import Earlier
from hpc.groups import Groups
from hpc.launch import EXIT_DONE, EXIT_REQUEST, EXIT_STOPPED, Value, abandon, agree, everywhere, leave, say
from hpc.leases import TEMPO, Tempo, living_runs
from hpc.logs import RankLog
from hpc.messages import COORDINATOR, DEPUTY, End, Mailbox
from hpc.options import RunOptions, deadline
from hpc.plan import GroupStage, Plan, Stage
from hpc.progress import Display, Meter, StageProgress, State
from hpc.rank import StageLoop
from hpc.reading import is_store
from hpc.sharing import SharedStage, Sharing
from hpc.stops import Stops
from hpc.views import choose_view
from hpc.watchdog import PATIENCE, Patience, Watch
from hpc.workers import SLICE_S, Workers
from kernels.backends.base import Array, Backend
from kernels.errors import RequestError

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

log = logging.getLogger(__name__)

STOPPED = "stopped early ({reason}); the same command goes on"
OBSERVE_S = 0.25
JOIN_S = 0.1
STATES: dict[int, State] = {EXIT_DONE: "done", EXIT_STOPPED: "stopped", EXIT_REQUEST: "refused"}


def run(
    comm: Intracomm,
    plan: Plan,
    path: Path,
    options: RunOptions,
    *,
    stops: Stops | None = None,
    backend: Backend | None = None,
    slice_s: float = SLICE_S,
    patience: Patience = PATIENCE,
    tempo: Tempo = TEMPO,
) -> int:
    """Compute what is missing of a plan; called by all ranks, in the main thread.

    Returns the same exit code on all ranks: 0 when every unit is durable, 75 when stopped by a signal, the deadline or
    a kernel that hangs, 2 when a unit raised RequestError, could not be written, or takes longer than the deadline allows; the
    reason is one line on stderr. The caller then calls `launch.leave`. A RequestError before the first unit (another
    job's store, no device or compiler, too little memory) leaves at once with code 2, before anything is written, and so
    does a signal, with 75. Where nothing is heard of a rank any more, the job ends here, with 75 as well. Other jobs may
    compute the same store meanwhile: they share the units, and each ends with 0 when all are durable.

    `stops` is the context of the caller who has entered it earlier. `backend`, `patience` and `tempo` are for tests: by
    default the first is chosen from the options and the rank's place on its host.
    """
    started_s, started_unix_s = time.monotonic(), time.time()
    with ExitStack() as stack:
        if stops is None:
            stops = stack.enter_context(Stops())
        private = comm.Dup()
        job = _Job(private, plan, path, options, slice_s, stops, started_s, patience, tempo)
        job.open(stack, backend, started_unix_s)
        end = job.run()

    # Speak when the bar has gone.
    if end.code != EXIT_DONE and (comm.rank == COORDINATOR or end.lost):
        say(end.reason if end.code == EXIT_REQUEST else STOPPED.format(reason=end.reason))
    if end.lost:
        abandon(comm, end.code)
    return end.code


class _Job:
    """One rank's part in one start of a job."""

    def __init__(
        self,
        comm: Intracomm,
        plan: Plan,
        path: Path,
        options: RunOptions,
        slice_s: float,
        stops: Stops,
        started_s: float,
        patience: Patience,
        tempo: Tempo,
    ) -> None:
        self._comm = comm
        self._plan = plan
        self._path = path
        self._options = options
        self._slice_s = slice_s
        self._stops = stops
        self._started_s = started_s
        self._patience = patience
        self._tempo = tempo
        self._mailbox = Mailbox(comm)
        self._meter: Meter | None = None
        self._display: Display | None = None
        self._observed_s = 0.0
        self._groups: Groups | None = None
        self._sharing: Sharing | None = None
        self._shared: SharedStage | None = None

    def open(self, stack: ExitStack, backend: Backend | None, started_unix_s: float) -> None:
        """Find a device, make the store ready and begin its logs. RequestErrors and signals end the job here."""
        comm, plan, path = self._comm, self._plan, self._path
        self._hosts = comm.allgather(socket.gethostname())
        local_rank, local_size, num_sharing = _neighbours(comm)
        self._backend = backend or self._prepare(
            lambda: groups.choose_device(plan, self._options, local_rank, num_sharing)
        )
        everywhere(comm, lambda: memory.check(plan, self._backend.concurrent_units, local_size))
        everywhere(comm, lambda: groups.check(plan, comm.size))

        # Let rank 0 alone look at the environment, at the clock on the wall, once, and at what is on the disk.
        end_s = agree(comm, lambda: deadline(self._options, os.environ, started_unix_s))
        self._deadline_s = None if end_s is None else end_s - started_unix_s + self._started_s

        # Try a unit of each stage on all ranks at a time, so that what they share is shared in the measure as well.
        units = agree(comm, self._pending_units)
        measured = self._deadline_s is not None
        seconds = self._prepare(lambda: trial.of_stages(plan.stages, units, self._backend, measured=measured))
        self._seconds_per_cost = trial.slowest(comm.allgather(seconds))

        # Write from here on.
        self.run_id = agree(comm, provenance.new_run_id)
        agree(comm, lambda: store.prepare(path, plan, run_id=self.run_id))
        self._writer = everywhere(comm, lambda: store.Writer(path, plan, self.run_id, comm.rank))
        stack.enter_context(everywhere(comm, lambda: RankLog(path, self.run_id, comm.rank)))
        self._record_start()
        self._concurrent_units = comm.allgather(self._backend.concurrent_units)
        if comm.rank == COORDINATOR:
            stages = tuple(StageProgress(stage.name, 0, stage.num_units) for stage in plan.stages)
            self._meter = Meter(self.run_id, comm.size, stages)
            self._display = Display(path, lambda: choose_view(self._options.progress))
            stack.callback(self._display.close)
        self._sharing = everywhere(comm, lambda: self._share() if comm.rank == COORDINATOR else None)
        if self._sharing is not None:
            stack.callback(self._sharing.close)

    def _share(self) -> Sharing:
        """Begin to share the store with other jobs, and say that they are there."""
        sharing = Sharing(self._path, self.run_id, self._tempo)
        others = [run_id for run_id in living_runs(self._path) if run_id != self.run_id]
        if others:
            number = "another run" if len(others) == 1 else f"{len(others)} other runs"
            say(f"{self._path}: computed by {number} too ({', '.join(others)}); the work is shared")
        return sharing

    def _prepare(self, function: Callable[[], Value]) -> Value:
        """As `everywhere`; where ranks were told to stop meanwhile, they all leave."""

        def attempt() -> Value | None:
            try:
                return function()
            except RequestError:
                # A signal to the whole job ends the compiler too, which is no mistake of the user.
                if self._stops.reason is None:
                    raise
                return None

        value = everywhere(self._comm, attempt)
        reason = next(filter(None, self._comm.allgather(self._stops.reason)), None)
        if reason is not None:
            if self._comm.rank == COORDINATOR:
                say(STOPPED.format(reason=reason))
            leave(self._comm, EXIT_STOPPED)
        return cast(Value, value)

    def run(self) -> End:
        """Run the stages that are not complete, and close everything."""
        end = End(EXIT_DONE, "finished")
        settled = fresh = True
        for index, stage in enumerate(self._plan.stages):
            if isinstance(stage, GroupStage):
                end = self._wait_for_turn(stage)
                if end.code != EXIT_DONE:
                    break
            finished = self._finished_units(stage)
            costs = self._begin_measuring(index, stage, finished)
            if isinstance(stage, GroupStage):
                end = self._run_groups(index, stage, finished)
                if self._sharing is not None:
                    self._sharing.let_go(stage.name)
                if end.code != EXIT_DONE:
                    break
                continue
            if finished.all():
                continue
            claims = None if costs is None else self._make_claims(index, costs, finished, fresh=fresh)
            end, settled = self._run_stage(index, stage, finished, claims)
            if self._sharing is not None:
                self._sharing.end()
            fresh = False
            if end.code != EXIT_DONE:
                break

        if self._groups is not None and not end.lost:
            self._groups.close()

        # A thread that did not come back may still use the writer; each record is on the disk by itself.
        if settled:
            self._writer.close()
        self._record_end(end)
        return end

    def _run_stage(
        self, index: int, stage: Stage, finished: NDArray[np.bool_], claims: Claims | None
    ) -> tuple[End, bool]:
        """Run one stage to its end; tell also whether all threads have come back. `claims` is None but on rank 0."""
        earlier = Earlier(self._path, [former.name for former in self._plan.stages[:index]])

        def write(unit: int, arrays: dict[str, Array], seconds: float) -> None:
            try:
                self._writer.write(index, unit, arrays, seconds)
            except OSError as error:
                raise RequestError(
                    f"{self._path}: cannot be written ({error.strerror or error}); mend that, the same command goes on"
                ) from None

        workers = Workers(stage, self._backend, earlier, write, slice_s=self._slice_s)
        slots = self._backend.concurrent_units
        rank = self._comm.rank
        watch = self._make_watch(stage.name, claims)
        loop = StageLoop(stage, rank, slots, self._mailbox, workers, self._stops, claims, self._observe, watch)
        log.info("stage begins", extra={"stage": stage.name, "missing": int(np.count_nonzero(~finished))})
        begun_s = time.monotonic()
        end = loop.run()
        clocks = {"stage_s": round(time.monotonic() - begun_s, 3), "kernel_s": round(workers.advance_s, 3)}
        log.info("stage ends", extra={"stage": stage.name, "code": end.code, "reason": end.reason, **clocks})
        return end, workers.close(timeout_s=JOIN_S)

    def _run_groups(self, index: int, stage: GroupStage, finished: NDArray[np.bool_]) -> End:
        """Run a stage whose units are made by groups of ranks to its end."""
        runs = agree(self._comm, lambda: groups.pending_runs(stage, finished, self._path))
        if not runs:
            return End(EXIT_DONE, "finished")
        if self._groups is None:
            assert isinstance(self._backend, process_group.TorchDevice)
            end_s = None if self._deadline_s is None else self._deadline_s - self._options.grace_s
            self._groups = Groups(self._comm, self._backend, self._path, self.run_id, self._stops, end_s)

        def observe(num_done: int, cost_done: float, note: str, stopping: bool, now_s: float) -> None:
            assert self._meter is not None
            assert self._display is not None
            state: State = "stopping" if stopping else "running"
            self._display.publish(self._meter.measure(state, num_done, cost_done, 0.0, now_s, note))

        def write(unit: int, arrays: dict[str, Array], seconds: float) -> None:
            self._writer.write(index, unit, arrays, seconds)

        leads = self._comm.rank == COORDINATOR
        return self._groups.run(stage, runs, finished, write, observe if leads else None)

    def _wait_for_turn(self, stage: GroupStage) -> End:
        """Let one job at a time compute a stage of groups, which keep files of their own beside their units."""

        def wait() -> End:
            assert self._sharing is not None
            while not self._sharing.hold(stage.name):
                reason = self._stops.reason
                if reason is None and self._deadline_s is not None and time.monotonic() >= self._deadline_s:
                    reason = "deadline"
                if reason is not None:
                    return End(EXIT_STOPPED, reason)
                time.sleep(self._tempo.look_s)
            return End(EXIT_DONE, "finished")

        return agree(self._comm, wait)

    def _finished_units(self, stage: Stage) -> NDArray[np.bool_]:
        """The bitmap that rank 0 reads from the ledgers, on all ranks."""

        def read() -> NDArray[np.bool_]:
            assert self._sharing is not None
            self._sharing.follow()
            return store.finished_units(self._path, stage)

        return agree(self._comm, read)

    def _begin_measuring(self, index: int, stage: Stage, finished: NDArray[np.bool_]) -> NDArray[np.float64] | None:
        """Tell the meter what a stage begins with; return the costs of its units, on rank 0 alone."""
        if self._meter is None:
            return None
        costs = np.fromiter(map(stage.cost, range(stage.num_units)), np.float64, stage.num_units)
        done = int(np.count_nonzero(finished))
        self._meter.begin(index, done, float(costs[finished].sum()), float(costs.sum()), time.monotonic())
        return costs

    def _make_claims(
        self, index: int, costs: NDArray[np.float64], finished: NDArray[np.bool_], *, fresh: bool
    ) -> Claims:
        """The queue of a stage; `fresh` where this start has done nothing yet."""
        assert self._sharing is not None
        self._shared = self._sharing.begin(self._plan.stages[index].name, costs, finished)
        return Claims(
            costs,
            finished,
            self._concurrent_units,
            grace_s=self._options.grace_s,
            deadline_s=self._deadline_s,
            window_s=self._deadline_s - self._started_s if fresh and self._deadline_s is not None else None,
            seconds_per_cost=self._seconds_per_cost[index],
            source=self._shared,
        )

    def _make_watch(self, stage: str, claims: Claims | None) -> Watch:
        """Rank 0 listens to all others, its deputy to rank 0."""
        if claims is not None:
            return Watch(stage, range(1, self._comm.size), self._hosts, self._patience, claims.expected_s)
        listens = [COORDINATOR] if self._comm.rank == DEPUTY else []
        return Watch(stage, listens, self._hosts, self._patience)

    def _pending_units(self) -> list[int | None]:
        """The middle one of the missing units of each stage, None where it is complete. RequestError as `check`."""
        store.check(self._path, self._plan)
        store_path = self._path if is_store(self._path) else None
        tallies = ledger.tally(store_path, {stage.name: stage.num_units for stage in self._plan.stages})
        pending = [np.flatnonzero(~tallies[stage.name].finished) for stage in self._plan.stages]
        tried = [
            units.size > 0 and not isinstance(stage, GroupStage)
            for stage, units in zip(self._plan.stages, pending, strict=True)
        ]
        return [int(units[units.size // 2]) if can else None for can, units in zip(tried, pending, strict=True)]

    def _observe(self, claims: Claims, now_s: float) -> None:
        """Publish how far the stage is, a few times a second."""
        if now_s < self._observed_s + OBSERVE_S and not claims.is_over:
            return
        assert self._meter is not None
        assert self._display is not None
        self._observed_s = now_s
        assert self._shared is not None
        state: State = "running" if claims.end is None or claims.end.code == EXIT_DONE else "stopping"
        note = "waits for other runs" if claims.waits_for_others else ""
        self._meter.credit(self._shared.num_elsewhere, self._shared.cost_elsewhere)
        self._display.publish(
            self._meter.measure(state, claims.num_done, claims.cost_done, claims.cost_in_flight, now_s, note)
        )

    def _record_start(self) -> None:
        """Provenance: who computes, where and with what."""
        ranks = self._comm.gather(provenance.rank_facts(self._comm.rank, self._backend), root=COORDINATOR)
        facts = {} if ranks is None else provenance.job_facts(ranks, os.environ, provenance.mpi_library())
        agree(self._comm, lambda: store.append_provenance(self._path, self.run_id, facts))
        log.info("job begins", extra={"run": self.run_id, "command": sys.argv})

    def _record_end(self, end: End) -> None:
        """Provenance: when and how the job ended, and the last status."""
        if self._comm.rank != COORDINATOR:
            return
        assert self._meter is not None
        assert self._display is not None
        self._display.publish(self._meter.finish(STATES[end.code]))
        facts: dict[str, Any] = {"ended": provenance.utc_now(), "exit_code": end.code, "reason": end.reason}

        # Nothing is lost with this record where the disk is full: the process will be found gone.
        with suppress(OSError):
            store.append_provenance(self._path, self.run_id, facts)


def _neighbours(comm: Intracomm) -> tuple[int, int, int]:
    """This rank's number on its host, how many ranks the host has, and how many of them share this rank's cores."""
    from mpi4py import MPI

    local = comm.Split_type(MPI.COMM_TYPE_SHARED)
    mine = frozenset(os.sched_getaffinity(0))
    others = local.allgather(mine)
    place = local.rank, local.size, sum(bool(mine & cores) for cores in others)
    local.Free()
    return place
