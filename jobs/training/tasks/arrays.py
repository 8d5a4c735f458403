"""Data of arrays, given by path or made by a generator: what several tasks share of [data].

Owns those keys and their check. Each task narrows the key `generator` to those that it can use.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from jobs.sections import Section
from kernels.errors import RequestError


class Arrays(Section, frozen=True, kw_only=True):
    """Where the samples come from."""

    path: str | None = None
    """An .npz file, or a folder with one; this or a generator."""

    licence: str | None = None
    """The licence of the file, kept with the results."""

    generator: str | None = None
    """What makes them instead."""

    count: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    """How many samples the generator makes; the last tenth is held back."""

    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] = 0
    """Which ones."""

    parameters: dict[str, float] = msgspec.field(default_factory=dict)
    """Numbers that the generator takes; its own unless given."""


def check_source(data: Arrays, file_name: str) -> None:
    """Refuse data that is not there or that no generator can make."""
    from networks.data.generators import catalogue

    if (data.path is None) == (data.generator is None):
        raise RequestError("data.path and data.generator: give exactly one of them")
    if data.path is not None:
        if data.parameters or data.count is not None:
            key = "parameters" if data.parameters else "count"
            raise RequestError(f"data.{key}: is for a generator; a file has what it has")
        if not _file(data.path, file_name).is_file():
            raise RequestError(f"data.path: there is no {_file(data.path, file_name)}; name an .npz file")
        return
    assert data.generator is not None
    if data.count is None:
        raise RequestError("data.count: is missing; say how many samples the generator makes")
    catalogue.check(data.generator, data.count, data.seed, data.parameters)


def locate(data: Arrays) -> Path:
    """The file or folder, made where a generator makes it."""
    from networks.data import sources

    return sources.locate(data.path, data.generator, data.count, data.seed, data.parameters)


def describe(data: Arrays, file_name: str) -> Mapping[str, Any]:
    """What the data is, whatever it is called here."""
    from networks.data import sources

    if data.path is not None:
        return sources.describe_files([_file(data.path, file_name)], data.licence)
    assert data.generator is not None
    assert data.count is not None
    return sources.describe_generated(data.generator, data.count, data.seed, data.parameters)


def _file(path: str, file_name: str) -> Path:
    given = Path(path).expanduser()
    return given / file_name if given.is_dir() else given
