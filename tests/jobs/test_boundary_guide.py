"""Every job of docs/maps.md runs and has what it says; every mistake gets the line it names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from analysis.measures import quantity
from jobs import model
from jobs.reading import merge, read_overrides
from kernels.errors import RequestError

from .conftest import ROOT, compute_store

BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "docs" / "maps.md").read_text(), re.MULTILINE | re.DOTALL)
JOBS: list[dict[str, Any]] = [tomllib.loads(text) for language, text in BLOCKS if language == "toml"]
MISTAKES = [line for language, text in BLOCKS if language == "mistakes" for line in text.splitlines()]


@pytest.mark.parametrize("tree", JOBS, ids=lambda tree: tree["name"])
def test_job(tree: dict[str, Any], tmp_path: Path) -> None:
    job = model.from_tree(tree)
    store = compute_store(job, tmp_path / "store.zarr")
    assert job.check
    for check in job.check:
        assert quantity(store, check.quantity) == pytest.approx(check.value, abs=check.tolerance, rel=0)


@pytest.mark.parametrize("line", MISTAKES)
def test_mistake(line: str) -> None:
    assignment, _, message = (part.strip() for part in line.partition("# -> "))
    with pytest.raises(RequestError) as refusal:
        model.plan(model.from_tree(merge(JOBS[0], read_overrides([assignment]))))
    assert str(refusal.value) == message


def test_the_guide_has_examples() -> None:
    assert len(JOBS) > 6
    assert len(MISTAKES) > 5
