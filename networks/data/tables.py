"""CSV tables: columns by name, numbers with missing ones, rows to train on and rows held back.

Owns the reading of a table and the layout of the deliveries. How a row becomes characters is in `fixed_width`; what is
predicted, the caller computes from the columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from networks.data.draws import Draws
from networks.data.files import read_bounded
from networks.data.fixed_width import Codes, Field, FixedWidth

LARGEST_BYTES = 1 << 30
LONGEST_VALUE = 1000
MOST_COLUMNS = 4096
MISSING = frozenset({"", "na", "nan", "null", "none", "(null)"})
"""What counts as missing, in small letters."""

DELIVERIES = (
    Field("Store Number", 4),
    Field("Market", 1),
    Field("Order Made", 8),
    Field("Cost", 5),
    Field("Total Deliverers", 3),
    Field("Busy Deliverers", 3),
    Field("Total Orders", 3),
    Field("Estimated Transit Time", 4),
    Field("Linear Estimation", 4),
)
"""The inputs of the deliveries with the widths of the text, 35 characters. Its 8 characters of the date are `2015-02-`:
with them `too_long` has to be `cut`."""

DELIVERIES_FEATURES = (
    "Market",
    "Cost",
    "Total Deliverers",
    "Busy Deliverers",
    "Total Orders",
    "Estimated Transit Time",
)
"""The numbers among the inputs that say how much of something there is: six, as in the text's linear estimation."""

DELIVERIES_ESTIMATION = "Linear Estimation"

Columns = Mapping[str, NDArray[np.float64]]
Target = Callable[[Columns], NDArray[np.float64]]
Revise = Callable[["Table", NDArray[np.float64], NDArray[np.int64]], "Table"]
"""A table made anew, from what it is, the target of each of its rows, and the numbers of those that are trained on."""


@dataclass(frozen=True)
class Table:
    """Columns of text by name, all of one length; an empty text is a missing value."""

    path: Path
    columns: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def rows(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """Some columns, row by row. Raises RequestError for a column that is not there."""
        return list(zip(*(self.text(name) for name in names), strict=True))

    def text(self, name: str) -> tuple[str, ...]:
        """One column. Raises RequestError where it is not there."""
        if name not in self.columns:
            near = get_close_matches(name, self.columns, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(self.columns)}"
            raise RequestError(f"data file {self.path} has no column {name!r}; {advice}")
        return self.columns[name]

    @cached_property
    def numbers(self) -> dict[str, NDArray[np.float64]]:
        """The columns that hold numbers; NaN where one is missing."""
        found = {name: _numbers(column) for name, column in self.columns.items()}
        return {name: column for name, column in found.items() if column is not None}


@dataclass(frozen=True)
class Encoded:
    """Rows as characters with what is predicted from them.

    `codes` (rows, characters); `target` (rows,); `train` and `valid` are numbers of rows; `dropped` rows had no target.
    `table` has all rows, the dropped ones too, as they are encoded.
    """

    encoding: FixedWidth
    codes: Codes
    target: NDArray[np.float64]
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    dropped: int
    table: Table


def read(path: Path, limit_rows: int | None = None) -> Table:
    """The table of a CSV file with a header, or of the one CSV file in a folder; at most `limit_rows` rows.

    Raises RequestError for a file without a proper header, a row of another length, or a value that is too long.
    """
    file = only_csv(path) if path.is_dir() else path
    try:
        text = read_bounded(file, LARGEST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"data file {file}: byte {error.start} is no UTF-8; convert the file") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    try:
        header = checked_header(next(lines, []), file)
        for row in lines:
            if limit_rows is not None and len(rows) >= limit_rows:
                break
            if row:
                rows.append(checked_row(row, len(header), file, lines.line_num))
    except csv.Error as error:
        raise RequestError(f"data file {file}, line {lines.line_num}: {error}") from None
    if not rows:
        raise RequestError(f"data file {file} has no rows below its header")
    return Table(file, dict(zip(header, zip(*rows, strict=True), strict=True)))


def encode(
    table: Table,
    encoding: FixedWidth,
    target: str | Target,
    train_share: float = 0.8,
    seed: int = 0,
    revise: Revise | None = None,
) -> Encoded:
    """Rows as characters, with a column or a function of the columns as what is predicted.

    Rows whose target is missing or not finite are dropped. The rest is shuffled once by `seed`; the first `train_share` of it
    is trained on. The rows are those that `revise` makes of the table.
    """
    if isinstance(target, str):
        table.text(target)
        if target not in table.numbers:
            raise RequestError(f"data file {table.path}: column {target!r} holds no numbers; choose another target")
        values = table.numbers[target]
    else:
        values = np.broadcast_to(np.asarray(target(table.numbers), dtype=np.float64), (len(table),))
    kept = np.flatnonzero(np.isfinite(values))
    order = np.argsort(Draws("rows", seed).uniform(kept.size), kind="stable")
    cut = int(kept.size * train_share)
    if not 0 < cut < kept.size:
        found = (
            f"{kept.size or 'none'} of the {len(table)} rows has a number there"
            if kept.size < 2
            else f"{kept.size} rows"
        )
        raise RequestError(
            f"data.target: {found}, too few to hold some back with data.train_share {train_share:g}; see {table.path}"
        )
    revised = table if revise is None else revise(table, values, kept[order[:cut]])
    rows = revised.rows([field.name for field in encoding.fields])
    codes = encoding.encode([rows[number] for number in kept])
    return Encoded(encoding, codes, values[kept].copy(), order[:cut], order[cut:], len(table) - kept.size, revised)


def only_csv(folder: Path) -> Path:
    """The one CSV file of a folder. Raises RequestError where there are none or several."""
    files = sorted(file for file in folder.iterdir() if file.suffix == ".csv")
    if len(files) != 1:
        raise RequestError(f"data folder {folder} has {len(files)} files named *.csv; give the path of one")
    return files[0]


def checked_header(row: list[str], file: Path) -> list[str]:
    """The names of the columns. Raises RequestError unless each has one of its own."""
    header = [name.strip() for name in row]
    if not all(header) or len(set(header)) != len(header) or not 1 <= len(header) <= MOST_COLUMNS:
        raise RequestError(f"data file {file}: the first line is not a header of different names")
    return header


def checked_row(row: list[str], width: int, file: Path, line: int) -> list[str]:
    """The values of a row, empty where one is missing. Raises RequestError for too few, too many, or a long one."""
    if len(row) != width:
        raise RequestError(f"data file {file}, line {line}: {len(row)} values where the header has {width}")
    values = [value.strip() for value in row]
    if max(map(len, values)) > LONGEST_VALUE:
        raise RequestError(f"data file {file}, line {line}: a value has more than {LONGEST_VALUE} characters")
    return ["" if value.lower() in MISSING else value for value in values]


def _numbers(column: tuple[str, ...]) -> NDArray[np.float64] | None:
    try:
        return np.array([float(value) if value else np.nan for value in column])
    except ValueError:
        return None
