"""Matrix groups by name, their algebras, and the residuals of the axioms and of the exponential map.

Owns samples of groups and what is measured of them. Everything is float64 unless a dtype is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

Sample = Callable[[int, int, Generator], Tensor]


def rotations(count: int, size: int, generator: Generator) -> Tensor:
    """Random rotations of determinant 1: (count, size, size)."""
    found: Tensor = orthogonal(count, size, generator)
    found[:, :, 0] *= torch.linalg.det(found).sign()[:, None]
    return found


def orthogonal(count: int, size: int, generator: Generator) -> Tensor:
    """Random orthogonal matrices of either determinant, uniform: (count, size, size).

    From the QR decomposition of normal matrices, signs fixed by R (Mezzadri, Notices of the AMS 54, 2007).
    """
    q, r = torch.linalg.qr(torch.randn(count, size, size, generator=generator, dtype=torch.float64))
    found: Tensor = q * torch.diagonal(r, dim1=1, dim2=2).sign()[:, None, :]
    return found


def invertible(count: int, size: int, generator: Generator) -> Tensor:
    """Random invertible matrices with condition numbers below 10: (count, size, size)."""
    stretched = 0.5 + 1.5 * torch.rand(count, size, generator=generator, dtype=torch.float64)
    left, right = orthogonal(count, size, generator), orthogonal(count, size, generator)
    found: Tensor = left * stretched[:, None, :] @ right
    return found


def orthogonality(matrices: Tensor) -> Tensor:
    """Largest entry of |A^T A - 1| for each matrix: (count,)."""
    unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype)
    return (matrices.mT @ matrices - unit).abs().amax(dim=(1, 2))


@dataclass(frozen=True)
class Group:
    """A group of real matrices: how to draw elements, and how far a matrix is from being one (0: it is one)."""

    sample: Sample
    distance: Callable[[Tensor], Tensor]


def _not_invertible(matrices: Tensor) -> Tensor:
    found: Tensor = torch.linalg.det(matrices) == 0
    return found.double()


def _not_a_rotation(matrices: Tensor) -> Tensor:
    determinants: Tensor = torch.linalg.det(matrices)
    return torch.maximum(orthogonality(matrices), (determinants - 1).abs())


GROUPS: dict[str, Group] = {
    "GL": Group(invertible, _not_invertible),
    "O": Group(orthogonal, orthogonality),
    "SO": Group(rotations, _not_a_rotation),
}


def axioms(name: str, size: int, count: int, generator: Generator) -> dict[str, float]:
    """Largest residuals of the axioms over random triples of elements.

    `closure`: distance of a product from the group. `inverse`: of the inverse from the group, and of A A^-1 from 1.
    `associativity`: of (A B) C from A (B C). `determinant`: of | |det| - 1 |, which need not vanish in GL; `components`
    counts the signs of determinants that occur.
    """
    group = GROUPS[name]
    a, b, c = (group.sample(count, size, generator) for _ in range(3))
    unit = torch.eye(size, dtype=a.dtype)
    inverse = torch.linalg.inv(a)
    determinants = torch.linalg.det(a)
    return {
        "closure": float(group.distance(a @ b).max()),
        "inverse": max(float(group.distance(inverse).max()), float((a @ inverse - unit).abs().max())),
        "associativity": float(((a @ b) @ c - a @ (b @ c)).abs().max()),
        "determinant": float((determinants.abs() - 1).abs().max()),
        "components": float(len(determinants.sign().unique())),
    }


def generators_of(name: str) -> Tensor:
    """Basis of an algebra: so(2) (1, 2, 2), so(3) (3, 3, 3), gl(2) (4, 2, 2), float64. Sources: rotation about each axis."""
    if name == "so(2)":
        return torch.tensor([[[0.0, -1.0], [1.0, 0.0]]], dtype=torch.float64)
    if name == "gl(2)":
        return torch.eye(4, dtype=torch.float64).reshape(4, 2, 2)
    basis = torch.zeros(3, 3, 3, dtype=torch.float64)
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        basis[axis, second, first], basis[axis, first, second] = 1.0, -1.0
    return basis


def rotation(angles: Tensor) -> Tensor:
    """Rotations of the plane by angles (count,): (count, 2, 2)."""
    cos, sin = torch.cos(angles), torch.sin(angles)
    return torch.stack((torch.stack((cos, -sin), dim=1), torch.stack((sin, cos), dim=1)), dim=1)


def exponential_residuals(name: str, element: Tensor, parameters: Tensor) -> dict[str, Tensor]:
    """Along exp(s G) for parameters s (count,): what should vanish, each (count,).

    `orthogonality`: |A^T A - 1|; `additivity`: |exp((s + s') G) - exp(s G) exp(s' G)| with the next parameter as s';
    `closed_form`: distance from the rotation by s, of so(2), else NaN.
    """
    along = torch.linalg.matrix_exp(parameters[:, None, None] * element)
    following = parameters.roll(-1)
    together = torch.linalg.matrix_exp((parameters + following)[:, None, None] * element)
    apart = along @ torch.linalg.matrix_exp(following[:, None, None] * element)
    closed = torch.full_like(parameters, torch.nan)
    if name == "so(2)":
        closed = (along - rotation(parameters * element[1, 0])).abs().amax(dim=(1, 2))
    return {
        "orthogonality": orthogonality(along),
        "additivity": (together - apart).abs().amax(dim=(1, 2)),
        "closed_form": closed,
    }
