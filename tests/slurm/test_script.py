"""The batch script against its golden text, and against the shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kernels.errors import RequestError
from slurm import profiles
from slurm.script import Batch, render

GOLDEN = """\
#!/bin/bash
#SBATCH --job-name=three-body
#SBATCH --nodes=2
#SBATCH --time=2:00:00
#SBATCH --partition=gpu
#SBATCH --output=three-body-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=USR1@120
#SBATCH --requeue

module load gcc

srun --mpi=pmi2 -K1 horseshoe run three-body --set 'view.resolution=[500, 500]'
code=$?

# 75 says that it was stopped early: the same command goes on where it stopped.
if [ "$code" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
fi

[ "$code" -eq 0 ] || exit "$code"
horseshoe image three-body.zarr
"""

BATCH = Batch(
    name="three-body",
    command=["horseshoe", "run", "three-body", "--set", "view.resolution=[500, 500]"],
    nodes=2,
    time="2:00:00",
    partition="gpu",
    setup=["module load gcc"],
    then="horseshoe image three-body.zarr",
)


def test_golden() -> None:
    assert render(BATCH) == GOLDEN


def test_array_tasks_follow_each_other_and_do_not_requeue() -> None:
    text = render(Batch(name="a", command=["true"], array=3))
    assert "#SBATCH --array=1-3%1\n" in text
    assert "scontrol requeue" not in text


@pytest.mark.parametrize(("code", "expected"), [(0, 7), (3, 3), (75, 0)])
def test_exit_code(tmp_path: Path, code: int, expected: int) -> None:
    """The script, run by bash with stand-ins for srun and scontrol."""
    for name, body in (("srun", 'shift 2; exec "$@"'), ("scontrol", f"echo $1 > {tmp_path}/requeued")):
        stand_in = tmp_path / name
        stand_in.write_text(f"#!/bin/sh\n{body}\n")
        stand_in.chmod(0o700)
    text = render(Batch(name="a", command=["sh", "-c", f"exit {code}"], then="exit 7"))
    done = subprocess.run(["bash"], input=text, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
    assert done.returncode == expected
    assert (tmp_path / "requeued").exists() == (code == 75)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": "a b"}, "--name"),
        ({"nodes": 0}, "--nodes"),
        ({"time": "soon"}, "--time"),
        ({"time": "1:00\n#SBATCH --uid=0"}, "--time"),
        ({"partition": "a;b"}, "--partition"),
        ({"array": 0}, "--array"),
        ({"then": "a\nb"}, "--then"),
        ({"setup": ["a\nb"]}, "--setup"),
    ],
)
def test_what_slurm_cannot_read_is_refused(change: dict[str, object], key: str) -> None:
    with pytest.raises(RequestError, match=f"^{key}: "):
        render(Batch(**{"name": "a", "command": ["true"], **change}))  # type: ignore[arg-type]


def test_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "horseshoe").mkdir()
    (tmp_path / "horseshoe" / "big.toml").write_text('nodes = 4\nsetup = ["module load gcc"]\n')
    assert profiles.load(None) == profiles.Profile()
    assert profiles.load("big") == profiles.Profile(nodes=4, setup=("module load gcc",))
    with pytest.raises(RequestError, match="cannot be read"):
        profiles.load("small")
    (tmp_path / "horseshoe" / "big.toml").write_text("node = 4\n")
    with pytest.raises(RequestError, match="node"):
        profiles.load("big")
