"""What a job's plan asks of a cluster: units, memory, and the time that is left, measured where there is a store.

Owns the estimate for `submit`. Writes nothing; works for half a second where nothing has been measured.
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np

from hpc import ledger, memory
from hpc.ledger import Tally
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
    which says nothing about a GPU. Without `with_time` they are not looked for.
    """
    plan = model.plan(job)
    memory.check_units(plan)
    concurrent_units = (CudaBackend if on_gpus else HostBackend).concurrent_units
    tallies = _tallies(store, plan)
    left = [int(np.count_nonzero(~tallies[stage.name].finished)) for stage in plan.stages]
    together = [stage for stage in plan.stages if isinstance(stage, GroupStage)]
    if together:
        # How much faster several ranks train a run is not known before.
        with_time = False
        left = [stage.num_runs for stage in together]
    rank_seconds = 0.0 if with_time else math.inf
    if with_time:
        for stage, units in zip(plan.stages, left, strict=True):
            per_cost = _measured(tallies[stage.name], stage)
            if per_cost is None:
                per_cost = math.inf if on_gpus else _probed(stage) / threads
            rank_seconds += per_cost * estimate.total_cost(stage) * units / stage.num_units / concurrent_units
    return Work(
        num_units=max(left),
        rank_seconds=rank_seconds if math.isfinite(rank_seconds) else None,
        rank_bytes=estimate.size(plan, concurrent_units).rank_bytes,
        unit_bytes=memory.needed_bytes(plan, concurrent_units),
        grace_s=job.run.grace_s,
        group=max((stage.group_size(most_ranks) for stage in together), default=1),
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


def _probed(stage: Stage) -> float:
    """Seconds a unit of cost on one thread of this machine; infinite where nothing can be tried here."""
    try:
        return estimate.probe(stage, HostBackend(1))
    except (RequestError, LookupError):
        return math.inf
