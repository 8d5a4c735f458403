"""What is measured of a run: arrays over its steps and its evaluations, and the part of them that is one unit.

Owns names, types and layout of these arrays, and the buffer of a block until it is written. Never touches a store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hpc.plan import ArraySpec
from kernels.backends.base import Array

BY_STEP = {
    "loss": ("<f8", "nat", "mean loss of the step's samples, before its update"),
    "gradient_norm": ("<f8", "1", "norm of the gradient before it is clipped; infinite where the update was left out"),
    "rate": ("<f8", "1", "learning rate of the step"),
    "weight": ("<f8", "{unit}", "{unit} trained on until the end of the step"),
    "seconds": ("<f8", "s", "time of training until the end of the step, evaluations left out"),
    "memory_bytes": ("<i8", "B", "most memory that the first rank has held so far"),
}
"""Dtype, units and meaning of the arrays over (run, step)."""

BY_EVALUATION = {
    "evaluation_step": ("<i4", "1", "steps taken before the evaluation"),
    "evaluation_loss": ("<f8", "nat", "mean loss of the evaluation samples"),
    "evaluation_samples": ("<f8", "1", "samples trained on before the evaluation"),
    "evaluation_seconds": ("<f8", "s", "time of training before the evaluation"),
}
"""The same over (run, evaluation); `evaluation_MEASURE` for each measure of the task come besides."""

NAMES = frozenset({*BY_STEP, *BY_EVALUATION})


def names(measures: Sequence[str]) -> tuple[str, ...]:
    """Names of all arrays of a task with these measures."""
    return (*BY_STEP, *BY_EVALUATION, *(f"evaluation_{measure}" for measure in measures))


def arrays(
    num_runs: int, steps: int, block: int, between: int, measures: Sequence[str], unit: str
) -> tuple[ArraySpec, ...]:
    """The arrays of runs of at most so many steps, a shard each `block` steps, an evaluation each `between` steps."""
    found = []
    for name, told in BY_STEP.items():
        found.append(_array(name, told, num_runs, steps, block, "step", unit))
    own = {f"evaluation_{measure}": ("<f8", "1", f"mean {measure} of the evaluation samples") for measure in measures}
    for name, told in {**BY_EVALUATION, **own}.items():
        found.append(_array(name, told, num_runs, -(-steps // between), block // between, "evaluation", unit))
    return tuple(found)


def _array(
    name: str, told: tuple[str, str, str], num_runs: int, size: int, shard: int, dimension: str, unit: str
) -> ArraySpec:
    dtype, units, meaning = told
    attributes = {"units": units.format(unit=unit), "long_name": meaning.format(unit=unit)}
    fill = math.nan if np.dtype(dtype).kind == "f" else -1
    shape, cut = (num_runs, size), (1, shard)
    return ArraySpec(name, shape, dtype, cut, cut, ("run", dimension), fill, attributes)


class Block:
    """The numbers of one block of a run, filled step by step; what is not reached stays "not computed"."""

    def __init__(self, specs: Sequence[ArraySpec], number: int, steps: int, evaluations: int) -> None:
        self.number = number
        sizes = {"step": steps, "evaluation": evaluations}
        self._values = {spec.name: np.full(sizes[spec.dimensions[1]], spec.fill_value, spec.dtype) for spec in specs}

    def note(self, index: int, values: Mapping[str, float]) -> None:
        """The numbers of a step or an evaluation, counted from the beginning of the block."""
        for name, value in values.items():
            self._values[name][index] = value

    def arrays(self) -> dict[str, Array]:
        """All numbers, by array; of the shape of the unit."""
        return {name: values[np.newaxis] for name, values in self._values.items()}

    def restore(self, values: Mapping[str, Array]) -> None:
        """Take numbers up again that a checkpoint has kept. Raises ValueError where they are not of this block."""
        for name, own in self._values.items():
            found = values.get(name)
            if found is None or found.shape != own.shape or found.dtype != own.dtype:
                raise ValueError(f"the metrics of the checkpoint have no {name} of this block")
            own[:] = found
