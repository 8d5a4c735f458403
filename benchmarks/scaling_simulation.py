"""Ranks on a virtual clock that drive the engine's own queue, `hpc.claims.Claims`: what a stage takes on very many of them.

Owns the model of ranks, messages and rank 0's time. Never models the queue: its decisions are taken by the real one, and the
time that they cost is measured while it takes them.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.claims import GRANT_S, Claims
from hpc.launch import LONGEST_WAIT_S
from hpc.messages import COORDINATOR, Orders, Report
from hpc.rank import report_interval_s
from hpc.workers import SLICE_S


@dataclass(frozen=True)
class Machine:
    """Seconds that messages cost: rank 0's processor for one received or sent, the way, a turn of rank 0's loop."""

    receive_s: float = 3e-6
    send_s: float = 3e-6
    latency_s: float = 1e-5
    turn_s: float = 5e-5


@dataclass(frozen=True)
class Outcome:
    """One simulated stage. `coordinator_load` is the share of its time that rank 0's main thread works."""

    num_ranks: int
    num_units: int
    work_s: float
    makespan_s: float
    num_messages: int
    coordinator_load: float

    @property
    def efficiency(self) -> float:
        """Work over what the ranks could have done in the time."""
        return self.work_s / (self.num_ranks * self.makespan_s)


@dataclass
class _Rank:
    """One rank with one device slot, as hpc/rank.py drives it."""

    queue: deque[int] = field(default_factory=deque)
    current: int | None = None
    started_s: float = 0.0
    ends_s: float = 0.0
    queued_s: float = 0.0
    timed: bool = False
    finished: list[tuple[int, float]] = field(default_factory=list)
    num_orders: int = 0
    wished: int = -1
    reported_s: float = 0.0
    telling: bool = False


def simulate(
    costs: NDArray[np.float64],
    seconds: NDArray[np.float64],
    num_ranks: int,
    machine: Machine,
    clock: Callable[[], float] = time.thread_time,
) -> Outcome:
    """A stage whose unit i has the cost that the queue is told, `costs[i]`, and takes `seconds[i]`; both of shape (num_units,).

    `clock` measures what the queue's decisions cost; one that stands still makes them free.
    """
    return _Simulation(costs, seconds, num_ranks, machine, clock).run()


