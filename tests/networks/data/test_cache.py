"""The cache of generated data: private, whole, repaired, and safe when several processes fill it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernels.errors import RequestError
from networks.data import cache, sources

MAKE = "from networks.data import sources; print(sources.generated('stories', 3000, 5))"


def test_an_entry_is_private_and_described(data_folder: Path) -> None:
    folder = sources.generated("stories", 10, 3)
    assert folder.parent == data_folder
    assert folder.name.startswith("stories-10-3-")
    for path in (data_folder, folder):
        assert path.stat().st_mode & 0o777 == 0o700
    manifest = cache.read_manifest(folder)
    assert manifest["generator"] == "stories"
    assert manifest["licence"] == sources.GENERATED_LICENCE
    assert {name: stated["bytes"] for name, stated in manifest["files"].items()} == {
        path.name: path.stat().st_size for path in folder.iterdir() if path.name != cache.MANIFEST_NAME
    }


@pytest.mark.parametrize("fault", ["changed", "shortened", "removed", "manifest", "no-manifest", "a-file"])
def test_a_damaged_entry_is_made_again(fault: str) -> None:
    folder = sources.generated("stories", 10)
    file = folder / "stories-train.txt"
    good = file.read_bytes()
    if fault == "changed":
        file.write_bytes(b"x" + good[1:])
    elif fault == "shortened":
        file.write_bytes(good[:-1])
    elif fault == "removed":
        file.unlink()
    elif fault == "manifest":
        (folder / cache.MANIFEST_NAME).write_text("{" * 5000)
    elif fault == "no-manifest":
        (folder / cache.MANIFEST_NAME).unlink()
    else:
        folder.rename(folder.with_name("away"))
        folder.write_text("no folder")
    assert sources.generated("stories", 10) == folder
    assert file.read_bytes() == good
    assert not list(folder.parent.glob(".*.partial"))


def test_a_whole_entry_is_left_alone() -> None:
    file = sources.generated("stories", 10) / "stories-train.txt"
    before = file.stat()
    sources.generated("stories", 10)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_processes_agree_on_one_entry(data_folder: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", MAKE], stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(4)
    ]
    said = {process.communicate(timeout=120)[0].strip() for process in started}
    assert [process.returncode for process in started] == [0] * 4
    (place,) = said
    assert cache.is_whole(Path(place), sources.describe_generated("stories", 3000, 5))
    assert [path.name for path in data_folder.iterdir() if path.suffix != ".lock"] == [Path(place).name]


def test_who_loses_the_race_keeps_what_is_there(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without locks another process may put the entry there while ours is written."""
    description = {"generator": "test"}

    def make() -> dict[str, bytes]:
        with monkeypatch.context() as inner:
            inner.setattr(cache.fcntl, "flock", lambda *_: None)
            cache.entry("race", description, lambda: {"a.txt": b"a"})
        return {"a.txt": b"a"}

    folder = cache.entry("race", description, make)
    assert (folder / "a.txt").read_bytes() == b"a"
    assert sorted(path.name for path in data_folder.iterdir()) == [".race.lock", "race"]


def test_a_failed_maker_leaves_nothing(data_folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.entry("broken", {}, lambda: {"a": b"a" * (1 // 0)})
    assert [path.name for path in data_folder.iterdir()] == [".broken.lock"]


def test_what_others_may_write_is_refused(data_folder: Path) -> None:
    folder = sources.generated("stories", 10)
    folder.chmod(0o770)
    with pytest.raises(RequestError, match="can be written by others"):
        sources.generated("stories", 10)
    folder.chmod(0o700)
    data_folder.chmod(0o777)
    with pytest.raises(RequestError, match="HORSESHOE_DATA"):
        sources.generated("stories", 10)


def test_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HORSESHOE_DATA", str(tmp_path / "link"))
    with pytest.raises(RequestError, match="symbolic link"):
        sources.generated("stories", 10)


def test_an_impossible_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HORSESHOE_DATA", str(tmp_path / "file" / "inside"))
    with pytest.raises(RequestError, match="HORSESHOE_DATA"):
        sources.generated("stories", 10)


def test_the_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HORSESHOE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.data_folder() == tmp_path / "xdg" / "horseshoe" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.data_folder() == tmp_path / "home" / ".cache" / "horseshoe" / "data"


@pytest.mark.parametrize(
    ("path", "generator", "count", "said"),
    [
        ("text.txt", "stories", 10, "exactly one"),
        (None, None, None, "exactly one"),
        (None, "stories", None, "data.count is missing"),
        ("a\0b", None, None, "data.path"),
        ("  ", None, None, "data.path"),
    ],
)
def test_a_source_is_one_thing(path: str | None, generator: str | None, count: int | None, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        sources.locate(path, generator, count)


def test_a_users_manifest_has_sums_and_licence(tmp_path: Path) -> None:
    file = tmp_path / "a b\nc.txt"
    file.write_bytes(b"abc")
    described = sources.describe_files([file], "CC BY 4.0")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert described == {"files": {file.name: {"bytes": 3, "sha256": sha256}}, "licence": "CC BY 4.0"}
    assert sources.describe_files([file])["licence"] == sources.UNKNOWN_LICENCE
