"""Pairs of a coefficient and a solution: -(k u')' = 1 on the unit interval, u = 0 at its ends, by finite differences.

Owns the coefficients, which are positive and bend at a few random places, and the solution of the difference equation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networks.data.arrays import split_by_number, to_npz
from networks.data.draws import Draws
from networks.data.trajectories import DIFFUSION_FILE


def make(count: int, seed: int, parameters: Mapping[str, float]) -> dict[str, bytes]:
    """`count` coefficients with their solutions; the last tenth is for validation."""
    points, knots = int(parameters["points"]), int(parameters["knots"])
    draws = Draws("diffusion", seed)
    low, high = parameters["lowest"], parameters["highest"]
    values = low + (high - low) * draws.uniform(count, knots)
    midpoints = (np.arange(points - 1) + 0.5) / (points - 1)
    coefficient = between(values, midpoints)
    arrays: dict[str, NDArray[Any]] = {
        "points": np.arange(points) / (points - 1),
        "solution": solve(coefficient),
        "midpoints": midpoints,
        "coefficient": coefficient,
        "split": split_by_number(count),
    }
    return {DIFFUSION_FILE: to_npz(arrays)}


def between(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at equally spaced knots of [0, 1], (samples, knots), continued in straight lines to some places."""
    scaled = places * (values.shape[1] - 1)
    left = np.minimum(scaled.astype(np.int64), values.shape[1] - 2)
    weight = scaled - left
    found: NDArray[np.float64] = values[:, left] * (1 - weight) + values[:, left + 1] * weight
    return found


def solve(coefficient: NDArray[np.float64]) -> NDArray[np.float64]:
    """The solution of k_{i+1/2}(u_{i+1} - u_i) - k_{i-1/2}(u_i - u_{i-1}) = -h^2 with u = 0 at both ends, (samples, points).

    The flux k u' falls by h from one midpoint to the next, and the steps of u add up to nothing: that fixes the first flux.
    Sums are running sums, whose order is the same everywhere.
    """
    samples, cells = coefficient.shape
    fallen = np.arange(cells) / cells
    weights = np.cumsum(1 / coefficient, axis=1)[:, -1:]
    first = np.cumsum(fallen / coefficient, axis=1)[:, -1:] / weights
    rises = (first - fallen) / coefficient / cells
    solution = np.zeros((samples, cells + 1))
    solution[:, 1:] = np.cumsum(rises, axis=1)
    solution[:, -1] = 0.0
    return solution
