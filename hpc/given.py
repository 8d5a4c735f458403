"""Small files that a stranger may have put into a store: regular ones, of bounded size, JSON of bounded depth.

Owns opening without waiting for a pipe. Never writes, never takes the bytes for anything.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

MOST_JSON_BYTES = 1 << 24
"""A job has at most 1 MiB, and metadata states it thrice."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file to read; OSError for a pipe, which may never say a word, and a device, which may never stop."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises OSError where it cannot be read or is no regular file, ValueError where it is too large, too deep or no JSON.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(min(size, MOST_JSON_BYTES))
    if size > MOST_JSON_BYTES:
        raise ValueError(f"larger than {MOST_JSON_BYTES} bytes")
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
