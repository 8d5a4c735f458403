"""Pictures, videos and measures by workers that are batch jobs of a real SLURM, and what is said where there are none."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from analysis.clusters import compute, connect
from kernels.errors import RequestError

pytestmark = pytest.mark.slurm

SMALL = ["--set", "view.resolution=[96, 64]", "--set", "run.shard=[64, 64]", "--set", "integrator.steps=200"]
FOLDERS = ".horseshoe-workers-*"

# Two batch jobs at once take half a node each.
SETTINGS = """\
jobqueue:
  slurm:
    cores: 2
    memory: 1 GB
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small finished store of two frames, and with blanks and a command in its name."""
    folder = tmp_path_factory.mktemp("a folder; touch executed $(touch executed) ")
    frames = ["--set", "frames.count=2", "--set", "view.width=40/2**t"]
    assert horseshoe(folder, None, "run", "three-body", *SMALL, *frames).returncode == 0
    return folder


@pytest.fixture
def environment(cluster: Any, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "jobqueue.yaml").write_text(SETTINGS)
    return {**cluster.environment, "DASK_CONFIG": str(tmp_path)}


@pytest.fixture
def in_cluster(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """This process as one of a machine of the cluster."""
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, cluster.environment[name])
    monkeypatch.chdir(tmp_path)
    return cluster


def horseshoe(folder: Path, environment: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def workers(folder: Path) -> list[psutil.Process]:
    """The processes of the workers that batch jobs run, and what watches them."""
    with_commands = psutil.process_iter(["cmdline", "cwd"])
    found = [one for one in with_commands if "distributed.cli.dask_worker" in (one.info["cmdline"] or ())]
    found = [one for one in found if one.info["cwd"] == str(folder)]
    return [*found, *(child for one in found for child in one.children() if "spawn_main" in str(child.cmdline()))]


def listening(process: psutil.Process) -> list[Any]:
    return [one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]


def assert_closed_to_strangers(host: Any, port: int) -> None:
    """Nothing is said to who has no certificate: not in plain text and not under TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), timeout=10) as plain:
        answer = b""
        with suppress(ssl.SSLError, ConnectionError), context.wrap_socket(plain) as encrypted:
            encrypted.sendall(bytes(8))
            answer = encrypted.recv(1)
        assert answer == b""
    with socket.create_connection((host, port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with suppress(ConnectionError):
            assert plain.recv(1) in (b"", b"\x15"), "an alert of TLS, or nothing"


def wait_until_idle(cluster: Any) -> None:
    cluster.wait_until(lambda: not cluster.call("squeue", "--noheader"), "empty queue")


def test_workers_on_the_nodes_draw_the_same(cluster: Any, stored: Path, environment: dict[str, str]) -> None:
    for verb, suffix in (("image", "png"), ("video", "mp4"), ("measure summary", "csv")):
        made = []
        for place in ("none", "slurm"):
            out = f"{place}.{suffix}"
            options = ["three-body.zarr", "--out", out, "--cluster", place]
            done = horseshoe(stored, environment, *verb.split(), *options)
            assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
            assert done.stderr == ""
            made.append((stored / out).read_bytes())
        assert made[0] == made[1]
    wait_until_idle(cluster)
    names = cluster.call("scontrol", "--oneliner", "show", "jobs").splitlines()
    ours = [line for line in names if "JobName=horseshoe-workers" in line]
    assert len(ours) == 6
    assert {path.name for path in stored.iterdir()} == {
        "three-body.zarr",
        *(f"{place}.{suffix}" for place in ("none", "slurm") for suffix in ("png", "mp4", "csv")),
    }


def test_keys_are_ours_alone_and_the_scheduler_speaks_tls(in_cluster: Any, tmp_path: Path) -> None:
    with connect("slurm", n_workers=1) as client:
        assert client is not None
        assert client.scheduler.address.startswith("tls://")
        assert all(address.startswith("tls://") for address in client.nthreads())
        processes = [psutil.Process(), *workers(tmp_path)]
        assert len(processes) == 3, "this one, a worker and its nanny"
        places = {connection.laddr for process in processes for connection in listening(process)}
        open_ports = {place.port for place in places if place.ip != "127.0.0.1"}
        assert len(open_ports) == 3
        for port in open_ports:
            assert_closed_to_strangers(urlsplit(client.scheduler.address).hostname, port)
        (folder,) = tmp_path.glob(FOLDERS)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        keys = [path for path in folder.iterdir() if "key" in path.name]
        assert keys
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys)
        assert "PRIVATE KEY" not in client.cluster.job_script()
    assert not list(tmp_path.glob(FOLDERS))
    wait_until_idle(in_cluster)


def test_workers_that_have_gone_are_asked_for_again(in_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    monkeypatch.setattr("analysis.clusters.LOOK_S", 0.5)
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}), connect("slurm", n_workers=1) as client:
        assert client is not None
        in_cluster.call("scancel", "--name=horseshoe-workers")
        in_cluster.wait_until(lambda: not client.nthreads(), "end of the workers")
        assert compute(client, dask.delayed(sum)([20, 22])) == 42
    wait_until_idle(in_cluster)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_go_where_their_client_goes(
    cluster: Any, tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    script = (
        "import time; from analysis.clusters import connect\n"
        "with connect('slurm'): open('entered', 'w').close(); time.sleep(200)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment) as process:
        cluster.wait_until((tmp_path / "entered").exists, "worker")
        assert cluster.call("squeue", "--noheader")
        process.send_signal(number)
        assert process.wait(60) == (143 if number == signal.SIGTERM else -9)
    wait_until_idle(cluster)
    assert bool(list(tmp_path.glob(FOLDERS))) == (number == signal.SIGKILL)


def test_a_picture_after_the_run(cluster: Any, tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "mine.toml").write_text('base = "cpu"\nranks_per_node = 1\ncpus_per_rank = 1\nmax_nodes = 1\n')
    then = "image three-body.zarr --out then.png --cluster slurm"
    done = horseshoe(tmp_path, environment, "submit", "three-body", "--profile", "mine.toml", "--then", then, *SMALL)
    assert done.returncode == 0, done.stderr
    _, number = done.stdout.split()
    ended = cluster.wait_for(number, "COMPLETED", "FAILED", "CANCELLED", seconds=180)
    assert ended["JobState"] == "COMPLETED", (tmp_path / f"three-body-then-{number}.log").read_text()
    assert (tmp_path / "then.png").read_bytes().startswith(b"\x89PNG")
    wait_until_idle(cluster)


def test_no_worker_comes(in_cluster: Any, tmp_path: Path) -> None:
    options = {"job_extra_directives": ["--begin=now+1hour"]}
    with (
        pytest.raises(RequestError, match=r"^--cluster slurm: no worker came within 1 s; see `squeue --me`"),
        connect("slurm", wait_s=1, **options),
    ):
        pytest.fail("entered")
    wait_until_idle(in_cluster)
    assert list(tmp_path.iterdir()) == []


def test_slurm_refuses(in_cluster: Any, tmp_path: Path) -> None:
    match = r"^--cluster slurm: allocation failure: Invalid partition name specified$"
    with pytest.raises(RequestError, match=match), connect("slurm", queue="none-such"):
        pytest.fail("entered")
    wait_until_idle(in_cluster)
    assert list(tmp_path.iterdir()) == []


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


@pytest.fixture
def without(tmp_path: Path) -> Callable[..., Path]:
    """A folder for PYTHONPATH in which a package is as if it were not installed."""

    def hide(name: str) -> Path:
        folder = tmp_path / f"without-{name}"
        folder.mkdir()
        (folder / f"{name}.py").write_text(f"raise ImportError('no {name}')\n")
        return folder

    return hide


def test_what_is_missing_is_said_in_one_line(stored: Path, tmp_path: Path, without: Callable[..., Path]) -> None:
    before = sorted(path.name for path in stored.iterdir())
    draw = ("image", "three-body.zarr", "--out", "none-such.png", "--cluster", "slurm")
    nowhere = {**os.environ, "PATH": str(tmp_path)}
    assert one_line(horseshoe(stored, nowhere, *draw)).startswith("horseshoe: --cluster slurm: sbatch is not found; ")
    bare = {**os.environ, "PYTHONPATH": str(without("dask_jobqueue"))}
    assert one_line(horseshoe(stored, bare, *draw)).endswith(": it is not installed: pip install dask-jobqueue\n")
    assert sorted(path.name for path in stored.iterdir()) == before
