"""Stages whose units are made by single ranks: the queue of rank 0, the threads and the watch of each rank, for one start.

Owns how these are put together and what of them is published. Never decides who computes what (hpc/claims.py), and
knows nothing of groups of ranks.
"""

from __future__ import annotations

import logging
import time

import numpy as np
from numpy.typing import NDArray

from hpc.claims import Claims
from hpc.earlier import Earlier
from hpc.launch import EXIT_DONE
from hpc.messages import COORDINATOR, DEPUTY, End, Mailbox
from hpc.plan import Stage
from hpc.progress import State
from hpc.rank import StageLoop
from hpc.sharing import SharedStage
from hpc.start import Start
from hpc.watchdog import Patience, Watch
from hpc.workers import Workers
from kernels.backends.base import Array
from kernels.errors import RequestError

log = logging.getLogger(__name__)

OBSERVE_S = 0.25
JOIN_S = 0.1


class UnitStages:
    """One rank's part in the stages of a job whose units each belong to one rank."""

    def __init__(self, start: Start, slice_s: float, patience: Patience) -> None:
        self._start = start
        self._slice_s = slice_s
        self._patience = patience
        self._mailbox = Mailbox(start.comm)
        self._shared: SharedStage | None = None
        self._observed_s = 0.0
        self._is_fresh = True
        self.is_settled = True
        """Whether all threads have come back; one that did not may still use the writer."""

    def run(self, index: int, stage: Stage) -> End:
        """Compute what is missing of a stage, to its end on this rank."""
        finished, costs = self._start.begin(index, stage)
        if finished.all():
            return End(EXIT_DONE, "finished")
        claims = None if costs is None else self._make_claims(index, stage, costs, finished)
        end = self._serve(index, stage, finished, claims)
        if self._start.lead is not None:
            self._start.lead.sharing.end()
        self._is_fresh = False
        return end

    def _serve(self, index: int, stage: Stage, finished: NDArray[np.bool_], claims: Claims | None) -> End:
        """Compute and wait for orders; `claims` is None but on rank 0."""
        start = self._start
        earlier = Earlier(start.path, [former.name for former in start.plan.stages[:index]])

        def write(unit: int, arrays: dict[str, Array], seconds: float) -> None:
            try:
                start.writer.write(index, unit, arrays, seconds)
            except OSError as error:
                raise RequestError(
                    f"{start.path}: cannot be written ({error.strerror or error}); mend that, the same command goes on"
                ) from None

        workers = Workers(stage, start.backend, earlier, write, slice_s=self._slice_s)
        slots = start.backend.concurrent_units
        rank = start.comm.rank
        watch = self._make_watch(stage.name, claims)
        loop = StageLoop(stage, rank, slots, self._mailbox, workers, start.stops, claims, self._observe, watch)
        log.info("stage begins", extra={"stage": stage.name, "missing": int(np.count_nonzero(~finished))})
        begun_s = time.monotonic()
        end = loop.run()
        clocks = {"stage_s": round(time.monotonic() - begun_s, 3), "kernel_s": round(workers.advance_s, 3)}
        log.info("stage ends", extra={"stage": stage.name, "code": end.code, "reason": end.reason, **clocks})
        self.is_settled = workers.close(timeout_s=JOIN_S)
        return end

    def _make_claims(self, index: int, stage: Stage, costs: NDArray[np.float64], finished: NDArray[np.bool_]) -> Claims:
        """The queue of a stage; the time that this start has counts where it has done nothing yet."""
        start = self._start
        assert start.lead is not None
        self._shared = start.lead.sharing.begin(stage.name, costs, finished)
        return Claims(
            costs,
            finished,
            start.concurrent_units,
            grace_s=start.options.grace_s,
            deadline_s=start.deadline_s,
            window_s=start.deadline_s - start.started_s if self._is_fresh and start.deadline_s is not None else None,
            seconds_per_cost=start.seconds_per_cost[index],
            source=self._shared,
        )

    def _make_watch(self, stage: str, claims: Claims | None) -> Watch:
        """Rank 0 listens to all others, its deputy to rank 0."""
        comm, hosts = self._start.comm, self._start.hosts
        if claims is not None:
            return Watch(stage, range(1, comm.size), hosts, self._patience, claims.expected_s)
        listens = [COORDINATOR] if comm.rank == DEPUTY else []
        return Watch(stage, listens, hosts, self._patience)

    def _observe(self, claims: Claims, now_s: float) -> None:
        """Publish how far the stage is, a few times a second."""
        if now_s < self._observed_s + OBSERVE_S and not claims.is_over:
            return
        lead = self._start.lead
        assert lead is not None
        assert self._shared is not None
        self._observed_s = now_s
        state: State = "running" if claims.end is None or claims.end.code == EXIT_DONE else "stopping"
        note = "waits for other runs" if claims.waits_for_others else ""
        lead.meter.credit(self._shared.num_elsewhere, self._shared.cost_elsewhere)
        lead.publish(state, claims.num_done, claims.cost_done, claims.cost_in_flight, now_s, note)
