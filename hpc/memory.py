"""Whether the units in flight fit into the memory of a host.

Owns the count of what a rank holds and what a host has. Allocates nothing.
"""

from __future__ import annotations

from pathlib import Path

import psutil  # type: ignore[import-untyped]

from hpc.plan import Plan
from kernels.errors import RequestError

CGROUPS = Path("/sys/fs/cgroup")


def units_in_memory(concurrent_units: int) -> int:
    """Units that a rank holds at most: those on the device, and one that is being written."""
    return concurrent_units + 1


def needed_bytes(plan: Plan, concurrent_units: int) -> int:
    """Peak memory of one rank for its units: the largest unit, as often as a rank holds one."""
    largest = max(
        (stage.memory_bytes(unit) for stage in plan.stages for unit in range(stage.num_units)),
        default=0,
    )
    return units_in_memory(concurrent_units) * largest


def host_bytes() -> int:
    """Memory that the processes of this host may use: what is built in, or less where a control group says so."""
    limits = [int(psutil.virtual_memory().total)]
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
    """Refuse a plan whose units do not fit into this host beside each other.

    Raises RequestError naming the key to change.
    """
    needed, available = num_ranks * needed_bytes(plan, concurrent_units), host_bytes()
    if needed > available:
        raise RequestError(
            f"run.shard: {num_ranks} rank(s) of this host need {needed / 2**30:.1f} GiB for their units, it has "
            f"{available / 2**30:.1f} GiB; use a smaller shard or fewer ranks"
        )


def _limit(file: Path) -> list[int]:
    """The number in a control group's file, if there is one."""
    try:
        text = file.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdecimal() else []
