"""The workload of docs/scaling.md: the 900-frame zoom into the three-body map; what its units cost, measured on a small one.

Owns the job's overrides and the resampling. Never simulates.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpc.plan import Stage
from jobs import model
from kernels.backends.host import HostBackend

NUM_FRAMES = 900
SIDE_PX = 4000
SMALL_SIDE_PX = 500

# The smallest tile that is timed: what a shard of 256 pixels sees of a frame of 4000, one of 32 sees of a frame of 500.
TILE_PX = 32
SMALLEST_SHARD = TILE_PX * SIDE_PX // SMALL_SIDE_PX

CENTER = (5.30031, -0.45)
SHIFT = '"0.001/2**(t/30)"'
ZOOM = (
    f"view.center=[{CENTER[0]}, {CENTER[1]}]",
    'view.width="40/2**(t/30)"',
)
GROWING_STEPS = ('integrator.steps="50000 + 875*t"', f"twin.shift=[{SHIFT}, {SHIFT}, {SHIFT}]")
"""The source's schedule (three-body B14): deeper frames need more steps and a smaller shift."""


def stage(num_frames: int, side_px: int, shard: int | None, more: Sequence[str] = ()) -> Stage:
    """The zoom's one stage; `shard` None for the default one."""
    sets = [*ZOOM, f"frames.count={num_frames}", f"view.resolution=[{side_px}, {side_px}]", *more]
    if shard is not None:
        sets.append(f"run.shard=[{shard}, {shard}]")
    return model.plan(model.load("three-body", tuple(sets)), None).stages[0]


def measure() -> NDArray[np.float64]:
    """Seconds that one core works for each tile of the zoom's first frame at 500x500, shape (16, 16), row by row."""
    small = stage(1, SMALL_SIDE_PX, TILE_PX)
    backend = HostBackend(1)
    small.start(0, backend, _Nothing())
    seconds = []
    for unit in range(small.num_units):
        begun_s = time.process_time()
        run = small.start(unit, backend, _Nothing())
        while run.advance(1.0) < 1.0:
            pass
        run.arrays()
        seconds.append(time.process_time() - begun_s)
    side = round(small.num_units**0.5)
    return np.array(seconds).reshape(side, side)


def rates(tiles_s: NDArray[np.float64], shard: int) -> NDArray[np.float64]:
    """Seconds a pixel at 50,000 steps, one entry a tile that shows as much of a frame as a shard does; sorted."""
    if shard % SMALLEST_SHARD:
        raise ValueError(f"a shard of {shard} is no multiple of {SMALLEST_SHARD}")
    wide = shard // SMALLEST_SHARD
    edges = np.minimum(np.arange(tiles_s.shape[0] + 1) * TILE_PX, SMALL_SIDE_PX)
    sides = np.diff(edges)
    pixels = np.outer(sides, sides)
    starts = np.arange(0, tiles_s.shape[0], wide)
    seconds, counts = (np.add.reduceat(np.add.reduceat(one, starts, 0), starts, 1) for one in (tiles_s, pixels))
    return np.sort((seconds / counts).ravel())


def units(tiles_s: NDArray[np.float64], of: Stage, shard: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Costs that the engine is told, and seconds that units take: cost times a rate drawn from those measured."""
    costs = np.fromiter(map(of.cost, range(of.num_units)), np.float64, of.num_units)
    known = rates(tiles_s, shard) / 50_000
    return costs, costs * np.random.default_rng([4, shard]).choice(known, of.num_units)


class _Nothing:
    """A stage that needs no other."""

    def read(self, name: str) -> NDArray[np.float64]:
        raise LookupError(name)
