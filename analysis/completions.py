"""What the language models of a training store wrote behind their prompts, as a table.

Owns the way from stored bytes to text that a terminal and a table can show. Never reads what is not finished.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from analysis.series import MOST_VALUES, Series
from analysis.totals import dimensions
from hpc import shards
from hpc.reading import Reader
from kernels.errors import RequestError

TEXT, START = "completion_text", "completion_start"
SHAPES = {TEXT: ("run", "temperature", "prompt", "byte"), START: ("run", "temperature", "prompt")}


def completions(reader: Reader, _picture: Mapping[str, Any] | None, _client: Any) -> Iterator[dict[str, Any]]:
    """A row for each run that is finished, each temperature and each prompt: the prompt, and what was written behind it.

    Line ends and other characters that are not printable are written as escapes, such as \\n. Raises RequestError for a
    store that has no completions, or none yet.
    """
    for name, expected in SHAPES.items():
        if name not in reader.arrays() or dimensions(reader, name) != expected:
            raise RequestError(f"{reader.path}: has no completions; training jobs of the task language have")
    texts, starts = reader.array(TEXT), reader.array(START)
    temperatures = texts.attrs.get("temperatures")
    if texts.dtype.kind != "u" or texts.dtype.itemsize != 1 or starts.dtype.kind != "i":
        raise RequestError(f"{reader.path}: {TEXT} is no text")
    if not isinstance(temperatures, list) or (texts.shape[0], len(temperatures), texts.shape[2]) != starts.shape:
        raise RequestError(f"{reader.path}: {TEXT} and {START} are not of the same prompts and temperatures")
    if math.prod(texts.shape[1:]) > MOST_VALUES:
        raise RequestError(f"{reader.path}: {TEXT} has more than {MOST_VALUES} bytes a run, too many for a table")

    labels = Series(reader).labels()
    finished = np.flatnonzero(reader.finished(TEXT).all(axis=(1, 2, 3)))
    if not len(finished):
        raise RequestError(f"{reader.path}: no run is finished, which is when it writes; run the job to its end first")
    for run in finished.tolist():
        text_of, start_of = (shards.read(array, [slice(run, run + 1)])[0] for array in (texts, starts))
        for place, temperature in enumerate(temperatures):
            for text, start in zip(text_of[place], start_of[place], strict=True):
                written = text.tobytes().rstrip(b"\0")
                yield {
                    "run": run,
                    "label": printable(labels[run]),
                    "temperature": printable(str(temperature)),
                    "prompt": printable(written[:start].decode(errors="replace")),
                    "completion": printable(written[start:].decode(errors="replace")),
                }


def printable(text: str) -> str:
    """The text with escapes for control characters, which would command a terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
