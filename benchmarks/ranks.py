"""The whole application on 1 and 2 ranks: speed, time outside kernels, memory of a rank."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from hpc.reading import open_for_reading

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Measured:
    """One run of a job: `wall_s` of the whole command, `stage_s` from handing out the first unit to the end of the last."""

    steps: int
    wall_s: float
    stage_s: float
    kernel_s: float
    num_ranks: int
    peak_bytes: int

    @property
    def speed(self) -> float:
        """Step-pairs a second of all ranks together, start-up left out."""
        return self.steps / self.stage_s

    @property
    def outside(self) -> float:
        """Share of the ranks' wall time that is not spent in kernels, start-up and end included."""
        return 1.0 - self.kernel_s / (self.num_ranks * self.wall_s)


def run(size: int, num_ranks: int, shard: int = 128) -> Measured:
    """Compute the gallery's map with one thread a rank, in units of shard*shard pixels."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.zarr"
        settings = [
            f"view.resolution=[{size}, {size}]",
            f"run.shard=[{shard}, {shard}]",
            "run.threads=1",
            "run.progress='none'",
        ]
        sets = [word for setting in settings for word in ("--set", setting)]
        command = [BIN / "mpiexec", "-n", str(num_ranks), BIN / "horseshoe", "run", "three-body", "--out", store, *sets]
        begin = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, env={**os.environ})
        memory = MemoryWatch(process.pid)
        memory.start()
        code = process.wait()
        wall_s = time.perf_counter() - begin
        memory.join()
        if code:
            raise RuntimeError(f"{command} ended with {code}")
        times = open_for_reading(store).read("times")
        logs = [json.loads(line) for path in (store / "logs").glob("*.jsonl") for line in path.read_text().splitlines()]
        ends = [entry for entry in logs if entry["message"] == "stage ends"]
        return Measured(
            steps=int(times.sum(dtype=int)),
            wall_s=wall_s,
            stage_s=max(float(end["stage_s"]) for end in ends),
            kernel_s=sum(float(end["kernel_s"]) for end in ends),
            num_ranks=num_ranks,
            peak_bytes=memory.peak_bytes,
        )


class MemoryWatch(threading.Thread):
    """Looks at the resident memory of every rank now and then and keeps the largest."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._launcher = psutil.Process(pid)

    def run(self) -> None:
        """Watch until the launcher is gone."""
        while self._launcher.is_running() and self._launcher.status() != psutil.STATUS_ZOMBIE:
            try:
                for child in self._launcher.children(recursive=True):
                    if "python" in child.name() or "horseshoe" in child.name():
                        self.peak_bytes = max(self.peak_bytes, int(child.memory_info().rss))
            except psutil.Error:
                pass
            time.sleep(2.0)  # a look at every process costs milliseconds of a core that a rank would use


def contestants(size: int = 512) -> dict[str, Callable[[], float]]:
    """Name -> measurement in step-pairs a second.

    64 units: with 16 of them, 2 ranks lose 1 to 2 % to the one that waits for the other's last unit, which is a
    property of so small a job and not of the engine.
    """

    def speed(num_ranks: int) -> float:
        return run(size, num_ranks, shard=64).speed

    return {"application, 1 rank": partial(speed, 1), "application, 2 ranks": partial(speed, 2)}
