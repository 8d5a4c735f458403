"""Diffusion along the edges of a graph with learned weights (GRAND, Chamberlain and others, 2021).

Owns the weights and the step. delta* delta h = sum_j alpha_ij (h_i - h_j) is a positive Laplacian, so the step subtracts it.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from networks.structure.graph import Graph, neighbour_softmax

Weights = Literal["symmetric", "row-stochastic"]
Activation = Literal["identity", "tanh"]


class GraphDiffusion(nn.Module):
    """h to h - step * sigma(delta* delta h), with weights from scaled dot products of learned projections.

    `row-stochastic` weights are a softmax over the neighbours: each node stays between them, the mean over nodes drifts.
    `symmetric` ones are one number an edge, below 1 / the larger degree of its ends: delta* is then the adjoint of delta,
    the mean over nodes stays, and the largest eigenvalue is below 2, so that steps up to 1 never raise the energy.
    """

    def __init__(
        self, width: int, *, weights: Weights = "symmetric", step: float = 0.5, activation: Activation = "identity"
    ) -> None:
        super().__init__()
        self.weights_kind, self.step, self.activation = weights, step, activation
        self.query, self.key = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)

    def edge_weights(self, h: Tensor, graph: Graph) -> Tensor:
        """Symmetric weights [sample, edge, 1] in (0, 1 / larger degree)."""
        query, key = self._projected(h)
        scores = _scores(query, key, graph.tails, graph.heads) + _scores(query, key, graph.heads, graph.tails)
        raised: Tensor = torch.sigmoid(scores).reshape(graph.num_samples, graph.num_edges, 1)
        return raised / graph.larger_degrees()

    def arrow_weights(self, h: Tensor, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        """Sources, targets, and weights [arrow] that sum to 1 over the arrows into a node."""
        sources, targets = graph.arrows(loops=False)
        scores = _scores(*self._projected(h), targets, sources)[:, None]
        return sources, targets, neighbour_softmax(scores, targets, h.shape[0] * h.shape[1])[:, 0]

    def forward(self, h: Tensor, graph: Graph) -> Tensor:
        """[sample, node, feature] to the same."""
        if self.weights_kind == "symmetric":
            change = -graph.divergence(self.edge_weights(h, graph) * graph.difference(h))
        else:
            sources, targets, alpha = self.arrow_weights(h, graph)
            flat = h.flatten(0, 1)
            pull = alpha[:, None] * (flat.index_select(0, sources) - flat.index_select(0, targets))
            change = torch.zeros_like(flat).index_add(0, targets, pull).reshape(h.shape)
        moved: Tensor = torch.tanh(change) if self.activation == "tanh" else change
        return h + self.step * moved

    def _projected(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys [sample * node, feature]."""
        return self.query(h).flatten(0, 1), self.key(h).flatten(0, 1)


def spread(h: Tensor) -> Tensor:
    """Root mean square distance of the nodes of [sample, node, feature] from their mean, for each sample."""
    return (h - h.mean(1, keepdim=True)).square().sum(-1).mean(1).sqrt()


def _scores(query: Tensor, key: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Scaled dot products of the queries and keys with these numbers."""
    scores = (query.index_select(0, queries) * key.index_select(0, keys)).sum(-1)
    scaled: Tensor = scores / query.shape[-1] ** 0.5
    return scaled
