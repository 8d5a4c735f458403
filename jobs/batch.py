"""What a job's plan asks of a cluster: units, memory, and the time that is left, measured where there is a store.

Owns the estimate for `submit`. Writes nothing; works for half a second where nothing has been measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpc import ledger, memory
from hpc.ledger import Record
from hpc.plan import Stage
from hpc.reading import is_store, open_for_reading
from jobs import estimate, model
from jobs.model import Job
from kernels.backends.cuda import CudaBackend
from kernels.backends.host import HostBackend
from kernels.errors import RequestError
from slurm.request import Work

MOST_RECORDS = 10_000


def work(job: Job, store: Path, threads: int, on_gpus: bool, *, with_time: bool = True) -> Work:
    """What is left of a job on ranks of so many threads, or of one GPU each.

    Unit times come from the ledger of the job's store; before there are any, from half a second on this machine,
    which says nothing about a GPU. Without `with_time` they are not looked for.
    """
    plan = model.plan(job)
    memory.check_units(plan)
    concurrent_units = (CudaBackend if on_gpus else HostBackend).concurrent_units
    records = _records(store, str(plan.attributes["job_hash"]))
    left = [stage.num_units - _num_finished(records, stage) for stage in plan.stages]
    rank_seconds = 0.0 if with_time else math.inf
    if with_time:
        for stage, units in zip(plan.stages, left, strict=True):
            per_cost = _measured(records, stage)
            if per_cost is None:
                per_cost = math.inf if on_gpus else _probed(stage) / threads
            rank_seconds += per_cost * estimate.total_cost(stage) * units / stage.num_units / concurrent_units
    return Work(
        num_units=max(left),
        rank_seconds=rank_seconds if math.isfinite(rank_seconds) else None,
        rank_bytes=estimate.size(plan, concurrent_units).rank_bytes,
        unit_bytes=memory.needed_bytes(plan, concurrent_units),
        grace_s=job.run.grace_s,
    )


def _records(store: Path, job_hash: str) -> list[Record]:
    """The ledger of the job's store; empty where there is none, or one of another job (`run` will refuse it)."""
    if not is_store(store) or open_for_reading(store).attributes.get("job_hash") != job_hash:
        return []
    return ledger.read_records(store)


def _num_finished(records: Sequence[Record], stage: Stage) -> int:
    return int(np.count_nonzero(ledger.finished_units(records, stage.name, stage.num_units)))


def _measured(records: Sequence[Record], stage: Stage) -> float | None:
    """Seconds a unit of cost, the middle of the latest records; None without any."""
    mine = [record for record in records if record.stage == stage.name and 0 <= record.unit < stage.num_units]
    rates = [record.seconds / stage.cost(record.unit) for record in mine[-MOST_RECORDS:]]
    return statistics.median(rates) if rates else None


def _probed(stage: Stage) -> float:
    """Seconds a unit of cost on one thread of this machine; infinite where nothing can be tried here."""
    try:
        return estimate.probe(stage, HostBackend(1))
    except (RequestError, LookupError):
        return math.inf
