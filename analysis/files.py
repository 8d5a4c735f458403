"""How results reach the disk: temporary name, fsync, rename, so that a file under its own name is whole.

Never leaves a partial file behind an exception or SIGTERM, and never overwrites anything but a file.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hpc.durable import sync_folder
from kernels.errors import RequestError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any exception it is removed.

    A symbolic link stays and the file it leads to is replaced. Raises RequestError when the folder is missing or cannot
    be written to, before anything is computed, and for any error of the file system later.
    """
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.name}.{os.getpid()}.partial")
    with leaving_on_sigterm():
        try:
            _check(path, place)
            temporary.touch()
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(place)
            sync_folder(place.parent)
        except OSError as error:
            # One without a number is not of the file system: a lost connection, for example.
            if error.errno is None:
                raise
            if error.filename is None or Path(os.fsdecode(error.filename)) in (place, temporary):
                reason = f"{path} cannot be written ({error.strerror}): choose another --out"
            else:
                reason = f"{error.filename}: {error.strerror}"
            raise RequestError(reason) from None
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _check(path: Path, place: Path) -> None:
    """Refuse what is no place for a file: `path` as it was given, which leads to `place`."""
    if place.is_dir():
        raise RequestError(f"{path} is a folder: give --out the name of a file")
    if place.is_symlink() or (place.exists() and not place.is_file()):
        raise RequestError(f"{path} is not a file: choose another --out")
    if not place.parent.is_dir():
        raise RequestError(f"{place.parent} is not a folder: make it first, or choose another --out")


@contextmanager
def leaving_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, as SIGINT is an exception already, so that what was begun is tidied up."""

    def leave(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    # Only the main thread may set handlers, and one of somebody else's stays.
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
