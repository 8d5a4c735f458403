"""What a shard's file says of itself: where its chunks lie, and how large each becomes once it is unpacked.

Owns the check that no chunk unpacks to more than its place in the array, which the codec does not make: a few kilobytes of a
stranger could fill the memory. Unpacks nothing.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from hpc.given import open_regular
from kernels.errors import RequestError

ADVICE = "; run `horseshoe verify`, then the job again"
ABSENT = 2**64 - 1
CHECKSUM_BYTES = 4

# RFC 8878: a frame begins with its magic number and a descriptor; the descriptor says how the content size is written.
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DESCRIPTOR = 4
SINGLE_SEGMENT = 0x20
DICTIONARY_BYTES = (0, 1, 2, 4)
SIZE_BYTES = (0, 2, 4, 8)
LONGEST_HEADER = 18


def check_contents(array: zarr.Array[Any], file: Path, *, must_be_there: bool) -> None:
    """Refuse a shard's file that Zarr would take for fill values, and one whose chunks unpack to more than they should.

    Raises RequestError naming the file. A file that is not there is one only where it must be.
    """
    try:
        with open_regular(file) as stream:
            size = os.fstat(stream.fileno()).st_size
            is_sound = size > 0 and _is_sound(array, stream.fileno(), size)
    except (FileNotFoundError, NotADirectoryError):
        if must_be_there:
            raise RequestError(f"{file}: missing{ADVICE}") from None
        return
    except OSError as error:
        raise RequestError(f"{file}: {error.strerror}") from None
    if not is_sound:
        raise RequestError(f"{file}: damaged{ADVICE}")


def _is_sound(array: zarr.Array[Any], descriptor: int, size: int) -> bool:
    """Whether every chunk lies within the file and unpacks to the bytes of a chunk."""
    num_chunks = math.prod(side // part for side, part in zip(array.shards or (), array.chunks, strict=True))
    index_bytes = 16 * num_chunks + CHECKSUM_BYTES
    if size < index_bytes:
        return False
    index = np.frombuffer(os.pread(descriptor, 16 * num_chunks, size - index_bytes), dtype="<u8").reshape(-1, 2)
    chunk_bytes = math.prod(array.chunks) * array.dtype.itemsize
    for start, length in index.tolist():
        if start == length == ABSENT:
            continue
        if start + length > size - index_bytes:
            return False
        if content_bytes(os.pread(descriptor, min(length, LONGEST_HEADER), start)) != chunk_bytes:
            return False
    return True


def content_bytes(header: bytes) -> int | None:
    """What the first bytes of a zstd frame say of its size unpacked; None where they do not say, or are none."""
    if len(header) <= DESCRIPTOR or not header.startswith(ZSTD_MAGIC):
        return None
    descriptor = header[DESCRIPTOR]
    is_single = bool(descriptor & SINGLE_SEGMENT)
    width = SIZE_BYTES[descriptor >> 6] or int(is_single)
    start = DESCRIPTOR + 1 + (not is_single) + DICTIONARY_BYTES[descriptor & 3]
    if width == 0 or len(header) < start + width:
        return None
    return int.from_bytes(header[start : start + width], "little") + 256 * (width == 2)
