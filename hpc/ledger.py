"""The ledger: which units are finished, by which run, with what bytes. One JSON-lines file a writer, append-only.

Owns the form of records and revocations and what counts as finished. Never looks at shard files, never holds the records of a
million units but where `read_records` is asked for them; only hpc/store.py appends.
"""

from __future__ import annotations

import contextlib
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hpc.durable import make_folder, sync_folder
from hpc.given import open_regular
from kernels.errors import RequestError

LEDGER_FOLDER = "ledger"
LEDGER_SUFFIX = ".jsonl"

# A line of ours has some hundred bytes; a longer one is not, and must not fill the memory.
MOST_LINE_BYTES = 1 << 20


class Record(msgspec.Struct, frozen=True, gc=False):
    """One finished unit: `files` gives, for each array of the stage, size in bytes and sha256 (hex) of its shard."""

    stage: str
    unit: int
    run: str
    seconds: float
    files: Mapping[str, tuple[int, str]]

    def as_json(self) -> dict[str, Any]:
        """The line of the ledger, as a dictionary."""
        files = {name: list(entry) for name, entry in self.files.items()}
        return {"unit": self.unit, "stage": self.stage, "run": self.run, "seconds": self.seconds, "files": files}


class Revocation(msgspec.Struct, frozen=True, gc=False):
    """Says that the records which `runs` made of one unit hold no longer; records of later runs do."""

    stage: str
    unit: int
    runs: tuple[str, ...] = msgspec.field(name="revoked")

    def as_json(self) -> dict[str, Any]:
        """The line of the ledger, as a dictionary."""
        return {"unit": self.unit, "stage": self.stage, "revoked": list(self.runs)}


def encode(entry: Record | Revocation) -> bytes:
    """A line of the ledger with its end."""
    return (json.dumps(entry.as_json(), separators=(",", ":")) + "\n").encode()


