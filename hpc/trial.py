"""A unit begun before the job is: whether it can be, and how fast it goes.

Owns the try on one rank. Keeps nothing of what is computed, writes nothing, knows no other ranks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from hpc.plan import Stage
from kernels.backends.base import Array, Backend, Run
from kernels.errors import RequestError

PROBE_S = 0.5
PROBE_LIMIT_S = 10.0


def begin(stage: Stage, unit: int, backend: Backend) -> Run | None:
    """Begin a unit, which compiles its kernel; None where it needs results of earlier stages, which are not there yet.

    Raises RequestError as the unit would: no compiler, an unsafe cache folder, too little memory.
    """
    try:
        return stage.start(unit, backend, _Nothing())
    except _NotYetError:
        return None
    except MemoryError:
        raise RequestError(out_of_memory(stage, unit)) from None


def seconds_per_cost(stage: Stage, unit: int, backend: Backend) -> float | None:
    """Seconds a unit of cost takes when it has the device to itself, from half a second of it.

    Infinite where it has not moved; None where it cannot be begun yet. Raises RequestError as `begin` does.
    """
    run = begin(stage, unit, backend)
    if run is None:
        return None
    begin_s = time.perf_counter()
    fraction, elapsed_s = 0.0, 0.0
    while fraction == 0.0 and elapsed_s < PROBE_LIMIT_S:
        fraction = run.advance(PROBE_S)
        elapsed_s = time.perf_counter() - begin_s
    return elapsed_s / fraction / stage.cost(unit) if fraction > 0.0 else math.inf


def of_stages(
    stages: Sequence[Stage], units: Sequence[int | None], backend: Backend, *, measured: bool
) -> list[float | None]:
    """Try a unit of each stage, where one is given; the seconds a unit of cost takes among as many as the device holds.

    None where none is given, where it cannot be begun yet, or unless `measured`. Raises RequestError as `begin` does.
    """
    seconds: list[float | None] = []
    for stage, unit in zip(stages, units, strict=True):
        alone = None
        if unit is not None and measured:
            alone = seconds_per_cost(stage, unit, backend)
        elif unit is not None:
            begin(stage, unit, backend)
        seconds.append(None if alone is None else alone * backend.concurrent_units)
    return seconds


def slowest(seconds: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The largest number of any rank by stage, of those that know one; `seconds` has what `of_stages` said on each."""
    by_stage = ([one for one in ranks if one is not None] for ranks in zip(*seconds, strict=True))
    return [max(known, default=None) for known in by_stage]


def out_of_memory(stage: Stage, unit: int) -> str:
    """The line for a unit that does not fit."""
    mebibytes = stage.memory_bytes(unit) / 2**20
    return f"run.shard: out of memory in unit {unit} of stage {stage.name!r}, which needs {mebibytes:.0f} MiB"


class _NotYetError(LookupError):
    """An array of an earlier stage is asked for."""


class _Nothing:
    """No earlier stage has been computed yet."""

    def read(self, name: str) -> Array:
        raise _NotYetError(name)
