"""Real MPI jobs for the engine's tests: a toy plan, started through the mpiexec beside this Python."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOY_JOB = Path(__file__).with_name("toy_job.py")
MPIEXEC = Path(sys.executable).with_name("mpiexec")
JOB_TIMEOUT_S = 60.0


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module of the toy plan."""
    specification = importlib.util.spec_from_file_location("toy_job", TOY_JOB)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["toy_job"] = module
    specification.loader.exec_module(module)
    return module


@dataclass
class Ledger:
    """What the ledgers of a store say: how often each unit was recorded, by stage."""

    store: Path

    def units(self, stage: str) -> Counter[int]:
        found: Counter[int] = Counter()
        for path in (self.store / "ledger").glob("*.jsonl"):
            for line in path.read_bytes().split(b"\n")[:-1]:
                record = json.loads(line)
                if record["stage"] == stage:
                    found[record["unit"]] += 1
        return found

    def wait_for(self, stage: str, num_units: int) -> None:
        """Until so many units of a stage are durable."""
        end_s = time.monotonic() + JOB_TIMEOUT_S
        while len(self.units(stage)) < num_units:
            assert time.monotonic() < end_s, f"no {num_units} units of {stage}"
            time.sleep(0.01)


def shard_bytes(store: Path) -> dict[str, bytes]:
    """All shard files and array metadata of a store, by relative path."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for name in ("partial", "histogram")
        for path in (store / name).rglob("*")
        if path.is_file()
    }


def rank_pids(store: Path) -> list[int]:
    """Process numbers of the latest run's ranks."""
    latest = max((store / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime)
    return [rank["pid"] for rank in json.loads(latest.read_text())["ranks"]]


@pytest.fixture
def start_program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `mpiexec -n RANKS python ARGUMENTS...`; what still runs at the end of the test is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(num_ranks: int, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        command = [str(MPIEXEC), "-n", str(num_ranks), sys.executable, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
        process = subprocess.Popen(command, **{**pipes, **options})
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def start_job(start_program: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.Popen[str]]:
    """Start the toy job: `start_job(ranks, store, "--option", value, ...)`."""

    def start(num_ranks: int, store: Path, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        return start_program(num_ranks, TOY_JOB, store, *arguments, **options)

    return start


@pytest.fixture
def run_job(start_job: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """Run the toy job to its end: (exit code, stdout, stderr)."""

    def run(num_ranks: int, store: Path, *arguments: object, **options: Any) -> tuple[int, str, str]:
        process = start_job(num_ranks, store, *arguments, **options)
        out, err = process.communicate(timeout=JOB_TIMEOUT_S)
        return process.returncode, out or "", err or ""

    return run


@pytest.fixture
def engine(start_job: Any, run_job: Any) -> Any:
    """All of this in one object, as test modules cannot import a conftest."""

    class Engine:
        start = staticmethod(start_job)
        run = staticmethod(run_job)
        ledger = Ledger
        shard_bytes = staticmethod(shard_bytes)
        rank_pids = staticmethod(rank_pids)
        toy_job = TOY_JOB
        timeout_s = JOB_TIMEOUT_S

        @staticmethod
        def is_alive(pid: int) -> bool:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return False
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            return state != "Z"

    return Engine


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Shards of the toy job of 12 units, uninterrupted on one rank."""
    store = tmp_path_factory.mktemp("reference") / "toy.zarr"
    command = [str(MPIEXEC), "-n", "1", sys.executable, str(TOY_JOB), str(store), "--seconds", "0.001"]
    subprocess.run(command, check=True, timeout=JOB_TIMEOUT_S, capture_output=True)
    return shard_bytes(store)
