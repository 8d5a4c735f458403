"""What a job's plan asks of a cluster: units, memory, and the time that is left, measured where there is a store.

Owns the estimate for `submit`. Writes nothing; works for half a second where nothing has been measured.
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np

from hpc import devices, ledger, memory, process_group
from hpc.ledger import Tally
from hpc.options import RunOptions
from hpc.plan import GroupStage, Plan, Stage
from hpc.reading import is_store, open_for_reading
from jobs import estimate, model
from jobs.model import Job
from jobs.training.sections import Training
from kernels.backends.cuda import CudaBackend
from kernels.backends.host import HostBackend
from kernels.errors import RequestError
from slurm.profile import Profile
from slurm.request import Work

MOST_RECORDS = 10_000


def work(
    job: Job, store: Path, threads: int, on_gpus: bool, *, with_time: bool = True, most_ranks: int = 1 << 20
) -> Work:
    """What is left of a job on at most `most_ranks` ranks of so many threads, or of one GPU each.

    Unit times come from the ledger of the job's store; before there are any, from half a second on this machine,
    which says nothing about a GPU. Without `with_time` they are not looked for. How much faster several ranks train a
    run is not known before: they count as one, and only runs side by side share the time.
    """
    plan = model.plan(job)
    memory.check_units(plan)
    together = [stage for stage in plan.stages if isinstance(stage, GroupStage)]
    concurrent_units = CudaBackend.concurrent_units if on_gpus and not together else HostBackend.concurrent_units
    group = max((stage.group_size(most_ranks) for stage in together), default=1)
    tallies = _tallies(store, plan)
    rank_seconds = 0.0 if with_time else math.inf
    if with_time:
        for stage in plan.stages:
            left = int(np.count_nonzero(~tallies[stage.name].finished))
            per_cost = _measured(tallies[stage.name], stage)
            if per_cost is None:
                per_cost = math.inf if on_gpus else _probed(stage, threads)
            ranks = group if isinstance(stage, GroupStage) else 1
            if left:
                rank_seconds += (
                    ranks * per_cost * estimate.total_cost(stage) * left / stage.num_units / concurrent_units
                )
    return Work(
        num_units=max(_parts_left(stage, tallies[stage.name]) for stage in plan.stages),
        rank_seconds=rank_seconds if math.isfinite(rank_seconds) else None,
        rank_bytes=estimate.size(plan, concurrent_units).rank_bytes,
        unit_bytes=memory.needed_bytes(plan, concurrent_units),
        grace_s=job.run.grace_s,
        group=group,
        is_shared=not together,
    )


def nodes_for(job: Job, profile: Profile) -> int:
    """How many nodes a job is given at most that says nothing of them: one where all ranks train one run together."""
    return 1 if isinstance(job, Training) and job.train.ranks is None else profile.max_nodes


def _tallies(store: Path, plan: Plan) -> dict[str, Tally]:
    """What the ledger of the job's store says; nothing where there is none, or one of another job (`run` will refuse it)."""
    job_hash = plan.attributes["job_hash"]
    is_its_own = is_store(store) and open_for_reading(store).attributes.get("job_hash") == job_hash
    return ledger.tally(store if is_its_own else None, {stage.name: stage.num_units for stage in plan.stages})


def _measured(tally: Tally, stage: Stage) -> float | None:
    """Seconds a unit of cost, the middle of the latest records; None without any."""
    latest = zip(tally.units[-MOST_RECORDS:].tolist(), tally.seconds[-MOST_RECORDS:].tolist(), strict=True)
    rates = [seconds / stage.cost(unit) for unit, seconds in latest]
    return statistics.median(rates) if rates else None


def _parts_left(stage: Stage, tally: Tally) -> int:
    """What different ranks, or groups of them, can do side by side: units, or runs of which any is missing."""
    if isinstance(stage, GroupStage):
        return int(np.count_nonzero(~tally.finished.reshape(stage.num_runs, -1).all(axis=1)))
    return int(np.count_nonzero(~tally.finished))


def _probed(stage: Stage, threads: int) -> float:
    """Seconds a unit of cost on so many threads, tried on this machine; infinite where nothing can be tried here."""
    try:
        if isinstance(stage, GroupStage):
            # Tried on what there is of these threads: training is not faster by their number.
            some = min(threads, devices.usable_cores())
            return estimate.probe(stage, process_group.choose(RunOptions(device="host", threads=some), 0, 1))
        return estimate.probe(stage, HostBackend(1)) / threads
    except (RequestError, LookupError):
        return math.inf
