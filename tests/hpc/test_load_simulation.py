"""The model of many ranks behind docs/scaling.md, and what the engine's queue reaches on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scaling_simulation import Machine, Outcome, perfect_s, simulate

FREE = Machine(receive_s=0.0, send_s=0.0, latency_s=0.0, turn_s=0.0)
SHARED = Machine()


def outcome(seconds: list[float] | np.ndarray, num_ranks: int, machine: Machine = SHARED) -> Outcome:
    """Units whose cost the queue does not know, on a queue whose decisions are free: the same on every machine."""
    times = np.array(seconds, dtype=np.float64)
    return simulate(np.ones(times.size), times, num_ranks, machine, clock=lambda: 0.0)


def test_one_rank_works_all_the_time() -> None:
    found = outcome([1.0, 2.0, 3.0], 1, FREE)
    assert found.work_s == 6.0
    assert found.makespan_s == pytest.approx(6.0, abs=0.02)


def test_equal_units_that_divide_evenly_leave_nobody_idle() -> None:
    assert outcome([1.0] * 40, 8, FREE).makespan_s == pytest.approx(5.0, abs=0.05)
    assert outcome([1.0] * 41, 8, FREE).makespan_s == pytest.approx(6.0, abs=0.05)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=60), st.integers(1, 12))
def test_no_schedule_beats_the_bound_and_ours_is_not_far(seconds: list[float], num_ranks: int) -> None:
    found = outcome(seconds, num_ranks)
    least_s = perfect_s(np.array(seconds), num_ranks)
    assert found.makespan_s > least_s * (1 - 1e-9)

    # Whoever hands out a unit to each rank that is idle needs at most the mean share and the longest unit, and what a rank
    # has asked for before it ran dry: a second unit in its hands.
    assert found.makespan_s < sum(seconds) / num_ranks + 2 * max(seconds) + 0.5


def test_rank_0_is_a_bottleneck_where_messages_are_dear() -> None:
    seconds = np.full(4000, 1.0)
    cheap, dear = outcome(seconds, 500), outcome(seconds, 500, replace(FREE, receive_s=5e-3))
    assert cheap.efficiency > 0.95
    assert cheap.coordinator_load < 0.2
    assert dear.efficiency < 0.7
    assert dear.coordinator_load > 0.9


def test_what_is_known_to_be_long_goes_first() -> None:
    """Units of two lengths, the long ones numbered last: a queue that knows begins with them."""
    seconds = np.array([1.0] * 95 + [10.0] * 5)
    assert simulate(seconds, seconds, 10, FREE, clock=lambda: 0.0).makespan_s == pytest.approx(15.0, abs=0.3)
    assert outcome(seconds, 10, FREE).makespan_s == pytest.approx(19.5, abs=0.6)


@pytest.mark.parametrize(("num_ranks", "units_a_rank", "goal"), [(100, 144, 0.98), (300, 23, 0.94), (2000, 6, 0.88)])
def test_efficiency(num_ranks: int, units_a_rank: int, goal: float) -> None:
    """Units of 17 to 36 s whose times the queue cannot foresee, as in the zoom in shards of 512."""
    seconds = np.random.default_rng(4).choice([17.0, 28.0, 34.0, 35.5, 36.0], num_ranks * units_a_rank)
    found = outcome(seconds, num_ranks)
    assert found.efficiency > goal
    assert found.coordinator_load < 0.2
