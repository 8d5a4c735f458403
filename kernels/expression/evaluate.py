"""The value of a formula in float64 and complex128, with NumPy at once or with Dask lazily.

Owns the floating-point meaning of every operation. Must never raise for a division by zero, an overflow or a value
outside a function's domain: the result is infinite or NaN, without a warning.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from kernels.expression.arithmetic import Arithmetic, evaluate
from kernels.expression.tree import Formula


def numpy(formula: Formula, values: Mapping[str, Any]) -> Any:
    """Evaluate a formula over numbers and arrays of any shapes that broadcast.

    `values` holds at least the names the formula uses: Python numbers, NumPy scalars or arrays, Dask arrays. Integers
    and floats are taken as float64, complex numbers as complex128. A comparison counts as 1 or 0 in arithmetic, and a
    number other than 0 as true in logic. A result is complex where an operand is: ``sqrt(-1)`` is NaN,
    ``sqrt(-1 + 0*i)`` is i. Written integer powers are products (`tree.product_exponent`), other powers are the
    principal branch; 0**n is 0 where the real part of n is positive.

    Returns a Python float, complex or bool where every used value is a number; else a float64, complex128 or bool array
    (it may share memory with one of the values), which is a lazy Dask array where one of the values is.

    Raises FormulaError where a complex number meets an order comparison, floor, min or max; KeyError for a value that
    is missing; TypeError for one that is not a number.
    """
    used = {name: values[name] for name in sorted(formula.names)}
    if any(hasattr(value, "__dask_graph__") for value in used.values()):
        return _lazily(formula, used)
    operands = {name: _operand(value) for name, value in used.items()}
    with np.errstate(all="ignore"):
        result = evaluate(formula, _NUMPY, operands)
    return result.item() if np.ndim(result) == 0 else result


def _lazily(formula: Formula, values: Mapping[str, Any]) -> Any:
    """One Dask task a block for the whole formula, so that warnings are silenced where the block is computed."""
    from dask.array import core

    # The type of the result follows from the types of the values alone
    samples = {name: np.ones((1,), getattr(value, "dtype", type(value))) for name, value in values.items()}
    dtype = np.asarray(numpy(formula, samples)).dtype
    elemwise: Callable[..., Any] = core.elemwise
    return elemwise(partial(_block, formula, tuple(values)), *values.values(), dtype=dtype)


def _block(formula: Formula, names: tuple[str, ...], *blocks: Any) -> Any:
    """The formula over one block of every value."""
    shape = np.broadcast_shapes(*(np.shape(block) for block in blocks))
    return np.broadcast_to(numpy(formula, dict(zip(names, blocks, strict=True))), shape)


def _operand(value: Any) -> Any:
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

_NUMPY: Arithmetic[Any] = Arithmetic(
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
