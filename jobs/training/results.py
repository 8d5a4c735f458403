"""The stage `results`: what a trained model leaves, run by run, from the checkpoint at the end of its training.

Owns the layout of these arrays. Where runs leave arrays of unlike sizes, the store has room for the largest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpc.plan import ArraySpec
from jobs.training.checkpoint import Checkpoints
from jobs.training.randomness import seed_torch
from jobs.training.runs import RunSettings
from jobs.training.stage import MakeTask, Together
from kernels.backends.base import Array, Backend
from kernels.errors import RequestError

if TYPE_CHECKING:
    from hpc.groups import Member
    from networks.task import Result

FILL = {"f": math.nan, "i": -1, "u": 255}
MOST_CHUNK_VALUES = 1 << 18


def arrays(results: Sequence[Sequence[Result]]) -> tuple[ArraySpec, ...]:
    """The arrays of all runs, the run first. Raises RequestError where runs disagree about what an array is."""
    largest: dict[str, Result] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for of_run in results:
        for result in of_run:
            former = largest.setdefault(result.name, result)
            if (former.dimensions, np.dtype(former.dtype)) != (result.dimensions, np.dtype(result.dtype)):
                raise RequestError(f"sweep: {result.name} is not the same array in all runs; make a job for each")
            known = shapes.get(result.name, result.shape)
            shapes[result.name] = tuple(max(pair) for pair in zip(known, result.shape, strict=True))
    return tuple(_array(result, shapes[name], len(results)) for name, result in largest.items())


def _array(result: Result, shape: tuple[int, ...], num_runs: int) -> ArraySpec:
    attributes = {"units": result.units, "long_name": result.long_name, **result.attributes}
    inner = list(shape)
    axis = 0
    while math.prod(inner) > MOST_CHUNK_VALUES and axis < len(inner):
        # Chunks divide their shard.
        inner[axis] = (
            next(size for size in range(inner[axis] // 2, 0, -1) if inner[axis] % size == 0) if inner[axis] > 1 else 1
        )
        axis += inner[axis] == 1
    return ArraySpec(
        name=result.name,
        shape=(num_runs, *shape),
        dtype=result.dtype,
        shard=(1, *shape),
        chunk=(1, *inner),
        dimensions=("run", *result.dimensions),
        fill_value=FILL[np.dtype(result.dtype).kind],
        attributes=attributes,
    )


@dataclass(frozen=True)
class ResultsStage(Together):
    """Unit i is what run i leaves. A rank alone makes it."""

    arrays: tuple[ArraySpec, ...]
    runs: tuple[RunSettings, ...]
    make_task: MakeTask
    weights_bytes: int
    name: str = "results"

    @property
    def num_runs(self) -> int:
        """Runs of the job."""
        return len(self.runs)

    @property
    def num_units(self) -> int:
        """One a run."""
        return len(self.runs)

    def cost(self, unit: int) -> float:
        """All alike."""
        del unit
        return 1.0

    def memory_bytes(self, unit: int) -> int:
        """A model, and the arrays."""
        del unit
        own = sum(np.dtype(spec.dtype).itemsize * math.prod(spec.shape[1:]) for spec in self.arrays)
        return self.weights_bytes + 2 * own

    def group_size(self, num_ranks: int) -> int:
        """One rank."""
        del num_ranks
        return 1

    def is_pending(self, run: int, finished: Array, store: Path) -> bool:
        """Whether the unit is missing."""
        del store
        return not finished[run]

    def seconds_per_cost(self, backend: Backend) -> float | None:
        """Nothing beside training, which is what is tried."""
        del backend
        return 0.0

    def work(self, run: int, member: Member) -> None:
        """Make the arrays of a run."""
        if member.is_told_to_stop():
            member.stop()
            return
        settings = self.runs[run]

        def make() -> None:
            task = self.make_task(settings)
            seed_torch(settings.train.seed, "model")
            model = task.model()
            if settings.steps:
                self._load(settings, member.store, model)
            seed_torch(settings.train.seed, "finish")
            found = task.finish(model.eval())
            values = {spec.name: padded(spec, found.get(spec.name)) for spec in self.arrays}
            member.write(run, values, 0.0, 1.0)

        member.everywhere(make)

    def _load(self, settings: RunSettings, store: Path, model: Any) -> None:
        """Put the weights at the end of a run into its model."""
        from jobs.training.loop import last_step
        from jobs.training.trainer import load_model

        checkpoints = Checkpoints(store, settings.number, settings.train.keep, "reader-0")
        step = last_step(checkpoints)
        if step is None:
            raise RequestError(
                f"{checkpoints.place(settings.steps)}: is missing or damaged; the same command makes it anew"
            )
        load_model(model, checkpoints.load(step).model)


def padded(spec: ArraySpec, values: Array | None) -> Array:
    """A run's array in the room that the store has for it. Raises ValueError where it is larger, or of another type."""
    room = np.full(spec.shape[1:], spec.fill_value, spec.dtype)
    if values is not None:
        if values.dtype != room.dtype or values.ndim != room.ndim or any(np.array(values.shape) > room.shape):
            raise ValueError(
                f"{spec.name}: {values.dtype} of shape {values.shape} does not fit {spec.dtype} {room.shape}"
            )
        room[tuple(slice(0, size) for size in values.shape)] = values
    return room[np.newaxis]
