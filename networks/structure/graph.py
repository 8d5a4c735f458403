"""Graphs and their calculus: differences along edges, and the adjoint of that.

Owns the meaning of edges [sample, edge, 2]: each edge once, from a tail to a head; (0, 0) fills up samples with fewer edges,
and by itself adds nothing to any sum below. Learns nothing. Sums go through `index_add`, which torch can make deterministic
on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Graph:
    """Graphs of equally many nodes, one a sample; nodes of all samples are numbered through inside."""

    def __init__(self, edges: Tensor, num_nodes: int) -> None:
        self.num_samples, self.num_edges, self.num_nodes = edges.shape[0], edges.shape[1], num_nodes
        offsets = torch.arange(self.num_samples, device=edges.device)[:, None] * num_nodes
        self.tails, self.heads = ((edges[..., side] + offsets).flatten() for side in (0, 1))

    def difference(self, h: Tensor) -> Tensor:
        """(delta h)_ij = h_j - h_i: nodes [sample, node, feature] to edges [sample, edge, feature]."""
        flat = h.flatten(0, 1)
        return self._of_edges(flat.index_select(0, self.heads) - flat.index_select(0, self.tails))

    def divergence(self, g: Tensor) -> Tensor:
        """The transpose of `difference`: edges [sample, edge, feature] to nodes [sample, node, feature]."""
        flat = g.flatten(0, 1)
        total = flat.new_zeros(self.num_samples * self.num_nodes, flat.shape[1])
        return self._of_nodes(total.index_add(0, self.heads, flat).index_add(0, self.tails, -flat))

    def degrees(self) -> Tensor:
        """How many edges each node has, [sample * node]."""
        ends = (self.tails != self.heads).long()
        total = ends.new_zeros(self.num_samples * self.num_nodes)
        return total.index_add(0, self.tails, ends).index_add(0, self.heads, ends)

    def larger_degrees(self) -> Tensor:
        """The larger degree of the two ends of each edge, at least 1: [sample, edge, 1].

        Edges weighed by its inverse have a Laplacian whose eigenvalues are at most 2.
        """
        degrees = self.degrees()
        larger = torch.maximum(degrees.index_select(0, self.tails), degrees.index_select(0, self.heads)).clamp_min(1)
        return larger.reshape(self.num_samples, self.num_edges, 1)

    def arrows(self, *, loops: bool) -> tuple[Tensor, Tensor]:
        """Every edge in both directions as (sources, targets), numbered through all samples; with each node's own loop."""
        real = self.tails != self.heads
        tails, heads = self.tails[real], self.heads[real]
        own = torch.arange(self.num_samples * self.num_nodes, device=tails.device) if loops else tails[:0]
        return torch.cat([tails, heads, own]), torch.cat([heads, tails, own])

    def _of_edges(self, flat: Tensor) -> Tensor:
        return flat.reshape(self.num_samples, self.num_edges, -1)

    def _of_nodes(self, flat: Tensor) -> Tensor:
        return flat.reshape(self.num_samples, self.num_nodes, -1)


def neighbour_softmax(scores: Tensor, targets: Tensor, num_targets: int) -> Tensor:
    """Softmax of scores [arrow, head] over the arrows that end in the same target."""
    index = targets[:, None].expand_as(scores)
    top = scores.detach().new_full((num_targets, scores.shape[1]), -torch.inf)
    top = top.scatter_reduce(0, index, scores.detach(), "amax")
    raised = torch.exp(scores - top.index_select(0, targets))
    total = raised.new_zeros(num_targets, scores.shape[1]).index_add(0, targets, raised)
    return raised / total.index_select(0, targets)
