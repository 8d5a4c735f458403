from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis import png


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 300), (200, 3), (131, 77)])
def test_pillow_reads_what_was_written(tmp_path: Path, rows: int, columns: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (rows, columns, 3), np.uint8)
    strips = np.array_split(pixels, min(rows, 4))
    png.write(tmp_path / "a.png", columns, rows, strips, {"job": "{}", "Title": "Pointcaré – map"})
    with Image.open(tmp_path / "a.png") as read:
        assert read.size == (columns, rows)
        assert read.mode == "RGB"
        assert np.array_equal(np.asarray(read), pixels)
        assert dict(read.text) == {"job": "{}", "Title": "Pointcaré – map"}  # type: ignore[attr-defined]


def test_the_stream_is_sound_and_the_same_from_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(1).integers(0, 9, (500, 40, 3), np.uint8)
    written = []
    for cores in (1, 7):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        png.write(tmp_path / "a.png", 40, 500, [pixels[:300], pixels[300:]], {})
        written.append((tmp_path / "a.png").read_bytes())
    assert written[0] == written[1]

    # Read the chunks with their checksums, and the stream with its own
    rest, stream = written[0][8:], b""
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        body, checksum, rest = rest[4 : 8 + length], rest[8 + length : 12 + length], rest[12 + length :]
        assert struct.pack(">I", zlib.crc32(body)) == checksum
        stream += body[4:] if body[:4] == b"IDAT" else b""
    lines = np.frombuffer(zlib.decompress(stream), np.uint8).reshape(500, 121)
    assert not lines[:, 0].any()
    assert np.array_equal(lines[:, 1:].reshape(500, 40, 3), pixels)


@pytest.mark.parametrize("shape", [(4, 5, 3), (5, 4, 3), (5, 6, 3)])
def test_strips_that_do_not_fit_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="in a picture"):
        png.write(tmp_path / "a.png", 5, 5, [np.zeros(shape, np.uint8)], {})
