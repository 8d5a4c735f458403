"""Arrays, graphs, motions and pairs from files: round trips, and files that are not to be trusted."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.errors import RequestError
from networks.data import arrays, graphs, pairs, sources, trajectories
from networks.data.arrays import Wanted, read_npz, to_npz

WANTED = {"a": Wanted(2, "<f4"), "n": Wanted(1, "<i4")}
GOOD = {"a": np.ones((2, 3), np.float32), "n": np.arange(4, dtype=np.int32)}


def zipped(folder: Path, **members: bytes) -> Path:
    file = folder / "made.npz"
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file


def npy(array: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array), **options)
    return out.getvalue()


def header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def test_arrays_come_back(tmp_path: Path) -> None:
    file = tmp_path / "arrays.npz"
    file.write_bytes(to_npz(GOOD))
    found = read_npz(file, WANTED)
    assert all((found[name] == GOOD[name]).all() and found[name].dtype == GOOD[name].dtype for name in GOOD)
    assert to_npz(GOOD) == file.read_bytes()


def test_files_of_numpy_are_read_too(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "arrays.npz", a=np.asfortranarray(np.arange(6.0).reshape(2, 3)), n=np.arange(4, dtype=">i8"))
        found = read_npz(tmp_path / "arrays.npz", WANTED)
        assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert found["n"].dtype == "<i4"


@pytest.mark.parametrize(
    ("a", "said"),
    [
        (npy(np.array([[{}]], dtype=object), allow_pickle=True), "dimensions of object"),
        (npy(np.ones(3, np.float32)), "1 dimensions"),
        (npy(np.array([[np.nan]])), "no finite"),
        (npy(np.array([[1e300]])), "no finite"),
        (npy(np.array([["text"]])), "dimensions of <U4"),
        (header("(1000000000, 1000000000)"), "not as long"),
        (header(f"({10**30}, 1)"), "not as long"),
        (header("(-1, -1)"), "made.npz"),
        (header("(1, 1)", "|V8"), "dimensions"),
        (header("(2, 3)")[:40], "no header"),
        (b"", "no header"),
        (npy(np.ones((2, 3), np.float32))[:-1], "not as long"),
        (npy(np.ones((2, 3), np.float32)) + b"more", "not as long"),
    ],
)
def test_hostile_arrays_are_refused(a: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        read_npz(zipped(tmp_path, a=a, n=npy(GOOD["n"])), WANTED)
    assert "\n" not in str(caught.value)


def test_integers_have_to_fit(tmp_path: Path) -> None:
    for bad in (np.array([2**40]), np.array([1.0])):
        with pytest.raises(RequestError, match="array n"):
            read_npz(zipped(tmp_path, a=npy(GOOD["a"]), n=npy(bad)), WANTED)


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    file = tmp_path / "no.npz"
    for content in (b"", b"PK\x03\x04" + b"x" * 50, to_npz(GOOD)[:-30]):
        file.write_bytes(content)
        with pytest.raises(RequestError, match=r"no \.npz file"):
            read_npz(file, WANTED)
    with pytest.raises(RequestError, match="lacks the arrays a, n"):
        read_npz(zipped(tmp_path), WANTED)
    damaged = bytearray(to_npz(GOOD))
    damaged[150] ^= 255
    file.write_bytes(damaged)
    with pytest.raises(RequestError):
        read_npz(file, WANTED)


def test_a_small_file_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "LARGEST_BYTES", 1 << 20)
    file = tmp_path / "bomb.npz"
    np.savez_compressed(file, a=np.zeros((1 << 10, 1 << 10), np.float32), n=np.arange(4))
    assert file.stat().st_size < 20_000
    with pytest.raises(RequestError, match="bytes"):
        read_npz(file, WANTED)


GRAPH = {
    "features": np.ones((5, 2), np.float32),
    "labels": np.array([0, 1, 0, 1, 2], np.int32),
    "edges": np.array([[0, 1], [1, 2], [3, 4]], np.int32),
    "node_offsets": np.array([0, 3, 5]),
    "edge_offsets": np.array([0, 2, 3]),
    "split": np.array([0, 0, 0, 1, 2], np.uint8),
}


def test_own_graphs_are_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    np.savez(file, **GRAPH)
    found = graphs.load(file)
    assert len(found) == 2
    assert found.num_classes == 3
    assert found.graph(1).edges.tolist() == [[0, 1]]
    assert found.graph(0).labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.zeros(4, np.int32)},
        {"labels": np.array([0, 0, 0, 0, -1])},
        {"split": np.full(5, 3)},
        {"split": np.zeros(5, np.uint8)},
        {"split": np.ones(5, np.uint8)},
        {"edges": np.array([[0, 3], [1, 2], [3, 4]])},
        {"edges": np.array([[0, -1], [1, 2], [3, 4]])},
        {"edges": np.zeros((3, 3), np.int32)},
        {"node_offsets": np.array([0, 6, 5])},
        {"node_offsets": np.array([0, 3, 4])},
        {"node_offsets": np.array([0])},
        {"edge_offsets": np.array([0, 3])},
    ],
)
def test_impossible_graphs_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **{**GRAPH, **change})
    with pytest.raises(RequestError, match=r"bad\.npz"):
        graphs.load(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("generator", "load", "change"),
    [
        ("springs", trajectories.load_trajectories, {"velocities": np.zeros((1, 2, 3))}),
        ("springs", trajectories.load_trajectories, {"edges": np.array([[0, 99]])}),
        ("springs", trajectories.load_trajectories, {"time_step": np.array(0.0)}),
        ("springs", trajectories.load_trajectories, {"split": np.zeros(3, np.uint8)}),
        ("springs", trajectories.load_trajectories, {"split": np.zeros(4, np.uint8)}),
        ("diffusion", trajectories.load_diffusion, {"coefficient": np.zeros((4, 64))}),
        ("diffusion", trajectories.load_diffusion, {"points": np.zeros(7)}),
        ("diffusion", trajectories.load_diffusion, {"split": np.full(4, 9)}),
        ("diffusion", trajectories.load_diffusion, {"split": np.zeros(4, np.uint8)}),
        ("diffusion", trajectories.load_diffusion, {"split": np.ones(4, np.uint8)}),
    ],
)
def test_impossible_motions_are_refused(generator: str, load: Any, change: dict[str, Any], tmp_path: Path) -> None:
    folder = sources.generated(generator, 4)
    (made,) = folder.glob("*.npz")
    with np.load(made) as archive:
        own = dict(archive)
    np.savez(tmp_path / "own.npz", **own)
    assert (load(tmp_path / "own.npz").split == load(folder).split).all()
    np.savez(tmp_path / "own.npz", **{**own, **change})
    with pytest.raises(RequestError, match=r"own\.npz"):
        load(tmp_path / "own.npz")


def test_own_pairs_are_read(tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text("".join(f"x{number}\ty{number}\n" for number in range(30)))
    found = pairs.load(file).splits
    assert [*found["train"], *found["valid"]] == [(f"x{number}", f"y{number}") for number in range(30)]
    assert len(found["valid"]) in (2, 3)


@pytest.mark.parametrize("line", ["no tab", "a\tb\tc", "\tb", "a\t", ""])
def test_a_line_that_is_no_pair_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs-train.tsv"
    file.write_text(f"a\tb\n{line}\nc\td\n")
    (tmp_path / "pairs-valid.tsv").write_text("a\tb\n")
    with pytest.raises(RequestError, match="line 2 is not"):
        pairs.load(file)
