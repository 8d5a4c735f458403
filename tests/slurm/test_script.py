"""The batch scripts against their golden texts, and against a shell with stand-ins for SLURM."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from kernels.errors import RequestError
from slurm import profile
from slurm.profile import Profile
from slurm.request import Request, Work, ask
from slurm.script import Batch, render, render_after

GOLDEN = Path(__file__).parent / "golden"
WORK = Work(num_units=900, rank_seconds=40_000, rank_bytes=3 << 30, unit_bytes=1 << 30, grace_s=10)
COMMAND = ["/opt/horse shoe/bin/python", "-m", "jobs", "run", "three-body", "--set", 'bodies.mass=[10, 20, "$t"]']
REQUEST = Request(nodes=1, ranks=1, time_s=600, node_bytes=1 << 30, warning_s=40)


def batch_of(chosen: Profile | str, /, **changes: object) -> Batch:
    chosen = profile.load(chosen) if isinstance(chosen, str) else chosen
    given = {"name": "three-body", "command": COMMAND, "store": "three-body.zarr", "profile": chosen}
    return Batch(**{**given, "request": ask(WORK, chosen), **changes})  # type: ignore[arg-type]


MPIEXEC = Profile(
    **{"launcher": "mpiexec", "max_nodes": 3, "ranks_per_node": 2, "cpus_per_rank": 16, "partition": "main"},
    **{"options": ("account=physics", "exclusive"), "setup": ("module load gcc",)},
)
SCRIPTS = {
    "cpu": render(batch_of("cpu", partition="long")),
    "gpu": render(batch_of("gpu")),
    "multi-gpu": render(batch_of("multi-gpu", array=3)),
    "preemptible": render(batch_of("preemptible")),
    "mpiexec": render(batch_of(MPIEXEC, mpiexec="/opt/horse shoe/bin/mpiexec")),
    "then": render_after("three-body", "JOB", ["horseshoe", "video", "a; rm -rf b.zarr"], profile.load("cpu")),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_golden(name: str) -> None:
    assert SCRIPTS[name] == (GOLDEN / f"{name}.sh").read_text()


def test_every_ready_profile_has_a_golden_script() -> None:
    assert {path.stem for path in profile.READY.glob("*.toml")} <= {path.stem for path in GOLDEN.iterdir()}


STAND_INS = {
    "srun": 'while case $1 in --*) true;; *) false;; esac; do shift; done; exec "$@"',
    "scontrol": 'echo "$@" >> requeued',
    "squeue": 'case "$*" in *%T) echo "${STATE:-RUNNING}" ;; *) echo 2030-01-01T00:00:00 ;; esac',
}


@pytest.fixture
def shell(tmp_path: Path) -> list[str]:
    """The folder of a job, with stand-ins for SLURM's programs; the command that runs a script there."""
    for name, body in STAND_INS.items():
        stand_in = tmp_path / name
        stand_in.write_text(f"#!/bin/sh\n{body}\n")
        stand_in.chmod(0o700)
    (tmp_path / "a store.zarr" / "ledger").mkdir(parents=True)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "17", "UID": str(os.getuid())}
    return ["env", "-i", *(f"{key}={value}" for key, value in variables.items()), "bash", "script"]


def run(shell: list[str], folder: Path, body: str, *before: str, restarts: int = 10) -> int:
    """Exit code of the script of a job whose ranks run `body`."""
    command = ["sh", "-c", body]
    batch = batch_of("cpu", command=command, store="a store.zarr", profile=Profile(restarts=restarts), request=REQUEST)
    (folder / "script").write_text(render(batch))
    return subprocess.run([*before, *shell], cwd=folder, check=False).returncode


FINISH_A_UNIT = "echo '{}' >> 'a store.zarr/ledger/run-0.jsonl'"


@pytest.mark.parametrize("code", [0, 1, 2, 137])
def test_only_a_job_that_stopped_early_queues_itself(shell: list[str], tmp_path: Path, code: int) -> None:
    assert run(shell, tmp_path, f"{FINISH_A_UNIT}; exit {code}") == code
    assert not (tmp_path / "requeued").exists()


def test_a_job_goes_on_from_the_queue_only_where_it_finished_units(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "a store.zarr" / "ledger" / "before-0.jsonl").write_text("{}\n{}\n")
    assert run(shell, tmp_path, "exit 75") == 75
    assert not (tmp_path / "requeued").exists()
    assert run(shell, tmp_path, f"{FINISH_A_UNIT}; exit 75") == 75
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"


def test_a_job_goes_on_so_many_times(shell: list[str], tmp_path: Path) -> None:
    shell[2:2] = ["SLURM_RESTART_COUNT=2"]
    assert run(shell, tmp_path, f"{FINISH_A_UNIT}; exit 75", restarts=2) == 75
    assert not (tmp_path / "requeued").exists()
    assert run(shell, tmp_path, f"{FINISH_A_UNIT}; exit 75", restarts=3) == 75
    assert (tmp_path / "requeued").exists()


def test_a_job_that_is_cancelled_stays_away(shell: list[str], tmp_path: Path) -> None:
    shell[2:2] = ["STATE=COMPLETING"]
    assert run(shell, tmp_path, f"{FINISH_A_UNIT}; exit 75") == 75
    assert not (tmp_path / "requeued").exists()


def test_a_job_of_an_array_queues_itself_alone(shell: list[str], tmp_path: Path) -> None:
    shell[2:2] = ["SLURM_ARRAY_JOB_ID=17", "SLURM_ARRAY_TASK_ID=3"]
    assert run(shell, tmp_path, f"{FINISH_A_UNIT}; exit 75") == 75
    assert (tmp_path / "requeued").read_text() == "requeue 17_3\n"


def test_ranks_are_told_of_the_end_and_of_the_scratch(shell: list[str], tmp_path: Path) -> None:
    body = 'echo "$SLURM_JOB_END_TIME $HORSESHOE_CACHE $OMP_NUM_THREADS" > told'
    shell[2:2] = ["SLURM_TMPDIR=/scratch/17", "TZ=UTC"]
    assert run(shell, tmp_path, body) == 0
    assert (tmp_path / "told").read_text() == f"1893456000 /scratch/17/horseshoe-{os.getuid()} 1\n"


def test_the_warning_is_passed_on_and_the_exit_code_kept(shell: list[str], tmp_path: Path) -> None:
    body = f"trap '{FINISH_A_UNIT.replace(chr(39), chr(34))}; exit 75' USR1; touch ready; while :; do sleep 0.05; done"
    command = ["sh", "-c", body]
    batch = batch_of("cpu", command=command, store="a store.zarr", profile=Profile(), request=REQUEST)
    (tmp_path / "script").write_text(render(batch))
    (tmp_path / "a store.zarr" / "ledger").mkdir(exist_ok=True)
    process = subprocess.Popen(shell, cwd=tmp_path)
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(10)
    assert process.wait(10) == 75
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": "a b"}, "--name: "),
        ({"name": "%x"}, "--name: "),
        ({"partition": "a;b"}, "--partition: "),
        ({"array": 0}, "--array: "),
        ({"profile": Profile(setup=("a\nb",))}, "profile: setup: "),
        ({"profile": Profile(options=("account=a b",))}, "profile: options: "),
        ({"profile": Profile(options=("wrap=x\n#SBATCH --uid=0",))}, "profile: options: "),
        ({"profile": Profile(mpi="pmi2 --uid=0")}, "--mpi: "),
    ],
)
def test_what_slurm_cannot_read_is_refused(change: dict[str, object], key: str) -> None:
    with pytest.raises(RequestError, match=f"^{key}"):
        render(batch_of("cpu", **change))
