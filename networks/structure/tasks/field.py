"""Solutions of a diffusion equation given its coefficient, as a problem for the trainer.

Owns the join of pairs, field and loss. Coefficients go in as logarithms, solutions in units of their root mean square.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networks.data.arrays import TRAIN, VALID
from networks.data.trajectories import Diffusion
from networks.structure.field import NeuralField, Settings
from networks.structure.perceptron import over_masks
from networks.task import Batch, Result


class FieldTask:
    """A `networks.task.Task`: u(x) from x and a coefficient, which is a set of places with values.

    `load` gives the pairs and is called once. Of the first `num_shown` evaluation pairs the predictions are kept, and how
    they spread over `masks` dropout masks drawn with `seed`.
    """

    unit = "points"
    groups = None
    measures = ("relative_error",)

    def __init__(
        self, settings: Settings, load: Callable[[], Diffusion], *, num_shown: int, masks: int, seed: int
    ) -> None:
        self.settings, self._load = settings, load
        self._num_shown, self._masks, self._seed = num_shown, masks, seed

    @cached_property
    def pairs(self) -> Diffusion:
        """All pairs."""
        return self._load()

    @cached_property
    def scale(self) -> float:
        """Root mean square of the solutions trained on."""
        found = self.pairs
        return float(np.sqrt(np.mean(found.solution[found.split == TRAIN] ** 2))) or 1.0

    @cached_property
    def _train(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.pairs.split == TRAIN)

    @cached_property
    def _valid(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.pairs.split == VALID)

    @property
    def num_samples(self) -> int:
        """Pairs to train on."""
        return len(self._train)

    @property
    def num_evaluation_samples(self) -> int:
        """Pairs held back."""
        return len(self._valid)

    @property
    def chance(self) -> float:
        """The loss of always saying 0."""
        return 1.0

    @property
    def results(self) -> tuple[Result, ...]:
        """Predictions of the first pairs held back beside the solutions, with the spread over dropout masks."""
        points = (min(self._num_shown, len(self._valid)), self.pairs.points.size)
        cells = (points[0], self.pairs.midpoints.size)
        return (
            Result("x", points[1:], ("point",), long_name="where solutions are"),
            Result("solution", points, ("pair", "point"), long_name="exact solution of the difference equation"),
            Result("prediction", points, ("pair", "point"), long_name="what the field says"),
            Result("mask_mean", points, ("pair", "point"), long_name="mean prediction over dropout masks"),
            Result("mask_spread", points, ("pair", "point"), long_name="standard deviation over dropout masks"),
            Result("coefficient", cells, ("pair", "cell"), long_name="coefficient between the points"),
            Result("masks_off_loss", (), (), long_name="evaluation loss without dropout"),
            Result("masks_on_loss", (), (), long_name="evaluation loss with dropout masks, as in training"),
        )

    def model(self) -> NeuralField:
        """A new field."""
        return NeuralField(self.settings)

    def batch(self, samples: Sequence[int]) -> Batch:
        """`x` and `y` [pair, point], `places` and `z` [pair, cell]."""
        return self._batch(self._train[list(samples)])

    def evaluation_batch(self, samples: Sequence[int]) -> Batch:
        """The same of pairs held back."""
        return self._batch(self._valid[list(samples)])

    def _batch(self, numbers: NDArray[np.int64]) -> Batch:
        found, count = self.pairs, len(numbers)

        def tensor(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(values.astype(np.float32))

        return {
            "x": tensor(np.broadcast_to(found.points, (count, found.points.size))),
            "y": tensor(found.solution[numbers] / self.scale),
            "places": tensor(np.broadcast_to(found.midpoints, (count, found.midpoints.size))),
            "z": tensor(np.log(found.coefficient[numbers])),
        }

    def weight(self, batch: Batch) -> float:
        """Points of all pairs."""
        return float(batch["y"].numel())

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Squared errors summed over points."""
        found: Tensor = (_ask(model, batch) - batch["y"]).square().sum()
        return found

    def evaluate(self, model: nn.Module, batch: Batch) -> Mapping[str, float]:
        """The loss, and the relative L2 error of each pair times its points."""
        error = _ask(model, batch) - batch["y"]
        relative = error.norm(dim=1) / batch["y"].norm(dim=1).clamp_min(1e-12)
        return {"loss": error.square().sum().item(), "relative_error": relative.sum().item() * error.shape[1]}

    def finish(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """The arrays of `results`."""
        shown = self._valid[: self._num_shown]
        some, every = self._batch(shown), self._batch(self._valid)
        mean, deviation = over_masks(model, lambda: _ask(model, some), masks=self._masks, seed=self._seed)
        masked, _ = over_masks(model, lambda: _mean_loss(model, every), masks=self._masks, seed=self._seed)
        with torch.no_grad():
            prediction, still = _ask(model, some).double(), _mean_loss(model, every).double()
        return {
            "x": self.pairs.points,
            "solution": self.pairs.solution[shown],
            "prediction": prediction.numpy() * self.scale,
            "mask_mean": mean.numpy() * self.scale,
            "mask_spread": deviation.numpy() * self.scale,
            "coefficient": self.pairs.coefficient[shown],
            "masks_off_loss": still.numpy(),
            "masks_on_loss": masked.numpy(),
        }


def _ask(model: nn.Module, batch: Batch) -> Tensor:
    found: Tensor = model(batch["x"], batch["places"], batch["z"])
    return found


def _mean_loss(model: nn.Module, batch: Batch) -> Tensor:
    return (_ask(model, batch) - batch["y"]).square().mean()
