"""What a user gets wrong is one line that names the key, exit code 2, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import horseshoe

CommandLine = Callable[..., tuple[int, str, str]]

OVERRIDES = [
    # Unknown keys
    ("view.widht=3", "view.widht: unknown key; nearest: view.width\n"),
    ("vieww.width=3", "vieww: unknown key; nearest: view"),
    ("twin.distanc=1", "twin.distanc: unknown key; nearest: twin.distance\n"),
    ("gravity=3", "gravity: unknown key; nearest: bodies.gravity\n"),
    ("body=3", "body: unknown key; nearest: twin.body\n"),
    ("view.gravty=3", "view.gravty: unknown key; nearest: bodies.gravity\n"),
    ("picture.shade.azimut=3", "picture.shade.azimut: unknown key; nearest: picture.shade.azimuth\n"),
    ("qqq=3", "qqq: unknown key; nearest: "),
    ("check=[{quantit='a'}]", "check[0].quantit: unknown key; nearest: check.quantity\n"),
    ("view.resolution=[200, 200", "view.resolution: [200, 200 is not TOML; close its brackets, "),
    (
        "bodies.mass=[u, 20, 30]",
        "bodies.mass: [u, 20, 30] is not TOML; close its brackets, and put texts between ",
    ),
    ("kind=divergance", "kind: 'divergance' is not a job kind; nearest: divergence"),
    # Wrong types
    ("view.resolution=[10.5, 3]", "view.resolution[0]: "),
    ("view.resolution=[10]", "view.resolution: "),
    ("view=3", "view: expected a table"),
    ("bodies.mass=[1, 2, true]", "bodies.mass[2]: "),
    ("bodies.position=[1, 2, 3]", "bodies.position[0]: "),
    ("run.threads=many", "run.threads: "),
    ("numerics.arithmetic=fastt", "numerics.arithmetic: 'fastt' is not among reproducible, plain, fast"),
    ("outputs=['times', 'time']", "outputs[1]: 'time' is not among times, "),
    ("twin.body=4", "twin.body: 4 is not among 1, 2, 3"),
    ("name=A B", "name: "),
    ("name=../up", "name: "),
    # Expression errors
    ("bodies.gravity=9.8*q", "bodies.gravity, column 5: "),
    ("bodies.position=[[0,0,0],[0,0,0],[0,0,'u+']]", "bodies.position[2][2], column 2: "),
    ("integrator.dt=u", "integrator.dt, column 1: "),
    ("view.width=40/2**", "view.width, column 6: "),
    ("picture.value=steps - time", "picture.value, column 9: "),
    ("picture.range=[0, 'stepss']", "picture.range[1], column 1: "),
    ("bodies.gravity=__import__('os').system('touch executed')", "bodies.gravity, column "),
    ("view.width=(lambda: 0)()", "view.width, column "),
    ("integrator.steps=1/t", "integrator.steps: '1/t' is inf in frame 0"),
    ("bodies.position=[['1/0',0,0],[0,0,0],[0,0,0]]", "bodies.position[0][0]: '1/0' is inf in frame 0"),
    ("bodies.gravity=i*u", "bodies.gravity: a real number is needed"),
    # Zero, negative and absurd sizes
    ("view.resolution=[0, 3]", "view.resolution[0]: "),
    ("view.resolution=[3, -1]", "view.resolution[1]: "),
    ("view.width=0", "view.width: must be larger than 0"),
    ("view.height=-2", "view.height: must be larger than 0"),
    ("view.center=[1e20, 0]", "view.width: the pixels of frame 0 are closer than float64 can tell apart"),
    ("frames.count=0", "frames.count: "),
    ("integrator.steps=0", "integrator.steps: must be at least 1"),
    ("integrator.steps=2.9", "integrator.steps: 2.9 is not a whole number"),
    ("integrator.steps=3e9", "integrator.steps: at most 2147483646"),
    ("integrator.dt=0", "integrator.dt: must not be 0"),
    ("integrator.dt=nan", "integrator.dt: nan is not a finite number"),
    ("twin.distance=-1", "twin.distance: must be at least 0"),
    ("run.shard=[0, 8]", "run.shard[0]: "),
    ("run.threads=0", "run.threads: "),
    ("run.threads=1025", "run.threads: "),
    ("run.deadline=soon", "run.deadline: 'soon' is neither a duration"),
    ("run.deadline=18:00:00", "run.deadline: '18:00:00' is neither a duration"),
    ("run.deadline=-1", "run.deadline: '-1' is neither a duration"),
    ("run.deadline=true", "run.deadline: expected a string"),
    ("bodies.gravity=1" + "0" * 30, "bodies.gravity: too large for a number of 64 bits"),
    ("bodies.gravity=" + "9" * 5000, "bodies.gravity"),
    ('title="a\\u0000b"', "title: has the control character '\\x00'"),
    ('title="a\\nb"', "title: has several lines"),
    ('description="\\u001b[31m"', "description: has the control character "),
    ("picture.fps=0", "picture.fps: "),
    (
        "picture.colormap=infernoo",
        "picture.colormap: no colour map is called 'infernoo'; the nearest name is 'inferno'",
    ),
    ("picture.background=1/0", "picture.background: '1/0' is no colour"),
    ("picture.value=times + i", "picture.value: the values are complex"),
    ("picture.shade={value = 'i*times'}", "picture.shade.value: the values are complex"),
    ("picture.range=['i', 3]", "picture.range[0]: the values are complex"),
    ("picture={scale = 'log', cycle = 3}", "picture.cycle: goes with scale = 'linear' alone"),
    ("picture.fps=0.0001", "picture.fps: "),
    ("picture.fps=1e308", "picture.fps: "),
    ("outputs=[]", "outputs: "),
    # Layouts
    ("run={shard = [8, 8], chunk = [3, 8]}", "run.shard: [8, 8] is not a multiple of run.chunk [3, 8]"),
    ("run.shard=[1048576, 1048576]", "run.shard: "),
    ("numerics.precision=perturbation", "numerics.precision: perturbation is not offered"),
    # The option itself
    ("view.width", "--set view.width: "),
    ("=3", "--set =3: "),
    ("view..width=3", "--set view..width=3: "),
    ("view.center=" + "[" * 2000 + "]" * 2000, "view.center"),
]


@pytest.mark.parametrize(("assignment", "start"), OVERRIDES, ids=lambda text: text[:40])
def test_one_line_names_the_key(command_line: CommandLine, tmp_path: Path, assignment: str, start: str) -> None:
    code, out, err = command_line("plan", "three-body", "--set", assignment)
    assert code == 2
    assert out == ""
    assert err.startswith(f"horseshoe: {start}")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert list(tmp_path.iterdir()) == []


FILES = [
    ('kind = "divergence"\nname = 3', "name: "),
    ('kind = "divergence"\nbodys = 3', "bodys: unknown key; nearest: bodies"),
    ("name = 'a'", "kind: "),
    ("kind = ", "job.toml: not a TOML file"),
    ("kind = 'divergence'\nx = " + "9" * 5000, "job.toml: not a TOML file"),
    ("kind = 'divergence'\nx = " + "[" * 5000 + "]" * 5000, "job.toml: nested deeper"),
    ("kind = 'divergence'\nx = [[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]", "x[0]"),
    ("#" * (1 << 20) + "\nkind = 'divergence'", "job.toml: larger than the limit"),
    ("kind = 'divergence'\n[bodies]\nmass = [1, 2, " + "9" * 400 + "]", "bodies.mass[2]: "),
]


@pytest.mark.parametrize(("text", "start"), FILES, ids=[start for _, start in FILES])
def test_bad_files(command_line: CommandLine, tmp_path: Path, text: str, start: str) -> None:
    (tmp_path / "job.toml").write_text(text)
    code, out, err = command_line("plan", "job.toml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"horseshoe: {start}")
    assert [path.name for path in tmp_path.iterdir()] == ["job.toml"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["plan", "three-bodi"], "no such gallery job; nearest: three-body;"),
        (["plan", "missing.toml"], "missing.toml: cannot be read: No such file"),
        (["plan", "../../etc/passwd"], "no such gallery job"),
        (["plan", "three-body.zarr"], "three-body.zarr: that is a store; give the job"),
        (["plan", "three-body", "--set", "view.resolution=[200,", "200]"], "200]: is left over; put a value that has"),
        (["pla", "three-body"], "pla"),
        (["plan"], "JOB"),
        (["plan", "three-body", "--sett", "a=1"], "--sett"),
        (["status", "missing.zarr"], "missing.zarr: no such store"),
        (["image", "missing.zarr"], "missing.zarr: no such store"),
        (["image", "missing.zarr", "--frame", "x"], "frame"),
        (["image", "missing.zarr", "--cluster", "cloud"], "cluster"),
        (["image", "missing.zarr", "--set", "view.width=3"], "--set view: "),
        (["verify", "missing.zarr"], "missing.zarr: no such store"),
        (["measure", "times", "missing.zarr"], "times"),
        (["submit", "three-body", "--nodes", "0"], "--nodes: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_command_lines(command_line: CommandLine, tmp_path: Path, arguments: list[str], part: str) -> None:
    code, out, err = command_line(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("horseshoe: ")
    assert part in err
    assert list(tmp_path.iterdir()) == []


def test_names_without_their_endings(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "head-on.toml").write_text('kind = "divergence"')
    error = "horseshoe: own/head-on: no such gallery job; did you mean own/head-on.toml?\n"
    assert command_line("plan", "own/head-on") == (2, "", error)
    (tmp_path / "a.zarr").mkdir()
    assert command_line("image", "a") == (2, "", "horseshoe: a: no such store; did you mean a.zarr?\n")


def test_names_of_arrays_come_first(command_line: CommandLine) -> None:
    error = command_line("plan", "three-body", "--set", "picture.value=qq")[2]
    assert "unknown name 'qq'; known: times, outcome, x, y, t, distance, dt, gravity, " in error


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["three-body", "--set", "view.widht=3"], "horseshoe: view.widht: unknown key"),
        (["three-body", "--sett", "view.widht=3"], "horseshoe: "),
        (["three-body", "--out", "/proc/x/y.zarr"], "horseshoe: /proc/x/y.zarr: "),
        (["three-body", "--set", "run.shard=[1048576, 1048576]"], "horseshoe: run.shard: "),
        (["three-body", "--set", "run.deadline=soon"], "horseshoe: run.deadline: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_one_line_from_two_ranks(tmp_path: Path, arguments: list[str], start: str) -> None:
    done = horseshoe("run", *arguments, ranks=2)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(start)
    assert list(tmp_path.iterdir()) == []


def test_store_of_another_job(tmp_path: Path) -> None:
    small = ["run", "three-body", "--set", "view.resolution=[4, 4]", "--set", "integrator.steps=10"]
    assert horseshoe(*small).returncode == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    done = horseshoe(*small, "--set", "bodies.gravity=9.9", "--set", "twin.body=2")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "bodies.gravity is 9.8 there and 9.9 here" in done.stderr
    assert "twin.body is 1 there and 2 here" in done.stderr
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_a_package_of_another_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_line: CommandLine
) -> None:
    import importlib.util
    from importlib.machinery import ModuleSpec

    (tmp_path / "kernels").mkdir()
    found = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        spec = found(name, package)
        if name == "kernels":
            assert spec is not None
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(tmp_path / "kernels")]
        return spec

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    code, out, err = command_line("list")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"package kernels is found at {tmp_path / 'kernels'}" in err


@pytest.mark.parametrize(
    ("name", "reason"), [("loop", "ymbolic links|ymlink loop"), ("x" * 300, "File name too long"), ("file/in", "")]
)
@pytest.mark.parametrize("verb", ["plan", "status", "verify", "image", "measure summary"])
def test_paths_that_no_disk_takes(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, name: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    Path("file").write_text("")
    suffix = ".toml" if verb == "plan" else ""
    if suffix and name == "loop":
        Path("loop.toml").symlink_to("loop.toml")
    code, out, err = command_line(*verb.split(), name + suffix)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"horseshoe: .*({reason}).*\n", err)
