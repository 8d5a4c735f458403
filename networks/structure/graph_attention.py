"""Graph attention (Velickovic and others, 2018): nodes take a weighted mean of themselves and their neighbours.

Owns the layer. Each node is its own neighbour, so that one without edges has a mean as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.structure.graph import Graph, neighbour_softmax

SLOPE = 0.2
"""Of LeakyReLU below 0."""


class GraphAttention(nn.Module):
    """h_i to sigma(sum_j alpha_ij W h_j), alpha_i the softmax over i and its neighbours of LeakyReLU(a . [W h_i, W h_j])."""

    def __init__(self, width: int, heads: int = 1) -> None:
        super().__init__()
        assert width % heads == 0
        self.heads = heads
        self.map = nn.Linear(width, width, bias=False)
        # The product of a with [W h_i, W h_j] is a sum of a product with each.
        self.of_target, self.of_source = (nn.Parameter(torch.empty(heads, width // heads)) for _ in range(2))
        for vector in (self.of_target, self.of_source):
            nn.init.xavier_uniform_(vector)

    def weights(self, h: Tensor, graph: Graph) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sources and targets of all arrows, alpha [arrow, head], and W h [sample * node, head, feature]."""
        mapped = self.map(h).flatten(0, 1).unflatten(-1, (self.heads, -1))
        sources, targets = graph.arrows(loops=True)
        of_target, of_source = ((mapped * vector).sum(-1) for vector in (self.of_target, self.of_source))
        scores = functional.leaky_relu(of_target.index_select(0, targets) + of_source.index_select(0, sources), SLOPE)
        return sources, targets, neighbour_softmax(scores, targets, len(mapped)), mapped

    def forward(self, h: Tensor, graph: Graph) -> Tensor:
        """[sample, node, feature] to the same."""
        sources, targets, alpha, mapped = self.weights(h, graph)
        messages = alpha[..., None] * mapped.index_select(0, sources)
        total = torch.zeros_like(mapped).index_add(0, targets, messages)
        return functional.elu(total.flatten(1).reshape(h.shape))
