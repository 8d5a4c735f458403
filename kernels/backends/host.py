"""CPU back end: runs a compiled walker on threads, each filling the lanes of its vectors from one queue of pixels.

Device code offers `walker_bytes`, `steps_done` and `advance_tile` (see `device/threebody_host.hpp`).
The GIL is free in all of them.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from ctypes import c_double, c_int, c_longlong, c_void_p

import numpy as np
from numpy.typing import NDArray

from kernels.backends import compiler
from kernels.backends.base import Array
from kernels.backends.cache import cache_folder
from kernels.backends.compiler import describe_compiler
from kernels.source import KernelSource
from kernels.tile import Tile, unset

ALIGNMENT_BYTES = 64


class HostBackend:
    """`threads` CPU threads that share each unit. `lanes` overrides the number of doubles in a vector (1 is scalar)."""

    kind = "host"
    concurrent_units = 1

    def __init__(self, threads: int = 1, lanes: int | None = None) -> None:
        self.threads = threads
        self.num_lanes_float64 = vector_width() if lanes is None else lanes

    def load(self, source: KernelSource) -> HostKernel:
        """Compile for this CPU, or take the library from the cache. RequestError where no compiler is found."""
        lanes = source.lanes(self.num_lanes_float64)
        return HostKernel(compiler.load_library(source.render("host", lanes)), self.threads)

    def describe(self) -> str:
        """'host, 2 threads, 8 lanes'."""
        return f"host, {self.threads} thread{'s' * (self.threads != 1)}, {self.num_lanes_float64} lanes"


def vector_width() -> int:
    """Doubles in the widest vector of this CPU that the compiler knows; 1 where it has no fused multiply-add."""
    return max(1, compiler.vector_bytes() // 8)


class HostKernel:
    """A library of compiled entry points. Satisfies `base.Loaded`."""

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        self._library = library
        self._threads = threads
        library.walker_bytes.restype = c_longlong
        library.steps_done.restype = c_longlong
        library.steps_done.argtypes = [c_void_p]
        library.advance_tile.restype = c_int
        library.advance_tile.argtypes = [c_void_p, c_void_p, c_void_p, c_double]

    def start(self, tile: Tile) -> HostRun:
        """Begin one tile."""
        return HostRun(self._library, tile, self._threads)


class HostRun:
    """One tile on CPU threads. Satisfies `base.Run`."""

    def __init__(self, library: ctypes.CDLL, tile: Tile, threads: int) -> None:
        self._library = library
        self._total_steps = tile.num_pixels * tile.limit
        self._inputs = tile.input_arrays()
        self._outputs = {name: unset(*spec) for name, spec in tile.outputs.items() if spec is not None}
        addresses = [self._outputs[name].ctypes.data if name in self._outputs else 0 for name in tile.outputs]
        self._tile = tile.words([array.ctypes.data for array in self._inputs], addresses)
        self._queue = np.zeros(2, dtype=np.int64)
        self._walkers = [_aligned_zeros(library.walker_bytes()) for _ in range(threads)]
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._finished = False

    def advance(self, seconds: float) -> float:
        """Walk all threads for about `seconds`; the fraction of steps done, 1.0 when every pixel has ended."""
        if self._finished:
            return 1.0
        if self._pool is None:
            done = [self._advance_walker(self._walkers[0], seconds)]
        else:
            done = list(self._pool.map(lambda walker: self._advance_walker(walker, seconds), self._walkers))
        self._queue[1] = 0
        if all(done):
            self._finished = True
            self._close()
            return 1.0
        steps = sum(self._library.steps_done(walker.ctypes.data) for walker in self._walkers)
        return min(float(steps) / self._total_steps, 1 - 1e-9)

    def interrupt(self) -> None:
        """Let a walk that is under way return within a fraction of a millisecond."""
        self._queue[1] = 1

    def arrays(self) -> dict[str, Array]:
        """Outputs by name, flat over the tile's pixels as the tile asked for them."""
        assert self._finished, "arrays() before the run has finished"
        return self._outputs

    def _advance_walker(self, walker: NDArray[np.uint8], seconds: float) -> bool:
        return bool(
            self._library.advance_tile(self._tile.ctypes.data, self._queue.ctypes.data, walker.ctypes.data, seconds)
        )

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _aligned_zeros(size: int) -> NDArray[np.uint8]:
    memory = np.zeros(size + ALIGNMENT_BYTES, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT_BYTES
    return memory[start : start + size]


__all__ = ["HostBackend", "HostRun", "cache_folder", "describe_compiler", "vector_width"]
