"""The three-body map as the texts write it in torch: whole-grid tensors, one operation after the other, no early stop."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

MASS = (10.0, 20.0, 30.0)


def accelerations(p: list[torch.Tensor]) -> list[torch.Tensor]:
    """Pull on each of three bodies, tensors of shape (3, pixels), by the norm's third power."""

    def pull(a: int, b: int) -> torch.Tensor:
        d = p[a] - p[b]
        return -9.8 * MASS[b] * d / (torch.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2) ** 3)

    return [pull(0, 1) + pull(0, 2), pull(1, 2) + pull(1, 0), pull(2, 0) + pull(2, 1)]


def divergence(x: NDArray[np.float64], y: NDArray[np.float64], steps: int, dt: float) -> NDArray[np.int32]:
    """Times of the starting points (x, y, -11), float64 arrays of one dimension."""
    start = [torch.from_numpy(np.stack([x, y, np.full_like(x, -11.0)]))]
    for corner in ((0.0, 0.0, 0.0), (10.0, 10.0, 12.0)):
        start.append(torch.tensor(corner, dtype=torch.float64)[:, None].expand(3, x.size).clone())
    speed = [torch.zeros(3, x.size, dtype=torch.float64) for _ in range(3)]
    speed[0][0], speed[2][0] = -3.0, 3.0
    systems = [(start, speed), ([start[0] + 1e-3, *start[1:]], speed)]
    together = torch.ones(x.size, dtype=torch.bool)
    times = torch.zeros(x.size, dtype=torch.int32)
    for _ in range(steps):
        separation = torch.sqrt(((systems[0][0][0] - systems[1][0][0]) ** 2).sum(0))
        together &= separation <= 0.5
        times += together
        moved = []
        for p, v in systems:
            a = accelerations(p)
            moved.append(
                (
                    [pi + dt * vi for pi, vi in zip(p, v, strict=True)],
                    [vi + dt * ai for vi, ai in zip(v, a, strict=True)],
                )
            )
        systems = moved
    return times.numpy()
