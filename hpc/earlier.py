"""What a stage may read of the stages before it and of the store's constants.

Owns the cache of arrays that the units of a stage share. Never reads a ledger: it is used when all ranks know that the
earlier stages are finished.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from hpc.reading import Reader, open_for_reading
from kernels.backends.base import Array


class Earlier:
    """The `Finished` of one stage: each array is read once a rank, when a unit first asks for it. Thread-safe."""

    def __init__(self, store: Path, finished_stages: Sequence[str]) -> None:
        self._store = store
        self._finished_stages = finished_stages
        self._reader: Reader | None = None
        self._arrays: dict[str, Array] = {}
        self._lock = threading.Lock()

    def read(self, name: str) -> Array:
        """The whole array, read-only. Raises RuntimeError for an array of a stage that is not finished."""
        with self._lock:
            if self._reader is None:
                self._reader = open_for_reading(self._store)
                for stage in self._finished_stages:
                    self._reader.trust(stage)
            if name not in self._arrays:
                values = self._reader.read(name)
                values.setflags(write=False)
                self._arrays[name] = values
            return self._arrays[name]
