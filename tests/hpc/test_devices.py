"""Which back end a rank gets, without needing any device."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hpc import devices
from hpc.options import RunOptions
from kernels.errors import RequestError


class Device:
    def __init__(self, number: int) -> None:
        self.number = number

    def describe(self) -> str:
        return f"device {self.number}"


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back ends that only remember what they were given."""
    for name, kind in (("host", "HostBackend"), ("cuda", "CudaBackend")):
        module = ModuleType(f"kernels.backends.{name}")
        setattr(module, kind, type(kind, (Device,), {}))
        monkeypatch.setitem(sys.modules, f"kernels.backends.{name}", module)


def chosen(options: RunOptions, local_rank: int, local_size: int) -> tuple[str, int]:
    backend: Any = devices.choose(options, local_rank, local_size)
    return type(backend).__name__, backend.number


@pytest.mark.usefixtures("backends")
def test_threads_are_the_usable_cores_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "num_cuda_devices", lambda: 0)
    monkeypatch.setattr(devices, "usable_cores", lambda: 7)
    assert [chosen(RunOptions(), 0, size)[1] for size in (1, 2, 3, 8)] == [7, 3, 2, 1]
    assert chosen(RunOptions(threads=5), 0, 4) == ("HostBackend", 5)


@pytest.mark.usefixtures("backends")
def test_gpus_by_local_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "num_cuda_devices", lambda: 2)
    assert [chosen(RunOptions(), rank, 3) for rank in range(3)] == [(("CudaBackend"), rank % 2) for rank in range(3)]
    assert chosen(RunOptions(device="cuda"), 1, 2) == ("CudaBackend", 1)
    assert chosen(RunOptions(device="host", threads=1), 1, 2) == ("HostBackend", 1)
    assert devices.local_devices()[1:] == ("device 0", "device 1")


@pytest.mark.usefixtures("backends")
def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "num_cuda_devices", lambda: 0)
    with pytest.raises(RequestError, match=r"^run\.device: no GPU"):
        devices.choose(RunOptions(device="cuda"), 0, 1)
    for threads in (0, 1025):
        with pytest.raises(RequestError, match=rf"^run\.threads: {threads} "):
            devices.choose(RunOptions(threads=threads), 0, 1)


def test_without_a_driver_cupy_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "CUDA_DRIVER", "libnowhere.so.1")
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert devices.num_cuda_devices() == 0


def test_a_driver_without_devices_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class CUDARuntimeError(RuntimeError):
        pass

    def count() -> int:
        raise CUDARuntimeError("cudaErrorNoDevice")

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    monkeypatch.setattr(devices, "CUDA_DRIVER", "libc.so.6")
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    assert devices.num_cuda_devices() == 0
    runtime.getDeviceCount = lambda: 3
    assert devices.num_cuda_devices() == 3


def test_usable_cores_are_those_of_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: {3, 5, 6} if pid == 0 else set())
    assert devices.usable_cores() == 3
