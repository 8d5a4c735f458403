"""The box-counting dimension of the boundary between basins, or between what stopped and what never did.

Owns which pixels are boundary, the counts of boxes and the fit. Never holds more of a map than the tiles in flight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import clusters
from analysis.basins import BASINS, MAP
from analysis.totals import dimensions, never_values, num_frames
from hpc import shards
from hpc.reading import Reader

Row = dict[str, Any]

TILE_PX = 1024
"""Side of what is read at once, a power of two, so that smaller boxes lie in one tile."""

LEAST_ACROSS = 8
"""The largest box of a fit goes at least so many times into the shorter side: larger ones see the frame, not the boundary."""


SMALLEST_FITTED = 2
"""Side in pixels of the smallest box of a fit: a box of one pixel has no room for what it should resolve."""


@dataclass(frozen=True)
class Dimension:
    """A fit of boxes ~ size**(-value) to `counts`, boxes by their side in pixels: least squares in the logarithms.

    `error` is the standard error of the slope. NaN where too few sizes have a boundary in them: 2, and 3 for the error.
    """

    value: float
    error: float
    counts: dict[int, int]


def boundary_dimension(reader: Reader, _picture: Any, client: Any) -> Iterator[Row]:
    """Every map of counts or basins, frame by frame: dimension of its boundary, standard error, boxes of each size."""
    for name in maps(reader):
        finished = reader.finished(name)
        for frame in range(num_frames(reader, name)):
            sizes = box_sizes(reader, name)
            fraction = float(finished[frame].mean())
            found = dimension(reader, name, frame, client) if fraction == 1 else Dimension(math.nan, math.nan, {})
            yield {
                "frame": frame,
                "array": name,
                "finished": fraction,
                "dimension": None if math.isnan(found.value) else found.value,
                "standard_error": None if math.isnan(found.error) else found.error,
                **{f"boxes_{size}": found.counts.get(size) for size in sizes},
            }


def maps(reader: Reader) -> list[str]:
    """Arrays of a store that have a boundary: counts up to an end, and basins."""
    named = [name for name in reader.arrays() if dimensions(reader, name) == MAP]
    return [name for name in named if name in BASINS or never_values(reader, name) is not None]


def box_sizes(reader: Reader, name: str) -> list[int]:
    """Sides in pixels, powers of two, of the boxes that are counted."""
    shorter = min(reader.array(name).shape[-2:])
    return [1 << k for k in range(max(1, (shorter // LEAST_ACROSS).bit_length()))]


def dimension(reader: Reader, name: str, frame: int, client: Any = None) -> Dimension:
    """The dimension of the boundary in one finished frame of a map. `client` is of `clusters.connect`.

    The pixels are the corners of a lattice of squares, and a square has boundary in it where its four corners are not of one
    class; classes are the values of a basin array, and of a count whether it ended. Boxes of each size lie side by side from
    the top left corner, as far as whole ones of the largest size go, so that all sizes see the same part of the map.
    """
    from dask.delayed import delayed

    array = reader.array(name)
    never = None if name in BASINS else never_values(reader, name)
    expected = None if never is None else never[frame]
    sizes = box_sizes(reader, name)
    rows, columns = (size - size % sizes[-1] for size in array.shape[-2:])

    # Count small boxes tile by tile, then large ones by which tiles have any
    tiles = [
        [
            delayed(_of_tile)(
                array,
                frame,
                range(row, min(row + TILE_PX, rows)),
                range(column, min(column + TILE_PX, columns)),
                expected,
            )
            for column in range(0, columns, TILE_PX)
        ]
        for row in range(0, rows, TILE_PX)
    ]
    counted = np.array(clusters.compute(client, delayed(list)(tiles)))
    in_tiles, last = counted[..., :-1].sum(axis=(0, 1)), counted[..., -1] > 0
    by_level = [*in_tiles.tolist(), *_pyramid(last, num_levels=1 + max(last.shape).bit_length())]
    counts = {size: int(by_level[level]) for level, size in enumerate(sizes)}
    fitted = {size: number for size, number in counts.items() if number and size >= SMALLEST_FITTED}
    return Dimension(*_slope(fitted), counts)


def _of_tile(array: Any, frame: int, rows: range, columns: range, never: Any) -> list[int]:
    """Boxes with a boundary in them of sides 1, 2, 4, ... TILE_PX in one tile."""
    block = shards.read(array, (frame, slice(rows.start, rows.stop + 1), slice(columns.start, columns.stop + 1)))
    classes = block if never is None else block == never
    is_boundary = np.zeros(classes.shape, np.bool_)
    corner = classes[:-1, :-1]
    is_boundary[:-1, :-1] = (corner != classes[:-1, 1:]) | (corner != classes[1:, :-1]) | (corner != classes[1:, 1:])
    return _pyramid(is_boundary[: len(rows), : len(columns)], num_levels=TILE_PX.bit_length())


def _pyramid(occupied: NDArray[np.bool_], num_levels: int) -> list[int]:
    """How many boxes are occupied at each level, each of twice the side of the one before."""
    counts = [int(np.count_nonzero(occupied))]
    for _ in range(num_levels - 1):
        rows, columns = occupied.shape
        even = np.pad(occupied, ((0, rows % 2), (0, columns % 2)))
        occupied = even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]
        counts.append(int(np.count_nonzero(occupied)))
    return counts


def _slope(counts: dict[int, int]) -> tuple[float, float]:
    """Minus the slope of log(count) over log(size), and its standard error."""
    if len(counts) < 2:
        return math.nan, math.nan
    x, y = -np.log(list(counts)), np.log(list(counts.values()))
    x, y = x - x.mean(), y - y.mean()
    squares = float(x @ x)
    slope = float(x @ y) / squares
    if len(counts) < 3:
        return slope, math.nan
    residuals = y - slope * x
    return slope, math.sqrt(float(residuals @ residuals) / (len(counts) - 2) / squares)
