"""Write docs/checks.md from the report of `make check`: what was run, on which commit, how it ended."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(report: Path) -> None:
    """Turn a JUnit report into a table."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = [
        "# Results of `make check`",
        "",
        f"Commit {commit.stdout.strip() or 'unknown'}, {datetime.now(UTC):%Y-%m-%d}. Written by `make check`; do not edit.",
        "",
        "| check | result | seconds |",
        "|---|---|---|",
    ]
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        name = f"{case.get('classname', '').removeprefix('tests.')}.{case.get('name')}"
        lines.append(f"| {name} | {next(iter(kinds), 'passed')} | {float(case.get('time', 0)):.1f} |")
    (ROOT / "docs" / "checks.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
