"""`horseshoe plan`: what a job will cost, printed before anything is allocated or written."""

from __future__ import annotations

import math

from jobs.commands.options import JobName, Overrides

UNITS = (("s", 1), ("min", 60), ("h", 3600), ("d", 86400))
COUNTS = (1, 2, 4, 16, 64)
FASTER, SLOWER = 1.5, 2.0
"""Units differ, and so do the loads of machines: how far the time may be from that of the unit that is tried."""


def main(job: JobName, /, *, overrides: Overrides = ()) -> int:
    """Print frames, units, files, bytes, memory and an estimate of the time of a job."""
    from hpc import devices, groups, memory
    from hpc.plan import GroupStage
    from jobs import estimate, model
    from jobs.estimate import human_bytes

    loaded = model.load(job, overrides)
    options = model.run_options(loaded)
    fast = model.differs_between_devices(loaded)
    plan = model.plan(loaded, model.device_of(loaded, devices.choose(options, 0, 1)) if fast else None)
    backend = groups.choose_device(plan, options, 0, 1)
    memory.check(plan, backend.concurrent_units, 1)

    size = estimate.size(plan, backend.concurrent_units)
    print(f"job      {loaded.name}: {loaded.title}")
    print(f"hash     {plan.attributes['job_hash']}")
    for word, line in model.kind_of(loaded.kind).overview(loaded, plan):
        print(f"{word:<8} {line}")
    print(f"files    {size.num_files}")
    if size.num_files > estimate.MANY_FILES:
        # Shards do not reach over frames.
        fewest = sum(spec.shape[0] for stage in plan.stages for spec in stage.arrays)
        remedy = "larger run.shard" if fewest <= estimate.MANY_FILES else "fewer frames or outputs"
        print(f"warning  more than {estimate.MANY_FILES} files: {remedy} make fewer")
    print(f"bytes    {human_bytes(size.store_bytes)} before compression")
    print(f"memory   {human_bytes(size.rank_bytes)} a rank")
    print(f"device   {backend.describe()}")

    # Work for half a second: all before was arithmetic.
    waiting = [stage for stage in plan.stages if estimate.waits(stage, backend)]
    tried = [stage for stage in plan.stages if stage not in waiting]
    seconds = sum(estimate.probe(stage, backend) * estimate.total_cost(stage) for stage in tried)
    print(f"unit     {rough(seconds / sum(stage.num_units for stage in tried))}")
    cores = devices.usable_cores() if backend.kind == "host" and loaded.run.threads is None else None
    parts = max(stage.num_runs if isinstance(stage, GroupStage) else stage.num_units for stage in tried)
    for number in COUNTS:
        if number == 1 or number <= parts:
            print(f"time     {rough_range(seconds / number)} on {workers(number, cores)}")
    for stage in waiting:
        units = count(stage.num_units, "unit")
        print(f"besides  stage {stage.name}, {units}: it cannot be tried before the stages before it are finished")
    return 0


def workers(number: int, cores: int | None) -> str:
    """So many of what was tried: a machine where ranks share all its `cores`, else one rank."""
    if cores is not None:
        here = f"this machine ({count(cores, 'core')}), whatever the number of ranks"
        return here if number == 1 else f"{number} machines like this one"
    return count(number, "such rank")


def rough_range(seconds: float) -> str:
    """'2 to 6 min': within what a job takes whose estimate is `seconds`."""
    low, high = rough(seconds / FASTER), rough(seconds * SLOWER)
    (start, _, unit), end = low.rpartition(" "), high
    if low == high:
        return low
    return f"{start} to {end}" if end.endswith(f" {unit}") else f"{low} to {end}"


def rough(seconds: float) -> str:
    """A time to the precision of an estimate: '40 s', '3 min', '20 h'."""
    if not math.isfinite(seconds):
        return "too long to tell"
    if seconds < 1:
        return "less than 1 s"
    unit, length = next((one for one in UNITS if seconds < 90 * one[1]), UNITS[-1])
    return f"{seconds / length:.0f} {unit}"


def count(number: int, word: str) -> str:
    """'1 core', '2 cores'."""
    return f"{number} {word}{'s' * (number != 1)}"
