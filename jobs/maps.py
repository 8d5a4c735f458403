"""Jobs whose results are maps: values at every pixel of a view, frame after frame.

Owns the sections that such kinds share, and what `plan` says of them. What is computed, the kind says.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from hpc.plan import Plan
from jobs.model import Job
from jobs.sections import Frames, MapRun, Numerics, Picture, View

AnyMap = TypeVar("AnyMap", bound="MapJob")


class MapJob(Job, frozen=True, kw_only=True):
    """What every kind of map has besides."""

    view: View
    frames: Frames = Frames()
    numerics: Numerics = Numerics()
    run: MapRun = MapRun()
    picture: Picture


def with_precision(job: AnyMap) -> AnyMap:
    """The job with its precision settled where it is `auto`: identity is of what is computed."""
    if job.numerics.precision != "auto":
        return job
    return msgspec.structs.replace(job, numerics=msgspec.structs.replace(job.numerics, precision="float64"))


def overview(job: Job, plan: Plan) -> list[tuple[str, str]]:
    """Frames and units of a map."""
    assert isinstance(job, MapJob)
    columns, rows = job.view.resolution
    stages = ", ".join(f"{stage.num_units} {stage.name}" for stage in plan.stages)
    units = sum(stage.num_units for stage in plan.stages)
    return [
        ("frames", f"{job.frames.count} of {columns} x {rows}"),
        ("units", f"{units} ({stages}), shards of {list(job.run.shard or ())}"),
    ]
