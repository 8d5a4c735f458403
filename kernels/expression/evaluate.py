"""The value of a formula: in float64 and complex128 (NumPy at once, Dask lazily), or in decimal arithmetic.

Owns the three entry points. Must never raise or warn for a division by zero, an overflow or a value outside a
function's domain: the result is infinite or NaN.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from functools import partial
from typing import Any

import numpy as np

from kernels.expression import decimals, floats
from kernels.expression.arithmetic import evaluate
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
    operands = {name: floats.operand(value) for name, value in used.items()}
    with np.errstate(all="ignore"):
        result = evaluate(formula, floats.NUMPY, operands)
    return result.item() if np.ndim(result) == 0 else result


def decimal(formula: Formula, values: Mapping[str, decimals.DecimalValue] | None = None) -> float:
    """Evaluate a real formula in decimal arithmetic and round once to float64; see `unrounded`."""
    return float(unrounded(formula, values))


def unrounded(formula: Formula, values: Mapping[str, decimals.DecimalValue] | None = None) -> Decimal:
    """Evaluate a real formula in decimal arithmetic.

    Literals are taken exactly as written, as are values (text, Decimal, int; a float stands for its binary value).
    Works with 20 digits more than it takes to write all of them in one column, and with 50 at least, so that
    ``-1.75 + 1e-300`` keeps both parts. A comparison gives 1 or 0.

    Raises FormulaError where the formula is not real, a text is not a number, or more digits are needed than can be
    worked with in a moment (600, or 6,000 where the only function is sqrt and powers are products); KeyError for a
    value that is missing.
    """
    used = {name: decimals.exact((values or {})[name], name, formula.key) for name in formula.names}
    with localcontext(decimals.context(decimals.digits(formula, used.values()))):
        return +evaluate(formula, decimals.arithmetic(formula.key), used)


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
