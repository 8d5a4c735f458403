"""Motions of masses as states on a graph: velocities on nodes, extensions on edges; and their energy.

Owns the way from trajectories to states. Weights that hang from a support are edges from one more node, the support, which
has no energy of motion and takes up what momentum the others lose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from networks.data.trajectories import Trajectories


@dataclass(frozen=True)
class Motions:
    """States [motion, time, node + edge, 1] in float64 of the graph `edges` [edge, 2].

    `free` [node] is 0 for the support, None where there is none. `kinds` [edge, 2] tells springs from hangings, None where
    all are springs.
    """

    states: Tensor
    edges: Tensor
    num_nodes: int
    free: Tensor | None
    kinds: Tensor | None
    stiffness: float
    gravity: float

    def energy(self, states: Tensor) -> Tensor:
        """The true energy of unit masses at states [..., node + edge, 1]."""
        q, p = states[..., : self.num_nodes, 0], states[..., self.num_nodes :, 0]
        nodes, springs = q.square() / 2, self.stiffness * p.square() / 2
        if self.free is not None and self.kinds is not None:
            nodes = nodes * self.free
            hangings = self.gravity * (1 - torch.cos(p))
            springs = springs * self.kinds[:, 0] + hangings * self.kinds[:, 1]
        total: Tensor = nodes.sum(-1) + springs.sum(-1)
        return total

    def cycles(self) -> Tensor:
        """An orthonormal basis [cycle, edge] of the extensions around cycles, which no motion changes."""
        incidence = torch.zeros(len(self.edges), self.num_nodes, dtype=torch.float64)
        rows = torch.arange(len(self.edges))
        incidence[rows, self.edges[:, 1]] += 1
        incidence[rows, self.edges[:, 0]] -= 1
        left, values, _ = torch.linalg.svd(incidence, full_matrices=True)
        rank = int((values > 1e-9).sum())
        basis: Tensor = left[:, rank:].T
        return basis


def motions(found: Trajectories) -> Motions:
    """The states of trajectories; with a support where gravity is not 0."""
    velocities, extensions = found.velocities, found.extensions()
    num_nodes = velocities.shape[-1]
    edges = found.edges.astype(np.int64)
    free = kinds = None
    if found.gravity:
        hangings = np.stack([np.full(num_nodes, num_nodes), np.arange(num_nodes)], axis=1)
        kinds = _one_hot([0] * len(edges) + [1] * num_nodes)
        # By way of NumPy, which no default device of torch changes.
        free = torch.from_numpy(np.array([1.0] * num_nodes + [0.0]))
        edges = np.concatenate([edges, hangings])
        velocities = np.concatenate([velocities, -velocities.sum(-1, keepdims=True)], axis=-1)
        extensions = np.concatenate([extensions, found.positions], axis=-1)
    states = torch.from_numpy(np.concatenate([velocities, extensions], axis=-1)[..., None])
    return Motions(states, torch.from_numpy(edges), velocities.shape[-1], free, kinds, found.stiffness, found.gravity)


def _one_hot(kinds: list[int]) -> Tensor:
    rows: NDArray[np.float64] = np.eye(2)[kinds]
    return torch.from_numpy(rows)
