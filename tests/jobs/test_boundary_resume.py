"""A sweep that is killed goes on where it was, compiles once in all, and ends in the bytes of a run that was not killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc.reading import open_for_reading
from kernels.backends import compiler

from .conftest import ROOT, horseshoe

pytestmark = pytest.mark.mpi

# Julia sets whose insides take long, a table of their fixed points before them
JOB = """
kind = "boundary"
name = "sweep"
outputs = ["iterations", "smooth", "root"]
[map]
z = "f(z)"
[start]
z = "pixel"
[define]
"f(s)" = "s**2 + b"
[constants]
b = "0.2*exp(i*t/5)"
[roots]
of = "f(z) - z"
[stop]
when = "abs(z) > 100"
max_iterations = "30_000 + t"
detect_cycles = false
[view]
width = "3/1.01**t"
resolution = [96, 96]
[frames]
count = 30
[run]
shard = [96, 96]
progress = "none"
""".replace("30_000", "30000")


@pytest.fixture
def compilations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One line for every compilation of a kernel from now on; the cache is empty."""
    log, wrapper = tmp_path / "compilations", tmp_path / "compiler"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *-shared*) echo "$@" >> {log};; esac\nexec {compiler.find_compiler()[0]} "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("CXX", str(wrapper))
    monkeypatch.setenv("HORSESHOE_CACHE", str(tmp_path / "cache"))
    return log


def shards(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("c/**/*") if path.is_file()}


def test_kill_and_resume(tmp_path: Path, compilations: Path) -> None:
    (tmp_path / "sweep.toml").write_text(JOB)
    command = [sys.executable, "-m", "jobs", "run", "sweep.toml", "--out", "killed.zarr"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )

    # Kill the job when the table and some frames are there
    finished, end_s = 0, time.monotonic() + 100
    while finished < 4:
        assert process.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.02)
        if (tmp_path / "killed.zarr").exists():
            finished = int(open_for_reading(tmp_path / "killed.zarr").finished_units("boundary").sum())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert 4 <= open_for_reading(tmp_path / "killed.zarr").finished_units("boundary").sum() < 30

    # The same command goes on, on as many ranks as there are now
    done = horseshoe("run", "sweep.toml", "--out", "killed.zarr", ranks=3)
    assert done.returncode == 0, done.stderr
    whole = horseshoe("run", "sweep.toml", "--out", "whole.zarr", ranks=2)
    assert whole.returncode == 0, whole.stderr
    assert len(compilations.read_text().splitlines()) == 1
    assert shards(tmp_path / "killed.zarr") == shards(tmp_path / "whole.zarr")
    assert open_for_reading(tmp_path / "killed.zarr").finished_units("boundary").all()
