"""The terminal in front of which the person sits who started the job.

Owns the search through parent processes: ranks themselves only have pipes to their launcher. Linux only; elsewhere,
and on hosts other than the launcher's, there is none.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil

LAUNCHERS = ("mpiexec", "mpirun", "hydra", "orterun", "prterun", "prun", "srun")
STDERR = 2


def find_terminal() -> Path | None:
    """The device of the launcher's stderr, or of our own where no launcher is; None where that is no terminal."""
    try:
        process = psutil.Process()
        launchers = [parent for parent in process.parents() if is_launcher(parent)]
        # The outermost launcher is the one that was typed. Who started it may well have a terminal that it does not
        # write to (`mpiexec ... 2> log`).
        return terminal_of(launchers[-1].pid if launchers else process.pid)
    except (psutil.Error, OSError):
        return None


def is_launcher(process: psutil.Process) -> bool:
    """Whether a process belongs to an MPI launcher, by its name or the script that it runs."""
    try:
        words = [process.name(), *(Path(word).name for word in process.cmdline()[:2])]
    except psutil.Error:
        return False
    return any(word.startswith(LAUNCHERS) for word in words)


def terminal_of(pid: int) -> Path | None:
    """The terminal that a process has as its stderr, if any and if it can be written. Raises OSError for no process."""
    device = Path(f"/proc/{pid}/fd/{STDERR}").readlink()
    if not device.is_char_device() or not os.access(device, os.W_OK):
        return None
    descriptor = os.open(device, os.O_WRONLY | os.O_NOCTTY)
    try:
        return device if os.isatty(descriptor) else None
    finally:
        os.close(descriptor)
