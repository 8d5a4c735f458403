"""Floating-point arithmetic for the walk over a formula: float64 and complex128 scalars and arrays of NumPy.

Owns the floating-point meaning of every operation. Must never be used outside `numpy.errstate(all="ignore")`.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.expression.arithmetic import Arithmetic


def operand(value: Any) -> Any:
    """A value as a float64, complex128 or bool scalar or array."""
    array = np.asarray(float(value) if type(value) is int else value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"a formula cannot use a value of type {array.dtype}")
    wide: Any = {"b": np.bool_, "c": np.complex128}.get(array.dtype.kind, np.float64)
    return array.astype(wide, copy=False)[()]


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function over numbers, where truth values count as 1 or 0."""

    def over_numbers(*operands: Any) -> Any:
        return function(*(np.float64(1) * value if value.dtype == np.bool_ else value for value in operands))

    return over_numbers


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "negative": np.negative,
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
    "**": np.power,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "re": np.real,
    "im": np.imag,
    "conj": np.conjugate,
    "arg": np.angle,
    "floor": np.floor,
    "min": np.minimum,
    "max": np.maximum,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}

NUMPY: Arithmetic[Any] = Arithmetic(
    number=np.float64,
    imaginary=lambda text, _column: np.complex128(complex(0.0, float(text))),
    is_complex=np.iscomplexobj,
    constants={"pi": lambda: np.float64(math.pi), "e": lambda: np.float64(math.e)},
    operations={
        **{name: _counted(function) for name, function in _FUNCTIONS.items()},
        "and": np.logical_and,
        "or": np.logical_or,
        "not": np.logical_not,
    },
)
