"""Classes of nodes from noisy features and from neighbours: encode, process on the graph, decode.

Owns the sections [data] and [model] of the task. Graphs are networks/data, networks networks/structure.
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
    from networks.structure.tasks.nodes import NodesTask

FILE_NAME = "graphs.npz"


class Data(arrays.Arrays, frozen=True, kw_only=True):
    """Graphs whose nodes have features and a class."""

    generator: Literal["blocks"] | None = None
    """Makes graphs whose nodes are linked more often within a class."""


class Model(Section, frozen=True, kw_only=True):
    """A network of the features of a node, blocks on the graph, and a network that tells the class."""

    processor: Literal["none", "gat", "grand", "hamiltonian", "double-bracket"] = "gat"
    """The blocks: none, so that a node has its own features alone; graph attention; diffusion; flows of a learned energy that
    keep it or lose it."""

    width: Size = 16
    """Features inside."""

    depth: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 2
    """Blocks, one after the other."""

    shared: bool = False
    """Whether all blocks have the same weights."""

    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Share of hidden features of the first and last networks that is left out in training."""

    heads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """Heads of graph attention; they divide the width."""

    weights: Literal["symmetric", "row-stochastic"] = "symmetric"
    """Weights of diffusion: one an edge, which keeps the mean over nodes; or a softmax over the neighbours."""

    activation: Literal["identity", "tanh"] = "identity"
    """What the change by diffusion goes through."""

    step: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.5
    """How far a block of diffusion or of a flow goes."""

    damping: Annotated[float, msgspec.Meta(ge=0, le=100)] = 1.0
    """How fast a double bracket loses energy."""

    method: Literal["euler", "rk4", "midpoint", "discrete-gradient"] = "rk4"
    """Integrator of the flows; the last two are implicit and keep more."""


DATA, MODEL = Data, Model


def check(data: Data, model: Model, train: Train) -> None:
    """Refuse what cannot be trained, by the key to change."""
    del train
    arrays.check_source(data, FILE_NAME)
    if model.processor == "gat" and model.width % model.heads:
        raise RequestError(f"model.heads: {model.heads} does not divide the {model.width} of model.width")
    if model.processor == "grand" and model.weights == "row-stochastic" and model.step > 1:
        raise RequestError(
            "model.step: at most 1 with row-stochastic weights; longer steps leave the neighbours' range"
        )


def task(data: Data, model: Model, *, seed: int) -> NodesTask:
    """The problem of one run."""
    del seed
    from networks.data.graphs import load
    from networks.structure.shell import Settings
    from networks.structure.tasks.nodes import NodesTask

    # Features and classes are those of the graphs, once they are read.
    settings = Settings(features=1, classes=1, **msgspec.structs.asdict(model))
    return NodesTask(settings, lambda: load(arrays.locate(data)))


def manifest(data: Data) -> Mapping[str, Any]:
    """The file's size and sum, or what the generator is asked for."""
    return arrays.describe(data, FILE_NAME)
