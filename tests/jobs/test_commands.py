"""The verbs end to end: plan, run, status, verify, image, video, measure, submit, doctor."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.measures import quantity
from hpc.reading import open_for_reading
from jobs import model
from jobs.commands.pictures import picture_overrides
from jobs.commands.plan import rough_range

from .conftest import compute_store, horseshoe

CommandLine = Callable[..., tuple[int, str, str]]

SMALL = ["--set", "view.resolution=[16, 16]", "--set", "run.shard=[8, 8]", "--set", "integrator.steps=20000"]


def shard_files(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.glob("*/c/**/*") if path.is_file()}


def test_plan_prints_what_it_takes_and_writes_nothing(command_line: CommandLine, tmp_path: Path) -> None:
    code, out, err = command_line("plan", "three-body-z-sweep")
    assert (code, err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert lines["frames"] == "101 of 1000 x 1000"
    assert lines["units"].startswith("6464 (6464 divergence), shards of [128, 128]")
    # Two arrays of 6464 shards; x, y, steps, dt, distance, gravity, three masses, one position.
    assert lines["files"] == str(2 * 6464 + 10)
    assert lines["memory"].endswith("a rank")
    assert re.fullmatch(r"\d+( \w+)? to \d+ \w+ on 64 machines like this one", lines["time"])
    assert re.search(r"time .* on this machine \(\d+ cores?\), whatever the number of ranks\n", out)
    assert "warning" not in lines
    assert list(tmp_path.iterdir()) == []


def test_plan_says_what_a_rank_takes_where_it_is_not_the_machine(command_line: CommandLine) -> None:
    """Each rank has one thread, so that two ranks are twice as fast."""
    out = command_line("plan", "three-body", *SMALL, "--set", "run.threads=1")[1]
    assert "host, 1 thread, " in out
    assert out.count(" on 1 such rank\n") == out.count(" on 2 such ranks\n") == 1


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.1, "less than 1 s"),
        (1.0, "less than 1 to 2 s"),
        (60.0, "40 s to 2 min"),
        (300.0, "3 to 10 min"),
        (86400.0, "16 to 48 h"),
        (math.inf, "too long to tell"),
    ],
)
def test_a_plan_s_time_is_a_range(seconds: float, told: str) -> None:
    assert rough_range(seconds) == told


def test_plan_warns_of_many_files(command_line: CommandLine) -> None:
    code, out, _ = command_line("plan", "three-body-z-sweep", "--set", "run.shard=[32, 32]")
    assert code == 0
    assert "warning  more than 100000 files: larger run.shard make fewer" in out
    sections = ["frames.count=60000", "view.resolution=[8, 8]", "integrator.steps=10"]
    code, out, _ = command_line("plan", "three-body", *(word for one in sections for word in ("--set", one)))
    assert code == 0
    assert "warning  more than 100000 files: fewer frames or outputs make fewer" in out


@pytest.mark.mpi
def test_run_to_picture(command_line: CommandLine, tmp_path: Path) -> None:
    done = horseshoe("run", "three-body", *SMALL, ranks=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "three-body.zarr"
    assert quantity(tmp_path / "three-body.zarr", "times.min") == 10_653

    # One rank and two make the same files.
    alone = horseshoe("run", "three-body", *SMALL, "--out", "alone.zarr")
    assert alone.returncode == 0, alone.stderr
    assert shard_files(tmp_path / "alone.zarr") == shard_files(tmp_path / "three-body.zarr")

    code, out, err = command_line("status", "three-body.zarr")
    assert (code, err) == (0, "")
    assert "divergence: 4 of 4 units, 100.0 %" in out
    assert "done, updated" in out
    assert out.splitlines()[-1] == "three-body.zarr"

    for verb, name in (("image", "three-body.png"), ("video", "three-body.mp4")):
        code, out, err = command_line(
            verb, "three-body.zarr", "--value", "log(times)", "--set", "picture.colormap=gray"
        )
        assert (code, out.splitlines()[-1]) == (0, name)
        assert (tmp_path / name).stat().st_size > 100
    code, out, _ = command_line("measure", "summary", "three-body.zarr", "--out", "numbers.csv")
    assert (code, out.splitlines()[-1]) == (0, "numbers.csv")
    assert "times" in (tmp_path / "numbers.csv").read_text()


def test_where_results_go(command_line: CommandLine, make_job: Callable[..., model.Job], tmp_path: Path) -> None:
    """A frame of several is in the name; a name that promises another format is refused."""
    compute_store(make_job(integrator={"steps": 50}), tmp_path / "one.zarr")
    compute_store(make_job(integrator={"steps": 50}, frames={"count": 3}), tmp_path / "three.zarr")
    for words, name in (
        (["image", "one.zarr"], "one.png"),
        (["image", "three.zarr", "--frame", "2"], "three-2.png"),
        (["image", "three.zarr"], "three-0.png"),
        (["image", "one.zarr", "--frame", "1", "--set", "picture.frames=2"], "one-1.png"),
        (["image", "three.zarr", "--frame", "2", "--out", "a.png"], "a.png"),
        (["video", "three.zarr", "--out", "a.mkv"], "a.mkv"),
        (["measure", "summary", "three.zarr"], "three.csv"),
    ):
        assert command_line(*words) == (0, f"{name}\n", "")
        assert (tmp_path / name).is_file()
    for words, suffix in (
        (["image", "one.zarr", "--out", "b.jpg"], ".png"),
        (["video", "one.zarr", "--out", "b.gif"], ".mp4 or .mkv"),
        (["measure", "summary", "one.zarr", "--out", "b.txt"], ".csv"),
    ):
        code, out, err = command_line(*words)
        assert (code, out) == (2, "")
        assert err == f"horseshoe: --out {words[-1]}: the name of what is made here ends in {suffix}\n"
        assert not (tmp_path / words[-1]).exists()


def test_another_value_brings_its_own_range() -> None:
    """The stored range would paint it in one colour."""
    assert picture_overrides([], "log(times)", None) == {"value": "log(times)", "range": "auto"}
    assert picture_overrides(["picture.range=[0, 1]"], "log(times)", None)["range"] == [0, 1]
    assert picture_overrides([], None, "gray") == {"colormap": "gray"}


def test_run_makes_no_folder_on_its_way() -> None:
    done = horseshoe("run", "three-body", *SMALL, "--out", "nowhere/a.zarr")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere is not a folder: make it first, or choose another --out" in done.stderr
    assert not Path("nowhere").exists()


@pytest.mark.mpi
def test_fast_arithmetic_before_a_deadline(tmp_path: Path) -> None:
    """The device becomes part of the job, and the plan's estimate of the time is used."""
    fast = ["--set", "numerics.arithmetic=fast", "--set", "run.deadline=1h"]
    done = horseshoe("run", "three-body", *SMALL, *fast, ranks=2)
    assert done.returncode == 0, done.stderr
    store = open_for_reading(tmp_path / "three-body.zarr")
    assert store.identity["device"].endswith(" lanes")
    assert store.finished("times").all()
    # Another arithmetic is another job.
    done = horseshoe("run", "three-body", *SMALL)
    assert done.returncode == 2
    assert "numerics.arithmetic is fast there and reproducible here" in done.stderr


