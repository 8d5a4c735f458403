"""Runs a plan into a store with all ranks of a communicator: stage after stage, resumable at any moment.

Owns the order of things. Knows plans and stores, never job files or kinds.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hpc.group_stages import GroupStages
from hpc.launch import EXIT_DONE, EXIT_REQUEST, abandon, say
from hpc.leases import TEMPO, Tempo
from hpc.messages import COORDINATOR, End
from hpc.options import RunOptions
from hpc.plan import GroupStage, Plan
from hpc.start import STOPPED, Start
from hpc.stops import Stops
from hpc.unit_stages import UnitStages
from hpc.watchdog import PATIENCE, Patience
from hpc.workers import SLICE_S
from kernels.backends.base import Backend

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm


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
    with ExitStack() as stack:
        if stops is None:
            stops = stack.enter_context(Stops())
        start = Start(comm.Dup(), plan, path, options, stops, tempo, stack, backend)
        end = _run_stages(start, UnitStages(start, slice_s, patience), GroupStages(start))

    # Speak when the bar has gone.
    if end.code != EXIT_DONE and (comm.rank == COORDINATOR or end.lost):
        say(end.reason if end.code == EXIT_REQUEST else STOPPED.format(reason=end.reason))
    if end.lost:
        abandon(comm, end.code)
    return end.code


def _run_stages(start: Start, units: UnitStages, groups: GroupStages) -> End:
    """Run the stages that are not complete, and close everything."""
    end = End(EXIT_DONE, "finished")
    for index, stage in enumerate(start.plan.stages):
        end = groups.run(index, stage) if isinstance(stage, GroupStage) else units.run(index, stage)
        if end.code != EXIT_DONE:
            break
    if not end.lost:
        groups.close()

    # A thread that did not come back may still use the writer; each record is on the disk by itself.
    if units.is_settled:
        start.writer.close()
    start.record_end(end)
    return end
