"""Losses of short runs are those that were kept: whoever changes what training does has to say so here.

`UPDATE_GOLDENS=1 python -m pytest tests/jobs/training/test_goldens.py` writes what is found now.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hpc.reading import open_for_reading
from jobs import model

from ..conftest import compute_store

GOLDEN = Path(__file__).parent / "golden" / "losses.json"
STORIES = {"generator": "stories", "count": 100, "context": 32}
TRAIN = {"steps": 8, "batch": 8, "evaluate_every": 4, "checkpoint_every": 8, "rate": 2e-3, "clip": 1.0}
JOBS: dict[str, dict[str, Any]] = {
    "mixers": {
        "task": "language",
        "data": STORIES,
        "model": {"width": 16, "depth": 2},
        "train": {**TRAIN, "accumulation": 2, "schedule": "cosine", "warmup": 2},
        "sweep": {"model.mixing": ["flat", "expanded", "attention"]},
    },
    "classes": {"task": "classes", "train": {**TRAIN, "optimiser": "sgd", "momentum": 0.9}},
    "regression": {
        "task": "regression",
        "data": {"generator": "deliveries", "count": 100, "target": "10*total_deliverers", "shown": 10},
        "model": {"hidden": [20, 10], "dropout": 0.2, "scale": 100.0},
        "train": {**TRAIN, "optimiser": "adam"},
    },
}


def losses(name: str, place: Path) -> dict[str, list[list[float]]]:
    """Losses of every step and evaluation, run by run."""
    tree = {"kind": "training", "name": name, **JOBS[name]}
    reader = open_for_reading(compute_store(model.from_tree(tree), place))
    return {array: reader.read(array).tolist() for array in ("loss", "evaluation_loss", "gradient_norm")}


@pytest.mark.parametrize("name", JOBS)
def test_losses_are_those_kept(name: str, tmp_path: Path) -> None:
    found = losses(name, tmp_path / "golden.zarr")
    if os.environ.get("UPDATE_GOLDENS"):
        kept = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
        GOLDEN.write_text(json.dumps({**kept, name: found}, indent=1, sort_keys=True) + "\n")
    kept = json.loads(GOLDEN.read_text())[name]
    assert found.keys() == kept.keys()
    for array, runs in kept.items():
        for run, expected in enumerate(runs):
            assert found[array][run] == pytest.approx(expected, rel=2e-4), (array, run)
