"""Every job and command of docs/pictures.md runs, and prints what it says."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.measures import MEASURES, STATISTICS
from analysis.picture import Picture, Shade
from jobs import model, sections

from .conftest import ROOT, compute_store

GUIDE = (ROOT / "docs" / "pictures.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
JOBS = [tomllib.loads(text) for language, text in BLOCKS if language == "toml"]
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
TABLES = [text for language, text in BLOCKS if language == "console"]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stores of both jobs."""
    place = tmp_path_factory.mktemp("guide")
    for tree in JOBS:
        compute_store(model.from_tree(tree), place / f"{tree['name']}.zarr")
    return place


@pytest.mark.parametrize("line", COMMANDS)
def test_command(
    stores: Path, line: str, command_line: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stores)
    assert line.startswith("horseshoe ")
    code, out, _ = command_line(*shlex.split(line)[1:])
    assert code == 0
    assert Path(out.splitlines()[-1]).stat().st_size > 1000


@pytest.mark.parametrize("text", TABLES)
def test_measure(
    stores: Path, text: str, command_line: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stores)
    line, _, table = text.partition("\n")
    code, out, _ = command_line(*shlex.split(line.removeprefix("$ horseshoe ")))
    assert code == 0
    found = Path(out.splitlines()[-1]).read_text()
    for cell, expected in zip(re.split("[,\n]", found), re.split("[,\n]", table), strict=True):
        assert cell == expected or float(cell) == pytest.approx(float(expected), rel=1e-5)


def test_the_tables_are_complete() -> None:
    words = set(re.findall(r"`([\w-]+)(?:\(VALUE\))?`", "\n".join(re.findall(r"^\| (.*?) \|", GUIDE, re.MULTILINE))))
    assert {*Picture.__struct_fields__, *Shade.__struct_fields__, *MEASURES, *STATISTICS} == words


def test_a_job_takes_what_a_store_takes() -> None:
    assert set(sections.Picture.__struct_fields__) == set(Picture.__struct_fields__)
    assert sections.Shade() == sections.Shade(**{name: getattr(Shade(), name) for name in Shade.__struct_fields__})
