"""What is done to one shard of a picture: read it, evaluate the formula, then find the range, count or paint.

Dask ships these functions to its workers. Never holds more than one shard and its neighbours' nearest pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import colour, scales, shading
from analysis.picture import Shade
from analysis.scales import Scale
from hpc import shards
from kernels.errors import RequestError
from kernels.expression import Formula, evaluate

SLAB_PX = 1 << 17
"""Pixels that are evaluated at once, so that the temporaries of a formula stay far smaller than a shard."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layers:
    """All that the formulas of one frame are evaluated from.

    `maps` gives a name the stored array and the index of its leading dimensions; `x` (columns,) and `y` (rows,) are the
    coordinates, `scalars` the parameters of this frame and `t`; `finished` has one flag a shard. `heights` is the formula
    of the heights of a shaded picture.
    """

    value: Formula
    heights: Formula | None
    maps: Mapping[str, tuple[Any, tuple[int, ...]]]
    x: Floats
    y: Floats
    scalars: Mapping[str, float]
    finished: NDArray[np.bool_]
    shape: tuple[int, int]
    shard: tuple[int, int]


@dataclass(frozen=True)
class Slab:
    """Some whole rows of a shard: values (rows, columns), and heights with one more pixel on each side where asked for."""

    values: Floats
    heights: Floats | None


@dataclass(frozen=True)
class Shard:
    """One shard to work on: its shape, its slabs one after the other, or None where it is not finished."""

    shape: tuple[int, int]
    slabs: Iterator[Slab] | None


def on_shard(
    *, function: Callable[..., NDArray[Any]], layers: Layers, block_id: tuple[int, ...], **options: Any
) -> NDArray[Any]:
    """What `function` makes of one shard."""
    position = (block_id[0], block_id[1])
    rows, columns = (
        range(k * shard, min((k + 1) * shard, size))
        for k, shard, size in zip(position, layers.shard, layers.shape, strict=True)
    )
    slabs = _slabs(layers, position, rows, columns) if layers.finished[position] else None
    return function(Shard((len(rows), len(columns)), slabs), **options)


def extent_of_shard(shard: Shard, *, positive: bool) -> Floats:
    """Lowest and highest finite value, of those above 0 where `positive`, shape (1, 1, 2); NaN where there is none."""
    low, high = np.inf, -np.inf
    for slab in shard.slabs or ():
        counted = np.isfinite(slab.values)
        if positive:
            counted &= slab.values > 0
        values = slab.values[counted]
        low, high = min(low, values.min(initial=np.inf)), max(high, values.max(initial=-np.inf))
    return np.array([[[low, high] if low <= high else [np.nan, np.nan]]])


def count_nan_of_shard(shard: Shard) -> NDArray[np.int64]:
    """How many values are not a number, shape (1, 1, 1)."""
    return np.array([[[sum(int(np.isnan(slab.values).sum()) for slab in shard.slabs or ())]]], np.int64)


def count_shard(shard: Shard, *, low: float, high: float) -> NDArray[np.int32]:
    """How many finite values lie in each bin of `scales`, shape (1, 1, bins); a shard has less than 2**31 pixels."""
    counts = np.zeros(scales.NUM_BINS, np.int32)
    for slab in shard.slabs or ():
        counts += scales.count(slab.values, low, high).astype(np.int32)
    return counts[np.newaxis, np.newaxis]


def paint_shard(shard: Shard, *, scale: Scale, shade: Shade | None) -> NDArray[np.uint8]:
    """The colours, uint8 of shape (rows, columns, 3); flat grey where not finished."""
    painted = np.empty((*shard.shape, 3), np.uint8)
    if shard.slabs is None:
        painted[...] = colour.MISSING
        return painted
    row = 0
    for slab in shard.slabs:
        colours = scale.paint(slab.values)
        if shade is not None and slab.heights is not None:
            lit = shading.light(slab.heights, shade)
            lit[np.isnan(slab.values)] = shading.LEVEL
            colours = shading.blend(colours, lit)
        painted[row : row + len(colours)] = colours
        row += len(colours)
    return painted


def value_of(formula: Formula, values: Mapping[str, Any]) -> Any:
    """The formula's value, an infinity or NaN where it has none. Raises RequestError for a complex one."""
    value = evaluate.numpy(formula, values)
    if np.iscomplexobj(value):
        raise RequestError(f"{formula.key}: the values are complex; draw their abs, arg, re or im")
    return value


def _slabs(layers: Layers, position: tuple[int, int], rows: range, columns: range) -> Iterator[Slab]:
    """The slabs of a finished shard, read as a whole."""
    # Heights reach one pixel beyond the shard, wherever the neighbour is there and finished
    above, below, left, right = _reach(layers, position) if layers.heights is not None else (0, 0, 0, 0)
    first = rows.start - above
    window = slice(first, rows.stop + below), slice(columns.start - left, columns.stop + right)
    loaded: dict[str, NDArray[Any]] = {
        name: shards.read(array, (*index, *window), finished=layers.finished)
        for name, (array, index) in layers.maps.items()
    }
    inner = slice(left, left + len(columns))

    def evaluated(formula: Formula, start: int, stop: int, chosen: slice) -> Floats:
        """The formula on rows start ... stop - 1 of the map and these columns of the window."""
        values: dict[str, Any] = {name: block[start - first : stop - first, chosen] for name, block in loaded.items()}
        values["x"] = layers.x[np.newaxis, window[1]][:, chosen]
        values["y"] = layers.y[start:stop, np.newaxis]
        used = {name: value for name, value in {**layers.scalars, **values}.items() if name in formula.names}
        shape = stop - start, values["x"].shape[1]
        return np.broadcast_to(np.asarray(value_of(formula, used), dtype=np.float64), shape)

    num_rows = max(1, SLAB_PX // len(columns))
    for start in range(rows.start, rows.stop, num_rows):
        stop = min(start + num_rows, rows.stop)
        heights = None
        if layers.heights is not None:
            top, bottom = max(start - 1, first), min(stop + 1, rows.stop + below)
            reached = evaluated(layers.heights, top, bottom, slice(None))
            sides = (top - start + 1, stop + 1 - bottom), (1 - left, 1 - right)
            heights = np.pad(reached, sides, constant_values=np.nan)
        yield Slab(evaluated(layers.value, start, stop, inner), heights)


def _reach(layers: Layers, position: tuple[int, int]) -> tuple[int, int, int, int]:
    """1 for each side, above, below, left, right, on which a finished shard lies."""
    padded = np.pad(layers.finished, 1)
    row, column = position[0] + 1, position[1] + 1
    sides = padded[row - 1, column], padded[row + 1, column], padded[row, column - 1], padded[row, column + 1]
    above, below, left, right = (int(side) for side in sides)
    return above, below, left, right
