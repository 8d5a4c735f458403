"""What a map becomes: the operations, the numbers a kernel is given, the rendered text, and the refusals."""

from __future__ import annotations

import re

import numpy as np
import pytest

from kernels.expression import FormulaError, parse
from kernels.expression.lower import Constant, Lowered, MapFormulas, lower

ARITHMETICS = ("reproducible", "plain", "fast")


def formulas(updates: dict[str, str], stop: str, *constants: Constant, is_complex: bool = True) -> MapFormulas:
    states = tuple(updates)
    names = [*states, *(f"{state}_old" for state in states), "k", *(constant.name for constant in constants)]
    return MapFormulas(
        is_complex,
        states,
        tuple(parse(text, names=names, key=f"map.{state}") for state, text in updates.items()),
        parse(stop, names=names, key="stop.when"),
        constants,
    )


def lowered(update: str, stop: str = "abs(z) > 2", *constants: Constant, arithmetic: str = "reproducible") -> Lowered:
    return lower(formulas({"z": update}, stop, *constants), arithmetic)


def names_of(function: object) -> list[str]:
    return [operation.name for operation in function.operations]


C = Constant("c", "lane", complex=True)


def test_the_mandelbrot_step_takes_few_operations() -> None:
    step = lowered("z**2 + c", "abs(z) > 2", C)
    assert sorted(names_of(step.update)) == sorted([*["state"] * 2, *["lane"] * 2, "+", "negative", *["madd"] * 3])
    assert names_of(step.stop) == ["state", "state", "*", "madd", "literal", "less_equal", "not"]
    assert step.lanes == (("c", "re"), ("c", "im"))
    assert step.uniforms == ()
    assert step.num_states == 2
    assert step.old_states == ()
    assert not step.uses_k


def test_plain_arithmetic_has_the_operations_of_numpy() -> None:
    step = lowered("z**2 + c", "abs(z) > 2", C, arithmetic="plain")
    assert "madd" not in names_of(step.update) + names_of(step.stop)

    random = np.random.default_rng(0)
    x, y, a, b = random.normal(size=(4, 100))
    re, im = step.numpy().update([x, y], [x, y], [a, b], [], 0)
    np.testing.assert_array_equal(re, (x * x - y * y) + a)
    np.testing.assert_array_equal(im, (x * y + y * x) + b)


def test_equal_parts_are_computed_once() -> None:
    once, twice = lowered("sin(z)*c", "abs(z) > 2", C), lowered("sin(z)*c + 3*(sin(z)*c)", "abs(z) > 2", C)
    for name in ("sin", "cos", "sinh", "cosh"):
        assert names_of(once.update).count(name) == names_of(twice.update).count(name) == 1


def test_what_is_known_is_folded_and_what_is_not_needed_is_dropped() -> None:
    one = Constant("a", "baked", complex=False, value=0.25)
    step = lowered("conj(conj(z))*(2*3 - 5)/(sin(0) + e**0)*4*a", "abs(z) > 2", C, one)
    assert names_of(lowered("z*(2*3 - 5)/(sin(0) + e**0)", "abs(z) > 2", C).update) == ["state", "state"]
    assert step.lanes == ()


def test_real_parts_stay_real() -> None:
    step = lowered("abs(re(z)) + i*abs(im(z))")
    assert step.update.num_operations == 2
    assert lowered("2*z").update.num_operations == 2
    assert lowered("i*z").update.num_operations == 1
    assert lowered("conj(z)").update.num_operations == 1
    pure = Constant("c", "baked", complex=True, value=2j)
    assert lowered("c*z", "abs(z) > 2", pure).update.num_operations == 3


def test_numbers_that_a_kernel_is_given() -> None:
    step = lower(
        formulas(
            {"z": "a*z + b*w_old + k", "w": "conj(z)*s"},
            "abs(z) > r",
            Constant("s", "lane", True),
            Constant("unused", "lane", True),
            Constant("a", "uniform", True),
            Constant("b", "uniform", False),
            Constant("r", "uniform", False),
        ),
        "reproducible",
    )
    assert step.num_states == 4
    assert step.uniforms == (("a", "re"), ("a", "im"), ("b", "re"), ("r", "re"))
    assert step.lanes == (("s", "re"), ("s", "im"))
    assert step.old_states == (2, 3)
    assert step.uses_k
    assert step.num_operations == step.update.num_operations + step.stop.num_operations


def test_updates_are_simultaneous() -> None:
    step = lower(formulas({"x": "y", "y": "x + y"}, "x > 10", is_complex=False), "reproducible")
    assert [float(value) for value in step.numpy().update([1.0, 2.0], [0, 0], [], [], 0)] == [2.0, 3.0]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_absolute_values_are_compared_as_squares(arithmetic: str) -> None:
    radius = Constant("r", "uniform", complex=False)
    for test in ("abs(z) > 2", "2 <= abs(z)", "abs(z) < r", "abs(z) > abs(c)", "abs(z) > abs(re(c))"):
        assert "sqrt" not in names_of(lowered("z", test, C, radius, arithmetic=arithmetic).stop)
    for test in ("abs(z) == 2", "abs(z) > 1e200", "abs(z) + 1 > 2"):
        assert "sqrt" in names_of(lowered("z", test, C, radius, arithmetic=arithmetic).stop)


def test_comparisons_with_negative_numbers_keep_their_meaning() -> None:
    stop = lowered("z", "abs(z) > r", Constant("r", "uniform", complex=False)).numpy().stop
    assert [bool(stop([0.3, 0.4], [0, 0], [], [radius], 0)) for radius in (-1.0, 0.4, 0.6)] == [True, True, False]


