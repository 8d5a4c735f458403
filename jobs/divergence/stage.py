"""The units of a divergence job: formulas become the starting values of one tile, the kernel does the rest.

Every unit is a pure function of the job and its number. Nothing here reads a store or a clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpc.plan import ArraySpec, Finished
from jobs.parameters import Floats, Parameter
from jobs.sections import View
from jobs.tiles import Tile, num_tiles, tile
from jobs.view import window
from kernels import threebody
from kernels.backends.base import Backend, Run

Parameters = tuple[Parameter, Parameter, Parameter]


@dataclass(frozen=True)
class Setting:
    """Every number of a job: arrays over frames, or parameters that the pixel may enter."""

    view: View
    steps: NDArray[np.int64]
    distance: Floats
    dt: Floats
    mass: Parameters
    position: tuple[Parameters, Parameters, Parameters]
    velocity: tuple[Parameters, Parameters, Parameters]
    gravity: Parameter
    shift: Parameters

    def pixel_parameters(self) -> Iterator[Parameter]:
        """All parameters that a pixel's coordinates may enter."""
        for row in (self.mass, *self.position, *self.velocity, (self.gravity,), self.shift):
            yield from row


@dataclass(frozen=True)
class DivergenceStage:
    """Unit i is shard i of the arrays, counted in C order over (frame, rows, columns)."""

    name: str
    arrays: tuple[ArraySpec, ...]
    problem: threebody.Problem
    setting: Setting

    @property
    def num_units(self) -> int:
        """One unit a shard."""
        return num_tiles(self.arrays[0])

    def tile(self, unit: int) -> Tile:
        """Which pixels of which frame a unit owns."""
        return tile(self.arrays[0], unit)

    def cost(self, unit: int) -> float:
        """Pixels times steps."""
        tile = self.tile(unit)
        return float(tile.num_pixels) * float(self.setting.steps[tile.frame])

    def memory_bytes(self, unit: int) -> int:
        """Starting values, the kernel's results, and a shard buffer with its encoded copy for each array."""
        pixels = self.tile(unit).num_pixels
        starting = 8 * (sum(one.depends_on_pixel for one in self.setting.pixel_parameters()) + 4)
        results = sum(np.dtype(array.dtype).itemsize * math.prod(array.shard[1:-2]) for array in self.arrays)
        buffers = 2 * results * math.prod(self.arrays[0].shard[-2:])
        return pixels * (starting + results) + buffers

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Begin the unit's pixels on a back end."""
        del finished
        tile = self.tile(unit)
        program = threebody.compile(self.problem, backend)
        return program.start(
            self.initial(tile),
            distance=float(self.setting.distance[tile.frame]),
            dt=float(self.setting.dt[tile.frame]),
            steps=int(self.setting.steps[tile.frame]),
        )

    def initial(self, tile: Tile) -> threebody.Initial:
        """Starting values of a tile: floats, and float64 arrays of the tile's shape where the pixel enters."""
        u, v = window(self.setting.view, tile.frame).points(tile.rows, tile.columns)

        def value(parameter: Parameter) -> threebody.Value:
            values = parameter.over_pixels(tile.frame, u, v)
            if isinstance(values, float):
                return values
            return np.ascontiguousarray(np.broadcast_to(values, tile.shape))

        def vector(row: Parameters) -> threebody.Vector:
            return value(row[0]), value(row[1]), value(row[2])

        def matrix(
            rows: tuple[Parameters, Parameters, Parameters],
        ) -> tuple[threebody.Vector, threebody.Vector, threebody.Vector]:
            return vector(rows[0]), vector(rows[1]), vector(rows[2])

        return threebody.Initial(
            shape=tile.shape,
            position=matrix(self.setting.position),
            velocity=matrix(self.setting.velocity),
            mass=vector(self.setting.mass),
            gravity=value(self.setting.gravity),
            shift=vector(self.setting.shift),
        )
