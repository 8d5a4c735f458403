"""docs/security.md names tests that are there, and all tests of this folder that hold a line of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
OWN_CHECKS = {"test_threats.py"}


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_line_has_a_test_that_is_there() -> None:
    rows = [
        line
        for line in PAGE.read_text().splitlines()
        if line.startswith("|") and not re.match(r"\|(---|\s*What)", line)
    ]
    assert len(rows) > 20
    for row in rows:
        named = NAMED.findall(row)
        assert named, f"no test: {row}"
        for file, name in named:
            assert name in functions_of(ROOT / file), f"{file} has no {name}"


def test_every_file_of_this_folder_is_named() -> None:
    named = {Path(file).name for file, _ in NAMED.findall(PAGE.read_text())}
    assert {path.name for path in Path(__file__).parent.glob("test_*.py")} - OWN_CHECKS <= named
