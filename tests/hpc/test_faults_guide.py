"""docs/faults.md names tests that exist, one at least for every fault."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_fault_is_held_by_a_test() -> None:
    rows = re.findall(r"^\|(?! fault |---)(.*)\|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(tests/\S+\.py)::(\w+)`", row)
        assert named, row
        for file, name in named:
            assert f"\ndef {name}(" in (ROOT / file).read_text(), (file, name)
