"""Kinds of formulas from the kinds of their names, in agreement with the values that NumPy gives."""

import numpy as np
import pytest

from kernels.expression import FormulaError, parse
from kernels.expression.evaluate import numpy as evaluate
from kernels.expression.types import Kind, infer, require_real, require_truth

KINDS = {"x": Kind.REAL, "z": Kind.COMPLEX, "p": Kind.TRUTH}
VALUES = {"x": np.float64(0.5), "z": np.complex128(1 + 2j), "p": np.bool_(True)}

TEXTS = {
    "2*x": Kind.REAL,
    "pi": Kind.REAL,
    "i": Kind.COMPLEX,
    "i*i": Kind.COMPLEX,
    "-z": Kind.COMPLEX,
    "sqrt(-1)": Kind.REAL,
    "x**z": Kind.COMPLEX,
    "abs(z) + re(z) + im(z) + arg(z)": Kind.REAL,
    "conj(z)": Kind.COMPLEX,
    "conj(x)": Kind.REAL,
    "min(x, 1, floor(x))": Kind.REAL,
    "x < 1": Kind.TRUTH,
    "z == 1": Kind.TRUTH,
    "z and x": Kind.TRUTH,
    "not z": Kind.TRUTH,
    "p": Kind.TRUTH,
    "-p": Kind.REAL,
    "p + p": Kind.REAL,
    "(x < 1)*z": Kind.COMPLEX,
    "sin(x < 1)": Kind.REAL,
}


@pytest.mark.parametrize("text", TEXTS)
def test_kinds_agree_with_values(text: str) -> None:
    formula = parse(text, names=KINDS, key="key")
    assert infer(formula, KINDS) is TEXTS[text]
    result = evaluate(formula, VALUES)
    assert type(result) is {Kind.TRUTH: bool, Kind.REAL: float, Kind.COMPLEX: complex}[TEXTS[text]]


REFUSED = {
    "1 + (z < 1)": (6, "complex numbers have no order; write abs(...) or re(...)"),
    "x < i": (1, "complex numbers have no order; write abs(...) or re(...)"),
    "floor(2*z)": (1, "floor needs real numbers; write abs(...) or re(...)"),
    "x + max(1, z)": (5, "max needs real numbers; write abs(...) or re(...)"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_complex_numbers_where_none_have_a_meaning(text: str) -> None:
    with pytest.raises(FormulaError) as caught:
        infer(parse(text, names=KINDS, key="map.z"), KINDS)
    assert (caught.value.column, caught.value.message) == REFUSED[text]


def test_what_makes_a_formula_complex_is_named() -> None:
    require_real(parse("abs(z)*x", names=KINDS, key="map.x"), KINDS, "x")
    for text, column, name in (("x + abs(z)*(x - z)", 17, "z"), ("sqrt(x*(2 + 3i))", 13, "i"), ("conj(i)", 6, "i")):
        with pytest.raises(FormulaError) as caught:
            require_real(parse(text, names=KINDS, key="map.x"), KINDS, "x of a real map")
        assert caught.value.column == column
        assert (
            caught.value.message == f"{name} makes this complex, but x of a real map is real; write re(...) or abs(...)"
        )


def test_a_test_is_a_truth_value() -> None:
    require_truth(parse("not (x < 1) and z == 2", names=KINDS, key="stop.when"), KINDS)
    for text, column in (("abs(z)", 1), ("  2*(x < 1)", 3), ("(x < 1) + 1", 1)):
        with pytest.raises(FormulaError, match="this gives a number, not a truth value") as caught:
            require_truth(parse(text, names=KINDS, key="stop.when"), KINDS)
        assert caught.value.column == column
