"""A number predicted from the characters of a table's row, as a problem for the trainer.

Owns the join of encoded rows, model and loss, and what a trained model leaves: predictions, and whether its last hidden layer
embeds the target. Knows no ranks and no job keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from networks.data.draws import Draws
from networks.data.tables import Encoded
from networks.regression.fitting import Floats, correlation, determination, pair_distances
from networks.task import Batch, Result

Loss = Literal["absolute", "squared"]

MOST_PAIRED = 2000
"""Rows held back of which all pairs are looked at: two million of them."""


class RegressionTask:
    """A `networks.task.Task`: rows of one-hot characters, a number each.

    `load` gives the rows and is called once, when they are needed. `build` gives a new model. Targets are learned as they
    are, divided by `scale`; the loss is that of the target itself. With `compact` rows the fillers come last. `estimation`
    names a column that is an estimate of the target, to be judged beside the model's.
    """

    unit = "rows"
    groups = None
    measures = ("determination",)
    chance = None

    def __init__(
        self,
        load: Callable[[], Encoded],
        build: Callable[[], nn.Module],
        *,
        loss: Loss,
        compact: bool,
        num_shown: int,
        scale: float,
        seed: int,
        estimation: str | None = None,
    ) -> None:
        self._load, self._build = load, build
        self._loss, self._compact, self._scale, self._seed = loss, compact, scale, seed
        self._num_shown, self._estimation = num_shown, estimation

    @cached_property
    def rows(self) -> Encoded:
        """The encoded table."""
        return self._load()

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """Characters of all rows, in the order that the model reads them."""
        return self.rows.encoding.compact(self.rows.codes)[0] if self._compact else self.rows.codes

    @property
    def num_samples(self) -> int:
        """Rows to train on."""
        return len(self.rows.train)

    @property
    def num_evaluation_samples(self) -> int:
        """Rows held back."""
        return len(self.rows.valid)

    @property
    def results(self) -> tuple[Result, ...]:
        """Predictions beside the targets, and distances of pairs before and after training."""
        shown = (self._num_shown,)
        return (
            Result("actual", shown, ("row",), long_name="target of rows held back"),
            Result("predicted", shown, ("row",), long_name="what the trained model says of them"),
            Result("target_distance", shown, ("pair",), long_name="difference of two targets"),
            Result("feature_distance", shown, ("pair",), long_name="L1 distance of their last hidden layers, trained"),
            Result("feature_distance_untrained", shown, ("pair",), long_name="the same before training"),
            Result(
                "embedding", (), (), long_name="correlation of target and feature distances over all pairs, trained"
            ),
            Result("embedding_untrained", (), (), long_name="the same before training"),
            Result("final_determination", (), (), long_name="R^2 over all rows held back"),
            *(self._of_estimates() if self._estimation else ()),
        )

    def _of_estimates(self) -> tuple[Result, ...]:
        shown = (self._num_shown,)
        every = "estimate of every row of the table, those without a target too"
        return (
            Result("estimated", shown, ("row",), long_name="what the column of estimates says of them"),
            Result("estimated_determination", (), (), long_name="R^2 of the estimates over all rows held back"),
            Result("linear_estimation", (len(self.rows.table),), ("table_row",), long_name=every),
        )

    def model(self) -> nn.Module:
        """A new model."""
        return self._build()

    def batch(self, samples: Sequence[int]) -> Batch:
        """Rows to train on."""
        return self._batch(self.rows.train[list(samples)])

    def evaluation_batch(self, samples: Sequence[int]) -> Batch:
        """Rows held back."""
        return self._batch(self.rows.valid[list(samples)])

    def weight(self, batch: Batch) -> float:
        """Rows."""
        return float(len(batch["target"]))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Absolute or squared errors of the target, summed."""
        return self._errors(self._predicted(model, batch["symbols"]), batch["target"])

    def evaluate(self, model: nn.Module, batch: Batch) -> Mapping[str, float]:
        """The loss, and each row's share of R^2 over all rows held back, which sums to it."""
        predicted = self._predicted(model, batch["symbols"])
        error = predicted.double().cpu() - batch["target"].double().cpu()
        determined = 1.0 - error**2 / self._variance
        return {"loss": float(self._errors(predicted, batch["target"])), "determination": float(determined.sum())}

    def finish(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """Predictions, and the geometry of the last hidden layer beside that of a model that never learned."""
        held_back = self.rows.valid
        actual = self.rows.target[held_back]
        predicted = self._over(held_back, lambda x: self._predicted(model, x))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            untrained = self._build().eval()

        # Show pairs by number, the same ones whatever has been learned.
        paired = held_back[:MOST_PAIRED]
        between = pair_distances(actual[: len(paired), None])
        shown = Draws("pairs", self._seed).integers(0, between.size, min(self._num_shown, between.size))
        distances = {
            name: pair_distances(self._over(paired, network.features))  # type: ignore[arg-type]
            for name, network in (("", model), ("_untrained", untrained))
        }
        estimates = {}
        if self._estimation:
            estimated = self._estimates(self._estimation, held_back)
            score = np.array(determination(estimated, actual))
            estimates = {
                "estimated": self._shown(estimated),
                "estimated_determination": score,
                "linear_estimation": self.rows.table.numbers[self._estimation],
            }
        return {
            **estimates,
            "actual": self._shown(actual),
            "predicted": self._shown(predicted),
            "target_distance": self._shown(between[shown]),
            **{f"feature_distance{name}": self._shown(found[shown]) for name, found in distances.items()},
            **{f"embedding{name}": np.array(correlation(between, found)) for name, found in distances.items()},
            "final_determination": np.array(determination(predicted, actual)),
        }

    def _estimates(self, column: str, rows: NDArray[np.int64]) -> Floats:
        """A column of numbers, as the model is told them."""
        encoding = self.rows.encoding
        place = [field.name for field in encoding.fields].index(column)
        return np.array([_number(row[place]) for row in encoding.decode(self.rows.codes[rows])])

    def _shown(self, values: Floats) -> Floats:
        """The first of them, with NaN where there are fewer than are kept."""
        return np.pad(values[: self._num_shown], (0, max(0, self._num_shown - len(values))), constant_values=np.nan)

    @cached_property
    def _variance(self) -> float:
        return float(self.rows.target[self.rows.valid].var())

    def _batch(self, rows: NDArray[np.int64]) -> Batch:
        symbols = torch.from_numpy(self.rows.encoding.one_hot(self.codes[rows]))
        return {"symbols": symbols, "target": torch.from_numpy(self.rows.target[rows]).float()}

    def _errors(self, predicted: Tensor, target: Tensor) -> Tensor:
        measure = functional.l1_loss if self._loss == "absolute" else functional.mse_loss
        return measure(predicted, target, reduction="sum")

    def _predicted(self, model: nn.Module, symbols: Tensor) -> Tensor:
        """The target as the model says it, (row,): in float32 before it is scaled."""
        found: Tensor = model(symbols).float() * self._scale
        return found

    @torch.no_grad()
    def _over(self, rows: NDArray[np.int64], function: Callable[[Tensor], Tensor], at_once: int = 512) -> Floats:
        """A function of the symbols of many rows, a part of them at a time, as float64."""
        parts = [
            function(self._batch(rows[start : start + at_once])["symbols"]) for start in range(0, len(rows), at_once)
        ]
        return torch.cat(parts).double().numpy()


def _number(text: str) -> float:
    """What a text says; NaN for none, or for one that was cut to no number."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
