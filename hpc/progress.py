"""How far a job is: measured on rank 0, told to programs as STORE/status.json and handed to a view for people.

Owns the measure and the display's thread. Never holds up the computation: a paused terminal or a slow disk blocks
only the thread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

from hpc.durable import write_json_durably

STATUS_FILE = "status.json"
REFRESH_S = 0.5
STATUS_S = 2.0
CLOSE_S = 0.5

State = Literal["running", "stopping", "stopped", "done", "refused"]


@dataclass(frozen=True)
class StageProgress:
    """Units of one stage."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class Snapshot:
    """The job at one moment; STATUS_FILE holds these fields and `updated`.

    `percent` counts units that are under way in part, the stages weighted by their numbers of units. `rate` is in
    units a second and `eta_s` in seconds, both for the stage under way and measured since this start; None while
    unknown. `note` is what the work says of itself, such as a loss.
    """

    run: str
    state: State
    ranks: int
    stages: tuple[StageProgress, ...]
    stage: str
    percent: float
    rate: float | None
    eta_s: float | None
    note: str = ""

    def line(self) -> str:
        """One line for people."""
        current = next((stage for stage in self.stages if stage.name == self.stage), None)
        units = f", {current.done} of {current.total} units" if current else ""
        rate = "" if self.rate is None else f", {self.rate:.3g} units/s"
        eta = "" if self.eta_s is None else f", {timedelta(seconds=round(self.eta_s))} left"
        note = f", {self.note}" if self.note else ""
        return f"{self.state} {self.stage}: {self.percent:.1f} %{units}{rate}{note}{eta}"


class Meter:
    """Turns counts into snapshots."""

    def __init__(self, run: str, num_ranks: int, stages: tuple[StageProgress, ...]) -> None:
        self._latest = Snapshot(run, "running", num_ranks, stages, stages[0].name if stages else "", 0.0, None, None)
        self._index = 0
        self._cost_total = self._cost_before = 0.0
        self._done_before = self._done_elsewhere = 0
        self._cost_elsewhere = 0.0
        self._started_s = 0.0

    def begin(self, index: int, done: int, cost_done: float, cost_total: float, now_s: float) -> None:
        """Begin a stage of which `done` units with `cost_done` are durable already."""
        self._index, self._done_before, self._started_s = index, done, now_s
        self._cost_before, self._cost_total = cost_done, cost_total
        self.credit(0, 0.0)
        self.measure("running", 0, 0.0, 0.0, now_s)

    def credit(self, done: int, cost_done: float) -> None:
        """Other runs have made so much durable since the begin of the stage."""
        self._done_elsewhere, self._cost_elsewhere = done, cost_done

    def measure(
        self, state: State, num_done: int, cost_done: float, cost_in_flight: float, now_s: float, note: str = ""
    ) -> Snapshot:
        """The job now. Counts are those of the stage under way since its begin; durable units alone are in num_done."""
        stages = list(self._latest.stages)
        if stages:
            stages[self._index] = replace(stages[self._index], done=self._done_before + self._done_elsewhere + num_done)
        elapsed_s = now_s - self._started_s
        cost = cost_done + cost_in_flight
        left = self._cost_total - self._cost_before - self._cost_elsewhere - cost
        fraction = 1.0 - left / self._cost_total if self._cost_total > 0 else 1.0
        weights = sum(stage.total for stage in stages)
        whole = sum(stage.done for i, stage in enumerate(stages) if i != self._index)
        own = stages[self._index].total * fraction if stages else 0.0
        self._latest = replace(
            self._latest,
            state=state,
            stages=tuple(stages),
            stage=stages[self._index].name if stages else "",
            percent=round(100.0 * (whole + own) / weights, 2) if weights else 100.0,
            rate=num_done / elapsed_s if num_done and elapsed_s > 0 else None,
            eta_s=max(0.0, left) * elapsed_s / (cost + self._cost_elsewhere) if cost > 0 else None,
            note=note,
        )
        return self._latest

    def finish(self, state: State) -> Snapshot:
        """The job at its end."""
        self._latest = replace(self._latest, state=state, eta_s=None)
        return self._latest


class View(Protocol):
    """Something that shows snapshots to people."""

    def show(self, snapshot: Snapshot) -> None:
        """Show the job; called about twice a second."""
        ...

    def close(self, snapshot: Snapshot) -> None:
        """Show its end."""
        ...


class Display:
    """Writes STATUS_FILE and feeds a view, in a thread of its own. Rank 0 only; close it."""

    def __init__(self, store: Path, make_view: Callable[[], View | None]) -> None:
        self._path = store / STATUS_FILE
        self._make_view = make_view
        self._snapshot: Snapshot | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="display", daemon=True)
        self._thread.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Show this soon."""
        self._snapshot = snapshot

    def close(self) -> None:
        """Show the last snapshot and end; where the terminal does not take it, only the file is written."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            self._write_status()

    def _work(self) -> None:
        """Life of the thread."""
        # A terminal that has gone must not end the job.
        view: View | None = None
        with contextlib.suppress(OSError):
            view = self._make_view()
        written_s = 0.0
        while not (closing := self._closing.wait(REFRESH_S)):
            if time.monotonic() >= written_s + STATUS_S:
                self._write_status()
                written_s = time.monotonic()
            view = self._draw(view, closing)
        self._write_status()
        self._draw(view, closing)

    def _draw(self, view: View | None, closing: bool) -> View | None:
        """Show the snapshot; None where the view has failed and is given up."""
        if view is None or self._snapshot is None:
            return view
        try:
            if closing:
                view.close(self._snapshot)
            else:
                view.show(self._snapshot)
        except (OSError, ValueError):
            return None
        return view

    def _write_status(self) -> None:
        """Replace STATUS_FILE. It is a convenience: a full disk shows itself where results are written."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        status = {**asdict(snapshot), "updated": datetime.now(UTC).isoformat(timespec="seconds")}
        with contextlib.suppress(OSError):
            write_json_durably(self._path, status, f"{snapshot.run}-status")
