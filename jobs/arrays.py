"""Layout and attributes of the arrays that every map of pixels has: its own, coordinates, numbers of the frames.

Owns how they lie in a store. What they mean is said by the job kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpc.plan import ArraySpec, Values
from jobs.maps import MapJob
from jobs.view import Coordinates
from kernels.backends.base import Array

CHUNK_VALUES = 1 << 15
SHARD_VALUES = 1 << 21
"""Of coordinates: what is decoded at once, 256 kB, and what is written at once, 16 MB."""

FILL = {"i": -1, "u": 255, "f": math.nan}
"""What says "not computed", by the kind of dtype."""


def pixel_array(
    job: MapJob, name: str, dtype: str, attributes: Mapping[str, Any], inner: tuple[tuple[str, int], ...] = ()
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


def coordinate_arrays(job: MapJob) -> list[tuple[ArraySpec, Values]]:
    """`x` and `y` of every frame, in shards of whole frames; computed when they are written."""
    arrays: list[tuple[ArraySpec, Values]] = []
    for axis, (name, label) in enumerate(zip(("x", "y"), job.view.axes, strict=True)):
        values = Coordinates(job.view, job.frames.count, axis)
        told = {"units": "", "long_name": label}
        shard, chunk = _cut(values.shape)
        arrays.append((ArraySpec(name, values.shape, "<f8", shard, chunk, ("frame", name), math.nan, told), values))
    return arrays


def frame_array(name: str, units: str, key: str, values: Array) -> tuple[ArraySpec, Values]:
    """A number that has one value a frame, int32 or float64 of shape (frames,), stated under `key` of the job."""
    shape, told = values.shape, {"units": units, "long_name": key}
    fill = FILL[values.dtype.kind]
    return ArraySpec(name, shape, values.dtype.str, shape, shape, ("frame",), fill, told), values


def _cut(shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Shard and chunk of coordinates: a chunk has whole frames, and a shard has whole chunks."""
    count, length = shape
    frames = min(count, max(1, CHUNK_VALUES // length))
    chunks = min(-(-count // frames), max(1, SHARD_VALUES // (frames * length)))
    return (frames * chunks, length), (frames, length)
