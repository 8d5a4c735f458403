"""Stores of strangers: what they state, hold and lead to harms nobody who looks at them, or goes on with them."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from numcodecs.zstd import Zstd
from PIL import Image

from analysis.images import image
from analysis.video import video
from hpc import store as stores
from hpc.frames import content_bytes
from hpc.reading import open_for_reading
from hpc.verify import verify
from jobs import cli, model
from kernels.errors import RequestError, one_line

from .fuzz import SMALL, small_store

BLOCK_BYTES = 1 << 17
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    before = Path.cwd()
    os.chdir(folder)
    try:
        return small_store()
    finally:
        os.chdir(before)


@pytest.fixture
def place(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a small finished store, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(original, tmp_path / "small.zarr"))


def state(file: Path, change: Callable[[Any], None]) -> None:
    """Change what a metadata file states."""
    tree = json.loads(file.read_text())
    change(tree)
    file.write_text(json.dumps(tree))


def refusal(work: Callable[[], Any]) -> str:
    with pytest.raises(RequestError) as caught:
        work()
    message = str(caught.value)
    assert message == one_line(message, 4000)
    return message


def bomb(num_bytes: int, *, says_size: bool) -> bytes:
    """A zstd frame of a few kilobytes that unpacks to so many zeros: blocks of one byte, repeated (RFC 8878)."""
    sized, unsized = bytes([0xE0]) + struct.pack("<Q", num_bytes), bytes([0x00, 0x38])
    header = b"\x28\xb5\x2f\xfd" + (sized if says_size else unsized)
    num_blocks = num_bytes // BLOCK_BYTES
    blocks = [(BLOCK_BYTES << 3 | 1 << 1 | (number == num_blocks - 1)) for number in range(num_blocks)]
    return header + b"".join(block.to_bytes(3, "little") + b"\0" for block in blocks)


def shard(frame: bytes, num_chunks: int = 1) -> bytes:
    """A shard whose chunks are all this frame."""
    chunk = frame + struct.pack("<I", google_crc32c.value(frame))
    index = struct.pack("<QQ", 0, len(chunk)) * num_chunks
    return chunk + index + struct.pack("<I", google_crc32c.value(index))


def peak_bytes(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_is_one() -> None:
    for says_size in (True, False):
        packed = bomb(64 * MEBIBYTE, says_size=says_size)
        assert len(packed) < 5000
        assert len(Zstd().decode(packed)) == 64 * MEBIBYTE


@pytest.mark.parametrize("says_size", [True, False])
@pytest.mark.parametrize("name", ["times", "x"])
def test_a_bomb_does_not_go_off(place: Path, name: str, says_size: bool) -> None:
    file = next(file for file in (place / name / "c").rglob("*") if file.is_file())
    file.write_bytes(shard(bomb(512 * MEBIBYTE, says_size=says_size)))
    image_of = lambda: refusal(lambda: image(place, Path("out.png")))  # noqa: E731
    assert "damaged" in image_of()
    assert peak_bytes(image_of) < 16 * MEBIBYTE
    assert peak_bytes(lambda: verify(place)) < 16 * MEBIBYTE


def test_sizes_that_frames_state() -> None:
    for num_bytes in (1, 200, 256, 65_791, 65_792, 70_000, 10**6):
        assert content_bytes(Zstd().encode(bytes(num_bytes))[:18]) == num_bytes
    assert content_bytes(bomb(BLOCK_BYTES, says_size=False)[:18]) is None
    assert content_bytes(b"") is None
    assert content_bytes(b"\x28\xb5\x2f\xfd\xe0\0") is None
    assert content_bytes(bytes(18)) is None


def test_chunks_outside_their_file(place: Path) -> None:
    file = next(file for file in (place / "times" / "c").rglob("*") if file.is_file())
    for start, length in ((0, 2**63), (2**63, 2**63), (2**64 - 1, 5)):
        index = struct.pack("<QQ", start, length)
        file.write_bytes(index + struct.pack("<I", google_crc32c.value(index)))
        assert "damaged" in refusal(lambda: image(place, Path("out.png")))


CODECS = ("codecs", 0, "configuration", "codecs")
METADATA: dict[str, tuple[tuple[Any, ...], Any]] = {
    "more units than there are": (("shape",), [10**15, 6, 8]),
    "a shape beyond 64 bits": (("shape",), [10**30, 6, 8]),
    "a negative shape": (("shape",), [-1, 6, 8]),
    "a shard larger than the memory": (("chunk_grid", "configuration", "chunk_shape"), [1, 1 << 24, 1 << 24]),
    "an empty shard": (("chunk_grid", "configuration", "chunk_shape"), [1, 0, 4]),
    "a million chunks in a shard": (("chunk_grid", "configuration", "chunk_shape"), [1, 4096, 4096]),
    "objects": (("data_type",), "object"),
    "texts": (("data_type",), "string"),
    "a type of another project": (("data_type",), {"name": "numpy.datetime64", "configuration": {}}),
    "another codec": ((*CODECS, 1), {"name": "gzip", "configuration": {"level": 1}}),
    "a codec that runs code": ((*CODECS, 1), {"name": "numcodecs.pickle", "configuration": {}}),
    "no checksum": (CODECS, [{"name": "bytes", "configuration": {"endian": "little"}}]),
    "no shards": (("codecs",), [{"name": "bytes", "configuration": {"endian": "little"}}]),
    "other names of files": (("chunk_key_encoding",), {"name": "v2", "configuration": {"separator": "/../"}}),
    "a separator that leads out": (("chunk_key_encoding", "configuration", "separator"), "/../"),
    "something in between": (("storage_transformers",), [{"name": "fetch", "configuration": {"from": "http://x"}}]),
    "an irregular grid": (("chunk_grid", "name"), "rectangular"),
    "another version": (("zarr_format",), 2),
    "a group": (("node_type",), "group"),
    "a key more": (("must_understand",), True),
}


@pytest.mark.parametrize("what", METADATA)
def test_metadata_of_another_form_is_refused(place: Path, what: str) -> None:
    path, value = METADATA[what]

    def change(tree: Any) -> None:
        for key in path[:-1]:
            tree = tree[key]
        tree[path[-1]] = value

    state(place / "times" / "zarr.json", change)
    told = refusal(lambda: open_for_reading(place))
    assert told.startswith(f"{place}/times/zarr.json: ")
    assert peak_bytes(lambda: refusal(lambda: open_for_reading(place))) < MEBIBYTE


def test_no_name_in_metadata_leads_out_of_the_store(place: Path, tmp_path: Path) -> None:
    shutil.move(place / "times", tmp_path / "outside")
    inner = {"../outside": json.loads((tmp_path / "outside" / "zarr.json").read_text())}
    consolidated = {"kind": "inline", "must_understand": False, "metadata": inner}
    state(place / "zarr.json", lambda tree: tree.update(consolidated_metadata=consolidated))
    assert "cannot be read" in refusal(lambda: open_for_reading(place))
    state(place / "zarr.json", lambda tree: tree.pop("consolidated_metadata"))
    with_names = open_for_reading(place)
    for name in ("../outside", str(tmp_path / "outside")):
        assert "no array" in refusal(lambda name=name: with_names.array(name))  # type: ignore[misc]


PLACES = [
    "zarr.json",
    "times/zarr.json",
    "times/c/0/0/0",
    "x/c/0/0",
    "ledger/test-0.jsonl",
    "leases/test.beat",
    "runs/test.json",
    "status.json",
]


@pytest.mark.parametrize("target", ["pipe", "/dev/zero"])
@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_file_is_not_waited_for(
    place: Path, name: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe never says a word, and a device never stops."""
    (place / name).unlink(missing_ok=True)
    (place / name).parent.mkdir(exist_ok=True)
    if target == "pipe":
        os.mkfifo(place / name)
    else:
        (place / name).symlink_to(target)
    codes = [cli.dispatch([*verb, str(place)]) for verb in (["image"], ["status"], ["verify"], ["measure", "summary"])]
    assert set(codes) <= {0, 2, 75}
    without_harm = ("leases/test.beat", "runs/test.json", "status.json", "times/zarr.json")
    assert ("not a regular file" in capsys.readouterr().err) == (name not in without_harm)


