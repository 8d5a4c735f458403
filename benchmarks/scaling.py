"""`python -m benchmarks.scaling`: measure a million units, 64 ranks and the schedule's efficiency; writes docs/scaling.md.

Owns the measurements; the text is scaling_template.md, the model of very many ranks scaling_simulation.py.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import scaling_messages, scaling_units, scaling_workload
from benchmarks.machine import ROOT, processor
from benchmarks.scaling_simulation import Machine, perfect_s, simulate
from hpc import ledger
from hpc.launch import LONGEST_WAIT_S

TEMPLATE = Path(__file__).with_name("scaling_template.md")
DOCUMENT = ROOT / "docs" / "scaling.md"
MPIEXEC = Path(sys.executable).with_name("mpiexec")
IN_MEMORY = Path("/dev/shm")

MILLION = 1_000_000
MANY_RANKS = 64
MANY_UNITS = 100 * MANY_RANKS
REAL_RANKS = (1, 2, 4, 8)
REAL_UNITS = 128
REAL_SHARD = 512
SLOW_NETWORK = 10.0

GROWING = scaling_workload.GROWING_STEPS
SCHEDULES: tuple[tuple[str, tuple[str, ...], int | None, int], ...] = (
    ("50,000 steps", (), None, 100),
    ("50,000 steps", (), None, 1000),
    ("50,000 steps", (), None, 10_000),
    ("50,000 steps", (), 512, 10_000),
    ("50,000 steps", (), 256, 10_000),
    ("50,000 steps, slow messages", (), 256, 10_000),
    ("growing steps", GROWING, None, 100),
    ("growing steps", GROWING, None, 10_000),
    ("growing steps", GROWING, 512, 10_000),
)

Values = dict[str, object]


@dataclass(frozen=True)
class Measured:
    """One run of units through the engine: seconds of the whole command and of the stage, and what each rank took."""

    wall_s: float
    stage_s: float
    ranks: tuple[dict[str, float], ...]
    ledger_bytes: int

    def peak(self) -> tuple[str, str]:
        """The most memory of rank 0, and of any other rank."""
        peaks = [rank["peak_bytes"] for rank in self.ranks]
        return megabytes(peaks[0]), megabytes(max(peaks[1:], default=peaks[0]))


def main() -> None:
    """Measure and write."""
    with folder_in_memory() as name:
        folder = Path(name)
        tiles_s = scaling_workload.measure()
        real, machine = real_check(folder, tiles_s)
        values = {
            "processor": processor(),
            "cores": os.cpu_count(),
            **million(folder),
            **many_ranks(folder),
            **real,
            **schedules(tiles_s, machine),
        }
    DOCUMENT.write_text(Template(TEMPLATE.read_text()).substitute(values))
    print(DOCUMENT)


def folder_in_memory() -> tempfile.TemporaryDirectory[str]:
    """A folder for a while, where the system has one whose files cost next to nothing."""
    return tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)


def million(folder: Path) -> Values:
    """A plan of a million units: enumerated, scheduled, resumed."""
    store = folder / "million.zarr"
    fresh = run_units(2, store, "--units", MILLION)

    # Take a tenth of the records away, as if a node had died.
    victim = max((store / "ledger").iterdir(), key=lambda file: file.stat().st_size)
    os.truncate(victim, victim.stat().st_size - fresh.ledger_bytes // 10)
    resumed = run_units(2, store, "--units", MILLION)
    begun_s = time.process_time()
    told = ledger.tally(store, {"naps": MILLION})["naps"]
    tally_s = time.process_time() - begun_s
    if not told.finished.all():
        raise RuntimeError("units are missing after a resume")

    zoom = scaling_workload.stage(scaling_workload.NUM_FRAMES, scaling_workload.SIDE_PX, 128)
    begun_s = time.process_time()
    num_costs = sum(1 for _ in map(zoom.cost, range(zoom.num_units)))
    cost_s = time.process_time() - begun_s
    one, two = record_bytes("times"), record_bytes("times", "outcome")
    return {
        "base": megabytes(fresh.ranks[0]["before_bytes"]),
        "million": "\n".join(
            f"| {name} | {run.wall_s:.1f} s | {run.ranks[0]['cpu_s']:.1f} s | {run.ranks[1]['cpu_s']:.1f} s "
            f"| {' | '.join(run.peak())} |"
            for name, run in (("a fresh start", fresh), ("resumed with a tenth of the records lost", resumed))
        ),
        "cost_us": f"{cost_s / num_costs * 1e6:.1f}",
        "cost_s": f"{cost_s:.1f}",
        "cost_units": f"{num_costs:,}",
        "tally_us": f"{tally_s / told.units.size * 1e6:.1f}",
        "record_bytes": one,
        "two_bytes": two,
        "million_bytes": megabytes(two * MILLION),
    }


def record_bytes(*arrays: str) -> int:
    """Length of a typical line of the ledger."""
    files = dict.fromkeys(arrays, (scaling_units.SIZE_BYTES, scaling_units.DIGEST))
    record = ledger.Record("divergence", MILLION - 1, "20260101T000000000000Z-000000", 123.45678901234, files)
    return len(ledger.encode(record))


def many_ranks(folder: Path) -> Values:
    """64 ranks on one machine."""
    run = run_units(MANY_RANKS, folder / "many.zarr", "--units", MANY_UNITS)
    first, others = run.peak()
    return {
        "many_ranks": MANY_RANKS,
        "many_units": MANY_UNITS,
        "many_wall": f"{run.wall_s:.0f}",
        "many_stage": f"{run.stage_s:.1f}",
        "many_peak": first,
        "many_others": others,
    }


def real_check(folder: Path, tiles_s: NDArray[np.float64]) -> tuple[Values, Machine]:
    """Units that sleep for measured times through mpiexec, beside the simulation; and what messages cost here."""
    side_px = scaling_workload.SMALL_SIDE_PX * REAL_SHARD // scaling_workload.SIDE_PX
    known_s = scaling_workload.rates(tiles_s, REAL_SHARD) * side_px**2
    seconds = np.random.default_rng([4, REAL_UNITS]).choice(known_s, REAL_UNITS)
    listed = folder / "seconds.txt"
    np.savetxt(listed, seconds)
    (messages,) = program(2, scaling_messages.__name__)
    runs = {ranks: run_units(ranks, folder / f"real-{ranks}.zarr", "--seconds", listed) for ranks in REAL_RANKS}

    # Where units sleep, a rank's processor time is that of its turns.
    alone = runs[REAL_RANKS[0]]
    machine = Machine(**messages, turn_s=alone.ranks[0]["cpu_s"] / (alone.stage_s / LONGEST_WAIT_S))
    rows = []
    for ranks, run in runs.items():
        model = simulate(np.ones(REAL_UNITS), seconds, ranks, machine)
        real = float(seconds.sum()) / (ranks * run.stage_s)
        rows.append(
            f"| {ranks} | {run.stage_s:.2f} s | {model.makespan_s:.2f} s | {real:.3f} | {model.efficiency:.3f} |"
        )
    values: Values = {
        "real_units": REAL_UNITS,
        "shortest": f"{seconds.min():.2f}",
        "longest": f"{seconds.max():.2f}",
        "asleep": f"{seconds.sum():.0f}",
        "real": "\n".join(rows),
        "turn_us": f"{1e6 * machine.turn_s:.0f}",
        "receive_us": f"{1e6 * machine.receive_s:.1f}",
        "send_us": f"{1e6 * machine.send_s:.1f}",
        "latency_us": f"{1e6 * machine.latency_s:.0f}",
        "poll_ms": f"{1e3 * LONGEST_WAIT_S:.0f}",
    }
    return values, machine


def schedules(tiles_s: NDArray[np.float64], machine: Machine) -> Values:
    """Schedules of the zoom on up to 10,000 ranks."""
    slow = dataclasses.replace(
        machine,
        receive_s=SLOW_NETWORK * machine.receive_s,
        send_s=SLOW_NETWORK * machine.send_s,
        latency_s=SLOW_NETWORK * machine.latency_s,
    )
    rows = []
    for title, more, shard, ranks in SCHEDULES:
        stage = scaling_workload.stage(scaling_workload.NUM_FRAMES, scaling_workload.SIDE_PX, shard, more)
        side = stage.arrays[0].shard[-1]
        costs, seconds = scaling_workload.units(tiles_s, stage, side)
        found = simulate(costs, seconds, ranks, slow if "slow" in title else machine)
        possible = found.work_s / (ranks * perfect_s(seconds, ranks))
        rows.append(
            f"| {title} | {side}{'' if shard else ' (default)'} | {found.num_units:,} | {ranks:,} | {found.makespan_s:,.0f} s "
            f"| {found.efficiency:.3f} | {possible:.3f} | {found.coordinator_load:.1%} "
            f"| {found.num_messages / found.makespan_s:,.0f} |"
        )
        print(rows[-1], flush=True)
    known_us = 1e6 * scaling_workload.rates(tiles_s, 1024)
    return {
        "frames": scaling_workload.NUM_FRAMES,
        "side": scaling_workload.SIDE_PX,
        "small": scaling_workload.SMALL_SIDE_PX,
        "center": scaling_workload.CENTER,
        "tiles_s": f"{tiles_s.sum():.0f}",
        "fastest": f"{known_us[0]:.0f}",
        "slowest": f"{known_us[-1]:.0f}",
        "schedules": "\n".join(rows),
    }


def program(num_ranks: int, *arguments: object) -> list[dict[str, Any]]:
    """Run a program of this folder under mpiexec; what it prints, a line of JSON each. Raises RuntimeError where it fails."""
    command = [str(MPIEXEC), "-n", str(num_ranks), sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def run_units(num_ranks: int, store: Path, *arguments: object) -> Measured:
    """Run units through the engine."""
    begun_s = time.perf_counter()
    ranks = program(num_ranks, scaling_units.__name__, store, *arguments)
    wall_s = time.perf_counter() - begun_s
    latest = max((store / "logs").glob("*-0.jsonl"))
    ends = [entry for entry in map(json.loads, latest.open()) if entry["message"] == "stage ends"]
    size = sum(file.stat().st_size for file in (store / "ledger").iterdir())
    return Measured(wall_s, float(ends[-1]["stage_s"]) if ends else 0.0, tuple(ranks), size)


def megabytes(number: float) -> str:
    """'150 MB'."""
    return f"{number / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
