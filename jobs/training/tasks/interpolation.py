"""A function of one variable from its values at nodes: hat functions against softmax attention as a basis.

Owns the sections [data] and [model] of the task. The bases are networks/structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from jobs.sections import FormulaText, Section, Size
from jobs.training.sections import Train
from kernels.errors import RequestError
from kernels.expression import Formula, evaluate, parse

if TYPE_CHECKING:
    from networks.structure.tasks.interpolation import InterpolationTask

Points = Annotated[int, msgspec.Meta(ge=2, le=100_000)]


class Data(Section, frozen=True, kw_only=True):
    """A function, the nodes of the basis, and the points at which it is learned and compared."""

    function: FormulaText = "sin(2*pi*x) + 0.5*sin(6*pi*x)"
    """The function: a formula of x."""

    interval: tuple[float, float] = (0.0, 1.0)
    """Where."""

    nodes: Annotated[int, msgspec.Meta(ge=2, le=4096)] = 12
    """Equally spaced nodes, both ends included."""

    count: Points = 200
    """Points to train on, equally spaced."""

    shown: Points = 301
    """Points to compare at, equally spaced, both ends included."""


class Model(Section, frozen=True, kw_only=True):
    """A basis alpha_n(x) that is nowhere negative and sums to 1; the values at the nodes are learned with it."""

    basis: Literal["hat", "softmax", "mlp"] = "softmax"
    """Piecewise linear; softmax of -(x - x_n)^2 / temperature; softmax of a product of two networks, of x and of x_n."""

    width: Size = 32
    """Hidden features of those networks."""


DATA, MODEL = Data, Model


def check(data: Data, model: Model, train: Train) -> None:
    """Refuse what cannot be trained, by the key to change."""
    del model, train
    low, high = data.interval
    if not (np.isfinite([low, high]).all() and low < high):
        raise RequestError("data.interval: is two numbers, the smaller one first")
    if data.count < 2 * data.nodes:
        raise RequestError(f"data.count: at least 2 * data.nodes = {2 * data.nodes}, so that every node is seen")
    if not np.isfinite(_values(_formula(data), np.linspace(low, high, 1001))).all():
        raise RequestError("data.function: is not a finite real number everywhere in data.interval")


def task(data: Data, model: Model, *, seed: int) -> InterpolationTask:
    """The problem of one run."""
    del seed
    from networks.structure.tasks.interpolation import InterpolationTask, Samples

    low, high = data.interval
    middle = (np.arange(data.count) + 0.5) / data.count
    samples = Samples(
        np.linspace(low, high, data.nodes), low + (high - low) * middle, np.linspace(low, high, data.shown)
    )
    formula = _formula(data)
    return InterpolationTask(model.basis, model.width, samples, lambda x: _values(formula, x))


def manifest(data: Data) -> Mapping[str, Any]:
    """Nothing: [data] says all."""
    del data
    return {}


def _formula(data: Data) -> Formula:
    return parse(data.function, names={"x"}, key="data.function")


def _values(formula: Formula, x: Any) -> Any:
    with np.errstate(all="ignore"):
        found = np.asarray(evaluate.numpy(formula, {"x": x} if "x" in formula.names else {}))
    real = np.where(np.isreal(found), found.real, np.nan)
    return np.broadcast_to(real, x.shape).astype(np.float64)
