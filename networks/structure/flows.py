"""Gradient flows on graphs: Hamiltonian and double-bracket dynamics of an energy, structure before learning.

Owns the skew map J between nodes and edges and the learned energy. A state is [sample, node + edge, feature]: q on nodes,
then p on edges. What goes forward in time is in integrators.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from networks.structure.graph import Graph
from networks.structure.perceptron import perceptron

Energy = Callable[[Tensor], Tensor]
"""States [sample, ...] to energies [sample]."""

Rate = Callable[[Tensor], Tensor]
"""States to dx/dt: all that the integrators but the discrete gradient need of a flow."""

Structure = Callable[[Tensor], Tensor]
"""A linear map of states."""


@dataclass(frozen=True)
class Flow:
    """dx/dt = B grad E(x) with a linear B that does not depend on x."""

    energy: Energy
    structure: Structure

    def gradient(self, x: Tensor) -> Tensor:
        """grad E at each sample; with a graph of its own where gradients are asked for."""
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():
            # A new leaf where nobody asks for gradients: x may be a constant, then.
            point = x if wanted and x.requires_grad else x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.energy(point).sum(), point, create_graph=wanted)
        return gradient

    def __call__(self, x: Tensor) -> Tensor:
        """dx/dt."""
        return self.structure(self.gradient(x))


def skew(graph: Graph, scale: Tensor | float = 1.0) -> Structure:
    """J = [[0, -delta^T], [delta, 0]]: forces on nodes from edges, stretching of edges from nodes. J^T = -J.

    `scale` [sample, edge, 1] stands before delta and behind delta^T; the sums that stay around cycles are of p / scale, then.
    """

    def apply(x: Tensor) -> Tensor:
        q, p = x[:, : graph.num_nodes], x[:, graph.num_nodes :]
        return torch.cat([-graph.divergence(scale * p), scale * graph.difference(q)], dim=1)

    return apply


def hamiltonian(energy: Energy, turn: Structure) -> Flow:
    """dx/dt = J grad E: keeps E, the sum of q over nodes, and the sum of p around every cycle."""
    return Flow(energy, turn)


def double_bracket(energy: Energy, turn: Structure, damping: Tensor | float = 1.0) -> Flow:
    """dx/dt = J grad E - damping J^T J grad E: dE/dt = -damping |J grad E|^2; the sums above stay."""

    def apply(x: Tensor) -> Tensor:
        turned = turn(x)
        return turned + damping * turn(turned)

    return Flow(energy, apply)


class LearnedEnergy(nn.Module):
    """E = 1/2 |x|^2 + networks of each node's q and each edge's p, summed: bounded below, since the networks end in tanh.

    Sums over nodes and edges make it blind to their numbering. Nodes of which `free` [node] is 0 have no energy of motion
    and never move. `kinds` [edge, kind] tells edges of different energies apart.
    """

    free: Tensor | None
    kinds: Tensor | None

    def __init__(
        self, features: int, hidden: int, depth: int = 2, *, free: Tensor | None = None, kinds: Tensor | None = None
    ) -> None:
        super().__init__()
        inner = features + (0 if kinds is None else kinds.shape[-1])
        # A bias at the end would move nothing, and a weight without a gradient is an error to DDP.
        self.of_nodes, self.of_edges = (
            perceptron([width, *depth * [hidden], 1], activation="tanh", last_bias=False) for width in (features, inner)
        )
        self.register_buffer("free", free, persistent=False)
        self.register_buffer("kinds", kinds, persistent=False)

    def forward(self, q: Tensor, p: Tensor) -> Tensor:
        """q [sample, node, feature] and p [sample, edge, feature] to energies [sample]."""
        nodes = q.square().sum(-1) / 2 + self.of_nodes(q)[..., 0]
        told = p if self.kinds is None else torch.cat([p, self.kinds.expand(len(p), -1, -1)], dim=-1)
        edges = p.square().sum(-1) / 2 + self.of_edges(told)[..., 0]
        total: Tensor = (nodes if self.free is None else nodes * self.free).sum(1) + edges.sum(1)
        return total

    def of_state(self, num_nodes: int) -> Energy:
        """The same for states [sample, node + edge, feature]."""
        return lambda x: self(x[:, :num_nodes], x[:, num_nodes:])
