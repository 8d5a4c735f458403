"""What a plan has to know of a run before it is made: its measures, what it leaves, the size of its model.

Owns the making of tasks from settings. Imports torch when asked; keeps what it has found, but no data and no model.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.training.runs import RunSettings
from jobs.training.tasks import module_of

if TYPE_CHECKING:
    from networks.task import Result, Task

BYTES_PER_PARAMETER = {"sgd": 12, "adam": 20, "adamw": 20}
"""Weight, gradient, what the optimiser keeps (sgd: its last step), and the gradient once more in the buckets of DDP."""


@dataclass(frozen=True)
class Facts:
    """What a run is, in numbers."""

    unit: str
    measures: tuple[str, ...]
    chance: float | None
    results: tuple[Result, ...]
    parameters: int


def make_task(task: str, run: RunSettings) -> Task:
    """The task of a run. Raises RequestError where its data cannot be had."""
    return module_of(task).task(run.data, run.model, seed=run.train.seed)


class TaskMaker:
    """Makes the task of a run and keeps the latest one: what is read for a look before the job is not read again."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._latest: tuple[int, Task] | None = None

    def __call__(self, run: RunSettings) -> Task:
        """The task of a run. RequestError as `make_task`."""
        if self._latest is None or self._latest[0] != run.number:
            self._latest = None
            self._latest = run.number, make_task(self._task, run)
        return self._latest[1]


def facts(task: str, run: RunSettings) -> Facts:
    """What is known of a run before it is made."""
    import msgspec

    text = msgspec.json.encode((run.number, run.data, run.model, run.train))
    return _facts(task, text, _Held(run))


class _Held:
    """Settings that travel beside the key of a cache, and are no part of it."""

    def __init__(self, run: RunSettings) -> None:
        self.run = run

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=10_000)
def _facts(task: str, text: bytes, held: _Held) -> Facts:
    del text
    made = make_task(task, held.run)
    count = sum(parameter.numel() for parameter in _model(made).parameters() if parameter.requires_grad)
    return Facts(made.unit, tuple(made.measures), made.chance, tuple(made.results), count)


def _model(task: Task) -> Any:
    """A model without weights, which takes no memory; with them where it cannot be made so."""
    import torch

    try:
        with torch.device("meta"):
            return task.model()
    except (NotImplementedError, RuntimeError):
        return task.model()
