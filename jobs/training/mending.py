"""Damaged checkpoints of a store are struck, as bad units are, so that the next run makes what is lacking.

Owns what counts as damaged, and which block of a run is made again for it. Never mends anything itself.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from hpc import shards
from hpc.ledger import Revocation, read_records
from hpc.reading import Reader, open_for_reading
from hpc.store import revoke
from jobs.training.checkpoint import FOLDER, Checkpoints
from kernels.errors import RequestError

STAGE = "train"
SHAPING = "loss"
"""An array of the stage: it has a row for each run, and a shard for each block."""


@dataclass(frozen=True)
class Struck:
    """A damaged checkpoint, by its path in the store; `is_needed` where no later one of its run is whole."""

    file: str
    is_needed: bool

    def __str__(self) -> str:
        then = "the run goes on from the one before it, or begins anew" if self.is_needed else "a later one is whole"
        return f"{self.file}: damaged; {then}"


def strike(store: Path | str) -> list[Struck]:
    """Strike the checkpoints that say to be whole and are not, sorted by name; empty for a sound store.

    Where it is the last one of a run, the record of the block that it ends is taken back too: the next run of the job
    makes both again, the same to the last bit. Raises RequestError where the disk refuses.
    """
    reader = open_for_reading(store)
    found: list[Struck] = []
    revocations: list[Revocation] = []
    folder = reader.path / FOLDER
    if SHAPING not in reader.arrays() or reader.stage(SHAPING) != STAGE or folder.is_symlink():
        return found
    try:
        for run in sorted(int(entry.name) for entry in folder.glob("*") if entry.name.isdecimal()):
            checkpoints = Checkpoints(reader.path, run, 1, "reader-0")
            whole = False
            for step in checkpoints.steps():
                if checkpoints.state(step) is not None:
                    whole = True
                    continue
                checkpoints.strike(step)
                found.append(Struck(f"{FOLDER}/{run}/{step}", not whole))
                revocations += [] if whole else _revocations(reader, run, step)
        if revocations:
            revoke(reader.path, revocations, f"verify-{uuid.uuid4().hex[:12]}")
    except OSError as error:
        raise RequestError(
            f"{error.filename or folder}: cannot be struck ({error.strerror}); make it writable and verify again"
        ) from None
    return sorted(found, key=lambda one: one.file)


def _revocations(reader: Reader, run: int, step: int) -> list[Revocation]:
    """Of the block of a run that ends at a step, where there is a record of it."""
    array = reader.array(SHAPING)
    num_runs, num_blocks = shards.grid(array)
    length = array.shards[1] if array.shards else array.chunks[1]
    block = (max(step, 1) - 1) // length
    if run >= num_runs or block >= num_blocks:
        return []
    unit = run * num_blocks + block
    records = [record for record in read_records(reader.path) if (record.stage, record.unit) == (STAGE, unit)]
    return [Revocation(STAGE, unit, tuple(sorted({record.run for record in records})))] if records else []
