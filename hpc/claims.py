"""Who computes which unit of a stage: the coordinator's queue, its estimates of time, and when the stage ends.

Owns the decisions of rank 0, as a function of reports and of the clock it is given. Never touches MPI, threads or files.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpc.launch import EXIT_DONE, EXIT_REQUEST, EXIT_STOPPED
from hpc.messages import End, Orders, Report

# A grant of cheap units is worth this much work for each unit that the device holds at a time.
GRANT_S = 0.25

# Units are asked for so long before ranks run out of them, and earlier where a file server is slow.
AHEAD_S = 2.0
AHEAD_LOOKS = 4.0

# Unit times that estimates are taken from: enough to count, and the latest of them.
MIN_TIMED = 5
MAX_TIMED = 512
QUANTILE = 95
SAFETY = 2.0


@dataclass
class Worker:
    """What the coordinator knows of one rank."""

    concurrent_units: int
    wanted: int = 0
    num_orders: int = 0
    cost_outstanding: float = 0.0
    cost_in_flight: float = 0.0
    final: bool = False


class Source(Protocol):
    """Where units come from, when other jobs compute the stage as well. Nothing here waits."""

    is_dry: bool
    """Whether nothing was to be had when it was last asked."""

    delay_s: float
    """How long it takes to be answered."""

    problem: str | None
    """Why nothing can be had any more, for the user."""

    @property
    def is_exhausted(self) -> bool:
        """Whether all units that are not durable have been taken here."""
        ...

    def ask(self, num_units: int, cost: float) -> None:
        """What is lacking now: so many units, or so much cost."""
        ...

    def take(self) -> Sequence[NDArray[np.int64]]:
        """The units that have come since the last call."""
        ...

    def report(self, units: list[int]) -> None:
        """These are durable."""
        ...


class Claims:
    """The pending units of one stage.

    `costs` has one entry a unit; `finished` is the bitmap of units that are durable already; `concurrent_units` has
    one entry a rank. `deadline_s` is on the clock that `orders` is given; `grace_s` is granted to units in flight
    when the job is told to stop. `seconds_per_cost` is an estimate, used until five units are timed. `window_s` is
    the time that this start of the job has in all, None where it has done something already: a start that can do
    nothing in the whole of it is refused, as the next one could do no more. With a `source` units come from there, as
    they are needed; else all that are not finished are here from the beginning.
    """

    def __init__(
        self,
        costs: NDArray[np.float64],
        finished: NDArray[np.bool_],
        concurrent_units: Sequence[int],
        *,
        grace_s: float,
        deadline_s: float | None = None,
        window_s: float | None = None,
        seconds_per_cost: float | None = None,
        source: Source | None = None,
    ) -> None:
        self._costs = costs
        self._source = source
        self._pending, self._pending_costs = array("q"), array("d")
        self._cost_pending = 0.0
        self._workers = [Worker(number) for number in concurrent_units]
        self._num_slots = sum(concurrent_units)
        self._grace_s = grace_s
        self._deadline_s = deadline_s
        self._window_s = window_s
        self._planned = seconds_per_cost is not None and math.isfinite(seconds_per_cost)
        self._rates: deque[float] = deque(maxlen=MAX_TIMED)
        self._rates_are_new = False
        self._typical: float | None = None
        self._pessimistic: float | None = SAFETY * seconds_per_cost if seconds_per_cost and self._planned else None
        self._hungry: set[int] = set()
        self._num_outstanding = 0
        self._told = False
        self.end: End | None = None
        self.num_done = 0
        self.cost_done = 0.0
        if source is None:
            self._add(np.flatnonzero(~finished))
        else:
            source.ask(self._num_slots, 0.0)

    @property
    def cost_in_flight(self) -> float:
        """The finished part of the cost of all units under way."""
        return sum(worker.cost_in_flight for worker in self._workers)

    @property
    def waits_for_others(self) -> bool:
        """Whether all that is left is in the hands of other jobs."""
        return self.end is None and not self._pending and self._num_outstanding == 0

    @property
    def is_over(self) -> bool:
        """Whether every rank has sent its final report."""
        return all(worker.final for worker in self._workers)

    def expected_s(self, unit: int) -> float | None:
        """The seconds that a unit will hardly exceed; None before five are timed, unless there is a plan's estimate."""
        if self._pessimistic is None or not (self._planned or len(self._rates) >= MIN_TIMED):
            return None
        return self._pessimistic * float(self._costs[unit])

    def stop(self, reason: str) -> None:
        """End the stage early; units in flight are granted their time."""
        self._finish(End(EXIT_STOPPED, reason, self._grace_s))

    def lose(self, rank: int) -> None:
        """Wait for this rank no longer, unless it is heard of again."""
        self._workers[rank].final = True

    def receive(self, rank: int, report: Report) -> None:
        """Take note of a report."""
        worker = self._workers[rank]
        for unit, seconds in report.finished:
            cost = float(self._costs[unit])
            worker.cost_outstanding -= cost
            self._num_outstanding -= 1
            self.num_done += 1
            self.cost_done += cost
            if cost > 0:
                self._rates.append(seconds / cost)
        self._rates_are_new |= bool(report.finished)
        if self._source is not None and report.finished:
            self._source.report([unit for unit, _ in report.finished])

        # A wish from before the last orders arrived there is out of date.
        worker.wanted = report.wanted if report.num_orders == worker.num_orders else 0
        self._want(rank)
        worker.cost_in_flight = report.cost_in_flight
        worker.final = report.final
        if report.refused is not None:
            self._finish(End(EXIT_REQUEST, report.refused))
        elif report.stop is not None:
            self.stop(report.stop)

    def orders(self, now_s: float) -> list[tuple[int, Orders]]:
        """Orders to send now, by rank. The end of the stage is ordered once, to all ranks."""
        if self._told:
            return []
        orders = []
        if self._rates_are_new:
            self._estimate()
        if self._deadline_s is not None and now_s >= self._deadline_s:
            self.stop("deadline")
        if self._source is not None:
            self._restock(self._source)
        if self.end is None and self._pending:
            orders = [(rank, self._grant(rank, now_s)) for rank in sorted(self._hungry) if self._pending]
            orders = [(rank, granted) for rank, granted in orders if granted.units]
        if self._source is not None and self.end is None:
            self._order(self._source)
        if self.end is None and self._num_outstanding == 0:
            self._conclude()
        if self.end is not None:
            self._told = True
            orders += [(rank, Orders(end=self.end)) for rank in range(len(self._workers))]
        return orders

    def _finish(self, end: End) -> None:
        """Keep the first end: later ones are its echoes. A refusal goes before a stop that nobody was told of."""
        if self.end is None or (not self._told and end.code == EXIT_REQUEST):
            self.end = end

    def _add(self, units: NDArray[np.int64]) -> None:
        """Put units into the queue."""
        pending = np.concatenate((np.frombuffer(self._pending, np.int64), units))

        # Costly units last, as they are taken from the end; among equals the lower number goes first.
        pending = pending[np.lexsort((-pending, self._costs[pending]))]
        costs = self._costs[pending].astype(np.float64)
        self._pending, self._pending_costs = array("q", pending.tobytes()), array("d", costs.tobytes())
        self._cost_pending = float(costs.sum())

    def _restock(self, source: Source) -> None:
        """Receive the units that have come."""
        supply = source.take()
        if supply:
            self._add(np.concatenate(supply))
        if source.problem is not None:
            self._finish(End(EXIT_REQUEST, source.problem))

    def _order(self, source: Source) -> None:
        """Ask for units before they are needed, and for one to each rank that waits."""
        ahead_s = AHEAD_S + AHEAD_LOOKS * source.delay_s
        ahead = ahead_s * self._num_slots / self._typical if self._typical else 0.0
        source.ask(len(self._hungry), max(0.0, ahead - self._cost_pending))

    def _conclude(self) -> None:
        """Nothing is outstanding: the stage is complete, or no unit that is to be had fits before the deadline for anyone."""
        exhausted = self._source is None or self._source.is_exhausted
        if not self._pending:
            if exhausted:
                self._finish(End(EXIT_DONE, "finished"))
        elif len(self._hungry) == len(self._workers) and (exhausted or (self._source and self._source.is_dry)):
            self._finish(self._too_late())

    def _too_late(self) -> End:
        """No pending unit fits before the deadline: another start helps, unless this one could not begin even one."""
        unit_s = self._pending_costs[0] * (self._pessimistic or 0.0)
        begun = any(worker.num_orders for worker in self._workers)
        shared = self._source is not None and not self._source.is_exhausted
        if begun or shared or self._window_s is None or unit_s <= self._window_s:
            return End(EXIT_STOPPED, "deadline")
        return End(
            EXIT_REQUEST,
            f"run.shard: a unit may take {unit_s:.3g} s, the deadline leaves {max(0.0, self._window_s):.3g} s; "
            "use a smaller shard, a later deadline or more threads",
        )

    def _grant(self, rank: int, now_s: float) -> Orders:
        """Units for one rank: as many as it wants, and more while they are cheap and enough remain for the others."""
        worker = self._workers[rank]
        limit = max(worker.wanted, len(self._pending) // (2 * self._num_slots))
        units: list[int] = []
        granted_s = 0.0
        while len(units) < limit:
            enough = self._typical is None or granted_s >= GRANT_S * worker.concurrent_units
            if len(units) >= worker.wanted and enough:
                break
            unit = self._take(worker, now_s)
            if unit is None:
                break
            units.append(unit)
            worker.cost_outstanding += float(self._costs[unit])
            granted_s += float(self._costs[unit]) * (self._typical or 0.0)
        if units:
            self._num_outstanding += len(units)
            worker.num_orders += 1
            worker.wanted = 0
            self._want(rank)
        return Orders(tuple(units))

    def _take(self, worker: Worker, now_s: float) -> int | None:
        """Remove the costliest pending unit that would finish before the deadline."""
        index = len(self._pending) - 1
        rate = self._pessimistic
        if self._deadline_s is not None and rate:
            # The rank first works off what it has, `concurrent_units` at a time.
            backlog_s = worker.cost_outstanding * rate / worker.concurrent_units
            index = bisect_right(self._pending_costs, (self._deadline_s - now_s - backlog_s) / rate) - 1
        if index < 0:
            return None
        self._cost_pending -= self._pending_costs.pop(index)
        return self._pending.pop(index)

    def _want(self, rank: int) -> None:
        """Keep the set of ranks that wait for units."""
        if self._workers[rank].wanted:
            self._hungry.add(rank)
        else:
            self._hungry.discard(rank)

    def _estimate(self) -> None:
        """Seconds per cost: the middle one, and one that a unit will hardly exceed."""
        self._rates_are_new = False
        if not self._rates:
            return
        self._typical = float(np.median(self._rates))
        if len(self._rates) >= MIN_TIMED:
            self._pessimistic = float(np.percentile(self._rates, QUANTILE))
        elif not self._planned:
            self._pessimistic = SAFETY * max(self._rates)
