"""What a training job says of its time: that of training alone, and how busy each rank was."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpc.reading import open_for_reading
from jobs.training.trainer import Trainer

SLEPT_S = 0.05


def test_time_of_training_has_no_evaluations(train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = Trainer.evaluate

    def slowly(trainer: Trainer) -> dict[str, float]:
        time.sleep(SLEPT_S)
        return evaluate(trainer)

    monkeypatch.setattr(Trainer, "evaluate", slowly)
    begun_s = time.monotonic()
    reader = open_for_reading(train())
    passed_s = time.monotonic() - begun_s
    seconds = reader.read("seconds")[0]
    assert np.all(np.diff(seconds) > 0)
    assert seconds[-1] <= passed_s - SLEPT_S * np.isfinite(reader.read("evaluation_loss")).sum()


def test_time_of_training_has_all_else(train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.training.loop import Loop

    note = Loop._note

    def slowly(loop: Loop, done: object) -> None:
        time.sleep(SLEPT_S)
        note(loop, done)  # type: ignore[arg-type]

    monkeypatch.setattr(Loop, "_note", slowly)
    sections = {"train": {"checkpoint_every": 12, "evaluate_every": 12}}
    seconds = open_for_reading(train(**sections)).read("seconds")[0]
    assert np.all(np.diff(seconds) >= SLEPT_S)


def test_how_busy_a_rank_was(train: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hpc.groups"):
        train()
    ends = [record for record in caplog.records if record.getMessage() == "run ends"]
    assert ends
    for record in ends:
        assert 0 < vars(record)["cpu_share"] <= 1.1 * (os.cpu_count() or 1)
        assert vars(record)["wall_s"] > 0
