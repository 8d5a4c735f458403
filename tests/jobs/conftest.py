"""Fixtures of the job tests: a working folder of their own, the command line, and a store computed in this process."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc import store
from hpc.groups import Board, Member, Write, pending_runs, work
from hpc.messages import End
from hpc.plan import Finished, GroupStage, Plan, Stage
from hpc.process_group import Group, TorchDevice
from hpc.reading import open_for_reading
from hpc.stops import Stops
from jobs import cli, model
from jobs.reading import merge
from kernels.backends.host import HostBackend

ROOT = Path(__file__).parents[2]

SMALL: dict[str, Any] = {"kind": "divergence", "name": "small", "view": {"resolution": [8, 8]}}


@pytest.fixture(autouse=True, scope="session")
def generated_data_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What generators write is no business of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HORSESHOE_DATA", str(tmp_path_factory.getbasetemp() / "generated"))
        yield


@pytest.fixture(autouse=True)
def in_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in cli.RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def make_job() -> Callable[..., model.Job]:
    """A small divergence job with sections laid over it."""

    def make(**sections: Any) -> model.Job:
        return model.from_tree(merge(SMALL, sections))

    return make


@pytest.fixture
def command_line(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run one command line in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.dispatch(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def horseshoe(*arguments: str, ranks: int | None = None, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command in processes of its own, under mpiexec where `ranks` are given."""
    launcher = [] if ranks is None else [str(Path(sys.executable).parent / "mpiexec"), "-n", str(ranks)]
    command = [*launcher, sys.executable, "-m", "jobs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def compute(plan: Plan, backend: HostBackend | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a plan, computed in this process."""
    done = Done()
    for stage in plan.stages:
        arrays = {spec.name: np.full(spec.shape, spec.fill_value, spec.dtype) for spec in stage.arrays}
        for unit in range(stage.num_units):
            for name, values in run_unit(stage, unit, backend, done).items():
                if name in arrays:
                    spec = next(spec for spec in stage.arrays if spec.name == name)
                    arrays[name][store.unit_region(spec, unit)] = values
        done.arrays |= arrays
    return done.arrays


def unit_arrays(plan: Plan, unit: int, backend: HostBackend | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of one unit of a plan's first stage, computed in this process."""
    return run_unit(plan.stages[0], unit, backend, Done())


def run_unit(
    stage: Stage, unit: int, backend: HostBackend | None, finished: Finished
) -> dict[str, np.ndarray[Any, Any]]:
    run = stage.start(unit, backend or HostBackend(threads=2), finished)
    while run.advance(10.0) < 1.0:
        pass
    return run.arrays()


class Done:
    """What earlier stages have computed."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}

    def read(self, name: str) -> np.ndarray[Any, Any]:
        return self.arrays[name]


def compute_alone(stage: GroupStage, place: Path, write: Write, stops: Stops | None = None) -> End:
    """The runs of a stage that groups of ranks compute, by this process alone, on one thread."""
    import torch
    from torch.distributed import HashStore

    torch.set_num_threads(1)
    finished = store.finished_units(place, stage)
    backend = TorchDevice(torch.device("cpu"), 1)
    board = Board(HashStore(), stage.name, stops or Stops())
    group = Group(0, 1, backend.device, None)

    def member(of: Group) -> Member:
        return Member(of, backend, place, "test-0", finished.copy(), board, write)

    return work(stage, pending_runs(stage, finished, place), group, board, member)


def compute_store(job: model.Job, place: Path, run_id: str = "test") -> Path:
    """A finished store of a job, computed and written in this process."""
    plan = model.plan(job)
    store.prepare(place, plan, run_id=run_id)
    writer = store.Writer(place, plan, run_id, 0)
    for index, stage in enumerate(plan.stages):
        if isinstance(stage, GroupStage):
            end = compute_alone(stage, place, functools.partial(writer.write, index))
            assert end.code == 0, end.reason
            continue
        for unit in range(stage.num_units):
            writer.write(index, unit, run_unit(stage, unit, None, open_for_reading(place)), 1.0)
    writer.close()
    return place
