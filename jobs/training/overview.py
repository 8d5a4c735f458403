"""What `horseshoe plan` says of a training job: runs, steps, parameters, memory.

Pure functions of the job.
"""

from __future__ import annotations

from typing import cast

from hpc.plan import Plan
from jobs.model import Job
from jobs.training.facts import BYTES_PER_PARAMETER, facts
from jobs.training.runs import runs
from jobs.training.sections import Training


def overview(job: Job, plan: Plan) -> list[tuple[str, str]]:
    """Runs, steps, weights, and the units that they make."""
    job = cast(Training, job)
    found = runs(job)
    known = [facts(job.task, run) for run in found]
    steps = _span([run.steps for run in found])
    parameters = _span([one.parameters for one in known])
    memory = _span(
        [one.parameters * BYTES_PER_PARAMETER[run.train.optimiser] / 1e6 for one, run in zip(known, found, strict=True)]
    )
    ranks = job.train.ranks
    stages = ", ".join(f"{stage.num_units} {stage.name}" for stage in plan.stages)
    lines = [
        ("runs", f"{len(found)}, each by {'all ranks' if ranks is None else f'{ranks} rank' + 's' * (ranks != 1)}"),
        (
            "steps",
            f"{steps} of {_span([run.train.batch for run in found])} samples, a checkpoint each {job.train.checkpoint_every}",
        ),
        ("weights", f"{parameters}; with gradients and optimiser {memory} MB a rank"),
        ("units", f"{sum(stage.num_units for stage in plan.stages)} ({stages})"),
    ]
    chance = {one.chance for one in known if one.chance is not None}
    if chance:
        lines.append(("chance", f"loss {_span(sorted(chance))} nat"))
    return lines


def _span(values: list[int] | list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
