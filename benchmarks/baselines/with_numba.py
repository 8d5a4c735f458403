"""The three-body map in Numba: the plain C loop, written the way one writes it in Python."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def _step(p: Doubles, v: Doubles, a: Doubles, attraction: Doubles, dt: float) -> None:
    a[:] = 0.0
    for i in range(3):
        for j in range(i):
            d0, d1, d2 = p[i, 0] - p[j, 0], p[i, 1] - p[j, 1], p[i, 2] - p[j, 2]
            square = d0 * d0 + d1 * d1 + d2 * d2
            f = 1.0 / (square * sqrt(square))
            for c, d in ((0, d0), (1, d1), (2, d2)):
                a[i, c] -= attraction[j] * f * d
                a[j, c] += attraction[i] * f * d
    for i in range(3):
        for c in range(3):
            p[i, c] += dt * v[i, c]
            v[i, c] += dt * a[i, c]


step: Any = njit(cache=False)(_step)


@njit(cache=False)
def divergence(x: Doubles, y: Doubles, steps: int, dt: float) -> NDArray[np.int32]:
    """Times of the starting points (x, y, -11), float64 arrays of one dimension."""
    times = np.zeros(x.size, np.int32)
    attraction = 9.8 * np.array([10.0, 20.0, 30.0])
    a = np.zeros((3, 3))
    for pixel in range(x.size):
        p = np.array([[x[pixel], y[pixel], -11.0], [0.0, 0.0, 0.0], [10.0, 10.0, 12.0]])
        v = np.array([[-3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
        q, w = p.copy(), v.copy()
        q[0] += 1e-3
        k = 0
        while k < steps:
            d0, d1, d2 = p[0, 0] - q[0, 0], p[0, 1] - q[0, 1], p[0, 2] - q[0, 2]
            if not d0 * d0 + d1 * d1 + d2 * d2 <= 0.25:
                break
            step(p, v, a, attraction, dt)
            step(q, w, a, attraction, dt)
            k += 1
        times[pixel] = k
    return times
