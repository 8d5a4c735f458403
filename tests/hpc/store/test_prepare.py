"""Making a store, resuming one, refusing what is not ours; and what a kill -9 leaves behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from hpc import refusals, runs, store
from hpc.durable import partial_path, partial_run
from hpc.plan import ArraySpec
from hpc.reading import open_for_reading
from hpc.refusals import differences
from hpc.verify import verify
from kernels.errors import RequestError


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def refused(place, plan, folder, match):
    """Both `check` and `prepare` refuse in one line, and neither touches anything below `folder`."""
    before = snapshot(folder)
    for request in (store.check, lambda place, plan: store.prepare(place, plan, run_id="later")):
        with pytest.raises(RequestError, match=match) as caught:
            request(place, plan)
        assert "\n" not in str(caught.value)
        assert snapshot(folder) == before


# Making and resuming


def test_check_writes_nothing_and_makes_no_parents(toy, tmp_path):
    store.check(tmp_path / "a/b/toy.zarr", toy.plan())
    assert list(tmp_path.iterdir()) == []
    store.prepare(tmp_path / "a/b/toy.zarr", toy.plan(), run_id="first")
    assert [file.name for file in (tmp_path / "a/b").iterdir()] == ["toy.zarr"]


def test_an_empty_folder_and_a_link_to_one_will_do(toy, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link.zarr").symlink_to(tmp_path / "empty")
    store.prepare(tmp_path / "link.zarr", toy.plan(), run_id="first")
    assert open_for_reading(tmp_path / "empty").arrays()


def test_prepare_is_idempotent(toy, filled):
    before = {name: data for name, (_, data) in snapshot(filled).items()}
    store.prepare(filled, toy.plan(), run_id="second")
    after = {name: data for name, (_, data) in snapshot(filled).items()}
    assert set(after) - set(before) == {"runs/second.json"}
    assert {name: after[name] for name in before} == before


def test_what_is_outside_the_identity_follows_the_latest_run(toy, filled):
    store.prepare(filled, toy.plan(pictures={"value": "steps - times"}), run_id="second")
    assert open_for_reading(filled).attributes["pictures"] == {"value": "steps - times"}
    assert store.finished_units(filled, "map").all()


@pytest.mark.parametrize("is_there", [False, True])
def test_runs_that_start_at_once_share_one_store(toy, tmp_path, is_there):
    """Also in an empty folder that is there already."""
    place, errors, barrier = tmp_path / "toy.zarr", [], threading.Barrier(4)
    if is_there:
        place.mkdir()

    def start(run_id: str) -> None:
        try:
            barrier.wait()
            store.prepare(place, toy.plan(), run_id=run_id)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start, args=(f"run{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [file.name for file in tmp_path.iterdir()] == ["toy.zarr"]
    assert not list(place.glob("*.partial"))
    assert set(runs.read_runs(place)) == {f"run{number}" for number in range(4)}
    assert verify(place) == []


def test_a_plan_whose_arrays_do_not_match_its_units_makes_no_store(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(toy.ToyStage, "num_units", property(lambda _: 7))
    with pytest.raises(ValueError, match="times: 18 shards, stage map has 7 units"):
        store.prepare(tmp_path / "toy.zarr", toy.plan(), run_id="first")
    assert list(tmp_path.iterdir()) == []


# Refusing


def test_another_job_is_refused_with_the_keys_that_differ(toy, filled):
    refused(
        filled,
        toy.plan(frames={"count": 3}, view={"resolution": [19, 21]}),
        filled.parent,
        r"toy.zarr: made by another job: frames.count is 2 there and 3 here; "
        r"view.resolution\[1\] is 20 there and 21 here; choose another --out$",
    )


def test_other_data_are_told_from_another_job(toy, tmp_path):
    def manifest(size, digit):
        return [{"files": {"own.csv": {"bytes": size, "sha256": digit * 64}}}]

    place = tmp_path / "toy.zarr"
    store.prepare(place, toy.plan(manifest=manifest(7, "a")), run_id="first")
    put_back = "put back what it was made from, or choose another --out"
    longer, changed = toy.plan(manifest=manifest(8, "b")), toy.plan(manifest=manifest(7, "b"))
    refused(
        place, longer, tmp_path, rf"other data: manifest\[0\].files.own.csv.bytes is 7 there and 8 here; {put_back}$"
    )
    refused(place, changed, tmp_path, rf"other data: manifest\[0\].files.own.csv.sha256 is a+... there .*; {put_back}$")
    both = toy.plan(manifest=manifest(8, "b"), frames={"count": 3})
    refused(place, both, tmp_path, r"made by another job: frames.count is .*bytes is .*; choose another --out$")


def test_many_differences_are_counted(toy, tmp_path):
    place = tmp_path / "toy.zarr"
    store.prepare(place, toy.plan(bodies={"mass": [1, 2, 3, 4, 5, 6, 7], "name": "x" * 500}), run_id="first")
    other = toy.plan(bodies={"mass": [0, 0, 0, 0, 0, 0, 0], "name": "y"})
    refused(place, other, tmp_path, r"bodies.mass\[4\] is 5 there and 0 here; and 3 more; choose another --out")


def test_a_key_that_the_store_lacks_counts_as_its_default(toy, filled):
    defaults = {"integrator": {"method": "euler", "order": 1}}
    other = dataclasses.replace(toy.plan(integrator={"method": "euler", "order": 2}), defaults=defaults)
    refused(filled, other, filled.parent, "another job: integrator.order is 1 there and 2 here")
    unknown = toy.plan(integrator={"method": "euler", "order": 1})
    refused(
        filled,
        unknown,
        filled.parent,
        'another job: integrator is absent there and {"method": "euler", "order": 1} here',
    )

    store.prepare(filled, dataclasses.replace(unknown, defaults=defaults), run_id="second")
    assert open_for_reading(filled).identity["integrator"] == {"method": "euler", "order": 1}
    refused(filled, toy.plan(), filled.parent, 'integrator is {"method": "euler", "order": 1} there and absent here')


@pytest.mark.parametrize(
    ("stored", "asked", "keys"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, ["a.c"]),
        ({"a": {"b": 1}}, {"a": {"b": 1, "d": 5}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 1, "d": 6}}, ["a.d"]),
        ({"a": {"b": 1}}, {"a": {"b": 1}, "e": None}, []),
        ({"a": {"b": 1}}, {"a": {"b": 1}, "e": {"f": 1}}, ["e"]),
        ({"e": {}}, {"e": {"f": 2}}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, ["a.c"]),
        ({"a": [[1, 2], [3, 4]]}, {"a": [[1, 2], [3, 5]]}, ["a[1][1]"]),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, ["a"]),
        ({"a": "u"}, {"a": 1.0}, ["a"]),
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": None}, {"a": 1}, ["a"]),
        ({"a": {"b": 1}}, {"a": 1}, ["a"]),
    ],
)
def test_differences(stored, asked, keys):
    defaults = {"a.d": 5, "e": None, "e.f": 2}
    assert [key for key, _, _ in differences(stored, asked, defaults)] == keys


def test_another_kernel_is_refused_with_the_version_that_made_the_store(toy, filled):
    store.append_provenance(filled, "first", {"version": "0.0.9"})
    store.prepare(filled, toy.plan(), run_id="second")
    refused(
        filled,
        toy.plan(kernel_digest="digest-2"),
        filled.parent,
        "made with kernel digest-1 by version 0.0.9, here it is digest-2; resume it with version 0.0.9",
    )


def test_another_cut_of_the_same_job_is_refused(toy, filled, monkeypatch):
    coarse = toy.ToyStage("map", tuple(toy.spec(a.name, a.dtype, a.fill_value) for a in toy.MAP.arrays[:2]))
    for spec in coarse.arrays:
        object.__setattr__(spec, "shard", (1, 16, 16))
    monkeypatch.setattr(toy, "MAP", coarse)
    match = r"array times has shard \(1, 8, 8\) there and \(1, 16, 16\) here"
    refused(filled, toy.plan(), filled.parent, match)


def test_a_later_format_is_refused(toy, filled):
    text = (filled / "zarr.json").read_text()
    (filled / "zarr.json").write_text(text.replace('"format": 1', '"format": 2'))
    refused(filled, toy.plan(), filled.parent, "store format 2, this version reads 1")


GROUP = '{"zarr_format": 3, "node_type": "group"}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", GROUP),
        (".hidden", GROUP),
        ("zarr.json", GROUP),
        ("zarr.json", GROUP.replace("group", "array")),
        ("zarr.json", '{"zarr_format": 3, "node_type": "group", "attributes": {"horseshoe": {"format": 1}}}'),
        ("zarr.json", "{"),
        ("zarr.json", "[]"),
        (".zgroup", '{"zarr_format": 2}'),
    ],
)
def test_a_folder_with_other_content_is_refused(toy, tmp_path, name, content):
    place = tmp_path / "toy.zarr"
    place.mkdir()
    (place / name).write_text(content)
    refused(place, toy.plan(), tmp_path, "toy.zarr: not a Horseshoe store")


def test_a_file_in_the_way_is_refused(toy, tmp_path):
    (tmp_path / "toy.zarr").write_text("")
    refused(tmp_path / "toy.zarr", toy.plan(), tmp_path, "toy.zarr: is a file")
    refused(tmp_path / "toy.zarr/inner.zarr", toy.plan(), tmp_path, "inner.zarr: cannot be written")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(toy, tmp_path):
    tmp_path.chmod(0o500)
    try:
        refused(tmp_path / "toy.zarr", toy.plan(), tmp_path, "toy.zarr: cannot be written")
    finally:
        tmp_path.chmod(0o700)


def test_a_read_only_disk_is_refused(toy, tmp_path, monkeypatch):
    """As root, permissions say nothing; the kernel's answer to a nameless file does."""
    opened = os.open

    def read_only(path, flags, *rest, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(30, "Read-only file system")
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", read_only)
    refused(tmp_path / "toy.zarr", toy.plan(), tmp_path, r"toy.zarr: cannot be written \(Read-only file system\)")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_place_that_only_fails_when_tried_is_refused(toy):
    with pytest.raises(RequestError, match=r"/proc/toy.zarr: cannot be written"):
        store.prepare("/proc/toy.zarr", toy.plan(), run_id="first")


# Dying


def run_until_death(place: Path, run_id: str, death: int) -> int:
    script = Path(__file__).with_name("toy.py")
    return subprocess.run([sys.executable, script, place, run_id, str(death)], check=False).returncode


@pytest.mark.parametrize("death", [3, 20, 60, 61, 62, 63, 64, 65, 66, 67, 10_000])
def test_kill_9_leaves_nothing_wrong(toy, filled, death):
    """Die in the making of the store, and at each step of a unit: shard, its folder, the record; then resume."""
    place = filled.parent / "killed.zarr"
    code = run_until_death(place, "dead", death)
    assert code == (0 if death == 10_000 else -signal.SIGKILL)
    if place.exists():
        assert {fault.kind for fault in verify(place)} <= {"unrecorded"}
    else:
        assert death < 60

    store.prepare(place, toy.plan(), run_id="second")
    assert sorted(file.name for file in filled.parent.iterdir()) == ["killed.zarr", "toy.zarr"]
    assert not list(place.rglob("*.partial"))
    reader = open_for_reading(place)
    toy.write(place, "second", skip=reader)
    assert verify(place) == []
    assert reader.finished("map").all()
    for name in (*reader.arrays(), *reader.constants()):
        for file in (filled / name).rglob("*"):
            same = place / file.relative_to(filled)
            assert same.is_dir() if file.is_dir() else same.read_bytes() == file.read_bytes()


# Partial files


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("record", "swept"),
    [
        ({"host": "here", "pid": "own"}, False),
        ({"host": "here", "pid": "own", "ended": "2026-01-01T00:00:00+00:00"}, True),
        ({"host": "here", "pid": "dead"}, True),
        ({"host": "here", "pid": "own", "born": "another boot:123"}, True),
        ({"host": "elsewhere", "pid": "dead"}, False),
        ({"host": "elsewhere", "pid": "dead", "ended": "2026-01-01T00:00:00+00:00"}, True),
        ({"host": "here"}, False),
        ({}, False),
    ],
)
def test_partial_files_are_swept_when_their_run_is_known_dead(toy, filled, record, swept):
    known = {
        **record,
        **({"host": socket.gethostname()} if record.get("host") == "here" else {}),
        **({"pid": os.getpid() if record["pid"] == "own" else dead_pid()} if "pid" in record else {}),
        "started": datetime.now(UTC).isoformat(),
    }
    if record:
        runs.update(filled, "other-run", known)
    file = partial_path(filled / "times/c/0/0/0", "other-run-12")
    file.write_bytes(b"half")
    beside = partial_path(filled, "other-run-store")
    runs.update(beside, "other-run", known if record else {})

    store.prepare(filled, toy.plan(), run_id="second")
    assert file.exists() is not swept
    assert beside.exists() is not swept
    assert verify(filled) == []


