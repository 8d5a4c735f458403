"""The size of one unit of work: shards and their inner chunks, as functions of the job alone."""

from __future__ import annotations

from jobs.sections import MapRun
from kernels.errors import RequestError

MIN_SIDE = 64
MAX_SIDE = 2048
MAX_UPDATES = 1_000_000_000
MAX_UNITS = 20_000
CHUNK_SIDE = 256

Extent = tuple[int, int]


def layout(run: MapRun, extent: Extent, frames: int, updates: int) -> tuple[Extent, Extent]:
    """Shard and chunk as [rows, columns] for frames of `extent` (rows, columns) with `updates` steps a pixel.

    A given shard or chunk is kept and the other follows it. RequestError when both are given and do not fit.
    """
    if run.shard and run.chunk:
        if any(shard % chunk for shard, chunk in zip(run.shard, run.chunk, strict=True)):
            raise RequestError(f"run.shard: {list(run.shard)} is not a multiple of run.chunk {list(run.chunk)}")
        return run.shard, run.chunk
    if run.shard:
        return run.shard, (_chunk_side(run.shard[0]), _chunk_side(run.shard[1]))
    side = default_side(extent, frames, updates)
    if run.chunk:
        rows, columns = (-(-side // chunk) * chunk for chunk in run.chunk)
        return (rows, columns), run.chunk
    return (side, side), (_chunk_side(side), _chunk_side(side))


def default_side(extent: Extent, frames: int, updates: int) -> int:
    """The largest power of two from 64 to 2048 with side**2 * updates <= 1e9, doubled while units exceed 20,000."""
    side = MAX_SIDE
    while side > MIN_SIDE and side * side * updates > MAX_UPDATES:
        side //= 2
    while frames * -(-extent[0] // side) * -(-extent[1] // side) > MAX_UNITS and side < max(extent):
        side *= 2
    return side


def _chunk_side(shard: int) -> int:
    """The largest divisor of a shard's side that is at most 256; the side itself where that is below 64."""
    if shard <= CHUNK_SIDE:
        return shard
    best = max(divisor for divisor in range(1, CHUNK_SIDE + 1) if shard % divisor == 0)
    return best if best >= MIN_SIDE else shard
