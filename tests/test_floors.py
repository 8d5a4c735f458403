"""A file imports only from floors below it or from its own folder, and stays below 400 lines."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = {"kernels": 0, "networks": 1, "hpc": 2, "analysis": 3, "slurm": 3, "jobs": 4}
FILES = sorted(path for package in FLOORS for path in (ROOT / package).rglob("*.py"))
LONGEST = 400


def imported_packages(path: Path) -> set[str]:
    """Our own packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found & FLOORS.keys()


def arrow_is_allowed(own: str, other: str) -> bool:
    return own == other or FLOORS[other] < FLOORS[own]


def test_imports_point_downwards() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {other}"
        for path in FILES
        for other in imported_packages(path)
        if not arrow_is_allowed(path.relative_to(ROOT).parts[0], other)
    ]
    assert not wrong


def test_the_walk_sees_arrows() -> None:
    assert {"kernels", "hpc"} <= set.union(*(imported_packages(path) for path in (ROOT / "jobs").rglob("*.py")))
    assert not arrow_is_allowed("kernels", "hpc")
    assert not arrow_is_allowed("analysis", "slurm")


def test_files_are_short() -> None:
    assert len(FILES) > 20
    assert not [f"{path.relative_to(ROOT)}" for path in FILES if len(path.read_text().splitlines()) > LONGEST]
