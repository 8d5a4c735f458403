"""What is read off the end of an orbit: continuous counts, distances to the boundary, the root that was reached.

Pure functions of arrays of one tile. Never iterates a map and never reads a job.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NO_ROOT = -2
"""In `root`: the pixel did not stop, or not at a root of the table. -1 says "not computed"."""

LARGEST_POWER = 1e3
"""A quantity that grows faster than with this power follows none: the exponential function."""


def smooth(iterations: NDArray[np.int32], never: int, tested: Floats, bound: Any, power: Any) -> Floats:
    """Continuous counts: `iterations` + 1 - log(log(tested)/log(bound))/log(power), NaN where a pixel never stopped.

    `tested` is the quantity of the stop test at the end of each pixel, `bound` what it was compared with, and `power` says that
    one more update would raise the quantity to that power: the degree of a map far out, the order of convergence at a root.
    Along an orbit the result does not depend on which update passed the bound, so that it has no steps where counts
    do. Where there is no such law (power not above 1, a quantity on the other side of 1 than its bound), the count itself.
    Shapes broadcast to that of `iterations`.
    """
    counts = iterations.astype(np.float64)
    power = np.asarray(power, dtype=np.float64)
    with np.errstate(all="ignore"):
        beyond = np.log(tested) / np.log(bound)
        continuous = counts + 1 - np.log(beyond) / np.log(power)
    lawful = np.isfinite(continuous) & (beyond > 0) & (power > 1) & (power < LARGEST_POWER)
    result: Floats = np.where(iterations == never, np.nan, np.where(lawful, continuous, counts))
    return result


def distance(iterations: NDArray[np.int32], never: int, tested: NDArray[Any], derivative: NDArray[Any]) -> Floats:
    """Exterior distance estimate abs(z)*log(abs(z))/abs(z'), NaN where a pixel never stopped; 0 where z' has overflown.

    `tested` is z where the pixel escaped and `derivative` its derivative with respect to the pixel. For a polynomial and a
    large escape radius the true distance to the boundary is between half of it and twice it (Koebe's quarter theorem).
    """
    size = np.abs(tested)
    with np.errstate(all="ignore"):
        estimate = size * np.log(size) / np.abs(derivative)
    result: Floats = np.where(iterations == never, np.nan, np.where(np.isfinite(estimate), estimate, 0.0))
    return result


def nearest_root(
    stopped: NDArray[np.bool_], final: NDArray[Any], table: NDArray[np.complex128], tolerance: float
) -> NDArray[np.int16]:
    """Index of the root nearest to the final state of each pixel; NO_ROOT where it did not stop, or farther than `tolerance`.

    `table` has the roots in their order; entries that are not numbers are no roots.
    """
    index = np.full(final.shape, NO_ROOT, dtype=np.int16)
    smallest = np.full(final.shape, tolerance)
    for number, root in enumerate(table):
        with np.errstate(all="ignore"):
            away = np.abs(final - root)
        closer = away < smallest
        index[closer] = number
        smallest[closer] = away[closer]
    index[~stopped] = NO_ROOT
    return index
