"""The job, the commands and the table of docs/training.md are what they say."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.measures import measure
from hpc.reading import open_for_reading
from jobs import model
from jobs.reading import merge
from jobs.training.metrics import BY_EVALUATION, BY_STEP

from ..conftest import ROOT, compute_store

GUIDE = (ROOT / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
JOBS = [text for language, text in BLOCKS if language == "toml"]
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
SMALL = ["train.steps=4", "train.evaluate_every=2", "train.checkpoint_every=4"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("guide") / "mixer-stories-small.zarr"
    return compute_store(model.load("mixer-stories-small", SMALL), place)


def test_the_job_is_one() -> None:
    whole, prompts, _ = [tomllib.loads(text) for text in JOBS]
    assert model.from_tree(whole).kind == "training"
    asked = model.from_tree(merge(whole, prompts))
    assert asked.data.temperatures == (0.0, 0.8)  # type: ignore[attr-defined]


def test_other_prompts(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.parent)
    made = compute_store(model.from_tree(tomllib.loads(JOBS[2])), tmp_path / "frogs.zarr")
    lines = measure("completions", made, tmp_path / "frogs.csv").read_text().splitlines()
    assert [line.split(",")[2:4] for line in lines[1:]] == [["0.0", "one day a frog"], ["0.8", "one day a frog"]]


def test_completions_are_a_table(store: Path, tmp_path: Path) -> None:
    lines = measure("completions", store, tmp_path / "completions.csv").read_text().splitlines()
    assert f"`{lines[0]}`" in GUIDE
    assert len(lines) == 1 + 3 * 2
    assert lines[1].startswith("0,mixing = flat,0.0,once upon a time there was a,")


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("horseshoe ")])
def test_command(
    store: Path, line: str, command_line: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    code, out, _ = command_line(*shlex.split(line)[1:])
    assert code == 0
    assert Path(out.splitlines()[-1]).stat().st_size > 100


def test_every_array_is_named(store: Path) -> None:
    rows = re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert {*BY_STEP, *BY_EVALUATION} <= named
    assert {"chance", "parameters"} <= named & set(open_for_reading(store).constants())
