"""Writing units: whole shards, every file there, nothing read, nothing half-registered."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import numpy as np
import pytest
import zarr
import zarr.storage
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import LocalStore

from hpc import durable, store
from hpc.ledger import read_records
from hpc.plan import ArraySpec
from hpc.reading import open_for_reading


def tree(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def shards(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(folder).items() if "/c/" in name}


def assert_complete(toy, place):
    reader = open_for_reading(place)
    for stage in (toy.MAP, toy.HISTOGRAM):
        assert reader.finished(stage.name).all()
        for spec in stage.arrays:
            expected = np.full(spec.shape, spec.fill_value).astype(spec.dtype)
            for unit in range(stage.num_units):
                region = store.unit_region(spec, unit)
                expected[region] = toy.values(stage, unit)[spec.name].reshape(expected[region].shape)
            np.testing.assert_array_equal(reader.read(spec.name), expected)


def test_what_is_written_is_read(toy, filled):
    assert_complete(toy, filled)
    reader = open_for_reading(filled)
    assert reader.arrays() == ("final", "histogram", "outcome", "times")
    assert reader.constants() == ("steps", "x", "y")
    assert reader.stages() == ("histogram", "map")
    np.testing.assert_array_equal(reader.constant("steps"), [7, 9])
    assert reader.attributes["kernel_digest"] == "digest-1"
    assert reader.identity["frames"] == {"count": 2}
    assert reader.array("times").metadata.dimension_names == ("frame", "y", "x")
    assert reader.array("times").attrs["never"] == 7
    assert reader.array("times").read_only


def test_finished_has_the_shape_of_the_grid(toy, tmp_path):
    place = tmp_path / "toy.zarr"
    store.prepare(place, toy.plan(), run_id="first")
    writer = store.Writer(place, toy.plan(), "first", 0)
    unit = 13
    writer.write(0, unit, toy.values(toy.MAP, unit), 1.0)

    reader = open_for_reading(place)
    assert reader.finished("times").shape == (2, 3, 3)
    assert reader.finished("final").shape == (2, 1, 3, 3)
    assert reader.finished("x").all()
    assert np.argwhere(reader.finished("final")).tolist() == [[1, 0, 1, 1]]
    assert np.flatnonzero(reader.finished("map")).tolist() == [unit]
    assert np.flatnonzero(store.finished_units(place, toy.MAP)).tolist() == [unit]
    assert not store.finished_units(place, "histogram").any()
    assert reader.shard_file("final", unit) == place / "final/c/1/0/1/1"
    assert reader.shard_file("final", unit).exists()


def test_only_the_ledger_says_what_is_finished(toy, filled):
    reader = open_for_reading(filled)
    for file in (filled / "ledger").iterdir():
        file.unlink()
    assert not reader.finished("times").any()
    with pytest.raises(RuntimeError, match="18 units of stage 'map' are not finished"):
        reader.read("times")
    reader.trust("map")
    assert reader.read("times").shape == toy.SIZE


def test_every_finished_unit_has_a_file_in_every_array(toy, tmp_path):
    place = tmp_path / "toy.zarr"
    store.prepare(place, toy.plan(), run_id="first")
    writer = store.Writer(place, toy.plan(), "first", 0)
    for unit in range(toy.MAP.num_units):
        arrays = {
            spec.name: np.full_like(toy.values(toy.MAP, unit)[spec.name], spec.fill_value) for spec in toy.MAP.arrays
        }
        writer.write(0, unit, arrays, 1.0)
    writer.close()

    reader = open_for_reading(place)
    for spec in toy.MAP.arrays:
        assert all(reader.shard_file(spec.name, unit).is_file() for unit in range(toy.MAP.num_units))
    assert np.isnan(reader.read("final")).all()
    assert (reader.read("times") == -1).all()


@pytest.mark.parametrize("durably", [True, False])
def test_no_shard_is_read_in_order_to_be_written(toy, filled, monkeypatch, durably):
    """Edge shards and shards that exist included. Zarr's plain store, the control, does read them."""
    read = []
    get = zarr.storage._local._get
    monkeypatch.setattr(zarr.storage._local, "_get", lambda path, *rest: (read.append(path), get(path, *rest))[1])
    writer = store.Writer(filled, toy.plan(), "second", 0)
    if not durably:
        plain = LocalStore(filled)
        for name in writer._arrays:
            writer._arrays[name] = zarr.open_array(plain, path=name, mode="r+")
    before = shards(filled)
    for unit in range(toy.MAP.num_units):
        for spec in toy.MAP.arrays:
            value = toy.values(toy.MAP, unit)[spec.name]
            region = store.unit_region(spec, unit)
            writer._arrays[spec.name][region] = value.reshape([part.stop - part.start for part in region])
    chunks = [path for path in read if "c" in path.relative_to(filled).parts]
    assert len(chunks) == (0 if durably else 3 * toy.MAP.num_units)
    assert shards(filled) == before


