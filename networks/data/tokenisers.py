"""Text to numbers and back: characters and words here, byte pairs in `byte_pairs`; frozen to JSON and loaded from it.

Owns the numbers 0, 1, 2 that mean the same everywhere, and the checks of a frozen tokeniser, which may come from anywhere.
Reads no text files: whoever makes a tokeniser hands it the texts.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from networks.data.files import canonical_json, parse_json, read_bounded

FORMAT = 1
PAD, UNKNOWN, END = 0, 1, 2
"""Padding; what the vocabulary has not; the end of a document."""

NUM_SPECIAL = 3
UNKNOWN_WORD = "<unk>"
KINDS = ("characters", "words", "byte-pairs")

LARGEST_VOCABULARY = 1 << 21
LONGEST_ENTRY = 1024
LARGEST_FROZEN_BYTES = 64 << 20


class Tokeniser(Protocol):
    """A frozen map between texts and numbers, `size` of them. 0, 1, 2 are PAD, UNKNOWN and END."""

    @property
    def kind(self) -> str:
        """One of KINDS."""
        ...

    @property
    def size(self) -> int:
        """Length of the vocabulary, the three special numbers included."""
        ...

    def normalise(self, text: str) -> str:
        """The text as `decode` gives it back."""
        ...

    def encode(self, text: str) -> NDArray[np.int32]:
        """Numbers of a text, none of them PAD or END; never more than the text has bytes in UTF-8."""
        ...

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of some tokens. PAD and END are left out; raises ValueError for a number outside the vocabulary."""
        ...

    def frozen(self) -> dict[str, Any]:
        """What the tokeniser is made of, for JSON."""
        ...


def freeze(tokeniser: Tokeniser) -> bytes:
    """The tokeniser as JSON: equal tokenisers give equal bytes."""
    return canonical_json({"format": FORMAT, "kind": tokeniser.kind, **tokeniser.frozen()})


def digest(tokeniser: Tokeniser) -> str:
    """The SHA-256 of the frozen tokeniser, in hexadecimal."""
    return hashlib.sha256(freeze(tokeniser)).hexdigest()


def load(path: Path) -> Tokeniser:
    """The tokeniser of a JSON file. Raises RequestError where it is none, or too large."""
    return thaw(read_bounded(path, LARGEST_FROZEN_BYTES), str(path))


def thaw(data: bytes, name: str = "frozen tokeniser") -> Tokeniser:
    """The tokeniser that `freeze` wrote; `name` is what errors call it."""
    value = parse_json(data, name)
    if value.pop("format", None) != FORMAT:
        raise RequestError(f"{name}: format is not {FORMAT}; freeze the tokeniser again")
    kind = value.pop("kind", None)
    if kind not in KINDS:
        raise RequestError(f"{name}: kind is not one of {', '.join(KINDS)}; freeze the tokeniser again")
    entry = {"characters": "characters", "words": "words", "byte-pairs": "merges"}[kind]
    if value.keys() != {entry}:
        raise RequestError(f"{name}: a tokeniser of {kind} has the one key {entry!r}; freeze it again")
    if kind == "byte-pairs":
        from networks.data import byte_pairs

        return byte_pairs.of_merges(value[entry], name)
    entries = _entries(value[entry], kind, name)
    return Characters("".join(entries)) if kind == "characters" else Words(tuple(entries))


def _entries(found: Any, kind: str, name: str) -> list[str]:
    """Distinct strings of bounded number and length: one character each, or words without space."""
    known = isinstance(found, str) if kind == "characters" else isinstance(found, list)
    entries = list(found) if known else []
    if not known or len(entries) > LARGEST_VOCABULARY:
        raise RequestError(f"{name}: {kind} is no list of at most {LARGEST_VOCABULARY}; freeze the tokeniser again")
    fits = all(isinstance(entry, str) and 1 <= len(entry) <= LONGEST_ENTRY for entry in entries)
    if not fits or len(set(entries)) != len(entries):
        raise RequestError(f"{name}: {kind} has entries that are no text, too long, or there twice; freeze it again")
    if kind == "words" and any(entry.split() != [entry] for entry in entries):
        raise RequestError(f"{name}: words has an entry with space in it; freeze the tokeniser again")
    return entries


