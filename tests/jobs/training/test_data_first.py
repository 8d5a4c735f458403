"""What is wrong with a training job's data is said before anything is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import model
from jobs.training.facts import TaskMaker
from jobs.training.runs import runs
from jobs.training.stage import TrainStage
from kernels.errors import RequestError

MPIEXEC = Path(sys.executable).with_name("mpiexec")

TABLE = """
kind = "training"
task = "regression"
name = "table"
[data]
path = "table.csv"
alphabet = "0123456789. -:_abc"
fields = {FIELDS}
target = "b"
[model]
hidden = [8]
[train]
batch = 8
steps = 4
"""


def run(folder: Path, *words: str, num_ranks: int = 1) -> subprocess.CompletedProcess[str]:
    command = [MPIEXEC, "-n", str(num_ranks), sys.executable, "-m", "jobs", "run", *words, "--out", "made.zarr"]
    return subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.mpi
@pytest.mark.parametrize("num_ranks", [1, 2])
def test_more_samples_a_step_than_there_are(tmp_path: Path, num_ranks: int) -> None:
    done = run(tmp_path, "mixer-stories-small", "--set", "train.batch=1000000", num_ranks=num_ranks)
    assert done.returncode == 2
    assert done.stderr.startswith("horseshoe: train.batch: a step of 1000000 samples is more than there are: ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("fields", "rows", "line"),
    [
        ("{a = 3, q = 3}", ["1,2"] * 40, "q"),
        ("{a = 3, b = 3}", ["1,"] * 40, "data.target: none of the 40 rows has a number there"),
        ("{a = 3, b = 3}", ["1,2", *["3,"] * 39], "data.target: 1 of the 40 rows has a number there"),
    ],
)
def test_a_table_that_cannot_be_learnt_from(tmp_path: Path, fields: str, rows: list[str], line: str) -> None:
    (tmp_path / "table.csv").write_text("\n".join(["a,b", *rows]) + "\n")
    (tmp_path / "job.toml").write_text(TABLE.replace("{FIELDS}", fields))
    done = run(tmp_path, "job.toml")
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "made.zarr").exists()


class Few:
    """A task of eight samples that counts how often it is made."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    num_samples = 8


def test_ranks_share_out_what_is_unlike(make_job: Callable[..., model.Job]) -> None:
    job: Any = make_job(
        train={"batch": 8, "steps": 2, "checkpoint_every": 1, "evaluate_every": 1},
        sweep={"data.count": [40, 50, 60, 70], "model.hidden": [[4], [8]]},
    )
    looked: list[Any] = []

    def make(settings: Any) -> Any:
        looked.append(settings.data.count)
        return Few()

    stage = TrainStage((), runs(job), make, 0)
    stage.look(range(8), 1, 3)
    assert looked == [60, 40]
    looked.clear()
    stage.look([7, 3], 0, 2)
    assert looked == [50, 70]
    with pytest.raises(RequestError, match=r"train\.batch: a step of 9 .* there are: 8"):
        TrainStage((), runs(make_job(train={"batch": 9, "steps": 2})), make, 0).look([0], 0, 1)


def test_a_task_is_made_once_for_look_and_work(
    make_job: Callable[..., model.Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.training.facts.make_task", lambda *_: Few())
    job: Any = make_job(sweep={"data.count": [40, 50]})
    first, second = runs(job)
    maker = TaskMaker("classes")
    assert maker(first) is maker(first)
    assert maker(second) is not maker(first)
