"""Motions of coupled masses over time, and solutions of a diffusion equation, from `.npz` files.

Owns two layouts. Trajectories: `positions` and `velocities` (trajectories, times, nodes), `edges` (edges, 2), `split`
(trajectories,), and the numbers `time_step`, `stiffness`, `gravity`, `friction`. Diffusion: `points` (points,),
`solution` (samples, points), `midpoints` (points - 1,), `coefficient` (samples, points - 1), `split` (samples,).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from networks.data.arrays import Wanted, check_split, read_npz

TRAJECTORIES_FILE = "trajectories.npz"
DIFFUSION_FILE = "diffusion.npz"

TRAJECTORIES = {
    "positions": Wanted(3, "<f8"),
    "velocities": Wanted(3, "<f8"),
    "edges": Wanted(2, "<i4"),
    "split": Wanted(1, "|u1"),
    "time_step": Wanted(0, "<f8"),
    "stiffness": Wanted(0, "<f8"),
    "gravity": Wanted(0, "<f8"),
    "friction": Wanted(0, "<f8"),
}
DIFFUSION = {
    "points": Wanted(1, "<f8"),
    "solution": Wanted(2, "<f8"),
    "midpoints": Wanted(1, "<f8"),
    "coefficient": Wanted(2, "<f8"),
    "split": Wanted(1, "|u1"),
}


@dataclass(frozen=True)
class Trajectories:
    """Motions of unit masses at equal times; the fields are the arrays of the layout."""

    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    edges: NDArray[np.int32]
    split: NDArray[np.uint8]
    time_step: float
    stiffness: float
    gravity: float
    friction: float

    def extensions(self) -> NDArray[np.float64]:
        """How far each edge is stretched, (trajectories, times, edges): with the velocities a state on edges and nodes."""
        return self.positions[..., self.edges[:, 1]] - self.positions[..., self.edges[:, 0]]

    def energy(self) -> NDArray[np.float64]:
        """Kinetic energy, that of the springs and that of the weights: (trajectories, times)."""
        kinetic = (self.velocities**2).sum(-1) / 2
        springs = self.stiffness * (self.extensions() ** 2).sum(-1) / 2
        weights: NDArray[np.float64] = self.gravity * (1 - np.cos(self.positions)).sum(-1)
        total: NDArray[np.float64] = kinetic + springs + weights
        return total


@dataclass(frozen=True)
class Diffusion:
    """Solutions u of -(k u')' = 1 with u = 0 at both ends, and their k; the fields are the arrays of the layout."""

    points: NDArray[np.float64]
    solution: NDArray[np.float64]
    midpoints: NDArray[np.float64]
    coefficient: NDArray[np.float64]
    split: NDArray[np.uint8]


def load_trajectories(path: Path) -> Trajectories:
    """The motions of a file, or of `trajectories.npz` in a folder. Raises RequestError where the shapes do not agree."""
    file = path / TRAJECTORIES_FILE if path.is_dir() else path
    arrays = read_npz(file, TRAJECTORIES)
    shape, edges = arrays["positions"].shape, arrays["edges"]
    _agree(file, "positions and velocities", shape, arrays["velocities"].shape)
    check_split(file, arrays["split"], shape[0], "motions")
    if edges.shape[1:] != (2,) or (edges.size and not 0 <= edges.min() <= edges.max() < shape[2]):
        raise RequestError(f"data file {file}: edges are no pairs of nodes 0 ... {shape[2] - 1}")
    if shape[1] < 2 or float(arrays["time_step"]) <= 0:
        raise RequestError(f"data file {file}: there are not two times with a positive time_step between them")
    return Trajectories(
        arrays["positions"],
        arrays["velocities"],
        edges,
        arrays["split"],
        *(float(arrays[name]) for name in ("time_step", "stiffness", "gravity", "friction")),
    )


def load_diffusion(path: Path) -> Diffusion:
    """The solutions of a file, or of `diffusion.npz` in a folder. Raises RequestError where the shapes do not agree."""
    file = path / DIFFUSION_FILE if path.is_dir() else path
    found = Diffusion(**read_npz(file, DIFFUSION))
    samples = len(found.solution)
    _agree(file, "solution", found.solution.shape, (samples, found.points.size))
    _agree(file, "coefficient", found.coefficient.shape, (samples, found.midpoints.size))
    check_split(file, found.split, samples, "solutions")
    if (found.coefficient <= 0).any():
        raise RequestError(f"data file {file}: coefficient has values that are not positive")
    return found


def _agree(file: Path, what: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if found != wanted:
        raise RequestError(f"data file {file}: the shapes of {what} do not agree, {list(found)} and {list(wanted)}")
