"""A function of one variable from values at nodes, as a problem for the trainer: hat functions and softmax as bases.

Owns nodes, samples and loss. Knows no formulas: the function is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networks.structure.interpolation import Basis, Dictionary
from networks.task import Batch, Result

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Samples:
    """Where the function is known: `nodes` of the basis, points to train on and points to evaluate, in order."""

    nodes: Floats
    train: Floats
    valid: Floats


class InterpolationTask:
    """A `networks.task.Task`: y at points x, from values at nodes that start as the function's own."""

    unit = "points"
    groups = None
    measures = ()

    def __init__(self, basis: Basis, width: int, samples: Samples, function: Callable[[Floats], Floats]) -> None:
        self._basis, self._width, self._samples, self._function = basis, width, samples, function

    @property
    def num_samples(self) -> int:
        """Points to train on."""
        return len(self._samples.train)

    @property
    def num_evaluation_samples(self) -> int:
        """Points between them."""
        return len(self._samples.valid)

    @property
    def chance(self) -> float:
        """The loss of the mean."""
        return float(np.var(self._function(self._samples.valid)))

    @property
    def results(self) -> tuple[Result, ...]:
        """The basis functions and the function they make, before and after training."""
        points, nodes = len(self._samples.valid), len(self._samples.nodes)
        return (
            Result("x", (points,), ("point",), long_name="where the bases are compared"),
            Result("exact", (points,), ("point",), long_name="the function"),
            Result("first", (points,), ("point",), long_name="what the basis makes of the values at the nodes"),
            Result("approximation", (points,), ("point",), long_name="after training"),
            Result("alpha", (nodes, points), ("node", "point"), long_name="weights of the nodes"),
            Result("row_error", (), (), long_name="largest difference from 1 of the sum of all weights"),
        )

    def model(self) -> Dictionary:
        """A new basis with the function's values at the nodes."""
        nodes = self._samples.nodes
        values = self._function(nodes)
        return Dictionary(self._basis, torch.from_numpy(nodes).float(), torch.from_numpy(values).float(), self._width)

    def batch(self, samples: Sequence[int]) -> Batch:
        """`x` and `y` [point]."""
        return self._batch(self._samples.train[list(samples)])

    def evaluation_batch(self, samples: Sequence[int]) -> Batch:
        """The same between the points trained on."""
        return self._batch(self._samples.valid[list(samples)])

    def _batch(self, x: Floats) -> Batch:
        return {name: torch.from_numpy(values).float() for name, values in (("x", x), ("y", self._function(x)))}

    def weight(self, batch: Batch) -> float:
        """Points."""
        return float(len(batch["y"]))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Squared errors summed over points."""
        found: Tensor = (model(batch["x"]) - batch["y"]).square().sum()
        return found

    def evaluate(self, model: nn.Module, batch: Batch) -> Mapping[str, float]:
        """The loss."""
        return {"loss": self.loss(model, batch).item()}

    def finish(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """The arrays of `results`."""
        assert isinstance(model, Dictionary)
        x, nodes = self._samples.valid, self._samples.nodes
        with torch.no_grad():
            # In float32 the nodes have lost digits, which hat functions would not interpolate at.
            model.double().nodes.copy_(torch.from_numpy(nodes))
            alpha = model.weights(torch.from_numpy(x)).numpy()
        return {
            "x": x,
            "exact": self._function(x),
            "first": alpha @ self._function(nodes),
            "approximation": alpha @ model.values.detach().numpy(),
            "alpha": np.ascontiguousarray(alpha.T),
            "row_error": np.array(np.abs(alpha.sum(1) - 1).max()),
        }
