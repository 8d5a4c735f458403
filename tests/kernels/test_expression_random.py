"""Random formulas against a slow reference in Python's own numbers, and random texts against the promise of one line."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from kernels.expression import FormulaError, parse
from kernels.expression.evaluate import decimal
from kernels.expression.evaluate import numpy as evaluate

pytest.importorskip("hypothesis")

from hypothesis import assume, given, settings
from hypothesis import strategies as st

Values = dict[str, Any]


@dataclass(frozen=True)
class Piece:
    """A formula as text, how tightly its outermost operator binds, and its value by the reference."""

    text: str
    tightness: int
    value: Callable[[Values], Any]

    def inside(self, tightness: int) -> str:
        """The text where an operand must bind at least so tightly."""
        return self.text if self.tightness >= tightness else f"({self.text})"


OR, AND, NOT, COMPARE, SUM, PRODUCT, SIGN, POWER, ATOM = range(9)


def divide(left: float, right: float) -> float:
    if right:
        return left / right
    return math.copysign(math.inf, left) * math.copysign(1, right) if left and left == left else math.nan


def smaller(left: float, right: float) -> float:
    assume(not left == right == 0)  # which zero is smaller is left open
    return math.nan if math.isnan(left) or math.isnan(right) else min(left, right)


def floor(value: float) -> float:
    return float(math.floor(value)) if math.isfinite(value) and value else value


def square_root(value: float) -> float:
    return math.nan if math.isnan(value) or value < 0 else math.sqrt(value)


POWERS: dict[str, Callable[[float], float]] = {
    "0": lambda _: 1.0,
    "1": lambda x: x,
    "2": lambda x: x * x,
    "3": lambda x: x * x * x,
    "4": lambda x: (x * x) * (x * x),
    "5": lambda x: (x * x) * (x * x) * x,
    "-1": lambda x: divide(1.0, x),
    "-2": lambda x: divide(1.0, x * x),
}
BINARY: dict[str, tuple[int, int, int, Callable[[float, float], float]]] = {
    "+": (SUM, SUM, PRODUCT, lambda a, b: a + b),
    "-": (SUM, SUM, PRODUCT, lambda a, b: a - b),
    "*": (PRODUCT, PRODUCT, SIGN, lambda a, b: a * b),
    "/": (PRODUCT, PRODUCT, SIGN, divide),
    "and": (AND, AND, NOT, lambda a, b: float(bool(a) and bool(b))),
    "or": (OR, OR, AND, lambda a, b: float(bool(a) or bool(b))),
    "<": (COMPARE, SUM, SUM, lambda a, b: float(a < b)),
    "<=": (COMPARE, SUM, SUM, lambda a, b: float(a <= b)),
    ">": (COMPARE, SUM, SUM, lambda a, b: float(a > b)),
    ">=": (COMPARE, SUM, SUM, lambda a, b: float(a >= b)),
    "==": (COMPARE, SUM, SUM, lambda a, b: float(a == b)),
    "!=": (COMPARE, SUM, SUM, lambda a, b: float(a != b)),
}
CALLS: dict[str, Callable[[float], float]] = {"abs": abs, "sqrt": square_root, "floor": floor, "re": float}


def binary(operator: str, left: Piece, right: Piece, blank: str) -> Piece:
    own, left_least, right_least, function = BINARY[operator]
    gap = blank or (" " if operator.isalpha() else "")
    text = f"{left.inside(left_least)}{gap}{operator}{gap}{right.inside(right_least)}"
    return Piece(text, own, lambda values: function(left.value(values), right.value(values)))


def chain(first: Piece, second: Piece, third: Piece) -> Piece:
    text = f"{first.inside(SUM)} < {second.inside(SUM)} <= {third.inside(SUM)}"
    return Piece(text, COMPARE, lambda values: float(first.value(values) < second.value(values) <= third.value(values)))


def power(base: Piece, exponent: str) -> Piece:
    return Piece(f"{base.inside(ATOM)}**{exponent}", POWER, lambda values: POWERS[exponent](base.value(values)))


def negative(operand: Piece) -> Piece:
    return Piece(f"-{operand.inside(SIGN)}", SIGN, lambda values: -operand.value(values))


def negation(operand: Piece) -> Piece:
    return Piece(f"not {operand.inside(NOT)}", NOT, lambda values: float(not operand.value(values)))


def call(name: str, operand: Piece) -> Piece:
    return Piece(f"{name}({operand.text})", ATOM, lambda values: CALLS[name](operand.value(values)))


def minimum(left: Piece, right: Piece) -> Piece:
    text = f"min({left.text}, {right.text})"
    return Piece(text, ATOM, lambda values: smaller(left.value(values), right.value(values)))


def bracketed(piece: Piece) -> Piece:
    return Piece(f"( {piece.text} )", ATOM, piece.value)


def name(letter: str) -> Piece:
    return Piece(letter, ATOM, lambda values: values[letter])


def literal(number: float) -> Piece:
    return Piece(repr(number), ATOM, lambda _values: number)


literals = st.floats(0, 1e300).map(literal) | st.integers(0, 9).map(
    lambda digit: Piece(str(digit), ATOM, lambda _: float(digit))
)
formulas = st.recursive(
    st.sampled_from("xyz").map(name) | literals,
    lambda inner: (
        st.builds(binary, st.sampled_from(sorted(BINARY)), inner, inner, st.sampled_from(["", " ", "\n"]))
        | st.builds(chain, inner, inner, inner)
        | st.builds(power, inner, st.sampled_from(sorted(POWERS)))
        | st.builds(negative, inner)
        | st.builds(negation, inner)
        | st.builds(call, st.sampled_from(sorted(CALLS)), inner)
        | st.builds(minimum, inner, inner)
        | st.builds(bracketed, inner)
    ),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None)
@given(formulas, st.tuples(*[st.floats() | st.integers(-3, 3).map(float)] * 3))
def test_real_formulas_equal_the_reference(formula: Piece, numbers: tuple[float, float, float]) -> None:
    values = dict(zip("xyz", numbers, strict=True))
    parsed = parse(formula.text, names="xyz", key="key")
    expected = formula.value(values)

    np.testing.assert_equal(float(evaluate(parsed, values)), expected)

    arrays = {letter: np.full(9, value) for letter, value in values.items()}
    np.testing.assert_array_equal(evaluate(parsed, arrays), expected)


def complex_binary(operator: str, left: Piece, right: Piece) -> Piece:
    return binary(operator, left, right, " ")


def complex_call(function: str, operand: Piece) -> Piece:
    parts: dict[str, Callable[[Any], Any]] = {
        "re": lambda z: z.real,
        "im": lambda z: z.imag,
        "conj": lambda z: z.conjugate(),
    }
    return Piece(f"{function}({operand.text})", ATOM, lambda values: parts[function](operand.value(values)))


def imaginary(digit: int, suffix: str) -> Piece:
    return Piece(f"{digit}{suffix}", ATOM, lambda _values: complex(0, digit))


complex_formulas = st.recursive(
    st.sampled_from("xyz").map(name) | st.builds(imaginary, st.integers(0, 3), st.sampled_from("ij")),
    lambda inner: (
        st.builds(complex_binary, st.sampled_from("+-*"), inner, inner)
        | st.builds(complex_call, st.sampled_from(["re", "im", "conj"]), inner)
        | st.builds(power, inner, st.sampled_from(["1", "2", "3"]))
        | st.builds(negative, inner)
    ),
    max_leaves=8,
)
gaussian_integers = st.builds(complex, st.integers(-3, 3), st.integers(-3, 3))


@settings(max_examples=300, deadline=None)
@given(complex_formulas, st.tuples(gaussian_integers, gaussian_integers, gaussian_integers))
def test_complex_formulas_equal_the_reference(formula: Piece, numbers: tuple[complex, complex, complex]) -> None:
    """Over Gaussian integers, where every product and sum is exact as long as it is small."""
    values = dict(zip("xyz", numbers, strict=True))
    expected = formula.value(values)
    assume(abs(expected) < 1e6)
    assert evaluate(parse(formula.text, names="xyz", key="key"), values) == expected


@settings(max_examples=400, deadline=None)
@given(
    st.text(max_size=60)
    | st.text("0123456789.eijxyz+-*/<>=!(), \n_#:[]", max_size=60)
    | st.lists(
        st.sampled_from([*"xyei+-*/(),", "**", "<", "not ", " and ", "sin(", "max(", "2.5", "i", "1e9"]), max_size=30
    ).map("".join)
)
def test_any_text_gets_one_line_or_a_number(text: str) -> None:
    try:
        formula = parse(text, names="xyz", key="key")
        assert isinstance(evaluate(formula, dict.fromkeys("xyz", 0.5)), float | complex | bool)
        assert isinstance(decimal(formula, dict.fromkeys("xyz", "0.5")), float)
    except FormulaError as error:
        refusal = error
    else:
        return
    assert str(refusal).startswith("key, column ")
    assert 1 <= refusal.column <= len(text) + 1
    assert str(refusal).isascii()
    assert str(refusal).isprintable()
