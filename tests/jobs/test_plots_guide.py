"""Every command of docs/plots.md runs, and its table has every key."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from analysis.plot import Kind, Plot
from jobs import model, plotting

from .conftest import ROOT, compute_store

GUIDE = (ROOT / "docs" / "plots.md").read_text()
COMMANDS = [
    line for text in re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL) for line in text.splitlines()
]
STORES = sorted({word for line in COMMANDS for word in shlex.split(line) if word.endswith(".zarr")})


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("plots")
    for store in STORES:
        compute_store(model.load(store.removesuffix(".zarr")), place / store)
    return place


@pytest.mark.parametrize("line", COMMANDS)
def test_command(
    stores: Path, line: str, command_line: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stores)
    code, out, _ = command_line(*shlex.split(line)[1:])
    assert code == 0
    assert Path(out.splitlines()[-1]).stat().st_size > 1000


def test_the_tables_are_complete() -> None:
    words = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (.*?) \|", GUIDE, re.MULTILINE))))
    assert words == {*Plot.__struct_fields__, *get_args(Kind)}


def test_a_job_takes_what_a_store_takes() -> None:
    assert set(plotting.Plot.__struct_fields__) == set(Plot.__struct_fields__)
    defaults = msgspec.to_builtins(plotting.Plot(figure="curves"))
    assert msgspec.convert(defaults, Plot) == Plot(figure="curves")
