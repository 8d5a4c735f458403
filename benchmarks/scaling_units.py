"""A job of very many units that cost nothing, through the real engine: what units cost by themselves. A program for mpiexec.

Owns the plan and the report of memory and time. Its units are recorded in the ledger; unless `--shards` is given they write no
arrays, as a million files measure the file system.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.ledger import LEDGER_FOLDER, LEDGER_SUFFIX, LedgerFile, Record
from hpc.options import RunOptions
from hpc.plan import ArraySpec, Finished, Plan
from hpc.reading import FORMAT
from kernels.backends.base import Array, Backend

DIGEST = "0" * 64
SIZE_BYTES = 12_345


class NoDevice:
    """A back end that loads nothing: sleeping units need none."""

    kind = "host"
    num_lanes_float64 = 1

    def __init__(self, concurrent_units: int = 1) -> None:
        self.concurrent_units = concurrent_units

    def load(self, source: Any) -> Any:
        """No unit asks for it."""
        raise NotImplementedError

    def describe(self) -> str:
        """For the provenance."""
        return "none"


@dataclass
class Nap:
    """A run that sleeps instead of computing, and gives one number."""

    unit: int
    seconds: float
    slept_s: float = 0.0

    def advance(self, seconds: float) -> float:
        """Sleep for a slice."""
        slice_s = min(seconds, self.seconds - self.slept_s)
        if slice_s > 0:
            time.sleep(slice_s)
            self.slept_s += slice_s
        return self.slept_s / self.seconds if self.seconds > self.slept_s else 1.0

    def interrupt(self) -> None:
        """Slices are short."""

    def arrays(self) -> dict[str, Array]:
        """The unit's number."""
        return {"number": np.array([self.unit], dtype="<i4")}


@dataclass(frozen=True)
class Naps:
    """Units that take `seconds` each, and are said to cost `costs`; both of shape (num_units,)."""

    costs: NDArray[np.float64]
    seconds: NDArray[np.float64]
    name: str = "naps"
    arrays: tuple[ArraySpec, ...] = field(init=False)

    def __post_init__(self) -> None:
        attributes = {"units": "1", "long_name": "number of the unit"}
        spec = ArraySpec("number", (self.costs.size,), "<i4", (1,), (1,), ("unit",), -1, attributes)
        object.__setattr__(self, "arrays", (spec,))

    @property
    def num_units(self) -> int:
        """One a number."""
        return self.costs.size

    def cost(self, unit: int) -> float:
        """As given."""
        return float(self.costs[unit])

    def memory_bytes(self, unit: int) -> int:
        """Next to nothing."""
        del unit
        return 1 << 10

    def start(self, unit: int, backend: Backend, finished: Finished) -> Nap:
        """Lie down."""
        del backend, finished
        return Nap(unit, float(self.seconds[unit]))


def plan(costs: NDArray[np.float64], seconds: NDArray[np.float64]) -> Plan:
    """A plan of one stage of naps."""
    identity = {"num_units": costs.size}
    said = {"format": FORMAT, "kind": "naps", "job": identity, "job_hash": str(costs.size), "pictures": {}}
    return Plan((Naps(costs, seconds),), (), {**said, "kernel_digest": "none"}, identity)


class Bookkeeper:
    """In the place of `hpc.store.Writer`: records units durably, as that does, but writes no shards."""

    def __init__(self, path: Path | str, plan: Plan, run_id: str, rank: int) -> None:
        self._run_id = run_id
        self._stages = [stage.name for stage in plan.stages]
        self._file = LedgerFile(Path(path).absolute() / LEDGER_FOLDER / f"{run_id}-{rank}{LEDGER_SUFFIX}")

    def write(self, stage_index: int, unit: int, arrays: Mapping[str, Array], seconds: float) -> None:
        """Only the record; its size is that of a real one."""
        files = dict.fromkeys(arrays, (SIZE_BYTES, DIGEST))
        self._file.append(Record(self._stages[stage_index], unit, self._run_id, seconds, files))

    def close(self) -> None:
        """Close the ledger file."""
        self._file.close()


def main() -> None:
    """Run the job; rank by rank, print what it took as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--units", type=int, help="units that take no time")
    parser.add_argument("--seconds", type=Path, help="text file: the seconds that each unit takes")
    parser.add_argument("--shards", action="store_true", help="write arrays as well")
    given = parser.parse_args()

    from hpc import launch, schedule, store

    comm = launch.start()
    if not given.shards:
        store.Writer = Bookkeeper  # type: ignore[assignment, misc]
    seconds = np.zeros(given.units) if given.seconds is None else np.loadtxt(given.seconds, ndmin=1)
    before = usage()
    backend: Any = NoDevice()
    code = schedule.run(
        comm, plan(np.ones(seconds.size), seconds), given.store, RunOptions(progress="none"), backend=backend
    )
    after = usage()
    for line in comm.gather({"rank": comm.rank, "cpu_s": after[0] - before[0], "peak_bytes": after[1]}) or []:
        print(json.dumps({**line, "before_bytes": before[1]}), flush=True)
    launch.leave(comm, code)


def usage() -> tuple[float, int]:
    """Processor seconds of this process, and the most memory that it has had, in bytes."""
    return time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
