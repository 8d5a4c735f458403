"""A CSV table in blocks of rows, found by one pass through the file and read again one by one.

Owns where blocks begin and end, and the check of all rows that is made in passing. Never holds more than a block. What a row
may look like is in `tables`, how it becomes characters in `fixed_width`.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from networks.data.files import read_span, reason, regular_file
from networks.data.fixed_width import FILLER, Codes, FixedWidth
from networks.data.tables import Table, checked_header, checked_row, only_csv

LONGEST_LINE = 1 << 23
"""Characters; a row of the most and longest values has fewer."""


@dataclass(frozen=True)
class Block:
    """Bytes `start` ... `stop` - 1 of the file, from line `line` on; `digest` is their SHA-256."""

    start: int
    stop: int
    line: int
    num_rows: int
    digest: bytes


@dataclass(frozen=True)
class Rows:
    """Some rows: one text a column, an empty one where it is missing, and the line on which each row ends."""

    file: Path
    texts: list[list[str]]
    lines: list[int]

    def place(self, number: int) -> str:
        """Where row `number`, from 1, is: for errors."""
        return f"line {self.lines[number - 1]} of data file {self.file}"


@dataclass(frozen=True)
class BlockedTable:
    """A CSV file, its columns, and its blocks; all but the last have `block_rows` rows. `numeric` columns hold numbers."""

    file: Path
    header: tuple[str, ...]
    numeric: tuple[str, ...]
    encoding: FixedWidth
    block_rows: int
    blocks: tuple[Block, ...]

    @property
    def num_rows(self) -> int:
        """Rows of all blocks."""
        return sum(block.num_rows for block in self.blocks)

    def read(self, number: int) -> Rows:
        """The rows of a block. Raises RequestError where the file has changed since it was looked through."""
        block = self.blocks[number]
        data = read_span(self.file, block.start, block.stop)
        if hashlib.sha256(data).digest() != block.digest:
            raise RequestError(f"data file {self.file} has changed while it was read; leave it alone and run again")
        rows = _rows(io.StringIO(data.decode(), newline=""), self.file, len(self.header), block.line - 1)
        found = Rows(self.file, [], [])
        for line, texts in rows:
            found.texts.append(texts)
            found.lines.append(line)
        return found

    def fields(self, rows: Rows) -> list[tuple[str, ...]]:
        """What the encoding takes of each row."""
        places = [self.header.index(field.name) for field in self.encoding.fields]
        return [tuple(texts[place] for place in places) for texts in rows.texts]

    def codes(self, rows: Rows) -> Codes:
        """The rows as characters, (rows, characters). Raises RequestError naming column, line and file."""
        return self.encoding.encode(self.fields(rows), rows.place)

    def numbers(self, rows: Rows) -> NDArray[np.float64]:
        """The numeric columns, (rows, columns); NaN where one is missing."""
        places = [self.header.index(name) for name in self.numeric]
        found = [[float(texts[place] or "nan") for place in places] for texts in rows.texts]
        return np.array(found, dtype=np.float64).reshape(len(rows.texts), len(places))


def look_through(path: Path, encoding: FixedWidth, block_rows: int, limit_rows: int | None = None) -> BlockedTable:
    """The blocks of a CSV file with a header, or of the one in a folder; of its first `limit_rows` rows where that is given.

    Raises RequestError, naming the line, for a file without rows or header, one that is no UTF-8, a column that is not there,
    a row of another length, and a value that the encoding refuses.
    """
    file = only_csv(path) if path.is_dir() else path
    regular_file(file)
    try:
        with file.open("rb") as raw:
            skipped = 3 if raw.read(3) == b"\xef\xbb\xbf" else 0
            raw.seek(skipped)
            with io.TextIOWrapper(raw, encoding="utf-8", newline="") as source:
                return _look_through(file, _Counted(file, source, skipped), encoding, block_rows, limit_rows)
    except OSError as error:
        raise RequestError(f"data file {file}: {reason(error)}") from None


def _look_through(
    file: Path, source: _Counted, encoding: FixedWidth, block_rows: int, limit_rows: int | None
) -> BlockedTable:
    header = checked_header(next(_records(source, file, 0), (0, []))[1], file)
    for field in encoding.fields:
        Table(file, dict.fromkeys(header, ())).text(field.name)
    numeric = dict.fromkeys(header, True)
    told = BlockedTable(file, tuple(header), (), encoding, block_rows, ())

    # A block ends with its last row; blank lines go to the one that follows.
    blocks: list[Block] = []
    found, start, first = Rows(file, [], []), source.num_bytes, source.num_lines + 1
    source.digest()
    count = 0
    rows = _rows(source, file, len(header), source.num_lines)
    while limit_rows is None or count < limit_rows:
        line, texts = next(rows, (0, []))
        if texts:
            found.texts.append(texts)
            found.lines.append(line)
            count += 1
        if found.texts and (not texts or len(found.texts) == block_rows or count == limit_rows):
            _check(told, found, numeric)
            blocks.append(Block(start, source.num_bytes, first, len(found.texts), source.digest()))
            found, start, first = Rows(file, [], []), source.num_bytes, source.num_lines + 1
        if not texts:
            break
    if not blocks:
        raise RequestError(f"data file {file} has no rows below its header")
    names = tuple(name for name, is_number in numeric.items() if is_number)
    return BlockedTable(file, tuple(header), names, encoding, block_rows, tuple(blocks))


class _Counted:
    """Lines of a text file, with the number of lines and bytes so far and a sum of the bytes since it was last asked."""

    def __init__(self, file: Path, source: TextIO, num_bytes: int) -> None:
        self._file, self._source = file, source
        self.num_bytes, self.num_lines = num_bytes, 0
        self._sum = hashlib.sha256()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = self._source.readline(LONGEST_LINE)
        except UnicodeDecodeError:
            raise RequestError(
                f"data file {self._file}, soon after line {self.num_lines}: a byte that is no UTF-8; convert the file"
            ) from None
        if not line:
            raise StopIteration
        if len(line) == LONGEST_LINE:
            raise RequestError(
                f"data file {self._file}, line {self.num_lines + 1}: has {LONGEST_LINE} characters or more; is it a CSV file?"
            )
        data = line.encode()
        self.num_bytes += len(data)
        self.num_lines += 1
        self._sum.update(data)
        return line

    def digest(self) -> bytes:
        """The SHA-256 of the bytes since the last call."""
        found, self._sum = self._sum.digest(), hashlib.sha256()
        return found


def _records(source: Iterator[str], file: Path, before: int) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its last line; `before` lines are before the first."""
    reader = csv.reader(source, strict=True)
    try:
        for record in reader:
            yield before + reader.line_num, record
    except csv.Error as error:
        raise RequestError(f"data file {file}, line {before + reader.line_num}: {error}") from None


def _rows(source: Iterator[str], file: Path, width: int, before: int) -> Iterator[tuple[int, list[str]]]:
    """The same for rows, which are records that are not blank."""
    return ((line, checked_row(row, width, file, line)) for line, row in _records(source, file, before) if row)


def _check(table: BlockedTable, rows: Rows, numeric: dict[str, bool]) -> None:
    """Refuse rows that cannot be encoded, and note which columns of `numeric` hold something that is no number."""
    columns = dict(zip(table.header, zip(*rows.texts, strict=True), strict=True))
    for field in table.encoding.fields:
        column = columns[field.name]
        letters = set("".join(column))
        cut = table.encoding.too_long == "cut"
        fits = cut or max(map(len, column)) <= field.width
        if not fits or FILLER in letters or not letters.issubset(table.encoding.alphabet):
            # Seldom, and slower: encode, which says what is wrong if anything is.
            table.codes(rows)
            break
    for name, column in columns.items():
        numeric[name] = numeric[name] and _are_numbers(column)


def _are_numbers(column: Sequence[str]) -> bool:
    try:
        for text in column:
            float(text or "nan")
    except ValueError:
        return False
    return True
