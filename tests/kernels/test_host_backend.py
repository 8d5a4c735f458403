"""The host back end: slices, interruption, compilation and its cache, and what a kernel library does to the process."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from kernels import threebody
from kernels.backends import compiler
from kernels.backends.cache import cache_folder
from kernels.backends.host import HostBackend, describe_compiler, vector_width
from kernels.errors import RequestError
from kernels.threebody import OUTPUTS, Problem

ALL = Problem(early_stop=False, outputs=tuple(OUTPUTS))
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_thousand_slices_equal_one(threebody_run, threebody_plane, threads):
    whole = threebody_run(HostBackend(threads), threebody_plane(16), ALL, steps=5_000)
    program = threebody.compile(ALL, HostBackend(threads))
    run = program.start(threebody_plane(16), distance=0.5, dt=1e-3, steps=5_000)
    slices, fraction = 0, 0.0
    while fraction < 1.0:
        before, fraction = fraction, run.advance(0.0)
        assert fraction >= before
        slices += 1
    assert slices > 10
    for name, array in whole.items():
        np.testing.assert_array_equal(run.arrays()[name], array)


def test_interrupt_returns_at_once_and_loses_nothing(threebody_run, threebody_plane):
    problem = Problem()
    run = threebody.compile(problem, HostBackend(1)).start(threebody_plane(32), distance=0.5, dt=1e-3, steps=50_000)
    timer = threading.Timer(0.02, run.interrupt)
    timer.start()
    assert (
        0.0 < run.advance(3600.0) < 1.0
    )  # would take an hour to come back by itself were it not for the end of the work
    while run.advance(3600.0) < 1.0:
        pass
    timer.join()
    expected = threebody_run(HostBackend(2), threebody_plane(32))["times"]
    np.testing.assert_array_equal(run.arrays()["times"], expected)


def test_fewer_pixels_than_lanes(threebody_run, threebody_plane):
    one = threebody_run(HostBackend(2), threebody_plane(1))
    assert one["times"].shape == (1, 1)


def test_the_compiler_runs_once_a_program(tmp_path):
    # A wrapper that counts its calls stands in for the compiler.
    log = tmp_path / "calls"
    wrapper = tmp_path / "compiler"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *-shared*) echo "$@" >> {log};; esac\nexec {compiler.find_compiler()[0]} "$@"\n'
    )
    wrapper.chmod(0o755)
    script = (
        "from tests_conftest import plane, run\nfrom kernels.backends.host import HostBackend\n"
        "[run(HostBackend(1), plane(2, gravity=g), steps=10, dt=1e-3 * g) for g in range(1, 31)]\n"
    )
    (tmp_path / "tests_conftest.py").write_text((ROOT / "tests/kernels/conftest.py").read_text())
    environment = {
        **os.environ,
        "CXX": str(wrapper),
        "HORSESHOE_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": f"{ROOT}:{tmp_path}",
    }
    for _ in range(2):  # a second process finds the library on disk
        subprocess.run([sys.executable, "-c", script], env=environment, check=True)
        assert len(log.read_text().splitlines()) == 1


def test_no_compiler_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    compiler.find_compiler.cache_clear()
    with pytest.raises(RequestError, match=r"install g\+\+"):
        compiler.find_compiler()
    for command in ("no-such-compiler -x", " ", "'"):
        monkeypatch.setenv("CXX", command)
        with pytest.raises(RequestError, match="CXX="):
            compiler.find_compiler()
    compiler.find_compiler.cache_clear()


def test_cache_is_private(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("HORSESHOE_CACHE", str(folder))
    assert cache_folder() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o770)
    with pytest.raises(RequestError, match="written by others"):
        cache_folder()
    folder.chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to(folder)
    monkeypatch.setenv("HORSESHOE_CACHE", str(link))
    with pytest.raises(RequestError, match="symbolic link"):
        cache_folder()
    monkeypatch.setenv("HORSESHOE_CACHE", "/proc/no/cache")
    with pytest.raises(RequestError, match="HORSESHOE_CACHE"):
        cache_folder()


def test_a_library_that_others_can_write_is_refused(threebody_run, threebody_plane, tmp_path, monkeypatch):
    monkeypatch.setenv("HORSESHOE_CACHE", str(tmp_path / "cache"))
    compiler.load_library.cache_clear()
    threebody_run(HostBackend(1), threebody_plane(2), steps=10)
    (library,) = (tmp_path / "cache").glob("*.so")
    library.chmod(0o770)
    compiler.load_library.cache_clear()
    with pytest.raises(RequestError, match="written by others"):
        threebody_run(HostBackend(1), threebody_plane(2), steps=10)
    compiler.load_library.cache_clear()


def test_a_library_cut_short_is_compiled_again(threebody_run, threebody_plane, tmp_path, monkeypatch):
    for folder in ("whole", "short"):
        monkeypatch.setenv("HORSESHOE_CACHE", str(tmp_path / folder))
        for name in (path.name for path in (tmp_path / "whole").glob("*.so")):
            (cache_folder() / name).touch(0o700)
        compiler.load_library.cache_clear()
        threebody_run(HostBackend(1), threebody_plane(2), steps=10)
    (library,) = (tmp_path / "short").glob("*.so")
    assert library.stat().st_size > 1000


def test_a_compiler_that_fails_is_one_line(monkeypatch):
    monkeypatch.setenv("CXX", "/bin/false")
    for function in (compiler.find_compiler, compiler.target_macros, compiler.vector_bytes):
        function.cache_clear()
    with pytest.raises(RequestError, match="set CXX"):
        vector_width()
    for function in (compiler.find_compiler, compiler.target_macros, compiler.vector_bytes):
        function.cache_clear()


@pytest.mark.parametrize(
    "death",
    [
        "kill -KILL $$",
        'echo "g++: fatal error: Killed signal terminated program cc1plus" >&2; exit 1',
        'echo "clang: error: clang frontend command failed due to signal (use -v to see invocation)" >&2; exit 254',
    ],
)
def test_a_compiler_that_is_killed_is_no_mistake_of_the_source(tmp_path, death):
    wrapper = tmp_path / "compiler"
    wrapper.write_text(f"#!/bin/sh\n{death}\n")
    wrapper.chmod(0o755)
    with pytest.raises(RequestError, match=r"compiler .*/compiler was killed; is there enough memory\?"):
        compiler._run([str(wrapper)])


def test_ctrl_c_does_not_reach_the_compiler():
    """A terminal signals the group in front, so the compiler must not be in ours."""
    told = compiler._run([sys.executable, "-c", "import os; print(os.getpgrp(), os.getsid(0))"]).split()
    assert not {int(word) for word in told} & {os.getpgrp(), os.getsid(0)}


def test_digest_follows_the_files_that_are_included():
    included = compiler._included('#include "threebody_host.hpp"\n')
    assert {"threebody_host.hpp", "threebody.hpp", "queue.hpp"} <= included
    assert "iterate.hpp" not in included


def test_a_source_that_does_not_compile_shows_the_compiler():
    with pytest.raises(RuntimeError, match="language"):
        compiler.load_library("no such language\n")


@pytest.mark.parametrize("precision", threebody.PRECISIONS)
@pytest.mark.parametrize("arithmetic", threebody.ARITHMETICS)
def test_subnormals_survive_every_library(threebody_run, threebody_plane, precision, arithmetic):
    problem = Problem(precision=precision, arithmetic=arithmetic)
    for threads in (1, 2):
        threebody_run(HostBackend(threads), threebody_plane(4), problem, steps=50)
    assert np.array([5e-324]) * 1.0 == 5e-324
    assert np.float64(2.2250738585072014e-308) / 2 > 0
    assert ctypes.c_double(5e-324).value * 1.0 != 0.0
    assert np.nextafter(np.float32(0), np.float32(1)) * np.float32(1) > 0


def test_digest_names_what_decides_results():
    digests = {
        threebody.digest(Problem(arithmetic=arithmetic, precision=precision, body=body))
        for arithmetic in threebody.ARITHMETICS
        for precision in threebody.PRECISIONS
        for body in range(3)
    }
    assert len(digests) == 18
    assert threebody.digest(Problem()) == threebody.digest(Problem())


def test_many_runs_keep_memory_flat(threebody_run, threebody_plane):
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    for _ in range(20):
        threebody_run(HostBackend(2), threebody_plane(16), steps=50)
    before = resident_bytes()
    for _ in range(200):
        threebody_run(HostBackend(2), threebody_plane(16), steps=50)
    assert resident_bytes() < 1.01 * before
    assert threading.active_count() < 20


def test_the_interpreter_runs_on_while_a_kernel_does(threebody_plane):
    run = threebody.compile(Problem(), HostBackend(1)).start(threebody_plane(32), distance=0.5, dt=1e-3, steps=50_000)
    worker = threading.Thread(target=run.advance, args=(0.3,))
    worker.start()
    turns = 0
    while worker.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns > 10


def test_the_compiler_and_the_vector_are_named():
    assert vector_width() in (1, 2, 4, 8)
    assert describe_compiler().count("\n") == 0
    assert f"{vector_width()} lanes" in HostBackend(2).describe()
