"""The threads of one rank that compute units and make them durable.

Owns runs in flight and the slicing of `advance`. Never touches MPI, signals or other ranks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from hpc.plan import Finished, Stage
from hpc.trial import out_of_memory
from kernels.backends.base import Array, Backend, Run
from kernels.errors import RequestError

if TYPE_CHECKING:
    Write = Callable[[int, dict[str, Array], float], None]

SLICE_S = 0.2


@dataclass(frozen=True)
class Done:
    """A unit is durable."""

    unit: int
    seconds: float


@dataclass(frozen=True)
class Dropped:
    """A unit was handed out and is not computed: the stage ended before it had begun, or while it was under way."""

    unit: int
    begun: bool


@dataclass(frozen=True)
class Refused:
    """A unit raised RequestError: the message is the line for the user."""

    unit: int
    message: str


@dataclass(frozen=True)
class Crashed:
    """A unit raised anything else."""

    unit: int
    error: BaseException


Event = Done | Dropped | Refused | Crashed


@dataclass
class Flight:
    """A unit that occupies the device. The run has begun, or its latest slice has returned, at `seen_s`.

    Until then there is no `run`; `fraction` is 0 until the first slice has returned.
    """

    unit: int
    started_s: float
    seen_s: float
    fraction: float = 0.0
    run: Run | None = None


class Workers:
    """Threads that compute the units of one stage, `backend.concurrent_units` at a time.

    There is one thread more than that: a unit is written by the thread that computed it, while the next unit already
    has the device. So neither compression nor the disk leaves the device idle, at most `concurrent_units + 1` units
    are in memory, and a unit that was computed cannot be overtaken by an exit that forgets a writer's queue.
    What happened is for the main thread to `take`.
    """

    def __init__(
        self, stage: Stage, backend: Backend, finished: Finished, write: Write, *, slice_s: float = SLICE_S
    ) -> None:
        self._stage = stage
        self._backend = backend
        self._finished = finished
        self._write = write
        self._slice_s = slice_s
        self._events: deque[Event] = deque()
        self._bell = threading.Event()
        self._waiting: SimpleQueue[int | None] = SimpleQueue()
        self._device = threading.Semaphore(backend.concurrent_units)
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._queued: dict[int, None] = {}
        self._flights: dict[int, Flight] = {}
        self._draining = False
        self._abandoned = False
        self._advance_s = 0.0
        self._threads = [
            threading.Thread(target=self._work, name=f"unit-{number}", daemon=True)
            for number in range(backend.concurrent_units + 1)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, unit: int) -> None:
        """Compute a unit after those submitted before; each submitted unit ends as exactly one event."""
        with self._lock:
            self._queued[unit] = None
        self._waiting.put(unit)

    def wait(self, timeout_s: float) -> None:
        """Sleep until there is something to take, or until the time is up, whatever signals arrive meanwhile.

        Not `SimpleQueue.get(timeout=...)`: in Python 3.11 a signal that uses up the rest of its timeout turns it into
        a wait without end.
        """
        if self._bell.wait(timeout_s):
            self._bell.clear()

    def take(self) -> list[Event]:
        """All events that are there, without waiting."""
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def load(self) -> tuple[list[int], list[Flight]]:
        """The units that wait for the device, and those that occupy it, as of now."""
        with self._lock:
            return list(self._queued), [Flight(**vars(flight)) for flight in self._flights.values()]

    @property
    def advance_s(self) -> float:
        """Seconds that kernels have run, all threads together: what the rank exists for."""
        with self._lock:
            return self._advance_s

    def drain(self) -> None:
        """Begin no further unit; those in flight go on."""
        with self._lock:
            self._draining = True

    def abandon(self) -> None:
        """Give up the units in flight; those that are computed already are still written."""
        with self._lock:
            self._draining = self._abandoned = True
            runs = [flight.run for flight in self._flights.values() if flight.run is not None]
        for run in runs:
            run.interrupt()

    def close(self, timeout_s: float) -> bool:
        """End the threads; False where one is still busy after the time allowed (it dies with the process)."""
        self.drain()
        for _ in self._threads:
            self._waiting.put(None)
        end_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        """Life of a thread: one unit after the other."""
        while (unit := self._waiting.get()) is not None:
            self._events.append(self._attempt(unit))
            self._bell.set()

    def _attempt(self, unit: int) -> Event:
        """Whatever comes of a unit, as an event: this thread must not die of it."""
        try:
            return self._process(unit)
        except RequestError as error:
            return Refused(unit, str(error))
        except MemoryError:
            return Refused(unit, out_of_memory(self._stage, unit))
        except BaseException as error:
            error.add_note(f"in unit {unit} of stage {self._stage.name!r}")
            return Crashed(unit, error)

    def _process(self, unit: int) -> Event:
        """Compute one unit and write it."""
        with self._device:
            started_s = time.monotonic()
            begun, arrays = self._compute(unit)
        if arrays is None:
            return Dropped(unit, begun)
        with self._writing:
            self._write(unit, arrays, time.monotonic() - started_s)
        return Done(unit, time.monotonic() - started_s)

    def _compute(self, unit: int) -> tuple[bool, dict[str, Array] | None]:
        """Advance a run slice by slice; tell whether it was begun, and None where the job no longer wants it."""
        now_s = time.monotonic()
        flight = Flight(unit, started_s=now_s, seen_s=now_s)
        with self._lock:
            del self._queued[unit]
            if self._draining:
                return False, None
            self._flights[unit] = flight
        try:
            run = self._stage.start(unit, self._backend, self._finished)
            with self._lock:
                flight.run, flight.seen_s = run, time.monotonic()
            while not self._abandoned:
                begun_s = time.monotonic()
                fraction = run.advance(self._slice_s)
                with self._lock:
                    flight.fraction, flight.seen_s = fraction, time.monotonic()
                    self._advance_s += flight.seen_s - begun_s
                if fraction >= 1.0:
                    return True, run.arrays()
            return True, None
        finally:
            with self._lock:
                del self._flights[unit]
