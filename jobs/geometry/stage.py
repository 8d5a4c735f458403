"""The units of a geometry job: one run of its experiment each. Nothing here reads a store or a clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpc.plan import ArraySpec, Finished
from jobs.geometry.quantities import Experiment, Quantity
from kernels.backends.base import Array, Backend, Run

FILL = {"f": math.nan, "i": -1}
CHUNK_VALUES = 1 << 18


@dataclass(frozen=True)
class GeometryStage:
    """Unit i is run i."""

    experiment: Experiment
    name: str = "geometry"

    @property
    def num_units(self) -> int:
        """One a run."""
        return max(1, len(self.experiment.runs))

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """Every quantity with the run before its own dimensions."""
        return tuple(self._array(quantity) for quantity in self.experiment.quantities)

    def _array(self, quantity: Quantity) -> ArraySpec:
        shard = (1, *quantity.shape)
        chunk = (
            1,
            *(
                next(part for part in range(min(size, CHUNK_VALUES), 0, -1) if size % part == 0)
                for size in quantity.shape
            ),
        )
        return ArraySpec(
            name=quantity.name,
            shape=(self.num_units, *quantity.shape),
            dtype=quantity.dtype,
            shard=shard,
            chunk=chunk,
            dimensions=("run", *quantity.dimensions),
            fill_value=FILL[np.dtype(quantity.dtype).kind],
            attributes={"units": "1", "long_name": quantity.long_name},
        )

    def cost(self, unit: int) -> float:
        """All alike."""
        del unit
        return 1.0

    def memory_bytes(self, unit: int) -> int:
        """Results, their encoded copies, and as much again for what they come from."""
        del unit
        results = sum(32 * math.prod(quantity.shape) for quantity in self.experiment.quantities)
        return results + self.experiment.memory_bytes + (1 << 20)

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Begin a run; it is short, and computed in one go wherever it is."""
        del backend, finished
        return _GeometryRun(self.experiment, unit)


class _GeometryRun:
    """One run of an experiment."""

    def __init__(self, experiment: Experiment, unit: int) -> None:
        self._experiment = experiment
        self._unit = unit
        self._found: dict[str, Array] = {}

    def advance(self, seconds: float) -> float:
        """Compute everything; experiments take seconds at most."""
        del seconds
        found = self._experiment.compute(self._unit)
        self._found = {
            quantity.name: np.asarray(found[quantity.name], dtype=quantity.dtype)[np.newaxis]
            for quantity in self._experiment.quantities
        }
        return 1.0

    def interrupt(self) -> None:
        """Nothing to do: no `advance` takes long."""

    def arrays(self) -> dict[str, Array]:
        """The arrays of the run, each (1, ...)."""
        return self._found
