"""A field y(x) given z: cross attention from where it is asked to what is known, and the same without z.

Owns how places become features and where z enters. z is a set of (place, value): its order means nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from networks.structure.dictionary import MultiHeadAttention, Projection
from networks.structure.perceptron import perceptron

Conditioning = Literal["attention", "none"]


@dataclass(frozen=True)
class Settings:
    """What a field is made of; `conditioning = none` never sees z."""

    conditioning: Conditioning = "attention"
    width: int = 64
    heads: int = 4
    depth: int = 2
    projection: Projection = "mlp"
    projection_depth: int = 1
    frequencies: int = 4
    dropout: float = 0.0


def place_features(x: Tensor, frequencies: int) -> Tensor:
    """Places [...] of the unit interval as [..., 1 + 2 frequencies]: x, and sines and cosines of pi 2^k x."""
    angles = math.pi * x[..., None] * 2.0 ** torch.arange(frequencies, device=x.device, dtype=x.dtype)
    return torch.cat([x[..., None], torch.sin(angles), torch.cos(angles)], dim=-1)


class NeuralField(nn.Module):
    """f(x | z): queries are places x, keys the places where z is known, values those places with z there."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings, own = settings, settings
        place = 1 + 2 * own.frequencies
        self.attention = (
            MultiHeadAttention(
                (place, place, place + 1),
                own.width,
                own.heads,
                projection=own.projection,
                depth=own.projection_depth,
                dropout=own.dropout,
            )
            if own.conditioning == "attention"
            else None
        )
        inner = place + (own.width if self.attention else 0)
        self.out = perceptron([inner, *own.depth * [own.width], 1], dropout=own.dropout)

    def forward(self, x: Tensor, places: Tensor, z: Tensor) -> Tensor:
        """Places x [sample, query], places and values of z [sample, key] twice, to y [sample, query]."""
        asked = place_features(x, self.settings.frequencies)
        if self.attention is None:
            return self.out(asked)[..., 0]  # type: ignore[no-any-return]
        known = place_features(places, self.settings.frequencies)
        seen = self.attention(asked, known, torch.cat([known, z[..., None]], dim=-1))
        return self.out(torch.cat([asked, seen], dim=-1))[..., 0]  # type: ignore[no-any-return]
