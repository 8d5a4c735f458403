"""Why a run may not write into a path: it cannot be written, or what is there belongs to something else.

Owns the comparison of two jobs and the wording of the refusals. Never writes anything.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpc.durable import METADATA_NAME, partial_run
from hpc.plan import ArraySpec, Plan
from hpc.reading import Reader
from kernels.errors import RequestError

LONGEST_MOVE_S = 5.0

# Of an identity, what says all of the files that a job reads.
DATA_KEY = "manifest"
OTHER_JOB = "made by another job", "choose another --out"
OTHER_DATA = "made from other data", "put back what it was made from, or choose another --out"

NUM_DIFFERENCES_SHOWN = 5
NUM_CHARACTERS_SHOWN = 60
ABSENT = "absent"


def resolved(path: Path | str) -> Path:
    """The path without links, absolute; RequestError for one that is none."""
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0].partition(" from ")[0]
        raise RequestError(f"{path}: cannot be used ({reason}); choose another path") from None


def is_taken(place: Path) -> bool:
    """Whether there is something at the path that has to be a store.

    Waits for a store that another run is just putting into its folder; where that run died, RequestError.
    """
    end_s = time.monotonic() + LONGEST_MOVE_S
    while place.is_dir():
        entries = {file.name for file in place.iterdir()}
        making = {name for name in entries if partial_run(Path(name)) is not None}
        if entries == making:
            return False
        if METADATA_NAME in entries or not making:
            return True
        if time.monotonic() > end_s:
            raise RequestError(f"{place}: a run died while it made a store here; empty the folder and run again")
        time.sleep(0.05)
    return place.exists()


def check_place(place: Path) -> None:
    """Refuse a path into which nothing can be written; leaves no trace. Raises RequestError naming the path."""
    if place.exists() and not place.is_dir():
        raise RequestError(f"{place}: is a file; choose another --out")
    # What is written into a store stays in it, wherever the store is from.
    for entry in place.iterdir() if place.is_dir() else ():
        if entry.is_symlink() and entry.is_dir():
            raise RequestError(f"{entry}: is a link; put the folder itself there, or choose another --out")
    folder = place
    while not folder.exists():
        folder = folder.parent
    for candidate in (folder, folder / "ledger", folder / "runs") if folder == place else (folder,):
        if candidate.exists():
            _check_folder(candidate, place)


def check_same_job(reader: Reader, plan: Plan, run_records: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a store of another job, of another version of the kernel, or of another layout (RequestError)."""
    if reader.attributes.get("job_hash") != plan.attributes.get("job_hash"):
        found = list(differences(dict(reader.identity), _normalise(plan.identity), _normalise(plan.defaults)))
        if found:
            is_data = all(key.startswith(DATA_KEY) for key, _, _ in found)
            said, advice = OTHER_DATA if is_data else OTHER_JOB

            # A sum says nothing to people where the size tells the same.
            found = [one for one in found if not one[0].endswith(".sha256")] or found
            shown = "; ".join(
                f"{key} is {_shorten(stored)} there and {_shorten(asked)} here"
                for key, stored, asked in found[:NUM_DIFFERENCES_SHOWN]
            )
            more = len(found) - NUM_DIFFERENCES_SHOWN
            rest = f"; and {more} more" if more > 0 else ""
            raise RequestError(f"{reader.path}: {said}: {shown}{rest}; {advice}")

    stored, asked = reader.attributes.get("kernel_digest"), plan.attributes.get("kernel_digest")
    if stored != asked:
        first: Mapping[str, Any] = next(iter(run_records.values()), {})
        maker = first.get("version", "unknown")
        raise RequestError(
            f"{reader.path}: made with kernel {_shorten(stored)} by version {maker}, here it is {_shorten(asked)}; "
            f"resume it with version {maker} or choose another --out"
        )

    for stage in plan.stages:
        for spec in stage.arrays:
            if spec.name in reader.arrays():
                _check_layout(reader, spec)


def differences(stored: Any, asked: Any, defaults: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The keys (dotted, list items in brackets) in which two resolved jobs differ, with both values.

    A key that the stored job lacks came after that store and stands for its default, by dotted name in `defaults`; where
    there is none, the jobs differ.
    """
    if isinstance(stored, dict) and isinstance(asked, dict):
        for key in sorted({*stored, *asked}):
            full = f"{name}.{key}" if name else key
            former = stored[key] if key in stored else defaults.get(full, ABSENT)
            yield from differences(former, asked.get(key, ABSENT), defaults, full)
    elif isinstance(stored, list) and isinstance(asked, list) and len(stored) == len(asked):
        for index, (one, other) in enumerate(zip(stored, asked, strict=True)):
            yield from differences(one, other, defaults, f"{name}[{index}]")
    elif json.dumps(stored, sort_keys=True) != json.dumps(asked, sort_keys=True):
        yield name, stored, asked


def _normalise(tree: Mapping[str, Any]) -> Any:
    """An identity, or defaults, as they come back from a store: tuples as lists."""
    return json.loads(json.dumps(dict(tree)))


def _shorten(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= NUM_CHARACTERS_SHOWN else text[: NUM_CHARACTERS_SHOWN - 3] + "..."


def _check_layout(reader: Reader, spec: ArraySpec) -> None:
    """The same job may be cut differently by another version; shards of two cuts cannot share a store."""
    array = reader.array(spec.name)
    stored = {"shape": array.shape, "shard": array.shards, "chunk": array.chunks, "dtype": array.dtype}
    asked = {"shape": spec.shape, "shard": spec.shard, "chunk": spec.chunk, "dtype": np.dtype(spec.dtype)}
    for key, value in stored.items():
        if value != asked[key]:
            raise RequestError(
                f"{reader.path}: array {spec.name} has {key} {value} there and {asked[key]} here; choose another --out"
            )


def _check_folder(folder: Path, place: Path) -> None:
    """Refuse a folder in which no file can be made. A nameless temporary file is the only honest test for root."""
    if hasattr(os, "O_TMPFILE"):
        try:
            os.close(os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600))
        except OSError as error:
            # Some file systems have no nameless files; the permission test then has to do.
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.EACCES):
                raise RequestError(f"{place}: cannot be written ({error.strerror}); choose another --out") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RequestError(f"{place}: cannot be written (no permission in {folder}); choose another --out")
