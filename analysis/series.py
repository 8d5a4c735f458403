"""What a plot shows, as plain arrays: its formulas over the arrays of a store, one run of a sweep after the other.

Owns the way from a store to numbers by run. Plots are small: arrays are read whole, up to a limit. Never draws.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.blocks import value_of
from analysis.totals import dimensions
from hpc import shards
from hpc.reading import Reader
from kernels.errors import RequestError
from kernels.expression import parse

MOST_VALUES = 1 << 26
"""Of one array: half a gigabyte. More is no plot."""

RUN = "run"
SEED = "seed"


class Series:
    """The formulas of a plot bound to a store, as it was finished when the series was made.

    `num_runs` counts the runs of a training job's sweep, 1 where there are none. In formulas an array is what it is for
    the run, a constant likewise, and the name of a dimension counts along it from 0. What is not computed is NaN.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._names = {*reader.arrays(), *reader.constants()}
        self._dimensions = {name: dimensions(reader, name) for name in self._names}
        lengths = [reader.array(name).shape[0] for name, found in self._dimensions.items() if found and found[0] == RUN]
        self.num_runs = max(lengths, default=1)
        self._loaded: dict[str, NDArray[np.float64]] = {}

    def labels(self) -> list[str]:
        """What distinguishes each run: its name, or the values of the job's sweep; empty texts where there is neither."""
        names = self.reader.attributes.get("runs")
        if isinstance(names, list) and len(names) == self.num_runs:
            return [str(name) for name in names]
        return run_labels(self.reader.attributes["job"], self.num_runs)

    def groups(self) -> list[str]:
        """As `labels` without the seeds, where the sweep has other keys besides: runs of one text repeat one experiment."""
        labels = self.labels()
        if labels != run_labels(self.reader.attributes["job"], self.num_runs):
            return labels
        return run_labels(self.reader.attributes["job"], self.num_runs, with_seeds=False)

    def share_finished(self, formulas: Mapping[str, str]) -> float:
        """How much of the arrays in these formulas, by key of `[picture]`, is computed, from 0 to 1; constants always are."""
        known = self._known()
        names = {
            name for key, text in formulas.items() for name in parse(text, names=known, key=f"picture.{key}").names
        }
        shares = [float(self.reader.finished(name).mean()) for name in names & {*self.reader.arrays()}]
        return sum(shares) / len(shares) if shares else 1.0

    def values(self, text: str, run: int, *, key: str) -> NDArray[np.float64]:
        """A formula's values for one run: float64, of whatever shape its names have.

        Raises RequestError naming `key` for a formula that is none, uses unknown names, or joins shapes that do not fit.
        """
        formula = parse(text, names=self._known(), key=key)
        values: dict[str, Any] = {}
        shape: tuple[str | None, ...] = ()
        for name in sorted(formula.names & self._names):
            values[name], own = self._of_run(name, run)
            shape = own if len(own) > len(shape) else shape
        for name in formula.names - self._names:
            values[name] = self._counted(name, shape, run)
        try:
            with np.errstate(all="ignore"):
                found = value_of(formula, values)
        except ValueError:
            raise RequestError(f"{key}: joins arrays of different shapes; draw one after the other") from None
        return np.asarray(found, dtype=np.float64)

    def dimensions(self, text: str) -> tuple[str, ...]:
        """The names of the dimensions of a formula's values for one run, empty texts for those without a name."""
        names = parse(text, names=self._known(), key="picture").names
        found = max((self._dimensions[name] for name in names & self._names), key=len, default=())
        return tuple(one or "" for one in (found[1:] if found[:1] == (RUN,) else found))

    def _known(self) -> frozenset[str]:
        """Every name that a formula may use."""
        of_dimensions = {one for found in self._dimensions.values() for one in found if one} - {RUN}
        return frozenset(self._names | of_dimensions)

    def _of_run(self, name: str, run: int) -> tuple[NDArray[np.float64], tuple[str | None, ...]]:
        """The values of an array for a run, and the names of its dimensions but the run's."""
        found = self._dimensions[name]
        whole = self._load(name)
        return (whole[run], found[1:]) if found[:1] == (RUN,) else (whole, found)

    def _load(self, name: str) -> NDArray[np.float64]:
        """A whole array as float64, NaN where it is not computed."""
        if name not in self._loaded:
            array = self.reader.array(name)
            if array.size > MOST_VALUES:
                raise RequestError(f"{self.reader.path}: {name} has {array.size} values, a plot takes {MOST_VALUES}")
            finished = self.reader.finished(name)
            values = shards.read(array, finished=finished).astype(np.float64)
            if name in self.reader.arrays():
                for axis, size in enumerate(array.shards or array.chunks):
                    finished = np.repeat(finished, size, axis=axis)
                values[~finished[tuple(slice(0, size) for size in values.shape)]] = math.nan
            self._loaded[name] = values
        return self._loaded[name]

    def _counted(self, name: str, shape: tuple[str | None, ...], run: int) -> NDArray[np.float64]:
        """0, 1, ... along a dimension, shaped to meet arrays of the dimensions `shape`."""
        axis = shape.index(name) if name in shape else None
        for array, found in self._dimensions.items():
            if name in found:
                length = self._of_run(array, run)[0].shape[[one for one in found if one != RUN].index(name)]
                counted = np.arange(length, dtype=np.float64)
                return counted if axis is None else counted.reshape(-1, *(1,) * (len(shape) - 1 - axis))
        raise AssertionError(name)


def run_labels(job: Mapping[str, Any], num_runs: int, *, with_seeds: bool = True) -> list[str]:
    """The values of `[sweep]` that each run has, as 'width = 64, depth = 2'; empty texts without a sweep.

    Keys are shortened to their last part. Several keys are a product, the last one changing fastest, unless zipped. Without
    seeds, keys of that name are left out where there are others.
    """
    sweep = {key: value for key, value in (job.get("sweep") or {}).items() if isinstance(value, list | tuple)}
    zipped = bool((job.get("sweep") or {}).get("zip"))
    every = list(zip(*sweep.values(), strict=False) if zipped else itertools.product(*sweep.values()))
    if not sweep or len(every) != num_runs:
        return [""] * num_runs if num_runs == 1 else [f"run {run}" for run in range(num_runs)]
    names = [key.rpartition(".")[2] for key in sweep]
    kept = [place for place, name in enumerate(names) if with_seeds or name != SEED] or range(len(names))
    return [", ".join(f"{names[place]} = {values[place]}" for place in kept) for values in every]
