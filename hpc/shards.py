"""Where the shards of an array lie, and the values of those that the ledgers call finished.

Owns the rule that a file which is missing or damaged is said: Zarr gives fill values for what is not there. Never asks what is
finished.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from hpc.frames import check_contents
from kernels.errors import RequestError

Position = tuple[int, ...]


def grid(array: zarr.Array[Any]) -> Position:
    """Number of shards along each dimension."""
    return tuple(-(-size // shard) for size, shard in zip(array.shape, _sides(array), strict=True))


def region(array: zarr.Array[Any], position: Sequence[int]) -> tuple[slice, ...]:
    """The part of an array that one shard holds, clipped at the edge."""
    return tuple(
        slice(index * side, min((index + 1) * side, size))
        for index, side, size in zip(position, _sides(array), array.shape, strict=True)
    )


def shard_file(array: zarr.Array[Any], position: Sequence[int]) -> Path:
    """The file of one shard, whether it is there or not."""
    store: Any = array.store
    return Path(store.root, array.path, "c", *(str(index) for index in position))


def read(
    array: zarr.Array[Any], selection: Sequence[int | slice] = (), *, finished: NDArray[np.bool_] | None = None
) -> NDArray[Any]:
    """Values of a part of an array; dimensions without an entry in `selection`, the last ones, are read whole.

    Indices are not negative, slices have no step. All shards of the part are finished, but for those that `finished`, flags
    over the shard grid of the last dimensions, says are not. Raises RequestError naming a file that is missing or damaged.
    """
    bounds = [_bounds(part, size) for part, size in zip(selection, array.shape, strict=False)]
    bounds += [(0, size) for size in array.shape[len(bounds) :]]
    touched = [
        range(start // side, -(-stop // side)) if stop > start else range(0)
        for (start, stop), side in zip(bounds, _sides(array), strict=True)
    ]
    for position in itertools.product(*touched):
        file = shard_file(array, position)
        is_finished = finished is None or finished[position[-finished.ndim :]]
        check_contents(array, file, must_be_there=bool(is_finished))
    try:
        return np.asarray(array[tuple(selection) or ...])
    except (OSError, ValueError, RuntimeError, LookupError, TypeError):
        raise RequestError(
            f"{_bad_file(array, touched)}: damaged; run `horseshoe verify`, then the job again"
        ) from None


def _sides(array: zarr.Array[Any]) -> Position:
    return array.shards or array.chunks


def _bounds(part: int | slice, size: int) -> tuple[int, int]:
    """First index of a dimension that is read, and the one after the last."""
    if not isinstance(part, slice):
        return int(part), int(part) + 1
    start, stop, _ = part.indices(size)
    return start, stop


def _bad_file(array: zarr.Array[Any], touched: Sequence[range]) -> Path:
    """The first shard that cannot be read; the array's folder where each one can."""
    if math.prod(map(len, touched)) == 1:
        return shard_file(array, [one.start for one in touched])
    for position in itertools.product(*touched):
        try:
            array[region(array, position)]
        except (OSError, ValueError, RuntimeError, LookupError, TypeError):
            return shard_file(array, position)
    return shard_file(array, ()).parent
