"""What a trainer needs to know of a problem: a model, numbered samples, a loss, measures, and what to keep at the end.

Owns the protocol between networks and the training loop. Knows no ranks, files or job keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Batch = Mapping[str, Tensor]
"""Tensors by name, the sample first."""


@dataclass(frozen=True)
class Result:
    """An array that a finished run leaves: its shape is known before anything is computed."""

    name: str
    shape: tuple[int, ...]
    dimensions: tuple[str, ...]
    dtype: str = "<f8"
    units: str = "1"
    long_name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """One problem with its data, ready to be trained on. Everything is a pure function of the job and of the arguments.

    Sums, not means, leave the task, beside what they are summed over: the trainer divides once, so that neither the
    number of ranks nor the size of a last, short batch weighs anything.
    """

    @property
    def num_samples(self) -> int:
        """Samples to train on, numbered from 0."""
        ...

    @property
    def num_evaluation_samples(self) -> int:
        """Samples that are never trained on, numbered from 0."""
        ...

    @property
    def unit(self) -> str:
        """What `weight` counts: tokens, rows, nodes."""
        ...

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """The class of each training sample, for orders of the data that go by class; None where there are none."""
        ...

    @property
    def measures(self) -> tuple[str, ...]:
        """Names that `evaluate` gives beside `loss`, such as `accuracy`."""
        ...

    @property
    def chance(self) -> float | None:
        """The loss of guessing, to stand beside every loss; None where that means nothing."""
        ...

    @property
    def results(self) -> tuple[Result, ...]:
        """The arrays that `finish` gives."""
        ...

    def model(self) -> nn.Module:
        """A new model on the CPU, drawn from torch's default generator, which the caller has seeded."""
        ...

    def batch(self, samples: Sequence[int]) -> Batch:
        """Training samples by number."""
        ...

    def evaluation_batch(self, samples: Sequence[int]) -> Batch:
        """Evaluation samples by number."""
        ...

    def weight(self, batch: Batch) -> float:
        """What the loss of a batch is summed over, known before any forward pass: tokens that are no padding, rows."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss summed over a batch, a scalar with its graph. Calls `model(...)` exactly once, as DDP asks."""
        ...

    def evaluate(self, model: nn.Module, batch: Batch) -> Mapping[str, float]:
        """`loss` and each of `measures`, summed over the weight of an evaluation batch."""
        ...

    def finish(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """The arrays of `results`, from the trained model in evaluation mode on the CPU."""
        ...
