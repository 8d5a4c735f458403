"""The threads of a rank: slices, events, and ends before time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpc.workers import Crashed, Done, Dropped, Event, Refused, Workers


class Disk:
    """Collects what is written; `hold` keeps writers waiting."""

    def __init__(self) -> None:
        self.units: dict[int, dict[str, np.ndarray]] = {}
        self.hold = threading.Event()
        self.hold.set()

    def write(self, unit: int, arrays: dict[str, np.ndarray], seconds: float) -> None:
        assert self.hold.wait(10)
        assert seconds >= 0
        self.units[unit] = arrays


@pytest.fixture
def make(toy: Any) -> Callable[..., tuple[Workers, Disk]]:
    def make(concurrent: int = 1, slice_s: float = 0.2, **options: Any) -> tuple[Workers, Disk]:
        disk = Disk()
        stage = toy.make_plan(**options).stages[0]
        finished: Any = None
        return Workers(stage, toy.ToyBackend(concurrent), finished, disk.write, slice_s=slice_s), disk

    return make


def collect(workers: Workers, count: int) -> list[Event]:
    """So many events, in the order of their units."""
    events: list[Event] = []
    end_s = time.monotonic() + 20
    while len(events) < count:
        assert time.monotonic() < end_s
        workers.wait(0.1)
        events += workers.take()
    return sorted(events, key=lambda event: event.unit)


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def test_one_slice_equals_a_thousand(make: Any, monkeypatch: pytest.MonkeyPatch, toy: Any) -> None:
    monkeypatch.setattr(toy, "NUM_VALUES", 1000)
    calls: list[float] = []
    advance = toy.ToyRun.advance
    monkeypatch.setattr(toy.ToyRun, "advance", lambda run, seconds: calls.append(seconds) or advance(run, seconds))
    results, counts = [], []
    for slice_s in (60.0, 0.0):
        calls.clear()
        workers, disk = make(slice_s=slice_s, seconds=0.0)
        workers.submit(3)
        collect(workers, 1)
        assert workers.close(5)
        results.append(disk.units[3]["partial"].tobytes())
        counts.append(len(calls))
    assert counts == [1, 1000]
    assert results[0] == results[1]


@pytest.mark.parametrize("concurrent", [1, 3])
def test_all_units_once_and_no_more_at_a_time_than_the_device_takes(make: Any, concurrent: int) -> None:
    workers, disk = make(concurrent, slice_s=0.001, seconds=0.03)
    for unit in range(12):
        workers.submit(unit)
    most = 0
    events: list[Event] = []
    while len(events) < 12:
        _, flights = workers.load()
        most = max(most, len(flights))
        workers.wait(0.001)
        events += workers.take()
    assert most == concurrent
    assert sorted(disk.units) == list(range(12))
    assert all(isinstance(event, Done) and event.seconds > 0 for event in events)
    assert workers.close(5)


def test_the_device_works_while_a_unit_is_written(make: Any) -> None:
    workers, disk = make(seconds=0.001)
    disk.hold.clear()
    for unit in range(4):
        workers.submit(unit)
    # One waits for the disk, the next is computed and waits behind it; no third is in memory.
    until(lambda: len(workers.load()[0]) == 2 and not workers.load()[1])
    assert not workers.take()
    disk.hold.set()
    assert len(collect(workers, 4)) == 4
    assert workers.close(5)


@pytest.mark.parametrize(
    ("fault", "message"),
    [("refuse", "bodies.mass: the culprit"), ("memory", "run.shard: out of memory in unit 2 of stage 'partial'")],
)
def test_refusals(make: Any, fault: str, message: str) -> None:
    workers, disk = make(fault=fault, culprit=2, seconds=0.001)
    for unit in (2, 3):
        workers.submit(unit)
    refused, done = collect(workers, 2)
    assert isinstance(refused, Refused)
    assert refused.message.startswith(message)
    assert isinstance(done, Done)
    assert list(disk.units) == [3]
    assert workers.close(5)


def test_a_crash_keeps_its_traceback(make: Any) -> None:
    workers, _ = make(fault="crash", culprit=2)
    workers.submit(2)
    (event,) = collect(workers, 1)
    assert isinstance(event, Crashed)
    assert isinstance(event.error, ZeroDivisionError)
    assert event.error.__notes__ == ["in unit 2 of stage 'partial'"]
    assert event.error.__traceback__ is not None
    assert workers.close(5)


def test_draining_finishes_what_is_in_flight_only(make: Any) -> None:
    workers, disk = make(seconds=0.2)
    for unit in range(3):
        workers.submit(unit)
    until(lambda: bool(workers.load()[1]))
    workers.drain()
    first, second, third = collect(workers, 3)
    assert isinstance(first, Done)
    assert second == Dropped(1, begun=False)
    assert third == Dropped(2, begun=False)
    assert list(disk.units) == [0]
    assert workers.close(5)


def test_abandoning_interrupts_a_run_at_once(make: Any) -> None:
    workers, disk = make(seconds=60.0, slice_s=30.0)
    workers.submit(0)
    until(lambda: bool(workers.load()[1]) and workers.load()[1][0].run is not None)
    begun_s = time.monotonic()
    workers.abandon()
    assert collect(workers, 1) == [Dropped(0, begun=True)]
    assert time.monotonic() - begun_s < 1.0
    assert not disk.units
    assert workers.close(5)


def test_a_deaf_run_is_left_behind(make: Any) -> None:
    workers, _ = make(seconds=2.0, fault="deaf", culprit=0)
    workers.submit(0)
    until(lambda: bool(workers.load()[1]))
    workers.abandon()
    assert not workers.close(0.05)


def test_signals_do_not_prolong_a_wait(make: Any) -> None:
    """A wait whose time is used up by signal handlers must end (in Python 3.11 that of a SimpleQueue does not)."""
    workers, _ = make()
    received = 0

    def handler(*_: object) -> None:
        nonlocal received
        received += 1
        time.sleep(0.0005)

    former = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
    try:
        for _ in range(200):
            workers.wait(0.001)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, former)
    assert received > 50
    assert workers.close(5)
