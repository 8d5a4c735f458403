"""`horseshoe plan`: what a job will cost, printed before anything is allocated or written."""

from __future__ import annotations

from jobs.commands.options import JobName, Overrides

RANK_COUNTS = (1, 2, 4, 16, 64)


def main(job: JobName, /, *, overrides: Overrides = ()) -> int:
    """Print frames, units, files, bytes, memory and an estimate of the time of a job."""
    from hpc import devices, memory
    from jobs import estimate, model
    from jobs.estimate import human_bytes, human_seconds

    loaded = model.load(job, overrides)
    backend = devices.choose(model.run_options(loaded), 0, 1)
    plan = model.plan(loaded, model.device_of(loaded, backend))
    memory.check(plan, backend.concurrent_units, 1)

    size = estimate.size(plan, backend.concurrent_units)
    columns, rows = loaded.view.resolution
    stages = ", ".join(f"{stage.num_units} {stage.name}" for stage in plan.stages)
    print(f"job      {loaded.name}: {loaded.title}")
    print(f"hash     {plan.attributes['job_hash']}")
    print(f"frames   {loaded.frames.count} of {columns} x {rows}")
    print(f"units    {size.num_units} ({stages}), shards of {list(loaded.run.shard or ())}")
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
    seconds = sum(estimate.probe(stage, backend) * estimate.total_cost(stage) for stage in plan.stages)
    print(f"unit     about {human_seconds(seconds / size.num_units)}")
    for ranks in RANK_COUNTS:
        if ranks == 1 or ranks <= size.num_units:
            print(f"time     about {human_seconds(seconds / ranks)} on {ranks} such rank{'s' * (ranks > 1)}")
    return 0
