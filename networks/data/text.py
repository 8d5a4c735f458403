"""Text for language models: a file or folder becomes windows of tokens by split, with the tokeniser that made them.

Owns windows, and the two ways to tokens, which give the same: all in memory here, or block by block, each block a pure
function of the file, for whoever shares the blocks out. Knows no stores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from networks.data import layouts, sources, tokenisers
from networks.data.layouts import Text
from networks.data.tokenisers import END, PAD, Tokeniser

Packing = Literal["stream", "documents"]
Tokens = NDArray[np.int32]

BLOCK_BYTES = 1 << 20
SAMPLE_BYTES = 32 << 20
"""Byte pairs are learnt from at most so much of the training text, spread over all of it."""

IN_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True)
class Windows:
    """`tokens` (windows, context), int32, padded with PAD; `lengths` (windows,), int32: how many of a window are not."""

    tokens: Tokens
    lengths: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def context(self) -> int:
        """Tokens of a window."""
        return int(self.tokens.shape[1])

    @property
    def num_targets(self) -> int:
        """Tokens that are predicted: all of a window but its first."""
        return int((self.lengths - 1).sum())

    def mask(self, samples: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.bool_]:
        """True where a window has a token, False where it has padding: (samples, context)."""
        return np.arange(self.context) < self.lengths[samples][:, None]


@dataclass(frozen=True)
class Corpus:
    """Windows by split, what made them, and the manifest: files or generator, licence, tokeniser, tokens by split."""

    tokeniser: Tokeniser
    splits: dict[str, Windows]
    manifest: dict[str, Any] = field(repr=False)

    @property
    def train(self) -> Windows:
        """What is trained on."""
        return self.splits["train"]

    @property
    def valid(self) -> Windows:
        """What is never trained on."""
        return self.splits["valid"]


@dataclass(frozen=True)
class Request:
    """How a text becomes tokens.

    `tokeniser` is characters, words or byte-pairs, or the path of a frozen one (`....json`). `vocabulary` is the most
    tokens of byte pairs and words, `minimum_count` how often a word must occur not to be unknown. `limit_bytes` cuts each
    split to its first documents.
    """

    path: Path
    tokeniser: str = "characters"
    vocabulary: int | None = None
    minimum_count: int = 1
    limit_bytes: int | None = None

    def text(self) -> Text:
        """The splits, cut to the limit."""
        text = layouts.find(self.path)
        limited = {name: layouts.prefix(span, text.layout, self.limit_bytes) for name, span in text.splits.items()}
        return Text(text.layout, limited)


def load(request: Request, context: int, packing: Packing = "stream", licence: str | None = None) -> Corpus:
    """The windows of a text, all in memory.

    `stream` lays the documents of a split end to end and cuts them to windows; `documents` begins a window with each
    document. Raises RequestError for a path without text, and for one too large for the memory.
    """
    text = request.text()
    for span in text.splits.values():
        if span.num_bytes > IN_MEMORY_BYTES:
            raise RequestError(f"data file {span.path} has more than {IN_MEMORY_BYTES} bytes; set data.limit_bytes")
    tokeniser = train_tokeniser(request, text)
    tokens = {name: tokenise(tokeniser, text, name) for name in text.splits}
    splits = {name: windows(row, context, packing) for name, row in tokens.items()}
    for name in ("train", "valid"):
        if not len(splits[name]):
            raise RequestError(f"data file {text.splits[name].path} has no two tokens for {name}; give more text")
    return Corpus(tokeniser, splits, manifest(request, text, tokeniser, tokens, licence))


def manifest(
    request: Request, text: Text, tokeniser: Tokeniser, tokens: dict[str, Tokens], licence: str | None
) -> dict[str, Any]:
    """What was read and what it became, for people and for the store."""
    sizes = {
        name: {"file": span.path.name, "bytes": span.num_bytes, "tokens": int(tokens[name].size)}
        for name, span in text.splits.items()
    }
    made = {"kind": tokeniser.kind, "size": tokeniser.size, "sha256": tokenisers.digest(tokeniser)}
    files = sources.describe_files(text.files, licence or sources.licence_beside(request.path))
    return {**files, "layout": text.layout, "splits": sizes, "tokeniser": made}


def train_tokeniser(request: Request, text: Text) -> Tokeniser:
    """The tokeniser of a text, from its training split alone, or the frozen one that is asked for.

    Characters and words see all of the split, so that nothing of it is unknown; byte pairs see at most SAMPLE_BYTES.
    """
    train = text.splits["train"]
    if request.tokeniser == "characters":
        return tokenisers.Characters.train(_texts(text, range(layouts.num_blocks(train, BLOCK_BYTES))))
    if request.tokeniser == "words":
        every = range(layouts.num_blocks(train, BLOCK_BYTES))
        return tokenisers.Words.train(_texts(text, every), request.vocabulary, request.minimum_count)
    if request.tokeniser == "byte-pairs":
        from networks.data import byte_pairs

        every = range(layouts.num_blocks(train, BLOCK_BYTES))
        step = max(1, -(-len(every) * BLOCK_BYTES // SAMPLE_BYTES))
        return byte_pairs.train(_texts(text, every[::step]), request.vocabulary or 4096)
    if request.tokeniser.endswith(".json"):
        return tokenisers.load(Path(request.tokeniser).expanduser())
    known = ", ".join(tokenisers.KINDS)
    raise RequestError(f"data.tokeniser {request.tokeniser!r} is none of {known} and no path of a .json file")


def _texts(text: Text, blocks: range) -> Iterator[str]:
    train = text.splits["train"]
    for number in blocks:
        part = layouts.block(train, text.layout, BLOCK_BYTES, number)
        yield from (piece.text for piece in layouts.pieces(train, text.layout, part))


def tokenise(tokeniser: Tokeniser, text: Text, split: str, block_bytes: int = BLOCK_BYTES) -> Tokens:
    """All tokens of a split, END after each document."""
    span = text.splits[split]
    count = layouts.num_blocks(span, block_bytes)
    return np.concatenate([tokenise_block(tokeniser, text, split, block_bytes, number) for number in range(count)])


def tokenise_block(tokeniser: Tokeniser, text: Text, split: str, block_bytes: int, number: int) -> Tokens:
    """The tokens of one block of a split, END after each document that ends in it: at most its bytes and one."""
    span = text.splits[split]
    part = layouts.block(span, text.layout, block_bytes, number)
    rows = [np.zeros(0, dtype=np.int32)]
    for piece in layouts.pieces(span, text.layout, part):
        rows.append(tokeniser.encode(piece.text))
        if piece.ends:
            rows.append(np.array([END], dtype=np.int32))
    return np.concatenate(rows)


def windows(tokens: Tokens, context: int, packing: Packing = "stream") -> Windows:
    """Tokens cut to windows. A window of less than two tokens has nothing to predict and is left out.

    A window begins with the last token of the one before it, of which it is the rest: so every token but the first of the
    stream, or of its document, is predicted exactly once.
    """
    if context < 2:
        raise RequestError(f"data.context is at least 2, not {context}")
    bounds = np.array([0, tokens.size], dtype=np.int64)
    if packing == "documents":
        ends = np.flatnonzero(tokens == END) + 1
        bounds = np.unique(np.concatenate((bounds, ends)))
    sizes = np.diff(bounds)
    stride = context - 1
    counts = np.maximum(1, -(-(sizes - 1) // stride))
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(bounds[:-1], counts) + within * stride
    lengths = np.minimum(np.repeat(bounds[1:], counts) - starts, context)
    starts, lengths = starts[lengths >= 2], lengths[lengths >= 2]
    inside = np.arange(context) < lengths[:, None]
    # Places beyond a window's end are read at its start, then overwritten.
    places = np.where(inside, starts[:, None] + np.arange(context), starts[:, None])
    found = np.where(inside, tokens[places], PAD).astype(np.int32) if len(starts) else np.zeros((0, context), np.int32)
    return Windows(found, lengths.astype(np.int32))
