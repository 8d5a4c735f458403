"""Definitions put in, derivatives taken, and the one line for those that cannot be."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from kernels.errors import RequestError
from kernels.expression import Formula, FormulaError, parse
from kernels.expression.definitions import Definitions
from kernels.expression.evaluate import numpy as evaluate

NAMES = ("z", "z_old", "a", "c")
Z = np.array([0.3 + 0.4j, -1.2 + 0.7j, 2 - 0.3j])
VALUES = {"z": Z, "z_old": Z / 2, "a": 0.6 - 0.2j, "c": -0.4 + 1.1j}


def read(text: str, definitions: dict[str, str] | None = None) -> Formula:
    return Definitions(definitions or {}, names=NAMES, key="define").parse(text, names=NAMES, key="map.z")


def value(text: str, definitions: dict[str, str] | None = None) -> np.ndarray:
    return evaluate(read(text, definitions), VALUES)


def refusal(text: str, definitions: dict[str, str]) -> str:
    with pytest.raises(RequestError) as caught:
        read(text, definitions)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_definitions_are_put_in() -> None:
    np.testing.assert_array_equal(
        value("f(z) - f(a)", {"f(s)": "s**2 + c"}), (Z * Z + VALUES["c"]) - (VALUES["a"] ** 2 + VALUES["c"])
    )
    np.testing.assert_array_equal(value("g*g", {"g": "z + c"}), (Z + VALUES["c"]) * (Z + VALUES["c"]))
    np.testing.assert_array_equal(
        value("f(z, f(a, c))", {"f(s, t)": "s - 2*t"}), Z - 2 * (VALUES["a"] - 2 * VALUES["c"])
    )


def test_definitions_use_each_other_in_any_order_and_arguments_hide_names() -> None:
    assert value("h(c)", {"h(z)": "f(z) + g", "g": "f(2)", "f(a)": "a*a"}) == VALUES["c"] ** 2 + 4


def test_the_text_and_key_stay_and_names_are_those_that_are_left() -> None:
    formula = read("f(z)", {"f(s)": "s + c"})
    assert formula.text == "f(z)"
    assert formula.key == "map.z"
    assert formula.names == {"z", "c"}


def test_parts_of_a_definition_stand_where_it_is_used() -> None:
    definitions = Definitions({"f(s)": "floor(s)"}, names=NAMES, key="define")
    formula = definitions.parse("1 + f(z)", names=NAMES, key="map.z")
    with pytest.raises(FormulaError, match=r"map\.z, column 5: floor needs real numbers"):
        evaluate(formula, VALUES)


DERIVATIVES = {
    "z": "1",
    "a*c": "0",
    "z**5 - z - 1": "5*z**4 - 1",
    "(z - a)*(z + c)": "2*z + c - a",
    "1/(z**2 + 1)": "-2*z/(z**2 + 1)**2",
    "-z**-3": "3*z**-4",
    "sqrt(z*c)": "c/(2*sqrt(z*c))",
    "z**2.5": "2.5*z**1.5",
    "z**a": "a*z**(a - 1)",
    "a**z": "a**z*log(a)",
    "z**z": "z**z*(log(z) + 1)",
    "exp(a*z)*sin(z)": "exp(a*z)*(a*sin(z) + cos(z))",
    "log(z) + tan(z)": "1/z + 1 + tan(z)**2",
    "cosh(z)*sinh(z)": "cosh(z)**2 + sinh(z)**2",
    "tanh(z/2)": "(1 - tanh(z/2)**2)/2",
    "cos(z)**3": "-3*cos(z)**2*sin(z)",
    "abs(a)*arg(c)*z": "abs(a)*arg(c)",
    "sqrt(sqrt(z))": "1/(4*sqrt(z)*sqrt(sqrt(z)))",
    "z*z*z/z": "2*z",
}


@pytest.mark.parametrize("text", DERIVATIVES)
def test_derivatives(text: str) -> None:
    pytest.importorskip("sympy")
    expected = evaluate(parse(DERIVATIVES[text], names=NAMES, key="key"), VALUES)
    np.testing.assert_allclose(value(f"d({text}, z)"), expected, rtol=1e-13)


@pytest.mark.parametrize("text", [text for text in DERIVATIVES if text not in ("z", "a*c")])
def test_derivatives_equal_difference_quotients(text: str) -> None:
    pytest.importorskip("sympy")
    formula, step = parse(text, names=NAMES, key="key"), 1e-6
    up, down = (evaluate(formula, {**VALUES, "z": Z + sign * step}) for sign in (1, -1))
    np.testing.assert_allclose(value(f"d({text}, z)"), (up - down) / (2 * step), rtol=1e-7)


def test_methods_for_roots_are_one_line() -> None:
    pytest.importorskip("sympy")
    f, df, ddf = Z**3 - 1, 3 * Z**2, 6 * Z
    np.testing.assert_allclose(value("z - f(z)/d(f(z), z)", {"f(s)": "s**3 - 1"}), Z - f / df, rtol=1e-14)
    halley = value("z - 2*f(z)*g/(2*g**2 - f(z)*d(g, z))", {"f(s)": "s**3 - 1", "g": "d(f(z), z)"})
    np.testing.assert_allclose(halley, Z - 2 * f * df / (2 * df**2 - f * ddf), rtol=1e-13)
    slope = value("slope(z)", {"f(s)": "s**3 - 1", "slope(s)": "d(f(s), s)"})
    np.testing.assert_allclose(slope, df, rtol=1e-14)
    chain = value("d(f(z**2), z)", {"f(s)": "s**3 - 1"})
    np.testing.assert_allclose(chain, 6 * Z**5, rtol=1e-13)


def test_huge_numbers_are_never_multiplied_out() -> None:
    pytest.importorskip("sympy")
    start = time.process_time()
    assert np.isnan(value("d(10**10**10*z**(10**10**10), z)")).all()
    read("d(" + "(" * 40 + "2*z" + ")**64" * 15 + ")**2" * 5 + ")" * 20 + ", z)")
    assert time.process_time() - start < 2


REFUSALS = {
    "d(abs(z), z)": "map.z, column 1: abs(...) has no derivative with respect to z",
    "2 + d(z*conj(z), z)": "map.z, column 5: conj(...) has no derivative with respect to z",
    "d((z == 1)*z, z)": "map.z, column 1: a comparison has no derivative with respect to z",
    "d(z, 2)": "map.z, column 6: d(formula, name) takes a derivative with respect to a name, as in d(f(z), z)",
    "d(z, g)": "map.z, column 6: d(formula, name) takes a derivative with respect to a name, as in d(f(z), z)",
    "d(z)": "map.z, column 1: d takes 2 arguments, not 1",
    "f(z, z)": "map.z, column 1: f takes 1 argument, not 2",
    "f + 1": "map.z, column 1: f is a function; write f(...)",
    "g(z)": "map.z, column 1: 'g' is not a function; write * for a product",
    "fg(z)": "map.z, column 1: unknown function 'fg'; did you mean 'f'?",
    "d(1/(z - z), z)": "map.z, column 1: this divides by zero whatever its values; it has no derivative",
}


@pytest.mark.parametrize("text", REFUSALS)
def test_formulas_that_are_refused(text: str) -> None:
    pytest.importorskip("sympy")
    assert refusal(text, {"f(s)": "s**2", "g": "z + 1"}) == REFUSALS[text]


DEFINITIONS = {
    ("f(s)", "f(s) + 1"): "define.f(s), column 1: this definition uses itself: f -> f",
    ("f(s)", "s + q"): "define.f(s), column 5: unknown name 'q'",
    ("f(s", "s"): "define.f(s: 'f(s' is not a name or a function of names; write f or f(s)",
    ("f()", "1"): "define.f(): 'f()' is not a name",
    ("2f", "1"): "define.2f: '2f' is not a name",
    ("f(s, s)", "s"): "define.f(s, s): a function has at most 8 arguments, each with its own name",
    ("sin(x)", "x"): "define.sin(x): sin is a name of the language; choose another",
    ("d(x)", "x"): "define.d(x): d is a name of the language; choose another",
    ("f(i)", "i"): "define.f(i): i is a name of the language; choose another",
    ("z", "1"): "define.z: z has a meaning already; choose another name",
}


@pytest.mark.parametrize(("head", "body"), DEFINITIONS)
def test_definitions_that_are_refused(head: str, body: str) -> None:
    with pytest.raises(RequestError) as caught:
        Definitions({head: body}, names=NAMES, key="define")
    assert str(caught.value).startswith(DEFINITIONS[head, body])
    assert "\n" not in str(caught.value)


def test_circles_through_several_definitions() -> None:
    message = refusal("z", {"f(s)": "g(s) + h", "g(s)": "s*h", "h": "d(f(z), z)"})
    assert "uses itself: f -> g -> h -> f" in message
    assert refusal("z", {"f": "1", "f(s)": "s"}) == "define.f(s): f is defined twice; remove one definition"
    assert "choose another argument" in refusal("z", {"f(s)": "s", "g(f)": "f"})


def grown(doublings: int) -> dict[str, str]:
    return {f"f{n}(s)": f"f{n - 1}(f{n - 1}(s))" if n else "s*s + c" for n in range(doublings)}


HOSTILE = [
    (grown(40), "f39(z)"),
    ({"f(s)": "s*s*s*s" + "*s" * 200}, "f(f(f(f(z))))"),
    ({"f(s)": "sin(" * 90 + "s" + ")" * 90}, "f(f(f(f(z))))"),
    ({}, "d(" * 90 + "z**64*sin(z)" + ", z)" * 90),
    ({}, "d(" * 20 + "exp(z*z)" + ", z)" * 20),
    ({}, "d(" + "z**" * 120 + "z, z)"),
    ({}, "d(" + "sin(" * 90 + "z" + ")" * 90 + ", z)"),
    ({}, "d(" + "*".join(f"sin(z + {n})" for n in range(80)) + ", z)"),
    ({}, "d(" + "/".join(f"(z**{n} - c)" for n in range(1, 60)) + ", z)"),
    ({"f(s)": "(" * 10_000 + "s" + ")" * 10_000}, "f(z)"),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_definitions_get_their_line_at_once(number: int) -> None:
    pytest.importorskip("sympy")
    definitions, text = HOSTILE[number]
    start = time.process_time()
    with pytest.raises(RequestError) as caught:
        Definitions(definitions, names=NAMES, key="define").parse(text, names=NAMES, key="map.z")
    assert time.process_time() - start < 1
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_sympy_is_not_imported_without_a_derivative() -> None:
    script = """
import sys
from kernels.expression.definitions import Definitions
Definitions({"f(s)": "s"}, names="z", key="define").parse("f(z)", names="z", key="map.z")
print("sympy" in sys.modules)
"""
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
