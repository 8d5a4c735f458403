"""Functions on lanes: errors against decimal arithmetic, the same bits whatever the number of lanes, and special values."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
import pytest

from kernels.backends.compiler import load_library
from kernels.backends.cuda import OPTIONS
from kernels.expression import decimal_functions
from kernels.expression.decimals import context

LANES = {"float64": (1, 2, 4, 8), "float32": (1, 4, 8, 16)}
NUM = 1024

UNARY = {
    "sine": (decimal_functions.sin, np.sin),
    "cosine": (decimal_functions.cos, np.cos),
    "tangent": (decimal_functions.tan, np.tan),
    "exponential": (decimal_functions.exp, np.exp),
    "logarithm": (Decimal.ln, np.log),
    "hyperbolic_sine": (decimal_functions.sinh, np.sinh),
    "hyperbolic_cosine": (decimal_functions.cosh, np.cosh),
    "hyperbolic_tangent": (decimal_functions.tanh, np.tanh),
    "round_down": (None, np.floor),
    "absolute": (None, np.abs),
}
BINARY = {"arctangent2": np.arctan2, "power": np.power, "minimum": np.minimum, "maximum": np.maximum}

Functions = dict[str, Callable[..., np.ndarray]]


def compiled(precision: str, lanes: int) -> Functions:
    """Every function over arrays of a multiple of `lanes` numbers."""
    lines = [
        f"#define REAL {'double' if precision == 'float64' else 'float'}",
        f"#define REAL_BYTES {int(precision[5:]) // 8}",
    ]
    lines += [f"#define LANES {lanes}", "#define ARITHMETIC 0", '#include "functions.hpp"']
    for name in (*UNARY, *BINARY):
        lines.append(f"""extern "C" void on_{name}(long long num, const real *x, const real *y, real *result) {{
    for (long long i = 0; i < num; i += LANES) {{
        Lane a, b;
        for (int lane = 0; lane < LANES; ++lane) set(a, lane, x[i + lane]), set(b, lane, y[i + lane]);
        a = {name}({"a, b" if name in BINARY else "a"});
        for (int lane = 0; lane < LANES; ++lane) result[i + lane] = get(a, lane);
    }}
}}""")
    library = load_library("\n".join([*lines, ""]))

    def function(name: str) -> Callable[..., np.ndarray]:
        def call(x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
            x, y = np.ascontiguousarray(x, precision), np.ascontiguousarray(x if y is None else y, precision)
            result = np.empty_like(x)
            pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, y, result)]
            library[f"on_{name}"](ctypes.c_longlong(x.size), *pointers)
            return result

        return call

    return {name: function(name) for name in (*UNARY, *BINARY)}


@pytest.fixture(scope="module", params=LANES)
def widths(request: pytest.FixtureRequest) -> list[Functions]:
    """The functions in one precision, for every number of lanes."""
    return [compiled(request.param, lanes) for lanes in LANES[request.param]]


def inputs(name: str, dtype: np.dtype) -> np.ndarray:
    """Numbers over the whole useful range of a function, and where its reduction or its result is delicate."""
    random = np.random.default_rng(list(name.encode()))
    largest = float(np.log(np.finfo(dtype).max))
    small = random.choice([-1, 1], NUM) * 10 ** random.uniform(-30, 0, NUM)
    if name in ("sine", "cosine", "tangent"):
        ranges = [random.uniform(-size, size, NUM) for size in (1, 100, 1e5)]
        near_zeros = random.integers(-60_000, 60_000, NUM) * (np.pi / 2)
        huge = random.choice([-1, 1], NUM) * 10 ** random.uniform(5, 190 if dtype.itemsize == 8 else 38, NUM)
        numbers = [*ranges, near_zeros, small, huge]
    elif name == "logarithm":
        top = np.log10(np.finfo(dtype).max)
        near_one = 1 + 10 ** random.uniform(-15, -1, NUM) * random.choice([-1, 1], NUM)
        numbers = [random.uniform(0.5, 2, NUM), 10 ** random.uniform(-top - 6, top, NUM), near_one]
    else:
        numbers = [random.uniform(-size, size, NUM) for size in (1, 30, largest * 1.002)] + [small]
    x = np.concatenate(numbers).astype(dtype)
    return x[np.isfinite(x)][: x.size // 16 * 16 - 16]


def units_of_the_last_place(results: np.ndarray, exact: list[Decimal]) -> float:
    """The largest error in units of the last place of the exact result."""
    worst = 0.0
    finfo = np.finfo(results.dtype)
    digits, smallest = finfo.nmant, int(np.log2(float(finfo.smallest_subnormal)))
    for result, value in zip(results.tolist(), exact, strict=True):
        if abs(value) > Decimal(float(finfo.max)):
            assert result == (np.inf if value > 0 else -np.inf)
            continue
        if value:
            exponent = max(int(np.floor(np.log2(float(abs(value))))) if float(value) else smallest, smallest + digits)
            worst = max(worst, float(abs(Decimal(result) - value) / Decimal(2) ** (exponent - digits)))
        else:
            assert result == 0
    return worst


LARGEST_ERRORS = {"sine": 1, "cosine": 1, "exponential": 1, "logarithm": 1}


@pytest.mark.parametrize("name", [name for name, (exact, _) in UNARY.items() if exact])
def test_errors_in_units_of_the_last_place(widths, name):
    """At most 1 for sine, cosine, exponential and logarithm, 3 for the others, at any number of lanes the same bits."""
    dtype = widths[0][name](np.zeros(16)).dtype
    x = inputs(name, dtype)
    results = [functions[name](x) for functions in widths]
    for other in results[1:]:
        assert other.tobytes() == results[0].tobytes()

    # A quarter of the numbers is enough for decimal arithmetic, which is slow
    with localcontext(context(60)):
        exact = [UNARY[name][0](Decimal(number)) for number in x[::4].tolist()]
    assert units_of_the_last_place(results[0][::4], exact) <= LARGEST_ERRORS.get(name, 3)


def test_errors_of_the_arc_tangent(widths):
    """Tangents of angles known to twice the digits: at most 3 units of the last place in all eight octants."""
    random = np.random.default_rng(1)
    dtype = widths[0]["sine"](np.zeros(16)).dtype
    y, x = (random.normal(size=2048) * 10 ** random.uniform(-3, 3, 2048) for _ in range(2))
    y, x = y.astype(dtype), x.astype(dtype)
    results = [functions["arctangent2"](y, x) for functions in widths]
    for other in results[1:]:
        assert other.tobytes() == results[0].tobytes()
    worst = 0.0
    with localcontext(context(50)):
        for one, height, width in zip(results[0].tolist(), y.tolist(), x.tolist(), strict=True):
            # angle - result = atan(t) with t = (y cos - x sin) / (x cos + y sin), which is tiny
            angle = Decimal(one)
            sine, cosine = decimal_functions.sin(angle), decimal_functions.cos(angle)
            high, wide = Decimal(height), Decimal(width)
            error = (high * cosine - wide * sine) / (wide * cosine + high * sine)
            assert wide * cosine + high * sine > 0
            worst = max(worst, float(abs(error)) / float(np.spacing(np.abs(dtype.type(one)))))
    assert worst <= 3


@pytest.mark.parametrize("name", ["round_down", "absolute"])
def test_floor_and_absolute_value_are_exact(widths, name):
    dtype = widths[0][name](np.zeros(16)).dtype
    steps = np.array([0.0, 0.25, 0.5, 1, 2.5, 3e6, 8388607.5, 2.0**51 + 0.5, 2.0**52 - 0.5, 2.0**53, 1e30], dtype)
    x = np.concatenate([steps, -steps, np.nextafter(steps, dtype.type(9e9)), [np.inf, -np.inf, np.nan]]).astype(dtype)
    x = np.resize(x, 48)
    for functions in widths:
        np.testing.assert_array_equal(functions[name](x), UNARY[name][1](x))


SPECIAL = np.resize([0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.5, -2.5], 16)


@pytest.mark.parametrize("name", UNARY)
def test_special_values_of_one_number(widths, name):
    for functions in widths:
        with np.errstate(all="ignore"):
            expected = UNARY[name][1](SPECIAL)
        np.testing.assert_allclose(functions[name](SPECIAL), expected, rtol=1e-6)


@pytest.mark.parametrize("name", BINARY)
def test_special_values_of_two_numbers(widths, name):
    x, y = (array.ravel() for array in np.meshgrid(SPECIAL[:8], SPECIAL[:8]))
    if name == "power":  # of the infinite ones only those of positive numbers
        x, y = np.where((x < 0) & (np.isinf(y) | np.isinf(x)), 1, x), y
    for functions in widths:
        with np.errstate(all="ignore"):
            expected = BINARY[name](x, y)
        np.testing.assert_allclose(functions[name](x, y), expected, rtol=1e-6)


def test_powers(widths):
    """As near as the size of y*log(x) lets them be, and the sign of odd powers."""
    random = np.random.default_rng(2)
    x, y = random.uniform(0.01, 4, 1024), random.uniform(-4, 4, 1024)
    for functions in widths:
        result = functions["power"](x, y)
        x_given, y_given = x.astype(result.dtype).astype(float), y.astype(result.dtype).astype(float)
        np.testing.assert_allclose(result, x_given**y_given, rtol=16 * float(np.finfo(result.dtype).eps))
        whole = functions["power"](-x, np.round(y))
        given = (-x).astype(result.dtype).astype(float)
        np.testing.assert_allclose(whole, given ** np.round(y), rtol=16 * float(np.finfo(result.dtype).eps))


def test_subnormal_results_are_kept(widths):
    exponential = widths[-1]["exponential"]
    dtype = exponential(np.zeros(16)).dtype
    x = np.linspace(
        float(np.log(float(np.finfo(dtype).smallest_subnormal))) + 1, -700 if dtype.itemsize == 8 else -85, 64
    )
    result = exponential(x)
    assert (result > 0).all()
    assert (result < np.finfo(dtype).tiny).any()


CUDA_ENTRY = """
extern "C" __global__ void on_{name}(long long num, const real *x, const real *y, real *result) {{
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < num) result[i] = {call};
}}
"""


def cuda_source(precision: str) -> str:
    lines = [f"#define REAL {'double' if precision == 'float64' else 'float'}"]
    lines += [f"#define REAL_BYTES {int(precision[5:]) // 8}", "#define LANES 1", "#define ARITHMETIC 0"]
    calls = {name: f"{name}(x[i], y[i])" if name in BINARY else f"{name}(x[i])" for name in (*UNARY, *BINARY)}
    entries = [CUDA_ENTRY.format(name=name, call=call) for name, call in calls.items()]
    return "\n".join([*lines, '#include "functions.hpp"', *entries])


@pytest.mark.parametrize("precision", LANES)
def test_nvrtc_compiles_every_function(precision):
    nvrtc = pytest.importorskip("cupy").cuda.nvrtc
    program = nvrtc.createProgram(cuda_source(precision), "functions.cu", [], [])
    try:
        nvrtc.compileProgram(program, [*OPTIONS, "-arch=sm_80", "--ptxas-options=-v"])
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    frames = [line for line in nvrtc.getProgramLog(program).splitlines() if "stack frame" in line]
    assert len(frames) >= len(UNARY) + len(BINARY)
    assert all("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in line for line in frames)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", LANES)
def test_gpu_gives_the_same_bits(precision):
    import cupy

    module = cupy.RawModule(code=cuda_source(precision), options=OPTIONS, backend="nvrtc")
    host = compiled(precision, LANES[precision][-1])
    for name in (*UNARY, *BINARY):
        x = inputs(name, np.dtype(precision))
        y = x[::-1].copy()
        result = cupy.empty(x.shape, precision)
        arguments = (np.int64(x.size), cupy.asarray(x), cupy.asarray(y), result)
        module.get_function(f"on_{name}")(((x.size + 127) // 128,), (128,), arguments)
        expected = host[name](x, y)
        missing = np.isnan(expected)
        np.testing.assert_array_equal(np.isnan(result.get()), missing)
        assert np.where(missing, 0, result.get()).tobytes() == np.where(missing, 0, expected).tobytes()
