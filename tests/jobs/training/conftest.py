"""Fixtures of the training tests: small jobs, run in this process or by ranks that are struck at a step of their choice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.reading import open_for_reading
from jobs import model
from jobs.reading import merge

from ..conftest import compute_store

MPIEXEC = Path(sys.executable).with_name("mpiexec")
STRUCK = Path(__file__).with_name("struck.py")
TIMEOUT_S = 300

CLOCKS = {"seconds", "memory_bytes", "evaluation_seconds"}

SMALL: dict[str, Any] = {
    "kind": "training",
    "task": "classes",
    "name": "small",
    "data": {"count": 40, "evaluation_count": 20},
    "model": {"hidden": [24]},
    "train": {"batch": 32, "steps": 12, "checkpoint_every": 4, "evaluate_every": 2, "rate": 0.01},
}


@pytest.fixture
def make_job() -> Callable[..., model.Job]:
    """A small training job with sections laid over it."""

    def make(**sections: Any) -> model.Job:
        return model.from_tree(merge(SMALL, sections))

    return make


@pytest.fixture
def train(make_job: Callable[..., model.Job], tmp_path: Path) -> Callable[..., Path]:
    """Train a small job in this process: `train("name", **sections)` is its store."""

    def run(name: str = "small", run_id: str = "first", **sections: Any) -> Path:
        return compute_store(make_job(**sections), tmp_path / f"{name}.zarr", run_id)

    return run


def weights(store: Path, run: int = 0) -> bytes:
    """The bytes of the last checkpoint's weights."""
    steps = [int(folder.name) for folder in (store / "checkpoints" / str(run)).iterdir() if folder.name.isdecimal()]
    return (store / "checkpoints" / str(run) / str(max(steps)) / "model.safetensors").read_bytes()


def numbers(store: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All that a job has computed, but for what its clock and its memory say."""
    reader = open_for_reading(store)
    return {name: reader.read(name) for name in reader.arrays() if name not in CLOCKS}


def assert_same(store: Path, other: Path, num_runs: int = 1) -> None:
    """Two stores have the same numbers and the same last weights, bit for bit."""
    mine, its = numbers(store), numbers(other)
    assert mine.keys() == its.keys()
    for name, values in mine.items():
        assert values.tobytes() == its[name].tobytes(), name
    for run in range(num_runs):
        assert weights(store, run) == weights(other, run)


def start(ranks: int | None, *words: object, strike: str = "nowhere") -> subprocess.CompletedProcess[str]:
    """`horseshoe run WORDS` by so many ranks of mpiexec, or by one process without it, on one thread each."""
    launcher = [] if ranks is None else [str(MPIEXEC), "-n", str(ranks)]
    fixed = ["--set", "run.threads=1", "--set", "run.device=host", "--set", "run.progress=none"]
    command = [*launcher, sys.executable, str(STRUCK), strike, "run", *map(str, words), *fixed]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.fixture
def engine() -> Any:
    """All of this in one object, for test modules."""

    class Engine:
        start = staticmethod(start)
        weights = staticmethod(weights)
        numbers = staticmethod(numbers)
        assert_same = staticmethod(assert_same)
        small = SMALL

    return Engine
