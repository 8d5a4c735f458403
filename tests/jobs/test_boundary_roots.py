"""The table of roots, and which root a pixel reached."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jobs import model
from jobs.boundary.polynomial import NotAPolynomialError, coefficients
from jobs.boundary.roots import MOST_ROOTS, distinct
from kernels.expression import parse

from .conftest import compute

NEWTON: dict[str, Any] = {
    "kind": "boundary",
    "name": "newton",
    "outputs": ["iterations", "root"],
    "map": {"z": "z - f(z)/d(f(z), z)"},
    "start": {"z": "pixel"},
    "define": {"f(s)": "s**3 - 1"},
    "roots": {"of": "f(z)"},
    "stop": {"when": "abs(z - z_old) < 1e-7", "max_iterations": 50},
    "view": {"width": 10, "resolution": [40, 40]},
}


def arrays_of(**sections: Any) -> dict[str, np.ndarray[Any, Any]]:
    return compute(model.plan(model.from_tree({**NEWTON, **sections})))


def roots_of(function: str, **sections: Any) -> np.ndarray[Any, Any]:
    """The table of the first frame as complex numbers."""
    table = arrays_of(define={"f(s)": function}, view={"width": 4, "resolution": [1, 1]}, **sections)["roots"][0]
    found = table[:, 0] + 1j * table[:, 1]
    return np.asarray(found[~np.isnan(found)])


def test_basins_of_cube_roots() -> None:
    """Spec J5, grid(-5, 5, 400): shares of .34999, .32501 and .32501; conjugate points reach conjugate roots."""
    view = {"width": 10, "resolution": [400, 400], "sampling": "inclusive"}
    arrays = arrays_of(view=view)
    shares = [float((arrays["root"] == index).mean()) for index in (2, 0, 1)]
    np.testing.assert_allclose(shares, [0.34999, 0.32501, 0.32501], atol=5e-6)
    swapped = np.array([1, 0, 2])[arrays["root"][0]]
    assert (arrays["root"][0][::-1] == swapped).all()
    np.testing.assert_allclose(arrays["roots"][0], [[-0.5, -np.sqrt(0.75)], [-0.5, np.sqrt(0.75)], [1, 0]], atol=1e-15)


def test_cycles_reach_no_root() -> None:
    """Spec I1: 95.54875 % of [-2, 2] x [-2, 2] come to a root of z**5 - z - 1, the others to a cycle."""
    view = {"width": 4, "resolution": [400, 400], "sampling": "inclusive"}
    stop = {"when": "abs(z - z_old) < 1e-7", "max_iterations": 80}
    arrays = arrays_of(define={"f(s)": "s**5 - s - 1"}, view=view, stop=stop)
    assert float((arrays["root"] >= 0).mean()) == pytest.approx(0.9554875, abs=2e-5)
    assert ((arrays["root"] == -2) == (arrays["iterations"] == 80)).all()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("s**2 - 1", [-1, 1]),
        ("(s - 1)**2*(s + 2)", [-2, 1]),
        ("s**3 - 7*s + 6", [-3, 1, 2]),
        ("(s**2 + 1)/(2 + i) - 0*s**4", [-1j, 1j]),
        ("s**4 - exp(i*pi/2)*sqrt(16)*(1 + 0*i)", np.sort_complex(4**0.25 * np.exp(1j * np.pi * (1 + 4 * np.arange(4)) / 8))),
        ("s**2.5 - 1", [np.exp(-0.8j * np.pi), np.exp(0.8j * np.pi), 1]),
        ("exp(s) - 1", [-2j * np.pi * n for n in ()] or [0]),
        ("cos(s)", None),
    ],
)  # fmt: skip
def test_tables(function: str, expected: Any) -> None:
    found = roots_of(function)
    if expected is None:
        expected = np.pi * (np.arange(-2, 2) + 0.5)
        found = found[np.abs(found) < 5]
    elif function.startswith("exp"):
        found = found[np.abs(found) < 3]
    np.testing.assert_allclose(found, np.asarray(expected, dtype=complex), rtol=1e-7, atol=1e-7)
    assert (np.diff(np.round(found.real, 9)) >= 0).all()
    assert found.size <= MOST_ROOTS


def test_high_degrees() -> None:
    found = roots_of("s**32 - 1")
    assert found.size == 32
    np.testing.assert_allclose(found**32, 1, rtol=1e-12)
    assert roots_of("s**13 - s - 1").size == 13


def test_real_maps_have_real_roots() -> None:
    """Spec J4: (x - 2)(x - 1)(x + 3) on the real line, and a function with complex roots besides."""
    real: dict[str, Any] = {
        "map": {"x": "x - f(x)/d(f(x), x)"},
        "start": {"x": "u"},
        "roots": {"of": "f(x)"},
        "stop": {"when": "abs(x - x_old) < 1e-7", "max_iterations": 100},
    }
    view = {"width": 20, "height": 1, "resolution": [2001, 1], "sampling": "inclusive"}
    arrays = arrays_of(**real, define={"f(s)": "s**3 - 7*s + 6"}, view=view)
    np.testing.assert_allclose(arrays["roots"][0], [[-3, 0], [1, 0], [2, 0]], atol=1e-12)
    assert set(np.unique(arrays["root"])) == {0, 1, 2}
    assert (arrays["root"][0, 0, :300] == 0).all()
    assert (arrays["root"][0, 0, -300:] == 2).all()
    one = arrays_of(**real, define={"f(s)": "s**3 - 1"})["roots"]
    np.testing.assert_allclose(one[0, 0], [1, 0], atol=1e-12)
    assert np.isnan(one[0, 1:]).all()


def test_tables_of_a_sweep() -> None:
    """One table a frame where the function changes, one for all where it does not."""
    swept = arrays_of(
        define={"f(s)": "s**3 - a"}, constants={"a": "(t + 1)**3"}, frames={"count": 3}, view={"resolution": [8, 8]}
    )
    assert swept["roots"].shape == (3, 3, 2)
    np.testing.assert_allclose(swept["roots"][:, 2, 0], [1, 2, 3], rtol=1e-12)
    assert set(np.unique(swept["root"])) <= {-2, 0, 1, 2}
    still = arrays_of(frames={"count": 3}, view={"width": "10/2**t", "resolution": [8, 8]})
    assert still["roots"].shape == (1, 3, 2)


def test_points_that_stop_elsewhere() -> None:
    """Relaxed so much that steps are short far from any root."""
    arrays = arrays_of(map={"z": "z - 1e-9*f(z)/d(f(z), z)"})
    assert (arrays["iterations"] == 0).all()
    assert (arrays["root"] == -2).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2*x**3 - x + 1", [1, -1, 0, 2]),
        ("-(x - a)**2/4", [-1, 1, -0.25]),
        ("i*x*(1 - x) + re(3 + i)", [3, 1j, -1j]),
        ("sin(0)*x + exp(0)", [1, 0]),
    ],
)
def test_coefficients(text: str, expected: list[complex]) -> None:
    formula = parse(text, names={"x", "a"}, key="f")
    np.testing.assert_allclose(coefficients(formula, "x", {"a": 2.0}), expected)


@pytest.mark.parametrize("text", ["sin(x)", "1/x", "x**2.5", "x**a", "abs(x)", "2**x", "(x**60)**60"])
def test_what_is_no_polynomial(text: str) -> None:
    with pytest.raises(NotAPolynomialError):
        coefficients(parse(text, names={"x", "a"}, key="f"), "x", {"a": 2.0})


def test_distinct() -> None:
    values = np.array([1, 1 + 1e-9j, 2, 1, 2 + 1e-5], dtype=complex)
    assert distinct(values).tolist() == [1, 2, 2 + 1e-5]
