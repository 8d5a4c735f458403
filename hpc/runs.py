"""The records of runs, STORE/runs/ID.json: who ran, where, since when; and whether a run is known to be dead.

Owns the fields host, pid, born, started, version, ended and swept; the rest is provenance that others add. Never guesses
about other hosts.
"""

from __future__ import annotations

import glob
import importlib.metadata
import os
import re
import shutil
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from hpc.durable import PARTIAL_SUFFIX, partial_run, write_json_durably
from hpc.given import read_json

RUNS_FOLDER = "runs"
RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
LARGEST_PID = 2**31 - 1

# States of a process of which only its number is left.
ENDED = ("Z", "X")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def version() -> str:
    """The version of this distribution."""
    return importlib.metadata.version("horseshoe")


def check_id(run_id: str) -> None:
    """Raise ValueError for a run id that is not of letters, digits, - and _ (it is part of file names)."""
    if RUN_ID.fullmatch(run_id) is None:
        raise ValueError(f"run id {run_id!r} is not of [A-Za-z0-9_-]")


def begin(store: Path, run_id: str) -> None:
    """Record that a run has begun in this process, so that its partial files can be told from those of the living."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "born": birth(os.getpid()), "started": started}
    update(store, run_id, {**facts, "version": version()})


def birth(pid: int) -> str | None:
    """What no later process of that number shares: the host's boot and the ticks since then.

    Empty for one that has ended and that nobody has collected; None where there is none or it cannot be seen. Not a time
    of day: clocks jump, and the dead must not be told from the living by them.
    """
    try:
        # The process's name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in ENDED else f"{BOOT_ID.read_text().strip()}:{fields[19]}"
    except OSError:
        return None


def update(store: Path, run_id: str, record: Mapping[str, Any], *, by: str | None = None) -> None:
    """Add fields to the record of a run (new values win), durably. `by` is the run that does so, where it is another.

    A living run's record has one writer.
    """
    check_id(run_id)
    path = store / RUNS_FOLDER / f"{run_id}.json"
    write_json_durably(path, {"run": run_id, **_load(path), **record}, f"{by or run_id}-record")


def read_runs(store: Path) -> dict[str, dict[str, Any]]:
    """The records of all runs by run id, the earliest first."""
    files = [path for path in (store / RUNS_FOLDER).glob("*.json") if RUN_ID.fullmatch(path.stem)]
    records = {path.stem: _load(path) for path in files}
    return dict(sorted(records.items(), key=lambda entry: (str(entry[1].get("started", "")), entry[0])))


def read_run(store: Path, run_id: str) -> dict[str, Any]:
    """The record of one run; empty where it has none."""
    if RUN_ID.fullmatch(run_id) is None:
        return {}
    return _load(store / RUNS_FOLDER / f"{run_id}.json")


def known_dead(record: Mapping[str, Any]) -> bool:
    """Whether a run certainly writes no more: it has ended, or its first process is gone from this very host.

    Of a run on another host nothing can be known from here, so it counts as alive.
    """
    if record.get("ended"):
        return True
    pid, born = record.get("pid"), record.get("born")
    if record.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    if not 0 < pid <= LARGEST_PID or not psutil.pid_exists(pid):
        return True

    # Another process may have inherited the number.
    present = birth(pid)
    return isinstance(born, str) and present is not None and present != born


def sweep(place: Path, *, by: str) -> None:
    """Remove partial files of runs that are known to be dead, in run `by`; look through the store once a dead run."""
    dead = {run for run, record in read_runs(place).items() if known_dead(record) and not record.get("swept")}
    if dead:
        for file in place.rglob("*" + PARTIAL_SUFFIX):
            if partial_run(file) in dead and file.is_file():
                file.unlink(missing_ok=True)
        for run in dead:
            update(place, run, {"swept": True}, by=by)

    # Stores that were never finished being made stand beside this one, or in it where it was made in a folder that was there.
    inside = [folder for folder in place.glob("*" + PARTIAL_SUFFIX) if folder.is_dir()]
    for folder in [*place.parent.glob(f"{glob.escape(place.name)}.*{PARTIAL_SUFFIX}"), *inside]:
        maker = partial_run(folder)
        if maker is not None and (maker in dead or known_dead(read_runs(folder).get(maker, {}))):
            shutil.rmtree(folder, ignore_errors=True)


def _load(path: Path) -> dict[str, Any]:
    """One record; an absent or unreadable one is empty."""
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
