"""The ledger under torn lines, noise, duplicates, revocations and any order of files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc.ledger import MOST_LINE_BYTES, LedgerFile, Record, Revocation, read_records, tally

NUM_UNITS = 4
RUNS = ("a", "b", "c")

records = st.builds(
    Record,
    stage=st.sampled_from(["map", "sum"]),
    unit=st.integers(0, NUM_UNITS - 1),
    run=st.sampled_from(RUNS),
    seconds=st.floats(0, 1e6),
    files=st.dictionaries(
        st.sampled_from(["times", "final"]), st.tuples(st.integers(0, 99), st.text("0af", min_size=1))
    ),
)
revocations = st.builds(
    Revocation,
    stage=st.sampled_from(["map", "sum"]),
    unit=st.integers(0, NUM_UNITS - 1),
    runs=st.lists(st.sampled_from(RUNS), min_size=1, max_size=2, unique=True).map(tuple),
)


def lines(entries: list[Record | Revocation]) -> bytes:
    return b"".join(json.dumps(entry.as_json()).encode() + b"\n" for entry in entries)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    (folder / "ledger").mkdir()
    return folder


def put(place: Path, files: dict[str, bytes]) -> None:
    for file in (place / "ledger").iterdir():
        file.unlink()
    for name, data in files.items():
        (place / "ledger" / f"{name}.jsonl").write_bytes(data)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["x-0", "x-1", "verify-1"]), records | revocations)))
def test_a_record_holds_unless_its_run_is_revoked(place: Path, entries: list[tuple[str, Record | Revocation]]) -> None:
    """Whatever stands in which file, in whatever order."""
    put(place, {name: lines([entry for file, entry in entries if file == name]) for name in ("x-0", "x-1", "verify-1")})
    revoked = {(e.stage, e.unit, run) for _, e in entries if isinstance(e, Revocation) for run in e.runs}
    expected = [e for _, e in entries if isinstance(e, Record) and (e.stage, e.unit, e.run) not in revoked]
    found = read_records(place)
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    tallies = tally(place, {"map": NUM_UNITS, "sum": NUM_UNITS})
    for stage, told in tallies.items():
        held = [record for record in found if record.stage == stage]
        assert told.finished.shape == (NUM_UNITS,)
        assert set(np.flatnonzero(told.finished)) == {record.unit for record in expected if record.stage == stage}
        assert told.units.tolist() == [record.unit for record in held]
        assert told.seconds.tolist() == [record.seconds for record in held]


@settings(deadline=None)
@given(st.lists(records, min_size=1, max_size=3), st.data())
def test_a_torn_end_costs_the_last_record_at_most(place: Path, entries: list[Record], data: st.DataObject) -> None:
    whole = lines(entries)
    last = len(lines(entries[:-1]))
    cut = data.draw(st.integers(last, len(whole)))
    put(place, {"x-0": whole[:cut]})
    # The closing newline says nothing that the closing brace has not said.
    kept = entries if cut >= len(whole) - 1 else entries[:-1]
    assert read_records(place) == kept


@settings(deadline=None)
@given(st.lists(records, max_size=3), st.binary(max_size=30).map(lambda noise: noise.replace(b"}", b"")))
def test_noise_is_no_record_and_harms_none(place: Path, entries: list[Record], noise: bytes) -> None:
    put(place, {"x-0": noise + b"\n" + lines(entries)})
    assert read_records(place) == entries


@pytest.mark.parametrize(
    "line",
    [
        "null",
        "[]",
        "7",
        "{}",
        '{"unit": 1}',
        '{"unit": 1, "stage": "map", "run": "a", "seconds": 1}',
        '{"unit": 1, "stage": "map", "run": "a", "seconds": 1, "files": []}',
        '{"unit": 1, "stage": "map", "run": "a", "seconds": 1, "files": {"times": 3}}',
        '{"unit": Infinity, "stage": "map", "run": "a", "seconds": 1, "files": {}}',
        '{"unit": 1, "stage": "map", "revoked": 5}',
    ],
)
def test_malformed_entries_are_ignored(place: Path, line: str) -> None:
    put(place, {"x-0": line.encode() + b"\n"})
    assert read_records(place) == []


def test_units_outside_the_stage_are_ignored(place: Path) -> None:
    outside = [Record("map", unit, "a", 1.0, {}) for unit in (-1, NUM_UNITS, 2**63, -(2**70))]
    put(place, {"x-0": lines([*outside, Revocation("map", 2**70, ("a",)), Record("sum", 0, "a", 1.0, {})])})
    assert not tally(place, {"map": NUM_UNITS})["map"].finished.any()


def test_a_line_without_end_does_not_fill_the_memory(place: Path) -> None:
    """It is no record, and the one after it is."""
    kept = Record("map", 1, "a", 1.0, {})
    put(place, {"x-0": b'{"stage": "' + b"x" * (3 * MOST_LINE_BYTES) + b"\n" + lines([kept])})
    assert read_records(place) == [kept]


def test_an_array_may_be_called_revoked(place: Path) -> None:
    kept = Record("map", 1, "a", 1.0, {"revoked": (3, "ab")})
    put(place, {"x-0": lines([kept])})
    assert read_records(place) == [kept]


def test_append_writes_what_is_read(tmp_path: Path) -> None:
    entries = [Record("map", 0, "a", 1.5, {"times": (3, "ab")}), Record("map", 1, "a", 0.1, {"times": (4, "cd")})]
    file = LedgerFile(tmp_path / "ledger" / "a-0.jsonl")
    for entry in entries:
        file.append(entry)
        assert read_records(tmp_path)[-1] == entry
    file.close()
    assert read_records(tmp_path) == entries


def test_a_ledger_file_has_one_writer(tmp_path: Path) -> None:
    LedgerFile(tmp_path / "ledger" / "a-0.jsonl").close()
    with pytest.raises(FileExistsError):
        LedgerFile(tmp_path / "ledger" / "a-0.jsonl")


def test_a_torn_write_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes half a line, then is full; the next record is whole again."""
    import os

    file = LedgerFile(tmp_path / "ledger" / "a-0.jsonl")
    file.append(Record("map", 0, "a", 1.0, {}))
    write, calls = os.write, []

    def half(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space left"):
            file.append(Record("map", 1, "a", 1.0, {}))
    file.append(Record("map", 2, "a", 1.0, {}))
    file.close()
    assert [record.unit for record in read_records(tmp_path)] == [0, 2]
    assert len((tmp_path / "ledger" / "a-0.jsonl").read_bytes().splitlines()) == 2


def test_no_ledger_means_nothing_finished(tmp_path: Path) -> None:
    assert read_records(tmp_path) == []
