"""The table of a regression job with its linear estimates as a column, in the table's own layout.

Owns the way from stored estimates back to the rows that they are of. Never reads a table that is not the one of the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc import shards
from hpc.reading import Reader
from kernels.errors import RequestError
from networks.data import sources, tables

ESTIMATES = "linear_estimation"


def estimates(reader: Reader, _picture: Mapping[str, Any] | None, _client: Any) -> Iterator[dict[str, Any]]:
    """Each row of the table with the column `Linear Estimation`, replaced or added: a table that a job can read.

    Raises RequestError for a store without estimates, or whose runs have different ones, and for a table that has changed.
    """
    found = _estimates(reader)
    columns = dict(_table(reader, len(found)).columns)
    columns[tables.DELIVERIES_ESTIMATION] = tuple(str(int(value)) for value in found)
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(columns, row, strict=True))


def _estimates(reader: Reader) -> NDArray[np.float64]:
    """Of all rows, the same in all runs."""
    if ESTIMATES not in reader.arrays() or reader.array(ESTIMATES).ndim != 2:
        problem = "training jobs of the task regression with data.linear_estimation = true have"
        raise RequestError(f"{reader.path}: has no linear estimates; {problem}")
    if not reader.finished(ESTIMATES).all():
        raise RequestError(f"{reader.path}: is not finished; run the job to its end first")
    found = shards.read(reader.array(ESTIMATES))
    if not np.isfinite(found).all() or (found != found[0]).any():
        raise RequestError(f"{reader.path}: its runs have estimates of their own; make a job for each")
    return np.asarray(found[0], dtype=np.float64)


def _table(reader: Reader, num_rows: int) -> tables.Table:
    """What the estimates are of: generated again, or the file if it is still the same."""
    data, manifests = reader.attributes["job"].get("data", {}), reader.identity.get("manifest", [])
    manifest = manifests[0] if len(manifests) == 1 else {}
    if "generator" in manifest:
        asked = [manifest[key] for key in ("generator", "count", "seed", "parameters")]
        unchanged = sources.describe_generated(*asked) == manifest
        table = tables.read(sources.generated(*asked), num_rows)
    else:
        table = tables.read(Path(str(data.get("path"))).expanduser(), num_rows)
        unchanged = sources.describe_files([table.path])["files"] == manifest.get("files")
    if not unchanged or len(table) != num_rows:
        raise RequestError(f"{reader.path}: {table.path} is not the table that its estimates are of; put that back")
    return table
