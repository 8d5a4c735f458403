"""Models that turn a sequence of symbols, one-hot, into one number.

Owns the models. Each is called with floats (batch, length, symbols) and gives (batch,); `features` gives the last hidden layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Dense layers over all symbols of all places at once, ReLU and dropout between them."""

    def __init__(self, length: int, symbols: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        sizes = [length * symbols, *hidden]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(sizes[-1], 1)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer: (batch, hidden[-1])."""
        h = x.flatten(1)
        for layer in self.layers:
            h = self.dropout(torch.relu(layer(h)))
        return h

    def forward(self, x: Tensor) -> Tensor:
        """One number a sample: (batch,)."""
        return cast(Tensor, self.last(self.features(x)).squeeze(1))


class Recurrent(nn.Module):
    """An LSTM that reads place after place; its last state gives the number."""

    def __init__(self, symbols: int, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        between = dropout if depth > 1 else 0.0
        self.lstm = nn.LSTM(symbols, width, depth, batch_first=True, dropout=between)
        self.last = nn.Linear(width, 1)

    def features(self, x: Tensor) -> Tensor:
        """The state after the last place: (batch, width)."""
        states, _ = self.lstm(x)
        return cast(Tensor, states[:, -1])

    def forward(self, x: Tensor) -> Tensor:
        """One number a sample: (batch,)."""
        return cast(Tensor, self.last(self.features(x)).squeeze(1))


class Encoder(nn.Module):
    """A transformer encoder over one-hot symbols, whose places are laid side by side before dense layers: `hidden`, then one.

    Without `positions` the encoder itself is equivariant under permutations of the places; only the dense layers tell them
    apart. The number is not negative: a ReLU comes last where `rectified`.
    """

    def __init__(
        self,
        length: int,
        symbols: int,
        *,
        depth: int,
        heads: int,
        feed_forward: int,
        hidden: Sequence[int],
        dropout: float,
        positions: bool,
        rectified: bool,
    ) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(symbols, heads, feed_forward, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.dropout = nn.Dropout(dropout)
        sizes = [length * symbols, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.last = nn.Linear(sizes[-1], 1)
        self.rectified = rectified
        if rectified:
            # Below 0 for all rows there is no gradient: begin above it.
            nn.init.ones_(self.last.bias)
        table = sinusoids(length, symbols) if positions else torch.zeros(length, symbols)
        self.register_buffer("positions", table, persistent=False)

    def encoded(self, x: Tensor) -> Tensor:
        """Places after the encoder: (batch, length, symbols)."""
        positions = cast(Tensor, self.positions)
        return cast(Tensor, self.encoder(self.dropout(x + positions)))

    def features(self, x: Tensor) -> Tensor:
        """The dense layer before the last: (batch, hidden[-1])."""
        h = self.encoded(x).flatten(1)
        for layer in self.hidden:
            h = torch.relu(layer(h))
        return h

    def forward(self, x: Tensor) -> Tensor:
        """One number a sample: (batch,)."""
        y = cast(Tensor, self.last(self.features(x)).squeeze(1))
        return torch.relu(y) if self.rectified else y


def sinusoids(length: int, width: int) -> Tensor:
    """Sines and cosines of the place at wavelengths from 2 pi to 10,000 * 2 pi: (length, width).

    Source: Vaswani et al., Attention is all you need, 2017, section 3.5; the last column is left out for odd widths.
    """
    half = (width + 1) // 2
    rates = torch.exp(torch.arange(half) * (-math.log(10_000.0) * 2 / width))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :width]


class Linear(nn.Module):
    """A linear function of all symbols, for comparison."""

    def __init__(self, length: int, symbols: int) -> None:
        super().__init__()
        self.last = nn.Linear(length * symbols, 1)

    def features(self, x: Tensor) -> Tensor:
        """The symbols themselves: (batch, length*symbols)."""
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """One number a sample: (batch,)."""
        return cast(Tensor, self.last(self.features(x)).squeeze(1))
