"""The map kernel against Numba on one core: updates a second, each pixel costing as many as its count says."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks.baselines import maps_with_numba
from benchmarks.baselines.maps_with_numba import Complexes, Counts
from kernels import iterate
from kernels.backends.host import HostBackend
from kernels.expression import parse
from kernels.expression.lower import Constant, MapFormulas


@dataclass(frozen=True, eq=False)
class Contest:
    """One map: its formulas, the window (left, right, bottom, top) and the same in Numba. `plane` says what the pixel is."""

    updates: dict[str, str]
    stop: str
    window: tuple[float, float, float, float]
    size: int
    limit: int
    numba: Callable[[Complexes, int], Counts]
    plane: str = "start"
    required: float = 4.0


CONTESTS = {
    "Mandelbrot": Contest(
        {"z": "z**2 + c"},
        "abs(z) > 2",
        (-2, 0.5, -1.25, 1.25),
        1024,
        1000,
        maps_with_numba.mandelbrot,
        "parameter",
        10.0,
    ),
    "Newton z**3 - 1": Contest(
        {"z": "z - (z**3 - 1)/(3*z**2)"}, "abs(z - z_old) < 1e-7", (-5, 5, -5, 5), 1000, 50, maps_with_numba.newton
    ),
    "Henon basin": Contest(
        {"x": "1 - 1.4*x**2 + y", "y": "0.3*x"},
        "sqrt(x**2 + y**2) > 10",
        (-5, 5, -5, 5),
        1000,
        1000,
        maps_with_numba.henon,
    ),
    "(1 + 0.2i) sin z": Contest(
        {"z": "(1 + 0.2i)*sin(z)"}, "abs(im(z)) > 50", (-4, 4, -4, 4), 500, 100, maps_with_numba.sine
    ),
}
INTERIOR = (-0.4, -0.2, -0.2, 0.2)


@functools.cache
def pixels(window: tuple[float, float, float, float], size: int) -> Complexes:
    """A square of points, end points included, row 0 at the top."""
    left, right, bottom, top = window
    return np.linspace(left, right, size) + 1j * np.linspace(top, bottom, size)[:, None]


@functools.cache
def program(contest: Contest, lanes: int | None, detect_cycles: bool) -> iterate.Program:
    """The contest's kernel, on one thread."""
    constants = (Constant("c", "lane", True),) if contest.plane == "parameter" else ()
    states = tuple(contest.updates)
    names = [*states, *(f"{state}_old" for state in states), *(constant.name for constant in constants)]
    formulas = MapFormulas(
        complex="z" in states,
        states=states,
        updates=tuple(parse(text, names=names, key=state) for state, text in contest.updates.items()),
        stop=parse(contest.stop, names=names, key="stop"),
        constants=constants,
    )
    return iterate.compile(iterate.Problem(formulas, detect_cycles=detect_cycles), HostBackend(1, lanes))


def kernel_counts(contest: Contest, lanes: int | None = None, detect_cycles: bool = False) -> Counts:
    """Counts by the kernel."""
    points = pixels(contest.window, contest.size)
    is_parameter = contest.plane == "parameter"
    start = {"x": points.real, "y": points.imag, "z": 0.0 if is_parameter else points}
    run = program(contest, lanes, detect_cycles).start(
        points.shape,
        start={state: start[state] for state in contest.updates},
        old={},
        lanes={"c": points} if is_parameter else {},
        uniforms={},
        max_iterations=contest.limit,
    )
    while run.advance(3600.0) < 1.0:
        pass
    return run.arrays()["iterations"]


def numba_counts(contest: Contest) -> Counts:
    """Counts by Numba."""
    return contest.numba(pixels(contest.window, contest.size).reshape(-1), contest.limit)


def speed_of(counts: Callable[[], Counts], limit: int) -> Callable[[], float]:
    """Updates a second: a pixel that stops at index k has made k + 1."""

    def measure() -> float:
        begin = time.perf_counter()
        found = counts()
        seconds = time.perf_counter() - begin
        return int(np.minimum(found.astype(np.int64) + 1, limit).sum()) / seconds

    return measure


def contestants() -> dict[str, Callable[[], float]]:
    """Name -> measurement."""
    found: dict[str, Callable[[], float]] = {}
    for name, contest in CONTESTS.items():
        found[f"{name}, kernel"] = speed_of(partial(kernel_counts, contest), contest.limit)
        found[f"{name}, Numba"] = speed_of(partial(numba_counts, contest), contest.limit)
    mandelbrot = CONTESTS["Mandelbrot"]
    inside = replace(mandelbrot, window=INTERIOR, size=500)
    found["Mandelbrot, scalar kernel"] = speed_of(partial(kernel_counts, mandelbrot, 1), mandelbrot.limit)
    for label, detect in (("with", True), ("without", False)):
        found[f"interior, {label} detection"] = speed_of(partial(kernel_counts, inside, None, detect), inside.limit)
    return found
