"""How wide a model must be to tell tokens apart: the estimate after Johnson and Lindenstrauss, and its trial by projection.

Owns the bound and the trial. Draws only from the generator it is given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def width_bound(points: float, error: float) -> float:
    """8 ln(points) / error^2: any greater width has room for so many points with relative errors below `error`.

    The errors are those of squared distances. `points` may be an integer of any size. The text counts with error 1, and
    gives ln m = 1312 instead of 8 ln m = 10,500 for its 10^570 points.
    """
    assert points > 1
    assert 0 < error <= 1
    return 8 * math.log(points) / error**2


def smallest_width(points: float, error: float) -> int:
    """The least whole number above the bound."""
    return math.floor(width_bound(points, error)) + 1


def projection_error(points: Tensor, width: int, generator: torch.Generator) -> float:
    """The largest relative error of squared distances between [point, feature], once projected at random to `width`.

    The projection is Gaussian with variance 1 / width, so that squared distances are right on average.
    """
    matrix = torch.randn(points.shape[1], width, generator=generator, dtype=points.dtype) / math.sqrt(width)
    before, after = torch.pdist(points).square(), torch.pdist(points @ matrix).square()
    return float((after / before - 1).abs().max())
