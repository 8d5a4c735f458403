"""The main thread of one rank during one stage: reports, orders, the flag of signals, and on rank 0 the coordinator.

Owns the loop that keeps MPI and signals served while the workers compute. Never computes, never blocks.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hpc.claims import GRANT_S, Claims
from hpc.launch import EXIT_DONE, EXIT_REQUEST, EXIT_STOPPED, LONGEST_WAIT_S, SHORTEST_WAIT_S
from hpc.messages import COORDINATOR, DEPUTY, End, Mailbox, Orders, Report
from hpc.plan import Stage
from hpc.stops import Stops
from hpc.watchdog import Awake, Slices, Watch
from hpc.workers import Crashed, Done, Dropped, Event, Flight, Refused, Workers

log = logging.getLogger(__name__)

# How often a rank reports, if only units that are partly done or that it lives; all ranks together not more often than this.
REPORT_S = 2.0
MOST_REPORTS_PER_S = 1000.0

# What a run gets to return from `interrupt`, and a finished unit to reach the disk, after the grace time.
ABANDON_S = 0.7


def report_interval_s(num_ranks: int) -> float:
    """Seconds between a rank's reports where nothing happens: rank 0 has a core for its own unit as well."""
    return max(REPORT_S, num_ranks / MOST_REPORTS_PER_S)


