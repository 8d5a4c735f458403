"""Leases: which of the jobs that compute one store at once has taken which block of units.

Owns the files in STORE/leases: one a block, made with O_EXCL, that names its holder; one a run, whose time of change says
that the run lives. Who takes over from the dead makes a further one for the block, with the next number: the highest
counts. Never decides what to lease, never looks at units; a lease saves work, nothing is wrong without it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpc import runs

LEASES_FOLDER = "leases"
BEAT_SUFFIX = ".beat"
LEASE = re.compile(r"(?P<stage>.+)\.(?P<block>\d{1,9})\.(?P<number>\d{1,9})\.lease", re.ASCII)
MOST_LEASE_BYTES = 4096

# Who writes into a store may put a pipe or a link into it: neither is waited for or followed.
READ_ONLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW


@dataclass(frozen=True)
class Tempo:
    """How often a run shows that it lives, after which silence it counts as dead, and how often others are looked at."""

    renew_s: float = 15.0
    expire_s: float = 75.0
    look_s: float = 1.0


TEMPO = Tempo()


@dataclass(frozen=True)
class Mark:
    """What a file looks like: it has changed where any of this has. The time is the file server's, in nanoseconds."""

    changed_ns: int
    size_bytes: int


class Pulses:
    """Which files have not changed for `expire_s`, as far as was seen.

    Their times are compared with other times of the same server alone, and only for files that are seen for the first
    time; what counts then is this process's own clock, which no host's clock on the wall moves. As some file systems
    take times from their clients, two renewals are waited for in any case.
    """

    def __init__(self, tempo: Tempo) -> None:
        self._expire_s = tempo.expire_s
        self._least_s = min(2 * tempo.renew_s, tempo.expire_s)
        self._seen: dict[str, tuple[Mark, float]] = {}

    def is_silent(self, name: str, mark: Mark, server_ns: int, now_s: float) -> bool:
        """Look at a file, of which `mark` is to be seen when the server's clock shows `server_ns`."""
        if name not in self._seen:
            age_s = (server_ns - mark.changed_ns) / 1e9
            self._seen[name] = mark, now_s - min(max(age_s, 0.0), self._expire_s - self._least_s)
        elif self._seen[name][0] != mark:
            self._seen[name] = mark, now_s
        return now_s - self._seen[name][1] >= self._expire_s


@dataclass(frozen=True)
class Listing:
    """What is in the folder: runs that have a beat, and the blocks of one stage that are leased, with their numbers."""

    runs: frozenset[str]
    blocks: Mapping[int, int]


