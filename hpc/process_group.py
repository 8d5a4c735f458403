"""The torch process group of an MPI world: how ranks find each other, on which device each computes, how it ends.

Owns torch's rendezvous and collectives outside models. No object ever goes through a collective; never called before MPI.
"""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from hpc import devices
from hpc.launch import agree
from hpc.options import RunOptions
from kernels.errors import RequestError, one_line

if TYPE_CHECKING:
    import torch
    from mpi4py.MPI import Intracomm
    from torch.distributed import ProcessGroup

LOOPBACK = "127.0.0.1"
LOOPBACK_INTERFACE = "lo"
DISCARD_PORT = 9

# Of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 << 20
MOST_KEPT_BYTES = 1 << 30

TIMEOUT = timedelta(minutes=30)

Value = TypeVar("Value")


class TorchDevice:
    """Where one rank trains: CPU threads, or one GPU. Stands where other jobs have a back end, but runs no kernels."""

    num_lanes_float64 = 1
    concurrent_units = 1

    def __init__(self, device: torch.device, threads: int) -> None:
        self.device = device
        self.threads = threads
        self.kind = "cuda" if device.type == "cuda" else "host"

    def load(self, source: object) -> Any:
        """Kernels are no part of training."""
        raise TypeError(f"{source!r}: a device of torch runs no kernels of ours")

    def describe(self) -> str:
        """One line for people: 'host, 2 threads of torch 2.13.0' or 'cuda:0 NVIDIA H200'."""
        import torch

        if self.device.type == "cuda":
            return f"{self.device} {torch.cuda.get_device_name(self.device)}"
        return f"host, {self.threads} thread{'s' * (self.threads != 1)} of torch {torch.__version__}"


def choose(options: RunOptions, local_rank: int, num_sharing: int) -> TorchDevice:
    """The device of one rank, by its number on its host; `num_sharing` ranks share its cores.

    Sets torch's threads. Raises RequestError where torch is missing, or `run.device` asks for a GPU that it has not.
    """
    try:
        import torch
    except ImportError:
        raise RequestError("training needs torch: pip install 'horseshoe[train]'") from None
    threads = options.threads or max(1, devices.usable_cores() // num_sharing)
    torch.set_num_threads(threads)
    num_cuda = 0 if options.device == "host" else torch.cuda.device_count()
    if options.device == "cuda" and num_cuda == 0:
        raise RequestError("run.device: no GPU that torch can use; install a driver, or use 'host'")
    if num_cuda == 0:
        _keep_freed_memory()
        return TorchDevice(torch.device("cpu"), threads)

    # The same bytes whenever a run is made again: cuBLAS wants to be told before it begins.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = torch.device("cuda", local_rank % num_cuda)
    torch.cuda.set_device(device)
    return TorchDevice(device, threads)


def _keep_freed_memory() -> None:
    """Keep what a step has freed for the next one, where the C library is glibc.

    It gives large blocks back to the system again and again, and each page of them costs a fault when it is used next:
    up to a tenth of the time of a step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, MOST_KEPT_BYTES)


class Group:
    """Ranks that train one run together. `rank` 0 of `size` leads; alone, nothing is sent anywhere."""

    def __init__(self, rank: int, size: int, device: torch.device, handle: ProcessGroup | None) -> None:
        self.rank = rank
        self.size = size
        self.device = device
        self.handle = handle

    def sum(self, values: list[float]) -> list[float]:
        """The sums over all ranks, in double precision, the same on each. Called by all of them."""
        if self.handle is None:
            return values
        import torch
        import torch.distributed as dist

        # NCCL takes what lies on its device.
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, group=self.handle)
        return [float(value) for value in tensor.tolist()]

    def memory_bytes(self) -> int:
        """The most memory that this rank has held so far: of its GPU, else of the process."""
        import torch

        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

    def from_leader(self, number: int) -> int:
        """The leader's number, on all ranks."""
        return int(self.sum([float(number if self.rank == 0 else 0)])[0])


class Processes:
    """All ranks of a job as torch knows them, with a small store of words that they share. Called by all; close it."""

    def __init__(self, comm: Intracomm, device: torch.device) -> None:
        dist = _distributed()
        self._comm = comm
        self._device = device
        self._groups: dict[int, Group] = {}
        if comm.size == 1:
            self.words: Any = dist.HashStore()
            return
        hosts = comm.allgather(socket.gethostname())
        one_host = len(set(hosts)) == 1
        if one_host:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK_INTERFACE)
        self.words = _meet(comm, hosts, one_host=one_host)
        hook = sys.excepthook
        backend = "nccl" if device.type == "cuda" and dist.is_nccl_available() else "gloo"
        dist.init_process_group(
            backend,
            store=dist.PrefixStore("group", self.words),
            rank=comm.rank,
            world_size=comm.size,
            timeout=TIMEOUT,
            device_id=device if backend == "nccl" else None,
        )

        # Torch's own keeps a traceback until the hook before it returns, which ends the job instead.
        sys.excepthook = hook

    def split(self, size: int) -> Group | None:
        """This rank's group where neighbours in rank make groups of `size`; None for a rank that is left over."""
        if size not in self._groups:
            self._groups[size] = self._make(size)
        group = self._groups[size]
        return group if group.size == size else None

    def _make(self, size: int) -> Group:
        """Make all groups of one size: torch wants every rank to have a part in each."""
        if size == 1:
            return Group(0, 1, self._device, None)
        import torch.distributed as dist

        mine = Group(0, 0, self._device, None)
        for first in range(0, self._comm.size - size + 1, size):
            members = list(range(first, first + size))
            handle = dist.new_group(members)
            if self._comm.rank in members:
                mine = Group(self._comm.rank - first, size, self._device, handle)
        return mine

    def close(self) -> None:
        """End torch's process group while all ranks are there: its threads may abort a process that exits with them."""
        if self._comm.size == 1:
            return
        import torch.distributed as dist

        dist.destroy_process_group()


