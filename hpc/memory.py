"""Whether a plan is of a size that can be run: its number of units, and those in flight in the memory of a host.

Owns the count of what a rank holds and what a host has. Allocates nothing, and takes no longer for many units.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

from hpc.plan import GroupStage, Plan, Stage
from kernels.errors import RequestError

CGROUPS = Path("/sys/fs/cgroup")

# Rank 0 keeps a list of the pending units and reads a ledger record of each.
MOST_UNITS = 10_000_000


def units_in_memory(concurrent_units: int) -> int:
    """Units that a rank holds at most: those on the device, and one that is being written."""
    return concurrent_units + 1


def needed_bytes(plan: Plan, concurrent_units: int) -> int:
    """Peak memory of one rank for its units: the largest unit, as often as a rank holds one."""
    check_units(plan)
    return max((_held_bytes(stage, concurrent_units) for stage in plan.stages), default=0)


def _held_bytes(stage: Stage, concurrent_units: int) -> int:
    """The largest unit of a stage, as often as a rank holds one; groups of ranks make one at a time."""
    largest = max((stage.memory_bytes(unit) for unit in _extreme_units(stage)), default=0)
    return largest if isinstance(stage, GroupStage) else units_in_memory(concurrent_units) * largest


def check_units(plan: Plan) -> None:
    """Refuse a plan of more units than the engine can keep account of. Raises RequestError naming the key to change."""
    for stage in plan.stages:
        if stage.num_units > MOST_UNITS:
            raise RequestError(
                f"run.shard: makes {stage.num_units} units of stage {stage.name!r}, more than {MOST_UNITS}; "
                "use a larger shard, or fewer frames"
            )


def _extreme_units(stage: Stage) -> Iterator[int]:
    """The first and the last unit of each index of the first dimension, the frame: one is whole, one at the edge."""
    num_frames = stage.arrays[0].grid()[0]
    in_frame = stage.num_units // num_frames
    for first in range(0, stage.num_units, in_frame):
        yield first
        if in_frame > 1:
            yield first + in_frame - 1


def host_bytes() -> int:
    """Memory that the processes of this host may use: what is built in, or less where a limit or control group says so."""
    limits = [int(psutil.virtual_memory().total)]
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    try:
        groups = [line.rpartition(":")[2].lstrip("/") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        groups = []
    for group in groups:
        folder = CGROUPS / group
        for place in (folder, *folder.parents):
            limits += _limit(place / "memory.max")
            if place == CGROUPS:
                break
    return min(limits)


def check(plan: Plan, concurrent_units: int, num_ranks: int) -> None:
    """Refuse a plan of too many units, or whose units do not fit into this host beside each other.

    Raises RequestError naming the key to change.
    """
    needed, available = num_ranks * needed_bytes(plan, concurrent_units), host_bytes()
    if needed > available and any(isinstance(stage, GroupStage) for stage in plan.stages):
        raise RequestError(
            f"model: {num_ranks} rank{'s' * (num_ranks != 1)} of this host need {needed / 2**30:.1f} GiB for weights and "
            f"optimiser, it has {available / 2**30:.1f} GiB; use a smaller model or fewer ranks"
        )
    if needed > available:
        raise RequestError(
            f"run.shard: {num_ranks} rank{'s' * (num_ranks != 1)} of this host need {needed / 2**30:.1f} GiB for their units, "
            f"it has {available / 2**30:.1f} GiB; use a smaller shard or fewer ranks"
        )


def _limit(file: Path) -> list[int]:
    """The number in a control group's file, if there is one."""
    try:
        text = file.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdecimal() else []
