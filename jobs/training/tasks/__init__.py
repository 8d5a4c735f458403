"""The problems that training jobs are about, a module each, and what such a module offers.

Owns the table of tasks. Never imports torch: a task's module does so when its task is made.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from jobs.reading import nearest, one_line
from jobs.sections import Section
from jobs.training.sections import Train
from kernels.errors import RequestError

if TYPE_CHECKING:
    from networks.task import Task

TASKS = {
    "classes": "jobs.training.tasks.classes",
    "dynamics": "jobs.training.tasks.dynamics",
    "field": "jobs.training.tasks.field",
    "interpolation": "jobs.training.tasks.interpolation",
    "language": "jobs.training.tasks.language",
    "regression": "jobs.training.tasks.regression",
    "nodes": "jobs.training.tasks.nodes",
}
"""Module of every task; imported when a job of that task is loaded."""


class TaskModule(Protocol):
    """What the module of a task offers. `DATA` and `MODEL` are the sections [data] and [model] of its jobs.

    A section whose keys all have defaults may be left out of a job. The module's docstring begins with the line that
    docs/job.md has for the task.
    """

    DATA: type[Section]
    MODEL: type[Section]

    def check(self, data: Any, model: Any, train: Train) -> None:
        """Refuse impossible values with RequestError, before anything is written."""
        ...

    def task(self, data: Any, model: Any, *, seed: int) -> Task:
        """The problem of one run, on every rank alike; `seed` is train.seed.

        Called for `plan` as well: what takes long, such as reading data, waits until it is asked for.
        """
        ...

    def manifest(self, data: Any) -> Mapping[str, Any]:
        """What enters the job's identity beside [data]: of a file its size, sha256 and licence; nothing for generators."""
        ...


def module_of(name: object) -> TaskModule:
    """The module of a task; RequestError for a task that does not exist."""
    if not isinstance(name, str) or name not in TASKS:
        if name is None:
            raise RequestError(f"task: is missing; known: {', '.join(TASKS)}")
        near = nearest(str(name), list(TASKS))
        raise RequestError(f"task: {one_line(name)!r} is not a task{near}; known: {', '.join(TASKS)}")
    return cast(TaskModule, importlib.import_module(TASKS[name]))
