"""Layout and attributes of the arrays that every map of pixels has: its own, coordinates, numbers of the frames.

Owns how they lie in a store. What they mean is said by the job kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpc.plan import ArraySpec
from jobs.model import Job
from jobs.view import coordinates
from kernels.backends.base import Array

FILL = {"i": -1, "u": 255, "f": math.nan}
"""What says "not computed", by the kind of dtype."""


def pixel_array(
    job: Job, name: str, dtype: str, attributes: Mapping[str, Any], inner: tuple[tuple[str, int], ...] = ()
) -> ArraySpec:
    """An array with one value a pixel of every frame, or several along the `inner` dimensions (label, size).

    The job is resolved: its shard and chunk are there.
    """
    columns, rows = job.view.resolution
    shard, chunk = job.run.shard, job.run.chunk
    assert shard is not None
    assert chunk is not None
    depth = tuple(size for _, size in inner)
    return ArraySpec(
        name=name,
        shape=(job.frames.count, *depth, rows, columns),
        dtype=dtype,
        shard=(1, *depth, *shard),
        chunk=(1, *(1 for _ in inner), *chunk),
        dimensions=("frame", *(label for label, _ in inner), "y", "x"),
        fill_value=FILL[np.dtype(dtype).kind],
        attributes=attributes,
    )


def coordinate_arrays(job: Job) -> list[tuple[ArraySpec, Array]]:
    """`x` and `y` of every frame."""
    arrays: list[tuple[ArraySpec, Array]] = []
    x_and_y = coordinates(job.view, job.frames.count)
    for name, label, values in zip(("x", "y"), job.view.axes, x_and_y, strict=True):
        told = {"units": "", "long_name": label}
        chunk = (1, values.shape[1])
        spec = ArraySpec(name, values.shape, "<f8", values.shape, chunk, ("frame", name), math.nan, told)
        arrays.append((spec, values))
    return arrays


def frame_array(name: str, units: str, key: str, values: Array) -> tuple[ArraySpec, Array]:
    """A number that has one value a frame, int32 or float64 of shape (frames,), stated under `key` of the job."""
    shape, told = values.shape, {"units": units, "long_name": key}
    fill = FILL[values.dtype.kind]
    return ArraySpec(name, shape, values.dtype.str, shape, shape, ("frame",), fill, told), values