@dataclass(frozen=True)
class Characters:
    """One number a character, in the order of their code points."""

    characters: str
    kind: str = "characters"

    @classmethod
    def train(cls, texts: Iterable[str]) -> Characters:
        """The characters of some texts."""
        found: set[str] = set()
        for text in texts:
            found.update(text)
        return cls("".join(sorted(found)))

    @property
    def size(self) -> int:
        """Length of the vocabulary."""
        return NUM_SPECIAL + len(self.characters)

    def normalise(self, text: str) -> str:
        """The text itself."""
        return text

    def encode(self, text: str) -> NDArray[np.int32]:
        """One number a character, UNKNOWN for a new one."""
        points = _code_points(text)
        places = np.searchsorted(self._sorted, points)
        places[places == self._sorted.size] = 0
        known = self._sorted[places] == points if self._sorted.size else np.zeros(points.size, dtype=bool)
        return np.where(known, self._order[places] + NUM_SPECIAL, UNKNOWN).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        """The characters of some tokens, U+FFFD for UNKNOWN."""
        return "".join(self._names[token] for token in checked(tokens, self.size))

    def frozen(self) -> dict[str, Any]:
        """The characters in the order of their numbers."""
        return {"characters": self.characters}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return ("", "\ufffd", "", *self.characters)

    @cached_property
    def _points(self) -> NDArray[np.uint32]:
        return _code_points(self.characters)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(self._points)

    @cached_property
    def _sorted(self) -> NDArray[np.uint32]:
        return self._points[self._order]


@dataclass(frozen=True)
class Words:
    """One number a word of the text in basic English: lower case, punctuation apart. Frequent words come first."""

    words: tuple[str, ...]
    kind: str = "words"

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary_size: int | None = None, minimum_count: int = 1) -> Words:
        """The words of some texts that occur so often; of equally frequent ones those first in the alphabet.

        With the defaults no word of the texts is unknown, but for those of more than LONGEST_ENTRY characters.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(basic_english(text))
        # A text's own word for what is unknown (WikiText has one) is not a word like others.
        del counts[UNKNOWN_WORD]
        room = max(0, (vocabulary_size or LARGEST_VOCABULARY) - NUM_SPECIAL)
        kept = (word for word in counts if counts[word] >= minimum_count and len(word) <= LONGEST_ENTRY)
        return cls(tuple(sorted(kept, key=lambda word: (-counts[word], word)))[:room])

    @property
    def size(self) -> int:
        """Length of the vocabulary."""
        return NUM_SPECIAL + len(self.words)

    def normalise(self, text: str) -> str:
        """The words with one space between them."""
        return " ".join(basic_english(text))

    def encode(self, text: str) -> NDArray[np.int32]:
        """One number a word, UNKNOWN for a new one."""
        numbers = self._numbers
        return np.array([numbers.get(word, UNKNOWN) for word in basic_english(text)], dtype=np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        """The words of some tokens with one space between them, `<unk>` for UNKNOWN."""
        return " ".join(filter(None, (self._names[token] for token in checked(tokens, self.size))))

    def frozen(self) -> dict[str, Any]:
        """The words in the order of their numbers."""
        return {"words": list(self.words)}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return ("", UNKNOWN_WORD, "", *self.words)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, NUM_SPECIAL)}


MARKS = re.compile(r"['.,()!?]")
DROPPED = re.compile(r'<br />|[";:]')


def basic_english(text: str) -> list[str]:
    """Words as in torchtext's `basic_english`: lower case; ' . , ( ) ! ? are words; quotes, colons, semicolons are not."""
    return MARKS.sub(r" \g<0> ", DROPPED.sub(" ", text.lower())).split()


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)


def checked(tokens: Iterable[int], size: int) -> list[int]:
    """Tokens as integers. Raises ValueError for one outside a vocabulary."""
    numbers = [int(token) for token in tokens]
    if numbers and not 0 <= min(numbers) <= max(numbers) < size:
        raise ValueError(f"tokens are of 0 ... {size - 1}")
    return numbers
