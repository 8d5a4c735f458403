"""Writes docs/coverage.md: what becomes of every entry of the spec, from the gallery and docs/coverage.toml.

    python -m benchmarks.coverage

A pure function of files in the repository; runs no job. That the checks hold is the business of tests/jobs/test_gallery.py.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from jobs import model
from jobs.maps import MapJob
from jobs.reading import gallery_names
from jobs.sections import Check

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "docs" / "coverage.toml"
RESULT = ROOT / "docs" / "coverage.md"

HEAD = """\
# Coverage of the spec

Written by `make coverage` from the gallery and `docs/coverage.toml`. Every check of a gallery job is run by
`tests/jobs/test_gallery.py` and holds, or `make test` fails; so does every other test named here.
"""


def gallery() -> dict[str, list[model.Job]]:
    """The ready jobs by the entry that each one names as its source."""
    found: dict[str, list[model.Job]] = {}
    for name in gallery_names():
        job = model.load(name)
        found.setdefault(job.source, []).append(job)
    return found


def checks(job: model.Job) -> list[str]:
    """Each check of a job as `quantity = value`, in the file's order."""
    lines = []
    for check in job.check:
        value = f"`{check.value[:16]}...`" if isinstance(check.value, str) else f"{check.value:g}"
        if isinstance(check.value, float) and check.value.is_integer():
            value = str(int(check.value))
        tolerance = f" ± {check.tolerance:g}" if check.tolerance else ""
        lines.append(f"{_size(job, check)}{check.quantity} = {value}{tolerance}")
    return lines


def _size(job: model.Job, check: Check) -> str:
    """The pixels of a map that is checked, or nothing."""
    if not isinstance(job, MapJob):
        return ""
    columns, rows = check.overrides.get("view", {}).get("resolution", job.view.resolution)
    return f"{columns} x {rows}: "


def render(texts: dict[str, Any], jobs: dict[str, list[model.Job]]) -> str:
    """The page: one table a source text."""
    parts = [HEAD]
    for text, table in texts.items():
        rows = ["| entry | what | gallery | checks | tests and notes |", "|---|---|---|---|---|"]
        for entry, facts in table["entries"].items():
            own = jobs.get(f"{text} {entry}", [])
            cells = [
                entry,
                facts["what"],
                "<br>".join(f"[{job.name}](../jobs/gallery/{job.name}.toml)" for job in own),
                "<br>".join(line for job in own for line in checks(job)),
                "<br>".join([*(_shorten(test) for test in facts.get("tests", [])), *filter(None, [facts.get("note")])]),
            ]
            rows.append(f"| {' | '.join(cells)} |")
        parts.append(f"## {table['title']}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _shorten(test: str) -> str:
    """`test_x.py::test_y`, as a link to its file."""
    path, _, function = test.partition("::")
    return f"[{Path(path).name}](../{path}){' ' if function else ''}{function}"


def main() -> None:
    """Write the page."""
    temporary = RESULT.with_suffix(".md.partial")
    with temporary.open("w") as file:
        file.write(render(tomllib.loads(SOURCE.read_text()), gallery()))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(RESULT)


if __name__ == "__main__":
    main()
