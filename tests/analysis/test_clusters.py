from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import dask
import numpy as np
import pytest

from analysis.clusters import connect
from analysis.images import image
from analysis.measures import quantity
from kernels.errors import RequestError

LIT = {"scale": "histogram", "shade": True}


def assert_no_pages(address: str) -> None:
    """Dask's web server listens to this machine alone and answers nothing."""
    base = address.removesuffix("/status")
    assert base.startswith("http://127.0.0.1:")
    for page in ("/status", "/health", "/info/main/workers.html", "/json/counts.json", "/metrics"):
        with pytest.raises(HTTPError) as caught:
            urlopen(base + page, timeout=10)
        assert caught.value.code == 404
        caught.value.close()


def test_a_local_cluster_draws_the_same_picture_behind_tls(store: Callable[..., Path], times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters={"steps": [1000, 1000]}, unfinished=(2,))
    with connect("none") as client:
        assert client is None
        image(path, path.with_name("threads.png"), client=client)
        image(path, path.with_name("lit-threads.png"), picture=LIT, client=client)
    with connect("local", n_workers=1, threads_per_worker=1) as client:
        assert client is not None
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        assert_no_pages(client.dashboard_link)
        image(path, path.with_name("local.png"), client=client)
        image(path, path.with_name("lit-local.png"), picture=LIT, client=client)
        assert quantity(path, "times[1].sum", client=client) == times[1].sum()
    assert dask.config.get("distributed.scheduler.http.routes"), "the settings are as before"
    for name in ("", "lit-"):
        assert path.with_name(f"{name}threads.png").read_bytes() == path.with_name(f"{name}local.png").read_bytes()


def test_unknown_clusters_name_the_nearest() -> None:
    with (
        pytest.raises(RequestError, match="'slrum' is none of none, local, slurm; the nearest is 'slurm'"),
        connect("slrum"),
    ):
        pytest.fail("entered")


def test_the_package_is_light() -> None:
    script = "import analysis, sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "analysis" in modules
    assert not {"matplotlib", "dask", "distributed", "av", "zarr"} & set(modules)
