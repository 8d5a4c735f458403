"""Checks a store against its ledgers: every shard of every finished unit, by size and sha256.

Owns what counts as bad and which records are to be taken back. Never mends a shard: the next run computes it again.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpc.durable import PARTIAL_SUFFIX
from hpc.given import open_regular
from hpc.ledger import Record, Revocation, read_records
from hpc.reading import Reader, open_for_reading
from hpc.store import revoke as write_revocations
from kernels.errors import RequestError

Kind = Literal["missing", "damaged", "unrecorded"]
EXPLANATIONS = {
    "missing": "missing, although the ledger has it",
    "damaged": "damaged: not the bytes that were written",
    "unrecorded": "not in the ledger; its unit counts as not finished",
}


@dataclass(frozen=True)
class Fault:
    """One file that is not as the ledgers say. `unit` is None for constants and for files of no unit.

    An `unrecorded` file is harmless and normal after a crash: its unit is not finished and will be computed.
    """

    file: str
    kind: Kind
    array: str
    stage: str | None = None
    unit: int | None = None

    def __str__(self) -> str:
        unit = f" (unit {self.unit} of stage {self.stage})" if self.unit is not None else ""
        return f"{self.file}{unit}: {EXPLANATIONS[self.kind]}"


def verify(path: Path | str, *, revoke: bool = True) -> list[Fault]:
    """All files of a store that are missing, damaged or in no ledger, sorted by name; empty for a sound store.

    With `revoke`, the records of bad units are taken back in STORE/ledger/verify-ID.jsonl, so that the next run
    computes exactly these units; where two records of a unit disagree, those that the files do not bear out are taken
    back. Raises RequestError where there is no store or the ledger cannot be written.
    """
    reader = open_for_reading(path)

    # List the files before the ledgers are read: what a live run adds meanwhile is then not taken for a stray.
    files = {name: sorted(_shard_files(reader.path / name)) for name in reader.arrays()}
    units: dict[tuple[str, int], list[Record]] = defaultdict(list)
    sizes = {stage: reader.num_units(stage) for stage in reader.stages()}
    records = read_records(reader.path)
    for record in records:
        if record.unit in range(sizes.get(record.stage, 0)):
            units[record.stage, record.unit].append(record)

    faults = [*_bad_constants(reader), *_lost_metadata(reader, records)]
    revocations = []
    arrays = {stage: [name for name in reader.arrays() if reader.stage(name) == stage] for stage in sizes}
    with ThreadPoolExecutor() as pool:
        jobs = [(reader, arrays[stage], records) for (stage, _), records in units.items()]
        for found, revocation in pool.map(lambda job: _check_unit(*job), jobs):
            faults += found
            revocations += [revocation] if revocation else []

    for name, present in files.items():
        stage = reader.stage(name)
        recorded = {reader.shard_file(name, unit) for known, unit in units if known == stage}
        for file in present:
            if file not in recorded:
                faults.append(Fault(_relative(reader, file), "unrecorded", name))

    if revoke and revocations:
        try:
            write_revocations(reader.path, revocations, f"verify-{uuid.uuid4().hex[:12]}")
        except OSError as error:
            bad = next(fault for fault in [*faults, None] if fault is None or fault.kind != "unrecorded")
            raise RequestError(
                f"{path}: {len(revocations)} bad units, first {bad}, but the ledger cannot be written ({error.strerror}); "
                "make it writable and verify again"
            ) from None
    return sorted(faults, key=lambda fault: fault.file)


def _check_unit(reader: Reader, arrays: list[str], records: list[Record]) -> tuple[list[Fault], Revocation | None]:
    """The bad shards of one unit, and which of its records do not hold."""
    stage, unit = records[0].stage, records[0].unit
    files = {name: reader.shard_file(name, unit) for name in arrays}
    sizes = {record.files[name][0] for record in records for name in arrays if name in record.files}
    measured = {name: _measure(file, sizes) for name, file in files.items()}

    # A record holds where every file bears it out; of records that disagree, the files decide.
    holds = {record.run for record in records if all(record.files.get(name) == measured[name] for name in arrays)}
    false = tuple(sorted({record.run for record in records} - holds))
    revocation = Revocation(stage, unit, false) if false else None
    if holds:
        return [], revocation
    latest = records[-1].files
    faults = [
        Fault(_relative(reader, file), "damaged" if file.exists() else "missing", name, stage, unit)
        for name, file in files.items()
        if name not in latest or latest[name] != measured[name]
    ]
    return faults, revocation


def _measure(file: Path, sizes: set[int]) -> tuple[int, str] | None:
    """Size in bytes and sha256 of a file; None where it is absent, unreadable or of a size that no record has."""
    try:
        with open_regular(file) as stream:
            size = os.fstat(stream.fileno()).st_size
            return (size, hashlib.file_digest(stream, "sha256").hexdigest()) if size in sizes else None
    except OSError:
        return None


def _bad_constants(reader: Reader) -> Iterator[Fault]:
    """Constants are in no ledger; their codec's crc32c tells whether they are whole. The next run writes them again."""
    for name in reader.constants():
        files = [reader.shard_file(name, index) for index in range(reader.finished(name).size)]
        missing = [file for file in files if not file.exists()]
        for file in missing:
            yield Fault(_relative(reader, file), "missing", name)
        if not missing:
            try:
                reader.constant(name)
            except (OSError, ValueError, RuntimeError):
                yield Fault(_relative(reader, files[0]), "damaged", name)


def _lost_metadata(reader: Reader, records: list[Record]) -> Iterator[Fault]:
    """Arrays that the ledgers or the root attributes know and Zarr does not. The next run writes their metadata again."""
    known = {name for record in records for name in record.files} | set(reader.stated_constants)
    for name in sorted(known - {*reader.arrays(), *reader.constants()}):
        yield Fault(f"{name}/zarr.json", "missing", name)


def _shard_files(folder: Path) -> Iterator[Path]:
    """All files below the chunk folder of an array but for partial ones, which the next run sweeps."""
    for file in (folder / "c").rglob("*"):
        if file.is_file() and not file.name.endswith(PARTIAL_SUFFIX):
            yield file


def _relative(reader: Reader, file: Path) -> str:
    return file.relative_to(reader.path).as_posix()
