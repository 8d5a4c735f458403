"""Packs a tile for device code: words of eight bytes in the order of `device/tile.hpp`, for any address space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tile:
    """What one run of a kernel is given.

    `inputs` are float64, each one number or one a pixel; `outputs` maps names, in the order of the kernel's `Output`, to
    arrays that the run allocates (a shape and a dtype), or to None where not asked for.
    """

    num_pixels: int
    limit: int
    inputs: Sequence[float | NDArray[np.float64]]
    parameters: Sequence[float]
    outputs: dict[str, tuple[tuple[int, ...], str] | None]

    def input_arrays(self) -> list[NDArray[np.float64]]:
        """Inputs as contiguous arrays of one or `num_pixels` elements."""
        arrays = [np.ascontiguousarray(value, dtype=np.float64).reshape(-1) for value in self.inputs]
        assert all(array.size in (1, self.num_pixels) for array in arrays)
        return arrays

    def words(self, inputs: Sequence[int], outputs: Sequence[int]) -> NDArray[np.uint64]:
        """The tile as device code reads it; `inputs` and `outputs` are addresses (0 for none)."""
        strides = [int(np.size(value) > 1) for value in self.inputs]
        head = np.array([self.num_pixels, self.limit, *inputs, *strides], dtype=np.uint64)
        parameters = np.array(self.parameters, dtype=np.float64).view(np.uint64)
        return np.concatenate([head, parameters, np.array(outputs, dtype=np.uint64)])


def unset(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """An output in which nothing is computed yet: -1 for counts, 255 for outcomes, NaN for floats."""
    return np.full(shape, {"i": -1, "u": 255, "f": float("nan")}[np.dtype(dtype).kind], dtype)
