"""The section `[data]` of encoding jobs: which table, and how its rows become characters.

Owns names, types, defaults and descriptions of the keys; they are called as in training jobs of the task `regression`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from jobs.sections import Section

Width = Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]


class Data(Section, frozen=True, kw_only=True):
    """The table and the fields of its encoding."""

    path: str | None = None
    """A CSV file with a header, or a folder with one; this or a generator."""

    generator: Literal["deliveries"] | None = None
    """Makes a table with the header of the deliveries."""

    count: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)] | None = None
    """Rows to make, or to read at most; all of a file unless given."""

    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] = 0
    """Of the generator."""

    missing: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    """Share of entries that the generator leaves out, in the columns where that may be; its own unless given."""

    licence: str | None = None
    """The licence of the table at `path`, kept with the rows."""

    fields: dict[str, Width] = msgspec.field(default_factory=dict)
    """Columns and how many characters each has room for; those of the deliveries unless given."""

    alphabet: str = "0123456789. -:_"
    """All characters; `_` fills what is empty. `ascii` means all 128 of it, `digits` those of the deliveries."""

    too_long: Literal["cut", "error"] = "cut"
    """What becomes of a value that has no room."""

    frozen: str | None = None
    """A frozen encoding (.json), in place of `fields`, `alphabet` and `too_long`."""

    block_rows: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1000
    """Rows of a unit of work."""
