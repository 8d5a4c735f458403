"""Where Dask works: threads of this process, processes of this machine, or jobs of a SLURM cluster.

Never opens a dashboard or a port to other machines without TLS; starts nothing until a cluster is entered.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kernels.errors import RequestError

if TYPE_CHECKING:
    from distributed import Client

CLUSTERS = ("none", "local", "slurm")

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

    with _cluster(name, options) as cluster:
        from distributed import Client

        with Client(cluster) as client:
            yield client


def _cluster(name: str, options: dict[str, Any]) -> Any:
    try:
        from distributed.security import Security

        security = Security.temporary()
    except ImportError:
        raise RequestError(f"--cluster {name}: its TLS is not installed: pip install cryptography") from None
    if name == "local":
        from distributed import LocalCluster

        return LocalCluster(host="127.0.0.1", security=security, dashboard_address=None, **options)
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise RequestError("--cluster slurm: it is not installed: pip install dask-jobqueue") from None
    settings = {"cores": 1, "memory": "4 GB", "n_workers": 2} | options
    return SLURMCluster(security=security, scheduler_options={"dashboard": False}, **settings)


def compute(client: Client | None, collection: Any) -> Any:
    """The value of a Dask collection, computed by `client`, or by threads of this process where it is None."""
    if client is not None:
        return client.compute(collection, sync=True)
    return collection.compute(scheduler="threads", num_workers=min(os.cpu_count() or 1, MOST_THREADS))
