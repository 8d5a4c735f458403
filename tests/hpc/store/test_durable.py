"""The order of steps that makes a file whole or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hpc import durable
from hpc.durable import make_folder, write_durably, write_json_durably


@pytest.fixture
def steps(monkeypatch):
    """What is synchronised (by path at that time) and renamed, in order."""
    seen = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor):
        seen.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def note_replace(path, target):
        seen.append(("rename", path, target))
        return replace(path, target)

    monkeypatch.setattr(durable.os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    return seen


def test_order_of_a_write(tmp_path, steps):
    file = tmp_path / "shard"
    write_durably(file, b"values", "run-3")
    partial = tmp_path / "shard.run-3.partial"
    assert steps == [("fsync", partial), ("rename", partial, file), ("fsync", tmp_path)]
    assert file.read_bytes() == b"values"
    assert list(tmp_path.iterdir()) == [file]


def test_new_folders_are_made_durable_from_the_top(tmp_path, steps):
    make_folder(tmp_path / "a/b")
    assert steps == [("fsync", tmp_path), ("fsync", tmp_path / "a")]
    make_folder(tmp_path / "a/b")
    assert len(steps) == 2


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, function):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    file = tmp_path / "shard"
    file.write_bytes(b"old")
    monkeypatch.setattr(durable.os if function == "fsync" else Path, function, fail)
    with pytest.raises(OSError, match="Input/output error"):
        write_durably(file, b"new", "run-3")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("code", "fatal"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_only_a_file_system_without_folder_sync_is_forgiven(tmp_path, monkeypatch, code, fatal):
    def fail(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(durable.os, "fsync", fail)
    if fatal:
        with pytest.raises(OSError, match="Input/output error"):
            durable.sync_folder(tmp_path)
    else:
        durable.sync_folder(tmp_path)


def test_json_is_for_people(tmp_path):
    write_json_durably(tmp_path / "record.json", {"a": 1}, "run-0")
    assert (tmp_path / "record.json").read_text() == '{\n  "a": 1\n}\n'