def _meet(comm: Intracomm, hosts: list[str], *, one_host: bool) -> Any:
    """The store of words: rank 0 listens on a free port, and says over MPI where."""
    listeners: list[socket.socket] = []

    def listen() -> tuple[str, int]:
        address = LOOPBACK if one_host else address_towards(next(host for host in hosts if host != hosts[0]))
        listeners.append(socket.create_server((address, 0), backlog=max(128, 2 * comm.size)))
        return address, int(listeners[0].getsockname()[1])

    address, port = agree(comm, listen)
    return _distributed().TCPStore(
        address,
        port,
        world_size=None,
        is_master=bool(listeners),
        timeout=TIMEOUT,
        wait_for_workers=False,
        master_listen_fd=listeners[0].detach() if listeners else None,
    )


def _distributed() -> Any:
    """torch.distributed, whose types do not tell of its stores."""
    import torch.distributed

    return torch.distributed


def address_towards(host: str) -> str:
    """This host's address in the network that another host is reached through. Sends nothing.

    Raises RequestError where that host has no address.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(host, DISCARD_PORT, type=socket.SOCK_DGRAM)[0]
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise RequestError(f"host {host}: no way to it from {socket.gethostname()} ({error.strerror})") from None


def attempt(group: Group, words: Any, function: Callable[[], Value]) -> Value:
    """Run `function` on every rank of a group; where it is refused on any, RequestError with its line on all.

    A file system that refuses is the user's to mend, and so is memory that is too small for a model.
    """
    value: Any = None
    refused = False
    try:
        value = function()
    except (RequestError, OSError, MemoryError) as error:
        refused = True
        words.set(REFUSED, one_line(line_of(error)))
    if group.sum([float(refused)])[0] > 0:
        raise RequestError(words.get(REFUSED).decode())
    return value  # type: ignore[no-any-return]


REFUSED = "refused"


def line_of(error: Exception) -> str:
    """The line that a RequestError, an OSError or a MemoryError gets."""
    if isinstance(error, OSError):
        return f"{error.filename or 'the file system'}: {error.strerror or error}; mend that, the same command goes on"
    return (
        str(error) if isinstance(error, RequestError) else "train.batch: out of memory; cut it with train.accumulation"
    )
