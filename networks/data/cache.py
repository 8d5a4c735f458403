"""The folder of generated data: private to the user, an entry is whole or not there, a damaged one is made again.

Owns where entries are, their manifest and the renames that keep ranks from seeing each other's half. Several processes may
make one entry at once: all make the same bytes, the first to rename wins.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kernels.errors import RequestError
from networks.data.files import canonical_json, read_json, reason, sha256_of

MANIFEST_NAME = "manifest.json"
FIX = "remove it, or set HORSESHOE_DATA to a private folder"
FOREIGN = stat.S_IWGRP | stat.S_IWOTH

Maker = Callable[[], Mapping[str, bytes]]
"""What makes the files of an entry, by name."""


def data_folder() -> Path:
    """`$HORSESHOE_DATA`, else `horseshoe/data` in the user's cache folder; made with mode 0700 where missing.

    Raises RequestError where the folder is unsafe or cannot be made.
    """
    base, home = os.environ.get("HORSESHOE_DATA"), os.environ.get("XDG_CACHE_HOME")
    folder = Path(base) if base else (Path(home) if home else Path.home() / ".cache") / "horseshoe" / "data"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"data folder {folder}: {reason(error)}; set HORSESHOE_DATA to a private folder") from None
    check_private(folder)
    return folder


def check_private(path: Path) -> None:
    """Refuse (RequestError) an entry that is a link, another user's, or can be written by others."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise RequestError(f"data cache {path} is a symbolic link; {FIX}")
    if status.st_uid != os.geteuid() or status.st_mode & FOREIGN:
        raise RequestError(f"data cache {path} can be written by others; {FIX}")


def entry(name: str, description: Mapping[str, Any], make: Maker) -> Path:
    """The folder of one entry, made where it is missing or damaged.

    `description` goes into its manifest beside the sizes and sums of the files; an entry with another description counts
    as damaged.
    """
    base = data_folder()
    folder = base / name
    with _one_process_at_a_time(base, name):
        if is_whole(folder, description):
            return folder
        try:
            _make(folder, description, make())
        except OSError as error:
            raise RequestError(f"data cache {folder}: {reason(error)}; set HORSESHOE_DATA to another folder") from None
    if not is_whole(folder, description):
        raise RequestError(
            f"data cache {folder} is damaged as soon as it is made; set HORSESHOE_DATA to another folder"
        )
    return folder


def is_whole(folder: Path, description: Mapping[str, Any]) -> bool:
    """Whether an entry has all its files with the sums of its manifest. Raises RequestError for one that is unsafe."""
    manifest = folder / MANIFEST_NAME
    if not os.path.lexists(folder):
        return False
    check_private(folder)
    if not manifest.is_file():
        return False
    check_private(manifest)
    try:
        found = read_json(manifest)
        files = found.pop("files", None)
        if found != description or not isinstance(files, dict) or not files:
            return False
        return all(
            {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} == stated
            for name, stated in files.items()
        )
    except (RequestError, OSError):
        return False


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an entry."""
    return read_json(folder / MANIFEST_NAME)


def _make(folder: Path, description: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        for name, data in files.items():
            _write(partial / name, data)
        sums = {name: {"bytes": len(data), "sha256": sha256_of(partial / name)} for name, data in files.items()}
        _write(partial / MANIFEST_NAME, canonical_json({**description, "files": sums}))
        _sync(partial)
        if os.path.lexists(folder):
            # Take the damaged entry away in one step, so that nobody sees it half deleted.
            with contextlib.suppress(FileNotFoundError):
                folder.rename(partial / "damaged")
        with contextlib.suppress(FileExistsError):
            _rename(partial, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(folder / "damaged", ignore_errors=True)


def _rename(partial: Path, folder: Path) -> None:
    """Rename a folder; FileExistsError where another process was first, whatever the system calls it."""
    try:
        partial.rename(folder)
    except OSError:
        if folder.is_dir():
            raise FileExistsError(folder) from None
        raise


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems cannot synchronise a folder; there the rename is all that can be had.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _one_process_at_a_time(base: Path, name: str) -> Iterator[None]:
    """Of many ranks on a node a single one makes an entry; without locks all do, which is slower and as right."""
    with (base / f".{name}.lock").open("a") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
