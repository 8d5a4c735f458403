"""Springs that lose energy as a double bracket takes it: dx/dt = (J + damping J J) grad E, in the layout of trajectories.

Owns the equations x' = v - damping * stiffness * L x, v' = -stiffness * L x - damping * L v with the graph Laplacian L of a
ring: both the velocities and the springs' forces creep, so that E falls by damping |J grad E|^2. Sums and products alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from networks.data.arrays import split_by_number, to_npz
from networks.data.draws import Draws
from networks.data.trajectories import TRAJECTORIES_FILE

Values = NDArray[np.float64]

SUBSTEPS = 20
"""Runge-Kutta steps from one stored time to the next."""


def make(count: int, seed: int, parameters: Mapping[str, float]) -> dict[str, bytes]:
    """`count` motions from random places and velocities; the last tenth is for validation."""
    nodes, steps = int(parameters["nodes"]), int(parameters["steps"])
    draws = Draws("brackets", seed)
    state = parameters["spread"] * np.stack([draws.normal(count, nodes), draws.normal(count, nodes)])
    states = [state]
    step = parameters["time_step"] / SUBSTEPS
    for _ in range(steps):
        for _ in range(SUBSTEPS):
            state = advance(state, step, parameters)
        states.append(state)
    positions, velocities = np.stack(states, axis=2)
    arrays = {
        "positions": positions,
        "velocities": velocities,
        "edges": np.array([[node, (node + 1) % nodes] for node in range(nodes)], dtype=np.int32),
        "split": split_by_number(count),
        "time_step": np.array(parameters["time_step"]),
        "stiffness": np.array(parameters["stiffness"]),
        "gravity": np.array(0.0),
        "friction": np.array(0.0),
    }
    return {TRAJECTORIES_FILE: to_npz(arrays)}


def advance(state: Values, step: float, parameters: Mapping[str, float]) -> Values:
    """One step of the classical Runge-Kutta method; positions and velocities [2, motion, node]."""
    first = rate(state, parameters)
    second = rate(state + step / 2 * first, parameters)
    third = rate(state + step / 2 * second, parameters)
    fourth = rate(state + step * third, parameters)
    return state + step / 6 * (first + 2 * second + 2 * third + fourth)


def rate(state: Values, parameters: Mapping[str, float]) -> Values:
    """The right-hand sides above."""
    position, velocity = state
    force = -parameters["stiffness"] * laplacian(position)
    return np.stack([velocity + parameters["damping"] * force, force - parameters["damping"] * laplacian(velocity)])


def laplacian(values: Values) -> Values:
    """2 x_i - x_{i-1} - x_{i+1} on a ring, (motions, nodes)."""
    return 2 * values - np.roll(values, 1, axis=1) - np.roll(values, -1, axis=1)
