"""Reading what a user names: regular files of bounded size, their sums, and JSON that may be hostile.

Every fault is a RequestError of one line that names the file. Writes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from kernels.errors import RequestError

PIECE_BYTES = 1 << 20
LARGEST_JSON_BYTES = 64 << 20


def regular_file(path: Path) -> os.stat_result:
    """The status of a file that can be read as data. Refuses what is missing, a folder, a pipe, a device."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise RequestError(f"data file {path}: {reason(error)}; give the path of a file") from None
    if not stat.S_ISREG(status.st_mode):
        raise RequestError(f"data file {path} is no regular file; give the path of a file")
    return status


def reason(error: OSError | ValueError) -> str:
    """What the system said, without the path."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    regular_file(path)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
    except OSError as error:
        raise RequestError(f"data file {path}: {reason(error)}") from None
    return digest.hexdigest()


def read_span(path: Path, start: int, stop: int) -> bytes:
    """Bytes start ... stop - 1 of a file. Raises RequestError where it has become shorter."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(stop - start)
    except OSError as error:
        raise RequestError(f"data file {path}: {reason(error)}") from None
    if len(data) != stop - start:
        raise RequestError(f"data file {path} has become shorter while it was read; leave it alone and run again")
    return data


def read_bounded(path: Path, limit: int) -> bytes:
    """All of a file of at most `limit` bytes."""
    size = regular_file(path).st_size
    if size > limit:
        raise RequestError(f"data file {path} has {size} bytes; at most {limit} are read here")
    return read_span(path, 0, size)


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object from a file of bounded size."""
    return parse_json(read_bounded(path, LARGEST_JSON_BYTES), str(path))


def parse_json(data: bytes, name: str) -> dict[str, Any]:
    """One JSON object; `name` is what errors call it. Repeated keys and NaN are refused."""
    try:
        value = json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError, MemoryError) as error:
        raise RequestError(f"{name} is no JSON object ({str(error) or type(error).__name__}); make it again") from None
    if not isinstance(value, dict):
        raise RequestError(f"{name} holds a {type(value).__name__} where an object is expected; make it again")
    return value


def canonical_json(value: Any) -> bytes:
    """The one way in which a value is written, so that equal values have equal sums."""
    return (json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n").encode()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
