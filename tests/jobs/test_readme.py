"""The commands of README.md work as they stand there, on maps of a few pixels; links of all pages lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import cli, model

from .conftest import ROOT, compute_store

CommandLine = Callable[..., tuple[int, str, str]]

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN_BY_LONG_TARGETS = {"benchmarks/RESULTS.md", "docs/checks.md"}
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")
SMALL = {
    "divergence": ["view.resolution=[8, 8]", "integrator.steps=100"],
    "boundary": ["view.resolution=[8, 8]", "stop.max_iterations=9"],
    "training": ["train.steps=4", "train.evaluate_every=2", "train.checkpoint_every=4"],
}


def commands(text: str) -> list[list[str]]:
    """The words of every command of horseshoe in the indented blocks of a page, without the launcher."""
    lines = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    ")).replace("\\\n", " ")
    words = [shlex.split(line, comments=True) for line in lines.splitlines() if "horseshoe" in line]
    return [one[one.index("horseshoe") + 1 :] for one in words if "horseshoe" in one]


def test_the_commands_are_found() -> None:
    found = commands("    mpiexec -n 2 horseshoe run a --set 'b=[1]' \\\n        --out c  # why\n\nhorseshoe list\n")
    assert found == [["run", "a", "--set", "b=[1]", "--out", "c"]]


def test_the_commands_work(command_line: CommandLine, tmp_path: Path) -> None:
    """In their order, so that each finds what those before it made; a run is computed here, without MPI."""
    verbs = set()
    for verb, *words in commands((ROOT / "README.md").read_text()):
        verbs.add(verb)
        if verb == "run":
            cli.build().parse_args([verb, *words], print_error=False, exit_on_error=False)
            overrides = [words[index + 1] for index, word in enumerate(words) if word == "--set"]
            place = words[words.index("--out") + 1] if "--out" in words else f"{words[0]}.zarr"
            kind = model.load(words[0], overrides).kind
            compute_store(model.load(words[0], [*overrides, *SMALL[kind]]), tmp_path / place)
        elif verb != "doctor":
            small = [word for one in SMALL["divergence"] for word in ("--set", one)] if verb == "plan" else []
            code, out, err = command_line(verb, *words, *small)
            assert (code, err) == (0, ""), (verb, words)
            assert out
    assert {"list", "plan", "run", "status", "verify", "image", "video", "measure"} <= verbs


def test_every_verb_is_named() -> None:
    text = (ROOT / "README.md").read_text()
    assert not [verb for verb in cli.VERBS if f"horseshoe {verb}" not in text]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        target = (page.parent / link).resolve()
        name = str(target.relative_to(ROOT))
        assert target.exists() or name in WRITTEN_BY_LONG_TARGETS, name


def test_every_page_is_linked_from_the_first() -> None:
    linked = {(ROOT / link).resolve() for link in LINK.findall((ROOT / "README.md").read_text())}
    assert {page.resolve() for page in PAGES[1:]} <= linked
