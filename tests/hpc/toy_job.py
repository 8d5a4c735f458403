"""A two-stage job on integers: partial histograms of hashed numbers, then their sum. Also a program for mpiexec.

The back end is the plan's own: units take real time (they sleep), so that they can be killed in the middle.
"""

# ruff: noqa: ARG002 (stages take what the protocol gives them)

from __future__ import annotations

import argparse
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpc.options import RunOptions
from hpc.plan import ArraySpec, Plan
from kernels.errors import RequestError

NUM_BINS = 16
NUM_VALUES = 50


class ToyBackend:
    kind = "host"
    concurrent_units = 1
    num_lanes_float64 = 1

    def __init__(self, concurrent_units: int = 1) -> None:
        self.concurrent_units = concurrent_units

    def load(self, source: Any) -> Any:
        raise NotImplementedError

    def describe(self) -> str:
        return "toy"


class ToyRun:
    """Counts numbers one by one in about `seconds` altogether; a deaf one returns from `advance` only at its end."""

    def __init__(self, numbers: np.ndarray, seconds: float, deaf: bool = False) -> None:
        self._counts = np.zeros(NUM_BINS, dtype="<i8")
        self._numbers = numbers
        self._done = 0
        self._pause_s = seconds / len(numbers)
        self._deaf = deaf
        self._interrupted = threading.Event()

    def advance(self, seconds: float) -> float:
        end_s = time.monotonic() + seconds
        while self._done < len(self._numbers):
            self._counts[self._numbers[self._done] % NUM_BINS] += 1
            self._done += 1
            if self._deaf:
                time.sleep(self._pause_s)
            elif self._interrupted.wait(self._pause_s):
                self._interrupted.clear()
                break
            if time.monotonic() >= end_s and not self._deaf:
                break
        return self._done / len(self._numbers)

    def interrupt(self) -> None:
        self._interrupted.set()

    def arrays(self) -> dict[str, np.ndarray]:
        return {"partial": self._counts[np.newaxis]}


class SumRun:
    def __init__(self, total: np.ndarray) -> None:
        self._total = total

    def advance(self, seconds: float) -> float:
        time.sleep(min(seconds, 0.01))
        return 1.0

    def interrupt(self) -> None:
        pass

    def arrays(self) -> dict[str, np.ndarray]:
        return {"histogram": self._total}


def spec(name: str, shape: tuple[int, ...], shard: tuple[int, ...]) -> ArraySpec:
    dimensions = ("part", "bin")[-len(shape) :]
    attributes = {"units": "1", "long_name": name}
    return ArraySpec(name, shape, "<i8", shard, shard, dimensions, -1, attributes)


@dataclass
class PartialStage:
    """Unit i counts NUM_VALUES numbers; costs differ, and unit `culprit` misbehaves in the given way."""

    num_units: int
    seconds: float
    fault: str = ""
    culprit: int = -1
    name: str = "partial"
    arrays: tuple[ArraySpec, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.arrays = (spec("partial", (self.num_units, NUM_BINS), (1, NUM_BINS)),)

    def cost(self, unit: int) -> float:
        return 1.0 + unit % 3

    def memory_bytes(self, unit: int) -> int:
        return 2**50 if self.fault == "huge" else 1 << 20

    def start(self, unit: int, backend: Any, finished: Any) -> ToyRun:
        if unit == self.culprit:
            if self.fault == "crash":
                raise ZeroDivisionError("the culprit")
            if self.fault == "refuse":
                raise RequestError("bodies.mass: the culprit")
            if self.fault == "memory":
                raise MemoryError
        numbers = np.array([(unit + 1) * (k + 7) ** 3 % 1009 for k in range(NUM_VALUES)])
        return ToyRun(numbers, self.seconds * self.cost(unit) / 2.0, self.fault == "deaf")


@dataclass
class SumStage:
    """Two units, each sums half of the bins of all partial histograms."""

    num_units: int = 2
    name: str = "sum"
    seconds: float = 0.0
    arrays: tuple[ArraySpec, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.arrays = (spec("histogram", (NUM_BINS,), (NUM_BINS // self.num_units,)),)

    def cost(self, unit: int) -> float:
        return 1.0

    def memory_bytes(self, unit: int) -> int:
        return 1 << 20

    def start(self, unit: int, backend: Any, finished: Any) -> SumRun:
        width = NUM_BINS // self.num_units
        total = finished.read("partial").sum(axis=0, dtype="<i8")
        time.sleep(self.seconds)
        return SumRun(total[unit * width : (unit + 1) * width])


def make_plan(
    num_units: int = 12, seconds: float = 0.02, fault: str = "", culprit: int = -1, pause: float = 0.0
) -> Plan:
    identity = {"num_units": num_units}
    attributes = {
        "format": 1,
        "kind": "toy",
        "job": identity,
        "job_hash": str(num_units),
        "pictures": {},
        "kernel_digest": "toy",
    }
    stages = (PartialStage(num_units, seconds, fault, culprit), SumStage(seconds=pause))
    return Plan(stages=stages, constants=(), attributes=attributes, identity=identity)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--units", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.02)
    parser.add_argument("--fault", default="")
    parser.add_argument("--culprit", type=int, default=-1)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--deadline")
    parser.add_argument("--progress", default="none")
    parser.add_argument("--concurrent", type=int, default=1)
    parser.add_argument("--host", help="the name of this machine")
    parser.add_argument("--tempo", type=float, nargs=3, metavar=("RENEW_S", "EXPIRE_S", "LOOK_S"))
    given = parser.parse_args()

    from hpc import launch, leases, schedule

    if given.host is not None:
        socket.gethostname = lambda: given.host
    comm = launch.start()
    plan = make_plan(given.units, given.seconds, given.fault, given.culprit, given.pause)
    options = RunOptions(grace_s=given.grace, deadline=given.deadline, progress=given.progress)
    tempo = leases.Tempo(*given.tempo) if given.tempo else leases.TEMPO
    code = schedule.run(comm, plan, given.store, options, backend=ToyBackend(given.concurrent), tempo=tempo)
    if comm.rank == 0:
        launch.announce(given.store)
    launch.leave(comm, code)


if __name__ == "__main__":
    main()
    sys.exit("leave returned")
