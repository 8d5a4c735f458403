"""The table of completions: one row a run, temperature and prompt, and nothing that commands a terminal."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.measures import measure
from hpc.plan import ArraySpec, Plan
from hpc.store import Writer, prepare
from kernels.errors import RequestError

TEXTS = np.array([[["a cat sat", "é dog ran"], ["a cat\x1b[31m\nran", "é dog"]]] * 2)
STARTS = np.array([[[5, 6], [5, 6]]] * 2, dtype=np.int32)
LENGTH = 24


@dataclass(frozen=True)
class Results:
    arrays: tuple[ArraySpec, ...]
    num_units: int = 2
    name: str = "results"


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Path]:
    """A store of two runs, two temperatures and two prompts, of which the first `finished` runs are computed."""

    def make(finished: int, starts: np.ndarray = STARTS, **attributes: Any) -> Path:
        rows = [text.encode().ljust(LENGTH, b"\0") for text in TEXTS.ravel()]
        texts = np.frombuffer(b"".join(rows), np.uint8).reshape(*TEXTS.shape, LENGTH)
        told = {"temperatures": [0.0, 1.5]} | attributes
        arrays = {"completion_text": texts, "completion_start": starts}
        dimensions = ("run", "temperature", "prompt", "byte")
        specs = tuple(
            ArraySpec(
                name,
                values.shape,
                values.dtype.str,
                (1, *values.shape[1:]),
                (1, *values.shape[1:]),
                dimensions[: values.ndim],
                255 if values.dtype.kind == "u" else -1,
                {"units": "1", "long_name": name, **told},
            )
            for name, values in arrays.items()
        )
        job = {"name": "toy", "sweep": {"model.mixing": ["flat", "attention"]}}
        told = {"format": 1, "kind": "toy", "job": job, "job_hash": "0" * 64, "pictures": {}, "kernel_digest": ""}
        plan = Plan((Results(specs),), (), told, {"kind": "toy"})  # type: ignore[arg-type]
        path = tmp_path / "toy.zarr"
        prepare(path, plan, run_id="toy")
        writer = Writer(path, plan, "toy", 0)
        for run in range(finished):
            writer.write(0, run, {name: values[run : run + 1] for name, values in arrays.items()}, 0.0)
        writer.close()
        return path

    return make


def test_a_row_for_each_prompt_at_each_temperature(store: Callable[..., Path], tmp_path: Path) -> None:
    out = measure("completions", store(finished=2), tmp_path / "out.csv")
    rows = list(csv.reader(out.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["run", "label", "temperature", "prompt", "completion"]
    assert rows[1:3] == [
        ["0", "mixing = flat", "0.0", "a cat", " sat"],
        ["0", "mixing = flat", "0.0", "é dog", " ran"],
    ]
    assert rows[3:5] == [
        ["0", "mixing = flat", "1.5", "a cat", "\\x1b[31m\\nran"],
        ["0", "mixing = flat", "1.5", "é dog", ""],
    ]
    assert [row[:2] for row in rows[5:]] == [["1", "mixing = attention"]] * 4


def test_runs_that_are_not_finished_are_left_out(store: Callable[..., Path], tmp_path: Path) -> None:
    out = measure("completions", store(finished=1), tmp_path / "out.csv")
    assert {line.split(",")[0] for line in out.read_text(encoding="utf-8").splitlines()} == {"run", "0"}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"finished": 0}, "no run is finished"),
        ({"finished": 2, "starts": STARTS[:, :, :1].copy()}, "not of the same prompts and temperatures"),
        ({"finished": 2, "temperatures": [0.0]}, "not of the same prompts and temperatures"),
        ({"finished": 2, "starts": STARTS[0, 0].copy()}, "has no completions"),
        ({"finished": 2, "starts": STARTS.astype(np.float64)}, "is no text"),
    ],
)
def test_stores_without_completions_are_refused(
    given: dict[str, Any], line: str, store: Callable[..., Path], tmp_path: Path
) -> None:
    path = store(**given)
    with pytest.raises(RequestError, match=line):
        measure("completions", path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
