"""Files that are either whole and on the disk, or not there: temporary name, fsync, rename, fsync of the folder.

Owns the order of these steps and the name of partial files. Never knows what the bytes mean.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PARTIAL_SUFFIX = ".partial"
METADATA_NAME = "zarr.json"

# Some network file systems cannot synchronise a folder; there the rename itself is all that can be had.
NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)


def partial_path(path: Path, writer: str) -> Path:
    """Where `writer` ("RUN-RANK", no dots) keeps the unfinished form of `path`."""
    return path.with_name(f"{path.name}.{writer}{PARTIAL_SUFFIX}")


def partial_run(path: Path) -> str | None:
    """The run that a partial file belongs to, or None where the name is not that of a partial file of ours."""
    parts = path.name.rsplit(".", 2)
    if len(parts) != 3 or "." + parts[2] != PARTIAL_SUFFIX or "-" not in parts[1]:
        return None
    return parts[1].rpartition("-")[0]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, each durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def write_durably(path: Path, data: Any, writer: str) -> None:
    """Put `data` (bytes-like) at `path`, whole or not at all; on its return the file survives a power cut.

    Raises OSError (disk full, input/output error) with the old file, if any, untouched and no partial file left.
    """
    make_folder(path.parent)
    partial = partial_path(path, writer)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json_durably(path: Path, value: Mapping[str, Any], writer: str) -> None:
    """Put one JSON object at `path`, indented for people, whole or not at all."""
    write_durably(path, (json.dumps(value, indent=2) + "\n").encode(), writer)
