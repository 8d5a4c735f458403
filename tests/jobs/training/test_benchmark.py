"""The benchmarks of training, in tiny sizes: that they measure what they say, not how fast it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import training, training_steps
from benchmarks.baselines import training_loop
from benchmarks.rounds import Score
from jobs import model


def test_the_bare_loop_has_the_sizes_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(command: list[str], num_ranks: int) -> str:
        assert num_ranks == 1
        sizes = json.loads(command[-1])
        job = model.load(training.SMALL)
        assert (sizes["width"], sizes["batch"]) == (job.model.width, job.train.batch)  # type: ignore[attr-defined]
        small = {"count": 50, "context": 16, "width": 16, "batch": 4, "steps": 4, "left_out": 2}
        return f"said before\n{training_loop.train(**{**sizes, **small})}\n"

    monkeypatch.setattr(training, "_start", start)
    assert training.bare(training.SMALL) > 0


def test_the_trainer_is_timed_by_its_store(monkeypatch: pytest.MonkeyPatch) -> None:
    from ..conftest import compute_store

    def start(command: list[str], num_ranks: int) -> str:
        assert num_ranks == 2
        overrides = {"data": {"count": 50, "context": 16}, "model": {"width": 16}, "train": {"batch": 4, "steps": 8}}
        tree = {"kind": "training", "task": "language", "name": "small", **overrides}
        tree["data"] |= {"generator": "stories"}
        tree["model"] |= {"depth": 1}
        store = compute_store(model.from_tree(tree), Path(command[command.index("--out") + 1]))
        (store / "logs").mkdir()
        ends = [{"message": "run ends", "stage": stage, "cpu_share": 0.5} for stage in ("train", "results")]
        (store / "logs" / "x-0.jsonl").write_text("".join(json.dumps(end) + "\n" for end in ends))
        return ""

    monkeypatch.setattr(training, "_start", start)
    busy: training.Busy = {}
    assert training.ranks(training.SMALL, 2, busy=busy) > 0
    assert busy == {2: [0.5]}


def test_efficiency_is_speed_by_ranks() -> None:
    scores = {"1 rank": Score((100.0, 110.0, 90.0)), "2 ranks": Score((190.0, 209.0, 171.0))}
    lines = training.scaling("job", "core", scores, {1: [1.0, 1.0], 2: [0.9, 0.8, 0.7]})
    assert lines[-2].split("|")[3:6] == [" 1.000 ", " 1.000 ", " 1.00 "]
    assert lines[-1].split("|")[1:6] == [" 2 ", " 190 (spread 0.20) ", " 0.950 ", " 1.003 ", " 0.80 "]


@pytest.mark.parametrize("name", training_steps.MODELS)
def test_models_whose_steps_are_timed(name: str) -> None:
    assert training_steps.speed(name, 16, context=8, batch=1) > 0
