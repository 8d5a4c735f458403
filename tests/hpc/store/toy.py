"""A two-stage plan whose values are a hash of (stage, unit), and a process that writes it and may be made to die.

As a script: toy.py STORE RUN DEATH. DEATH is the number of file operations after which the process kills itself.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc import durable, store
from hpc.plan import ArraySpec, Plan, num_shards
from hpc.reading import Reader

SIZE = (2, 20, 19)


@dataclass(frozen=True)
class ToyStage:
    name: str
    arrays: tuple[ArraySpec, ...]

    @property
    def num_units(self) -> int:
        return num_shards(self.arrays[0])

    def cost(self, unit: int) -> float:
        return 1.0 + unit

    def memory_bytes(self, unit: int) -> int:
        return 1000 * (unit + 1)

    def start(self, unit: int, backend: Any, finished: Any) -> Any:
        raise NotImplementedError("these tests compute nothing")


def spec(name: str, dtype: str, fill_value: float, components: int = 0, **attributes: Any) -> ArraySpec:
    inner = (components,) if components else ()
    return ArraySpec(
        name=name,
        shape=(SIZE[0], *inner, *SIZE[1:]),
        dtype=dtype,
        shard=(1, *inner, 8, 8),
        chunk=(1, *(1 for _ in inner), 4, 4),
        dimensions=("frame", *("component" for _ in inner), "y", "x"),
        fill_value=fill_value,
        attributes={"units": "1", "long_name": name, **attributes},
    )


MAP = ToyStage(
    "map", (spec("times", "<i4", -1, never=7), spec("outcome", "|u1", 255), spec("final", "<f8", np.nan, components=3))
)
HISTOGRAM = ToyStage(
    "histogram", (ArraySpec("histogram", (5, 16), "<i8", (1, 16), (1, 16), ("part", "bin"), -1, {"units": "1"}),)
)


def plan(*, pictures: dict[str, Any] | None = None, kernel_digest: str = "digest-1", **changes: Any) -> Plan:
    identity = {"kind": "toy", "view": {"resolution": list(SIZE[:0:-1])}, "frames": {"count": SIZE[0]}, **changes}
    attributes = {
        "format": 1,
        "kind": "toy",
        "job": {**identity, "name": "toy"},
        "job_hash": str(sorted(identity.items())),
        "pictures": pictures or {"value": "times"},
        "kernel_digest": kernel_digest,
    }
    x = ArraySpec("x", (2, 19), "<f8", (2, 19), (1, 19), ("frame", "x"), np.nan, {"units": "", "long_name": "x"})
    y = ArraySpec("y", (2, 20), "<f8", (2, 20), (1, 20), ("frame", "y"), np.nan, {"units": "", "long_name": "y"})
    steps = ArraySpec("steps", (2,), "<i4", (2,), (2,), ("frame",), -1, {"units": "1", "long_name": "steps"})
    constants = (
        (x, np.linspace(-1.0, 1.0, 38).reshape(2, 19)),
        (y, np.linspace(1.0, -1.0, 40).reshape(2, 20)),
        (steps, np.array([7, 9], "<i4")),
    )
    return Plan((MAP, HISTOGRAM), constants, attributes, identity)


def values(stage: ToyStage, unit: int) -> dict[str, np.ndarray]:
    """The arrays of one unit as a kernel gives them: without the dimension `frame`, clipped at the edge."""
    result = {}
    for index, array in enumerate(stage.arrays):
        shape = tuple(part.stop - part.start for part in store.unit_region(array, unit))[1:]
        random = np.random.default_rng([unit, index])
        result[array.name] = random.integers(0, 100, shape).astype(array.dtype)
    return result


def write(path: Path, run: str, *, skip: Reader | None = None) -> None:
    """Write all units of both stages, but for those that `skip` has as finished."""
    writer = store.Writer(path, plan(), run, 0)
    for index, stage in enumerate(plan().stages):
        done = skip.finished_units(stage.name) if skip else np.zeros(stage.num_units, bool)
        for unit in np.flatnonzero(~done):
            writer.write(index, int(unit), values(stage, int(unit)), 0.25)
    writer.close()


def die_after(number: int) -> None:
    """Let this process kill itself instead of its `number`-th synchronisation of a file."""
    calls, fsync = itertools.count(), os.fsync

    def fatal(descriptor: int) -> None:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    durable.os.fsync = fatal


if __name__ == "__main__":
    place, run_id, death = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    die_after(death)
    store.prepare(place, plan(), run_id=run_id)
    write(place, run_id)
