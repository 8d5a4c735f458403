"""What all tests leave as they found it: the memory that MPI shares between the ranks of a host.

mpich takes its file in /dev/shm away when MPI ends in order, and tests kill ranks in the middle of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

SHARED_MEMORY = Path("/dev/shm")
NAMES = "mpich_shm_*"


@pytest.fixture(scope="session", autouse=True)
def _no_shared_memory_is_left() -> Iterator[None]:
    """Remove the files that have come meanwhile, but for those that a process has mapped."""
    before = set(SHARED_MEMORY.glob(NAMES))
    yield
    fresh = set(SHARED_MEMORY.glob(NAMES)) - before
    in_use = "".join(map(maps, Path("/proc").glob("[0-9]*/maps"))) if fresh else ""
    for path in fresh:
        # Another user's are not ours to remove.
        with suppress(OSError):
            if str(path) not in in_use:
                path.unlink()


def maps(path: Path) -> str:
    """What a process has mapped; nothing where it has gone, or is another user's."""
    try:
        return path.read_text()
    except OSError:
        return ""
