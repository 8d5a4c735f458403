"""`horseshoe doctor`: what this machine and this launcher offer. Loads the MPI library but starts no MPI."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

from kernels.errors import RequestError

RANKS = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)


def main() -> int:
    """Print ranks, hosts, cores, devices, MPI, compiler, vector width and cache folder; under mpiexec, of every rank."""
    from hpc import devices
    from kernels.backends import host

    rank, size = place_in_world(os.environ)
    print(f"rank      {rank} of {size} on {socket.gethostname()}: {'; '.join(devices.local_devices())}", flush=True)
    if rank == 0:
        print(f"MPI       {told(mpi_library)}")
        print(f"compiler  {told(host.describe_compiler)}")
        print(f"vectors   {told(lambda: f'{host.vector_width()} doubles')}")
        print(f"cache     {told(lambda: str(host.cache_folder()))}")
    return 0


def place_in_world(environment: Mapping[str, str]) -> tuple[int, int]:
    """Rank and number of ranks according to the launcher's environment; (0, 1) without a launcher."""
    for rank, size in RANKS:
        if rank in environment and size in environment:
            return int(environment[rank]), int(environment[size])
    return 0, 1


def mpi_library() -> str:
    """Vendor and library of MPI, in one line."""
    import mpi4py

    mpi4py.rc.initialize = False
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise RequestError(f"none ({' '.join(str(error).split())}): pip install mpich") from None
    vendor, version = MPI.get_vendor()
    return f"{vendor} {'.'.join(map(str, version))} ({MPI.Get_library_version().split(chr(10))[0].strip()})"


def told(function: Callable[[], str]) -> str:
    """The function's text, or the reason why there is none."""
    try:
        return function()
    except RequestError as error:
        return str(error)
