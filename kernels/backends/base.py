"""What every back end offers, as protocols: a `Program` is compiled once and starts any number of `Run`s.

One slice equals a thousand slices, byte for byte: how a run is cut into `advance` calls never shows in its arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

if TYPE_CHECKING:
    from kernels.source import KernelSource
    from kernels.tile import Tile

Array = NDArray[Any]


class Run(Protocol):
    """One unit of work in flight. `advance` is called from one thread; `interrupt` from any other."""

    def advance(self, seconds: float) -> float:
        """Work for about `seconds` of wall time; return the fraction done in [0, 1], exactly 1.0 when finished."""
        ...

    def interrupt(self) -> None:
        """Make an `advance` that is under way return within milliseconds; the run can be advanced again."""
        ...

    def arrays(self) -> dict[str, Array]:
        """Results by array name, each of the unit's shape. Only after `advance` has returned 1.0."""
        ...


class Loaded(Protocol):
    """A compiled kernel on one back end."""

    def start(self, tile: Tile) -> Run:
        """Begin one tile; nothing is computed before the first `advance`."""
        ...


class Backend(Protocol):
    """Where programs run: a number of CPU threads, or one GPU."""

    kind: str
    """'host' or 'cuda'."""

    concurrent_units: int
    """How many runs fill the device: 1 for a host whose threads share one unit, several for a GPU."""

    num_lanes_float64: int
    """Width of one vector of doubles; part of a job's identity where arithmetic is `fast`."""

    def load(self, source: KernelSource) -> Loaded:
        """Compile `source`, unless that was done before. RequestError where no compiler is found."""
        ...

    def describe(self) -> str:
        """One line for people: 'host, 2 threads, 8 lanes' or 'cuda:0 NVIDIA H200'."""
        ...


__all__ = ["Array", "Backend", "Loaded", "Run"]
