"""Rows of a table as characters at fixed places, and those as one-hot vectors (Structured Sequence Inputs, H5-84).

Owns the encoding: each field has its own places, filled from the right, what is left and what is missing is `_`. Frozen to
JSON and loaded from it. Reads no tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from networks.data.files import canonical_json, parse_json, read_bounded

FORMAT = 1
KIND = "fixed-width"
DIGITS = "0123456789. -:_"
ASCII = "".join(map(chr, range(128)))
ALPHABETS = {"digits": DIGITS, "ascii": ASCII}
"""Alphabets with a name."""

FILLER = "_"

MOST_FIELDS, MOST_CHARACTERS = 4096, 1 << 16
LARGEST_FROZEN_BYTES = 1 << 20

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Field:
    """A column and the characters that it has room for."""

    name: str
    width: int


@dataclass(frozen=True)
class FixedWidth:
    """Fields at fixed places of a row of characters.

    `alphabet` has all characters, `_` among them, each once and at most 256. `too_long` says what is done with a value that
    has more characters than its field: `error`, or `cut` to keep the first ones.
    """

    fields: tuple[Field, ...]
    alphabet: str = DIGITS
    too_long: Literal["error", "cut"] = "error"

    def __post_init__(self) -> None:
        """Raises RequestError for an encoding that cannot be."""
        names = [field.name for field in self.fields]
        if not 1 <= len(names) <= MOST_FIELDS or len(set(names)) != len(names):
            raise RequestError(f"data.fields: give 1 to {MOST_FIELDS} columns, each once")
        if any(field.width < 1 for field in self.fields) or self.num_characters > MOST_CHARACTERS:
            raise RequestError(f"data.fields: each width is at least 1, all together at most {MOST_CHARACTERS}")
        if FILLER not in self.alphabet or len(set(self.alphabet)) != len(self.alphabet) or len(self.alphabet) > 256:
            raise RequestError(f"data.alphabet: at most 256 characters, each once, {FILLER!r} among them")

    @property
    def num_characters(self) -> int:
        """Characters of a row."""
        return sum(field.width for field in self.fields)

    @property
    def dimension(self) -> int:
        """Length of a row as one flat one-hot vector."""
        return self.num_characters * len(self.alphabet)

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where the characters of each field are."""
        ends = np.cumsum([field.width for field in self.fields]).tolist()
        return {field.name: slice(end - field.width, end) for field, end in zip(self.fields, ends, strict=True)}

    def encode(self, rows: Sequence[Sequence[str]], place: Callable[[int], str] = "row {}".format) -> Codes:
        """Numbers of characters, (rows, characters), from one text a field; an empty text is a missing value.

        `place` is what errors call a row, from its number from 1.
        Raises RequestError for a character outside the alphabet, a value that begins with `_`, or one that is too long.
        """
        text = "".join(self._row(number, row, place) for number, row in enumerate(rows, 1))
        codes = np.array([self._codes[letter] for letter in text], dtype=np.uint8)
        return codes.reshape(len(rows), self.num_characters)

    def decode(self, codes: Codes) -> list[list[str]]:
        """The values of encoded rows; an empty text where one was missing."""
        rows = ["".join(self.alphabet[code] for code in row) for row in codes.tolist()]
        return [[row[place].lstrip(FILLER) for place in self.places.values()] for row in rows]

    def one_hot(self, codes: Codes) -> NDArray[np.float32]:
        """Vectors with a single 1, (rows, characters, alphabet); flattened they have `dimension` entries."""
        return np.eye(len(self.alphabet), dtype=np.float32)[codes]

    def compact(self, codes: Codes) -> tuple[Codes, NDArray[np.int32]]:
        """The rows without their fillers, which come last instead, and how many characters are before them.

        What is left has no fixed places: a missing value moves all that follows, as in a plain sequence.
        """
        filler = self._codes[FILLER]
        order = np.argsort(codes == filler, axis=1, kind="stable")
        return np.take_along_axis(codes, order, axis=1), (codes != filler).sum(1).astype(np.int32)

    def freeze(self) -> bytes:
        """The encoding as JSON: equal ones give equal bytes."""
        fields = [[field.name, field.width] for field in self.fields]
        rest = {"fields": fields, "alphabet": self.alphabet, "too_long": self.too_long}
        return canonical_json({"format": FORMAT, "kind": KIND, **rest})

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {letter: number for number, letter in enumerate(self.alphabet)}

    def _row(self, number: int, row: Sequence[str], place: Callable[[int], str]) -> str:
        return "".join(self._cell(number, field, value, place) for field, value in zip(self.fields, row, strict=True))

    def _cell(self, number: int, field: Field, value: str, place: Callable[[int], str]) -> str:
        if len(value) > field.width and self.too_long == "error":
            problem = f"{value!r} has more than {field.width} characters; widen the field or set too_long = 'cut'"
            raise RequestError(f"column {field.name!r}, {place(number)}: {problem}")
        if value.startswith(FILLER):
            raise RequestError(
                f"column {field.name!r}, {place(number)}: {value!r} begins with {FILLER!r}, which means missing"
            )
        for letter in value[: field.width]:
            if letter not in self._codes:
                raise RequestError(
                    f"column {field.name!r}, {place(number)}: {letter!r} is not in the alphabet; widen it"
                )
        return value[: field.width].rjust(field.width, FILLER)


def load(path: Path) -> FixedWidth:
    """The encoding of a JSON file. Raises RequestError where it is none."""
    return thaw(read_bounded(path, LARGEST_FROZEN_BYTES), str(path))


def thaw(data: bytes, name: str = "frozen encoding") -> FixedWidth:
    """The encoding that `freeze` wrote; `name` is what errors call it."""
    value = parse_json(data, name)
    if (value.get("format"), value.get("kind")) != (FORMAT, KIND) or len(value) != 5:
        raise RequestError(f"{name}: no encoding of kind {KIND} and format {FORMAT}; freeze it again")
    found, alphabet, too_long = value.get("fields"), value.get("alphabet"), value.get("too_long")
    pairs = isinstance(found, list) and all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) and type(one[1]) is int for one in found
    )
    if not pairs or not isinstance(found, list) or not isinstance(alphabet, str):
        raise RequestError(f"{name}: fields are pairs of a name and a width, alphabet a text; freeze it again")
    if too_long not in ("error", "cut"):
        raise RequestError(f"{name}: too_long is error or cut; freeze it again")
    return FixedWidth(tuple(Field(one, width) for one, width in found), alphabet, too_long)