NAN_STOPS = [
    "abs(z) > 2",
    "abs(z) < 2",
    "z == 1",
    "z != 1",
    "not (abs(z) > 2)",
    "not z == 1",
    "re(z) > 1 and im(z) > 1",
    "re(z) > 1 or 1 > 2",
    "not (re(z) > 1 or 1 > 2)",
    "1 < re(z) < 2",
    "not 1 < re(z) < 2",
    "2*(re(z) > 1) == 1",
    "(1 > 2) and (1 > 2 or abs(z) > 2)",
]


@pytest.mark.parametrize("test", NAN_STOPS)
def test_what_is_not_a_number_stops(test: str) -> None:
    stop = lowered("z", test).numpy().stop
    assert bool(stop([np.nan, np.nan], [0.0, 0.0], [], [], 0))
    assert bool(stop([np.array([np.nan, 0.5]), np.array([np.nan, 0.5])], [0, 0], [], [], 0)[0])


@pytest.mark.parametrize("test", NAN_STOPS)
def test_numbers_stop_as_written(test: str) -> None:
    stop = lowered("z", test).numpy().stop
    for z in (0.5 + 0.5j, 1.5 + 1.5j, 1 + 0j, 3 - 4j):
        expected = eval(test, {"abs": abs, "re": lambda v: v.real, "im": lambda v: v.imag, "z": z})
        assert bool(stop([z.real, z.imag], [0.0, 0.0], [], [], 0)) == expected


def test_rendered_text_holds_nothing_of_the_formulas() -> None:
    constants = [
        Constant(name, kind, True, 0.1 + 0.7j) for name, kind in (("evil_name", "baked"), ("another", "uniform"))
    ]
    source = lowered("evil_name*z**2.5 + sin(another*z)/1e999", "abs(z) > 1234.5 and k > 3", *constants).source
    assert "evil" not in source
    assert "another" not in source
    assert "1234" not in source
    allowed = r"v\d+|s|old|constant|uniform|next|k|const|Lane|Mask|real|broadcast|DEVICE|void|update|stop|return"
    words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"-?0x[0-9a-f.]+p[+-]\d+", "", source.split("\n", 1)[1])))
    functions = {word for word in words if not re.fullmatch(allowed, word)}
    assert functions <= {"madd", "sine", "cosine", "exponential", "hyperbolic_sine", "hyperbolic_cosine"} | {
        *("logarithm", "arctangent2", "less", "less_equal", "equal", "negate", "select", "square_root")
    }


def test_rendering_is_a_function_of_the_formulas_alone() -> None:
    texts = {lowered("c*sin(z)**3.7 + log(2)*exp(i*pi/3)*z", "abs(z) > 2", C).source for _ in range(3)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("update", "stop", "is_complex", "message"),
    [
        ("z + 1", "abs(z)", True, "stop.when, column 1: this gives a number"),
        ("z + 1", "2*(3 + (abs(z) > 2))", True, "stop.when, column 1: this gives a number"),
        ("z + 1", "z > 2", True, "stop.when, column 1: complex numbers have no order"),
        ("z + floor(z)", "abs(z) > 2", True, "map.z, column 5: floor needs real numbers"),
        ("z + max(re(z), z)", "abs(z) > 2", True, "map.z, column 5: max needs real numbers"),
        ("z + 2*(3 + i)", "z > 2", False, "map.z, column 12: i makes this complex, but z of a real map is real"),
        ("z*c", "z > 2", False, "map.z, column 3: c makes this complex, but z of a real map is real"),
    ],
)
def test_kinds_that_do_not_fit(update: str, stop: str, is_complex: bool, message: str) -> None:
    with pytest.raises(FormulaError) as refusal:
        lower(formulas({"z": update}, stop, C, is_complex=is_complex), "reproducible")
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_real_maps_may_use_the_real_parts_of_complex_numbers() -> None:
    step = lower(formulas({"x": "re(c)*x*(1 - x)"}, "abs(x) > abs(c)", C, is_complex=False), "plain")
    assert [float(v) for v in step.numpy().update([0.25], [0.0], [3.5, 1.0], [], 0)] == [3.5 * 0.25 * 0.75]


COMPLEX_VALUES = {
    "z**0": 1,
    "(0*z)**n": 0,
    "(z - z)**2.5": 0,
    "(z - z)**(1 + i)": 0,
    "z**(n - n)": 1,
    "sqrt(-1 + 0*i)": 1j,
    "sqrt(-4*i)": 1.4142135623730951 - 1.4142135623730951j,
    "log(-1 + 0*i)": 3.141592653589793j,
    "exp(i*pi)": -1 + 1.2246467991473532e-16j,
    "(1 < 2)*i + (not 0)": 1 + 1j,
    "abs(3 + 4i)": 5,
    "arg(-2 + 0*i)": 3.141592653589793,
    "conj(1 + 2i)/(1 - i)": (1 - 2j) / (1 - 1j),
    "min(3, 1, 2) + max(1, 0/0, 2)*0": complex("nan"),
    "2**0.5": 2**0.5,
    "e**2": 2.718281828459045**2,
    "tan(1 + 30i)": 1.5925e-26 + 1j,
    "tanh(1000 + i)": 1,
}


@pytest.mark.parametrize("text", COMPLEX_VALUES)
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_values(text: str, arithmetic: str) -> None:
    step = lowered(text, "abs(z) > 2", Constant("n", "uniform", complex=False), arithmetic=arithmetic)
    re, im = step.numpy().update([0.5, 1.5], [0.0, 0.0], [], [2.0], 0)
    expected = complex(COMPLEX_VALUES[text])
    if expected == expected:
        assert abs(complex(re, im) - expected) <= 4e-16 * abs(expected)
    else:
        assert np.isnan(re)
