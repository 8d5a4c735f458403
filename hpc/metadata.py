"""The metadata of an array of a store, as it may come from a stranger: of the form that this project writes, or refused.

Owns which codecs and types are read, and how much they may unpack to. Reads no shard; Zarr reads metadata once it is checked.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from hpc.given import read_json
from hpc.memory import MOST_UNITS, host_bytes
from kernels.errors import RequestError

MOST_CHUNKS = 1 << 16
"""Chunks of one shard; the index of a shard has an entry of each."""

SHARE_OF_MEMORY = 4
"""A shard has a place in memory more than once while it is read."""

Whole = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Side = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
Shape = Annotated[tuple[Whole, ...], msgspec.Meta(max_length=8)]
Sides = Annotated[tuple[Side, ...], msgspec.Meta(max_length=8)]
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What has no other keys than these."""


class _Bytes(_Strict, frozen=True, tag="bytes", tag_field="name"):
    configuration: dict[str, Literal["little"]] = {}


class _Zstd(_Strict, frozen=True, tag="zstd", tag_field="name"):
    configuration: dict[str, int | bool] = {}


class _Crc32c(_Strict, frozen=True, tag="crc32c", tag_field="name"):
    configuration: dict[str, str] = {}


class _Shard(_Strict, frozen=True):
    chunk_shape: Sides
    codecs: tuple[_Bytes, _Zstd, _Crc32c]
    index_codecs: tuple[_Bytes, _Crc32c]
    index_location: Literal["end"] = "end"


class _Sharding(_Strict, frozen=True, tag="sharding_indexed", tag_field="name"):
    configuration: _Shard


class _Regular(_Strict, frozen=True):
    chunk_shape: Sides


class _Grid(_Strict, frozen=True, tag="regular", tag_field="name"):
    configuration: _Regular


class _Keys(_Strict, frozen=True, tag="default", tag_field="name"):
    configuration: dict[str, Literal["/"]] = {}


class _Array(_Strict, frozen=True):
    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: Shape
    data_type: str
    chunk_grid: _Grid
    chunk_key_encoding: _Keys
    codecs: tuple[_Sharding]
    fill_value: Any
    attributes: dict[str, Any] = {}
    dimension_names: tuple[str | None, ...] | None = None
    storage_transformers: Annotated[list[Any], msgspec.Meta(max_length=0)] = []


def check_array(file: Path) -> None:
    """Refuse metadata that is not of our form, or that asks for more units or memory than there can be.

    Raises RequestError naming the file, OSError where it cannot be read, ValueError where it is damaged.
    """
    found = msgspec.convert(read_json(file), _Array)
    shard, inner = found.chunk_grid.configuration.chunk_shape, found.codecs[0].configuration.chunk_shape
    names = found.dimension_names or (None,) * len(found.shape)
    if found.data_type not in DTYPES or not len(found.shape) == len(shard) == len(inner) == len(names):
        raise ValueError("no array of ours")
    if any(side % part for side, part in zip(shard, inner, strict=True)):
        raise ValueError("chunks that do not fill their shard")

    # Multiply Python's integers, which do not wrap round
    num_units = math.prod(-(-size // side) for size, side in zip(found.shape, shard, strict=True))
    num_chunks = math.prod(side // part for side, part in zip(shard, inner, strict=True))
    shard_bytes = math.prod(shard) * np.dtype(found.data_type).itemsize
    most_bytes = host_bytes() // SHARE_OF_MEMORY
    for number, most, what in (
        (num_units, MOST_UNITS, "shards"),
        (num_chunks, MOST_CHUNKS, "chunks in a shard"),
        (shard_bytes, most_bytes, "bytes in a shard"),
    ):
        if number > most:
            raise RequestError(f"{file}: states {number:.3g} {what}, more than {most:.3g}; it cannot be read here")
