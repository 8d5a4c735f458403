"""Gaussian classes told apart by a small network: what the order of the data does to what is remembered.

Owns the sections [data] and [model] of the task. Points and network are networks/classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from jobs.sections import Section
from jobs.training.sections import Train
from kernels.errors import RequestError

if TYPE_CHECKING:
    from networks.classes.task import ClassesTask

MOST_VALUES = 1 << 28

Width = Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Data(Section, frozen=True, kw_only=True):
    """Points around random centres, a centre a class. The first half of the classes is lot A, the other lot B."""

    classes: Annotated[int, msgspec.Meta(ge=2, le=1024)] = 8
    """How many classes."""

    dimension: Width = 16
    """Numbers of a point; those of the centres are standard normal."""

    spread: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """Standard deviation of the points around their centre."""

    count: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] = 500
    """Points of each class to train on."""

    evaluation_count: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] = 250
    """Points of each class to evaluate with."""

    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] | None = None
    """Of centres and points; train.seed unless given."""


class Model(Section, frozen=True, kw_only=True):
    """A dense network."""

    hidden: tuple[Width, ...] = ()
    """Sizes of its hidden layers, with ReLU; none: softmax regression."""

    dropout: Share = 0.0
    """Share of the hidden activations that is left out in training."""


DATA, MODEL = Data, Model


def check(data: Data, model: Model, train: Train) -> None:
    """Refuse what does not fit into memory, or does nothing."""
    del train
    if data.classes * data.dimension * (data.count + data.evaluation_count) > MOST_VALUES:
        raise RequestError(f"data.count: makes more than {MOST_VALUES} numbers; make fewer points")
    if model.dropout and not model.hidden:
        raise RequestError("model.dropout: there is no hidden layer to drop from; see model.hidden")


def task(data: Data, model: Model, *, seed: int) -> ClassesTask:
    """The task of one run."""
    from networks.classes.task import ClassesTask

    return ClassesTask(
        num_classes=data.classes,
        dimension=data.dimension,
        spread=data.spread,
        num_training=data.count,
        num_evaluation=data.evaluation_count,
        seed=seed if data.seed is None else data.seed,
        hidden=model.hidden,
        dropout=model.dropout,
    )


def manifest(data: Data) -> Mapping[str, Any]:
    """The points follow from [data]."""
    del data
    return {}
