"""`horseshoe plan`: what a job will cost, printed before anything is allocated or written."""

from __future__ import annotations

from jobs.commands.options import JobName, Overrides

RANK_COUNTS = (1, 2, 4, 16, 64)


def main(job: JobName, /, *, overrides: Overrides = ()) -> int:
    """Print frames, units, files, bytes, memory and an estimate of the time of a job."""
    from hpc import devices
    from jobs import estimate, model
    from jobs.identity import digest

    loaded = model.load(job, overrides)
    backend = devices.choose(model.run_options(loaded), 0, 1)
    plan = model.plan(loaded, backend)
    size = estimate.size(plan, backend)
    columns, rows = loaded.view.resolution
    stages = ", ".join(f"{stage.num_units} {stage.name}" for stage in plan.stages)
    print(f"job      {loaded.name}: {loaded.title}")
    print(f"hash     {digest(dict(plan.identity))}")
    print(f"frames   {loaded.frames.count} of {columns} x {rows}")
    print(f"units    {size.num_units} ({stages}), shards of {list(plan.stages[0].arrays[0].shard)}")
    print(f"files    {size.num_files}")
    if size.num_files > estimate.MANY_FILES:
        print(f"warning  more than {estimate.MANY_FILES} files: larger run.shard make fewer")
    print(f"bytes    {estimate.human_bytes(size.store_bytes)} before compression")
    print(f"memory   {estimate.human_bytes(size.rank_bytes)} a rank")
    print(f"device   {backend.describe()}")
    estimate.refuse_what_cannot_fit(plan, backend)

    # Measure half a second of work, the only part that computes.
    seconds = sum(estimate.probe(stage, backend) for stage in plan.stages)
    print(f"unit     about {estimate.human_seconds(seconds / size.num_units)}")
    for ranks in RANK_COUNTS:
        if ranks == 1 or ranks <= size.num_units:
            print(f"time     about {estimate.human_seconds(seconds / ranks)} on {ranks} such rank{'s' * (ranks > 1)}")
    return 0
