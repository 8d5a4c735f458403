"""The three-body kernel on a GPU: GFLOP/s, the share of a measured FP64 peak, and equality with the host map."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.threebody import FLOPS_PER_STEP_PAIR, kernel_times
from kernels.backends.cuda import CudaBackend
from kernels.backends.host import HostBackend

PEAK_SOURCE = r"""
extern "C" __global__ void fma_loop(double *out, long long rounds) {
    double a[8];
    for (int k = 0; k < 8; ++k) a[k] = threadIdx.x + k;
    for (long long i = 0; i < rounds; ++i)
        for (int k = 0; k < 8; ++k) a[k] = __fma_rn(a[k], 0.999999, 1e-6);
    double sum = 0;
    for (int k = 0; k < 8; ++k) sum += a[k];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
"""


def fma_flops(rounds: int = 20_000) -> float:
    """Floating-point operations a second of a bare loop of fused multiply-adds on the whole device."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    blocks, threads = int(properties["multiProcessorCount"]) * 8, 256
    function = cupy.RawModule(code=PEAK_SOURCE, options=("--fmad=false",)).get_function("fma_loop")
    out = cupy.zeros(blocks * threads)
    speeds = []
    for _ in range(5):
        begin = time.perf_counter()
        function((blocks,), (threads,), (out, np.int64(rounds)))
        cupy.cuda.runtime.deviceSynchronize()
        speeds.append(blocks * threads * rounds * 16 / (time.perf_counter() - begin))
    return sorted(speeds)[2]


def measure(size: int = 1000, steps: int = 50_000) -> dict[str, float | str]:
    """Numbers of one whole map; raises RequestError where there is no GPU."""
    backend = CudaBackend(0)
    kernel_times(backend, 64, steps=100)
    begin = time.perf_counter()
    times = kernel_times(backend, size, steps=steps)
    seconds = time.perf_counter() - begin
    flops = float(times.sum()) * FLOPS_PER_STEP_PAIR / seconds
    differing = float(np.mean(kernel_times(backend, 64) != kernel_times(HostBackend(2), 64)))
    return {
        "device": backend.describe(),
        "seconds": seconds,
        "step_pairs_per_s": float(times.sum()) / seconds,
        "gflops": flops / 1e9,
        "share_of_fma_loop": flops / fma_flops(),
        "differing_from_host": differing,
    }
