"""What a finished shard's file holds is read; where it is missing or damaged, that is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpc import shards
from hpc.reading import open_for_reading
from kernels.errors import RequestError

SELECTIONS = [(), (1,), (0, slice(7, 9)), (slice(0, 2), slice(16, 20), slice(0, 19)), (1, slice(3, 3)), (1, 19, 18)]


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_part_is_read_as_zarr_reads_it(filled, selection):
    array = open_for_reading(filled).array("times")
    found = shards.read(array, selection)
    np.testing.assert_array_equal(found, array[selection or ...])


def test_grid_regions_and_files_cover_the_array(filled):
    reader = open_for_reading(filled)
    for name in reader.arrays():
        array = reader.array(name)
        seen = np.zeros(array.shape, int)
        for position in np.ndindex(shards.grid(array)):
            seen[shards.region(array, position)] += 1
            assert shards.shard_file(array, position).is_file()
        assert (seen == 1).all()


def test_a_missing_shard_is_no_value(filled):
    reader = open_for_reading(filled)
    file = filled / "times/c/1/0/2"
    file.unlink()
    for selection in ((), (1,), (1, slice(7, 9)), (1, 0, 16)):
        with pytest.raises(RequestError, match=r"times/c/1/0/2: missing; run `horseshoe verify`"):
            shards.read(reader.array("times"), selection)
    with pytest.raises(RequestError, match=r"times/c/1/0/2: missing"):
        reader.read("times")
    assert shards.read(reader.array("times"), (0,)).shape == (20, 19)
    assert shards.read(reader.array("times"), (1, slice(8, 20))).shape == (12, 19)

    # What is not finished may be missing.
    finished = np.ones((3, 3), bool)
    finished[0, 2] = False
    assert (shards.read(reader.array("times"), (1,), finished=finished)[:8, 16:] == -1).all()
    with pytest.raises(RequestError, match="missing"):
        shards.read(reader.array("times"), (1,), finished=~finished)


@pytest.mark.parametrize("name", ["times/c/1/0/2", "final/c/0/0/1/1"])
def test_any_damage_is_one_line(filled, name):
    reader = open_for_reading(filled)
    file = filled / name
    data = file.read_bytes()
    harmed = [data[:size] for size in range(0, len(data), 7)]
    harmed += [data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :] for at in range(0, len(data), 5)]
    for bad in harmed:
        file.write_bytes(bad)
        with pytest.raises(RequestError, match=rf"{name}: damaged; run `horseshoe verify`") as caught:
            reader.read(Path(name).parts[0])
        assert "\n" not in str(caught.value)


def test_a_lost_constant_is_no_value(filled):
    (filled / "x/c/0/0").unlink()
    with pytest.raises(RequestError, match=r"x/c/0/0: missing"):
        open_for_reading(filled).constant("x")
