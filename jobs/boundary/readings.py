"""From the ends of a tile's orbits to the arrays that a job asks for.

Owns which state and which formula each output is read off. The arithmetic is in jobs/boundary/outputs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.boundary import outputs as read_outputs
from jobs.boundary import states
from jobs.boundary.formulas import Formulas
from jobs.boundary.given import Values
from kernels import iterate
from kernels.backends.base import Array
from kernels.expression import Formula, evaluate

FAR, FARTHER = 1e6, 1e7
"""Distances at which the degree of a map shows."""

ORDER_OF_NEWTON = 2.0


def readings(
    formulas: Formulas,
    outputs: tuple[str, ...],
    values: Values,
    ends: Mapping[str, Array],
    never: int,
    roots: NDArray[np.complex128] | None,
    tolerance: float,
) -> dict[str, Array]:
    """The arrays in `outputs` of one tile.

    `values` are the numbers given to the pixels, `ends` the kernel's arrays, `never` the most updates, `roots` the table of the
    tile's frame.
    """
    iterations = ends["iterations"]
    found: dict[str, Array] = {name: ends[name] for name in ("iterations", "outcome", "period") if name in outputs}
    if "final" in ends:
        final = _states(formulas, ends["final"])
    if "final" in outputs:
        found["final"] = np.ascontiguousarray(ends["final"][: len(formulas.components)])
    if "smooth" in outputs:
        found["smooth"] = _smooth(formulas, values, final, iterations, never)
    if "distance" in outputs:
        name = formulas.escaping
        assert name is not None
        found["distance"] = read_outputs.distance(iterations, never, final[name], final[states.DERIVATIVE.format(name)])
    if "root" in outputs:
        assert formulas.function is not None
        assert roots is not None
        stopped = ends["outcome"] == iterate.OUTCOMES["stopped"]
        found["root"] = read_outputs.nearest_root(stopped, final[formulas.function.variable], roots, tolerance)
    if "orbit_trap" in outputs:
        found["orbit_trap"] = np.ascontiguousarray(final[states.TRAP].real)
    return found


def _states(formulas: Formulas, final: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """The kernel's reals as one array a state, by name."""
    if not formulas.map.complex:
        return dict(zip(formulas.map.states, final, strict=True))
    pairs = zip(formulas.map.states, final[::2], final[1::2], strict=True)
    return {name: _complex(re, im) for name, re, im in pairs}


def _complex(re: NDArray[np.float64], im: NDArray[np.float64]) -> NDArray[np.complex128]:
    """One array of both parts, infinite ones kept apart."""
    both = np.empty(re.shape, dtype=np.complex128)
    both.real, both.imag = re, im
    return both


def _smooth(
    formulas: Formulas, values: Values, final: Mapping[str, NDArray[Any]], iterations: NDArray[np.int32], never: int
) -> NDArray[np.float64]:
    """Continuous counts by the comparison of the stop test that holds; where none does, the count itself."""
    before = {f"{name}_old": final.get(states.PREVIOUS.format(name), final[name]) for name in formulas.stated}
    names = {**values, **final, **before}
    result = np.where(iterations == never, np.nan, iterations.astype(np.float64))
    for link in formulas.links:
        tested = np.broadcast_to(evaluate.numpy(link.quantity, names), iterations.shape)
        bound = evaluate.numpy(link.bound, values)
        with np.errstate(all="ignore"):
            holds = tested > bound if link.escape else tested < bound
        continuous = read_outputs.smooth(iterations, never, tested, bound, _power(formulas, link, values))
        result = np.where(holds & (iterations < never), continuous, result)
    return result


def _power(formulas: Formulas, link: states.Link, values: Values) -> Any:
    """With what power the quantity of a comparison grows: as [stop] says, else the degree of the map far from 0.

    At an entry the order of convergence of Newton's method, 2.
    """
    if formulas.power is not None:
        return np.real(evaluate.numpy(formulas.power, values))
    if not link.escape:
        return ORDER_OF_NEWTON
    with np.errstate(all="ignore"):
        here, there = (_far_away(formulas, link.quantity, values, distance) for distance in (FAR, FARTHER))
        before, after = (np.divide(far, near) for far, near in zip(there, here, strict=True))
        return np.log(after) / np.log(before)


def _far_away(formulas: Formulas, quantity: Formula, values: Values, distance: float) -> tuple[Any, Any]:
    """The tested quantity at a point so far from 0, and after one update there."""
    names: Values = {**values, "k": 0.0}
    for number, name in enumerate(formulas.stated):
        direction = np.exp(1j * (0.7 + number)) if formulas.map.complex else np.cos(0.7 + number)
        names |= {name: distance * direction, f"{name}_old": direction}
    updates = zip(formulas.stated, formulas.map.updates, strict=False)
    after = {name: evaluate.numpy(update, names) for name, update in updates}
    olds = {f"{name}_old": names[name] for name in formulas.stated}
    return evaluate.numpy(quantity, names), evaluate.numpy(quantity, {**names, **olds, **after})
