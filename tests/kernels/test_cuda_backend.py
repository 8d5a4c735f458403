"""The CUDA back end: driver and kernels on the host shim, kernels through NVRTC, both on a GPU where there is one."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from kernels import threebody
from kernels.backends import compiler
from kernels.backends.cache import cache_folder, share_with_cupy
from kernels.backends.cuda import OPTIONS, CudaBackend, CudaRun, ShimBackend, ShimRuntime
from kernels.backends.host import HostBackend
from kernels.errors import RequestError
from kernels.threebody import OUTPUTS, Problem

EVERYTHING = Problem(early_stop=False, outputs=tuple(OUTPUTS))


@pytest.mark.parametrize("arithmetic", ["reproducible", "plain"])
def test_shim_gives_the_reference_map(threebody_run, threebody_plane, assert_reference, arithmetic):
    assert_reference(threebody_run(ShimBackend(), threebody_plane(16), Problem(arithmetic=arithmetic))["times"])


@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize("precision", threebody.PRECISIONS)
def test_shim_equals_the_host_in_every_output(threebody_run, threebody_plane, early_stop, precision):
    # 15x15 pixels are no multiple of a block.
    problem = Problem(early_stop=early_stop, precision=precision, outputs=tuple(OUTPUTS))
    shim, host = (
        threebody_run(backend, threebody_plane(15), problem, steps=20_000)
        for backend in (ShimBackend(), HostBackend(2))
    )
    assert np.count_nonzero(shim["times"] < 20_000) > 10
    for name in OUTPUTS:
        np.testing.assert_array_equal(shim[name], host[name])


@pytest.mark.parametrize("early_stop", [True, False])
def test_three_launches_equal_one(threebody_plane, monkeypatch, early_stop):
    problem = Problem(early_stop=early_stop, outputs=tuple(OUTPUTS))
    source = threebody.source(problem)
    library = compiler.load_library(source.render("cuda", 1))
    tiles = []
    threebody.Program(problem, Recorder(tiles)).start(threebody_plane(15), distance=0.5, dt=1e-3, steps=30_000)
    results = []
    for max_steps, launches in ((30_000, 1), (10_000, 3)):
        monkeypatch.setattr("kernels.backends.cuda.FIRST_STEPS", max_steps)
        monkeypatch.setattr("kernels.backends.cuda.LAUNCH_SECONDS", 1e9)
        runtime = CountingRuntime(library)
        run = CudaRun(runtime, source, tiles[0], max_steps)
        assert run.advance(1e9) == 1.0
        assert len(runtime.active) == launches
        results.append(run.arrays())
    for name in OUTPUTS:
        np.testing.assert_array_equal(results[0][name], results[1][name])


def test_living_pixels_are_compacted(threebody_plane):
    source = threebody.source(Problem())
    tiles = []
    threebody.Program(Problem(), Recorder(tiles)).start(threebody_plane(15), distance=0.5, dt=1e-3, steps=50_000)
    runtime = CountingRuntime(compiler.load_library(source.render("cuda", 1)))
    run = CudaRun(runtime, source, tiles[0], max_steps=5_000)
    fraction = 0.0
    while fraction < 1.0:
        before, fraction = fraction, run.advance(0.0001)
        assert fraction >= before
    assert runtime.active[0] == 225
    assert runtime.active[-1] < 200
    assert runtime.active == sorted(runtime.active, reverse=True)


def test_interrupt_ends_an_advance(threebody_plane):
    run = threebody.compile(Problem(), ShimBackend()).start(threebody_plane(15), distance=0.5, dt=1e-3, steps=50_000)
    run.interrupt()
    assert run.advance(1e9) < 1.0
    while run.advance(1e9) < 1.0:
        pass


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize("precision", threebody.PRECISIONS)
@pytest.mark.parametrize("arithmetic", threebody.ARITHMETICS)
def test_nvrtc_compiles_without_spills(architecture, early_stop, precision, arithmetic):
    nvrtc = pytest.importorskip("cupy").cuda.nvrtc
    source = threebody.source(Problem(precision, arithmetic, early_stop, outputs=tuple(OUTPUTS))).render("cuda", 1)
    program = nvrtc.createProgram(source, "kernel.cu", [], [])
    try:
        nvrtc.compileProgram(program, [*OPTIONS, f"-arch={architecture}", "--ptxas-options=-v"])
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    log = nvrtc.getProgramLog(program)
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in log, log
    assert nvrtc.getCUBIN(program)


def test_without_a_gpu_one_line_says_so():
    cupy = pytest.importorskip("cupy")
    if cupy.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(RequestError, match=r"run\.device"):
        CudaBackend(0)


class FakeCupy(ModuleType):
    """CuPy as far as a kernel is loaded; `compiles` is called instead of NVRTC."""

    def __init__(self, compiles):
        super().__init__("cupy")
        self.RawModule = lambda **_: compiles() or SimpleNamespace(get_function=lambda name: name)
        properties = lambda ordinal: {"name": b"fake"}  # noqa: ARG005, E731
        runtime = SimpleNamespace(getDeviceProperties=properties, CUDARuntimeError=RuntimeError)
        self.cuda = SimpleNamespace(Device=lambda _: nullcontext(), runtime=runtime)


def test_one_rank_of_a_node_compiles(monkeypatch):
    """The others wait for it, and then find what CuPy has kept."""
    source = threebody.source(Problem())
    locked = []

    def compiles():
        with (cache_folder() / f"cuda-{source.digest()}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                locked.append(True)

    monkeypatch.setitem(sys.modules, "cupy", FakeCupy(compiles))
    CudaBackend(0).load(source)
    assert locked == [True]


def test_cupy_keeps_its_binaries_in_our_private_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HORSESHOE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CUPY_CACHE_DIR", "")
    monkeypatch.delenv("CUPY_CACHE_DIR")
    share_with_cupy()
    assert os.environ["CUPY_CACHE_DIR"] == str(tmp_path / "cache" / "cupy")
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    monkeypatch.setenv("CUPY_CACHE_DIR", "/elsewhere")
    share_with_cupy()
    assert os.environ["CUPY_CACHE_DIR"] == "/elsewhere"


@pytest.mark.gpu
@pytest.mark.parametrize("arithmetic", ["reproducible", "plain"])
def test_gpu_gives_the_reference_map(threebody_run, threebody_plane, assert_reference, arithmetic):
    assert_reference(threebody_run(CudaBackend(0), threebody_plane(16), Problem(arithmetic=arithmetic))["times"])


@pytest.mark.gpu
@pytest.mark.parametrize("precision", threebody.PRECISIONS)
def test_gpu_equals_the_host(threebody_run, threebody_plane, precision):
    problem = Problem(precision=precision, early_stop=False, outputs=tuple(OUTPUTS))
    gpu, host = (
        threebody_run(backend, threebody_plane(45), problem, steps=20_000)
        for backend in (CudaBackend(0), HostBackend(2))
    )
    for name in OUTPUTS:
        np.testing.assert_array_equal(gpu[name], host[name])


class CountingRuntime(ShimRuntime):
    """The shim, remembering how many pixels each launch was given."""

    def __init__(self, library):
        super().__init__(library)
        self.active = []

    def launch(self, grid, block, arguments):
        self.active.append(arguments[4])
        assert grid * block >= arguments[4]
        super().launch(grid, block, arguments)


class Recorder:
    """Keeps the tile that a program would start."""

    def __init__(self, tiles):
        self.tiles = tiles

    def start(self, tile):
        self.tiles.append(tile)