def test_one_compile_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What depends on the frame is an argument of the kernel, what depends on the pixel a lane value."""
    monkeypatch.setenv("HORSESHOE_CACHE", str(tmp_path / "cache"))
    sections = [
        "view.resolution=[8, 8]",
        "view.width=40/2**(t/30)",
        "frames.count=30",
        "integrator.steps=100 + t",
        "integrator.dt=0.001*(1 + t)",
        "twin.distance=0.5 + t",
        "bodies.gravity=9.8 + t/10",
        "bodies.mass=['u', '20 + t', 30]",
    ]
    done = horseshoe("run", "three-body", *(word for section in sections for word in ("--set", section)))
    assert done.returncode == 0, done.stderr
    assert len(open_for_reading(tmp_path / "three-body.zarr").finished("times")) == 30
    assert len([path for path in (tmp_path / "cache").rglob("*") if path.suffix == ".so"]) == 1


def test_verify_names_the_damaged_shard_and_run_mends_it(command_line: CommandLine, tmp_path: Path) -> None:
    assert horseshoe("run", "three-body", *SMALL).returncode == 0
    store = tmp_path / "three-body.zarr"
    assert command_line("verify", "three-body.zarr") == (0, "three-body.zarr\n", "")
    whole = shard_files(store)
    victim = sorted(name for name in whole if name.startswith("times/"))[1]
    (store / victim).write_bytes(whole[victim][:-1] + bytes([whole[victim][-1] ^ 1]))
    others = {name: (store / name).stat().st_mtime_ns for name in whole if name.startswith("times/") and name != victim}

    code, out, _ = command_line("verify", "three-body.zarr")
    assert code == 75
    assert victim in out
    assert "3 of 4 units" in command_line("status", "three-body.zarr")[1]
    assert horseshoe("run", "three-body", *SMALL).returncode == 0
    assert command_line("verify", "three-body.zarr")[0] == 0
    assert shard_files(store) == whole
    assert {name: (store / name).stat().st_mtime_ns for name in others} == others


def test_submit_prints_or_sends_the_script(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["submit", "three-body", "--time", "30", "--nodes", "2", "--set", "view.resolution=[9, 9]"]
    code, script, err = command_line(*arguments, "--dry-run")
    assert (code, err) == (0, "")
    assert "#SBATCH --nodes=2\n" in script
    assert "-m jobs run three-body --set 'view.resolution=[9, 9]' &\n" in script

    # A stand-in for sbatch keeps what it is sent.
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f"#!/bin/sh\ncat > {tmp_path}/sent\necho '17;cluster'\n")
    sbatch.chmod(0o700)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    assert command_line(*arguments) == (0, "17\n", "")
    assert (tmp_path / "sent").read_text() == script
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: no such partition' >&2\nexit 1\n")
    code, out, err = command_line(*arguments)
    assert (code, out) == (2, "")
    assert err == "horseshoe: sbatch: sbatch: error: no such partition\n"


@pytest.mark.mpi
def test_doctor() -> None:
    done = horseshoe("doctor", ranks=2)
    assert done.returncode == 0, done.stderr
    assert "rank      0 of 2 on " in done.stdout
    assert "rank      1 of 2 on " in done.stdout
    for word in ("MPI ", "compiler ", "vectors ", "cache "):
        assert sum(line.startswith(word) for line in done.stdout.splitlines()) == 1


def test_the_installed_command_is_the_module() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["horseshoe"] == "jobs.cli:main"
    assert horseshoe("list").stdout == horseshoe("list", "*").stdout != ""