@pytest.mark.parametrize("name", ["times", "times/c", "times/c/0", "ledger", "leases", "runs", "logs"])
def test_nothing_is_written_through_a_link(place: Path, tmp_path: Path, name: str) -> None:
    """Whoever goes on with a store of a stranger writes into that store alone."""
    inside, outside = place / name, tmp_path / "outside"
    if inside.exists():
        shutil.move(inside, outside)
    else:
        outside.mkdir()
    inside.symlink_to(outside)
    before = sorted((path, path.stat().st_mtime_ns) for path in outside.rglob("*"))

    plan = model.plan(model.load("three-body", SMALL))

    def go_on() -> None:
        stores.prepare(place, plan, run_id="second")
        writer = stores.Writer(place, plan, "second", 0)
        spec = {one.name: one for one in plan.stages[0].arrays}
        parts = {key: stores.unit_region(one, 0) for key, one in spec.items()}
        shapes = {key: tuple(part.stop - part.start for part in parts[key]) for key in spec}
        writer.write(0, 0, {key: np.zeros(shapes[key], one.dtype) for key, one in spec.items()}, 1.0)

    with pytest.raises((RequestError, OSError), match="link"):
        go_on()
    assert sorted((path, path.stat().st_mtime_ns) for path in outside.rglob("*")) == before


