"""verify names exactly the bad files, takes back exactly their records, and a later run mends them."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from hpc import store
from hpc.reading import open_for_reading
from hpc.verify import verify
from kernels.errors import RequestError


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def shards(place: Path) -> dict[str, bytes]:
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in place.rglob("c/**/*") if file.is_file()}


def mend(toy, place, run):
    store.prepare(place, toy.plan(), run_id=run)
    pending = np.flatnonzero(~store.finished_units(place, "map"))
    toy.write(place, run, skip=open_for_reading(place))
    return pending.tolist()


def test_a_sound_store_has_no_faults_and_gets_no_file(filled):
    before = sorted(filled.rglob("*"))
    assert verify(filled) == []
    assert sorted(filled.rglob("*")) == before


@pytest.mark.parametrize(("harm", "kind"), [(damage, "damaged"), (cut, "damaged"), (Path.unlink, "missing")])
def test_a_bad_shard_is_named_and_only_its_unit_computed_again(toy, filled, harm, kind):
    before = shards(filled)
    harm(filled / "times/c/1/0/2")
    (fault,) = verify(filled)
    assert (fault.file, fault.kind, fault.array, fault.stage, fault.unit) == ("times/c/1/0/2", kind, "times", "map", 11)
    assert "times/c/1/0/2 (unit 11 of stage map)" in str(fault)
    assert "\n" not in str(fault)

    assert mend(toy, filled, "second") == [11]
    assert shards(filled) == before
    assert verify(filled) == []
    assert store.finished_units(filled, "map").all()


def test_damage_after_mending_is_found_again(toy, filled):
    """The mended shard has the checksum of the first one: a revocation must not outlive the run it names."""
    for run in ("second", "third"):
        damage(filled / "outcome/c/0/1/1")
        assert [fault.unit for fault in verify(filled)] == [4]
        assert mend(toy, filled, run) == [4]
    assert verify(filled) == []


def test_each_bad_shard_of_a_unit_is_named(filled):
    damage(filled / "times/c/0/0/0")
    (filled / "final/c/0/0/0/0").unlink()
    damage(filled / "histogram/c/3/0")
    faults = verify(filled)
    assert [(fault.file, fault.kind) for fault in faults] == [
        ("final/c/0/0/0/0", "missing"),
        ("histogram/c/3/0", "damaged"),
        ("times/c/0/0/0", "damaged"),
    ]
    assert np.flatnonzero(~store.finished_units(filled, "map")).tolist() == [0]
    assert np.flatnonzero(~store.finished_units(filled, "histogram")).tolist() == [3]


def test_without_revoking_nothing_changes(filled):
    damage(filled / "times/c/0/0/0")
    before = {file: file.stat().st_mtime_ns for file in filled.rglob("*")}
    assert len(verify(filled, revoke=False)) == 1
    assert {file: file.stat().st_mtime_ns for file in filled.rglob("*")} == before
    assert store.finished_units(filled, "map").all()


def test_files_without_a_record_are_told_apart(filled):
    ledger = filled / "ledger/first-0.jsonl"
    kept = [line for line in ledger.read_text().splitlines() if json.loads(line)["unit"] != 2]
    ledger.write_text("\n".join(kept) + "\n")
    (filled / "times/c/9").mkdir()
    (filled / "times/c/9/stray").write_bytes(b"")
    faults = verify(filled)
    assert {fault.kind for fault in faults} == {"unrecorded"}
    assert [fault.file for fault in faults] == [
        "final/c/0/0/0/2", "histogram/c/2/0", "outcome/c/0/0/2", "times/c/0/0/2", "times/c/9/stray",
    ]  # fmt: skip
    assert not list((filled / "ledger").glob("verify-*"))


def test_the_files_settle_which_of_two_records_is_right(toy, filled):
    """Two runs recorded unit 5 with other bytes; the later record is false, then the earlier one."""
    before = shards(filled)
    writer = store.Writer(filled, toy.plan(), "second", 0)
    other = {name: value + 1 for name, value in toy.values(toy.MAP, 5).items()}
    writer.write(0, 5, other, 1.0)
    writer.close()
    for name, data in before.items():
        (filled / name).write_bytes(data)
    assert verify(filled) == []
    (revocation,) = (json.loads(file.read_text()) for file in (filled / "ledger").glob("verify-*"))
    assert revocation == {"unit": 5, "stage": "map", "revoked": ["second"]}
    assert store.finished_units(filled, "map").all()

    writer = store.Writer(filled, toy.plan(), "third", 0)
    writer.write(0, 5, other, 1.0)
    writer.close()
    assert verify(filled) == []
    damage(filled / "times/c/0/1/2")
    assert [fault.unit for fault in verify(filled)] == [5]
    assert np.flatnonzero(~store.finished_units(filled, "map")).tolist() == [5]


def test_a_unit_mixed_from_two_runs_that_disagree_does_not_stand(toy, filled):
    before = shards(filled)
    writer = store.Writer(filled, toy.plan(), "second", 0)
    writer.write(0, 5, {name: value + 1 for name, value in toy.values(toy.MAP, 5).items()}, 1.0)
    writer.close()
    (filled / "times/c/0/1/2").write_bytes(before["times/c/0/1/2"])
    assert [fault.file for fault in verify(filled)] == ["times/c/0/1/2"]
    assert mend(toy, filled, "third") == [5]
    assert shards(filled) == before


@pytest.mark.parametrize(("harm", "kind"), [(damage, "damaged"), (Path.unlink, "missing")])
def test_constants_are_checked_and_mended(toy, filled, harm, kind):
    before = shards(filled)
    harm(filled / "x/c/0/0")
    (fault,) = verify(filled)
    assert (fault.file, fault.kind, fault.unit) == ("x/c/0/0", kind, None)
    assert mend(toy, filled, "second") == []
    assert shards(filled) == before


def test_lost_metadata_is_named_and_mended(toy, filled):
    before = {file: file.read_bytes() for file in filled.glob("*/zarr.json")}
    for name in ("times", "histogram", "y"):
        shutil.copytree(filled / name, filled.parent / name)
        (filled / name / "zarr.json").unlink()
    assert {(f"{name}/zarr.json", "missing") for name in ("times", "histogram", "y")} == {
        (fault.file, fault.kind) for fault in verify(filled)
    }
    store.prepare(filled, toy.plan(), run_id="second")
    assert {file: file.read_bytes() for file in filled.glob("*/zarr.json")} == before
    assert verify(filled) == []


def test_damaged_metadata_is_one_line(filled):
    (filled / "times/zarr.json").write_text("{")
    with pytest.raises(RequestError, match=r"times/zarr.json: damaged; delete it") as caught:
        verify(filled)
    assert "\n" not in str(caught.value)


def test_a_ledger_that_cannot_be_written_is_said(filled, monkeypatch):
    damage(filled / "times/c/0/0/0")

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("hpc.verify.write_revocations", refuse)
    with pytest.raises(RequestError, match=r"1 bad units, first times/c/0/0/0 .*Read-only file system"):
        verify(filled)


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(RequestError, match="no such store"):
        verify(tmp_path / "none.zarr")
    with pytest.raises(RequestError, match="not a Horseshoe store"):
        verify(tmp_path)


@pytest.mark.parametrize("key", ["format", "kind", "job", "job_hash", "pictures", "kernel_digest"])
@pytest.mark.parametrize("value", [None, 7])
def test_damaged_root_attributes_are_one_line(filled, key, value):
    root = json.loads((filled / "zarr.json").read_text())
    stated = root["attributes"]["horseshoe"]
    if value is None:
        del stated[key]
    else:
        stated[key] = value
    (filled / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(RequestError, match=r"store format|zarr.json: damaged: no horseshoe\.\w+; restore") as caught:
        open_for_reading(filled)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("identity", [1]), ("constants", {}), ("constants", ["x", []])])
def test_damaged_facts_of_the_plan_are_one_line(filled, key, value):
    root = json.loads((filled / "zarr.json").read_text())
    root["attributes"][key] = value
    (filled / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(RequestError, match=f"zarr.json: damaged: no {key}; restore"):
        open_for_reading(filled)


def test_arrays_of_a_stage_that_disagree_are_one_line(filled):
    file = filled / "times" / "zarr.json"
    metadata = json.loads(file.read_text())
    metadata["shape"][0] = 0
    file.write_text(json.dumps(metadata))
    reader = open_for_reading(filled)
    for ask in (lambda: reader.finished("times"), lambda: verify(filled)):
        with pytest.raises(RequestError, match=r"damaged: stage map has 0 in times, \d+ in \w+ units; restore"):
            ask()


def test_a_ledger_that_cannot_be_read_is_not_an_empty_one(filled):
    ledger = filled / "ledger/first-0.jsonl"
    ledger.rename(filled / "kept")
    ledger.mkdir()
    with pytest.raises(RequestError, match=r"ledger/first-0.jsonl: cannot be read \(Is a directory\)"):
        store.finished_units(filled, "map")
    ledger.rmdir()
    ledger.parent.rmdir()
    ledger.parent.write_text("")
    with pytest.raises(RequestError, match=r"ledger: cannot be read \(Not a directory\)"):
        verify(filled)


def test_a_pipe_in_place_of_a_shard_is_not_waited_for(filled):
    """Whatever size the ledger of a stranger says that it has."""
    shard = next(file for file in sorted(filled.rglob("c/**/*")) if file.is_file())
    shard.unlink()
    os.mkfifo(shard)
    (ledger,) = (filled / "ledger").iterdir()
    size = r'"files":{"([a-z]+)":\[\d+,'
    ledger.write_text(re.sub(size, r'"files":{"\1":[0,', ledger.read_text()))
    assert shard.relative_to(filled).as_posix() in {fault.file for fault in verify(filled) if fault.kind == "damaged"}


def test_paths_that_no_disk_takes_are_one_line(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for place, reason in ((tmp_path / "loop", "symbolic links"), (tmp_path / ("x" * 300), "File name too long")):
        with pytest.raises(RequestError, match=reason) as caught:
            open_for_reading(place)
        assert "\n" not in str(caught.value)
