from __future__ import annotations

import numpy as np
import pytest

from analysis import scales
from analysis.scales import NUM_BINS, Scale

GRAY = np.arange(256, dtype=np.uint8)[:, np.newaxis].repeat(3, axis=1)


def painted(values: np.ndarray, scale: Scale) -> np.ndarray:
    return scale.paint(values)[..., 0]


def equalised(values: np.ndarray, low: float | None = None, high: float | None = None) -> Scale:
    low = float(np.nanmin(values)) if low is None else low
    high = float(np.nanmax(values)) if high is None else high
    ranks = scales.ranks(scales.count(values, low, high))
    return Scale(GRAY, low, high, (1, 2, 3), "histogram", ranks=ranks)


def middle_ranks(values: np.ndarray) -> np.ndarray:
    """The definition, value by value."""
    low, high = values.min(), values.max()
    between = values[(values > low) & (values < high)]
    ranks = [((between < value).sum() + (between <= value).sum()) / 2 / between.size for value in values]
    return np.where(values == low, 0.0, np.where(values == high, 1.0, ranks))


@pytest.mark.parametrize("high", [7, 70, 8192])
def test_counts_get_their_rank_exactly(high: int) -> None:
    values = np.floor(np.random.default_rng(1).exponential(high / 9, 3000)).clip(0, high)
    values[:2] = 0, high
    expected = (middle_ranks(values).astype(np.float32).astype(np.float64) * 256).clip(0, 255).astype(int)
    assert np.array_equal(painted(values, equalised(values)), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_long_tails_fill_all_colours_evenly(sign: int) -> None:
    values = sign * np.exp(np.random.default_rng(2).normal(size=100_000) * 2)
    used = np.bincount(painted(values, equalised(values)), minlength=256)
    assert used.min() > 0.7 * 100_000 / 256
    assert used.max() < 1.3 * 100_000 / 256


def test_what_never_ended_takes_no_colours() -> None:
    values = np.repeat([0.0, 1, 2, 3, 1000], [5, 10, 10, 10, 10_000])
    assert np.unique(painted(values, equalised(values))).tolist() == [0, 42, 128, 213, 255]


def test_values_beyond_a_stated_range_have_the_end_colours_and_nan_the_background() -> None:
    values = np.array([-9.0, 1, 2, 3, 99, np.inf, -np.inf, np.nan])
    assert painted(values, equalised(values, 0, 4)).tolist() == [0, 42, 128, 213, 255, 255, 0, 1]


@pytest.mark.parametrize("values", [[3.0, 3.0], [3.0, 4.0], [np.nan, np.nan]])
def test_few_values(values: list[float]) -> None:
    found = painted(
        np.array(values), equalised(np.array(values), 3, max(4, values[1]) if values[0] != values[1] else 3)
    )
    assert found.tolist() == {3.0: [0, 0], 4.0: [0, 255]}.get(values[1], [1, 1])


def test_bins_increase_with_the_value() -> None:
    values = np.sort(
        np.concatenate([np.linspace(-2, 5, 5000), -2 + np.logspace(-9, -1, 500), 5 - np.logspace(-9, -1, 500)])
    )
    found = scales.bins(values, -2, 5)
    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == (0, NUM_BINS - 1)


def test_counts_of_parts_add_up() -> None:
    values = np.random.default_rng(4).normal(size=5000)
    whole = scales.count(values, -1, 2)
    assert np.array_equal(whole, sum(scales.count(part, -1, 2) for part in np.array_split(values, 7)))
    assert whole.sum() == 5000


def test_value_at_is_the_quantile() -> None:
    values = np.random.default_rng(5).exponential(size=100_000)
    scale = equalised(values)
    for share in (0.1, 0.5, 0.9, 0.999):
        assert scales.value_at(scale, share) == pytest.approx(np.quantile(values, share), rel=0.02)
    assert scales.value_at(scale, 0) == values.min()
    assert scales.value_at(scale, 1) == values.max()


def test_logarithm() -> None:
    scale = Scale(GRAY, 1, 2**16, (7, 7, 7), "log")
    values = np.array([1, 2, 16, 2**8, 2**16, 2**20, 0, -5, 0.5, np.nan, np.inf])
    assert painted(values, scale).tolist() == [0, 16, 64, 128, 255, 255, 0, 0, 0, 7, 255]


def test_cycle() -> None:
    scale = Scale(GRAY, 0, 1, (7, 7, 7), cycle=8)
    values = np.array([0.0, 2, 7.99, 8, 10, 804, -2, np.nan, np.inf])
    assert painted(values, scale).tolist() == [0, 64, 255, 0, 64, 128, 192, 7, 7]
