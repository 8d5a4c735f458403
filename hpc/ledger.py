"""The ledger: which units are finished, by which run, with what bytes. One JSON-lines file a writer, append-only.

Owns the form of records and revocations and what counts as finished. Never looks at shard files; only hpc/store.py
appends.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.durable import make_folder, sync_folder
from kernels.errors import RequestError

LEDGER_FOLDER = "ledger"
LEDGER_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Record:
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


@dataclass(frozen=True)
class Revocation:
    """Says that the records which `runs` made of one unit hold no longer; records of later runs do."""

    stage: str
    unit: int
    runs: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The line of the ledger, as a dictionary."""
        return {"unit": self.unit, "stage": self.stage, "revoked": list(self.runs)}


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
        line = (json.dumps(entry.as_json(), separators=(",", ":")) + "\n").encode()
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


def _parse(line: bytes) -> Record | Revocation | None:
    """One entry, or None for a torn or foreign line: the unit then counts as not finished and is computed again."""
    try:
        entry = json.loads(line)
        stage, unit = str(entry["stage"]), int(entry["unit"])
        if "revoked" in entry:
            return Revocation(stage, unit, tuple(str(run) for run in entry["revoked"]))
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in entry["files"].items()}
        return Record(stage, unit, str(entry["run"]), float(entry["seconds"]), files)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _entries(store: Path) -> Iterator[Record | Revocation]:
    """All entries of all ledger files, file by file in the order of their names."""
    folder = store / LEDGER_FOLDER
    try:
        files = sorted(file for file in folder.iterdir() if file.name.endswith(LEDGER_SUFFIX))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(folder, error) from None
    for file in files:
        try:
            lines = file.read_bytes().splitlines()
        except OSError as error:
            raise _unreadable(file, error) from None
        for line in lines:
            entry = _parse(line)
            if entry is not None:
                yield entry


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


def finished_units(records: Iterable[Record], stage: str, num_units: int) -> NDArray[np.bool_]:
    """Bitmap over the units of a stage, shape (num_units,): True where a record holds."""
    finished = np.zeros(num_units, dtype=np.bool_)
    for record in records:
        if record.stage == stage and 0 <= record.unit < num_units:
            finished[record.unit] = True
    return finished
