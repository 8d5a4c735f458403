"""docs/format.md against a real store: its code runs, and its lists are what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hpc import store
from hpc.runs import read_runs
from hpc.verify import EXPLANATIONS, verify

DOCUMENT = (Path(__file__).parents[3] / "docs" / "format.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def table(heading: str) -> list[str]:
    """The first column of the table under a heading."""
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


@pytest.fixture
def place(toy, tmp_path, monkeypatch):
    """A finished store that has seen a damaged shard, a revocation and a second run."""
    monkeypatch.chdir(tmp_path)
    place = Path("three-body.zarr")
    store.prepare(place, toy.plan(), run_id="first")
    toy.write(place, "first")
    (place / "times/c/0/0/0").write_bytes(b"")
    assert len(verify(place)) == 1
    store.append_provenance(place, "first", {"ended": "2026-01-01T00:00:00+00:00"})
    store.prepare(place, toy.plan(), run_id="second")
    writer = store.Writer(place, toy.plan(), "second", 0)
    writer.write(0, 0, toy.values(toy.MAP, 0), 1.0)
    writer.close()
    return place


def test_code_runs(place):
    assert f'"{place}"' in DOCUMENT
    code = blocks("python")
    assert len(code) >= 6
    names: dict[str, object] = {}
    for block in code:
        exec(compile(block, "docs/format.md", "exec"), names)


def test_layout_is_complete_and_true(place):
    """Each file of a store is in the table, and each line of the table has a file."""
    words = {
        "ARRAY": "[a-z_]+",
        "RUN": "(?!verify-)[A-Za-z0-9_-]+",
        "RANK": "[0-9]+",
        "ID": "[0-9a-f]+",
        "I/J/...": "[0-9]+(/[0-9]+)*",
    }
    patterns = []
    for name in table("Layout"):
        pattern = re.escape(name)
        for word, expression in words.items():
            pattern = pattern.replace(re.escape(word), expression)
        patterns.append(re.compile(pattern))
    files = [file.relative_to(place).as_posix() for file in place.rglob("*") if file.is_file()]
    assert patterns
    for file in files:
        assert sum(pattern.fullmatch(file) is not None for pattern in patterns) == 1, file
    for pattern in patterns:
        assert any(pattern.fullmatch(file) for file in files), pattern.pattern


def test_root_attributes(place):
    attributes = json.loads((place / "zarr.json").read_text())["attributes"]
    assert set(attributes) == {"horseshoe", "identity", "constants"}
    assert set(table("Root attributes")) == set(attributes["horseshoe"])


def test_records_and_revocations(place):
    record, revocation = (json.loads(block) for block in blocks("json"))
    (written,) = (
        entry for entry in map(json.loads, (place / "ledger/first-0.jsonl").read_text().splitlines())
        if (entry["stage"], entry["unit"]) == ("map", 13)
    )  # fmt: skip
    assert list(record) == list(written)
    assert list(record["files"]) == list(written["files"])
    assert {key: value for key, value in record.items() if key != "files"} == {
        key: value for key, value in written.items() if key != "files"
    }
    (file,) = (place / "ledger").glob("verify-*.jsonl")
    taken_back = json.loads(file.read_text())
    assert {**taken_back, "unit": 13} == revocation


def test_fields_of_runs(place):
    documented = set(table("Runs"))
    first, second = read_runs(place).values()
    assert set(first) == documented
    assert set(second) == documented - {"ended", "swept"}


def test_words_of_verify():
    assert table("Verifying") == list(EXPLANATIONS)
