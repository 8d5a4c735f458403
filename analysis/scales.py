"""How values become positions in a colour map: linear, by the logarithm, by rank (histogram equalisation), or cyclic.

Pure functions of values and integer counts, so that shards can be counted in any order. Never reads a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis import colour

Floats = NDArray[np.float64]
Kind = Literal["linear", "log", "histogram"]

# Bins are the distances to the nearer end of the range, rounded to 13 significant bits: fine at both ends, where long tails
# leave most values in a small part of the range, and exact for counts up to 8192
_BITS_DROPPED = 23 - 12
_SMALLEST_SHARE = 2.0**-32


def _key(distance: NDArray[np.float32]) -> NDArray[np.int32]:
    """The leading bits of non-negative floats, an increasing function of them."""
    keys: NDArray[np.int32] = distance.view(np.int32) >> _BITS_DROPPED
    return keys


_FIRST_KEY = int(_key(np.array([_SMALLEST_SHARE], np.float32))[0])
NUM_BINS = 2 * (int(_key(np.array([0.5], np.float32))[0]) - _FIRST_KEY + 1)


@dataclass(frozen=True)
class Scale:
    """How values become colours: the table (colours, 3), the range, the colour of NaN.

    `ranks` is the position (0 to 1) of each bin of `bins`, for kind 'histogram' alone. With a `cycle` other than 0 the table is
    spread over that much of the value, and again over the next, and the range is not used.
    """

    colours: NDArray[np.uint8]
    low: float
    high: float
    background: tuple[int, int, int]
    kind: Kind = "linear"
    cycle: float = 0.0
    ranks: NDArray[np.float32] | None = None

    def paint(self, values: Floats) -> NDArray[np.uint8]:
        """The colours of values of any shape: uint8 of shape (*values.shape, 3). See `colour.paint`."""
        low, high = self.low, self.high
        with np.errstate(invalid="ignore"):
            if self.cycle:
                values, low, high = np.mod(values, self.cycle), 0.0, self.cycle
            elif self.kind == "log":
                values, low, high = np.log(np.maximum(values, low)), float(np.log(low)), float(np.log(high))
            elif self.ranks is not None:
                ranks = self.ranks[bins(values, low, high)]
                values, low, high = np.where(np.isnan(values), np.nan, ranks), 0.0, 1.0
        return colour.paint(values, self.colours, low, high, self.background)


def bins(values: Floats, low: float, high: float) -> NDArray[np.int32]:
    """The bin of each value, 0 to NUM_BINS - 1: an increasing function; 0 holds `low`, the last one `high`. NaN gets any."""
    width = high - low if high > low else 1.0
    with np.errstate(invalid="ignore"):
        from_low, from_high = (values - low) / width, (high - values) / width
        is_upper = from_low > 0.5
        nearer = np.clip(np.nan_to_num(np.where(is_upper, from_high, from_low)), 0.0, 0.5)
    keys = np.maximum(_key(nearer.astype(np.float32)) - _FIRST_KEY, 0)
    found: NDArray[np.int32] = np.where(is_upper, NUM_BINS - 1 - keys, keys)
    return found


def count(values: Floats, low: float, high: float) -> NDArray[np.int64]:
    """How many of the finite values lie in each bin, shape (NUM_BINS,)."""
    return np.bincount(bins(values[np.isfinite(values)], low, high), minlength=NUM_BINS)


def ranks(counts: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """The position of each bin, float32 of shape (NUM_BINS,), from how many values lie in it.

    The lowest value stands at 0, the highest at 1, and those between by their rank among themselves: the middle of the ranks
    that share a bin. So pixels that never ended, which all have the lowest or the highest value, take no colours from the rest.
    """
    between = counts[1:-1].astype(np.int64)
    positions = np.zeros(NUM_BINS, np.float32)
    positions[1:-1] = (np.cumsum(between) - between / 2) / max(int(between.sum()), 1)
    positions[-1] = 1.0
    return positions


def value_at(scale: Scale, position: float) -> float:
    """The lowest value in the range at or above this position (0 to 1) of a histogram's colours: for its colour bar."""
    assert scale.ranks is not None
    if position >= 1:
        return scale.high
    first = int(np.searchsorted(scale.ranks, position))
    is_upper = first >= NUM_BINS // 2
    key = NUM_BINS - 1 - first if is_upper else first
    share = 0.0 if key == 0 else float(np.array([(key + _FIRST_KEY) << _BITS_DROPPED], np.int32).view(np.float32)[0])
    width = scale.high - scale.low
    return scale.high - share * width if is_upper else scale.low + share * width