HOSTILE = "a\x1b]0;owned\x07\x1b[2J\u202e\0\ud800\r\nb"


def test_what_a_store_says_commands_no_terminal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(tree: Any) -> None:
        told = tree["attributes"]["horseshoe"]
        told["job"] |= {"name": HOSTILE, "title": HOSTILE}
        told |= {"kind": HOSTILE, "job_hash": HOSTILE}

    state(place / "zarr.json", change)
    (place / "status.json").write_text(
        json.dumps({"run": HOSTILE, "state": HOSTILE, "updated": HOSTILE, "ranks": 1, "eta_s": 1e300})
    )
    records = (place / "ledger" / "test-0.jsonl").read_text().splitlines()
    record = json.loads(records[0])
    record["files"][HOSTILE] = [1, HOSTILE]
    (place / "ledger" / "test-0.jsonl").write_text("\n".join([json.dumps(record), *records[1:], ""]))
    for words in (["status"], ["verify"], ["image"], ["measure", "nothing"], ["image", "--value", "q"]):
        cli.dispatch([*words, str(place)])
    captured = capsys.readouterr()
    printed = (captured.out + captured.err).replace("\n", "")
    assert "owned" in printed
    assert printed.isprintable()


def test_texts_inside_pictures_and_videos_are_clean(place: Path) -> None:
    av = pytest.importorskip("av")
    state(place / "zarr.json", lambda tree: tree["attributes"]["horseshoe"]["job"].update(title=HOSTILE))
    image(place, Path("plain.png"))
    image(place, Path("axes.png"), picture={"axes": True})
    for name in ("plain.png", "axes.png"):
        with Image.open(io.BytesIO(Path(name).read_bytes())) as picture:
            assert picture.text["Title"] == one_line(HOSTILE)
            assert all(text.isprintable() for text in picture.text.values())
    video(place, Path("out.mkv"))
    with av.open("out.mkv") as container:
        titles = [value for key, value in container.metadata.items() if key.lower() == "title"]
    assert titles == [one_line(HOSTILE)]
