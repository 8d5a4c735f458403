"""How results reach the disk: temporary name, fsync, rename, so that a file under its own name is whole.

Never leaves a partial file behind an exception and never overwrites a folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpc.durable import sync_folder
from kernels.errors import RequestError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any exception it is removed.

    Raises RequestError when the folder is missing or cannot be written to, before anything is computed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.is_dir():
            raise RequestError(f"{path} is a folder: give --out the name of a file")
        if not path.parent.is_dir():
            raise RequestError(f"{path.parent} is not a folder: make it first, or choose another --out")
        temporary.touch()
    except OSError as error:
        raise RequestError(f"{path} cannot be written ({error.strerror}): choose another --out") from None

    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
