"""Pair files: a line is an input, a tab and an output, as texts.

Owns the reading of such lines. What is in them, tokenisers know.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kernels.errors import RequestError
from networks.data import layouts
from networks.data.layouts import Span

IN_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True)
class Pairs:
    """Inputs and outputs by split: `train` and `valid`, and `test` where there is one."""

    splits: dict[str, tuple[tuple[str, str], ...]]
    files: tuple[Path, ...]


def load(path: Path) -> Pairs:
    """The pairs of a folder or file, whose splits are found as those of a text.

    Raises RequestError for a line that is no pair, naming it.
    """
    text = layouts.find(path)
    splits = {name: tuple(_pairs(span)) for name, span in text.splits.items()}
    return Pairs(splits, text.files)


def _pairs(span: Span) -> list[tuple[str, str]]:
    if span.num_bytes > IN_MEMORY_BYTES:
        raise RequestError(f"data file {span.path} has more than {IN_MEMORY_BYTES} bytes of pairs; give a shorter one")
    found = []
    for piece in layouts.pieces(span, "plain", span):
        for number, line in enumerate(piece.text.removesuffix("\n").split("\n"), 1):
            parts = line.split("\t")
            if len(parts) != 2 or not all(parts):
                where = f"line {number}" if not span.start else f"line {number} of its last part"
                raise RequestError(f"data file {span.path}: {where} is not an input, a tab and an output")
            found.append((parts[0], parts[1]))
    return found
