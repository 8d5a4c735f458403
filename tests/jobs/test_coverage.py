"""docs/coverage.md is current, complete and names tests that exist."""

from __future__ import annotations

import ast
import tomllib
from typing import Any

from benchmarks import coverage

TEXTS: dict[str, Any] = tomllib.loads(coverage.SOURCE.read_text())


def test_the_page_is_current() -> None:
    """Otherwise: `make coverage`."""
    assert coverage.RESULT.read_text() == coverage.render(TEXTS, coverage.gallery())


def test_every_job_names_an_entry() -> None:
    entries = {f"{text} {entry}" for text, table in TEXTS.items() for entry in table["entries"]}
    assert set(coverage.gallery()) <= entries


def test_every_entry_is_covered_or_says_why() -> None:
    jobs = coverage.gallery()
    for text, table in TEXTS.items():
        for entry, facts in table["entries"].items():
            if f"{text} {entry}" not in jobs and not facts.get("tests"):
                assert facts["note"].startswith(("not yet: ", "nothing to compute: ")), entry


def test_the_tests_exist() -> None:
    for table in TEXTS.values():
        for facts in table["entries"].values():
            for test in facts.get("tests", []):
                path, _, function = test.partition("::")
                tree = ast.parse((coverage.ROOT / path).read_text())
                names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
                assert not function or function in names, test
