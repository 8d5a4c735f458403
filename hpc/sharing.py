"""How several jobs share the units of one store: blocks of them, leased ahead of need by a thread of rank 0.

Owns the cut into blocks, the looks at leases and ledgers, and the thread. Never touches MPI; the queue of rank 0
(hpc/claims.py) asks for units and is handed them without waiting for a file.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpc.leases import TEMPO, LeaseFolder, Tempo
from hpc.ledger import Follower
from kernels.errors import RequestError

log = logging.getLogger(__name__)

# So many blocks a stage are enough to balance jobs, and few enough files.
MOST_BLOCKS = 1024
CLOSE_S = 5.0


class Blocks:
    """The units of a stage in the order of handing out, the costly first, cut into blocks of about equal cost.

    A function of the costs alone, so that all jobs cut alike.
    """

    def __init__(self, costs: NDArray[np.float64]) -> None:
        num_units = costs.size
        self._order = np.lexsort((np.arange(num_units), -costs))
        sums = np.cumsum(costs[self._order])
        total = sums[-1] if num_units and np.isfinite(sums[-1]) else 0.0
        shares = (sums - costs[self._order]) / total if total > 0 else np.arange(num_units) / max(num_units, 1)
        labels = np.minimum(shares * MOST_BLOCKS, MOST_BLOCKS - 1).astype(np.int32)
        starts = np.flatnonzero(np.diff(labels, prepend=-1))
        self._bounds = np.append(starts, num_units)
        self.number = starts.size
        self.of = np.empty(num_units, dtype=np.int32)
        """The block of each unit."""
        self.of[self._order] = np.repeat(np.arange(self.number, dtype=np.int32), np.diff(self._bounds))

    def units(self, block: int) -> NDArray[np.int64]:
        """The units of one block."""
        return self._order[self._bounds[block] : self._bounds[block + 1]]


class SharedStage:
    """The units of one stage that this job may compute: the `Source` of its queue.

    `finished` is the bitmap of units that were durable when `follower` began. The main thread asks, takes and reports;
    `look` belongs to the thread of `Sharing`.
    """

    def __init__(
        self,
        name: str,
        costs: NDArray[np.float64],
        finished: NDArray[np.bool_],
        folder: LeaseFolder,
        follower: Follower,
        asked: threading.Event,
    ) -> None:
        self._name = name
        self._costs = costs
        self._finished = finished.copy()
        self._folder = folder
        self._follower = follower
        self._asked = asked
        self._blocks = Blocks(costs)
        self._missing = np.bincount(self._blocks.of[~finished], minlength=self._blocks.number)
        self._unleased = [int(block) for block in np.flatnonzero(self._missing)]
        self._held: set[int] = set()
        self._complete: list[int] = []
        self._supply: list[NDArray[np.int64]] = []
        self._want: tuple[int, float] = (0, 0.0)
        self._lock = threading.Lock()
        self.is_dry = False
        self.delay_s = 0.0
        self.problem: str | None = None
        self.crash: Exception | None = None
        self.num_elsewhere = 0
        self.cost_elsewhere = 0.0

    @property
    def is_exhausted(self) -> bool:
        """Whether every unit that is not durable has been handed to this job."""
        return not self._unleased and not self._supply

    def ask(self, num_units: int, cost: float) -> None:
        """Say how many units, or of what cost in all, are lacking now; nothing is lacking where both are 0."""
        with self._lock:
            self._want = (num_units, cost)
        if self._unleased and (num_units or cost > 0):
            self._asked.set()

    def take(self) -> list[NDArray[np.int64]]:
        """The units that have become this job's since the last call. Raises what the thread has died of."""
        if self.crash is not None:
            raise self.crash
        if not self._supply:
            return []
        with self._lock:
            supply, self._supply = self._supply, []
        return supply

    def report(self, units: list[int]) -> None:
        """Take note of units that this job has made durable."""
        with self._lock:
            self._note(np.array(units, dtype=np.int64))
            if self._complete:
                self._asked.set()

    def look(self) -> bool:
        """Lease what is asked for, as far as it is to be had, and give back what is complete; True where anything was.

        What other jobs hold is left to them while they live.
        """
        begun_s = time.monotonic()
        with self._lock:
            num_wanted, cost_wanted = self._want
            complete, self._complete = self._complete, []
        for block in complete:
            self._folder.release(self._name, block)
            self._held.discard(block)
        listing = self._folder.list(self._name)
        blocks = self._lease(num_wanted, cost_wanted, listing.blocks, len(listing.runs)) if self._unleased else []

        # Whoever had a block before has recorded what it did of it before it gave it back.
        elsewhere = np.unique(self._follower.look(self._name, self._costs.size, listing.runs))
        with self._lock:
            fresh = elsewhere[~self._finished[elsewhere]]
            self.num_elsewhere += fresh.size
            self.cost_elsewhere += float(self._costs[fresh].sum())
            self._note(fresh)
            for block in blocks:
                units = self._blocks.units(block)
                if self._missing[block]:
                    self._held.add(block)
                    self._supply.append(units[~self._finished[units]])
            self._unleased = [block for block in self._unleased if block not in self._held and self._missing[block]]
            wanting = bool(num_wanted or cost_wanted > 0)
            self.is_dry = wanting and not blocks
            self._want = (0, 0.0)
        for block in blocks:
            if block not in self._held:
                self._folder.release(self._name, block)
        self.delay_s = time.monotonic() - begun_s
        return bool(blocks) or not wanting

    def close(self) -> None:
        """Give everything back. Raises OSError."""
        for block in self._held:
            self._folder.release(self._name, block)

    def _lease(self, num_wanted: int, cost_wanted: float, taken: Mapping[int, int], num_runs: int) -> list[int]:
        """Blocks that are this job's now: those that nobody has, then those of the dead."""
        leased: list[int] = []
        num_units, cost = 0, 0.0
        free = [block for block in self._unleased if block not in taken]
        stale = [block for block in self._unleased if block in taken]

        # Work ahead is shared out, what idle ranks need is not; one block is always the next.
        ahead = max(1, len(free) // (2 * max(num_runs, 1)))
        for block in (*free, *stale):
            if num_units >= num_wanted and (cost >= cost_wanted or len(leased) >= ahead):
                break
            if block in taken:
                won = self._folder.take_over(self._name, block, taken[block])
            else:
                won = self._folder.acquire(self._name, block)
            if won:
                units = self._blocks.units(block)
                units = units[~self._finished[units]]
                num_units += units.size
                cost += float(self._costs[units].sum())
                leased.append(block)
        return leased

    def _note(self, units: NDArray[np.int64]) -> None:
        """Units are durable now, whoever made them."""
        units = units[~self._finished[units]]
        self._finished[units] = True
        blocks, counts = np.unique(self._blocks.of[units], return_counts=True)
        self._missing[blocks] -= counts
        self._complete += [int(block) for block in blocks if not self._missing[block] and int(block) in self._held]


class Sharing:
    """Rank 0's part in sharing a store with other jobs, from the first unit to the end; close it."""

    def __init__(self, store: Path, run_id: str, tempo: Tempo = TEMPO) -> None:
        self._store = store
        self._run_id = run_id
        self._tempo = tempo
        self._folder = LeaseFolder(store, run_id, tempo)
        self._folder.beat()
        self._follower = Follower(store, run_id, frozenset())
        self._stage: SharedStage | None = None
        self._busy = threading.Lock()
        self._asked = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="leases", daemon=True)
        self._thread.start()

    def follow(self) -> None:
        """Watch the ledgers from here on; to be called before they are read for a stage."""
        with self._busy:
            at_work = self._folder.list("").runs
        self._follower = Follower(self._store, self._run_id, at_work)

    def begin(self, name: str, costs: NDArray[np.float64], finished: NDArray[np.bool_]) -> SharedStage:
        """Share a stage; `finished` was read after `follow`."""
        stage = SharedStage(name, costs, finished, self._folder, self._follower, self._asked)
        with self._busy:
            self._stage = stage
        self._asked.set()
        return stage

    def hold(self, name: str) -> bool:
        """Have a whole stage for this job alone; False while another has it. Raises OSError."""
        with self._busy:
            number = self._folder.list(name).blocks.get(0)
            return self._folder.acquire(name, 0) if number is None else self._folder.take_over(name, 0, number)

    def let_go(self, name: str) -> None:
        """Give a whole stage back."""
        with self._busy, suppress(OSError):
            self._folder.release(name, 0)

    def end(self) -> None:
        """Give the leases of the stage back."""
        with self._busy, suppress(OSError):
            stage, self._stage = self._stage, None
            if stage is not None:
                stage.close()

    def close(self) -> None:
        """Leave the store to the others. A file server that does not answer holds up nobody."""
        self._closing.set()
        self._asked.set()
        self._thread.join(CLOSE_S)

    def _work(self) -> None:
        """Life of the thread."""
        beaten_s = time.monotonic()
        while not self._closing.is_set():
            self._asked.clear()
            found = self._turn()
            if time.monotonic() >= beaten_s + self._tempo.renew_s:
                beaten_s = time.monotonic()
                with suppress(OSError):
                    self._folder.beat()

            # Answer at once while there is something to be had.
            if not found:
                self._closing.wait(self._tempo.look_s)
            else:
                self._asked.wait(max(0.0, beaten_s + self._tempo.renew_s - time.monotonic()))
        self.end()
        with self._busy, suppress(OSError):
            self._folder.leave()

    def _turn(self) -> bool:
        """One look for the stage under way; False where it is to be repeated soon."""
        with self._busy:
            stage = self._stage
            if stage is None or stage.problem is not None or stage.crash is not None:
                return True
            try:
                return stage.look()
            except (OSError, RequestError) as error:
                stage.problem = str(error)
                if isinstance(error, OSError):
                    place, reason = error.filename or self._store, error.strerror or error
                    stage.problem = f"{place}: cannot be written ({reason}); mend that, the same command goes on"
                log.error(stage.problem)
            except Exception as error:
                stage.crash = error
            return True
