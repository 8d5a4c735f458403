"""Stages whose units are made by groups of ranks, for one start: one job at a time has such a stage.

Owns the wait for the turn, and which stages need torch's processes. The work itself is that of hpc/groups.py.
"""

from __future__ import annotations

import time

from hpc.groups import Groups, pending_runs
from hpc.launch import EXIT_DONE, EXIT_STOPPED, agree
from hpc.messages import End
from hpc.plan import GroupStage
from hpc.process_group import TorchDevice
from hpc.progress import State
from hpc.start import Start
from kernels.backends.base import Array


class GroupStages:
    """One rank's part in the stages of a job whose units belong to groups of ranks. Closed by all ranks together."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._groups: Groups | None = None

    def run(self, index: int, stage: GroupStage) -> End:
        """Compute what is missing of a stage, to its end on all ranks."""
        start = self._start
        end = agree(start.comm, lambda: self._wait_for_turn(stage))
        if end.code != EXIT_DONE:
            return end
        end = self._work(index, stage)
        if start.lead is not None:
            start.lead.sharing.let_go(stage.name)
        return end

    def close(self) -> None:
        """End torch's processes, where there are any."""
        if self._groups is not None:
            self._groups.close()

    def _work(self, index: int, stage: GroupStage) -> End:
        """Make the groups, with the first stage that something is missing of, and let them work."""
        start = self._start
        finished, _ = start.begin(index, stage)
        runs = agree(start.comm, lambda: pending_runs(stage, finished, start.path))
        if not runs:
            return End(EXIT_DONE, "finished")
        if self._groups is None:
            assert isinstance(start.backend, TorchDevice)
            end_s = None if start.deadline_s is None else start.deadline_s - start.options.grace_s
            self._groups = Groups(start.comm, start.backend, start.path, start.run_id, start.stops, end_s)

        def observe(num_done: int, cost_done: float, note: str, stopping: bool, now_s: float) -> None:
            assert start.lead is not None
            state: State = "stopping" if stopping else "running"
            start.lead.publish(state, num_done, cost_done, 0.0, now_s, note)

        def write(unit: int, arrays: dict[str, Array], seconds: float) -> None:
            start.writer.write(index, unit, arrays, seconds)

        return self._groups.run(stage, runs, finished, write, None if start.lead is None else observe)

    def _wait_for_turn(self, stage: GroupStage) -> End:
        """Let one job at a time compute a stage of groups, which keep files of their own beside their units."""
        start = self._start
        assert start.lead is not None
        while not start.lead.sharing.hold(stage.name):
            reason = start.stops.reason
            if reason is None and start.deadline_s is not None and time.monotonic() >= start.deadline_s:
                reason = "deadline"
            if reason is not None:
                return End(EXIT_STOPPED, reason)
            time.sleep(start.tempo.look_s)
        return End(EXIT_DONE, "finished")