class LedgerFile:
    """One append-only ledger file with one writer. Each entry is on the disk when `append` returns."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        self._size_bytes = 0
        try:
            sync_folder(path.parent)
        except OSError:
            self.close()
            path.unlink()
            raise

    def append(self, entry: Record | Revocation) -> None:
        """Add one line and wait for the disk. Raises OSError with the file as long as it was before."""
        line = encode(entry)
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
        except BaseException:
            # Cut a torn line off, lest the next one be glued to it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size_bytes)
            raise
        self._size_bytes += len(line)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True)
class Tally:
    """What the ledgers say of one stage.

    `finished` is the bitmap of its units, shape (num_units,), True where a record holds. `units` (int64) and `seconds`
    (float64) have one entry a record that holds, in the order of the files.
    """

    finished: NDArray[np.bool_]
    units: NDArray[np.int64]
    seconds: NDArray[np.float64]


def _parse(line: bytes, record: msgspec.json.Decoder[Record], revocation: msgspec.json.Decoder[Revocation]) -> Any:
    """One entry, or None for a torn or foreign line: the unit then counts as not finished and is computed again."""
    # A record may have an array of that name.
    if b'"revoked"' in line:
        with contextlib.suppress(msgspec.MsgspecError, RecursionError):
            return revocation.decode(line)
    with contextlib.suppress(msgspec.MsgspecError, RecursionError):
        return record.decode(line)
    return None


def _entries(store: Path) -> Iterator[Record | Revocation]:
    """All entries of all ledger files, file by file in the order of their names."""
    folder = store / LEDGER_FOLDER
    record, revocation = msgspec.json.Decoder(Record), msgspec.json.Decoder(Revocation)
    try:
        files = sorted(file for file in folder.iterdir() if file.name.endswith(LEDGER_SUFFIX))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(folder, error) from None
    for path in files:
        try:
            with open_regular(path) as file:
                for line in iter(partial(file.readline, MOST_LINE_BYTES), b""):
                    entry = _parse(line, record, revocation)
                    if entry is not None:
                        yield entry
        except OSError as error:
            raise _unreadable(path, error) from None


class Follower:
    """What other runs add to the ledgers of a store from now on; `at_work` are those that were there just before.

    Opens the files of runs that are at work alone, and new ones.
    """

    def __init__(self, store: Path, run_id: str, at_work: frozenset[str]) -> None:
        self._folder = store / LEDGER_FOLDER
        self._run_id = run_id
        self._read_bytes = {name: (self._folder / name).stat().st_size for name in self._names()}
        self._at_work = at_work

    def look(self, stage: str, num_units: int, at_work: frozenset[str]) -> NDArray[np.int64]:
        """The units of a stage that were recorded since the last look, any of them more than once.

        `at_work` are the runs that may add to their files, as known before. Raises RequestError where a file cannot be read.
        """
        record, revocation = msgspec.json.Decoder(Record), msgspec.json.Decoder(Revocation)
        units = array("q")

        # A run that has left since the last look may have added something before.
        runs, self._at_work = at_work | self._at_work, at_work
        for name in self._names():
            if name in self._read_bytes and _run_of(name) not in runs:
                continue
            for line in self._new_lines(name):
                entry = _parse(line, record, revocation)
                if isinstance(entry, Record) and entry.stage == stage and 0 <= entry.unit < num_units:
                    units.append(entry.unit)
        return np.frombuffer(units, dtype=np.int64)

    def _names(self) -> list[str]:
        """The ledger files of other runs."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(self._folder, error) from None
        return [name for name in names if name.endswith(LEDGER_SUFFIX) and _run_of(name) != self._run_id]

    def _new_lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file that have been completed since the last look."""
        try:
            with open_regular(self._folder / name) as file:
                file.seek(self._read_bytes.setdefault(name, 0))
                for line in iter(partial(file.readline, MOST_LINE_BYTES), b""):
                    if len(line) < MOST_LINE_BYTES and not line.endswith(b"\n"):
                        break
                    self._read_bytes[name] += len(line)
                    yield line
        except OSError as error:
            raise _unreadable(self._folder / name, error) from None


def _run_of(name: str) -> str:
    """The run that a ledger file belongs to."""
    return name.removesuffix(LEDGER_SUFFIX).rpartition("-")[0]


def _unreadable(path: Path, error: OSError) -> RequestError:
    """A ledger that cannot be read must not pass for one that says that nothing is finished."""
    return RequestError(f"{path}: cannot be read ({error.strerror}); make it readable and try again")


def read_records(store: Path) -> list[Record]:
    """The records that hold: all of all ledger files, duplicates included, but for those revoked.

    A revocation names runs, not times or checksums, so that the order of files and clocks does not matter: a run
    computes a unit once, and a run that mends the unit has a new name. Raises RequestError where a file cannot be read.
    """
    entries = list(_entries(store))
    revoked = {
        (entry.stage, entry.unit, run) for entry in entries if isinstance(entry, Revocation) for run in entry.runs
    }
    return [
        entry for entry in entries if isinstance(entry, Record) and (entry.stage, entry.unit, entry.run) not in revoked
    ]


def tally(store: Path | None, num_units: Mapping[str, int]) -> dict[str, Tally]:
    """What the ledgers say of stages, by name; `num_units` has the number of units of each that is asked for.

    Without a store nothing is finished. Takes 24 bytes a record and holds no records. Raises RequestError where a file cannot
    be read.
    """
    units = {stage: array("q") for stage in num_units}
    runs = {stage: array("q") for stage in num_units}
    seconds = {stage: array("d") for stage in num_units}
    numbers: dict[str, int] = {}
    revoked: dict[str, set[tuple[int, str]]] = {stage: set() for stage in num_units}
    for entry in () if store is None else _entries(store):
        if not 0 <= entry.unit < num_units.get(entry.stage, 0):
            continue
        if isinstance(entry, Revocation):
            revoked[entry.stage].update((entry.unit, run) for run in entry.runs)
        else:
            units[entry.stage].append(entry.unit)
            runs[entry.stage].append(numbers.setdefault(entry.run, len(numbers)))
            seconds[entry.stage].append(entry.seconds)

    found = {}
    for stage, number in num_units.items():
        recorded = np.frombuffer(units[stage], dtype=np.int64)
        taken = np.frombuffer(seconds[stage], dtype=np.float64)
        if revoked[stage]:
            keys = recorded * len(numbers) + np.frombuffer(runs[stage], dtype=np.int64)
            bad = [unit * len(numbers) + numbers[run] for unit, run in revoked[stage] if run in numbers]
            holds = ~np.isin(keys, np.array(bad, dtype=np.int64))
            recorded, taken = recorded[holds], taken[holds]
        finished = np.zeros(number, dtype=np.bool_)
        finished[recorded] = True
        found[stage] = Tally(finished, recorded, taken)
    return found
