"""Decimal arithmetic for the walk over a formula: exact literals, the number of digits, and the table of operations.

Owns the choice of precision. Must never trap: what has no value is NaN, what is too large is infinite.
"""

import operator
from collections.abc import Callable, Iterable
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from numbers import Integral
from typing import NoReturn

from kernels.expression import decimal_functions
from kernels.expression.arithmetic import Arithmetic
from kernels.expression.errors import FormulaError, excerpt
from kernels.expression.tree import Binary, Call, Formula, Node, Number, product_exponent, walk

EXTRA_DIGITS = 20
FEWEST_DIGITS = 50
MOST_DIGITS = 6000
MOST_DIGITS_OF_FUNCTIONS = 600
LARGEST_EXPONENT = 10**6

DecimalValue = str | int | float | Decimal


def context(num_digits: int) -> Context:
    """A context of so many digits in which nothing raises."""
    return Context(num_digits, ROUND_HALF_EVEN, Emin=-LARGEST_EXPONENT, Emax=LARGEST_EXPONENT, traps=[])


_EXACT = context(MOST_DIGITS)


def literal(text: str) -> Decimal:
    """The number a literal stands for, without rounding; NaN where the text is not a number."""
    return _EXACT.create_decimal(text)


def exact(value: DecimalValue, name: str, key: str) -> Decimal:
    """A value given for a name, without rounding.

    Raises FormulaError for a text that is not a number.
    """
    if isinstance(value, Integral):
        return Decimal(int(value))
    if not isinstance(value, str):
        return Decimal(value)
    number = literal(value)
    if number.is_nan():
        raise FormulaError(key, 1, f"the value of {name}, {excerpt(value)}, is not a decimal number")
    return number


def digits(formula: Formula, values: Iterable[Decimal]) -> int:
    """How many digits to work with: those that all numbers, written in one column, span, and some more.

    Raises FormulaError where these are more than can be worked with in a moment.
    """
    nodes = list(walk(formula.tree))
    places = [0]
    for number in (*values, *(literal(node.text) for node in nodes if isinstance(node, Number))):
        if number.is_finite() and number:
            places += [number.adjusted() + 1, number.adjusted() + 1 - len(number.as_tuple().digits)]
    span = max(places) - min(places)
    most = MOST_DIGITS_OF_FUNCTIONS if any(map(_is_costly, nodes)) else MOST_DIGITS
    if span > most:
        raise FormulaError(formula.key, 1, f"numbers span {span} digits; a formula like this works with {most} at most")
    return max(span + EXTRA_DIGITS, FEWEST_DIGITS)


def _is_costly(node: Node) -> bool:
    """Whether a node takes far longer than a product."""
    if isinstance(node, Binary):
        return node.operator == "**" and product_exponent(node.right) is None
    return isinstance(node, Call) and node.function not in ("abs", "re", "im", "conj", "min", "max", "floor", "sqrt")


def arithmetic(key: str) -> Arithmetic[Decimal]:
    """The arithmetic of the current decimal context; `key` stands in the error for an imaginary number."""

    def refuse(_text: str, column: int) -> NoReturn:
        raise FormulaError(key, column, "an imaginary number stands where only real ones are possible")

    return Arithmetic(
        number=literal,
        imaginary=refuse,
        is_complex=lambda _value: False,
        constants={"pi": decimal_functions.pi, "e": lambda: Decimal(1).exp()},
        operations=_OPERATIONS,
    )


def _propagating_nan(choose: Callable[[Decimal, Decimal], Decimal]) -> Callable[[Decimal, Decimal], Decimal]:
    """The smaller or larger of two numbers, NaN where one of them is."""

    def chosen(left: Decimal, right: Decimal) -> Decimal:
        return left if left.is_nan() else right if right.is_nan() else choose(left, right)

    return chosen


def _truth(test: Callable[..., bool]) -> Callable[..., Decimal]:
    """The test with 1 for true and 0 for false."""
    return lambda *operands: Decimal(bool(test(*operands)))


_OPERATIONS: dict[str, Callable[..., Decimal]] = {
    "negative": operator.neg,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": decimal_functions.power,
    "sin": decimal_functions.sin,
    "cos": decimal_functions.cos,
    "tan": decimal_functions.tan,
    "sinh": decimal_functions.sinh,
    "cosh": decimal_functions.cosh,
    "tanh": decimal_functions.tanh,
    "exp": decimal_functions.exp,
    "log": Decimal.ln,
    "sqrt": Decimal.sqrt,
    "abs": abs,
    "re": operator.pos,
    "im": lambda _value: Decimal(0),
    "conj": operator.pos,
    "arg": decimal_functions.arg,
    "floor": lambda value: value.to_integral_value(ROUND_FLOOR),
    "min": _propagating_nan(min),
    "max": _propagating_nan(max),
    "<": _truth(operator.lt),
    "<=": _truth(operator.le),
    ">": _truth(operator.gt),
    ">=": _truth(operator.ge),
    "==": _truth(operator.eq),
    "!=": _truth(operator.ne),
    "and": _truth(lambda left, right: left and right),
    "or": _truth(lambda left, right: left or right),
    "not": _truth(operator.not_),
}
