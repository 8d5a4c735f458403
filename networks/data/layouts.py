"""Text files as they are found in the world: where their documents end, and which file is which split.

Owns three layouts. `stories`: documents end with a line `<|endoftext|>` (TinyStories). `wiki`: documents begin with a
heading ` = Title = ` (WikiText). `plain`: one document, which may be cut after any line. Blocks are a pure function of the
bytes of the file, whoever reads them. Tokens are made elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kernels.errors import RequestError
from networks.data.files import PIECE_BYTES, read_span, regular_file

Layout = Literal["stories", "wiki", "plain"]

SEPARATOR = "<|endoftext|>"
WIKI_FILES = {"train": "wiki.train.tokens", "valid": "wiki.valid.tokens", "test": "wiki.test.tokens"}
SPLIT_WORDS = {"train": ("train",), "valid": ("valid", "validation", "val"), "test": ("test",)}
SUFFIXES = (".txt", ".text", ".tokens", ".tsv")
"""Of a folder only such files are looked at."""

HELD_BACK = 10
"""Of a single file, the last one in so many parts is for validation."""

LARGEST_BLOCK_BYTES = 256 << 20

# Where a document may end: the byte after the match is the first of the next document.
BOUNDARIES = {
    "stories": re.compile(rb"^<\|endoftext\|>[ \t]*\r?\n", re.MULTILINE),
    "wiki": re.compile(rb"\n(?= = (?!= )[^\n]*(?<! =) = ?\r?\n)"),
    "plain": re.compile(rb"\n"),
}
LONGEST_MATCH = 4096
"""A boundary is looked for with so many bytes more than one piece, so that none is missed where two pieces meet."""


@dataclass(frozen=True)
class Span:
    """Bytes start ... stop - 1 of a file."""

    path: Path
    start: int
    stop: int

    @property
    def num_bytes(self) -> int:
        """Length in bytes."""
        return self.stop - self.start


@dataclass(frozen=True)
class Text:
    """A text by split: `train` and `valid`, and `test` where there is one."""

    layout: Layout
    splits: dict[str, Span]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, each once, in the order of the splits."""
        return tuple(dict.fromkeys(span.path for span in self.splits.values()))


def find(path: Path) -> Text:
    """The splits of a text, given a folder or a file.

    A folder holds WikiText's three files, or one file each with `train` and `valid` in its name. A file named `...train...`
    goes with its sibling `...valid...` where there is one; any other file is cut: its last tenth, from the first end of a
    document on, is for validation. Raises RequestError where no such files are found.
    """
    if path.is_dir():
        return _folder(path)
    regular_file(path)
    siblings = {split: _sibling(path, words) for split, words in SPLIT_WORDS.items()}
    found = {split: sibling for split, sibling in siblings.items() if sibling is not None}
    if "train" in path.name and "valid" in found:
        return _of_files({**found, "train": path})
    return _one_file(path)


def _sibling(path: Path, words: tuple[str, ...]) -> Path | None:
    head, word, tail = path.name.rpartition("train")
    names = [path.with_name(f"{head}{other}{tail}") for other in words] if word else []
    return next((name for name in names if name.is_file()), None)


def _folder(folder: Path) -> Text:
    wiki = {split: folder / name for split, name in WIKI_FILES.items() if (folder / name).is_file()}
    if {"train", "valid"} <= wiki.keys():
        return _of_files(wiki)
    names = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)
    found = {split: [name for name in names if words[0] in name.name] for split, words in SPLIT_WORDS.items()}
    for split in ("train", "valid"):
        if len(found[split]) != 1:
            problem = "more than one file" if found[split] else "no file"
            raise RequestError(
                f"data folder {folder} has {problem} named *{split}*.txt; give the path of the train file"
            )
    return _of_files({split: paths[0] for split, paths in found.items() if len(paths) == 1})


