"""What is read off the end of an orbit, against closed forms: under z**2, log(abs(z)) doubles with every update."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jobs import model
from jobs.boundary.outputs import NO_ROOT, distance, nearest_root, smooth

from .conftest import compute

SQUARE: dict[str, Any] = {
    "kind": "boundary",
    "name": "square",
    "map": {"z": "z**2 + 0*i"},
    "start": {"z": "pixel"},
    "stop": {"when": "abs(z) > 1e6", "max_iterations": 60},
    "view": {"center": [0.1, 0.2], "width": 3.4, "resolution": [30, 30]},
}


def arrays_of(**sections: Any) -> dict[str, np.ndarray[Any, Any]]:
    return compute(model.plan(model.from_tree({**SQUARE, **sections})))


def sizes(center: tuple[float, float] = (0.1, 0.2), width: float = 3.4, number: int = 30) -> np.ndarray[Any, Any]:
    """Absolute values of the pixels."""
    across = (np.arange(number) + 0.5) * width / number - width / 2
    result: np.ndarray[Any, Any] = np.hypot(center[0] + across[None, :], center[1] - across[:, None])
    return result


def test_smooth_count_is_the_potential() -> None:
    """log2(log(bound)/log(abs(pixel))): the bound is reached after so many updates, a real number."""
    arrays = arrays_of(outputs=["iterations", "smooth"])
    outside = sizes() > 1
    expected = np.log2(np.log(1e6) / np.log(sizes()[outside]))
    np.testing.assert_allclose(arrays["smooth"][0][outside], expected, rtol=1e-9, atol=1e-9)
    assert (np.isnan(arrays["smooth"][0]) == ~outside).all()
    steps = arrays["iterations"][0][outside]
    assert (steps < np.maximum(expected, 0) + 1e-9).all()


def test_smooth_count_of_an_entry() -> None:
    """Towards 0 the same law holds with abs(z) below 1: it converges with order 2, as Newton's method does."""
    arrays = arrays_of(outputs=["iterations", "smooth"], stop={"when": "abs(z) < 1e-7", "max_iterations": 60})
    inside = sizes() < 1
    expected = np.log2(np.log(1e-7) / np.log(sizes()[inside]))
    np.testing.assert_allclose(arrays["smooth"][0][inside], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("formula", "degree"),
    [("z**3 + 0*i", 3), ("z**7 + 0*i", 7), ("2*z**2 + i*(1 - z)**5", 5), ("z**2.5 + 0*i", 2.5), ("z**n + 0*i", 3.25)],
)
def test_degrees_are_found(formula: str, degree: float) -> None:
    """One more update raises the size to the degree, and the continuous count by one."""
    constants = {"constants": {"n": 3.25}} if "n" in formula else {}
    stop = {"when": "abs(z) > 1e9", "max_iterations": 60}
    view = {"center": [5, 0], "width": 1, "resolution": [30, 30]}
    early = arrays_of(map={"z": formula}, outputs=["smooth", "iterations"], stop=stop, view=view, **constants)
    later = {"when": f"abs(z) > 1e9**{degree}", "max_iterations": 60}
    late = arrays_of(map={"z": formula}, outputs=["smooth", "iterations"], stop=later, view=view, **constants)
    assert (late["iterations"] == early["iterations"] + 1).all()
    np.testing.assert_allclose(late["smooth"], early["smooth"] + 1, rtol=1e-6)


def test_smooth_count_has_no_steps() -> None:
    """Along a line towards the Julia set, neighbours differ by little where their counts differ by one."""
    view = {"center": [1.8, 0.0], "width": 0.6, "height": 0.4, "resolution": [2000, 1], "sampling": "inclusive"}
    arrays = arrays_of(map={"z": "z**2 - 0.4 + 0.2i"}, outputs=["iterations", "smooth"], view=view)
    counts, values = arrays["iterations"][0, 0], arrays["smooth"][0, 0]
    jumps = np.flatnonzero(np.diff(counts))
    assert jumps.size > 0
    assert np.abs(np.diff(values)).max() < 0.02


