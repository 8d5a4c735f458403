"""What `submit` asks for: estimates from half a second or from a ledger, and what may follow a job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc import store
from jobs import batch, estimate, model

CommandLine = Callable[..., tuple[int, str, str]]
THREE_BODY = {
    "view": {"resolution": [16, 16], "width": 40},
    "integrator": {"steps": 500},
    "run": {"shard": [8, 8], "grace_s": 3},
}

TRAINING: dict[str, Any] = {
    "kind": "training",
    "task": "classes",
    "name": "small",
    "data": {"count": 40, "evaluation_count": 16},
    "model": {"hidden": [24]},
    "train": {"batch": 32, "steps": 12, "checkpoint_every": 4, "evaluate_every": 2, "rate": 0.01},
    "sweep": {"train.seed": [0, 1]},
}


def written(place: Path, plan: Any, units: list[int], seconds: float) -> None:
    """A store of which some units are finished, each in so many seconds."""
    (stage,) = plan.stages
    store.prepare(place, plan, run_id="test")
    writer = store.Writer(place, plan, "test", 0)
    for unit in units:
        regions = [(spec, store.unit_region(spec, unit)) for spec in stage.arrays]
        arrays = {spec.name: np.zeros(spec.shape, spec.dtype)[region] for spec, region in regions}
        writer.write(0, unit, arrays, seconds)
    writer.close()


def test_work_is_measured_by_a_probe_and_shared_by_threads(
    make_job: Callable[..., model.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(**THREE_BODY)
    monkeypatch.setattr(estimate, "probe", lambda stage, backend: 2.0 / stage.cost(0) / backend.threads)
    found = batch.work(job, tmp_path / "none.zarr", 4, on_gpus=False)
    assert (found.num_units, found.grace_s) == (4, 3.0)
    assert found.rank_seconds == pytest.approx(4 * 2.0 / 4)
    assert found.rank_bytes > found.unit_bytes > 0
    # Nothing here tells how fast a GPU is, and a given time needs no estimate.
    assert batch.work(job, tmp_path / "none.zarr", 4, on_gpus=True).rank_seconds is None
    assert batch.work(job, tmp_path / "none.zarr", 4, on_gpus=False, with_time=False).rank_seconds is None


def test_work_is_measured_by_the_ledger_and_is_what_is_left(
    make_job: Callable[..., model.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(**THREE_BODY)
    written(tmp_path / "small.zarr", model.plan(job), [0, 2, 3], 50.0)
    monkeypatch.setattr(estimate, "probe", lambda *_: pytest.fail("there are measured times"))
    found = batch.work(job, tmp_path / "small.zarr", 4, on_gpus=False)
    assert (found.num_units, found.rank_seconds) == (1, pytest.approx(50.0))
    # A GPU computes several units at a time.
    assert batch.work(job, tmp_path / "small.zarr", 4, on_gpus=True).rank_seconds == pytest.approx(50.0 / 8)


def test_the_store_of_another_job_measures_nothing(
    make_job: Callable[..., model.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_job(**{**THREE_BODY, "integrator": {"steps": 400}})
    written(tmp_path / "small.zarr", model.plan(other), [0, 1], 50.0)
    monkeypatch.setattr(estimate, "probe", lambda stage, _: 2.0 / stage.cost(0))
    assert batch.work(make_job(**THREE_BODY), tmp_path / "small.zarr", 1, on_gpus=False).num_units == 4


def test_training_is_tried_and_its_ranks_count_as_one(tmp_path: Path) -> None:
    job = model.from_tree(TRAINING)
    store_there = tmp_path / "none.zarr"
    one = batch.work(job, store_there, 1, on_gpus=False, most_ranks=1)
    assert (one.num_units, one.group, one.is_shared) == (2, 1, False)
    assert one.rank_seconds is not None
    assert 0 < one.rank_seconds < 3600
    # Nothing here tells how fast a GPU is, and a given time needs no estimate.
    assert batch.work(job, store_there, 1, on_gpus=True, most_ranks=1).rank_seconds is None
    assert batch.work(job, store_there, 1, on_gpus=False, with_time=False, most_ranks=1).rank_seconds is None


def test_training_is_estimated_by_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = model.from_tree(TRAINING)
    asked: list[int] = []

    def probe(stage: Any, backend: Any) -> float:
        asked.append(backend.threads)
        return 0.25 if stage.name == "train" else 0.0

    monkeypatch.setattr(estimate, "probe", probe)
    monkeypatch.setattr("hpc.devices.usable_cores", lambda: 2)
    # Two runs of 12 steps; threads are no faster by their number, and ranks of a run neither.
    for ranks in (1, 2, 4):
        found = batch.work(job, tmp_path / "none.zarr", 8, on_gpus=False, most_ranks=ranks)
        assert found.group == ranks
        assert found.rank_seconds == pytest.approx(ranks * 2 * 12 * 0.25)
    assert set(asked) == {2}


def test_a_time_limit_and_evaluations_enter_the_time_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    from hpc import process_group
    from hpc.options import RunOptions
    from jobs.training import stage as stages

    def seconds(**train: Any) -> float:
        plan = model.plan(model.from_tree({**TRAINING, "train": {**TRAINING["train"], **train}}))
        backend = process_group.choose(RunOptions(device="host", threads=1), 0, 1)
        return estimate.probe(plan.stages[0], backend)

    # Each of 12 steps has a twelfth of a limit that no step could keep, and evaluations of 128 samples, 16 of each class.
    monkeypatch.setattr(stages, "TRIED_S", 0.01)
    limited = 12e-9 / 12
    assert seconds(seconds=12e-9) == pytest.approx(limited * (1 + 128 / 3 / 32 / 2))
    assert seconds(seconds=12e-9, evaluate_every=4) == pytest.approx(limited * (1 + 128 / 3 / 32 / 4))


@pytest.mark.parametrize("number", [0, -3])
def test_an_array_of_no_jobs(command_line: CommandLine, number: int) -> None:
    code, out, err = command_line("submit", "three-body", f"--array={number}", "--dry-run")
    assert (code, out) == (2, "")
    assert f"--array: {number} is not a number of 1 or more" in err


@pytest.mark.parametrize(
    ("then", "part"),
    [
        ("run three-body", "--then: 'run three-body' begins with none of image, video, measure, verify"),
        ("", "--then: '' begins with none of"),
        ("touch hacked; image x.zarr", "--then: "),
        ("image 'x.zarr", '--then: "image \'x.zarr": No closing quotation'),
        ("image", "STORE"),
        ("video x.zarr --frame 3", "--frame"),
    ],
)
def test_what_cannot_follow(command_line: CommandLine, tmp_path: Path, then: str, part: str) -> None:
    arguments = ["submit", "three-body", "--time", "30", "--nodes", "1", "--then", then]
    code, out, err = command_line(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert part in err
    assert list(tmp_path.iterdir()) == []


def test_what_follows_is_quoted(command_line: CommandLine) -> None:
    then = "horseshoe image 'a b.zarr' --out '$(touch hacked).png' --value '1 + times'"
    code, out, _ = command_line("submit", "three-body", "--time", "30", "--nodes", "1", "--then", then, "--dry-run")
    assert code == 0
    assert out.endswith(" -m jobs image 'a b.zarr' --out '$(touch hacked).png' --value '1 + times'\n")
    assert "#SBATCH --dependency=afterok:JOB\n#SBATCH --kill-on-invalid-dep=yes\n" in out
