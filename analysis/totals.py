"""Counts, extremes and sums of an array of a store, one Dask task a finished shard, merged in the order of the shards.

The result does not depend on the scheduler or the number of workers. Never reads a shard that is not finished.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import clusters
from hpc import shards
from hpc.reading import Reader


@dataclass(frozen=True)
class Totals:
    """Of a number of values: `count` without NaN, `num_nan` with; `ended` counts those other than `never`, or is None.

    `min`, `max` are NaN where count is 0; `sum` is an exact int for integers.
    """

    count: int
    num_nan: int
    min: float
    max: float
    sum: float
    ended: int | None

    @property
    def never(self) -> int | None:
        """How many values say "never ended"; None where nothing could end."""
        return None if self.ended is None else self.count + self.num_nan - self.ended

    @property
    def mean(self) -> float:
        """The mean without NaN; NaN where count is 0."""
        return self.sum / self.count if self.count else math.nan


def totals(reader: Reader, name: str, finished: NDArray[np.bool_], frames: range, client: Any = None) -> Totals:
    """Totals of the shards of an array that lie in these stored frames and are `finished`, one flag a shard.

    `client` is of `clusters.connect`.
    """
    from dask.delayed import delayed

    array = reader.array(name)
    never = never_values(reader, name)
    shard = array.shards or array.chunks
    has_frames = is_by_frame(reader, name)

    # Constants are small, and a shard of them may hold several frames
    if name in reader.constants():
        values = reader.constant(name)
        return _of_block(values[frames.start : frames.stop] if has_frames else values, None)

    # One task a shard
    parts = []
    for position in np.argwhere(finished):
        if has_frames and position[0] not in frames:
            continue
        selection = tuple(slice(k * size, (k + 1) * size) for k, size in zip(position, shard, strict=True))
        expected = None if never is None else never[position[0] if has_frames else 0]
        parts.append(delayed(_of_shard)(array, selection, expected))
    merged: Totals = clusters.compute(client, delayed(_merge)(parts))
    return merged


def never_values(reader: Reader, name: str) -> NDArray[Any] | None:
    """The value of each frame that says "never ended", from the array's attribute `never`; None where it has none."""
    array = reader.array(name)
    never = array.attrs.get("never")
    if never is None:
        return None
    if isinstance(never, str):
        return reader.constant(never)
    return np.full(array.shape[0] if is_by_frame(reader, name) else 1, never)


def is_by_frame(reader: Reader, name: str) -> bool:
    """Whether the first dimension of an array is the frame, or the run of a sweep."""
    return dimensions(reader, name)[:1] in (("frame",), ("run",))


def dimensions(reader: Reader, name: str) -> tuple[str | None, ...]:
    """The names of an array's dimensions, None for one that has no name."""
    array = reader.array(name)
    return tuple(getattr(array.metadata, "dimension_names", None) or (None,) * array.ndim)


def num_frames(reader: Reader, name: str) -> int:
    """Stored frames of an array; 1 where it does not depend on the frame."""
    return int(reader.array(name).shape[0]) if is_by_frame(reader, name) else 1


def sha256(reader: Reader, name: str, frames: range) -> str:
    """sha256, in hex, of these frames' values in C order, little endian, with one row of shards in memory at a time."""
    array: Any = reader.array(name)
    shard = array.shards or array.chunks
    ranges = [range(size) for size in array.shape]
    if is_by_frame(reader, name):
        ranges[0] = frames

    # Step through the last dimension but one by shards and through those before it one by one: this is C order
    split = max(array.ndim - 2, 0)
    digest = hashlib.sha256()
    for leading in itertools.product(*ranges[:split]):
        for start in range(ranges[split].start, ranges[split].stop, shard[split]):
            rows = slice(start, min(start + shard[split], ranges[split].stop))
            block = shards.read(array, (*leading, rows))
            digest.update(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _of_shard(array: Any, selection: tuple[slice, ...], never: Any) -> Totals:
    return _of_block(shards.read(array, selection), never)


def _of_block(block: NDArray[Any], never: Any) -> Totals:
    numbers = block[~np.isnan(block)]
    ended = None if never is None else int(np.count_nonzero(block != never))
    if not numbers.size:
        return Totals(0, block.size, math.nan, math.nan, 0, ended)
    with np.errstate(all="ignore"):
        extremes = numbers.min().item(), numbers.max().item()
        return Totals(numbers.size, block.size - numbers.size, *extremes, numbers.sum(dtype=_wide(block)).item(), ended)


def _wide(block: NDArray[Any]) -> Any:
    return np.float64 if block.dtype.kind == "f" else np.int64


def _merge(parts: Sequence[Totals]) -> Totals:
    filled = [part for part in parts if part.count]
    ended = [part.ended for part in parts if part.ended is not None]
    return Totals(
        count=sum(part.count for part in parts),
        num_nan=sum(part.num_nan for part in parts),
        min=min((part.min for part in filled), default=math.nan),
        max=max((part.max for part in filled), default=math.nan),
        sum=_sum([part.sum for part in filled]),
        ended=sum(ended) if ended else None,
    )


def _sum(values: list[float]) -> float:
    """Exact for integers, rounded once for finite floats."""
    if all(isinstance(value, int) for value in values):
        return sum(values)
    return math.fsum(values) if all(math.isfinite(value) for value in values) else float(np.sum(values))
