"""GPU back end: launches of bounded length over a list of living pixels, state on the device, compacted after every launch.

The driver speaks to a `Runtime`: CuPy's, or the host shim of `device/shim.hpp` that runs the same entry points thread after
thread. CuPy is imported only when a `CudaBackend` is made.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any, Protocol

import numpy as np

from kernels.backends import compiler
from kernels.backends.base import Array
from kernels.backends.cache import cache_folder, one_process_at_a_time
from kernels.errors import RequestError
from kernels.source import KernelSource
from kernels.tile import Tile, unset

BLOCK = 128
FIRST_STEPS = 64
LAUNCH_SECONDS = 0.05  # a stop is seen this soon, a launch costs a thousandth of it
OPTIONS = ("-std=c++17", "--fmad=false", f"-I{compiler.DEVICE_FOLDER}")


class Runtime(Protocol):
    """Memory and launches of one device, for one run."""

    def upload(self, array: Array) -> Any:
        """A copy of `array` on the device."""
        ...

    def zeros(self, size: int, dtype: str) -> Any:
        """Zeros on the device."""
        ...

    def download(self, array: Any) -> Array:
        """A copy on the host; waits for the launches before it."""
        ...

    def address(self, array: Any) -> int:
        """Where `array` lies on the device."""
        ...

    def launch(self, grid: int, block: int, arguments: list[int]) -> None:
        """Run `advance_tile` on grid*block threads; every argument is an address or a whole number of eight bytes."""
        ...


class CudaKernel:
    """A compiled kernel on one device. Satisfies `base.Loaded`."""

    def __init__(self, source: KernelSource, make_runtime: Any) -> None:
        self._source = source
        self._make_runtime = make_runtime

    def start(self, tile: Tile) -> CudaRun:
        """Begin one tile."""
        return CudaRun(self._make_runtime(), self._source, tile)


class CudaRun:
    """One tile on a device. Satisfies `base.Run`. `max_steps` bounds the steps of one launch."""

    def __init__(self, runtime: Runtime, source: KernelSource, tile: Tile, max_steps: int | None = None) -> None:
        self._runtime = runtime
        self._tile = tile
        self._step = 0
        self._num_steps = FIRST_STEPS
        self._max_steps = max_steps or tile.limit
        self._interrupted = False
        self._results: dict[str, Array] | None = None

        # Outputs and inputs go to the device once; the tile tells the kernel where they lie.
        self._inputs = [runtime.upload(array) for array in tile.input_arrays()]
        self._outputs = {name: runtime.upload(unset(*spec)) for name, spec in tile.outputs.items() if spec is not None}
        addresses = [runtime.address(self._outputs[name]) if name in self._outputs else 0 for name in tile.outputs]
        self._words = runtime.upload(tile.words([runtime.address(array) for array in self._inputs], addresses))
        real = f"<f{source.real_bytes}"
        self._state = runtime.zeros(source.state_size * tile.num_pixels, real)
        self._watched = runtime.zeros(tile.num_pixels, "|u1")
        self._active = runtime.upload(np.arange(tile.num_pixels, dtype=np.int32))
        self._next = runtime.zeros(tile.num_pixels, "<i4")
        self._num_active = tile.num_pixels

    def advance(self, seconds: float) -> float:
        """Launch for about `seconds`; the fraction of steps done, an ended pixel counting as finished."""
        begin = time.monotonic()
        while self._num_active and not self._interrupted and time.monotonic() - begin < seconds:
            self._launch()
        self._interrupted = False
        if self._num_active:
            living = self._num_active / self._tile.num_pixels
            return 1.0 - living * (1.0 - self._step / self._tile.limit)
        if self._results is None:
            self._results = {name: self._runtime.download(array) for name, array in self._outputs.items()}
        return 1.0

    def interrupt(self) -> None:
        """Let `advance` return after the launch that is under way."""
        self._interrupted = True

    def arrays(self) -> dict[str, Array]:
        """Outputs by name."""
        assert self._results is not None, "arrays() before the run has finished"
        return self._results

    def _launch(self) -> None:
        begin = time.monotonic()
        steps = min(self._num_steps, self._max_steps, self._tile.limit - self._step)
        num_next = self._runtime.zeros(1, "<i4")
        address = self._runtime.address
        pointers = [self._words, self._state, self._watched, self._active]
        arguments = [
            *map(address, pointers),
            self._num_active,
            address(self._next),
            address(num_next),
            self._step,
            steps,
        ]
        self._runtime.launch(-(-self._num_active // BLOCK), BLOCK, arguments)
        self._num_active = int(self._runtime.download(num_next)[0])
        self._active, self._next = self._next, self._active
        self._step += steps

        # Aim the next launch at its bounded length.
        elapsed = max(time.monotonic() - begin, 1e-6)
        self._num_steps = max(1, int(steps * min(4.0, max(0.25, LAUNCH_SECONDS / elapsed))))


class CudaBackend:
    """One GPU, by its ordinal among the visible ones.

    Raises RequestError where CuPy or the device is missing.
    """

    kind = "cuda"
    num_lanes_float64 = 1
    concurrent_units = 8

    def __init__(self, ordinal: int = 0) -> None:
        try:
            import cupy
        except ImportError:
            raise RequestError(
                "run.device: cuda needs CuPy; install the extra `gpu`, or set run.device = 'host'"
            ) from None
        self.ordinal = ordinal
        try:
            name = cupy.cuda.runtime.getDeviceProperties(ordinal)["name"]
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise RequestError(f"run.device: no usable GPU {ordinal} ({error}); set run.device = 'host'") from None
        self._name = name.decode() if isinstance(name, bytes) else str(name)

    def describe(self) -> str:
        """'cuda:0 NVIDIA H200'."""
        return f"cuda:{self.ordinal} {self._name}"

    def load(self, source: KernelSource) -> CudaKernel:
        """Compile with NVRTC for this device; CuPy caches the binary, so that one rank of a node compiles."""
        import cupy

        # The digest names the included files too, so that CuPy's cache, keyed by this text, never serves an old one.
        code = f"// {source.digest()}\n{source.render('cuda', 1)}"
        alone = one_process_at_a_time(cache_folder(), f"cuda-{source.digest()}")
        with alone, cupy.cuda.Device(self.ordinal):
            function = cupy.RawModule(code=code, options=OPTIONS, backend="nvrtc").get_function("advance_tile")
        return CudaKernel(source, lambda: CupyRuntime(self.ordinal, function))


class CupyRuntime:
    """Memory, launches and one stream on a GPU, so that several runs fill it together."""

    def __init__(self, ordinal: int, function: Any) -> None:
        import cupy

        self._cupy = cupy
        self._device = cupy.cuda.Device(ordinal)
        self._function = function
        with self._device:
            self._stream = cupy.cuda.Stream(non_blocking=True)

    def upload(self, array: Array) -> Any:
        """A copy of `array` on the device."""
        with self._device, self._stream:
            return self._cupy.asarray(array)

    def zeros(self, size: int, dtype: str) -> Any:
        """Zeros on the device."""
        with self._device, self._stream:
            return self._cupy.zeros(size, dtype)

    def download(self, array: Any) -> Array:
        """A copy on the host; waits for the launches before it."""
        with self._device, self._stream:
            host: Array = self._cupy.asnumpy(array, stream=self._stream)
            self._stream.synchronize()
            return host

    def address(self, array: Any) -> int:
        """Where `array` lies on the device."""
        return int(array.data.ptr)

    def launch(self, grid: int, block: int, arguments: list[int]) -> None:
        """Run `advance_tile` on the stream of this run."""
        with self._device, self._stream:
            self._function((grid,), (block,), tuple(np.int64(value) for value in arguments))


class ShimBackend:
    """The GPU driver and its kernels on a host, one thread of the grid after the other: for tests, not for work."""

    kind = "cuda"
    num_lanes_float64 = 1
    concurrent_units = 1

    def describe(self) -> str:
        """One line for people."""
        return "cuda shim on the host"

    def load(self, source: KernelSource) -> CudaKernel:
        """Compile the CUDA entry points with the host compiler."""
        library = compiler.load_library(source.render("cuda", 1))
        return CudaKernel(source, lambda: ShimRuntime(library))


class ShimRuntime:
    """NumPy arrays for device memory."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._launch = library.launch_advance_tile

    def upload(self, array: Array) -> Array:
        """A copy of `array`."""
        return array.copy()

    def zeros(self, size: int, dtype: str) -> Array:
        """Zeros."""
        return np.zeros(size, dtype)

    def download(self, array: Array) -> Array:
        """A copy."""
        return array.copy()

    def address(self, array: Array) -> int:
        """Where `array` lies."""
        return int(array.ctypes.data)

    def launch(self, grid: int, block: int, arguments: list[int]) -> None:
        """Run `advance_tile` once for every thread of the grid."""
        values = (ctypes.c_longlong * len(arguments))(*arguments)
        pointers = [ctypes.addressof(values) + 8 * index for index in range(len(arguments))]
        self._launch(grid, block, (ctypes.c_void_p * len(arguments))(*pointers))
