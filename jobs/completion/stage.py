"""The one unit of a completion job: all prompts at all temperatures. Reads a checkpoint of another store, never its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpc.plan import ArraySpec, Finished
from jobs.completion.trained import Trained
from kernels.backends.base import Array, Backend, Run


@dataclass(frozen=True)
class CompletionStage:
    """Everything that the model writes."""

    trained: Trained
    name: str = "completion"
    num_units: int = 1

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """As a training job leaves them, of one run."""
        return self.trained.arrays

    def cost(self, unit: int) -> float:
        """There is only one unit to compare with."""
        del unit
        return 1.0

    def memory_bytes(self, unit: int) -> int:
        """A model, and the arrays."""
        del unit
        own = sum(np.dtype(spec.dtype).itemsize * math.prod(spec.shape) for spec in self.arrays)
        return self.trained.memory_bytes + 2 * own

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Begin to write."""
        del unit, backend, finished
        return _Writing(self.trained)


class _Writing:
    """The unit, computed by the first `advance`."""

    def __init__(self, trained: Trained) -> None:
        self._trained = trained
        self._found: dict[str, Array] = {}

    def advance(self, seconds: float) -> float:
        """Compute everything."""
        del seconds
        self._found = self._trained.complete()
        return 1.0

    def interrupt(self) -> None:
        """Nothing to do: models are small, and windows end."""

    def arrays(self) -> dict[str, Array]:
        """The arrays, each (1, ...)."""
        return self._found
