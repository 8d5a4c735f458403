"""Where Dask works: threads of this process, processes of this machine, or jobs of a SLURM cluster.

Never opens a dashboard, or a port to other machines without TLS; starts nothing until a cluster is entered, and leaves no job
or key behind it.
"""

from __future__ import annotations

import difflib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.files import leaving_on_sigterm
from kernels.errors import RequestError, one_line

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

CLUSTERS = ("none", "local", "slurm")

# Dask opens a web server even where it shows no dashboard: keep it on this machine and give it no pages
_NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
_NO_PAGES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
_WORKER_WITHOUT_PAGES = "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'"
_WORKER_OPTIONS = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")

MOST_THREADS = 8
"""Reading and colouring are bound by the disk long before; more threads only hold more shards in memory."""

WAIT_S = 600.0
"""So long a batch system may leave us without a worker."""

LOOK_S = 30.0
"""So often we look whether there are workers left."""


@contextmanager
def connect(name: str, *, wait_s: float = WAIT_S, **options: Any) -> Iterator[Client | None]:
    """Enter the cluster `name`, one of CLUSTERS, and yield a client of it, None for 'none'; leave it at the end.

    `options` go to the cluster of Dask ('n_workers', 'queue'...). Raises RequestError for another name, where what it
    needs is not installed, where SLURM refuses, and where no worker comes within `wait_s` seconds.
    """
    if name == "none":
        yield None
        return
    if name not in CLUSTERS:
        nearest = difflib.get_close_matches(name, CLUSTERS, n=1, cutoff=0.0)[0]
        raise RequestError(f"--cluster: {name!r} is none of {', '.join(CLUSTERS)}; the nearest is {nearest!r}")

    # Import first: Dask's parts add their defaults to its settings, and leaving a change takes back what came within it
    import dask
    from distributed import Client

    security = _security(name)
    enter = _local if name == "local" else _slurm
    if name == "slurm":
        _require_slurm()
    with (
        leaving_on_sigterm(),
        dask.config.set(_NO_PAGES),
        enter(security, options) as cluster,
        Client(cluster) as client,
    ):
        if name == "slurm":
            _wait_for_worker(client, wait_s)
        yield client


def _security(name: str) -> Security:
    """Keys and a certificate for this cluster alone: nobody else can connect to it, and it to nobody else."""
    try:
        from distributed.security import Security

        security: Security = Security.temporary()
    except ImportError:
        raise RequestError(f"--cluster {name}: its TLS is not installed: pip install cryptography") from None
    return security


def _in_files(security: Security, folder: Path) -> Security:
    """The same keys as files of `folder`, which batch jobs are told by name."""
    from distributed.security import Security

    names = {}
    for name, text in security.get_tls_config_for_role("worker").items():
        if text is not None:
            names[name] = f"{folder.name}/{name}.pem"
            with os.fdopen(os.open(names[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
    roles = {
        f"tls_{role}_{name}": names[name] for role in ("client", "scheduler", "worker") for name in ("key", "cert")
    }
    return Security(require_encryption=True, tls_ca_file=names["ca_file"], **roles)


@contextmanager
def _local(security: Security, options: dict[str, Any]) -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(host="127.0.0.1", security=security, scheduler_kwargs=_NO_DASHBOARD, **options) as cluster:
        yield cluster


def _require_slurm() -> None:
    try:
        import dask_jobqueue  # noqa: F401
    except ImportError:
        raise RequestError("--cluster slurm: it is not installed: pip install dask-jobqueue") from None
    for program in ("sbatch", "scancel"):
        if shutil.which(program) is None:
            raise RequestError(
                f"--cluster slurm: {program} is not found; use a machine of the cluster, or --cluster local"
            )


@contextmanager
def _slurm(security: Security, options: dict[str, Any]) -> Iterator[Any]:
    """Workers as batch jobs. What the cluster asks for is Dask's: ~/.config/dask/jobqueue.yaml, section jobqueue.slurm."""
    import dask
    from dask_jobqueue.slurm import SLURMCluster

    # The workers read their keys and write their logs there: it has to be where they see it too, and closed to others.
    try:
        folder = Path(tempfile.mkdtemp(prefix=".horseshoe-workers-", dir=Path.cwd()))
    except OSError as error:
        raise RequestError(
            f"--cluster slurm: {Path.cwd()}: {error.strerror}; start from a folder to write to"
        ) from None
    settings: dict[str, Any] = {
        "cores": dask.config.get("jobqueue.slurm.cores") or 1,
        "memory": dask.config.get("jobqueue.slurm.memory") or "4 GB",
        "job_name": "horseshoe-workers",
        "processes": 1,
        "nanny": True,
        # A name without this folder's own: dask-jobqueue writes it into a shell script as it is.
        "log_directory": folder.name,
        "python": shlex.quote(sys.executable),
        "job_script_prologue": [*dask.config.get("jobqueue.slurm.job-script-prologue"), _WORKER_WITHOUT_PAGES],
        "worker_extra_args": [*dask.config.get("jobqueue.slurm.worker-extra-args"), *_WORKER_OPTIONS],
        "scheduler_options": dask.config.get("jobqueue.slurm.scheduler-options") | _NO_DASHBOARD,
    }
    num_workers = options.pop("n_workers", 2)
    try:
        with SLURMCluster(security=_in_files(security, folder), **(settings | options)) as cluster:
            _ask(cluster.job_script())
            cluster.scale(jobs=num_workers)
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ask(script: str) -> None:
    """Raise RequestError where SLURM would refuse a worker's job: later Dask would wait for it in vain."""
    done = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise RequestError(f"--cluster slurm: {one_line(reason[-1]) if reason else 'sbatch refuses without a reason'}")


def _wait_for_worker(client: Client, wait_s: float) -> None:
    """Until a worker is there, the others may follow; RequestError where none comes."""
    try:
        client.wait_for_workers(1, timeout=wait_s)
    except TimeoutError:
        raise _no_worker(wait_s) from None


def _no_worker(wait_s: float) -> RequestError:
    reason = "see `squeue --me`, and ~/.config/dask/jobqueue.yaml for queue, account and interface"
    return RequestError(f"--cluster slurm: no worker came within {wait_s:g} s; {reason}")


def compute(client: Client | None, collection: Any) -> Any:
    """The value of a Dask collection, computed by `client`, or by threads of this process where it is None.

    Workers that have gone are asked for again. Raises RequestError where none comes.
    """
    if client is None:
        return collection.compute(scheduler="threads", num_workers=min(os.cpu_count() or 1, MOST_THREADS))
    from distributed import wait

    future = client.compute(collection)
    deadline_s = None
    while not future.done():
        with suppress(TimeoutError):
            wait(future, timeout=LOOK_S)
        if client.nthreads():
            deadline_s = None
            continue

        # A batch job ends with its time limit: ask for another one, which Dask does once it has given the first up.
        deadline_s = deadline_s or time.monotonic() + WAIT_S
        cluster: Any = client.cluster
        cluster.scale(len(cluster.worker_spec))
        if time.monotonic() > deadline_s:
            raise _no_worker(WAIT_S)
    return future.result()
