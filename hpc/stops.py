"""Signals that ask a job to stop, as a flag that somebody looks at.

Owns the handlers. Never acts on a signal: what is done about it is agreed by all ranks elsewhere.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Stops:
    """Context in which SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 only set `reason`, the name of the first one.

    Enter it in the main thread, which must not block for long: handlers run between its bytecodes. Within another
    such context it goes on with what that one has heard. On the way out the former handlers return, unless a signal has
    come: a process that was told to stop and is about to leave must not be killed by the second signal.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stops:
        for number in SIGNALS:
            former = self._former[number] = signal.signal(number, self._note)
            outer = getattr(former, "__self__", None)
            if isinstance(outer, Stops) and self.reason is None:
                self.reason = outer.reason
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.reason is None:
            self.restore()

    def restore(self) -> None:
        """Put the former handlers back."""
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Touch no lock here: the main thread may hold it.
        del frame
        if self.reason is None:
            self.reason = signal.Signals(number).name
