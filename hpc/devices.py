"""Which device a rank computes on, and how many threads it gets.

Owns the choice; back ends own the devices. Nothing here touches CUDA unless a device is asked for or found.
"""

from __future__ import annotations

import ctypes
import os

from hpc.options import MOST_THREADS, RunOptions
from kernels.backends.base import Backend
from kernels.errors import RequestError

CUDA_DRIVER = "libcuda.so.1"


def usable_cores() -> int:
    """Cores that this process may use, after `taskset`, SLURM's or the launcher's binding."""
    return len(os.sched_getaffinity(0))


def num_cuda_devices() -> int:
    """GPUs that cupy can use; 0 without a driver or without cupy. Looks for the driver first, which costs nothing."""
    try:
        ctypes.CDLL(CUDA_DRIVER)
        import cupy
    except (OSError, ImportError):
        return 0
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


def choose(options: RunOptions, local_rank: int, local_size: int) -> Backend:
    """The back end of one rank. `local_rank` is its number on its host, `local_size` how many share its cores.

    Raises RequestError where `run.threads` is no sensible number, or where `run.device` asks for a GPU and there is
    none.
    """
    if options.threads is not None and not 1 <= options.threads <= MOST_THREADS:
        raise RequestError(
            f"run.threads: {options.threads} is not a number of threads; use 1 to {MOST_THREADS}, or leave it out"
        )
    num_cuda = 0 if options.device == "host" else num_cuda_devices()
    if options.device == "cuda" and num_cuda == 0:
        raise RequestError("run.device: no GPU that cupy can use; install horseshoe[gpu] and a driver, or use 'host'")
    if num_cuda:
        from kernels.backends.cuda import CudaBackend

        return CudaBackend(local_rank % num_cuda)
    from kernels.backends.host import HostBackend

    return HostBackend(options.threads or min(MOST_THREADS, max(1, usable_cores() // local_size)))


def local_devices() -> tuple[str, ...]:
    """One line for each device of this host, for people: the host itself, then its GPUs."""
    lines = [f"host, {usable_cores()} usable cores"]
    for ordinal in range(num_cuda_devices()):
        from kernels.backends.cuda import CudaBackend

        lines.append(CudaBackend(ordinal).describe())
    return tuple(lines)
