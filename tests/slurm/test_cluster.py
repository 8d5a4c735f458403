"""Jobs on a real SLURM: the stores they leave, and what they do when they are told to stop, killed or out of time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from slurm import profile
from slurm.request import Request
from slurm.script import Batch, render

pytestmark = pytest.mark.slurm

TOY_JOB = Path(__file__).parents[1] / "hpc" / "toy_job.py"
STORE = "three-body.zarr"
NUM_UNITS = 64

# Enough work that a job is not yet at its end when its first units are finished, on fast machines too.
SIZES = ["view.resolution=[512, 512]", "run.shard=[64, 64]", "integrator.steps=6000", "twin.distance=1e9"]
SMALL = [*SIZES, "run.threads=1"]
JOB_S = 60.0
ONE_RANK_A_NODE = 'base = "cpu"\nranks_per_node = 1\ncpus_per_rank = 1\nmax_nodes = 2\n'

Submit = Callable[..., list[str]]


def horseshoe(*arguments: str, folder: Path, environment: Any = None) -> str:
    command = [sys.executable, "-m", "jobs", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def overrides(assignments: list[str]) -> list[str]:
    return [word for assignment in assignments for word in ("--set", assignment)]


@pytest.fixture
def submit(cluster: Any, tmp_path: Path) -> Submit:
    """`horseshoe submit` of the small job on two nodes; the numbers it prints."""

    def send(*arguments: str, more: str = "", nodes: int = 2) -> list[str]:
        (tmp_path / "mine.toml").write_text(ONE_RANK_A_NODE + more)
        given = ["--profile", "mine.toml", "--nodes", str(nodes), *arguments, *overrides(SMALL)]
        return horseshoe("submit", "three-body", *given, folder=tmp_path, environment=cluster.environment).split()

    return send


def store_bytes(store: Path) -> dict[str, bytes]:
    """All metadata and shard files of a store, by relative path."""
    files = [*store.glob("*/zarr.json"), *(path for path in store.glob("*/c/**/*") if path.is_file())]
    assert files
    return {str(path.relative_to(store)): path.read_bytes() for path in (store / "zarr.json", *files)}


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The store of the small job, computed by one process without SLURM."""
    folder = tmp_path_factory.mktemp("reference")
    horseshoe("run", "three-body", *overrides(SMALL), folder=folder)
    return store_bytes(folder / STORE)


def ledger(store: Path) -> list[dict[str, Any]]:
    lines = [line for path in (store / "ledger").glob("*.jsonl") for line in path.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line) for line in lines]


def runs(store: Path) -> list[dict[str, Any]]:
    """The starts of a store's job, the earliest first."""
    return sorted(
        (json.loads(path.read_text()) for path in (store / "runs").glob("*.json")), key=lambda run: run["run"]
    )


def wait_for_restart(cluster: Any, number: str) -> None:
    """Wait until a job is in the queue again, not at its end."""
    cluster.wait_until(
        lambda: cluster.job(number)["Restarts"] == "1" or cluster.job(number)["JobState"] in ("COMPLETED", "FAILED"),
        "restart",
    )
    job = cluster.job(number)
    assert job["Restarts"] == "1", Path(job["StdOut"]).read_text()


def assert_each_unit_once(store: Path, num_units: int) -> None:
    assert sorted(record["unit"] for record in ledger(store)) == list(range(num_units))


@pytest.mark.parametrize("name", ["cpu", "gpu", "multi-gpu", "preemptible", "mpiexec"])
def test_slurm_takes_the_golden_scripts(cluster: Any, tmp_path: Path, name: str) -> None:
    text = (Path(__file__).parent / "golden" / f"{name}.sh").read_text()
    cluster.call("sbatch", "--test-only", "--partition=main", input=text, cwd=tmp_path)


def test_two_nodes_and_what_follows(cluster: Any, tmp_path: Path, submit: Submit, reference: dict[str, bytes]) -> None:
    """A job on two nodes, then a picture of what it made."""
    first, then = submit("--then", f"image {STORE} --out 'a picture.png'")
    done = cluster.wait_for(then, "COMPLETED", "FAILED", "CANCELLED")
    assert done["JobState"] == "COMPLETED", (tmp_path / f"three-body-then-{then}.log").read_text()
    assert (tmp_path / "a picture.png").read_bytes().startswith(b"\x89PNG")
    logs = [f"three-body-{first}.log", f"three-body-then-{then}.log"]
    assert sorted(path.name for path in tmp_path.glob("*.log")) == logs
    assert store_bytes(tmp_path / STORE) == reference
    assert_each_unit_once(tmp_path / STORE, NUM_UNITS)
    assert [len(run["ranks"]) for run in runs(tmp_path / STORE)] == [2]


