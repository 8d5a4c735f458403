"""Attention as a soft dictionary: values weighed by how well their keys fit a query, the weights a partition of unity.

Owns the weights (softmax of a score, hat functions) and multi-head attention whose projections are dense networks. Knows
neither order nor positions: permuting keys together with their values changes nothing.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from networks.structure.perceptron import perceptron

Projection = Literal["identity", "linear", "mlp"]


def dot_score(queries: Tensor, keys: Tensor) -> Tensor:
    """q . k / sqrt(width): [..., query, feature] and [..., key, feature] to [..., query, key]."""
    return queries @ keys.mT / math.sqrt(queries.shape[-1])


def distance_score(queries: Tensor, keys: Tensor, temperature: Tensor | float) -> Tensor:
    """-|q - k|^2 / temperature: as the temperature goes to 0 the nearest key alone counts."""
    return -(queries[..., :, None, :] - keys[..., None, :, :]).square().sum(-1) / temperature


def look_up(scores: Tensor, values: Tensor) -> Tensor:
    """Values [..., key, feature] weighed by the softmax over keys of scores [..., query, key]."""
    return torch.softmax(scores, dim=-1) @ values


def hat_weights(queries: Tensor, nodes: Tensor) -> Tensor:
    """Piecewise linear hat functions of increasing nodes [node] at queries [query]: weights [query, node].

    They are not negative and sum to 1, as a softmax does; with values of an affine function they give it back. Queries
    outside the nodes count as the nearest end.
    """
    inside = queries.clamp(nodes[0], nodes[-1]).contiguous()
    right = torch.searchsorted(nodes.contiguous(), inside, right=True).clamp(1, len(nodes) - 1)
    left = right - 1
    share = (inside - nodes[left]) / (nodes[right] - nodes[left])
    weights = queries.new_zeros(len(queries), len(nodes))
    return weights.scatter(1, left[:, None], (1 - share)[:, None]).scatter(1, right[:, None], share[:, None])


class MultiHeadAttention(nn.Module):
    """Queries, keys and values, each through a network of its own for each head; heads are put side by side, then mixed.

    `projection` is a dense network (`mlp`, of `depth` hidden layers as wide as the heads together), a linear map, or
    nothing; with one head and nothing it is `look_up(dot_score(q, k), v)`.
    """

    def __init__(
        self,
        widths: tuple[int, int, int],
        width: int,
        heads: int,
        *,
        projection: Projection = "mlp",
        depth: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        assert width % heads == 0
        hidden = {"mlp": depth * [width], "linear": [], "identity": None}[projection]

        def projections(inner: int) -> nn.ModuleList:
            if hidden is None:
                return nn.ModuleList(nn.Identity() for _ in range(heads))
            return nn.ModuleList(perceptron([inner, *hidden, width // heads], dropout=dropout) for _ in range(heads))

        self.queries, self.keys, self.values = (projections(inner) for inner in widths)
        self.out = nn.Identity() if hidden is None else nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """[sample, query, ...], [sample, key, ...] twice, to [sample, query, width]."""
        heads = [
            look_up(dot_score(to_query(queries), to_key(keys)), to_value(values))
            for to_query, to_key, to_value in zip(self.queries, self.keys, self.values, strict=True)
        ]
        mixed: Tensor = self.out(torch.cat(heads, dim=-1))
        return mixed
