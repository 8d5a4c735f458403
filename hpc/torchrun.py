"""A job that torchrun has started: its first process becomes mpiexec for as many ranks, the others have nothing to do.

Owns what torchrun says in the environment. Called before MPI has begun; one way of starting ranks is enough for the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from kernels.errors import RequestError

OWN = "TORCHELASTIC_RUN_ID"
LAUNCHERS = ("PMI_RANK", "PMI_SIZE", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
LEFT_BEHIND = (
    "TORCHELASTIC_",
    "MASTER_ADDR",
    "MASTER_PORT",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_",
)
"""What ranks are not to hear: they are told by MPI."""


def command(environment: Mapping[str, str], words: list[str]) -> list[str] | None:
    """What this process has to become: None where torchrun has not started it, empty where there is nothing to do.

    `words` is the command line with the interpreter. Raises RequestError where torchrun has started several nodes: the
    processes of each know nothing of how to start ranks on others.
    """
    if OWN not in environment or any(name in environment for name in LAUNCHERS):
        return None
    if environment.get("LOCAL_RANK", "0") != "0":
        return []
    if environment.get("GROUP_WORLD_SIZE", "1") != "1":
        raise RequestError("torchrun: starts this on one node only; use mpiexec or srun for several")
    beside = Path(sys.executable).with_name("mpiexec")
    return [str(beside) if beside.exists() else "mpiexec", "-n", environment.get("WORLD_SIZE", "1"), *words]


def hand_over() -> None:
    """Become mpiexec, or leave, where torchrun has started this process; return where it has not. RequestError as above."""
    words = command(os.environ, [sys.executable, *sys.orig_argv[1:]])
    if words is None:
        return
    if not words:
        os._exit(0)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_BEHIND)}
    try:
        os.execvpe(words[0], words, kept)
    except OSError as error:
        raise RequestError(
            f"torchrun: {words[0]}: {error.strerror}; install mpich, or start the ranks with mpiexec"
        ) from None
