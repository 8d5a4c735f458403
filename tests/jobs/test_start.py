"""The first seconds of `run`, before there is a store: signals and refusals."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import horseshoe

pytestmark = pytest.mark.mpi

SMALL = ["--set", "view.resolution=[16, 16]", "--set", "integrator.steps=100"]
EXIT_STOPPED = 75

TOLD_TO_STOP = """
import os, sys
from hpc import launch
start = launch.start
def told():
    os.kill(os.getpid(), {number})
    return start()
launch.start = told
from jobs import cli
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_mpi_has_begun(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", TOLD_TO_STOP.format(number=int(number)), "run", "three-body", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    stopped = f"horseshoe: stopped early ({number.name}); the same command goes on\n"
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_STOPPED, "", stopped)
    assert not list(tmp_path.iterdir())


TOLD_WHILE_IMPORTING = """
import os, signal, sys
class Told:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Told())
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job begins deaf to it
from jobs import cli
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("module", "words", "line"),
    [
        ("cyclopts", ["run", "three-body", *SMALL], "stopped early (SIGINT); the same command goes on"),
        ("cyclopts", ["list"], "interrupted; the same command does it again"),
        ("jobs.commands.list", ["list"], "interrupted; the same command does it again"),
    ],
)
def test_ctrl_c_while_something_is_imported(tmp_path: Path, module: str, words: list[str], line: str) -> None:
    """The command line's parser, or a verb, which the parser calls."""
    command = [sys.executable, "-c", TOLD_WHILE_IMPORTING.format(module=module), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_STOPPED, "", f"horseshoe: {line}\n")
    assert not list(tmp_path.iterdir())


def test_a_signal_that_ends_the_compiler_is_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C and launchers signal all processes of a job."""
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nkill -INT "$PPID"\nkill -INT $$\n')
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    done = horseshoe("run", "three-body", *SMALL)
    stopped = "horseshoe: stopped early (SIGINT); the same command goes on\n"
    assert (done.returncode, done.stderr) == (EXIT_STOPPED, stopped)
    assert list(tmp_path.iterdir()) == [compiler]


def test_a_cache_that_others_can_write_is_one_line_and_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    monkeypatch.setenv("HORSESHOE_CACHE", str(cache))
    done = horseshoe("run", "three-body", *SMALL, ranks=2)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("horseshoe: ")
    assert done.stderr.count("\n") == 1
    assert "can be written by others" in done.stderr
    assert list(tmp_path.iterdir()) == [cache]


def test_a_deadline_that_no_unit_keeps_is_refused() -> None:
    sections = ["run.deadline=30s", "run.shard=[64, 64]", "integrator.steps=1000000000", "integrator.early_stop=false"]
    done = horseshoe("run", "three-body", *(word for one in sections for word in ("--set", one)))
    assert done.returncode == 2
    assert done.stderr.startswith("horseshoe: run.shard: a unit may take ")
    assert done.stderr.count("\n") == 1