# Each job of an array waits until all four are there.
WAIT_FOR_ALL = (
    "touch here.$SLURM_ARRAY_TASK_ID; while [ ! -e here.4 -o $(ls here.* | wc -l) -lt 4 ]; do sleep 0.1; done"
)


def test_four_jobs_of_an_array_share_one_store(
    cluster: Any, tmp_path: Path, submit: Submit, reference: dict[str, bytes]
) -> None:
    """All at once: together they compute each unit once, and what follows comes after the last."""
    number, then = submit("--array", "4", "--then", f"verify {STORE}", more=f'setup = ["{WAIT_FOR_ALL}"]\n', nodes=1)
    done = cluster.wait_for(then, "COMPLETED", "FAILED", "CANCELLED", seconds=2 * JOB_S)
    logs = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
    assert done["JobState"] == "COMPLETED", logs
    assert logs.keys() == {*(f"three-body-{number}_{task}.log" for task in "1234"), f"three-body-then-{then}.log"}
    assert store_bytes(tmp_path / STORE) == reference
    assert_each_unit_once(tmp_path / STORE, NUM_UNITS)
    started = runs(tmp_path / STORE)
    assert sorted(run["slurm"]["SLURM_ARRAY_TASK_ID"] for run in started) == list("1234")
    assert [run["exit_code"] for run in started] == [0, 0, 0, 0]
    assert len({record["run"] for record in ledger(tmp_path / STORE)}) > 1
    assert not (tmp_path / STORE / "leases").exists()


@pytest.mark.parametrize(("launcher", "options"), [("srun", []), ("mpiexec", ["--batch"])])
def test_a_job_that_is_told_to_go_comes_back(
    cluster: Any, tmp_path: Path, submit: Submit, reference: dict[str, bytes], launcher: str, options: list[str]
) -> None:
    (number,) = submit(more=f'launcher = "{launcher}"\n')
    cluster.wait_until(lambda: ledger(tmp_path / STORE), "finished unit")
    cluster.call("scancel", "--signal=USR1", *options, number)
    wait_for_restart(cluster, number)
    first = runs(tmp_path / STORE)[0]
    assert (first["exit_code"], first["reason"], len(first["ranks"])) == (75, "SIGUSR1", 2)
    before = len(ledger(tmp_path / STORE))
    assert 1 <= before < NUM_UNITS
    assert cluster.wait_for(number, "COMPLETED", "FAILED")["JobState"] == "COMPLETED"
    assert store_bytes(tmp_path / STORE) == reference
    assert_each_unit_once(tmp_path / STORE, NUM_UNITS)
    assert [run["slurm"].get("SLURM_RESTART_COUNT", "0") for run in runs(tmp_path / STORE)] == ["0", "1"]


def test_a_job_gives_way_to_a_more_urgent_one(cluster: Any, tmp_path: Path, submit: Submit) -> None:
    (number,) = submit("--partition", "cheap", more='options = ["exclusive", "nodelist=n[1-2]"]\n')
    cluster.wait_until(lambda: ledger(tmp_path / STORE), "finished unit")
    urgent = cluster.submit(
        "#!/bin/bash\ntouch urgent\n", tmp_path, "--exclusive", "--nodelist=n1", "--output=/dev/null"
    )
    cluster.wait_for(urgent, "COMPLETED", "FAILED")
    first = runs(tmp_path / STORE)[0]
    assert (first["exit_code"], first["reason"]) == (75, "SIGTERM")
    assert cluster.wait_for(number, "COMPLETED", "FAILED")["JobState"] == "COMPLETED"
    assert_each_unit_once(tmp_path / STORE, NUM_UNITS)


