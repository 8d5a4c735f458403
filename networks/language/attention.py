"""Causal attention: scores by dot product or by distance, with or without rotary positions.

Owns projections, scores and the rotation. Has no dropout of its own; keeps no masks and no tables of angles.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.language.settings import Score

DISTANCE_FLOOR = 1e-6
"""Added to squared distances: the root of 0 has no gradient."""

ROTARY_BASE = 10_000.0


def rotate(x: Tensor) -> Tensor:
    """Rotary positions: the features i and i + n/2 of [..., place, feature] turned by place * base^(-2 i / n).

    Products of two rotated vectors depend on the distance of their places alone (Su and others, 2021). Angles and turn are
    in float32 at least.
    """
    half = x.shape[-1] // 2
    exact = torch.promote_types(x.dtype, torch.float32)
    frequencies = ROTARY_BASE ** (-torch.arange(half, device=x.device, dtype=exact) / half)
    angles = torch.arange(x.shape[-2], device=x.device, dtype=exact)[:, None] * frequencies
    cosine, sine = angles.cos(), angles.sin()
    first, second = x[..., :half].to(exact), x[..., half:].to(exact)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x.dtype)


def squared_distances(queries: Tensor, keys: Tensor) -> Tensor:
    """|q - k|^2 between all [..., query, feature] and [..., key, feature], at least 0, in float32 at least.

    From |q|^2 + |k|^2 - 2 q.k: the differences themselves would take the memory of one vector a pair.
    """
    with _full_precision(queries.device.type):
        exact = torch.promote_types(queries.dtype, torch.float32)
        queries, keys = queries.to(exact), keys.to(exact)
        lengths = queries.square().sum(-1)[..., :, None] + keys.square().sum(-1)[..., None, :]
        return (lengths - 2 * queries @ keys.mT).clamp_min(0)


def _full_precision(device: str) -> AbstractContextManager[object]:
    """No autocast; on devices that know none, such as meta, nothing."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


class HeadNetworks(nn.Module):
    """A dense network for each head, of `depth` hidden layers as wide as the heads together; their outputs side by side."""

    def __init__(self, width: int, heads: int, depth: int, *, bias: bool) -> None:
        super().__init__()

        def network() -> nn.Sequential:
            hidden = [part for _ in range(depth) for part in (nn.Linear(width, width, bias=bias), nn.GELU())]
            return nn.Sequential(*hidden, nn.Linear(width, width // heads, bias=bias))

        self.networks = nn.ModuleList(network() for _ in range(heads))

    def forward(self, x: Tensor) -> Tensor:
        """[..., feature] to the same."""
        return torch.cat([network(x) for network in self.networks], dim=-1)


class Attention(nn.Module):
    """Multi-head attention in which no place sees a later one.

    Scores are q.k / sqrt(n), -|q - k| or -|q - k|^2. The latter two do not change when queries and keys are turned or moved
    together at the heads; a turn of the input changes all three, since it passes different projections. These are linear,
    or networks of `projection_depth` hidden layers for each head.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        score: Score = "dot",
        rotary: bool = False,
        bias: bool = True,
        projection_depth: int = 0,
    ) -> None:
        super().__init__()
        self.heads, self.score, self.rotary = heads, score, rotary

        def projection() -> nn.Module:
            if not projection_depth:
                return nn.Linear(width, width, bias=bias)
            return HeadNetworks(width, heads, projection_depth, bias=bias)

        self.query, self.key, self.value = projection(), projection(), projection()
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[sample, place, feature] to the same."""
        value = self._split(self.value(x))
        if self.score == "dot":
            query, key = self._query_and_key(x)
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            mixed = self._weights(x).to(value.dtype) @ value
        joined: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return joined

    def weights(self, x: Tensor) -> Tensor:
        """How much each place takes from each, [head, query, key], of the first sample; rows sum to 1."""
        return self._weights(x[:1])[0]

    def _weights(self, x: Tensor) -> Tensor:
        query, key = self._query_and_key(x)
        if self.score == "dot":
            scores = query @ key.mT / math.sqrt(query.shape[-1])
        else:
            squared = squared_distances(query, key)
            scores = -squared if self.score == "squared-distance" else -(squared + DISTANCE_FLOOR).sqrt()
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
        return scores.masked_fill(later, -math.inf).softmax(-1)

    def _query_and_key(self, x: Tensor) -> tuple[Tensor, Tensor]:
        query, key = self._split(self.query(x)), self._split(self.key(x))
        return (rotate(query), rotate(key)) if self.rotary else (query, key)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)