def test_who_has_ended_and_is_not_collected_is_dead():
    """Under a launcher that was killed, or in a container without an init, that may last for ever."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        record = {"host": socket.gethostname(), "pid": process.pid, "born": runs.birth(process.pid)}
        assert not runs.known_dead(record)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert runs.known_dead(record)


def test_the_dead_are_swept_once_and_the_living_spared(toy, filled):
    runs.update(filled, "dead-run", {"ended": "2026-01-01T00:00:00+00:00"})
    runs.update(filled, "living-run", {"host": "elsewhere", "pid": 1, "started": "2026-01-01T00:00:00+00:00"})
    files = [partial_path(filled / "times/c/0/0/0", writer) for writer in ("dead-run-0", "living-run-0", "unknown-0")]
    for file in files:
        file.write_bytes(b"half")
    store.prepare(filled, toy.plan(), run_id="second")
    assert [file.exists() for file in files] == [False, True, True]

    # The dead make no new files, so that the store is not searched for them again.
    before = {name: facts for name, facts in snapshot(filled / "runs").items() if name != "third.json"}
    files[0].write_bytes(b"half")
    store.prepare(filled, toy.plan(), run_id="third")
    assert {name: facts for name, facts in snapshot(filled / "runs").items() if name != "third.json"} == before
    assert files[0].exists()


def test_names_of_partial_files(tmp_path):
    assert partial_run(partial_path(tmp_path / "0", "2026-run_1-17")) == "2026-run_1"
    assert partial_run(partial_path(tmp_path / "a.b.zarr", "run-store")) == "run"
    assert partial_run(tmp_path / "0.0123456789abcdef.partial") is None
    assert partial_run(tmp_path / "0.run-1.part") is None


def test_run_ids_must_be_fit_for_file_names(toy, tmp_path):
    for run_id in ("a.b", "../up", "", "a/b"):
        with pytest.raises(ValueError, match="run id"):
            store.prepare(tmp_path / "toy.zarr", toy.plan(), run_id=run_id)
    assert list(tmp_path.iterdir()) == []


# Provenance


def test_provenance_is_added_to(toy, tmp_path):
    place = tmp_path / "toy.zarr"
    store.prepare(place, toy.plan(), run_id="first")
    (record,) = runs.read_runs(place).values()
    assert (record["run"], record["host"], record["pid"]) == ("first", socket.gethostname(), os.getpid())
    assert abs(datetime.fromisoformat(record["started"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert not runs.known_dead(record)

    # Whatever the clock said then.
    assert not runs.known_dead({**record, "started": "2016-01-01T00:00:00+00:00"})

    store.append_provenance(place, "first", {"num_ranks": 3})
    store.append_provenance(place, "first", {"ended": datetime.now(UTC).isoformat()})
    (record,) = runs.read_runs(place).values()
    assert (record["num_ranks"], record["pid"]) == (3, os.getpid())
    assert runs.known_dead(record)


# Constants


class Counting:
    """Values that are computed when asked for, and remember how many at a time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __getitem__(self, region: tuple[slice, slice]) -> np.ndarray:
        found = np.add.outer(100.0 * np.arange(2000)[region[0]], np.arange(30)[region[1]])
        self.sizes.append(found.size)
        return found


