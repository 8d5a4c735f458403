"""Telling Gaussian classes apart: points around random centres, a dense network, how well it knows each half of the classes.

Owns the data, the model and what is measured. The classes are two lots, A and B, for orders of the data that forget.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from networks.task import Batch, Result

CENTRES, TRAINING, EVALUATION = 0, 1, 2


class ClassesTask:
    """`num_classes` classes of `dimension` numbers; as many points of each, numbered class after class.

    Centres are standard normal, points lie `spread` times a standard normal around them. `groups` is 0 for the first half of
    the classes, lot A, and 1 for the other, lot B. The network has `hidden` layers of ReLU, or none (softmax regression).
    """

    unit = "points"
    measures = ("accuracy", "accuracy_a", "accuracy_b")
    num_groups = 2

    def __init__(
        self,
        *,
        num_classes: int,
        dimension: int,
        spread: float,
        num_training: int,
        num_evaluation: int,
        seed: int,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        self._num_classes = num_classes
        self._dimension = dimension
        self._hidden = tuple(hidden)
        self._dropout = dropout
        centres = np.random.default_rng([seed, CENTRES]).standard_normal((num_classes, dimension))
        self._training = self._points(centres, spread, num_training, [seed, TRAINING])
        self._evaluation = self._points(centres, spread, num_evaluation, [seed, EVALUATION])

    def _points(
        self, centres: NDArray[np.float64], spread: float, each: int, seed: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Points, float32 (count, dimension), and their classes, int64 (count,)."""
        classes = np.repeat(np.arange(self._num_classes), each)
        noise = np.random.default_rng(seed).standard_normal((classes.size, self._dimension))
        points = (centres[classes] + spread * noise).astype(np.float32)
        return torch.from_numpy(points), torch.from_numpy(classes)

    @property
    def num_samples(self) -> int:
        """Points to train on."""
        return len(self._training[1])

    @property
    def num_evaluation_samples(self) -> int:
        """Other points."""
        return len(self._evaluation[1])

    @property
    def groups(self) -> NDArray[np.int64]:
        """The lot of each training point: 0 for A, 1 for B."""
        return self._lot(self._training[1]).numpy()

    @property
    def chance(self) -> float:
        """Guessing among all classes."""
        return math.log(self._num_classes)

    @property
    def results(self) -> tuple[Result, ...]:
        """How often each class is taken for each."""
        size = self._num_classes
        meaning = "share of the evaluation points of a class that are taken for another"
        return (Result("confusion", (size, size), ("of_class", "taken_for"), long_name=meaning),)

    def model(self) -> nn.Module:
        """Dense layers with ReLU and dropout between, then logits."""
        sizes = [self._dimension, *self._hidden]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(self._dropout)]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], self._num_classes))

    def batch(self, samples: Sequence[int]) -> Batch:
        """Training points by number."""
        return self._chosen(self._training, samples)

    def evaluation_batch(self, samples: Sequence[int]) -> Batch:
        """Evaluation points by number."""
        return self._chosen(self._evaluation, samples)

    def _chosen(self, of: tuple[Tensor, Tensor], samples: Sequence[int]) -> Batch:
        numbers = torch.as_tensor(list(samples), dtype=torch.int64)
        return {"points": of[0][numbers], "classes": of[1][numbers]}

    def weight(self, batch: Batch) -> float:
        """Points."""
        return float(len(batch["classes"]))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross entropy in nats, summed over points."""
        return functional.cross_entropy(model(batch["points"]).float(), batch["classes"], reduction="sum")

    def evaluate(self, model: nn.Module, batch: Batch) -> Mapping[str, float]:
        """Loss and accuracies, summed over points; those of a lot as if both were of one size, which they are."""
        logits, classes = model(batch["points"]).float(), batch["classes"]
        right = (logits.argmax(dim=1) == classes).double()
        lot = self._lot(classes)
        return {
            "loss": float(functional.cross_entropy(logits, classes, reduction="sum")),
            "accuracy": float(right.sum()),
            "accuracy_a": float(right[lot == 0].sum()) * self._per_lot(0),
            "accuracy_b": float(right[lot == 1].sum()) * self._per_lot(1),
        }

    def finish(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """The confusion of the trained model."""
        points, classes = self._evaluation
        with torch.no_grad():
            taken = model(points).argmax(dim=1)
        size = self._num_classes
        counts = np.bincount((classes * size + taken).numpy(), minlength=size * size).reshape(size, size)
        return {"confusion": counts / counts.sum(axis=1, keepdims=True)}

    def _lot(self, classes: Tensor) -> Tensor:
        """0 for the first half of the classes, 1 for the other."""
        return (classes >= (self._num_classes + 1) // 2).to(torch.int64)

    def _per_lot(self, lot: int) -> float:
        """By what a sum over one lot is multiplied to be divided by the points of both."""
        first = (self._num_classes + 1) // 2
        return self._num_classes / (first if lot == 0 else self._num_classes - first)
