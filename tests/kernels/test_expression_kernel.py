"""Lowered maps compiled for the host and by NVRTC: the same bits as NumPy where arithmetic alone decides, near Python else."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from kernels.backends.compiler import load_library
from kernels.backends.cuda import OPTIONS
from kernels.expression import parse
from kernels.expression.lower import Constant, Lowered, MapFormulas, lower
from kernels.threebody import ARITHMETICS, PRECISIONS

NUM = 64
LANES = {"float64": (1, 4, 8), "float32": (1, 8, 16)}
CONSTANTS = (Constant("c", "lane", True), Constant("a", "uniform", True), Constant("b", "baked", True, 0.3 - 1.25j))

HARNESS = """
extern "C" void %(name)s(long long num, const real *s, const real *old, const real *constant, const real *uniform,
                         const real *k, real *next, unsigned char *ended) {
    using namespace %(name)s_map;
    for (long long i = 0; i < num; i += LANES) {
        Lane now[%(states)d], before[%(states)d], after[%(states)d], given[%(lanes)d + 1], index;
        for (int lane = 0; lane < LANES; ++lane) {
            for (int n = 0; n < %(states)d; ++n) set(now[n], lane, s[n * num + i + lane]);
            for (int n = 0; n < %(states)d; ++n) set(before[n], lane, old[n * num + i + lane]);
            for (int n = 0; n < %(lanes)d; ++n) set(given[n], lane, constant[n * num + i + lane]);
            set(index, lane, k[i + lane]);
        }
        update(now, before, given, uniform, index, after);
        const unsigned bits = mask_bits(stop(now, before, given, uniform, index));
        for (int lane = 0; lane < LANES; ++lane) {
            for (int n = 0; n < %(states)d; ++n) next[n * num + i + lane] = get(after[n], lane);
            ended[i + lane] = bits >> lane & 1;
        }
    }
}
"""

Kernel = Callable[..., tuple[np.ndarray, np.ndarray]]


def settings(precision: str, lanes: int, arithmetic: str) -> str:
    real, real_bytes = PRECISIONS[precision]
    defines = {"REAL": real, "REAL_BYTES": real_bytes, "LANES": lanes, "ARITHMETIC": ARITHMETICS[arithmetic]}
    return "".join(f"#define {name} {value}\n" for name, value in defines.items())


def compiled(maps: Sequence[Lowered], precision: str, lanes: int, arithmetic: str) -> list[Kernel]:
    """Every map as a function of states, old states, lane constants, uniforms and k: new states, and where the test holds."""
    text = settings(precision, lanes, arithmetic) + '#include "functions.hpp"\n'
    for number, step in enumerate(maps):
        name = f"map{number}"
        text += f"namespace {name}_map {{\n{step.source}}}\n"
        text += HARNESS % {"name": name, "states": step.num_states, "lanes": len(step.lanes)}
    library = load_library(text)

    def kernel(number: int, step: Lowered) -> Kernel:
        def call(*inputs: object) -> tuple[np.ndarray, np.ndarray]:
            arrays = [np.ascontiguousarray(array, precision) for array in inputs]
            after, ended = np.empty((step.num_states, NUM), precision), np.empty(NUM, np.uint8)
            pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, after, ended)]
            library[f"map{number}"](ctypes.c_longlong(NUM), *pointers)
            return after, ended.astype(bool)

        return call

    return [kernel(number, step) for number, step in enumerate(maps)]


def lowered(update: str, stop: str, arithmetic: str) -> Lowered:
    names = ["z", "z_old", "k", *(constant.name for constant in CONSTANTS)]
    read = [parse(text, names=names, key="map.z") for text in (update, stop)]
    return lower(MapFormulas(True, ("z",), (read[0],), read[1], CONSTANTS), arithmetic)


def numbers(seed: int, precision: str, *, wild: bool) -> list[np.ndarray]:
    """States, old states, lane constants, uniforms and k."""
    generator = np.random.default_rng(seed)
    arrays = [generator.normal(size=(2, NUM)) * 2 for _ in range(3)]
    if wild:
        for array in arrays:
            strange = generator.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, 1e-42, 0.5, -2.5], array.shape)
            array[:] = np.where(generator.random(array.shape) < 0.3, strange, array)
    with np.errstate(all="ignore"):
        return [array.astype(precision) for array in (*arrays, generator.normal(size=2), np.arange(NUM) % 7)]


ARITHMETIC_MAPS = [
    ("z**2 + c", "abs(z) > 2"),
    ("z - (z**3 - 1)/(3*z**2)", "abs(z - z_old) < 1e-6"),
    ("a*z**-5*c + conj(z)/c - i*z", "abs(z) > 2 and re(z) > 1 or im(z) == 3"),
    ("sqrt(z)*floor(re(z)) + min(im(z), re(c))*max(im(c), k, 1)", "not (abs(z) < abs(c)) and z != c"),
    ("abs(re(z)) + i*abs(im(z)) + abs(z)*(re(z) > 2) + b*z", "z == c or abs(z) <= re(c) < 2"),
    ("(z_old + k)/(2i*b) - 3/z**7 + (1 - z)**4*c", "z and 1 < abs(z - a) <= 3"),
]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("lanes", [0, 1, 2])
def test_plain_kernels_equal_numpy_bit_for_bit(precision: str, lanes: int) -> None:
    maps = [lowered(*texts, "plain") for texts in ARITHMETIC_MAPS]
    for seed, (step, kernel) in enumerate(
        zip(maps, compiled(maps, precision, LANES[precision][lanes], "plain"), strict=True)
    ):
        for wild in (False, True):
            s, old, c, a, k = numbers(seed, precision, wild=wild)
            c = c if step.lanes else c[:0]
            after, ended = kernel(s, old, c, a, k)
            expected = step.numpy().update(s, old, c, a, k)
            np.testing.assert_array_equal(after, expected)
            np.testing.assert_array_equal(ended, step.numpy().stop(s, old, c, a, k))


ALL_MAPS = [
    *ARITHMETIC_MAPS,
    ("sin(z)*c + cos(z*z) - tan(c)", "abs(im(z)) > 50"),
    ("c*exp(z)/(1 + exp(-z))", "re(z) > 50 or arg(z) > 3"),
    ("z**2.5 + log(z)*a + c**z + z**a + b**re(z)", "abs(z) > 2"),
    ("sinh(z) - cosh(c) + tanh(z*c)", "abs(z) > 5"),
    ("re(z)**im(c) + arg(z)*i", "log(abs(z)) > 5"),
]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_number_of_lanes_gives_the_same_bits(precision: str) -> None:
    maps = [lowered(*texts, "reproducible") for texts in ALL_MAPS]
    widths = [compiled(maps, precision, lanes, "reproducible") for lanes in LANES[precision]]
    for seed, step in enumerate(maps):
        s, old, c, a, k = numbers(seed, precision, wild=True)
        results = [kernels[seed](s, old, c if step.lanes else c[:0], a, k) for kernels in widths]
        for after, ended in results[1:]:
            np.testing.assert_array_equal(after, results[0][0])
            np.testing.assert_array_equal(ended, results[0][1])
            assert (np.signbit(after) == np.signbit(results[0][0]))[~np.isnan(after)].all()


@pytest.mark.parametrize("arithmetic", ["reproducible", "plain"])
def test_kernels_are_near_numpy(arithmetic: str) -> None:
    maps = [lowered(*texts, arithmetic) for texts in ALL_MAPS]
    for seed, (step, kernel) in enumerate(zip(maps, compiled(maps, "float64", 8, arithmetic), strict=True)):
        s, old, c, a, k = numbers(seed, "float64", wild=False)
        after, ended = kernel(s, old, c if step.lanes else c[:0], a, k)
        expected = step.numpy().update(s, old, c, a, k)
        size = np.hypot(*expected)
        assert (size < 1e10).any()
        for part in range(2):
            np.testing.assert_array_less(
                np.abs(after[part] - expected[part])[size < 1e10], 1e-11 * (1 + size[size < 1e10])
            )
        np.testing.assert_array_equal(ended, step.numpy().stop(s, old, c, a, k))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("texts", ALL_MAPS, ids=lambda texts: texts[0])
def test_nvrtc_compiles_without_a_stack(architecture: str, precision: str, texts: tuple[str, str]) -> None:
    nvrtc = pytest.importorskip("cupy").cuda.nvrtc
    step = lowered(*texts, "reproducible")
    kernel = """
extern "C" __global__ void iterate(real *state, const real *constant, const real *uniform, int *count, int limit) {
    Lane s[2] = {state[0], state[1]}, old[2] = {s[0], s[1]}, next[2];
    int k = 0;
    for (; k < limit; ++k) {
        update(s, old, constant, uniform, real(k), next);
        for (int n = 0; n < 2; ++n) old[n] = s[n], s[n] = next[n];
        if (stop(s, old, constant, uniform, real(k))) break;
    }
    state[0] = s[0], state[1] = s[1], *count = k;
}
"""
    program = nvrtc.createProgram(settings(precision, 1, "reproducible") + step.source + kernel, "kernel.cu", [], [])
    try:
        nvrtc.compileProgram(program, [*OPTIONS, f"-arch={architecture}", "--ptxas-options=-v"])
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    frames = [line for line in nvrtc.getProgramLog(program).splitlines() if "stack frame" in line]
    assert frames
    assert all("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in line for line in frames)
