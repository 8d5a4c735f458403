"""The map kernel: equal on every vector and on the CUDA shim, equal to NumPy in arithmetic `plain`, and its cycles."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import iterate
from kernels.backends.cuda import OPTIONS, CudaBackend, ShimBackend
from kernels.backends.host import HostBackend
from kernels.expression import parse
from kernels.expression.lower import Constant, MapFormulas, lower
from kernels.iterate import OUTCOMES, OUTPUTS, Problem

C = Constant("c", "lane", True)


def formulas(updates: dict[str, str], stop: str, *constants: Constant, is_complex: bool = True) -> MapFormulas:
    """A map from texts."""
    names = [*updates, *(f"{name}_old" for name in updates), "k", *(constant.name for constant in constants)]
    trees = tuple(parse(text, names=names, key=f"map.{name}") for name, text in updates.items())
    return MapFormulas(is_complex, tuple(updates), trees, parse(stop, names=names, key="stop.when"), constants)


def grid(size: int, left: float, right: float, bottom: float, top: float) -> np.ndarray:
    """End points included, row 0 at the top."""
    return np.linspace(left, right, size) + 1j * np.linspace(top, bottom, size)[:, None]


MANDELBROT = (
    formulas({"z": "z**2 + c"}, "abs(z) > 2", C),
    {"start": {"z": 0.0}, "lanes": {"c": grid(61, -2.2, 1, -1.6, 1.6)}, "max_iterations": 150},
)
NEWTON = (
    formulas({"z": "z - (z**3 - 1)/(3*z**2)"}, "abs(z - z_old) < 1e-7"),
    {"start": {"z": grid(61, -5, 5, -5, 5)}, "max_iterations": 50},
)
SECANT = (
    formulas({"z": "z - (z**3 - 1)*(z - z_old)/(z**3 - z_old**3)"}, "abs(z - z_old) < 1e-7"),
    {"start": {"z": grid(60, -1, 1, -1, 1)}, "old": {"z": grid(60, -1, 1, -1, 1) / 2}, "max_iterations": 50},
)
HENON = (
    formulas(
        {"x": "1 - a*x**2 + y", "y": "b*x"}, "sqrt(x**2 + y**2) > 10", Constant("a", "uniform", False),
        Constant("b", "baked", False, 0.3), is_complex=False,
    ),
    {"start": {"x": grid(60, -5, 5, -5, 5).real + np.zeros((60, 60)), "y": grid(60, -5, 5, -5, 5).imag + np.zeros((60, 60))},
     "uniforms": {"a": 1.4}, "max_iterations": 70},
)  # fmt: skip
COUNTED = (
    formulas({"z": "z**2 + c/(k + 1)"}, "abs(z) > 2 or k > 40", C),
    {"start": {"z": 0.0}, "lanes": {"c": grid(33, -3, 2, -2, 2)}, "max_iterations": 100},
)
SINE = (
    formulas({"z": "c*sin(z)"}, "abs(im(z)) > 50", Constant("c", "uniform", True)),
    {"start": {"z": grid(40, -4, 4, -4, 4)}, "uniforms": {"c": 1 + 0.2j}, "max_iterations": 60},
)
MAPS = {"mandelbrot": MANDELBROT, "newton": NEWTON, "secant": SECANT, "henon": HENON, "counted": COUNTED, "sine": SINE}


def compute(backend, problem: Problem, given: dict, slice_s: float = 60.0) -> dict[str, np.ndarray]:
    """All arrays of one tile."""
    shape = next(
        value.shape
        for values in given.values()
        if isinstance(values, dict)
        for value in values.values()
        if np.ndim(value)
    )
    arguments = {"old": {}, "lanes": {}, "uniforms": {}, **given}
    run = iterate.compile(problem, backend).start(shape, **arguments)
    while run.advance(slice_s) < 1.0:
        pass
    return run.arrays()


def problem_of(name: str, **settings) -> tuple[Problem, dict]:
    made, given = MAPS[name]
    return Problem(made, **settings), given


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "float64") for name in MAPS), ("secant", "float32"), ("sine", "float32")]
)
def test_every_vector_and_the_shim_agree(name, precision):
    problem, given = problem_of(name, outputs=tuple(OUTPUTS), precision=precision)
    scalar = compute(HostBackend(1, lanes=1), problem, given)
    assert np.count_nonzero(scalar["iterations"] < given["max_iterations"]) > 0
    for backend in (HostBackend(1, lanes=4), HostBackend(2, lanes=8), ShimBackend()):
        arrays = compute(backend, problem, given)
        for output in OUTPUTS:
            np.testing.assert_array_equal(arrays[output], scalar[output], err_msg=f"{output} on {backend.describe()}")


@pytest.mark.parametrize("name", ["mandelbrot", "newton", "secant", "henon", "counted"])
def test_plain_equals_numpy_bit_for_bit(name):
    problem, given = problem_of(name, outputs=("final", "outcome"), arithmetic="plain", detect_cycles=False)
    arrays = compute(HostBackend(2), problem, given)
    lowered = lower(problem.formulas, "plain")
    numpy = lowered.numpy()
    shape = arrays["iterations"].shape
    parts = ("re", "im") if problem.formulas.complex else ("re",)

    def reals(values: dict) -> list[np.ndarray]:
        whole = [np.broadcast_to(np.asarray(values[state], complex), shape) for state in problem.formulas.states]
        return [(value.real if part == "re" else value.imag).copy() for value in whole for part in parts]

    state = reals(given["start"])
    old = reals(given.get("old", given["start"]))
    constants = {**given.get("lanes", {})}
    lanes = [
        np.broadcast_to(np.real(constants[n]) if p == "re" else np.imag(constants[n]), shape) for n, p in lowered.lanes
    ]
    uniform = [
        float(np.real(given["uniforms"][n]) if p == "re" else np.imag(given["uniforms"][n]))
        for n, p in lowered.uniforms
    ]
    iterations = np.full(shape, given["max_iterations"])
    alive = np.ones(shape, bool)
    with np.errstate(all="ignore"):
        for k in range(given["max_iterations"]):
            number = np.full(shape, float(k))
            new = numpy.update(state, old, lanes, uniform, number)
            old = [np.where(alive, before, earlier) for before, earlier in zip(state, old, strict=True)]
            new = [np.where(alive, after, before) for after, before in zip(new, state, strict=True)]
            stopped = alive & numpy.stop(new, state, lanes, uniform, number)
            state = new
            iterations[stopped] = k
            alive &= ~stopped
    np.testing.assert_array_equal(arrays["iterations"], iterations)
    np.testing.assert_array_equal(arrays["final"], np.array(state))


def test_counts_of_complex128():
    problem, given = problem_of("mandelbrot")
    c = given["lanes"]["c"]
    z, iterations = np.zeros_like(c), np.full(c.shape, 150)
    with np.errstate(all="ignore"):
        for k in range(150):
            z = z * z + c
            iterations[(iterations == 150) & ~(np.abs(z) <= 2)] = k
    np.testing.assert_array_equal(compute(HostBackend(2), problem, given)["iterations"], iterations)


@pytest.mark.parametrize(
    ("c", "left", "limit", "interior"),
    [
        (-0.744 + 0.148j, -1.4, 70, 34506),
        (-0.29609091 + 0.62491j, -1.4, 50, 56350),
        (-0.29609091 + 0.62491j, -1.4, 200, 49740),
    ],
)
def test_julia_sets_of_the_spec(c, left, limit, interior):
    julia = formulas({"z": "z**2 + c"}, "abs(z) > 2", Constant("c", "uniform", True))
    given = {"start": {"z": grid(500, left, -left, left, -left)}, "uniforms": {"c": c}, "max_iterations": limit}
    iterations = compute(HostBackend(2), Problem(julia), given)["iterations"]
    assert np.count_nonzero(iterations == limit) == interior


def test_newton_of_the_spec():
    made, given = NEWTON
    iterations = compute(HostBackend(2), Problem(made), {**given, "start": {"z": grid(400, -5, 5, -5, 5)}})[
        "iterations"
    ]
    assert np.count_nonzero(iterations == 50) == 0
    assert iterations.mean() == pytest.approx(8.6528, abs=5e-5)


@pytest.mark.parametrize("name", ["mandelbrot", "henon", "newton"])
def test_cycles_change_no_result(name):
    given = {**MAPS[name][1], "max_iterations": 3000}
    with_detection, without = (
        compute(HostBackend(2), Problem(MAPS[name][0], detect_cycles=on), given) for on in (True, False)
    )
    np.testing.assert_array_equal(with_detection["iterations"], without["iterations"])


@pytest.mark.parametrize(("c", "period"), [(-0.1 + 0.1j, 1), (-1.0 + 0.1j, 2), (-0.12 + 0.75j, 3), (-1.3107, 4)])
def test_periods_of_the_interior(c, period):
    problem = Problem(MANDELBROT[0], outputs=("period", "outcome"))
    given = {"start": {"z": 0.0}, "lanes": {"c": np.full((1, 3), c)}, "max_iterations": 5000}
    for backend in (HostBackend(1), ShimBackend()):
        arrays = compute(backend, problem, given)
        assert np.all(arrays["period"] == period)
        assert np.all(arrays["outcome"] == OUTCOMES["never"])


def test_a_number_that_is_none_ends_a_pixel():
    blow_up = formulas({"z": "1/(z - z)"}, "abs(z) < -1")
    arrays = compute(
        HostBackend(1), Problem(blow_up, outputs=("outcome",)), {"start": {"z": np.ones((2, 2))}, "max_iterations": 9}
    )
    assert np.all(arrays["iterations"] == 0)
    assert np.all(arrays["outcome"] == OUTCOMES["non-finite"])


@pytest.mark.parametrize("threads", [1, 2])
def test_many_slices_equal_one(threads):
    problem, given = problem_of("mandelbrot", outputs=tuple(OUTPUTS))
    given = {**given, "lanes": {"c": grid(301, -2.2, 1, -1.6, 1.6)}, "max_iterations": 2_000}
    whole = compute(HostBackend(threads), problem, given)
    run = iterate.compile(problem, HostBackend(threads)).start(
        (301, 301), start=given["start"], old={}, lanes=given["lanes"], uniforms={}, max_iterations=2_000
    )
    fractions = [0.0]
    while fractions[-1] < 1.0:
        fractions.append(run.advance(0.0))
    assert len(fractions) > 5
    assert fractions == sorted(fractions)
    for output in OUTPUTS:
        np.testing.assert_array_equal(run.arrays()[output], whole[output])


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", MAPS)
def test_nvrtc_compiles_without_spills(name, architecture):
    nvrtc = pytest.importorskip("cupy").cuda.nvrtc
    problem, _ = problem_of(name, outputs=tuple(OUTPUTS))
    text = iterate.source(problem, lower(problem.formulas, problem.arithmetic)).render("cuda", 1)
    program = nvrtc.createProgram(text, "kernel.cu", [], [])
    try:
        nvrtc.compileProgram(program, [*OPTIONS, f"-arch={architecture}", "--ptxas-options=-v"])
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    assert "0 bytes spill stores, 0 bytes spill loads" in nvrtc.getProgramLog(program), nvrtc.getProgramLog(program)


@pytest.mark.gpu
@pytest.mark.parametrize("name", MAPS)
def test_gpu_equals_the_host(name):
    problem, given = problem_of(name, outputs=tuple(OUTPUTS))
    gpu, host = (compute(backend, problem, given) for backend in (CudaBackend(0), HostBackend(2)))
    for output in OUTPUTS:
        np.testing.assert_array_equal(gpu[output], host[output])
