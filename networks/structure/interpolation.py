"""One-dimensional functions from values at nodes: hat functions and softmax attention as bases.

Owns the three bases. Values start as those of the function at the nodes, so that hat functions interpolate before any step.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from networks.structure.dictionary import distance_score, dot_score, hat_weights
from networks.structure.field import place_features
from networks.structure.perceptron import perceptron

FREQUENCIES = 4
"""Sines and cosines that the networks of `mlp` see a place by."""

Basis = Literal["hat", "softmax", "mlp"]


class Dictionary(nn.Module):
    """f(x) = sum_n alpha_n(x) y_n, with keys at nodes [node].

    `hat` are the piecewise linear functions of the nodes; `softmax` weighs nodes by -(x - x_n)^2 / temperature, which is
    learned and starts at the square of the nodes' distance; `mlp` by the product of x and x_n after a network each.
    """

    nodes: Tensor

    def __init__(self, basis: Basis, nodes: Tensor, values: Tensor, width: int = 32) -> None:
        super().__init__()
        self.basis = basis
        self.register_buffer("nodes", nodes, persistent=False)
        self.values = nn.Parameter(values.clone())
        if basis == "softmax":
            step = (nodes[-1] - nodes[0]) / (len(nodes) - 1)
            self.log_temperature = nn.Parameter(2 * step.log())
        elif basis == "mlp":
            inner = 1 + 2 * FREQUENCIES
            self.query, self.key = (perceptron([inner, width, width], activation="tanh") for _ in range(2))

    def weights(self, x: Tensor) -> Tensor:
        """alpha [point, node] at points x [point]: not negative, each row sums to 1."""
        if self.basis == "hat":
            return hat_weights(x, self.nodes)
        if self.basis == "softmax":
            scores = distance_score(x[:, None], self.nodes[:, None], self.log_temperature.exp())
            return torch.softmax(scores, dim=-1)
        low, high = self.nodes[0], self.nodes[-1]
        queries, keys = (place_features((of - low) / (high - low), FREQUENCIES) for of in (x, self.nodes))
        return torch.softmax(dot_score(self.query(queries), self.key(keys)), dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """The function's value at points x [point]."""
        with torch.autocast(x.device.type, enabled=False):
            return self.weights(x) @ self.values
