"""What people see of a job: a bar on the launcher's terminal, or lines on stderr.

Owns the text and the drawing. Never measures; may block where a terminal is paused, and so runs in the display's thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Literal

from hpc.progress import Snapshot, View
from hpc.terminal import find_terminal

log = logging.getLogger(__name__)

LINE_S = 30.0


class Lines:
    """A line every `interval_s` on stderr, and one at the end."""

    def __init__(self, interval_s: float = LINE_S) -> None:
        self._interval_s = interval_s
        self._shown_s = time.monotonic()
        self._handler = logging.StreamHandler(sys.stderr)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        log.addHandler(self._handler)

    def show(self, snapshot: Snapshot) -> None:
        """Show the job when it is time."""
        if time.monotonic() >= self._shown_s + self._interval_s:
            self._shown_s = time.monotonic()
            log.info(snapshot.line())

    def close(self, snapshot: Snapshot) -> None:
        """Show its end; a refusal has a line of its own, and no other."""
        if snapshot.state != "refused":
            log.info(snapshot.line())
        log.removeHandler(self._handler)


class Bar:
    """A bar on a terminal that is not ours but the launcher's."""

    def __init__(self, device: Path) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        descriptor = os.open(device, os.O_WRONLY | os.O_NOCTTY)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")
        # Ask this terminal for its size: rich would ask our own streams, which are pipes.
        size = os.get_terminal_size(descriptor)
        console = Console(file=self._file, force_terminal=True, width=size.columns or 80, height=size.lines or 25)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>5.1f} % {task.fields[units]}"),
        )
        self._progress = Progress(
            *columns, console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._task = self._progress.add_task("", total=100.0, units="")
        self._progress.start()

    def show(self, snapshot: Snapshot) -> None:
        """Draw the bar anew."""
        current = next((stage for stage in snapshot.stages if stage.name == snapshot.stage), None)
        units = f"{current.done}/{current.total}" if current else ""
        if snapshot.note:
            units += f" {snapshot.note}"
        if snapshot.eta_s is not None:
            units += f" {timedelta(seconds=round(snapshot.eta_s))} left"
        description = f"{snapshot.stage} ({snapshot.state})" if snapshot.state != "running" else snapshot.stage
        self._progress.update(
            self._task, completed=snapshot.percent, description=description, units=units, refresh=True
        )

    def close(self, snapshot: Snapshot) -> None:
        """Leave the finished bar on the terminal."""
        self.show(snapshot)
        self._progress.stop()
        self._file.close()


def choose_view(mode: Literal["auto", "bar", "lines", "none"]) -> View | None:
    """The view for `run.progress`: `auto` and `bar` draw a bar where there is a terminal, else they print lines."""
    if mode == "none":
        return None
    device = find_terminal() if mode in ("auto", "bar") else None
    if device is not None:
        with contextlib.suppress(OSError):
            return Bar(device)
    return Lines()