def test_smooth_with_the_value_before() -> None:
    """Newton's method for a square root: the last step is the square of the one before, up to a factor."""
    arrays = arrays_of(
        map={"z": "z - (z**2 - 1)/(2*z)"},
        outputs=["iterations", "smooth"],
        stop={"when": "abs(z - z_old) < 1e-7", "max_iterations": 60},
        view={"center": [4, 0.3], "width": 2, "resolution": [200, 200]},
    )
    counts, values = arrays["iterations"], arrays["smooth"]
    assert len(np.unique(counts)) > 1
    assert np.abs(values - counts - 0.5).max() < 0.7
    assert np.abs(np.diff(values, axis=-1)).max() < 0.1


def test_power_can_be_told() -> None:
    wrong = arrays_of(outputs=["smooth"], stop={"when": "abs(z) > 1e6", "max_iterations": 60, "power": 4})["smooth"]
    right = arrays_of(outputs=["smooth"], stop={"when": "abs(z) > 1e6", "max_iterations": 60, "power": "2 + t"})[
        "smooth"
    ]
    default = arrays_of(outputs=["smooth"])["smooth"]
    np.testing.assert_allclose(right, default, rtol=1e-9)
    assert np.nanmax(np.abs(wrong - right)) > 0.3


def test_no_power_law_no_fraction() -> None:
    """The exponential function grows like no power."""
    arrays = arrays_of(
        map={"z": "exp(z)/4 + 0*i"},
        outputs=["iterations", "smooth"],
        stop={"when": "re(z) > 50", "max_iterations": 20},
        view={"center": [3, 0], "width": 2, "resolution": [10, 10]},
    )
    ended = arrays["iterations"] < 20
    assert ended.any()
    assert (arrays["smooth"][ended] == arrays["iterations"][ended]).all()


def test_distance_to_the_unit_circle() -> None:
    """r*log(r) outside of it, which is the distance r - 1 near it."""
    arrays = arrays_of(outputs=["distance"])
    outside = sizes() > 1
    r = sizes()[outside]
    np.testing.assert_allclose(arrays["distance"][0][outside], r * np.log(r), rtol=1e-6)
    assert (np.isnan(arrays["distance"][0]) == ~outside).all()


@pytest.mark.parametrize("how", ["pixel", "c", "start"])
def test_distance_to_the_mandelbrot_set(how: str) -> None:
    """At -3 and 1 on the real axis, 1 and 3/4 away from it; within a factor of two."""
    maps: dict[str, dict[str, Any]] = {
        "pixel": {"map": {"z": "z**2 + pixel"}, "start": {"z": 0}},
        "c": {"map": {"z": "z**2 + c - 1"}, "start": {"z": "0*pixel"}, "constants": {"c": "exp(log(pixel)) + 1"}},
        "start": {"map": {"z": "z**2 + z_start"}, "start": {"z": "pixel"}},
    }
    for center, away in ((-3, 1.0), (1, 0.75), (-2.01, 0.01)):
        view = {"center": [center, 0], "width": 1e-6, "resolution": [1, 1]}
        stop = {"when": "abs(z) > 1e10", "max_iterations": 2000}
        value = arrays_of(**maps[how], outputs=["distance"], view=view, stop=stop)["distance"].item()
        assert away / 2 < value < away * 2


def test_distance_and_old_values() -> None:
    """A map that uses the value before: the estimate is the change of the count's potential, by differences."""
    sections: dict[str, Any] = {
        "map": {"z": "z**2 + 0.2 - 0.3*z_old + 0*i"},
        "start": {"z": "pixel", "z_old": "pixel/2"},
        "stop": {"when": "abs(z) > 1e8", "max_iterations": 60},
        "outputs": ["smooth", "distance"],
    }
    near = [
        arrays_of(**sections, view={"center": [1.4 + shift, 0.3], "width": 1e-3, "resolution": [1, 1]})
        for shift in (-1e-5, 0.0, 1e-5)
    ]
    change = (near[2]["smooth"] - near[0]["smooth"]) / 2e-5
    tall = [
        arrays_of(**sections, view={"center": [1.4, 0.3 + shift], "width": 1e-3, "resolution": [1, 1]})["smooth"]
        for shift in (-1e-5, 1e-5)
    ]
    gradient = np.hypot(change, (tall[1] - tall[0]) / 2e-5)
    # With G = log(abs(z))/2**n, the estimate is G/abs(grad G), and the smooth count is -log2(G) and a constant
    np.testing.assert_allclose(near[1]["distance"], 1 / (np.log(2) * gradient), rtol=1e-4)