def test_nothing_of_an_older_shard_survives(toy, filled):
    """The part of an edge shard beyond the array included: its bytes depend on the unit alone."""
    before = shards(filled)
    writer = store.Writer(filled, toy.plan(), "second", 0)
    for unit in range(toy.MAP.num_units):
        writer.write(0, unit, {name: value + 1 for name, value in toy.values(toy.MAP, unit).items()}, 1.0)
    changed = shards(filled)
    assert all(changed[name] != before[name] for name in before if not name.startswith(("x", "y", "steps", "hist")))
    for unit in range(toy.MAP.num_units):
        writer.write(0, unit, toy.values(toy.MAP, unit), 1.0)
    writer.close()
    assert shards(filled) == before


def test_ledger_has_size_and_checksum_of_each_file(toy, filled):
    import hashlib

    records = read_records(filled)
    assert len(records) == toy.MAP.num_units + toy.HISTOGRAM.num_units
    reader = open_for_reading(filled)
    for record in records:
        assert (record.run, record.seconds) == ("first", 0.25)
        for name, (size, digest) in record.files.items():
            data = reader.shard_file(name, record.unit).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest)


def test_units_that_do_not_fit_the_plan_are_refused(toy, tmp_path):
    place = tmp_path / "toy.zarr"
    store.prepare(place, toy.plan(), run_id="first")
    writer = store.Writer(place, toy.plan(), "first", 0)
    good = toy.values(toy.MAP, 0)
    with pytest.raises(ValueError, match="times: unit 0 has dtype int64"):
        writer.write(0, 0, {**good, "times": good["times"].astype("i8")}, 1.0)
    with pytest.raises(ValueError, match="final: unit 0 has shape"):
        writer.write(0, 0, {**good, "final": good["final"][:, :-1]}, 1.0)
    with pytest.raises(ValueError, match="times: unit 0 has shape"):
        writer.write(0, 0, {**good, "times": good["times"].T[:4].reshape(4, 8)}, 1.0)
    assert not shards(place / "times")
    assert not open_for_reading(place).finished("map").any()


def test_disk_full_leaves_nothing_half_registered(toy, tmp_path, monkeypatch):
    """Fail at each synchronisation of the disk in turn: shards, their folders, the ledger and its folder."""
    place = tmp_path / "toy.zarr"
    store.prepare(place, toy.plan(), run_id="first")
    fsync = os.fsync
    failures = 0
    while True:
        calls = 0

        def full(descriptor: int, failures: int = failures) -> None:
            nonlocal calls
            calls += 1
            if calls == failures + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(descriptor)

        writer = store.Writer(place, toy.plan(), f"run-{failures}", 0)
        monkeypatch.setattr(durable.os, "fsync", full)
        refused = None
        try:
            writer.write(0, 0, toy.values(toy.MAP, 0), 1.0)
        except OSError as error:
            refused = error.errno
        finally:
            monkeypatch.setattr(durable.os, "fsync", fsync)
        if refused is None:
            break
        assert refused == errno.ENOSPC
        assert not open_for_reading(place).finished("map").any()
        assert not list(place.rglob("*.partial"))

        # The same writer can go on when there is room again; take its record back for the next round.
        writer.write(0, 0, toy.values(toy.MAP, 0), 1.0)
        assert store.finished_units(place, "map").sum() == 1
        writer.close()
        (place / "ledger" / f"run-{failures}-0.jsonl").unlink()
        failures += 1
    assert failures >= 8
    assert store.finished_units(place, "map").sum() == 1


def test_closing_twice_is_harmless(toy, tmp_path):
    place = tmp_path / "toy.zarr"
    store.prepare(place, toy.plan(), run_id="first")
    writer = store.Writer(place, toy.plan(), "first", 0)
    writer.close()
    assert not list((place / "ledger").iterdir())
    writer.write(0, 0, toy.values(toy.MAP, 0), 1.0)
    writer.close()
    writer.close()


cuts = st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=20, deadline=None)
@given(st.lists(cuts, min_size=1, max_size=3))
def test_any_cut_of_an_array_is_covered_once(toy, tmp_path_factory, cuts):
    """Sizes that shards do not divide, shards larger than the array, one to three dimensions."""
    shape = tuple(size for size, _, _ in cuts)
    chunk = tuple(chunk for _, chunk, _ in cuts)
    shard = tuple(chunk * number for _, chunk, number in cuts)
    spec = ArraySpec("count", shape, "<i4", shard, chunk, tuple("abc"[: len(cuts)]), -1, {})
    plan = dataclasses.replace(toy.plan(), stages=(toy.ToyStage("only", (spec,)),), constants=())
    expected = np.arange(np.prod(shape), dtype="<i4").reshape(shape)
    place = tmp_path_factory.mktemp("cut") / "toy.zarr"
    store.prepare(place, plan, run_id="first")
    writer = store.Writer(place, plan, "first", 0)
    for unit in range(plan.stages[0].num_units):
        writer.write(0, unit, {"count": expected[store.unit_region(spec, unit)]}, 1.0)
    writer.close()
    np.testing.assert_array_equal(open_for_reading(place).read("count"), expected)
    assert len(shards(place)) == plan.stages[0].num_units
