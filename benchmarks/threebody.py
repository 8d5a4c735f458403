"""The three-body kernel against its baselines on one core, then on two threads; step-pairs a second.

A step-pair is one step of both systems: 231 floating-point operations (fused multiply-add 2, division and square root 1).
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines import with_numba, with_torch
from kernels import threebody
from kernels.backends import compiler
from kernels.backends.base import Backend
from kernels.backends.host import HostBackend, vector_width
from kernels.threebody import Initial, Problem

FLOPS_PER_STEP_PAIR = 231
STEPS = 50_000
DT = 1e-3
BASELINES = Path(__file__).parent / "baselines"

Doubles = NDArray[np.float64]


def plane(size: int) -> tuple[Doubles, Doubles]:
    """Starting points of the xy plane of the texts, flat."""
    edge = -20 + 40 * np.arange(size) / size
    u, v = np.meshgrid(edge, edge)
    return u.reshape(-1), v.reshape(-1)


def initial(size: int) -> Initial:
    """The same points for the kernel."""
    x, y = (value.reshape(size, size) for value in plane(size))
    return Initial(
        shape=(size, size),
        position=((x, y, -11.0), (0.0, 0.0, 0.0), (10.0, 10.0, 12.0)),
        velocity=((-3.0, 0.0, 0.0), (0.0, 0.0, 0.0), (3.0, 0.0, 0.0)),
        mass=(10.0, 20.0, 30.0),
        gravity=9.8,
        shift=(1e-3, 1e-3, 1e-3),
    )


def kernel_times(backend: Backend, size: int, problem: Problem | None = None, steps: int = STEPS) -> NDArray[np.int32]:
    """A map by the kernel."""
    run = threebody.compile(problem or Problem(), backend).start(initial(size), distance=0.5, dt=DT, steps=steps)
    while run.advance(3600.0) < 1.0:
        pass
    return run.arrays()["times"]


def plain_times(size: int) -> NDArray[np.int32]:
    """The same map by the plain C loop."""
    library = compiler.load_library((BASELINES / "plain.cpp").read_text())
    x, y = plane(size)
    times = np.zeros(x.size, np.int32)
    arguments = [times.size, x.ctypes.data, y.ctypes.data, STEPS]
    library.divergence.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_double,
        ctypes.c_void_p,
    ]
    library.divergence(*arguments, DT, times.ctypes.data)
    return times


def speed_of(times: Callable[[], NDArray[np.int32]]) -> Callable[[], float]:
    """Step-pairs a second of a map; a pixel costs as many as its time says."""

    def measure() -> float:
        begin = time.perf_counter()
        steps = int(times().sum())
        return steps / (time.perf_counter() - begin)

    return measure


def fma_flops() -> float:
    """Floating-point operations a second of a bare loop of fused multiply-adds on one core."""
    library = compiler.load_library((BASELINES / "fma_peak.cpp").read_text())
    library.fma_loop.restype = ctypes.c_double
    library.fma_loop.argtypes = [ctypes.c_longlong, ctypes.c_void_p]
    sink = np.array([1.0, 0.999999, 1e-6])
    begin = time.perf_counter()
    operations = float(library.fma_loop(30_000_000, sink.ctypes.data))
    return operations / (time.perf_counter() - begin)


def torch_speed(size: int, steps: int) -> float:
    """Torch integrates every pixel to the end, so that all its steps count and a few of them tell the speed."""
    x, y = plane(size)
    begin = time.perf_counter()
    with_torch.divergence(x, y, steps, DT)
    return x.size * steps / (time.perf_counter() - begin)


def contestants() -> dict[str, Callable[[], float]]:
    """Name -> measurement, in step-pairs a second (the peak in operations a second)."""
    import torch

    torch.set_num_threads(1)
    lanes = vector_width()
    one, two, scalar = HostBackend(1), HostBackend(2), HostBackend(1, lanes=1)
    x, y = plane(16)
    return {
        f"kernel, {lanes} lanes": speed_of(lambda: kernel_times(one, 48)),
        f"kernel, {lanes} lanes, 2 threads": speed_of(lambda: kernel_times(two, 64)),
        f"kernel, {lanes} lanes, plain": speed_of(lambda: kernel_times(one, 48, Problem(arithmetic="plain"))),
        f"kernel, {lanes} lanes, fast": speed_of(lambda: kernel_times(one, 48, Problem(arithmetic="fast"))),
        f"kernel, {2 * lanes} lanes, float32": speed_of(lambda: kernel_times(one, 48, Problem(precision="float32"))),
        "kernel, scalar": speed_of(lambda: kernel_times(scalar, 16)),
        "plain C loop": speed_of(lambda: plain_times(16)),
        "Numba": speed_of(lambda: with_numba.divergence(x, y, STEPS, DT)),
        "torch as in the texts, 1000x1000": lambda: torch_speed(1000, 4),
        "torch as in the texts, 300x300": lambda: torch_speed(300, 40),
        "fma loop (flop/s)": fma_flops,
    }


def differing_share(size: int = 64) -> dict[str, float]:
    """Share of pixels in which the other arithmetics and precisions differ from `reproducible` float64."""
    reference = kernel_times(HostBackend(1), size)
    variants = {
        "plain": Problem(arithmetic="plain"),
        "fast": Problem(arithmetic="fast"),
        "float32": Problem(precision="float32"),
    }
    return {
        name: float(np.mean(kernel_times(HostBackend(1), size, problem) != reference))
        for name, problem in variants.items()
    }
