"""Random numbers that are the same bytes on every machine and with every version of NumPy.

Owns the step from a purpose (names and numbers) to values. Uses only raw Philox words and operations that IEEE 754 rounds
in one way: no logarithm, no sine, no global generator.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")

BUFFERED = 4096
UNIFORM_TERMS = 12


class Draws:
    """A stream of random values, a pure function of its purpose and of the order of the calls."""

    def __init__(self, *purpose: str | int) -> None:
        digest = hashlib.sha256(json.dumps(purpose).encode()).digest()
        self._bits = np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8"))
        self._words: list[int] = []

    def below(self, limit: int) -> int:
        """One integer of 0 ... limit - 1, for limits of at most 2^32."""
        if not self._words:
            self._words = self._raw(BUFFERED).tolist()
        return ((self._words.pop() >> 32) * limit) >> 32

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def chance(self, percent: int) -> bool:
        """True in so many of 100 cases."""
        return self.below(100) < percent

    def integers(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Integers of low ... high - 1."""
        words = self._raw(int(np.prod(shape))) >> np.uint64(32)
        return ((words * np.uint64(high - low)) >> np.uint64(32)).astype(np.int64).reshape(shape) + low

    def uniform(self, *shape: int) -> NDArray[np.float64]:
        """Numbers in [0, 1), multiples of 2^-53."""
        words = self._raw(int(np.prod(shape))) >> np.uint64(11)
        return (words.astype(np.float64) * 2.0**-53).reshape(shape)

    def normal(self, *shape: int) -> NDArray[np.float64]:
        """Nearly normal numbers of mean 0 and variance 1: the sum of twelve uniform ones less 6, so within -6 and 6."""
        total = np.zeros(shape)
        for _ in range(UNIFORM_TERMS):
            total += self.uniform(*shape)
        return total - UNIFORM_TERMS / 2

    def _raw(self, count: int) -> NDArray[np.uint64]:
        words: NDArray[np.uint64] = np.asarray(self._bits.random_raw(count), dtype=np.uint64)
        return words
