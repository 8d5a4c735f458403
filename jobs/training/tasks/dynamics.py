"""Motions of springs and pendulums: an energy learned from states one step apart, rolled out by integrators that keep it.

Owns the sections [data] and [model] of the task. Motions are networks/data, flows networks/structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from jobs.sections import Section, Size
from jobs.training.sections import Train
from jobs.training.tasks import arrays

if TYPE_CHECKING:
    from networks.data.trajectories import Trajectories
    from networks.structure.tasks.dynamics import DynamicsTask

FILE_NAME = "trajectories.npz"


class Data(arrays.Arrays, frozen=True, kw_only=True):
    """Motions of unit masses: places and velocities at equal times."""

    generator: Literal["springs", "pendulums", "damped-springs"] | None = None
    """Makes rings of springs, single pendulums, or rings that lose energy as a double bracket does."""

    shown: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4
    """Motions held back that are rolled out from their first state."""


class Model(Section, frozen=True, kw_only=True):
    """What moves the state: velocities on nodes, extensions on edges."""

    law: Literal["hamiltonian", "double-bracket", "free"] = "hamiltonian"
    """A learned energy that stays; one that falls, its damping learned as well; or any rate of change of the whole state."""

    method: Literal["euler", "rk4", "midpoint", "discrete-gradient"] = "discrete-gradient"
    """Integrator, in learning and in rolling out. A free law has no energy: midpoint stands in for discrete gradients."""

    hidden: Size = 32
    """Hidden features of the networks that make the energy."""

    depth: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    """Their hidden layers."""


DATA, MODEL = Data, Model


def check(data: Data, model: Model, train: Train) -> None:
    """Refuse what cannot be trained, by the key to change."""
    del model, train
    arrays.check_source(data, FILE_NAME)


def task(data: Data, model: Model, *, seed: int) -> DynamicsTask:
    """The problem of one run."""
    del seed
    from networks.structure.tasks.dynamics import DynamicsTask, Settings

    return DynamicsTask(Settings(**msgspec.structs.asdict(model)), lambda: _load(data), num_shown=data.shown)


def _load(data: Data) -> Trajectories:
    from kernels.errors import RequestError
    from networks.data.trajectories import load_trajectories

    found = load_trajectories(arrays.locate(data))
    if not len(found.edges) and not found.gravity:
        raise RequestError("data: the masses have neither springs nor weight; a graph without edges has no dynamics")
    return found


def manifest(data: Data) -> Mapping[str, Any]:
    """The file's size and sum, or what the generator is asked for."""
    return arrays.describe(data, FILE_NAME)
