"""Which pixels of which frame a unit owns.

Pure arithmetic over the layout of an array; every stage that draws a map shares it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hpc.plan import ArraySpec


@dataclass(frozen=True)
class Tile:
    """One unit's part of a frame."""

    frame: int
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def num_pixels(self) -> int:
        """Rows times columns."""
        return math.prod(self.shape)


def num_tiles(array: ArraySpec) -> int:
    """One tile a shard."""
    return math.prod(_grid(array))


def tile(array: ArraySpec, unit: int) -> Tile:
    """The tile of a unit, counted in C order over (frame, rows, columns); at the edges less than a whole shard."""
    # Not np.unravel_index: rank 0 asks for every unit of a plan, and there may be a million.
    _, tiles_down, tiles_across = _grid(array)
    rest, across = divmod(unit, tiles_across)
    frame, down = divmod(rest, tiles_down)
    height, width = array.shard[-2:]
    rows, columns = array.shape[-2:]
    return Tile(
        frame,
        slice(down * height, min((down + 1) * height, rows)),
        slice(across * width, min((across + 1) * width, columns)),
    )


def _grid(array: ArraySpec) -> tuple[int, int, int]:
    """Frames, and shards down and across a frame; inner dimensions are whole in every shard."""
    rows, columns = array.shape[-2:]
    return array.shape[0], -(-rows // array.shard[-2]), -(-columns // array.shard[-1])