def test_orbit_trap_is_the_smallest_value() -> None:
    c, limit = -0.5 + 0.3j, 40
    arrays = arrays_of(
        map={"z": "z**2 + a"},
        constants={"a": "-0.5 + 0.3i"},
        trap={"value": "min(abs(z - 0.1), abs(im(z)) + 0.05)"},
        outputs=["orbit_trap", "iterations"],
        stop={"when": "abs(z) > 2", "max_iterations": limit},
    )
    across = (np.arange(30) + 0.5) * 3.4 / 30 - 1.7
    z = (0.1 + across[None, :]) + 1j * (0.2 - across[:, None])
    smallest, alive = np.full(z.shape, np.inf), np.ones(z.shape, dtype=bool)
    for _ in range(limit):
        z = np.where(alive, z**2 + c, z)
        smallest = np.where(alive, np.minimum(smallest, np.minimum(abs(z - 0.1), abs(z.imag) + 0.05)), smallest)
        alive &= ~(abs(z) > 2)
    assert (arrays["iterations"] == limit).any()
    np.testing.assert_allclose(arrays["orbit_trap"][0], smallest, rtol=1e-6, atol=1e-9)


def test_orbit_trap_of_a_real_map() -> None:
    arrays = arrays_of(
        map={"x": "1 - 1.4*x**2 + y", "y": "0.3*x"},
        start={"x": "u", "y": "v"},
        trap={"value": "x - x_old"},
        outputs=["orbit_trap"],
        stop={"when": "x**2 + y**2 > 100", "max_iterations": 1},
    )
    across = (np.arange(30) + 0.5) * 3.4 / 30 - 1.7
    x, y = 0.1 + across[None, :], 0.2 - across[:, None]
    np.testing.assert_allclose(arrays["orbit_trap"][0], 1 - 1.4 * x**2 + y - x, rtol=1e-9, atol=1e-12)


def test_smooth_of_values_out_of_reach() -> None:
    counts = np.array([3, 3, 3, 3, 9], dtype=np.int32)
    tested = np.array([np.nan, np.inf, 0.5, 16.0, 16.0])
    np.testing.assert_array_equal(smooth(counts, 9, tested, 4.0, 2.0), [3, 3, 3, 3, np.nan])
    np.testing.assert_array_equal(smooth(counts, 9, tested, 4.0, 1.0), [3, 3, 3, 3, np.nan])
    np.testing.assert_array_equal(smooth(counts, 9, tested, 1.0, 2.0), [3, 3, 3, 3, np.nan])


def test_distance_of_values_out_of_reach() -> None:
    counts = np.array([3, 3, 3, 9], dtype=np.int32)
    tested = np.array([np.inf, 10.0, 10.0, 1.0], dtype=complex)
    found = distance(counts, 9, tested, np.array([1, np.inf, 5.0, 1.0], dtype=complex))
    np.testing.assert_allclose(found, [0, 0, 2 * np.log(10), np.nan])


def test_nearest_root() -> None:
    table = np.array([-1, 1, np.nan], dtype=complex)
    final = np.array([-1.0005, 0.9995 + 0.0001j, 0.5, 1.0, np.nan], dtype=complex)
    stopped = np.array([True, True, True, False, True])
    found = nearest_root(stopped, final, table, 1e-3)
    assert found.dtype == np.int16
    assert found.tolist() == [0, 1, NO_ROOT, NO_ROOT, NO_ROOT]
