"""Decimal evaluation: literals as written, one rounding, enough digits, functions right to the last place."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest

from kernels.expression import FormulaError, decimal_functions, decimals, parse
from kernels.expression.evaluate import decimal, unrounded

# 70 places each, from tables
PI = "3.1415926535897932384626433832795028841971693993751058209749445923078164"
E = "2.7182818284590452353602874713526624977572470936999595749669676277240766"
SQRT_2 = "1.4142135623730950488016887242096980785696718753769480731766797379907324"
LOG_2 = "0.6931471805599453094172321214581765680755001343602552541206800094933936"
SIN_1 = "0.8414709848078965066525023216302989996225630607983710656727517099919104"
COS_1 = "0.5403023058681397174009366074429766037323104206179222276700972553811003"


def read(text: str, **values: decimals.DecimalValue) -> Decimal:
    return unrounded(parse(text, names=values.keys(), key="view.center"), values)


def test_literals_are_exact_and_rounded_once() -> None:
    formula = parse("0.1 + 0.2", names=[], key="view.width")
    assert decimal(formula) == 0.3
    assert decimal(formula) != 0.1 + 0.2
    assert read("0.1 + 0.2 - 0.3") == 0


def test_deep_centres_keep_every_digit() -> None:
    digits = "-1.7687788" + "123456789" * 40
    assert str(read(digits)) == digits
    assert read("-1.75 + 1e-300") + Decimal("1.75") == Decimal("1e-300")
    assert Fraction(read("x + dx", x=digits, dx="1e-370")) == Fraction(digits) + Fraction("1e-370")
    assert read("4/2**t", t=2000).adjusted() == -602


def test_values_of_every_kind_are_exact() -> None:
    assert read("a + b + c + d", a="0.1", b=Decimal("0.2"), c=3, d=0.5) == Decimal("3.8")
    assert read("x", x=0.1) == Decimal.from_float(0.1)


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "pi": PI,
        "e": E,
        "exp(1)": E,
        "sqrt(2)": SQRT_2,
        "2**0.5": SQRT_2,
        "log(2)": LOG_2,
        "sin(1)": SIN_1,
        "cos(1)": COS_1,
        "sin(1 + 2000*pi)": SIN_1,
        "cos(pi/2 - 1)": SIN_1,
        "sin(1)/tan(1)": COS_1,
        "2*sinh(1) + exp(-1)": E,
        "2*cosh(1) - exp(-1)": E,
        "exp(-1)/(1 - tanh(1))*2 - exp(-1)": E,
        "arg(-1)": PI,
    }.items(),
)
def test_constants_and_functions(text: str, expected: str) -> None:
    assert abs(read(text) - Decimal(expected)) < Decimal("1e-45")


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "sinh", "cosh", "tanh", "exp"])
def test_functions_are_right_to_the_last_place(name: str) -> None:
    """Half a unit of the last place at 40 digits, also near zeros, against the same function at 160 digits."""
    function = getattr(decimal_functions, name)
    texts = ["1e-30", "-0.3", "0.75", "1.5707963267948966192313216916397514420985", "2.5", "-" + PI, "355", "-710.3"]
    for argument in map(Decimal, texts):
        with localcontext(decimals.context(160)):
            exact = function(argument)
        with localcontext(decimals.context(40)):
            value = function(argument)
        with localcontext(decimals.context(160)):
            assert abs(value - exact) <= Decimal("0.501") * Decimal(10) ** (exact.adjusted() - 39)
        if abs(value) < 1e10:  # floats cannot come closer to a pole
            assert float(value) == pytest.approx(getattr(math, name)(float(argument)), rel=1e-12, abs=1e-15)


def test_real_semantics_are_those_of_floats() -> None:
    values = {
        "-2**2": -4,
        "2**-2": 0.25,
        "(-8)**3": -512,
        "(0 - 2)**(1 + 2)": -8,
        "0**0": 1,
        "(1 - 1)**(1 - 1)": 1,
        "(1 - 1)**2.5": 0,
        "(0/1)**(-1/2)": math.inf,
        "1/0": math.inf,
        "-1/0": -math.inf,
        "log(0)": -math.inf,
        "9**9**9**9": math.inf,
        "(-2)**(10**7 + 1)": -math.inf,
        "0.5**(1/0)": 0,
        "exp(1e9)": math.inf,
        "exp(-1e9)": 0,
        "tanh(-1e9)": -1,
        "floor(-0.5)": -1,
        "min(3, 1, 2) + max(3, 1, 2)": 4,
        "abs(-3) + re(2) + im(2) + conj(1)": 6,
        "(1 < 2 <= 2) + (1 == 2) + (1 != 2) + (2 > 3) + (2 >= 3)": 2,
        "(1 and 0) + (1 or 0) + (not 0)": 2,
    }
    for text, expected in values.items():
        assert float(read(text)) == expected, text
    for text in ("0/0", "sqrt(-1)", "log(-1)", "(-8)**(1/3)", "max(1, 0/0)", "min(0/0, 1)", "sin(1/0)", "sin(1e300)"):
        assert read(text).is_nan(), text


@pytest.mark.parametrize(("left", "right", "third"), [("1.25", "-3.7", "0.001"), ("1e-9", "123456.789", "-2.5e-12")])
def test_arithmetic_is_that_of_fractions(left: str, right: str, third: str) -> None:
    exact = Fraction(left) * Fraction(right) - Fraction(third)
    assert Fraction(read(f"{left}*({right}) - ({third})")) == exact
    assert float(read(f"({left}*({right}) - ({third}))/7")) == float(exact / 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 + 2i", "column 5: an imaginary number"),
        ("1 + i", "column 5: an imaginary number"),
        ("x", "the value of x, 'abc', is not a decimal number"),
        ("sin(1e-1000)", "column 1: numbers span 1000 digits; a formula like this works with 600 at most"),
        ("1 + 1e-7000", "column 1: numbers span 7001 digits; a formula like this works with 6000 at most"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=r"^view\.center, ") as caught:
        read(text, x="abc")
    assert message in str(caught.value)
