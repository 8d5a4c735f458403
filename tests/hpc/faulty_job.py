"""The toy job with a fault of its machine: `faulty_job.py FAULT RANK NUMBER` before the arguments of toy_job.py.

FAULT befalls RANK at the NUMBER-th unit that it writes, or from the beginning where it is no matter of writing.
"""

# ruff: noqa: ARG001 (what is replaced is called as before)

from __future__ import annotations

import datetime
import errno
import importlib
import itertools
import json
import os
import pkgutil
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import toy_job

import hpc
from hpc import durable, durable_store, ledger, schedule, store, watchdog

PATIENCE = watchdog.Patience(factor=20.0, least_s=1.0, silence_s=5.0)
YEAR_S = 365.25 * 86400.0


def die(*arguments: Any, **options: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def read_only(*arguments: Any, **options: Any) -> Any:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def at_unit(number: int, module: Any, name: str, instead: Callable[..., Any]) -> None:
    """Replace a function while the writer is at its `number`-th unit and at later ones."""
    write, calls = store.Writer.write, itertools.count(1)

    def counting(*arguments: Any) -> None:
        if next(calls) == number:
            setattr(module, name, instead)
        write(*arguments)

    store.Writer.write = counting


def at_slice(number: int, instead: Callable[..., Any]) -> None:
    """Replace the `number`-th slice of a kernel."""
    advance, calls = toy_job.ToyRun.advance, itertools.count(1)
    toy_job.ToyRun.advance = lambda run, s: instead() if next(calls) == number else advance(run, s)


def half_a_shard(path: Path, data: Any, writer: str) -> None:
    """What is on the disk when a process dies while it writes."""
    durable.make_folder(path.parent)
    durable.partial_path(path, writer).write_bytes(bytes(data)[: len(data) // 2])
    die()


def half_a_record(file: ledger.LedgerFile, entry: Any) -> None:
    line = json.dumps(entry.as_json()).encode()
    os.write(file._descriptor, line[: len(line) // 2])
    die()


def no_room(function: Callable[..., None], most_bytes: Callable[..., int]) -> Callable[..., None]:
    """Call a function when files can grow to so many bytes only: a full disk for who may not mount one."""

    def limited(*arguments: Any) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes(*arguments), hard))
        function(*arguments)

    return limited


def hang(*arguments: Any) -> None:
    time.sleep(3600)


def jump(years: int) -> None:
    """Let the clock on the wall show another time at every second look."""
    looks, now = itertools.count(), time.time

    def shifted() -> float:
        return now() + (years * YEAR_S if next(looks) % 2 else 0.0)

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls.fromtimestamp(shifted(), tz)

    time.time = shifted
    for found in pkgutil.iter_modules(hpc.__path__):
        module = importlib.import_module(f"hpc.{found.name}")
        if hasattr(module, "datetime"):
            module.datetime = Jumping


def befall(fault: str, number: int) -> None:
    """Prepare the fault in this process."""
    match fault:
        case "computing":
            at_slice(number, die)
        case "hanging":
            at_slice(number, hang)
        case "shard":
            at_unit(number, durable_store, "write_durably", half_a_shard)
        case "between":
            at_unit(number, ledger.LedgerFile, "append", die)
        case "record":
            at_unit(number, ledger.LedgerFile, "append", half_a_record)
        case "read-only":
            at_unit(number, durable_store, "write_durably", read_only)
        case "full":
            at_unit(number, durable_store, "write_durably", no_room(durable.write_durably, lambda *_: 64))
        case "full ledger":
            append = ledger.LedgerFile.append
            at_unit(number, ledger.LedgerFile, "append", no_room(append, lambda file, _: file._size_bytes + 20))
        case "clock":
            jump(number)
        case "none":
            pass
        case _:
            raise ValueError(fault)


def main() -> None:
    fault, rank, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    del sys.argv[1:4]
    if os.environ.get("PMI_RANK", "0") in rank.split(","):
        befall(fault, number)
    run = schedule.run
    schedule.run = lambda *arguments, **options: run(*arguments, **options, patience=PATIENCE)
    toy_job.main()


if __name__ == "__main__":
    main()
