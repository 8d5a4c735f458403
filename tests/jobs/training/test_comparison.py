"""Architectures that are compared: the same tokens to be judged by, both axes, a ranking that the store gives again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.reading import open_for_reading
from jobs import model
from jobs.training.runs import runs
from jobs.training.tasks import language

from ..conftest import compute_store


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORSESHOE_DATA", str(tmp_path_factory.getbasetemp() / "generated"))


@pytest.fixture
def job() -> Any:
    """Four architectures, short."""
    short = ["data.count=200", "data.evaluation_samples=16", "model.width=16", "train.steps=20", "train.batch=8"]
    return model.load("architectures-stories-small", [*short, "train.evaluate_every=5", "train.checkpoint_every=10"])


def test_all_are_judged_by_the_same_tokens(job: Any) -> None:
    tasks = [language.task(run.data, run.model, seed=run.train.seed) for run in runs(job)]  # type: ignore[arg-type]
    assert len({task.settings.mixing for task in tasks}) == 3
    weights = {task.weight(task.evaluation_batch(range(task.num_evaluation_samples))) for task in tasks}
    assert len(weights) == 1
    assert min(weights) > 100
    assert all(np.array_equal(task.evaluation, tasks[0].evaluation) for task in tasks)


def test_both_axes_are_there_and_the_ranking_comes_again(job: Any, tmp_path: Path) -> None:
    rankings = []
    for name in ("first", "second"):
        reader = open_for_reading(compute_store(job, tmp_path / f"{name}.zarr"))
        samples, seconds = reader.read("evaluation_samples"), reader.read("evaluation_seconds")
        assert samples.tolist() == [[40, 80, 120, 160]] * 4
        assert (np.diff(seconds, axis=1) > 0).all()
        rankings.append(np.argsort(reader.read("evaluation_loss")[:, -1]).tolist())
    assert rankings[0] == rankings[1]
    assert sorted(rankings[0]) == [0, 1, 2, 3]