class StageLoop:
    """One rank's part in one stage, on a device that takes `concurrent_units` at a time.

    `claims` is the coordinator's queue, on rank 0 only. `observe` is called on rank 0 in every turn, with the time, and
    must return at once. `watch` notices what hangs; ranks that are lost to it are named in the end that `run` returns.
    """

    def __init__(
        self,
        stage: Stage,
        rank: int,
        concurrent_units: int,
        mailbox: Mailbox,
        workers: Workers,
        stops: Stops,
        claims: Claims | None,
        observe: Callable[[Claims, float], None],
        watch: Watch,
    ) -> None:
        self._stage = stage
        self._rank = rank
        self._concurrent_units = concurrent_units
        self._mailbox = mailbox
        self._workers = workers
        self._stops = stops
        self._claims = claims
        self._observe = observe
        self._watch = watch
        self._awake = Awake()
        self._awake_s = 0.0
        self._slices = Slices()
        self._lived_s = 0.0
        self._report_s = report_interval_s(mailbox.num_ranks)

        self._mine: set[int] = set()
        self._finished: list[tuple[int, float]] = []
        self._refused: str | None = None
        self._cost_done = 0.0
        self._seconds_done = 0.0
        self._num_orders = 0
        self._reported = Report()
        self._reported_s = 0.0
        self._end: End | None = None
        self._give_up_s = 0.0

    def run(self) -> End:
        """Serve until the stage has ended for this rank, on rank 0 for all ranks."""
        pause_s = SHORTEST_WAIT_S
        while not self._is_over():
            busy = self._turn()
            if busy:
                pause_s = SHORTEST_WAIT_S
                continue

            # Sleep, but wake at once when a worker has something to say.
            self._workers.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_WAIT_S)
        lost = self._watch.lost
        if lost and (self._end is None or self._end.code != EXIT_REQUEST):
            self._end = End(EXIT_STOPPED, ", ".join(lost.values()))
        assert self._end is not None
        return replace(self._end, lost=tuple(lost))

    def _is_over(self) -> bool:
        """Whether nobody waits for this rank any more."""
        if self._claims is None:
            return bool(self._watch.lost) or (self._reported.final and self._mailbox.is_empty())

        # What was sent to a rank that is lost may never leave.
        return self._claims.is_over and (bool(self._watch.lost) or self._mailbox.is_empty())

    def _turn(self) -> bool:
        """One look at everything; True where something happened."""
        now_s = time.monotonic()
        self._awake_s = self._awake.turn(now_s)
        busy = False
        for event in self._workers.take():
            self._note(event)
            busy = True
        for sender, message in self._mailbox.receive():
            self._take(sender, message, now_s)
            busy = True
        busy |= self._report(now_s)
        if self._claims is not None:
            for rank, orders in self._claims.orders(now_s):
                self._deliver(rank, orders, now_s)
                busy = True
            self._give_sign_of_life(now_s)
            self._observe(self._claims, now_s)
        self._look_for_lost()
        return busy

    def _note(self, event: Event) -> None:
        """Take note of what a worker did. An exception of a unit goes on here, in the main thread."""
        self._mine.discard(event.unit)
        match event:
            case Done(unit, seconds):
                self._finished.append((unit, seconds))
                self._seconds_done += seconds
                self._cost_done += self._stage.cost(unit)
                log.info("unit done", extra={"stage": self._stage.name, "unit": unit, "seconds": round(seconds, 6)})
            case Dropped(unit, begun):
                log.info("unit dropped", extra={"stage": self._stage.name, "unit": unit, "begun": begun})
            case Refused(unit, message):
                self._refused = message
                log.error(message, extra={"stage": self._stage.name, "unit": unit})
            case Crashed(unit, error):
                log.error("unit crashed", extra={"stage": self._stage.name, "unit": unit}, exc_info=error)
                raise error

    def _take(self, sender: int, message: Any, now_s: float) -> None:
        """Receive one message: reports on rank 0, orders elsewhere."""
        complaint = self._watch.hear(sender, message, self._awake_s)
        if self._claims is None:
            self._obey(message, now_s)
            return
        self._claims.receive(sender, message)
        if complaint is not None:
            self._claims.stop(complaint)

    def _look_for_lost(self) -> None:
        """Do without ranks of which nothing is heard. Who follows the coordinator's orders to the end needs it no more."""
        if self._claims is None and self._end is not None:
            return
        for rank, complaint in self._watch.find_lost(self._awake_s).items():
            log.error(complaint, extra={"stage": self._stage.name, "lost": rank})
            if self._claims is not None:
                self._claims.lose(rank)
                self._claims.stop(complaint)

    def _give_sign_of_life(self, now_s: float) -> None:
        """Let rank 1 hear from the coordinator while the stage goes on, as nobody else would notice that it hangs."""
        if self._end is None and self._mailbox.num_ranks > 1 and now_s >= self._lived_s + self._report_s:
            self._lived_s = now_s
            self._mailbox.send(DEPUTY, Orders())

    def _deliver(self, rank: int, orders: Orders, now_s: float) -> None:
        """Send orders; rank 0's own need no message."""
        if rank == self._rank:
            self._obey(orders, now_s)
        else:
            self._mailbox.send(rank, orders)

    def _obey(self, orders: Orders, now_s: float) -> None:
        """Begin the units ordered, or the end of the stage."""
        if orders.units:
            self._num_orders += 1
            self._mine.update(orders.units)
            for unit in orders.units:
                self._workers.submit(unit)
        if orders.end is not None:
            self._end = orders.end
            self._give_up_s = now_s + orders.end.grace_s
            self._workers.drain()
            if orders.end.code != EXIT_DONE:
                log.info("stage ends early", extra={"stage": self._stage.name, "reason": orders.end.reason})

    def _report(self, now_s: float) -> bool:
        """Tell the coordinator what is new; True where there was anything to tell."""
        if self._reported.final:
            return False
        queued, flights = self._workers.load()
        report = Report(
            finished=tuple(self._finished),
            wanted=self._wanted(queued, flights, now_s),
            num_orders=self._num_orders,
            cost_in_flight=sum(self._stage.cost(flight.unit) * flight.fraction for flight in flights),
            stall=self._slices.longest(flights, self._awake_s),
            stop=self._stops.reason,
            refused=self._refused,
            final=self._end is not None and self._has_settled(now_s),
        )
        last = self._reported
        news = (
            bool(report.finished)
            or report.final
            or (report.wanted > 0 and (report.wanted, report.num_orders) != (last.wanted, last.num_orders))
            or (report.stop, report.refused) != (last.stop, last.refused)
        )
        if not news and now_s < self._reported_s + self._report_s:
            return False
        self._finished.clear()
        self._reported, self._reported_s = report, now_s
        if self._claims is not None:
            self._take(COORDINATOR, report, now_s)
        else:
            self._mailbox.send(COORDINATOR, report)
        return news

    def _has_settled(self, now_s: float) -> bool:
        """Whether all units of this rank have ended, abandoning them after the grace time."""
        if self._mine and now_s >= self._give_up_s:
            self._workers.abandon()
        return not self._mine or now_s >= self._give_up_s + ABANDON_S

    def _wanted(self, queued: list[int], flights: list[Flight], now_s: float) -> int:
        """Units to ask for: one for every idle slot of the device, or one when the device is about to run dry."""
        if self._end is not None or self._stops.reason is not None or self._refused is not None:
            return 0
        idle = self._concurrent_units - len(queued) - len(flights)
        if idle > 0:
            return idle

        # Estimate how long the device has work; nothing is known before the first unit or slice has ended.
        rate = self._seconds_done / self._cost_done if self._cost_done > 0 else math.inf
        supply_s = sum(self._stage.cost(unit) * rate for unit in queued)
        for flight in flights:
            if flight.fraction > 0:
                whole_s = (flight.seen_s - flight.started_s) / flight.fraction
            else:
                whole_s = self._stage.cost(flight.unit) * rate
            supply_s += max(0.0, whole_s - (now_s - flight.started_s))
        return 1 if supply_s < GRANT_S * self._concurrent_units else 0
