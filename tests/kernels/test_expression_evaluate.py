"""What formulas mean in floating point: kinds of numbers, powers, truth values, arrays, and the silence of bad values."""

import cmath
import math
from typing import Any

import numpy as np
import pytest

from kernels.expression import FormulaError, parse
from kernels.expression.evaluate import numpy as evaluate


def compute(text: str, **values: Any) -> Any:
    return evaluate(parse(text, names=values.keys(), key="map.z"), values)


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and (left == right or (cmath.isnan(left) and cmath.isnan(right)))


VALUES: dict[str, float | complex | bool] = {
    "40/2**(60/30)": 10.0,
    "1/2": 0.5,
    "-0.744 + 0.148i": -0.744 + 0.148j,
    "2**0.5": math.sqrt(2),
    "-2**2": -4.0,
    "2**-1": 0.5,
    "pi": math.pi,
    "e": math.e,
    "i*i": -1 + 0j,
    "sqrt(-1)": math.nan,
    "sqrt(-1 + 0*i)": 1j,
    "log(-1)": math.nan,
    "log(-1 + 0*i)": math.pi * 1j,
    "(-8)**(1/3)": math.nan,
    "0**0": 1.0,
    "0**2.5": 0.0,
    "(0*i)**2.5": 0j,
    "(0*i)**(1 + i)": 0j,
    "1/0": math.inf,
    "-1/0": -math.inf,
    "0/0": math.nan,
    "log(0)": -math.inf,
    "exp(1000)": math.inf,
    "9**9**9**9": math.inf,
    "10**10**10": math.inf,
    "1e999": math.inf,
    "floor(-0.5)": -1.0,
    "min(3, 1, 2)": 1.0,
    "max(3, 1, 0/0)": math.nan,
    "min(1/0, 0/0)": math.nan,
    "abs(3 + 4i)": 5.0,
    "re(3 + 4i)": 3.0,
    "im(3 + 4i)": 4.0,
    "conj(3 + 4i)": 3 - 4j,
    "im(3)": 0.0,
    "arg(-1)": math.pi,
    "arg(2i)": math.pi / 2,
    "1 < 2": True,
    "1 < 2 < 2": False,
    "3 > 2 >= 2 != 1": True,
    "i == 1i": True,
    "i != 1": True,
    "not 0": True,
    "2 and 3": True,
    "0 or 0.0": False,
    "1 < 2 or 0/0 < 1": True,
    "0/0 < 1": False,
    "(1 < 2) + (2 < 3)": 2.0,
    "-(1 < 2)": -1.0,
    "5*(2 > 1)": 5.0,
}


@pytest.mark.parametrize("text", VALUES)
def test_the_value(text: str) -> None:
    assert same(compute(text), VALUES[text])


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt"])
def test_functions_of_real_and_complex_numbers(name: str) -> None:
    assert compute(f"{name}(x)", x=0.7) == pytest.approx(getattr(math, name)(0.7), rel=1e-14)
    assert compute(f"{name}(x)", x=0.7 - 0.4j) == pytest.approx(getattr(cmath, name)(0.7 - 0.4j), rel=1e-14)


def test_written_integer_powers_are_products_in_a_fixed_order() -> None:
    x = np.random.default_rng(1).uniform(-3, 3, 1000)
    with np.errstate(all="raise"):
        expected = {
            "x**2": x * x,
            "x**3": (x * x) * x,
            "x**4": (x * x) * (x * x),
            "x**5": ((x * x) * (x * x)) * x,
            "x**6": ((x * x) * x) * ((x * x) * x),
            "x**-2": 1 / (x * x),
            "x**-3.0": 1 / ((x * x) * x),
            "x**1": x,
        }
    for text, value in expected.items():
        np.testing.assert_array_equal(compute(text, x=x), value)
    np.testing.assert_array_equal(compute("x**65", x=x), np.power(x, 65.0))


def test_complex_powers_are_the_principal_branch() -> None:
    for z in (0.3 + 0.2j, -1.5 - 1e-3j, -1.5 + 1e-3j):
        for n in (2.5, -0.5, 3.886, 1 + 1j):
            assert compute("z**n", z=z, n=n) == pytest.approx(cmath.exp(n * cmath.log(z)), rel=1e-13)


def test_integers_become_floats_before_any_operator() -> None:
    times = np.array([2, 60_000], dtype=np.int32)
    np.testing.assert_array_equal(compute("times*times", times=times), [4.0, 3.6e9])
    assert compute("n*n", n=10**30) == 1e30 * 1e30
    assert compute("n/0", n=1) == math.inf


def test_kinds_of_results() -> None:
    grid = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert compute("x + 1", x=grid).dtype == np.float64
    assert compute("x + i", x=grid).dtype == np.complex128
    assert compute("x < 2", x=grid).dtype == np.bool_
    assert compute("x + y", x=grid, y=np.arange(3)).shape == (2, 3)
    assert compute("x + y", x=grid, y=np.ones((2, 1))).shape == (2, 3)
    assert type(compute("x + 1", x=np.array(1))) is float


def test_the_default_picture_of_a_divergence_map() -> None:
    times = np.array([[0, 10], [40, 50]], dtype=np.int32)
    np.testing.assert_array_equal(compute("steps - times", steps=50, times=times), [[50, 40], [10, 0]])
    np.testing.assert_array_equal(compute("1000*t - min(times, 1000*t)", t=0.02, times=times), [[20, 10], [0, 0]])


@pytest.mark.parametrize("text", ["1 < i", "x >= 0", "floor(x)", "2 + min(1, x)", "max(x, 1, 2)"])
def test_complex_numbers_have_no_order(text: str) -> None:
    with pytest.raises(FormulaError, match=r"map\.z, column [15]: .* needs real numbers"):
        compute(text, x=1j)


def test_values_that_are_missing_or_no_numbers() -> None:
    formula = parse("x + 1", names=["x"], key="map.x")
    with pytest.raises(KeyError, match="x"):
        evaluate(formula, {"y": 1})
    with pytest.raises(TypeError, match="cannot use a value of type"):
        evaluate(formula, {"x": "1"})


def test_dask_arrays_stay_lazy_and_silent() -> None:
    array = pytest.importorskip("dask.array")
    times = np.arange(12, dtype=np.int32).reshape(3, 4)
    lazy = compute("1/times + i*y + t", times=array.from_array(times, chunks=(2, 2)), y=np.arange(4.0), t=2)
    assert isinstance(lazy, array.Array)
    assert (lazy.shape, lazy.dtype, lazy.chunks) == ((3, 4), np.dtype(complex), ((2, 1), (2, 2)))
    computed = lazy.compute(scheduler="threads")
    np.testing.assert_array_equal(computed, compute("1/times + i*y + t", times=times, y=np.arange(4.0), t=2))