class LeaseFolder:
    """The leases of one store, as one run sees and takes them. For one thread at a time; raises OSError."""

    def __init__(
        self, store: Path, run_id: str, tempo: Tempo = TEMPO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._folder = store / LEASES_FOLDER
        self._run_id = run_id
        self._clock = clock
        self._pulses = Pulses(tempo)
        self._server_ns = 0
        self._held: dict[tuple[str, int], int] = {}

    def beat(self) -> None:
        """Show that this run lives, and learn what the server's clock shows.

        A byte is added rather than the time set: some file systems would set it from this host's clock.
        """
        path = self._beat_path(self._run_id)
        descriptor = self._open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(descriptor, b".")
        finally:
            os.close(descriptor)
        self._server_ns = path.stat().st_mtime_ns

    def list(self, stage: str) -> Listing:
        """Who is there, and what is taken of a stage."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            names = []
        found = [match for match in map(LEASE.fullmatch, names) if match is not None and match["stage"] == stage]
        blocks: dict[int, int] = {}
        for match in found:
            block = int(match["block"])
            blocks[block] = max(int(match["number"]), blocks.get(block, 0))
        living = (name.removesuffix(BEAT_SUFFIX) for name in names if name.endswith(BEAT_SUFFIX))
        return Listing(frozenset(living), blocks)

    def acquire(self, stage: str, block: int) -> bool:
        """Take a block that nobody has; False where somebody was faster."""
        return self._make(stage, block, 0)

    def take_over(self, stage: str, block: int, number: int) -> bool:
        """Take a block whose latest lease has this number from a holder that is dead.

        False where it lives, or somebody else was faster.
        """
        path = self._lease_path(stage, block, number)
        holder = _holder(path)
        if holder is None or not (holder == self._run_id or self._is_dead(holder, path)):
            return False
        if not self._make(stage, block, number + 1):
            return False

        # The dead may have given it back before it died, and others may have had the block since.
        if _holder(path) != holder:
            self._lease_path(stage, block, self._held.pop((stage, block))).unlink(missing_ok=True)
            return False
        return True

    def release(self, stage: str, block: int) -> None:
        """Give a block back, unless it was taken away; nothing where it is not held."""
        number = self._held.pop((stage, block), None)
        if number is None or _holder(self._lease_path(stage, block, number)) != self._run_id:
            return
        if _mark(self._lease_path(stage, block, number + 1)) is not None:
            return

        # The latest goes last, lest a dead holder come to light again.
        for former in range(number + 1):
            self._lease_path(stage, block, former).unlink(missing_ok=True)

    def leave(self) -> None:
        """Remove the beat of this run; the last one to leave removes the folder with what the dead have left."""
        self._beat_path(self._run_id).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            left = list(self._folder.iterdir())
            beats = [path for path in left if path.name.endswith(BEAT_SUFFIX)]
            if all(self._is_dead(path.name.removesuffix(BEAT_SUFFIX), path) for path in beats):
                for path in left:
                    path.unlink(missing_ok=True)
                with suppress(OSError):
                    self._folder.rmdir()

    def _make(self, stage: str, block: int, number: int) -> bool:
        """Make a lease that is not there yet."""
        path = self._lease_path(stage, block, number)
        try:
            descriptor = self._open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, json.dumps({"run": self._run_id, "host": socket.gethostname()}).encode())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self._held[stage, block] = number
        return True

    def _is_dead(self, run_id: str, lease: Path) -> bool:
        """Whether a run is known to be dead, or has been silent for too long; without a beat, whether the lease has."""
        if run_id and runs.known_dead(runs.read_run(self._store, run_id)):
            return True
        for path in (self._beat_path(run_id), lease) if run_id else (lease,):
            mark = _mark(path)
            if mark is not None:
                return self._pulses.is_silent(path.name, mark, self._server_ns, self._clock())
        return False

    def _open(self, path: Path, flags: int) -> int:
        """Open a file for writing; another run may just have removed the folder."""
        for _ in range(3):
            with suppress(FileNotFoundError):
                return os.open(path, flags, 0o666)
            self._folder.mkdir(exist_ok=True)
        return os.open(path, flags, 0o666)

    def _beat_path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}{BEAT_SUFFIX}"

    def _lease_path(self, stage: str, block: int, number: int) -> Path:
        return self._folder / f"{stage}.{block}.{number}.lease"


def living_runs(store: Path, *, expire_s: float = TEMPO.expire_s) -> list[str]:
    """The runs that seem to compute a store now, for people: they have a beat, and are not known to be dead.

    A beat that is older than another by `expire_s` counts for nothing. Writes nothing; without the right to read, nobody
    seems to be there.
    """
    marks = {}
    with suppress(OSError):
        for path in (store / LEASES_FOLDER).iterdir():
            run_id = path.name.removesuffix(BEAT_SUFFIX)
            if not path.name.endswith(BEAT_SUFFIX) or runs.RUN_ID.fullmatch(run_id) is None:
                continue
            # One that cannot be looked at hides no other.
            with suppress(OSError):
                mark = _mark(path)
                if mark is not None and not runs.known_dead(runs.read_run(store, run_id)):
                    marks[run_id] = mark.changed_ns
    latest_ns = max(marks.values(), default=0)
    return sorted(run_id for run_id, changed_ns in marks.items() if latest_ns - changed_ns < expire_s * 1e9)


def _mark(path: Path) -> Mark | None:
    """What a file looks like now; None where it is gone. Opened, as some file systems answer from memory otherwise."""
    try:
        descriptor = os.open(path, READ_ONLY)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return Mark(found.st_mtime_ns, found.st_size)


def _holder(path: Path) -> str | None:
    """The run that a lease names, empty where it names none (yet); None where there is no such lease."""
    try:
        descriptor = os.open(path, READ_ONLY)
    except FileNotFoundError:
        return None
    try:
        holder = json.loads(os.read(descriptor, MOST_LEASE_BYTES))["run"]
    except (BlockingIOError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    finally:
        os.close(descriptor)
    return holder if isinstance(holder, str) and runs.RUN_ID.fullmatch(holder) else ""
