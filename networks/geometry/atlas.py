"""Manifolds by name, with an atlas each, and the residuals that show that an atlas is one.

Owns which charts belong together and what is measured of them. Samples come from generators that are passed in.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from networks.geometry.charts import (
    TURN,
    Chart,
    half_circle,
    inversion,
    jacobian_determinants,
    sphere,
    spherical,
    stereographic,
    torus,
    torus_angles,
)

LARGE, SMALL = 3.0, 1.0


@dataclass(frozen=True)
class Manifold:
    """A manifold in space: its defining equation, an atlas, and a way to draw points."""

    residual: Callable[[Tensor], Tensor]
    charts: tuple[Chart, ...]
    sample: Callable[[int, Generator, torch.dtype], Tensor]


def sample_circle(count: int, generator: Generator, dtype: torch.dtype) -> Tensor:
    """Uniform points of the unit circle: (count, 2)."""
    angles = TURN * torch.rand(count, generator=generator, dtype=dtype)
    return torch.stack((torch.cos(angles), torch.sin(angles)), dim=1)


def sample_sphere(count: int, generator: Generator, dtype: torch.dtype) -> Tensor:
    """Uniform points of the unit sphere: (count, 3), from a uniform azimuth and a uniform height."""
    azimuth = TURN * torch.rand(count, generator=generator, dtype=dtype)
    polar = torch.acos(2 * torch.rand(count, generator=generator, dtype=dtype) - 1)
    return sphere(azimuth, polar)


def sample_torus(
    count: int,
    generator: Generator,
    dtype: torch.dtype,
    *,
    by_area: bool = True,
    large: float = LARGE,
    small: float = SMALL,
) -> Tensor:
    """Points of a torus: (count, 3); uniform `by_area`, else uniform in its angles, which is denser inside.

    By area: an angle of the tube is kept with a probability that is proportional to the distance from the axis.
    """
    kept: list[Tensor] = []
    missing = count
    while missing > 0:
        tube = TURN * torch.rand(missing, generator=generator, dtype=dtype)
        accepted = torch.rand(missing, generator=generator, dtype=dtype) * (large + small) < large + small * torch.cos(
            tube
        )
        kept.append(tube[accepted] if by_area else tube)
        missing -= len(kept[-1])
    axis = TURN * torch.rand(count, generator=generator, dtype=dtype)
    return torus(torch.cat(kept), axis, large, small)


def torus_residual(points: Tensor, large: float = LARGE, small: float = SMALL) -> Tensor:
    """(sqrt(x^2 + y^2) - large)^2 + z^2 - small^2, which is 0 on the torus."""
    return (torch.hypot(points[:, 0], points[:, 1]) - large) ** 2 + points[:, 2] ** 2 - small**2


MANIFOLDS: dict[str, Manifold] = {
    "circle": Manifold(
        lambda points: (points**2).sum(dim=1) - 1, (half_circle(0.0), half_circle(math.pi)), sample_circle
    ),
    "sphere": Manifold(
        lambda points: (points**2).sum(dim=1) - 1, (stereographic(+1.0), stereographic(-1.0)), sample_sphere
    ),
    "torus": Manifold(
        torus_residual,
        tuple(torus_angles(first, second) for first, second in itertools.product((0.0, math.pi), repeat=2)),
        sample_torus,
    ),
}


def residuals(name: str, count: int, generator: Generator, dtype: torch.dtype) -> dict[str, float]:
    """Largest errors of an atlas over random points of its manifold.

    `equation`: of the manifold's own equation. `uncovered`: share of points in no chart. `round_trip`: distance of a
    point from where its chart and back leads. `overlap`: distance in the second chart between a point and what the
    transition from the first makes of it, over 1 + |u|^2, as far points lie dense. `smallest_jacobian`: least |det| of a
    transition's derivative: not 0 where it is one-to-one. For the sphere `inversion`: distance of the transition from
    u/|u|^2, likewise, else NaN.
    """
    manifold = MANIFOLDS[name]
    points = manifold.sample(count, generator, dtype)
    inside = torch.stack([chart.contains(points) for chart in manifold.charts])
    found = {
        "equation": float(manifold.residual(points).abs().max()),
        "uncovered": float((~inside.any(dim=0)).double().mean()),
        "round_trip": 0.0,
        "overlap": 0.0,
        "smallest_jacobian": math.inf,
        "inversion": math.nan,
    }
    for chart, own in zip(manifold.charts, inside, strict=True):
        there = points[own]
        back = chart.inverse(chart.forward(there))
        found["round_trip"] = max(found["round_trip"], float((back - there).norm(dim=1).max()))
    for (first, one), (second, other) in itertools.permutations(zip(manifold.charts, inside, strict=True), 2):
        both = points[one & other]
        coordinates = first.forward(both)
        through, straight = second.forward(first.inverse(coordinates)), second.forward(both)
        scale = 1 + (straight**2).sum(dim=1)
        found["overlap"] = max(found["overlap"], float(((through - straight).norm(dim=1) / scale).max()))
        determinants = jacobian_determinants(lambda u, a=first, b=second: b.forward(a.inverse(u)), coordinates)  # type: ignore[misc]
        found["smallest_jacobian"] = min(found["smallest_jacobian"], float(determinants.abs().min()))
        if name == "sphere":
            expected = inversion(coordinates)
            error = ((through - expected).norm(dim=1) / scale).max()
            found["inversion"] = float(torch.as_tensor(found["inversion"]).nan_to_num(0).clamp(min=float(error)))
    return found


def round_trip_error(count: int, generator: Generator, dtype: torch.dtype) -> tuple[float, float]:
    """Largest error of azimuth and of polar angle from spherical coordinates to a stereographic chart and back.

    The chart is that of the farther pole, which keeps its coordinates bounded; azimuths are compared around the circle.
    """
    azimuth = TURN * torch.rand(count, generator=generator, dtype=dtype)
    polar = torch.acos((2 * torch.rand(count, generator=generator, dtype=dtype) - 1).clamp(-1, 1))
    points = sphere(azimuth, polar)
    north, south = stereographic(+1.0), stereographic(-1.0)
    back = torch.where(points[:, 2:] < 0, north.inverse(north.forward(points)), south.inverse(south.forward(points)))
    found = spherical(back)
    turned = torch.remainder(found[:, 0] - azimuth + math.pi, TURN) - math.pi
    return float(turned.abs().max()), float((found[:, 1] - polar).abs().max())
