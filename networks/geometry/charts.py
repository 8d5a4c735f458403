"""Charts of the circle, the sphere and the torus, and their inverses and overlaps, as functions of torch tensors.

Owns coordinates on manifolds. Points are tensors (count, dimension of the space) of any float type; nothing is sampled here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TURN = 2 * math.pi


@dataclass(frozen=True)
class Chart:
    """Coordinates of an open part of a manifold.

    `forward` takes points (count, n) to coordinates (count, d), `inverse` takes them back; `contains` tells which points
    the chart has, as bools (count,).
    """

    name: str
    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    contains: Callable[[Tensor], Tensor]


def stereographic(pole: float) -> Chart:
    """The sphere without the pole (0, 0, pole), seen from it on the plane z = 0: (x, y)/(1 - pole*z)."""

    def forward(points: Tensor) -> Tensor:
        return points[:, :2] / (1 - pole * points[:, 2:])

    def inverse(plane: Tensor) -> Tensor:
        square = (plane * plane).sum(dim=1, keepdim=True)
        return torch.cat((2 * plane, pole * (square - 1)), dim=1) / (square + 1)

    def contains(points: Tensor) -> Tensor:
        return points[:, 2] != pole

    return Chart(f"stereographic from z = {pole:+.0f}", forward, inverse, contains)


def half_circle(direction: float) -> Chart:
    """The circle without the point at the angle `direction`: the angle, which grows by a turn from there."""

    def forward(points: Tensor) -> Tensor:
        angle = torch.atan2(points[:, 1:], points[:, :1])
        return direction + torch.remainder(angle - direction, TURN)

    def inverse(angles: Tensor) -> Tensor:
        return torch.cat((torch.cos(angles), torch.sin(angles)), dim=1)

    def contains(points: Tensor) -> Tensor:
        return (points[:, 0] != math.cos(direction)) | (points[:, 1] != math.sin(direction))

    return Chart(f"angle from {direction:.3g}", forward, inverse, contains)


def torus_angles(first: float, second: float, large: float = 3.0, small: float = 1.0) -> Chart:
    """The torus without two circles: its angles, around the tube from `first` and around the axis from `second`."""

    def forward(points: Tensor) -> Tensor:
        x, y, z = points.T
        around_axis = torch.atan2(y, x)
        around_tube = torch.atan2(z, torch.hypot(x, y) - large)
        return torch.stack(
            (
                first + torch.remainder(around_tube - first, TURN),
                second + torch.remainder(around_axis - second, TURN),
            ),
            dim=1,
        )

    def inverse(angles: Tensor) -> Tensor:
        return torus(angles[:, 0], angles[:, 1], large, small)

    def contains(points: Tensor) -> Tensor:
        angles = forward(points)
        return (angles[:, 0] != first) & (angles[:, 1] != second)

    return Chart(f"angles from {first:.3g}, {second:.3g}", forward, inverse, contains)


def torus(around_tube: Tensor, around_axis: Tensor, large: float, small: float) -> Tensor:
    """Points of a torus: float (count, 3), from angles (count,); `large` is the axis' radius, `small` the tube's."""
    distance = large + small * torch.cos(around_tube)
    return torch.stack(
        (distance * torch.cos(around_axis), distance * torch.sin(around_axis), small * torch.sin(around_tube)), dim=1
    )


def sphere(azimuth: Tensor, polar: Tensor) -> Tensor:
    """Points of the unit sphere (count, 3) from spherical coordinates (count,): `polar` is the angle from the north pole."""
    ring = torch.sin(polar)
    return torch.stack((ring * torch.cos(azimuth), ring * torch.sin(azimuth), torch.cos(polar)), dim=1)


def spherical(points: Tensor) -> Tensor:
    """Spherical coordinates (count, 2) of points of the sphere: azimuth in [0, 2 pi), angle from the north pole.

    They are singular at the poles. The cosine is clamped, as rounding may carry it beyond 1.
    """
    azimuth = torch.remainder(torch.atan2(points[:, 1], points[:, 0]), TURN)
    return torch.stack((azimuth, torch.acos(points[:, 2].clamp(-1, 1))), dim=1)


def inversion(plane: Tensor) -> Tensor:
    """u / |u|^2: what takes one stereographic chart of the sphere to the other, on both sides."""
    return plane / (plane * plane).sum(dim=1, keepdim=True)


def jacobian_determinants(transition: Callable[[Tensor], Tensor], coordinates: Tensor) -> Tensor:
    """det of the derivative of a map between charts at each of its points: float (count,), by automatic differentiation."""
    each = torch.func.vmap(torch.func.jacrev(lambda one: transition(one[None])[0]))
    determinants: Tensor = torch.linalg.det(each(coordinates))
    return determinants