class _Simulation:
    """Events in the order of the virtual clock: reports that arrive, orders that arrive, units that end, timers."""

    def __init__(
        self,
        costs: NDArray[np.float64],
        seconds: NDArray[np.float64],
        num_ranks: int,
        machine: Machine,
        clock: Callable[[], float],
    ) -> None:
        self._costs, self._seconds, self._machine, self._clock = costs, seconds, machine, clock
        self._claims = Claims(costs, np.zeros(costs.size, dtype=np.bool_), [1] * num_ranks, grace_s=0.0)
        self._ranks = [_Rank() for _ in range(num_ranks)]
        self._interval_s = report_interval_s(num_ranks)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._inbox: list[tuple[int, Report]] = []
        self._turn_planned = False
        self._free_s = 0.0
        self._busy_s = 0.0
        self._charged_s = 0.0
        self._num_messages = 0

    def run(self) -> Outcome:
        """Until the queue has ended the stage and the last rank has been told."""
        for rank in range(len(self._ranks)):
            self._report(0.0, rank)
        while self._claims.end is None:
            now_s, _, happen, arguments = heapq.heappop(self._events)
            happen(now_s, *arguments)
        makespan_s = self._free_s + self._machine.latency_s
        return Outcome(
            num_ranks=len(self._ranks),
            num_units=self._costs.size,
            work_s=float(self._seconds.sum()),
            makespan_s=makespan_s,
            num_messages=self._num_messages,
            coordinator_load=self._busy_s / makespan_s,
        )

    def _plan(self, at_s: float, happen: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (at_s, next(self._numbers), happen, arguments))

    # The coordinator.

    def _arrive(self, now_s: float, rank: int, report: Report) -> None:
        """A report is there; rank 0 looks when it wakes, or when it has done with what it is at."""
        self._inbox.append((rank, report))
        if not self._turn_planned:
            self._turn_planned = True
            asleep = now_s >= self._free_s
            self._plan(now_s + LONGEST_WAIT_S if asleep else self._free_s, self._turn)

    def _turn(self, now_s: float) -> None:
        """One look of rank 0 at everything, as `StageLoop._turn`."""
        self._turn_planned = False
        arrived, self._inbox = self._inbox, []
        self._num_messages += len(arrived)
        begun_s = self._clock()
        for rank, report in arrived:
            self._claims.receive(rank, report)
        granted = self._claims.orders(now_s)
        worked_s = self._clock() - begun_s + self._machine.turn_s + len(arrived) * self._machine.receive_s
        for rank, orders in granted:
            worked_s += self._machine.send_s
            self._num_messages += 1
            self._plan(now_s + worked_s + self._machine.latency_s + self._waking_s(rank), self._obey, rank, orders)
        self._free_s = now_s + worked_s
        self._busy_s += worked_s

    def _waking_s(self, rank: int) -> float:
        """A rank sleeps between its looks; rank 0 has just looked."""
        return 0.0 if rank == COORDINATOR else LONGEST_WAIT_S

    # The ranks.

    def _obey(self, now_s: float, number: int, orders: Orders) -> None:
        """Units arrive at a rank."""
        rank = self._ranks[number]
        if not orders.units:
            return
        rank.num_orders += 1
        rank.queue.extend(orders.units)
        rank.queued_s += float(self._seconds[list(orders.units)].sum())
        if rank.current is None:
            self._begin(now_s, number)
        if not rank.telling:
            rank.telling = True
            self._plan(rank.reported_s + self._interval_s, self._tell, number)
        self._plan_wish(now_s, number)

    def _begin(self, now_s: float, number: int) -> None:
        """The next unit of a rank gets its device."""
        rank = self._ranks[number]
        rank.current = rank.queue.popleft()
        taken_s = float(self._seconds[rank.current])
        rank.queued_s -= taken_s
        rank.started_s, rank.ends_s = now_s, now_s + taken_s
        if number == COORDINATOR:
            self._charged_s = self._busy_s
        self._plan(rank.ends_s, self._finish, number)

    def _finish(self, now_s: float, number: int) -> None:
        """A unit ends: say so, and go on with the next."""
        rank = self._ranks[number]
        if number == COORDINATOR and self._busy_s > self._charged_s:
            # Rank 0 has one core for its unit and for all messages: the unit ends later by what they took.
            rank.ends_s = now_s + self._busy_s - self._charged_s
            self._charged_s = self._busy_s
            self._plan(rank.ends_s, self._finish, number)
            return
        assert rank.current is not None
        rank.finished.append((rank.current, now_s - rank.started_s))
        rank.current, rank.timed = None, True
        if rank.queue:
            self._begin(now_s, number)
            self._plan_wish(now_s, number)
        self._report(now_s, number)

    def _plan_wish(self, now_s: float, number: int) -> None:
        """Ask for more a moment before the device runs dry, which a rank can tell after its first slice or unit."""
        rank = self._ranks[number]
        known_s = rank.started_s if rank.timed else rank.started_s + SLICE_S
        wish_s = max(now_s, known_s, rank.ends_s + rank.queued_s - GRANT_S)
        if rank.wished != rank.num_orders:
            self._plan(wish_s, self._wish, number, rank.num_orders)

    def _wish(self, now_s: float, number: int, num_orders: int) -> None:
        """Send the wish unless it has been sent with something else, or orders have come."""
        rank = self._ranks[number]
        if rank.num_orders == num_orders and rank.wished != num_orders and self._supply_s(rank, now_s) <= GRANT_S:
            self._report(now_s, number)

    def _tell(self, now_s: float, number: int) -> None:
        """Report a unit that is only partly done, for the bar."""
        rank = self._ranks[number]
        if rank.current is None:
            rank.telling = False
            return
        due_s = rank.reported_s + self._interval_s
        if now_s >= due_s:
            self._report(now_s, number)
            due_s = now_s + self._interval_s
        self._plan(due_s, self._tell, number)

    def _report(self, now_s: float, number: int) -> None:
        rank = self._ranks[number]
        in_flight = 0.0
        if rank.current is not None:
            done = (now_s - rank.started_s) / max(rank.ends_s - rank.started_s, 1e-9)
            in_flight = float(self._costs[rank.current]) * min(1.0, done)
        known = rank.timed or now_s >= rank.started_s + SLICE_S
        wanted = int(rank.current is None or (known and self._supply_s(rank, now_s) <= GRANT_S))
        if wanted:
            rank.wished = rank.num_orders
        report = Report(tuple(rank.finished), wanted, rank.num_orders, in_flight)
        rank.finished.clear()
        rank.reported_s = now_s
        self._plan(now_s + (0.0 if number == COORDINATOR else self._machine.latency_s), self._arrive, number, report)

    @staticmethod
    def _supply_s(rank: _Rank, now_s: float) -> float:
        return (0.0 if rank.current is None else max(0.0, rank.ends_s - now_s)) + rank.queued_s


def perfect_s(seconds: NDArray[np.float64], num_ranks: int) -> float:
    """A time that no schedule can beat: the mean of the ranks' shares, the longest unit, or two that must share a rank."""
    longest = np.sort(seconds)[::-1]
    least = max(float(seconds.sum()) / num_ranks, float(longest[0]))
    if longest.size > num_ranks:
        # Of the num_ranks + 1 longest units two are done by one rank.
        least = max(least, float(longest[num_ranks - 1] + longest[num_ranks]))
    return least
