"""Coefficients of a formula that is a polynomial in one name.

The walk and its order are those of every evaluation of formulas (kernels.expression.arithmetic); numbers are complex128.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.expression import Formula
from kernels.expression.arithmetic import Arithmetic, evaluate
from kernels.expression.floats import NUMPY

Coefficients = NDArray[np.complex128]

LARGEST_DEGREE = 512


class NotAPolynomialError(Exception):
    """The formula does anything else with the name than adding and multiplying, or the degree is too large."""


def coefficients(formula: Formula, variable: str, values: Mapping[str, complex]) -> Coefficients:
    """Coefficients of a formula in `variable`, constant term first, complex128 of shape (degree + 1,).

    The length follows from the formula alone: leading coefficients may be zero. `values` gives all other names. Raises
    NotAPolynomialError.
    """
    operands = {name: _constant(value) for name, value in values.items() if name in formula.names}
    operands[variable] = np.array([0, 1], dtype=np.complex128)
    with np.errstate(all="ignore"):
        return evaluate(formula, _POLYNOMIALS, operands)


def _constant(value: complex) -> Coefficients:
    return np.array([value], dtype=np.complex128)


def _add(left: Coefficients, right: Coefficients) -> Coefficients:
    total = np.zeros(max(left.size, right.size), dtype=np.complex128)
    total[: left.size] += left
    total[: right.size] += right
    return total


def _multiply(left: Coefficients, right: Coefficients) -> Coefficients:
    if left.size + right.size > LARGEST_DEGREE:
        raise NotAPolynomialError
    return np.convolve(left, right)


def _divide(left: Coefficients, right: Coefficients) -> Coefficients:
    if right.size > 1:
        raise NotAPolynomialError
    return np.asarray(left / right[0], dtype=np.complex128)


def _of_numbers(name: str) -> Callable[..., Coefficients]:
    """An operation that has a meaning for numbers only; real numbers are given to it as such."""

    def apply(*operands: Coefficients) -> Coefficients:
        if any(operand.size > 1 for operand in operands):
            raise NotAPolynomialError
        numbers = [operand[0].real if operand[0].imag == 0 else operand[0] for operand in operands]
        return _constant(complex(NUMPY.operations[name](*numbers)))

    return apply


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": _add,
    "-": lambda left, right: _add(left, -right),
    "*": _multiply,
    "/": _divide,
    "negative": lambda operand: -operand,
}

_POLYNOMIALS: Arithmetic[Coefficients] = Arithmetic(
    number=lambda text: _constant(float(text)),
    imaginary=lambda text, _column: _constant(complex(0.0, float(text))),
    is_complex=lambda value: bool(value.size == 1 and value[0].imag != 0),
    constants={name: lambda number=number: _constant(complex(number())) for name, number in NUMPY.constants.items()},  # type: ignore[misc]
    operations={**{name: _of_numbers(name) for name in NUMPY.operations}, **_OPERATIONS},
)
