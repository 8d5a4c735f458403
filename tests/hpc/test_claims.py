"""The coordinator's queue, without ranks: order, sharing out, deadlines, ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpc.claims import Claims
from hpc.messages import End, Orders, Report

EXIT_REQUEST = 2
EXIT_STOPPED = 75


def claims(costs: list[float], num_ranks: int = 1, finished: tuple[int, ...] = (), **options: Any) -> Claims:
    bitmap = np.zeros(len(costs), dtype=bool)
    bitmap[list(finished)] = True
    return Claims(np.array(costs), bitmap, [1] * num_ranks, **{"grace_s": 3.0, **options})


def units(orders: list[tuple[int, Orders]]) -> dict[int, tuple[int, ...]]:
    return {rank: order.units for rank, order in orders}


class Rank:
    """A rank that computes a unit of cost c in c * rate seconds and asks for one unit at a time."""

    def __init__(self, queue: Claims, number: int, rate: float) -> None:
        self.queue, self.number, self.rate = queue, number, rate
        self.num_orders = 0
        self.computed: list[int] = []

    def ask(self, now_s: float, finished: tuple[tuple[int, float], ...] = ()) -> tuple[int, ...]:
        self.queue.receive(self.number, Report(finished=finished, wanted=1, num_orders=self.num_orders))
        granted: tuple[int, ...] = ()
        for rank, orders in self.queue.orders(now_s):
            assert rank == self.number or orders.end
            granted += orders.units
        self.num_orders += bool(granted)
        self.computed += granted
        return granted


def test_costly_units_go_first_and_finished_ones_never() -> None:
    queue = claims([1, 5, 5, 2, 9], finished=(4,))
    rank = Rank(queue, 0, 1.0)
    granted = rank.ask(0.0)
    while granted:
        granted = rank.ask(0.0, tuple((unit, 10.0) for unit in granted))
    assert rank.computed == [1, 2, 3, 0]
    assert queue.end == End(0, "finished")
    assert (queue.num_done, queue.cost_done) == (4, 13.0)


def test_cheap_units_are_handed_out_together_but_leave_some_for_others() -> None:
    queue = claims([1.0] * 1000, num_ranks=2)
    rank = Rank(queue, 0, 0.001)
    assert len(rank.ask(0.0)) == 1
    many = rank.ask(0.0, ((0, 0.001),))
    assert 200 <= len(many) <= 260
    # Near the end a rank gets no more than its share of the rest.
    last = claims([1.0] * 41, num_ranks=2)
    rank = Rank(last, 0, 0.001)
    assert len(rank.ask(0.0)) == 1
    assert len(rank.ask(0.0, ((0, 0.001),))) == 10


def test_costly_units_are_handed_out_one_by_one() -> None:
    rank = Rank(claims([1.0] * 1000), 0, 1.0)
    assert rank.ask(0.0) == (0,)
    assert rank.ask(0.0, ((0, 1.0),)) == (1,)


def test_a_wish_that_crossed_orders_is_not_granted_twice() -> None:
    queue = claims([1.0] * 10)
    queue.receive(0, Report(wanted=1, num_orders=0))
    assert units(queue.orders(0.0)) == {0: (0,)}
    queue.receive(0, Report(wanted=1, num_orders=0, cost_in_flight=0.5))
    assert queue.orders(0.0) == []
    assert queue.cost_in_flight == 0.5
    queue.receive(0, Report(wanted=1, num_orders=1))
    assert units(queue.orders(0.0)) == {0: (1,)}


def test_the_stage_ends_only_when_all_is_durable() -> None:
    queue = claims([1.0, 1.0], num_ranks=2)
    first, second = Rank(queue, 0, 1.0), Rank(queue, 1, 1.0)
    assert first.ask(0.0) == (0,)
    assert second.ask(0.0) == (1,)
    assert first.ask(1.0, ((0, 1.0),)) == ()
    assert queue.end is None
    queue.receive(1, Report(finished=((1, 1.0),), wanted=1, num_orders=1))
    assert [(rank, orders.end) for rank, orders in queue.orders(1.0)] == [
        (0, End(0, "finished")),
        (1, End(0, "finished")),
    ]
    assert not queue.is_over
    for rank in (0, 1):
        queue.receive(rank, Report(final=True))
    assert queue.is_over


def test_a_stop_on_any_rank_ends_the_stage_for_all_with_grace() -> None:
    queue = claims([1.0] * 9, num_ranks=3)
    queue.receive(2, Report(stop="SIGUSR1"))
    queue.receive(0, Report(stop="SIGTERM", wanted=1))
    end = End(EXIT_STOPPED, "SIGUSR1", 3.0)
    assert queue.orders(0.0) == [(rank, Orders(end=end)) for rank in range(3)]
    # What is finished within the grace time still counts.
    queue.receive(1, Report(finished=((4, 1.0),), final=True))
    assert queue.num_done == 1
    assert queue.orders(0.0) == []


def test_a_refusal_goes_before_a_stop() -> None:
    queue = claims([1.0] * 9, num_ranks=2)
    queue.receive(0, Report(stop="SIGTERM"))
    queue.receive(1, Report(refused="bodies.mass: no"))
    assert queue.orders(0.0)[0][1].end == End(2, "bodies.mass: no")


def test_before_the_deadline_only_what_fits() -> None:
    # Twice the plan's estimate: a cost of 4 takes 8 s, which is too long; the next that fits is taken.
    queue = claims([4.0, 2.0, 1.0], deadline_s=5.0, seconds_per_cost=1.0)
    rank = Rank(queue, 0, 1.0)
    assert rank.ask(0.0) == (1,)
    # It took 2.5 s: 2.5 s are left, and a cost of 1 needs 2 s.
    assert rank.ask(2.5, ((1, 2.5),)) == (2,)
    assert queue.end is None
    assert rank.ask(3.5, ((2, 1.0),)) == ()
    assert queue.end == End(EXIT_STOPPED, "deadline")


def test_a_window_too_short_for_any_unit_is_refused() -> None:
    """Another start would find the same: it must not be asked for."""
    queue = claims([4.0, 3.0], num_ranks=2, deadline_s=5.0, window_s=5.0, seconds_per_cost=1.0)
    assert Rank(queue, 0, 1.0).ask(0.0) == ()
    assert queue.end is None
    assert Rank(queue, 1, 1.0).ask(0.0) == ()
    assert queue.end is not None
    assert queue.end.code == EXIT_REQUEST
    assert queue.end.reason.startswith("run.shard: a unit may take 6 s, the deadline leaves 5 s; use a smaller shard")


@pytest.mark.parametrize("window_s", [None, 6.0])
def test_another_start_may_do_what_does_not_fit_into_the_rest(window_s: float | None) -> None:
    queue = claims([3.0], deadline_s=5.0, window_s=window_s, seconds_per_cost=1.0)
    assert Rank(queue, 0, 1.0).ask(0.0) == ()
    assert queue.end == End(EXIT_STOPPED, "deadline")


def test_what_has_begun_units_is_stopped_and_not_refused() -> None:
    queue = claims([9.0, 1.0], deadline_s=5.0, window_s=5.0, seconds_per_cost=1.0)
    rank = Rank(queue, 0, 1.0)
    assert rank.ask(0.0) == (1,)
    assert rank.ask(1.0, ((1, 1.0),)) == ()
    assert queue.end == End(EXIT_STOPPED, "deadline")


def test_the_backlog_of_a_rank_counts_before_the_deadline() -> None:
    queue = claims([1.0] * 8, deadline_s=5.0, seconds_per_cost=1.0)
    queue.receive(0, Report(wanted=1))
    assert len(queue.orders(0.0)[0][1].units) == 1
    queue.receive(0, Report(wanted=1, num_orders=1))
    assert len(queue.orders(0.0)[0][1].units) == 1
    queue.receive(0, Report(wanted=1, num_orders=2))
    assert queue.orders(0.0) == []
    assert queue.end is None


def test_after_five_units_their_times_count_instead_of_the_plan() -> None:
    queue = claims([1.0] * 100, deadline_s=1000.0, seconds_per_cost=1000.0)
    rank = Rank(queue, 0, 1.0)
    assert rank.ask(0.0) == ()
    queue = claims([1.0] * 100, deadline_s=1000.0, seconds_per_cost=1.0)
    rank = Rank(queue, 0, 1.0)
    for unit in range(5):
        assert rank.ask(0.0, ((unit - 1, 10.0),) if unit else ()) == (unit,)
    # 95 % of units take at most 10 s: 9 s before the deadline nothing is begun, 11 s before it is.
    assert rank.ask(991.0, ((4, 10.0),)) == ()
    assert queue.end == End(EXIT_STOPPED, "deadline")


def test_the_deadline_itself_is_a_stop() -> None:
    queue = claims([1.0] * 3, deadline_s=5.0)
    rank = Rank(queue, 0, 1.0)
    assert rank.ask(0.0) == (0,)
    assert queue.orders(4.9) == []
    assert queue.orders(5.0) == [(0, Orders(end=End(EXIT_STOPPED, "deadline", 3.0)))]


@pytest.mark.parametrize("num_ranks", [1, 2, 7])
def test_every_unit_once(num_ranks: int) -> None:
    """Simulated ranks of different speed: each unit is computed exactly once, and no rank idles at the end."""
    costs = [1.0 + unit % 5 for unit in range(300)]
    queue = claims(costs, num_ranks=num_ranks)
    ranks = [Rank(queue, number, 0.01 * (1 + number)) for number in range(num_ranks)]
    free_s = [0.0] * num_ranks
    done: list[tuple[tuple[int, float], ...]] = [()] * num_ranks
    while queue.end is None:
        number = int(np.argmin(free_s))
        rank = ranks[number]
        granted = rank.ask(free_s[number], done[number])
        done[number] = tuple((unit, costs[unit] * rank.rate) for unit in granted)
        busy = [time for other, time in enumerate(free_s) if done[other]]
        free_s[number] += sum(seconds for _, seconds in done[number]) or (max(busy, default=0.0) + 1e-3)
    assert sorted(unit for rank in ranks for unit in rank.computed) == list(range(300))
