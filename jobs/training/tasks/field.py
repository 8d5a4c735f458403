"""The solution of a diffusion equation from its coefficient: a field by cross attention, and one that never sees it.

Owns the sections [data] and [model] of the task. Pairs are networks/data, fields networks/structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from jobs.sections import Section, Size
from jobs.training.sections import Train
from jobs.training.tasks import arrays
from kernels.errors import RequestError

if TYPE_CHECKING:
    from networks.structure.tasks.field import FieldTask

FILE_NAME = "diffusion.npz"
Few = Annotated[int, msgspec.Meta(ge=1, le=64)]


class Data(arrays.Arrays, frozen=True, kw_only=True):
    """Coefficients k of -(k u')' = 1, u = 0 at both ends, with their solutions u."""

    generator: Literal["diffusion"] | None = None
    """Makes them by finite differences."""

    shown: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4
    """Solutions held back whose prediction is stored."""

    masks: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 32
    """Dropout masks over which a prediction's mean and spread are taken."""


class Model(Section, frozen=True, kw_only=True):
    """A field u(x) given k as a set of places with values."""

    conditioning: Literal["attention", "none"] = "attention"
    """How the coefficient comes in: by cross attention from x to its places, or not at all."""

    width: Size = 64
    """Features inside."""

    heads: Few = 4
    """Heads of the attention; they divide the width."""

    projection: Literal["linear", "mlp"] = "mlp"
    """What queries, keys and values of each head go through: a linear map or a dense network."""

    projection_depth: Few = 1
    """Hidden layers of those networks."""

    depth: Few = 2
    """Hidden layers behind the attention."""

    frequencies: Few = 4
    """Sines and cosines that a place is told by, each twice as fast as the one before."""

    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Share of hidden features that is left out in training."""


DATA, MODEL = Data, Model


def check(data: Data, model: Model, train: Train) -> None:
    """Refuse what cannot be trained, by the key to change."""
    del train
    arrays.check_source(data, FILE_NAME)
    if model.width % model.heads:
        raise RequestError(f"model.heads: {model.heads} does not divide the {model.width} of model.width")


def task(data: Data, model: Model, *, seed: int) -> FieldTask:
    """The problem of one run; dropout masks of the results are drawn with `seed`."""
    from networks.data.trajectories import load_diffusion
    from networks.structure.field import Settings
    from networks.structure.tasks.field import FieldTask

    settings = Settings(**msgspec.structs.asdict(model))
    return FieldTask(
        settings, lambda: load_diffusion(arrays.locate(data)), num_shown=data.shown, masks=data.masks, seed=seed
    )


def manifest(data: Data) -> Mapping[str, Any]:
    """The file's size and sum, or what the generator is asked for."""
    return arrays.describe(data, FILE_NAME)
