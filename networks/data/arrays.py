"""Arrays in `.npz` files: written as the same bytes everywhere, read without trust.

Owns the container: bounded sizes, no pickled objects, types and dimensions as asked for. What arrays mean is known by those
who ask.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from networks.data.files import reason, regular_file

LARGEST_BYTES = 4 << 30
MOST_ARRAYS = 64

TRAIN, VALID, TEST = 0, 1, 2
"""What an array named `split` says of each sample."""

HELD_BACK = 10


@dataclass(frozen=True)
class Wanted:
    """An array that a file must have: its number of dimensions and the type that it is read as."""

    dimensions: int
    dtype: str


def split_by_number(count: int) -> NDArray[np.uint8]:
    """The split of numbered samples: the last tenth, at least one, is for validation."""
    split = np.full(count, TRAIN, dtype=np.uint8)
    split[count - max(1, count // HELD_BACK) :] = VALID
    return split


def check_split(file: Path, split: NDArray[np.uint8], count: int, what: str) -> None:
    """Raise RequestError unless `split` has a number for each of `count` things, and some to train on and to validate."""
    if split.shape != (count,) or not count or split.max() > TEST:
        raise RequestError(f"data file {file}: split has not one of 0, 1, 2 for each of {count} {what}")
    for number, purpose in ((TRAIN, "to train on"), (VALID, "for validation")):
        if not (split == number).any():
            raise RequestError(f"data file {file}: split has no {number}, so that there are no {what} {purpose}")


def to_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an `.npz` file, little-endian and without times, so that equal arrays give equal files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            ordered = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
            np.lib.format.write_array(member, ordered, version=(1, 0), allow_pickle=False)
            information = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            information.create_system, information.external_attr = 3, 0o600 << 16
            archive.writestr(information, member.getvalue())
    return out.getvalue()


def read_npz(path: Path, wanted: Mapping[str, Wanted]) -> dict[str, NDArray[Any]]:
    """The wanted arrays of an `.npz` file, finite and of the wanted types.

    Raises RequestError for a file that is none, lacks an array, or would fill the memory.
    """
    regular_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if len(members) > MOST_ARRAYS or sum(member.file_size for member in members.values()) > LARGEST_BYTES:
                raise RequestError(f"data file {path} has more than {MOST_ARRAYS} arrays or {LARGEST_BYTES} bytes")
            missing = [name for name in wanted if f"{name}.npy" not in members]
            if missing:
                raise RequestError(f"data file {path} lacks the arrays {', '.join(missing)}")
            return {name: _array(archive, name, one, path) for name, one in wanted.items()}
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        said = reason(error) if isinstance(error, OSError) else str(error)
        raise RequestError(f"data file {path} is no .npz file ({said})") from None


def _array(archive: zipfile.ZipFile, name: str, wanted: Wanted, path: Path) -> NDArray[Any]:
    member = io.BytesIO(archive.read(f"{name}.npy"))
    try:
        version = np.lib.format.read_magic(member)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, by_columns, dtype = header(member)
    except (ValueError, KeyError, SyntaxError, RecursionError, MemoryError):
        raise RequestError(f"data file {path}: array {name} has no header of NumPy's") from None
    if len(shape) != wanted.dimensions or not _fits(dtype, np.dtype(wanted.dtype)):
        asked = f"{wanted.dimensions} dimensions of {wanted.dtype}"
        raise RequestError(
            f"data file {path}: array {name} has {len(shape)} dimensions of {dtype}; it has to have {asked}"
        )
    data = member.read()
    # Numbers of Python, which do not overflow: a header may promise more than there is.
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise RequestError(f"data file {path}: array {name} is not as long as its header says; make the file again")
    values = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if by_columns else "C")
    with np.errstate(over="ignore", invalid="ignore"):
        cast: NDArray[Any] = np.ascontiguousarray(values, dtype=wanted.dtype).reshape(shape)
    if not np.isfinite(cast).all() or (cast.dtype.kind in "iu" and not np.array_equal(cast, values)):
        raise RequestError(f"data file {path}: array {name} has values that are no finite {wanted.dtype}")
    return cast


def _fits(found: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    kinds = "iu" if wanted.kind in "iu" else "iuf"
    return found.kind in kinds and not found.hasobject
