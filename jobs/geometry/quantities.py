"""What an experiment is: its runs, the arrays of each, and the function that computes them.

Owns these types alone. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kernels.backends.base import Array


@dataclass(frozen=True)
class Quantity:
    """An array that every run of an experiment gives; shape and dimensions without the run."""

    name: str
    long_name: str
    shape: tuple[int, ...] = ()
    dimensions: tuple[str, ...] = ()
    dtype: str = "<f8"


@dataclass(frozen=True)
class Experiment:
    """`runs` names the runs, empty for a single one; `compute` gives the arrays of one of them, by its number."""

    runs: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    compute: Callable[[int], Mapping[str, Array]]
    memory_bytes: int = 0
    """What a run needs at once beside its results; 0 where that is little."""


def names_of(quantities: Sequence[Quantity]) -> set[str]:
    """Every name that a plot of them may use: arrays and dimensions."""
    return {one.name for one in quantities} | {name for one in quantities for name in one.dimensions}