def test_constants_are_computed_shard_by_shard(toy, tmp_path):
    place = tmp_path / "toy.zarr"
    values = Counting()
    spec = ArraySpec(
        "x", (2000, 30), "<f8", (64, 30), (32, 30), ("frame", "x"), np.nan, {"units": "", "long_name": "x"}
    )
    plan = dataclasses.replace(toy.plan(), constants=((spec, values),))
    store.check(place, plan)
    assert values.sizes == []
    store.prepare(place, plan, run_id="first")
    assert max(values.sizes) == 64 * 30
    expected = values[:, :]
    np.testing.assert_array_equal(open_for_reading(place).constant("x"), expected)

    # A run mends the bad shards alone, in the cut that the store has.
    before = snapshot(place / "x/c")
    (place / "x/c/3/0").write_bytes(b"")
    other = dataclasses.replace(spec, shard=(2000, 30), chunk=(1, 30))
    store.prepare(place, dataclasses.replace(plan, constants=((other, values),)), run_id="second")
    np.testing.assert_array_equal(open_for_reading(place).constant("x"), expected)
    after = snapshot(place / "x/c")
    assert {name for name in after if after[name] != before[name]} == {"3", "3/0"}
    assert after["3/0"][1] == before["3/0"][1]


# A folder that is there


