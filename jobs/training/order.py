"""Which samples a step sees: a pure function of seed, order and position, whatever came before.

Owns the orders of the data. Reads no sample.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs.training.randomness import numpy_generator
from jobs.training.sections import Order

Samples = NDArray[np.int64]
Items = TypeVar("Items")


class DataOrder:
    """The endless sequence of samples of a run; position p is the p-th sample that it trains on, over all ranks.

    `groups` has the class of each sample, which `sequential-by-class` and `alternating` go by. An epoch is every sample
    once; one order is held at a time.
    """

    def __init__(self, order: Order, num_samples: int, seed: int, groups: Samples | None = None) -> None:
        if num_samples < 1:
            raise ValueError("there is no sample to train on")
        self._order = order
        self._num_samples = num_samples
        self._seed = seed
        self._groups = groups
        self._held: tuple[int, Samples] | None = None

    def samples(self, start: int, stop: int) -> list[int]:
        """The samples at positions start ... stop - 1."""
        found: list[int] = []
        while start < stop:
            epoch, first = divmod(start, self._num_samples)
            last = min(self._num_samples, first + stop - start)
            found += self._epoch(epoch)[first:last].tolist()
            start += last - first
        return found

    def _epoch(self, epoch: int) -> Samples:
        """The samples of an epoch in their order."""
        number = epoch if self._order == "shuffled" else 0
        if self._held is None or self._held[0] != number:
            self._held = number, self._arranged(number)
        return self._held[1]

    def _arranged(self, number: int) -> Samples:
        if self._order == "sequential":
            return np.arange(self._num_samples)
        shuffled = numpy_generator(self._seed, "order", number).permutation(self._num_samples)
        if self._order in ("shuffled", "shuffled-once"):
            return shuffled
        assert self._groups is not None
        classes = self._groups[shuffled]
        by_class = shuffled[np.argsort(classes, kind="stable")]
        if self._order == "sequential-by-class":
            return by_class

        # Deal: the first of each class, then the second of each; classes that run out are passed over.
        sizes = np.unique(classes, return_counts=True)[1]
        turn = np.concatenate([np.arange(size) for size in sizes])
        return by_class[np.argsort(turn, kind="stable")]


def share(items: list[Items], rank: int, size: int) -> list[Items]:
    """The part of a batch that one of `size` ranks has: neighbours, so that parts of parts stay in order."""
    part = len(items) // size
    return items[rank * part : (rank + 1) * part]
