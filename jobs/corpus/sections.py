"""The section `[data]` of corpus jobs: which text, and how it becomes tokens.

Owns names, types, defaults and descriptions of the keys.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from jobs.sections import Section
from networks.data import sources

Count = Annotated[int, msgspec.Meta(ge=1, le=sources.LARGEST_COUNT)]


class Data(Section, frozen=True, kw_only=True):
    """The text and its tokeniser."""

    path: str | None = None
    """A text file, or a folder with one for training and one for validation: TinyStories, WikiText-2 or plain text.
    Read in place of what the generator would write."""

    generator: Literal["stories", "articles"] | None = None
    """What writes the text where no path is given: `stories` in the layout of TinyStories, `articles` in that of WikiText-2."""

    count: Count | None = None
    """How many of them."""

    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    """Which ones."""

    licence: str | None = None
    """The licence of the text at `path`, kept with the tokens."""

    limit_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Bytes of each part of the text that are read, up to the end of a document; all unless given."""

    tokeniser: str = "byte-pairs"
    """`characters`, `words`, `byte-pairs` (learnt from the text), or the path of a frozen one (.json)."""

    vocabulary: Annotated[int, msgspec.Meta(ge=4, le=1 << 20)] = 4096
    """Most tokens that words or byte pairs may make."""

    minimum_count: Annotated[int, msgspec.Meta(ge=1)] = 1
    """How often a word must occur in the training text not to be unknown."""

    block_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 26)] = 1 << 20
    """Bytes of text that a unit of work makes tokens of; blocks end where documents end."""
