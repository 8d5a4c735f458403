"""The stage of an encoding job: every block of rows becomes characters, one-hot vectors and numbers.

Every unit is a pure function of the table and its number. Nothing here reads or writes a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpc.plan import ArraySpec, Finished
from kernels.backends.base import Array, Backend, Run
from networks.data.fixed_width import FILLER
from networks.data.table_blocks import BlockedTable

MEMORY_FACTOR = 64
"""Bytes in memory for one of the file: its text, its rows as Python has them."""


@dataclass(frozen=True)
class RowsStage:
    """Unit i is block i of the table."""

    table: BlockedTable
    name: str = "rows"

    @property
    def num_units(self) -> int:
        """Blocks of the table."""
        return len(self.table.blocks)

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """Characters, one-hot vectors and numbers of each row, and counts of each block."""
        encoding = self.table.encoding
        names = [field.name for field in encoding.fields]
        fields = {"fields": names, "widths": [field.width for field in encoding.fields], "alphabet": encoding.alphabet}
        found = [
            self._of_rows(
                "codes", "|u1", encoding.num_characters, "character", 255, "characters of each row", **fields
            ),
            self._of_rows("one_hot", "|u1", encoding.dimension, "input", 255, "one-hot vectors of the characters"),
        ]
        if self.table.numeric:
            told = {"columns": list(self.table.numeric)}
            meaning = "columns of numbers, NaN where one is missing"
            found.append(self._of_rows("numbers", "<f8", len(self.table.numeric), "column", np.nan, meaning, **told))
        meanings = {"missing_count": "values of each field that are missing", "cut_count": "values that were too long"}
        for name, meaning in meanings.items():
            about = {"units": "1", "long_name": meaning, "fields": names}
            shape, one = (self.num_units, len(names)), (1, len(names))
            found.append(ArraySpec(name, shape, "<i4", one, one, ("block", "field"), -1, about))
        about = {"units": "1", "long_name": "rows whose values come back from the characters, as far as there was room"}
        found.append(ArraySpec("decoded_count", (self.num_units,), "<i4", (1,), (1,), ("block",), -1, about))
        return tuple(found)

    def _of_rows(
        self, name: str, dtype: str, length: int, dimension: str, fill: float, meaning: str, **told: Any
    ) -> ArraySpec:
        shard = (self.table.block_rows, length)
        about = {"units": "1", "long_name": meaning, **told}
        return ArraySpec(name, (self.table.num_rows, length), dtype, shard, shard, ("row", dimension), fill, about)

    def cost(self, unit: int) -> float:
        """Rows of the block."""
        return float(self.table.blocks[unit].num_rows)

    def memory_bytes(self, unit: int) -> int:
        """The block in all its forms, and two buffers of each shard."""
        block, encoding = self.table.blocks[unit], self.table.encoding
        row = encoding.num_characters + encoding.dimension + 8 * len(self.table.numeric)
        return MEMORY_FACTOR * (block.stop - block.start) + 4 * row * self.table.block_rows + (1 << 20)

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Begin a block."""
        del backend, finished
        return _Block(self.table, unit)


class _Block:
    """A block takes less than seconds and is encoded by the first `advance`."""

    def __init__(self, table: BlockedTable, unit: int) -> None:
        self._table, self._unit = table, unit
        self._found: dict[str, Array] = {}

    def advance(self, seconds: float) -> float:
        """Encode everything."""
        del seconds
        table, encoding = self._table, self._table.encoding
        rows = table.read(self._unit)
        codes = table.codes(rows)
        one_hot = np.eye(len(encoding.alphabet), dtype=np.uint8)[codes].reshape(len(codes), encoding.dimension)

        # What went in, as far as there was room, and what comes back from the vectors.
        given = table.fields(rows)
        widths = [field.width for field in encoding.fields]
        room = [[text[:width] for text, width in zip(row, widths, strict=True)] for row in given]
        back = encoding.decode(one_hot.reshape(*codes.shape, -1).argmax(2).astype(np.uint8))
        lengths = np.array([[len(text) for text in row] for row in given])
        filled = np.stack(
            [(codes[:, place] == encoding.alphabet.index(FILLER)).all(1) for place in encoding.places.values()], 1
        )
        self._found = {
            "codes": codes,
            "one_hot": one_hot,
            "missing_count": filled.sum(0, dtype="<i4")[None],
            "cut_count": (lengths > widths).sum(0, dtype="<i4")[None],
            "decoded_count": np.array([sum(map(list.__eq__, room, back))], dtype="<i4"),
        }
        if table.numeric:
            self._found["numbers"] = table.numbers(rows)
        return 1.0

    def interrupt(self) -> None:
        """Nothing to do: what is begun is short."""

    def arrays(self) -> dict[str, Array]:
        """The arrays of the block."""
        return self._found
