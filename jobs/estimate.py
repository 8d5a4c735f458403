"""What a plan will cost: units, files, bytes, memory, time.

Pure arithmetic over the plan protocol, but for `probe`, which works half a second. Knows no job kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpc import memory, trial
from hpc.plan import ArraySpec, GroupStage, Plan, Stage, num_shards
from kernels.backends.base import Backend

MANY_FILES = 100_000
RANK_BYTES = 200_000_000
MOST_UNITS_SUMMED = 20_000


@dataclass(frozen=True)
class Size:
    """Sizes of a store and of one rank's memory, in bytes; before compression."""

    num_units: int
    num_files: int
    store_bytes: int
    rank_bytes: int


def size(plan: Plan, concurrent_units: int) -> Size:
    """The sizes of a plan whose ranks compute so many units at a time."""
    specs = [*(array for stage in plan.stages for array in stage.arrays), *(spec for spec, _ in plan.constants)]
    return Size(
        num_units=sum(stage.num_units for stage in plan.stages),
        num_files=sum(num_shards(spec) for spec in specs),
        store_bytes=sum(_bytes(spec) for spec in specs),
        rank_bytes=RANK_BYTES + memory.needed_bytes(plan, concurrent_units),
    )


def total_cost(stage: Stage) -> float:
    """Sum of the costs of all units; of evenly spaced ones where they are many."""
    step = max(1, stage.num_units // MOST_UNITS_SUMMED)
    costs = [stage.cost(unit) for unit in range(0, stage.num_units, step)]
    return math.fsum(costs) * stage.num_units / len(costs)


def probe(stage: Stage, backend: Backend) -> float:
    """Seconds a unit of cost on one rank, from half a second of the stage's middle unit; infinite where none are known.

    Raises RequestError as the unit would.
    """
    if isinstance(stage, GroupStage):
        seconds = stage.seconds_per_cost(backend)
    else:
        seconds = trial.seconds_per_cost(stage, stage.num_units // 2, backend)
    return math.inf if seconds is None else seconds


def waits(stage: Stage, backend: Backend) -> bool:
    """Whether a stage cannot be tried before earlier ones are finished. RequestError as its unit would raise."""
    return not isinstance(stage, GroupStage) and trial.begin(stage, stage.num_units // 2, backend) is None


def human_bytes(number: float) -> str:
    """'3.2 MB'."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.4g} TB"


def human_seconds(seconds: float) -> str:
    """'2 h 5 min', 'less than 1 s'."""
    if seconds < 1:
        return "less than 1 s"
    if not math.isfinite(seconds):
        return "too long to tell"
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= length:
            whole, rest = divmod(seconds, length)
            return f"{int(whole)} {unit} {int(rest / part)} {smaller}"
    return f"{seconds:.0f} s"


def _bytes(spec: ArraySpec) -> int:
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
