"""Notices what hangs: a kernel that does not come back, a rank of which nothing is heard.

Owns the times that are waited and the lines that name the culprit. Judges only: who ends the job, and how, is decided
elsewhere. Touches neither MPI nor threads nor files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hpc.messages import Orders, Report, Stall
from hpc.workers import Flight

# Looking through all ranks costs rank 0 time where they are many.
LOOK_S = 1.0


@dataclass(frozen=True)
class Patience:
    """How long is waited before something counts as hanging.

    A kernel may keep a slice for `factor` times what its whole unit is expected to take, and for `least_s` in any case:
    estimates of cheap units say little. A rank may be silent for `silence_s`, so long that a file system that stalls
    under its log does not count. Compilers, reading and writing are never timed.
    """

    factor: float = 20.0
    least_s: float = 60.0
    silence_s: float = 600.0

    def for_unit(self, expected_s: float | None) -> float:
        """The longest that a slice of a unit may take; without an estimate there is no end."""
        return math.inf if expected_s is None else max(self.least_s, self.factor * expected_s)


PATIENCE = Patience()


class Awake:
    """The time during which this process ran: a clock that stands still while nobody turns it.

    Who was stopped (Ctrl-Z, a suspended SLURM job, a debugger) must not wake up and hold the others to have been silent.
    """

    STEP_S = 1.0

    def __init__(self) -> None:
        self._elapsed_s = 0.0
        self._turned_s: float | None = None

    def turn(self, now_s: float) -> float:
        """The clock's time; one turn moves it by STEP_S at most."""
        if self._turned_s is not None:
            self._elapsed_s += min(now_s - self._turned_s, self.STEP_S)
        self._turned_s = now_s
        return self._elapsed_s


class Slices:
    """How long the kernels of this rank have kept their slices."""

    def __init__(self) -> None:
        self._out: dict[int, tuple[float, float]] = {}

    def longest(self, flights: Iterable[Flight], awake_s: float) -> Stall | None:
        """The unit whose slice has been out for longest, of those that compute; looked at often, lest one be missed."""
        former, self._out = self._out, {}
        for flight in flights:
            # A unit without a run is being compiled, or reads.
            if flight.run is not None:
                seen = former.get(flight.unit)
                came_back = seen is None or seen[0] != flight.seen_s
                self._out[flight.unit] = (flight.seen_s, awake_s) if came_back or seen is None else seen
        if not self._out:
            return None
        unit, (_, since_s) = min(self._out.items(), key=lambda entry: entry[1][1])
        return Stall(unit, awake_s - since_s)


class Watch:
    """What a rank knows of those it listens to: rank 0 of all others and itself, rank 1 of rank 0, the rest of nobody.

    `hosts` has the host of each rank; `expected_s` gives the seconds that a unit should take, None while that is not
    known. All times are those of an `Awake`, from 0.
    """

    def __init__(
        self,
        stage: str,
        ranks: Iterable[int],
        hosts: Sequence[str],
        patience: Patience,
        expected_s: Callable[[int], float | None] | None = None,
    ) -> None:
        self._stage = stage
        self._hosts = hosts
        self._patience = patience
        self._expected_s = expected_s
        self._heard_s = dict.fromkeys(ranks, 0.0)
        self._units: dict[int, int] = {}
        self._looked_s = 0.0
        self.lost: dict[int, str] = {}

    def hear(self, rank: int, message: Report | Orders, awake_s: float) -> str | None:
        """Take note of a message; the line to end the job with where it tells of a unit that hangs."""
        final = isinstance(message, Report) and message.final
        if rank in self._heard_s:
            self._heard_s[rank] = math.inf if final else awake_s
        self.lost.pop(rank, None)
        stall = message.stall if isinstance(message, Report) else None
        if stall is None:
            return None
        self._units[rank] = stall.unit
        expected_s = None if self._expected_s is None else self._expected_s(stall.unit)
        if stall.seconds <= self._patience.for_unit(expected_s):
            return None
        return f"{self._name(rank)} hangs{self._place(rank)}: nothing came back for {stall.seconds:.0f} s"

    def find_lost(self, awake_s: float) -> dict[int, str]:
        """Ranks that are silent for too long, and were not found before: for each the line to end the job with."""
        if awake_s < self._looked_s + LOOK_S:
            return {}
        self._looked_s = awake_s
        found = {
            rank: f"{self._name(rank)} is silent for {awake_s - heard_s:.0f} s{self._place(rank)}"
            for rank, heard_s in self._heard_s.items()
            if awake_s - heard_s > self._patience.silence_s
        }
        self._heard_s.update(dict.fromkeys(found, math.inf))
        self.lost.update(found)
        return found

    def _name(self, rank: int) -> str:
        return f"rank {rank} on {self._hosts[rank]}"

    def _place(self, rank: int) -> str:
        unit = self._units.get(rank)
        return "" if unit is None else f" in unit {unit} of stage {self._stage!r}"
