"""Where Dask works: threads of this process, processes of this machine, or jobs of a SLURM cluster.

Never opens a dashboard, or a port to other machines without TLS; starts nothing until a cluster is entered.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernels.errors import RequestError

if TYPE_CHECKING:
    from distributed import Client

CLUSTERS = ("none", "local", "slurm")

# Dask opens a web server even where it shows no dashboard: keep it on this machine and give it no pages
_NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
_NO_PAGES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}

MOST_THREADS = 8
"""Reading and colouring are bound by the disk long before; more threads only hold more shards in memory."""


@contextmanager
def connect(name: str, **options: Any) -> Iterator[Client | None]:
    """Enter the cluster `name`, one of CLUSTERS, and yield a client of it, None for 'none'; leave it at the end.

    `options` go to the cluster of Dask ('n_workers', 'queue'...). Raises RequestError for another name or where what
    it needs is not installed.
    """
    if name == "none":
        yield None
        return
    if name not in CLUSTERS:
        nearest = difflib.get_close_matches(name, CLUSTERS, n=1, cutoff=0.0)[0]
        raise RequestError(f"--cluster: {name!r} is none of {', '.join(CLUSTERS)}; the nearest is {nearest!r}")

    # Import first: distributed adds its defaults to Dask's settings, and leaving a change takes back what came within it
    import dask
    from distributed import Client

    with dask.config.set(_NO_PAGES), _cluster(name, options) as cluster, Client(cluster) as client:
        yield client


def _cluster(name: str, options: dict[str, Any]) -> Any:
    try:
        from distributed.security import Security

        security = Security.temporary()
    except ImportError:
        raise RequestError(f"--cluster {name}: its TLS is not installed: pip install cryptography") from None
    if name == "local":
        from distributed import LocalCluster

        return LocalCluster(host="127.0.0.1", security=security, scheduler_kwargs=_NO_DASHBOARD, **options)
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise RequestError("--cluster slurm: it is not installed: pip install dask-jobqueue") from None
    settings = {
        "cores": 1,
        "memory": "4 GB",
        "n_workers": 2,
        "shared_temp_directory": str(Path.cwd()),
        "job_script_prologue": ["export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'"],
        "worker_extra_args": ["--no-dashboard"],
    }
    return SLURMCluster(security=security, scheduler_options=_NO_DASHBOARD, **(settings | options))


def compute(client: Client | None, collection: Any) -> Any:
    """The value of a Dask collection, computed by `client`, or by threads of this process where it is None."""
    if client is not None:
        return client.compute(collection, sync=True)
    return collection.compute(scheduler="threads", num_workers=min(os.cpu_count() or 1, MOST_THREADS))
