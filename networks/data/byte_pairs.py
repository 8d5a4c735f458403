"""Byte-pair tokens, trained here: every text has tokens, and every row of tokens of a text gives the text back.

Owns the merges and their numbers: 3 special tokens, 256 bytes, then a token a merge. The `tokenizers` library finds the
merges and applies them; nothing of its own file format is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import decoders, models, pre_tokenizers, trainers

from kernels.errors import RequestError
from networks.data.tokenisers import LARGEST_VOCABULARY, LONGEST_ENTRY, NUM_SPECIAL, UNKNOWN, checked

SMALLEST_VOCABULARY = NUM_SPECIAL + 256
ALPHABET = tuple(sorted(pre_tokenizers.ByteLevel.alphabet()))
"""One printable character a byte value."""

Merge = tuple[str, str]


@dataclass(frozen=True)
class BytePairs:
    """Byte-pair tokens: the merges in the order in which they are applied."""

    merges: tuple[Merge, ...]
    kind: str = "byte-pairs"

    @property
    def size(self) -> int:
        """Length of the vocabulary."""
        return NUM_SPECIAL + len(self._vocabulary)

    def normalise(self, text: str) -> str:
        """The text itself."""
        return text

    def encode(self, text: str) -> NDArray[np.int32]:
        """Numbers of a text; a space goes with the word after it."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return np.asarray(ids, dtype=np.int32) + np.int32(NUM_SPECIAL)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of some tokens; U+FFFD for UNKNOWN and where a character's bytes are not all there."""
        text, row = "", list[int]()
        for token in checked(tokens, self.size):
            if token >= NUM_SPECIAL:
                row.append(token - NUM_SPECIAL)
            elif token == UNKNOWN:
                text, row = text + self._text(row) + "\ufffd", []
        return text + self._text(row)

    def frozen(self) -> dict[str, Any]:
        """The merges in their order."""
        return {"merges": [list(merge) for merge in self.merges]}

    def _text(self, row: list[int]) -> str:
        text: str = self._tokenizer.decode(row, skip_special_tokens=False) if row else ""
        return text

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        # Two merges may give the same token, which has one number.
        tokens = dict.fromkeys((*ALPHABET, *(left + right for left, right in self.merges)))
        return {token: number for number, token in enumerate(tokens)}

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = tokenizers.Tokenizer(models.BPE(vocab=self._vocabulary, merges=list(self.merges)))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer


def train(texts: Iterable[str], vocabulary_size: int) -> BytePairs:
    """The most frequent pairs of some texts, until the vocabulary has so many tokens or no pair occurs twice.

    Raises RequestError for a vocabulary that has no room for all bytes.
    """
    if not SMALLEST_VOCABULARY <= vocabulary_size <= LARGEST_VOCABULARY:
        raise RequestError(f"data.vocabulary of byte pairs is of {SMALLEST_VOCABULARY} to {LARGEST_VOCABULARY} tokens")
    learner = tokenizers.Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - NUM_SPECIAL,
        min_frequency=2,
        max_token_length=LONGEST_ENTRY,
        initial_alphabet=list(ALPHABET),
        special_tokens=[],
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    return BytePairs(tuple((left, right) for left, right in json.loads(learner.to_str())["model"]["merges"]))


def of_merges(found: Any, name: str) -> BytePairs:
    """The tokeniser of merges from a file. Raises RequestError where they are none."""
    if not isinstance(found, list) or len(found) > LARGEST_VOCABULARY:
        raise RequestError(
            f"{name}: merges is no list of at most {LARGEST_VOCABULARY} pairs; freeze the tokeniser again"
        )
    known = set(ALPHABET)
    for merge in found:
        pair = isinstance(merge, list) and len(merge) == 2 and all(isinstance(half, str) for half in merge)
        if not pair or not set(merge) <= known or len("".join(merge)) > LONGEST_ENTRY:
            raise RequestError(f"{name}: merges has a pair of what is no token before it; freeze the tokeniser again")
        known.add("".join(merge))
    if len({tuple(merge) for merge in found}) != len(found):
        raise RequestError(f"{name}: merges has a pair twice; freeze the tokeniser again")
    return BytePairs(tuple((left, right) for left, right in found))
