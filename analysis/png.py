"""A PNG file written strip by strip, so that a picture of any size needs the memory of one strip.

Written here because Pillow needs the whole picture in memory, 1.2 GB for 20,000 x 20,000; the format is a signature,
length-prefixed chunks and one zlib stream. Several threads compress, to the same bytes whatever their number. Never
chooses colours.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS, _TRUE_COLOUR = 8, 2
_FILTER_NONE = 0
_LEVEL = 6
_ZLIB_HEADER = b"\x78\x9c"
_SLAB_ROWS = 64
_MOST_THREADS = 8


def write(path: Path, width: int, height: int, strips: Iterable[NDArray[np.uint8]], text: Mapping[str, str]) -> None:
    """Write `strips`, each uint8 of shape (rows, width, 3), top row first, and `text` as text chunks, to `path`.

    Keywords of `text` are ASCII of at most 79 characters; its values hold no NUL. Raises ValueError when
    the strips do not add up to width x height.
    """
    with path.open("wb") as file:
        file.write(_SIGNATURE)
        file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, _EIGHT_BITS, _TRUE_COLOUR, 0, 0, 0)))
        for keyword, value in text.items():
            file.write(_text_chunk(keyword, value))

        # Compress slabs side by side: each ends on a byte and refers to none before it, so that they can be strung together
        file.write(_chunk(b"IDAT", _ZLIB_HEADER))
        num_rows, checksum = 0, zlib.adler32(b"")
        with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as threads:
            for strip in strips:
                if strip.shape[1:] != (width, 3) or strip.dtype != np.uint8:
                    raise ValueError(f"a strip of {strip.dtype} {strip.shape} in a picture {width} pixels wide")
                num_rows += len(strip)
                slabs = [strip[start : start + _SLAB_ROWS] for start in range(0, len(strip), _SLAB_ROWS)]
                for slab, data in zip(slabs, threads.map(_deflate, slabs), strict=True):
                    checksum = zlib.adler32(_scanlines(slab), checksum)
                    file.write(_chunk(b"IDAT", data))
        if num_rows != height:
            raise ValueError(f"{num_rows} rows in a picture {height} pixels high")
        end = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
        file.write(_chunk(b"IDAT", end + struct.pack(">I", checksum)))
        file.write(_chunk(b"IEND", b""))


def _deflate(rows: NDArray[np.uint8]) -> bytes:
    """Some rows as a piece of a deflate stream, without header, end and checksum."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(_scanlines(rows)) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _scanlines(rows: NDArray[np.uint8]) -> bytes:
    """Each row led by its filter type."""
    num_rows, width, _ = rows.shape
    lines = np.empty((num_rows, 1 + 3 * width), np.uint8)
    lines[:, 0] = _FILTER_NONE
    lines[:, 1:] = rows.reshape(num_rows, 3 * width)
    return lines.tobytes()


def _text_chunk(keyword: str, value: str) -> bytes:
    """The plain kind of text chunk, which every reader knows, where it can hold the value; else the Unicode kind."""
    if value.isascii():
        return _chunk(b"tEXt", f"{keyword}\0{value}".encode("ascii"))
    uncompressed = b"\0\0"
    no_language = b"\0\0"
    return _chunk(b"iTXt", keyword.encode("ascii") + b"\0" + uncompressed + no_language + value.encode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
