"""One row for each run of a training job: what distinguishes it, and what it came to.

Owns the table of runs. Arrays over steps are told by their last number; never reads what is not finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.series import RUN, Series
from analysis.totals import dimensions
from hpc.reading import Reader
from kernels.errors import RequestError


def runs(reader: Reader, _picture: Mapping[str, Any] | None, _client: Any) -> Iterator[dict[str, Any]]:
    """The runs of a sweep: label, the constants of each, and of every array of runs the last number and the smallest.

    Arrays of more dimensions than run and step say nothing in one number and are left out.
    """
    series = Series(reader)
    by_run = [name for name in (*reader.constants(), *reader.arrays()) if dimensions(reader, name)[:1] == (RUN,)]
    told = [name for name in by_run if reader.array(name).ndim <= 2]
    if not told:
        raise RequestError(f"{reader.path}: has no runs; its measures are those of maps")
    for run, label in enumerate(series.labels()):
        row: dict[str, Any] = {"run": run, "label": label}
        for name in told:
            values = series.values(name, run, key="runs")
            row[name] = last(values)
            if values.ndim == 1:
                row[f"{name}_min"] = float(np.nanmin(values)) if np.isfinite(values).any() else None
        yield row


def last(values: NDArray[Any]) -> float | None:
    """The last number in C order that is finite, None where there is none."""
    finite = np.ravel(values)[np.isfinite(np.ravel(values))]
    return float(finite[-1]) if finite.size else None
