"""Signals only set a flag, and the former handlers come back."""

from __future__ import annotations

import os
import signal

import pytest

from hpc.stops import SIGNALS, Stops


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted(number: signal.Signals) -> None:
    former = {other: signal.getsignal(other) for other in SIGNALS}
    with Stops() as stops:
        assert stops.reason is None
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stops.reason == number.name
    # Told to stop: the second signal must not kill what is about to leave.
    assert signal.getsignal(signal.SIGTERM) not in (former[signal.SIGTERM], signal.SIG_DFL)
    stops.restore()
    assert {other: signal.getsignal(other) for other in SIGNALS} == former


def test_handlers_come_back() -> None:
    former = {number: signal.getsignal(number) for number in SIGNALS}
    with Stops():
        assert signal.getsignal(signal.SIGUSR1) != former[signal.SIGUSR1]
    assert {number: signal.getsignal(number) for number in SIGNALS} == former


def test_a_context_within_another_goes_on_with_what_was_heard() -> None:
    former = signal.getsignal(signal.SIGUSR1)
    with Stops() as outer:
        os.kill(os.getpid(), signal.SIGUSR1)
        with Stops() as inner:
            assert inner.reason == "SIGUSR1"
        inner.restore()
        outer.restore()
    assert signal.getsignal(signal.SIGUSR1) == former