def test_a_folder_that_is_there_stays_the_same_folder(toy, tmp_path, monkeypatch):
    """It may be where the user's shell stands."""
    place = tmp_path / "here"
    place.mkdir()
    number = place.stat().st_ino
    monkeypatch.chdir(place)
    store.prepare(".", toy.plan(), run_id="first")
    assert Path().resolve() == place
    assert place.stat().st_ino == number
    toy.write(Path(), "first")
    assert verify(".") == []
    assert [file.name for file in tmp_path.iterdir()] == ["here"]
    assert not list(place.glob("*.partial"))
    store.prepare(".", toy.plan(), run_id="second")


def test_a_folder_that_cannot_be_renamed_will_do(toy, tmp_path, monkeypatch):
    """A mount point, or a folder whose parent is read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    rename = Path.rename

    def refuse(self, target):
        if Path(target) == place:
            raise OSError(16, "Device or resource busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    store.prepare(place, toy.plan(), run_id="first")
    assert open_for_reading(place).arrays()


def test_what_died_in_a_folder_is_swept_or_said(toy, tmp_path, monkeypatch):
    place = tmp_path / "toy.zarr"
    half = partial_path(place / "store", "dead-run-store")
    runs.update(half, "dead-run", {"ended": "2026-01-01T00:00:00+00:00"})
    (half / "zarr.json").write_text("{}")
    store.prepare(place, toy.plan(), run_id="first")
    assert open_for_reading(place).arrays()
    assert not half.exists()

    # Between the first file and the last: nothing says whose the rest is.
    monkeypatch.setattr(refusals, "LONGEST_MOVE_S", 0.1)
    half.mkdir()
    (place / "zarr.json").rename(half / "zarr.json")
    refused(place, toy.plan(), tmp_path, "toy.zarr: a run died while it made a store here; empty the folder")


def test_paths_that_are_none_are_refused_in_one_line(toy, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    refused_paths = {"loop": "(?i)symlink loop|symbolic links", "x" * 300: "File name too long", "a\0b": "null"}
    for name, match in refused_paths.items():
        with pytest.raises(RequestError, match=match) as caught:
            store.check(tmp_path / name, toy.plan())
        assert "\n" not in str(caught.value)