def test_a_job_that_is_cancelled_stays_away(cluster: Any, tmp_path: Path, submit: Submit) -> None:
    (number,) = submit()
    cluster.wait_until(lambda: ledger(tmp_path / STORE), "finished unit")
    cluster.call("scancel", number)
    cluster.wait_until(lambda: not cluster.call("squeue", "--noheader", f"--jobs={number}", check=False), "end")
    assert cluster.job(number)["JobState"] == "CANCELLED"
    assert [run["exit_code"] for run in runs(tmp_path / STORE)] == [75]


def test_a_dead_rank_ends_the_job_and_another_goes_on(
    cluster: Any, tmp_path: Path, submit: Submit, reference: dict[str, bytes]
) -> None:
    number, then = submit("--then", f"image {STORE}")
    cluster.wait_until(lambda: ledger(tmp_path / STORE), "finished unit")
    (run,) = runs(tmp_path / STORE)
    os.kill(run["ranks"][1]["pid"], signal.SIGKILL)
    assert cluster.wait_for(number, "COMPLETED", "FAILED", seconds=20)["ExitCode"] == "137:0"
    assert cluster.wait_for(then, "CANCELLED", "COMPLETED")["JobState"] == "CANCELLED"
    before = len(ledger(tmp_path / STORE))
    assert 1 <= before < NUM_UNITS
    (again,) = submit()
    assert cluster.wait_for(again, "COMPLETED", "FAILED")["JobState"] == "COMPLETED"
    assert store_bytes(tmp_path / STORE) == reference


def toy(folder: Path, *arguments: object, warning_s: int = 0) -> str:
    """The script of the engine's toy job on two nodes, which waits for the file `go` before its first start."""
    (folder / "mine.toml").write_text(ONE_RANK_A_NODE + f'setup = ["{WAIT_FOR_GO}"]\n')
    command = [sys.executable, str(TOY_JOB), "toy.zarr", *map(str, arguments)]
    return render(
        Batch(
            name="toy",
            command=command,
            store="toy.zarr",
            profile=profile.load(str(folder / "mine.toml")),
            request=Request(nodes=2, ranks=2, time_s=600, node_bytes=1 << 30, warning_s=warning_s),
        )
    )


WAIT_FOR_GO = "while [ ! -e go ]; do sleep 0.1; done"


def start_with_little_time(cluster: Any, folder: Path, script: str, seconds: float) -> str:
    """Submit a script and let SLURM end its first start so soon; the job's number."""
    number = cluster.submit(script, folder)
    cluster.wait_for(number, "RUNNING")
    end = datetime.now() + timedelta(seconds=seconds)
    cluster.call("scontrol", "update", f"JobId={number}", f"EndTime={end:%Y-%m-%dT%H:%M:%S}")
    (folder / "go").touch()
    return str(number)


@pytest.mark.check  # SLURM keeps time limits to the minute: it may warn before the ranks have begun
def test_a_job_hands_out_no_unit_that_would_not_end_in_time(cluster: Any, tmp_path: Path) -> None:
    script = toy(tmp_path, "--units", 40, "--seconds", 1).replace("#SBATCH --signal=B:USR1@0\n", "")
    number = start_with_little_time(cluster, tmp_path, script, 15)
    wait_for_restart(cluster, number)
    first = runs(tmp_path / "toy.zarr")[0]
    assert (first["exit_code"], first["reason"]) == (75, "deadline")
    assert datetime.fromisoformat(first["ended"]).timestamp() <= float(first["slurm"]["SLURM_JOB_END_TIME"])
    assert cluster.wait_for(number, "COMPLETED", "FAILED")["JobState"] == "COMPLETED"
    units = [record["unit"] for record in ledger(tmp_path / "toy.zarr") if record["stage"] == "partial"]
    assert sorted(units) == list(range(40))


@pytest.mark.check  # SLURM keeps time limits to the minute: it may warn before the ranks have begun
def test_the_warning_of_slurm_reaches_the_ranks(cluster: Any, tmp_path: Path) -> None:
    script = toy(tmp_path, "--units", 120, "--seconds", 1, warning_s=20)
    number = start_with_little_time(cluster, tmp_path, script, 50)
    wait_for_restart(cluster, number)
    first = runs(tmp_path / "toy.zarr")[0]
    assert (first["exit_code"], first["reason"], len(first["ranks"])) == (75, "SIGUSR1", 2)
    cluster.call("scancel", number)