def _of_files(files: dict[str, Path]) -> Text:
    sizes = {split: regular_file(path).st_size for split, path in files.items()}
    for split, path in files.items():
        if not sizes[split]:
            raise RequestError(f"data file {path} is empty; give a file with text")
    order = [split for split in SPLIT_WORDS if split in files]
    return Text(_layout(files["train"]), {split: Span(files[split], 0, sizes[split]) for split in order})


def _one_file(path: Path) -> Text:
    size = regular_file(path).st_size
    layout = _layout(path)
    cut = next_boundary(Span(path, 0, size), layout, size - size // HELD_BACK)
    if not 0 < cut < size:
        # The last document is longer than a tenth: look for any boundary before it.
        cut = next_boundary(Span(path, 0, size), layout, size // 2)
    if not 0 < cut < size:
        raise RequestError(f"data file {path}: one document cannot be cut into training and validation; give two files")
    return Text(layout, {"train": Span(path, 0, cut), "valid": Span(path, cut, size)})


def _layout(path: Path) -> Layout:
    head = read_span(path, 0, min(regular_file(path).st_size, PIECE_BYTES))
    if BOUNDARIES["stories"].search(head):
        return "stories"
    return "wiki" if path.suffix == ".tokens" else "plain"


def next_boundary(span: Span, layout: Layout, position: int) -> int:
    """The first end of a document at or after `position` in a span; its stop where there is none."""
    if position <= span.start:
        return span.start
    start = max(span.start, position - LONGEST_MATCH)
    while start < span.stop:
        stop = min(start + PIECE_BYTES + LONGEST_MATCH, span.stop)
        if stop - position > LARGEST_BLOCK_BYTES:
            raise RequestError(
                f"data file {span.path}: no document ends in {LARGEST_BLOCK_BYTES} bytes; cut it in lines"
            )
        data = read_span(span.path, start, stop)
        for match in BOUNDARIES[layout].finditer(data):
            # A match at the beginning of a piece may be the tail of a line: it was seen whole by the piece before.
            if start + match.end() >= position and (match.start() or start == span.start):
                return start + match.end()
        start = stop if stop == span.stop else stop - LONGEST_MATCH
    return span.stop


def num_blocks(span: Span, block_bytes: int) -> int:
    """How many blocks of nominally so many bytes a span has."""
    return max(1, -(-span.num_bytes // block_bytes))


def block(span: Span, layout: Layout, block_bytes: int, number: int) -> Span:
    """Block `number` of a span: from the first boundary after its nominal start to that after its nominal stop."""
    edges = [span.start + (number + side) * block_bytes for side in (0, 1)]
    start, stop = (next_boundary(span, layout, edge) if edge < span.stop else span.stop for edge in edges)
    return Span(span.path, start, stop)


@dataclass(frozen=True)
class Piece:
    """Some text, and whether a document ends with it."""

    text: str
    ends: bool


def pieces(whole: Span, layout: Layout, part: Span) -> Iterator[Piece]:
    """The documents of a block, stripped of the space around them and never empty; a plain text is one document."""
    data = read_span(part.path, part.start, part.stop)
    if layout == "plain":
        if data:
            yield Piece(_decoded(data, part.path, part.start), part.stop == whole.stop)
        return
    position = 0
    for match in BOUNDARIES[layout].finditer(data):
        stop = match.start() if layout == "stories" else match.end()
        yield from _document(data[position:stop], part, position)
        position = match.end()
    yield from _document(data[position:], part, position)


def _document(data: bytes, part: Span, position: int) -> Iterator[Piece]:
    text = _decoded(data, part.path, part.start + position).strip().removesuffix(SEPARATOR).rstrip()
    if text:
        yield Piece(text, ends=True)


def _decoded(data: bytes, path: Path, start: int) -> str:
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise RequestError(f"data file {path}: byte {start + error.start} is no UTF-8; convert the file") from None


def prefix(span: Span, layout: Layout, limit_bytes: int | None) -> Span:
    """The documents of a span that begin within its first `limit_bytes` bytes; all of it where there is no limit."""
    if limit_bytes is None or limit_bytes >= span.num_bytes:
        return span
    return Span(span.path, span.start, next_boundary(span, layout, span.start + limit_bytes))
