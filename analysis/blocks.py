"""What is done to one shard of a picture: evaluate the formula, then find the range or paint.

Pure functions of NumPy arrays that Dask ships to its workers. Never knows where a shard came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import colour
from kernels.errors import RequestError
from kernels.expression import Formula, evaluate

SLAB_PX = 1 << 18
"""Pixels that are evaluated at once, so that the temporaries of a formula stay far smaller than a shard."""


@dataclass(frozen=True)
class Scale:
    """How values become colours: the table (colours, 3), the range, the colour of NaN."""

    colours: NDArray[np.uint8]
    low: float
    high: float
    background: tuple[int, int, int]


def on_block(
    *operands: NDArray[Any],
    function: Callable[..., NDArray[Any]],
    names: tuple[str, ...],
    formula: Formula,
    scalars: Mapping[str, float],
    finished: NDArray[np.bool_],
    block_id: tuple[int, ...],
    **options: Any,
) -> NDArray[Any]:
    """Give the values of one shard, slab by slab, to `function` together with its shape; None where not finished."""
    shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    slabs = _slabs(dict(zip(names, operands, strict=True)), formula, scalars, shape)
    return function(slabs if finished[block_id[:2]] else None, shape, **options)


def extent_of_block(slabs: Iterator[NDArray[np.float64]] | None, _shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Lowest and highest finite value, shape (1, 1, 2); NaN where there is none."""
    low, high = np.inf, -np.inf
    for slab in slabs or ():
        finite = slab[np.isfinite(slab)]
        low, high = min(low, finite.min(initial=np.inf)), max(high, finite.max(initial=-np.inf))
    return np.array([[[low, high] if low <= high else [np.nan, np.nan]]])


def paint_block(slabs: Iterator[NDArray[np.float64]] | None, shape: tuple[int, ...], scale: Scale) -> NDArray[np.uint8]:
    """The colours, uint8 of shape (*shape, 3); flat grey where not finished."""
    painted = np.empty((*shape, 3), np.uint8)
    if slabs is None:
        painted[...] = colour.MISSING
        return painted
    row = 0
    for slab in slabs:
        painted[row : row + len(slab)] = colour.paint(slab, scale.colours, scale.low, scale.high, scale.background)
        row += len(slab)
    return painted


def value_of(formula: Formula, values: Mapping[str, Any]) -> Any:
    """The formula's value, an infinity or NaN where it has none. Raises RequestError for a complex one."""
    value = evaluate.numpy(formula, values)
    if np.iscomplexobj(value):
        raise RequestError(f"{formula.key}: the values are complex; draw their abs, arg, re or im")
    return value


def _slabs(
    operands: Mapping[str, NDArray[Any]], formula: Formula, scalars: Mapping[str, float], shape: tuple[int, ...]
) -> Iterator[NDArray[np.float64]]:
    """The formula's values as float64, a number of whole rows at a time."""
    num_rows = max(1, SLAB_PX // shape[1])
    for start in range(0, shape[0], num_rows):
        rows = slice(start, start + num_rows)
        values = {
            name: operand if len(operand) == 1 else operand[rows]
            for name, operand in operands.items()
            if name in formula.names
        }
        count = min(num_rows, shape[0] - start)
        value = np.asarray(value_of(formula, {**scalars, **values}), dtype=np.float64)
        yield np.broadcast_to(value, (count, shape[1]))
