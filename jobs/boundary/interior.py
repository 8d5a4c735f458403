"""Points of z**2 + c that are known never to escape: the main cardioid and the disc left of it.

Owns when that knowledge applies and which points they are. Never iterates anything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jobs.boundary.formulas import Formulas
from kernels.expression.tree import Binary, Call, Compare, Name, Node, Number

MARGIN = 1e-12
"""Points so close to the edge are iterated like all others: there, rounding decides."""

SMALLEST_BOUND = 2.0
"""Orbits of these points stay within this distance of 0."""


def parameter(formulas: Formulas) -> str | None:
    """The name of c where the map is z**2 + c from z = 0 or z = c, until abs(z) > 2 or more; else None."""
    (state, *others), (update, *_) = formulas.stated, formulas.map.updates
    if others or not formulas.map.complex or not isinstance(update.tree, Binary) or update.tree.operator != "+":
        return None

    # Either term is the square
    for square, rest in (
        (update.tree.left, update.tree.right),
        (update.tree.right, update.tree.left),
    ):
        if _is_square(square, state) and isinstance(rest, Name) and rest.name != state:
            start = formulas.start[0].tree
            begins_at_zero = isinstance(start, Number) and start.value == 0
            begins_at_c = isinstance(start, Name) and start.name == rest.name
            if (begins_at_zero or begins_at_c) and _is_escape(formulas.map.stop.tree, state):
                return rest.name
    return None


def periods(c: NDArray[np.complex128]) -> NDArray[np.int32]:
    """The period of the cycle that attracts 0 under z**2 + c: 1 in the cardioid, 2 in the disc, 0 where not known here."""
    x, y = c.real, c.imag
    with np.errstate(all="ignore"):
        q = (x - 0.25) ** 2 + y**2
        cardioid = q * (q + (x - 0.25)) < 0.25 * y**2 - MARGIN
        disc = (x + 1) ** 2 + y**2 < 0.0625 - MARGIN
    return cardioid.astype(np.int32) + 2 * disc.astype(np.int32)


def _is_square(node: Node, state: str) -> bool:
    match node:
        case Binary("**", Name(name), Number() as power):
            return name == state and power.value == 2
        case Binary("*", Name(left), Name(right)):
            return left == right == state
        case _:
            return False


def _is_escape(node: Node, state: str) -> bool:
    match node:
        case Compare((">" | ">=",), (Call("abs", (Name(name),)), Number() as bound)):
            return name == state and bound.value >= SMALLEST_BOUND
        case _:
            return False
