"""Springs and pendulums: rings of unit masses on springs, each hanging or not, moved by the leapfrog rule.

Owns the equation x'' = -stiffness * (graph Laplacian of x) - gravity * sin x - friction * x'. The sine is a polynomial of
ours, since that of a machine's library may differ in its last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networks.data.arrays import split_by_number, to_npz
from networks.data.draws import Draws
from networks.data.trajectories import TRAJECTORIES_FILE

Values = NDArray[np.float64]

SUBSTEPS = 20
"""Steps of the leapfrog rule from one stored time to the next."""

PI_HIGH, PI_LOW = 3.141592653589793, 1.2246467991473532e-16
SINE_TERMS = 12


def make(count: int, seed: int, parameters: Mapping[str, float]) -> dict[str, bytes]:
    """`count` motions from random places and velocities; the last tenth is for validation."""
    nodes, steps = int(parameters["nodes"]), int(parameters["steps"])
    draws = Draws("motions", seed)
    position = parameters["spread"] * draws.normal(count, nodes)
    velocity = parameters["spread"] * draws.normal(count, nodes)
    ring = [[node, (node + 1) % nodes] for node in range(nodes if nodes > 2 else nodes - 1)]
    edges = np.array(ring, dtype=np.int32).reshape(-1, 2)
    positions, velocities = [position], [velocity]
    for _ in range(steps):
        position, velocity = advance(position, velocity, edges, parameters)
        positions.append(position)
        velocities.append(velocity)
    arrays: dict[str, NDArray[Any]] = {
        "positions": np.stack(positions, axis=1),
        "velocities": np.stack(velocities, axis=1),
        "edges": edges,
        "split": split_by_number(count),
        **{name: np.array(parameters[name]) for name in ("time_step", "stiffness", "gravity", "friction")},
    }
    return {TRAJECTORIES_FILE: to_npz(arrays)}


def advance(
    position: Values, velocity: Values, edges: NDArray[np.int32], parameters: Mapping[str, float]
) -> tuple[Values, Values]:
    """One stored time further: half a kick, a drift, half a kick, with friction in the kicks."""
    step = parameters["time_step"] / SUBSTEPS
    drag = parameters["friction"] * step / 2
    for _ in range(SUBSTEPS):
        velocity = (velocity + step / 2 * force(position, edges, parameters)) / (1 + drag)
        position = position + step * velocity
        velocity = velocity * (1 - drag) + step / 2 * force(position, edges, parameters)
    return position, velocity


def force(position: Values, edges: NDArray[np.int32], parameters: Mapping[str, float]) -> Values:
    """The force on each mass without friction."""
    total = -parameters["gravity"] * sine(position) if parameters["gravity"] else np.zeros_like(position)
    for first, second in edges:
        pull = parameters["stiffness"] * (position[:, second] - position[:, first])
        total[:, first] += pull
        total[:, second] -= pull
    return total


def sine(angle: Values) -> Values:
    """sin of moderate angles to 1e-15, from sums and products alone."""
    turns = np.rint(angle / PI_HIGH)
    rest = (angle - turns * PI_HIGH) - turns * PI_LOW
    square = rest * rest
    total = np.zeros_like(rest)
    for term in range(SINE_TERMS - 1, -1, -1):
        total = total * square + (-1) ** term / math.factorial(2 * term + 1)
    return np.where(turns % 2 == 0, rest * total, -rest * total)
