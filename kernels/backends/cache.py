"""The folder of compiled kernels: private to the user, filled by one process at a time, files appear whole.

A folder or file that is not ours, is a link or can be written by others is refused: it would be code of a stranger.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernels.errors import RequestError


def cache_folder() -> Path:
    """`$HORSESHOE_CACHE`, else `horseshoe` in the user's cache folder; made with mode 0700 where missing.

    Raises RequestError where the folder is unsafe or cannot be made.
    """
    base = os.environ.get("HORSESHOE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME")
    folder = Path(base) if base else (Path(home) if home else Path.home() / ".cache") / "horseshoe"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"cache folder {folder}: {error.strerror}; set HORSESHOE_CACHE to a private folder"
        ) from None
    check_private(folder)
    return folder


def share_with_cupy() -> None:
    """Let CuPy keep its binaries in our folder too, unless CUPY_CACHE_DIR is set. RequestError as `cache_folder`.

    To be called before anything imports CuPy, which looks at its import and would make the folder for others to write.
    """
    if "CUPY_CACHE_DIR" not in os.environ:
        os.environ["CUPY_CACHE_DIR"] = str(cache_folder() / "cupy")


def check_private(path: Path) -> None:
    """Refuse (RequestError) a cache entry that somebody else could have written."""
    status = path.lstat()
    fault = (
        "is a symbolic link"
        if stat.S_ISLNK(status.st_mode)
        else "belongs to another user"
        if status.st_uid != os.geteuid()
        else "can be written by others"
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        else ""
    )
    if fault:
        raise RequestError(f"cache entry {path} {fault}; remove it, or set HORSESHOE_CACHE to a private folder")


@contextmanager
def one_process_at_a_time(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of one cache entry, so that of many ranks on a node a single one compiles."""
    with (folder / f"{name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: both compile, the last rename wins
            yield
            return
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)
