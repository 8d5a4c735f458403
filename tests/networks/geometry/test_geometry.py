"""Manifolds, charts and matrix groups: what holds of them holds here, and what is wrong is found."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from networks.geometry.atlas import (
    MANIFOLDS,
    residuals,
    round_trip_error,
    sample_sphere,
    sample_torus,
    torus_residual,
)
from networks.geometry.charts import inversion, jacobian_determinants, stereographic, torus
from networks.geometry.groups import (
    GROUPS,
    axioms,
    exponential_residuals,
    generators_of,
    invertible,
    orthogonal,
    orthogonality,
    rotation,
)

DOUBLE = torch.float64


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("name", sorted(MANIFOLDS))
def test_an_atlas_is_one(name: str) -> None:
    found = residuals(name, 1000, seeded(), DOUBLE)
    assert found["equation"] < 1e-12
    assert found["uncovered"] == 0
    assert found["round_trip"] < 1e-12
    assert found["overlap"] < 1e-12
    assert 0 < found["smallest_jacobian"] < math.inf


def test_the_charts_of_the_sphere_differ_by_an_inversion() -> None:
    assert residuals("sphere", 1000, seeded(), DOUBLE)["inversion"] < 1e-12
    points = sample_sphere(1000, seeded(1), DOUBLE)
    first, second = stereographic(1.0).forward(points), stereographic(-1.0).forward(points)
    assert torch.allclose(first.norm(dim=1) * second.norm(dim=1), torch.ones(1000, dtype=DOUBLE), atol=1e-12)
    assert torch.allclose(inversion(inversion(first)), first, rtol=1e-12)


def test_the_determinant_of_the_inversion() -> None:
    plane = torch.randn(50, 2, generator=seeded(), dtype=DOUBLE)
    expected = -((plane**2).sum(dim=1) ** -2.0)
    assert torch.allclose(jacobian_determinants(inversion, plane), expected, rtol=1e-10)


def test_each_chart_leaves_out_its_own_pole_alone() -> None:
    poles = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], dtype=DOUBLE)
    assert stereographic(1.0).contains(poles).tolist() == [False, True]
    assert stereographic(-1.0).contains(poles).tolist() == [True, False]


@pytest.mark.parametrize("seed", range(20))
def test_round_trip(seed: int) -> None:
    assert max(round_trip_error(1000, seeded(seed), DOUBLE)) < 1e-10
    assert max(round_trip_error(1000, seeded(seed), torch.float32)) < 1e-3


def test_points_of_the_torus() -> None:
    points = sample_torus(20_000, seeded(), DOUBLE)
    assert points.shape == (20_000, 3)
    assert torus_residual(points).abs().max() < 1e-12

    # Half of the area and more lies outside the axis' circle: (pi*R + 2*r)/(2*pi*R) of it.
    outside = float((torch.hypot(points[:, 0], points[:, 1]) > 3).double().mean())
    by_angle = sample_torus(20_000, seeded(), DOUBLE, by_area=False)
    assert outside == pytest.approx(0.5 + 1 / (3 * math.pi), abs=0.012)
    assert float((torch.hypot(by_angle[:, 0], by_angle[:, 1]) > 3).double().mean()) == pytest.approx(0.5, abs=0.012)


def test_the_torus_needs_its_four_charts() -> None:
    charts = MANIFOLDS["torus"].charts
    angles = torch.tensor([[first, second] for first in (0.0, math.pi) for second in (0.0, math.pi)], dtype=DOUBLE)
    corners = torus(angles[:, 0], angles[:, 1], 3.0, 1.0)
    # Rounding would put pi a little to one side; signs and zeros are exact where they are said.
    corners = torch.where(corners.abs() < 1e-12, 0.0, corners)
    inside = torch.stack([chart.contains(corners) for chart in charts])
    assert inside.sum(dim=0).tolist() == [1, 1, 1, 1]
    assert inside.sum(dim=1).tolist() == [1, 1, 1, 1]

    # Each leaves out two circles.
    around = torch.linspace(0.1, 6.2, 50, dtype=DOUBLE)
    on_its_edge = torus(torch.zeros_like(around), around, 3.0, 1.0)
    assert not charts[0].contains(on_its_edge).any()
    assert charts[3].contains(on_its_edge).all()


@pytest.mark.parametrize("name", sorted(GROUPS))
@pytest.mark.parametrize("size", [2, 3])
def test_axioms(name: str, size: int) -> None:
    found = axioms(name, size, 200, seeded())
    assert max(found["closure"], found["inverse"], found["associativity"]) < 1e-12
    assert found["components"] == (1 if name == "SO" else 2)
    assert (found["determinant"] < 1e-12) == (name != "GL")


def test_what_is_no_rotation_is_found() -> None:
    mirror = torch.diag(torch.tensor([1.0, -1.0], dtype=DOUBLE))[None]
    assert GROUPS["SO"].distance(mirror).item() == 2
    assert GROUPS["O"].distance(mirror).item() == 0
    assert GROUPS["GL"].distance(torch.zeros(1, 2, 2, dtype=DOUBLE)).item() == 1
    assert orthogonality(invertible(5, 2, seeded())).max() > 0.1


def test_a_product_of_matrices() -> None:
    a, b = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]])
    assert (a @ b).tolist() == [[19.0, 22.0], [43.0, 50.0]]
    inverse = torch.tensor([[4.0, -2.0], [-3.0, 1.0]]) / (1 * 4 - 2 * 3)
    assert torch.allclose(torch.linalg.inv(a), inverse)


def test_the_exponential_of_so2_is_the_rotation() -> None:
    angles = torch.linspace(0, 0.1, 10, dtype=DOUBLE)
    found = exponential_residuals("so(2)", generators_of("so(2)")[0], angles)
    assert all(float(values.max()) < 1e-14 for values in found.values())


def test_powers_of_the_generator() -> None:
    theta = 0.3
    element = theta * generators_of("so(2)")[0]
    third, fourth = torch.linalg.matrix_power(element, 3), torch.linalg.matrix_power(element, 4)
    assert torch.allclose(third, -(theta**2) * element)
    assert torch.allclose(fourth, theta**4 * torch.eye(2, dtype=DOUBLE))


@pytest.mark.parametrize("name", ["so(2)", "so(3)", "gl(2)"])
def test_exponentials_add(name: str) -> None:
    parameters = torch.linspace(0, 2, 9, dtype=DOUBLE)
    for element in generators_of(name):
        found = exponential_residuals(name, element, parameters)
        assert found["additivity"].max() < 1e-11
        assert (found["orthogonality"].max() < 1e-12) == name.startswith("so")


def test_so3_is_closed_under_brackets() -> None:
    x, y, z = generators_of("so(3)")
    assert torch.equal(x @ y - y @ x, z)
    assert torch.equal(y @ z - z @ y, x)


def test_orthogonal_matrices_have_both_determinants() -> None:
    signs = torch.linalg.det(orthogonal(400, 2, seeded())).sign()
    assert 120 < int((signs > 0).sum()) < 280
    assert torch.allclose(rotation(torch.tensor([math.pi / 2]))[0], torch.tensor([[0.0, -1.0], [1.0, 0.0]]), atol=1e-7)
