"""Tells the process manager of mpich that this process leaves on purpose.

Owns one message of the PMI-1 wire protocol. Knows nothing of MPI itself; where another manager is at work it is silent.

MPI_Finalize of mpich leaves this message to a handler of `exit`, which `os._exit` never runs. A process that goes
without it counts as crashed: the manager kills the ranks that are a millisecond behind, and the job's exit code is 9.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Mapping

ANSWER_S = 1.0
MESSAGE = b"cmd=finalize\n"


def take_leave(environment: Mapping[str, str]) -> None:
    """Send the message after MPI_Finalize and wait for its answer, a second at most."""
    descriptor = environment.get("PMI_FD", "")
    if not descriptor.isdecimal() or environment.get("MPIR_CVAR_PMI_VERSION", "1") != "1":
        return
    with contextlib.suppress(OSError, ValueError):
        os.write(int(descriptor), MESSAGE)
        if select.select([int(descriptor)], [], [], ANSWER_S)[0]:
            os.read(int(descriptor), 4096)
