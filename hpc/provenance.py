"""What made a store: versions, hosts, devices, compiler, commit, command line. Recorded at each start of a job.

Owns the collection of these facts. Never writes; hpc/store.py does.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kernels.backends.base import Backend
from kernels.errors import RequestError

DISTRIBUTIONS = ("horseshoe", "numpy", "zarr", "mpi4py", "cupy-cuda12x", "cupy-cuda13x", "torch")
SLURM_FACTS = (
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_NUM_NODES",
    "SLURM_NTASKS",
    "SLURM_CPUS_PER_TASK",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_RESTART_COUNT",
    "SLURM_JOB_END_TIME",
    "SLURM_CLUSTER_NAME",
)
GIT_TIMEOUT_S = 5.0


def new_run_id() -> str:
    """A name for one start of a job: sorts by time (to the microsecond), differs between hosts."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}"


def utc_now() -> str:
    """The time in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def rank_facts(rank: int, backend: Backend) -> dict[str, Any]:
    """What is particular to one rank."""
    return {"rank": rank, "host": socket.gethostname(), "pid": os.getpid(), "device": backend.describe()}


def mpi_library() -> str:
    """Name and version of the MPI library."""
    from mpi4py import MPI

    return " ".join(MPI.Get_library_version().splitlines()[0].split())


def job_facts(ranks: list[dict[str, Any]], environment: Mapping[str, str], mpi: str) -> dict[str, Any]:
    """What all ranks have in common, as rank 0 sees it. `ranks` has `rank_facts` of each, `mpi` is `mpi_library()`."""
    return {
        "command": sys.argv,
        "folder": str(Path.cwd()),
        "ranks": ranks,
        "versions": {"python": platform.python_version(), **_versions()},
        "mpi": mpi,
        "platform": platform.platform(),
        "processor": _processor(),
        "compiler": _compiler() if any(rank["device"].startswith("host") for rank in ranks) else None,
        "commit": commit(Path(__file__).resolve().parent.parent),
        "slurm": {name: environment[name] for name in SLURM_FACTS if name in environment},
    }


def _versions() -> dict[str, str]:
    """Versions of what is installed of the distributions that shape results."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The name of the CPU, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _compiler() -> str | None:
    """The host compiler that kernels are built with; None where there is none."""
    from kernels.backends.host import describe_compiler

    try:
        return describe_compiler()
    except RequestError:
        return None


def commit(tree: Path) -> str | None:
    """The git commit of a source tree, with "+" where files differ from it; None outside a checkout."""
    if not (tree / ".git").exists():
        return None
    try:
        head = _git(tree, "rev-parse", "HEAD")
        changed = _git(tree, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changed else "")


def _git(tree: Path, *arguments: str) -> str:
    """Output of one git command."""
    command = ["git", "-C", str(tree), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=GIT_TIMEOUT_S).stdout.strip()
