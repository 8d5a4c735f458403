"""What each geometry experiment stores, and how one of its runs is computed. torch is imported when one is.

Owns the arrays of experiments, as pure functions of their sections. Never reads a store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs.geometry.models import symmetry, width
from jobs.geometry.quantities import Experiment, Quantity
from jobs.geometry.sections import Atlas, Exponential, Groups, Implicit, Parametrised, RoundTrip
from kernels.backends.base import Array
from kernels.errors import RequestError
from kernels.expression import evaluate, parse

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]


def implicit(section: Implicit) -> Experiment:
    """Points of a grid near a surface; those that are not near it are NaN."""
    of_space = ("x", "y", "z")
    equation = parse(section.equation, names=of_space, key="implicit.equation")
    parts = [parse(text, names=of_space, key=f"implicit.parts[{i}]") for i, text in enumerate(section.parts)]
    count = section.points_per_axis**3
    quantities = tuple(Quantity(name, f"{name} of the points kept", (count,), ("point",)) for name in of_space)
    quantities += (
        Quantity("kept", "whether the equation holds within the tolerance", (count,), ("point",), "<i4"),
        Quantity("covered", "how many parts have the point; -1 where it is not kept", (count,), ("point",), "<i4"),
        Quantity("residual", "value of the equation at the points kept", (count,), ("point",)),
    )

    def compute(_run: int) -> Mapping[str, Array]:
        axis = np.linspace(-section.half_width, section.half_width, section.points_per_axis)
        points = {name: grid.ravel() for name, grid in zip(of_space, np.meshgrid(axis, axis, axis), strict=True)}
        residual = real(equation, points, count)
        kept = np.abs(residual) < section.tolerance
        found: dict[str, Array] = {name: np.where(kept, values, np.nan) for name, values in points.items()}
        covered = sum((real(part, points, count) != 0 for part in parts), np.zeros(count, dtype=np.int32))
        found["kept"] = kept.astype(np.int32)
        found["covered"] = np.where(kept, covered, -1).astype(np.int32)
        found["residual"] = np.where(kept, residual, np.nan)
        return found

    return Experiment((), quantities, compute)


def parametrised(section: Parametrised) -> Experiment:
    """Points of a curve or surface, and how far they are from its equation."""
    formulas = {
        name: parse(getattr(section, name), names=("p", "q"), key=f"parametrised.{name}") for name in ("x", "y", "z")
    }
    equation = parse(section.equation, names=("x", "y", "z"), key="parametrised.equation")
    density = parse(section.density, names=("p", "q"), key="parametrised.density") if section.density else None
    names = {
        "p": "first parameter",
        "q": "second parameter",
        "x": "x",
        "y": "y",
        "z": "z",
        "residual": "the equation's value",
    }
    quantities = tuple(Quantity(name, text, (section.count,), ("point",)) for name, text in names.items())

    def compute(_run: int) -> Mapping[str, Array]:
        if section.spacing == "even":
            parameters = {"p": np.linspace(*section.p, section.count), "q": np.full(section.count, section.q[0])}
        else:
            parameters = _random_parameters(section, density)
        points = {name: real(formula, parameters, section.count) for name, formula in formulas.items()}
        return {**parameters, **points, "residual": real(equation, points, section.count)}

    return Experiment((), quantities, compute)


def _random_parameters(section: Parametrised, density: Any) -> dict[str, Floats]:
    """Uniform parameters, or thinned out to a density by rejection."""
    generator = np.random.Generator(np.random.Philox(section.seed))
    kept: list[dict[str, Floats]] = []
    missing = section.count
    highest = 0.0
    if density is not None:
        grid = np.meshgrid(np.linspace(*section.p, 512), np.linspace(*section.q, 512))
        highest = float(real(density, {"p": grid[0].ravel(), "q": grid[1].ravel()}, grid[0].size).max())
        if not 0 < highest < np.inf:
            raise RequestError(
                f"parametrised.density: its largest value is {highest}; give one that is positive somewhere"
            )
    while missing > 0:
        drawn = {"p": generator.uniform(*section.p, missing), "q": generator.uniform(*section.q, missing)}
        if density is not None:
            accepted = generator.uniform(0, highest, missing) < real(density, drawn, missing)
            drawn = {name: values[accepted] for name, values in drawn.items()}
        kept.append(drawn)
        missing -= len(drawn["p"])
    return {name: np.concatenate([one[name] for one in kept]) for name in ("p", "q")}


def atlas(section: Atlas) -> Experiment:
    """Residuals of the atlas of each manifold."""
    quantities = (
        Quantity("equation", "largest residual of the manifold's equation"),
        Quantity("uncovered", "share of points in no chart"),
        Quantity("round_trip", "largest distance after a chart and back"),
        Quantity("overlap", "largest error of a transition between charts, over 1 + |u|^2"),
        Quantity("smallest_jacobian", "smallest |det| of a transition's derivative"),
        Quantity(
            "inversion", "largest distance of the sphere's transition from u/|u|^2, over 1 + |u|^2; NaN of others"
        ),
    )

    def compute(run: int) -> Mapping[str, Array]:
        import torch

        from networks.geometry.atlas import residuals

        generator = torch.Generator().manual_seed(section.seed)
        return _numbers(residuals(section.manifolds[run], section.count, generator, torch.float64))

    return Experiment(section.manifolds, quantities, compute)


def round_trip(section: RoundTrip) -> Experiment:
    """Errors of azimuth and polar angle for each seed."""
    quantities = (
        Quantity("azimuth_error", "largest error of the azimuth", (section.seeds,), ("seed",)),
        Quantity("polar_error", "largest error of the angle from the pole", (section.seeds,), ("seed",)),
    )

    def compute(run: int) -> Mapping[str, Array]:
        import torch

        from networks.geometry.atlas import round_trip_error

        dtype = getattr(torch, section.dtypes[run])
        errors = [
            round_trip_error(section.count, torch.Generator().manual_seed(seed), dtype) for seed in range(section.seeds)
        ]
        azimuth, polar = np.array(errors, dtype=np.float64).T
        return {"azimuth_error": azimuth.copy(), "polar_error": polar.copy()}

    return Experiment(section.dtypes, quantities, compute)


def groups(section: Groups) -> Experiment:
    """Residuals of the axioms of each group."""
    quantities = (
        Quantity("closure", "largest distance of a product from the group"),
        Quantity("inverse", "largest distance of an inverse from the group, and of A A^-1 from 1"),
        Quantity("associativity", "largest difference of (A B) C and A (B C)"),
        Quantity("determinant", "largest | |det| - 1 |"),
        Quantity("components", "signs of determinants that occur"),
    )

    def compute(run: int) -> Mapping[str, Array]:
        import torch

        from networks.geometry.groups import axioms

        generator = torch.Generator().manual_seed(section.seed)
        return _numbers(axioms(section.groups[run], section.size, section.count, generator))

    return Experiment(section.groups, quantities, compute)


def exponential(section: Exponential) -> Experiment:
    """The orbit of the first unit vector, and what should vanish along it."""
    shape, dimensions = (section.count,), ("parameter",)
    quantities = tuple(Quantity(name, f"{name} of the orbit", shape, dimensions) for name in ("x", "y", "z"))
    quantities += (
        Quantity("s", "multiple of the element", shape, dimensions),
        Quantity("orthogonality", "|A^T A - 1|", shape, dimensions),
        Quantity("additivity", "|exp((s + s')G) - exp(sG) exp(s'G)|, s' the next s", shape, dimensions),
        Quantity("closed_form", "distance from the rotation by s, of so(2); NaN of others", shape, dimensions),
    )

    def compute(run: int) -> Mapping[str, Array]:
        import torch

        from networks.geometry.groups import exponential_residuals, generators_of

        name = section.algebras[run]
        basis = generators_of(name)
        coefficients = torch.zeros(len(basis), dtype=torch.float64)
        given = torch.tensor(section.coefficients[: len(basis)], dtype=torch.float64)
        coefficients[: len(given)] = given
        element = torch.tensordot(coefficients, basis, dims=1)
        parameters = torch.linspace(*section.parameters, section.count, dtype=torch.float64)
        orbit = torch.linalg.matrix_exp(parameters[:, None, None] * element)[:, :, 0]
        found = {"s": parameters, **exponential_residuals(name, element, parameters)}
        found |= {axis: orbit[:, i] if i < orbit.shape[1] else 0 * parameters for i, axis in enumerate("xyz")}
        return {name: _array(values) for name, values in found.items()}

    return Experiment(section.algebras, quantities, compute)


def real(formula: Any, values: Mapping[str, Floats], count: int) -> Floats:
    """A formula's values as float64 (count,). Raises RequestError for complex ones."""
    used = {name: array for name, array in values.items() if name in formula.names}
    with np.errstate(all="ignore"):
        found = evaluate.numpy(formula, used)
    if np.iscomplexobj(found):
        raise RequestError(f"{formula.key}: its values are complex; take their re, im or abs")
    return np.broadcast_to(np.asarray(found, dtype=np.float64), (count,)).copy()


def _numbers(values: Mapping[str, float]) -> dict[str, Array]:
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}


def _array(values: Tensor) -> Array:
    return values.numpy().astype(np.float64)


EXPERIMENTS: Mapping[str, Callable[[Any], Experiment]] = {
    "implicit": implicit,
    "parametrised": parametrised,
    "atlas": atlas,
    "round_trip": round_trip,
    "groups": groups,
    "exponential": exponential,
    "symmetry": symmetry,
    "width": width,
}
