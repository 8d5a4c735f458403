"""A finished corpus store as the text of a training job: the same windows as from the text itself.

Owns the check that a store is a corpus and whole. Never writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpc.reading import Reader, open_for_reading
from kernels.errors import RequestError
from networks.data import layouts, text, tokenisers


def load(store: Path, context: int, packing: text.Packing = "stream") -> text.Corpus:
    """The windows of a store. Raises RequestError for a store of another kind, or one that is not finished."""
    reader = _open(store)
    counts, splits = reader.read("token_count"), reader.constant("split")
    rows = reader.read("tokens")
    frozen = reader.read("tokeniser").tobytes().rstrip(b"\0")
    tokeniser = tokenisers.thaw(frozen, f"{store}: tokeniser")
    tokens = {
        name: np.concatenate([rows[block, : counts[block]] for block in np.flatnonzero(splits == number)])
        for number, name in enumerate(layouts.SPLIT_WORDS)
        if (splits == number).any()
    }
    found = {name: text.windows(row, context, packing) for name, row in tokens.items()}
    for name in ("train", "valid"):
        if not len(found[name]):
            raise RequestError(f"{store}: no two tokens for {name}; make it of more text")
    sizes = {name: int(row.size) for name, row in tokens.items()}
    return text.Corpus(tokeniser, found, {**describe(store), "tokens": sizes})


def describe(store: Path) -> dict[str, Any]:
    """What enters the identity of a job that reads the store: the job that made it, its text and licence."""
    reader = _open(store)
    manifest = reader.attributes.get("manifest")
    return {"corpus": reader.attributes["job_hash"], "manifest": manifest}


def _open(store: Path) -> Reader:
    reader = open_for_reading(store)
    if reader.attributes["kind"] != "corpus":
        raise RequestError(
            f"{store}: is a store of kind {reader.attributes['kind']}; data.path takes one of kind corpus"
        )
    for stage in ("tokeniser", "tokens"):
        if not reader.finished_units(stage).all():
            raise RequestError(f"{store}: is not finished; run its job again")
    return reader
