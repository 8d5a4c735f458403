"""Least squares, and how well numbers are predicted: pure functions of arrays.

Owns the linear baseline and the measures of a regression. Never trains by gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearFit:
    """y = x @ weights + bias, with x (count, features), weights (features,). `mean` is that of the features fitted."""

    weights: Floats
    bias: float
    mean: Floats

    def __call__(self, x: Floats) -> Floats:
        """Predictions (count,); missing features (NaN) count as the mean of those fitted."""
        return np.asarray(np.where(np.isnan(x), self.mean, x) @ self.weights + self.bias)


def least_squares(x: Floats, y: Floats) -> LinearFit:
    """The linear function with the least mean square error; columns that depend on others share their weight.

    `x` is (count, features), `y` (count,), both float64. Missing features (NaN) count as the mean of those that are there;
    one that is never there has no weight.
    """
    there = ~np.isnan(x)
    mean_x = np.where(there, x, 0.0).sum(axis=0) / np.maximum(1, there.sum(axis=0))
    mean_y = float(y.mean())
    centred = np.where(there, x - mean_x, 0.0)
    weights = np.asarray(np.linalg.lstsq(centred, y - mean_y, rcond=None)[0], dtype=np.float64)
    return LinearFit(weights, mean_y - float(mean_x @ weights), mean_x)


def determination(predicted: Floats, actual: Floats) -> float:
    """R^2: one minus the share of the variance that is left, at most 1; NaN where nothing varies."""
    variance = float(((actual - actual.mean()) ** 2).sum())
    return 1.0 - float(((predicted - actual) ** 2).sum()) / variance if variance > 0 else float("nan")


def pair_distances(x: Floats) -> Floats:
    """L1 distances of all pairs of the rows of x (count, width): of the first row with each later one, of the second, ..."""
    return np.asarray(torch.pdist(torch.from_numpy(x), p=1).numpy())


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's; NaN where one does not vary."""
    if not a.size:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")
