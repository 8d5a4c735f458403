"""The values of a picture: its formula over the arrays of a store, frame by frame, shard by shard, as Dask collections.

Owns the way from a store to ranges and colours. Never holds more of a frame than the shards in flight, and never draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from analysis import clusters, colour, scales
from analysis.blocks import Layers, count_nan_of_shard, count_shard, extent_of_shard, on_shard, paint_shard, value_of
from analysis.picture import Picture, Shade
from analysis.scales import Scale
from analysis.totals import dimensions
from hpc import shards
from hpc.reading import Reader
from kernels.errors import RequestError, one_line
from kernels.expression import Formula, parse

MAP = ("frame", "y", "x")
COMPONENTS = ("frame", "component", "y", "x")


@dataclass(frozen=True)
class Frame:
    """One frame of a picture, nothing computed yet."""

    layers: Layers

    def extent(self, *, positive: bool = False) -> Any:
        """Lowest and highest finite value of each shard: float64 (shard rows, shard columns, 2); NaN: it has none."""
        return self._over_shards(extent_of_shard, self._one_each(2), np.float64, positive=positive)

    def num_nan(self) -> Any:
        """How many values of each shard are not a number: int64 (shard rows, shard columns, 1)."""
        return self._over_shards(count_nan_of_shard, self._one_each(1), np.int64)

    def counts(self, low: float, high: float) -> Any:
        """How many finite values lie in each bin of `scales`: int64 (bins,)."""
        counts = self._over_shards(count_shard, self._one_each(scales.NUM_BINS), np.int32, low=low, high=high)
        return counts.sum(axis=(0, 1), dtype=np.int64)

    def painted(self, scale: Scale, shade: Shade | None = None) -> Any:
        """The picture: uint8 (rows, columns, 3), unfinished shards in flat grey."""
        sizes = zip(self.layers.shape, self.layers.shard, strict=True)
        chunks = da.core.normalize_chunks([shard for _, shard in sizes], self.layers.shape)
        return self._over_shards(paint_shard, (*chunks, (3,)), np.uint8, scale=scale, shade=shade)

    def _one_each(self, size: int) -> Any:
        return (*((1,) * count for count in self.layers.finished.shape), (size,))

    def _over_shards(self, function: Callable[..., Any], chunks: Any, dtype: Any, **options: Any) -> Any:
        return da.map_blocks(
            on_shard,
            function=function,
            layers=self.layers,
            dtype=dtype,
            chunks=chunks,
            meta=np.empty((0, 0, 0), dtype),
            **options,
        )


class Field:
    """The formula of a picture bound to a store, as it was finished when the field was made.

    `num_frames` counts the picture's frames, `shape` is (rows, columns). Pixels of component k of an array are called
    NAME_k in formulas. Raises RequestError for a formula that is none or uses a name that is not there.
    """

    def __init__(self, reader: Reader, picture: Picture) -> None:
        self.picture = picture
        self.reader = reader

        # Name what a formula may use: maps, their components, coordinates, parameters of the frame, t
        self._sources: dict[str, tuple[str, int]] = {}
        for name in reader.arrays():
            array = reader.array(name)
            if dimensions(reader, name) == MAP:
                self._sources[name] = (name, 0)
            elif dimensions(reader, name) == COMPONENTS:
                self._sources |= {f"{name}_{component}": (name, component) for component in range(array.shape[1])}
        if not self._sources:
            raise RequestError(f"{reader.path}: holds no map of pixels, so there is nothing to draw")
        constants = {name: reader.array(name) for name in reader.constants()}
        self._parameters = {name: shards.read(array) for name, array in constants.items() if array.ndim == 1}
        self._coordinates = {name: array for name, array in constants.items() if name in ("x", "y")}

        # Read the formulas
        names = (*self._sources, *sorted(self._coordinates), "t", *sorted(self._parameters))
        self.formula = parse(picture.value, names=names, key="picture.value")
        self._heights = None
        if picture.light is not None:
            text = picture.light.value
            self._heights = self.formula if text is None else parse(text, names=names, key="picture.shade.value")
        self._bounds: tuple[Formula, ...] = ()
        if not isinstance(picture.range, str):
            bounds = (str(bound) for bound in picture.range)
            self._bounds = tuple(parse(bound, names={*self._parameters, "t"}, key="picture.range") for bound in bounds)

        # All that the formulas use lies on one grid
        formulas = [formula for formula in (self.formula, self._heights) if formula is not None]
        named = frozenset().union(*(formula.names for formula in formulas))
        used = [name for name in sorted(named) if name in self._sources]
        self._used = used or sorted(self._sources)[:1]
        first, *others = (reader.array(self._sources[name][0]) for name in self._used)
        self.shape = _pair(first.shape)
        self.shard = _pair(first.shards or first.chunks)
        for other in others:
            if (_pair(other.shape), _pair(other.shards or other.chunks)) != (self.shape, self.shard):
                raise RequestError(f"picture.value: {picture.value!r} mixes arrays of different sizes")
        self.num_stored = first.shape[0]
        self.num_frames = picture.frames or self.num_stored
        finished = [reader.finished(self._sources[name][0]) for name in self._used]
        grid = (self.num_stored, *finished[0].shape[-2:])
        self._finished = np.logical_and.reduce([flags.reshape(grid) for flags in finished])
        for formula in formulas:
            value_of(formula, {name: np.zeros(1) for name in formula.names})

    def checked(self, t: int) -> int:
        """`t` where it is a frame of the picture. Raises RequestError where it is none."""
        if not 0 <= t < self.num_frames:
            raise RequestError(f"--frame {t}: not there; the frames of this picture are 0 to {self.num_frames - 1}")
        return t

    def title(self, t: int) -> str:
        """What picture frame `t` shows: the job's title and, of several frames, which one and the numbers that change."""
        parts = [one_line(self.reader.attributes["job"].get("title", ""))]
        if self.num_frames > 1:
            moving = [name for name, values in self._parameters.items() if len(np.unique(values)) > 1]
            scalars = self._scalars(t)
            parts += [f"frame {t}", ", ".join(f"{name} = {scalars[name]:.6g}" for name in sorted(moving))]
        return "; ".join(filter(None, parts))

    def stored_index(self, t: int) -> int:
        """The stored frame that picture frame `t` shows: its own, or the last one where fewer are stored."""
        return min(t, self.num_stored - 1)

    def finished_fraction(self, frames: Iterable[int]) -> float:
        """Share of the shards behind these picture frames that are computed, 0 to 1."""
        stored = sorted({self.stored_index(t) for t in frames})
        return float(np.mean(self._finished[stored]))

    def coordinates(self, name: str, t: int) -> NDArray[np.float64]:
        """The coordinate 'x' (columns,) or 'y' (rows,) of picture frame `t`."""
        return np.asarray(shards.read(self._coordinates[name], (self.stored_index(t),)), dtype=np.float64)

    def frame(self, t: int) -> Frame:
        """Picture frame `t`, lazily."""
        index = self.stored_index(t)
        sources = {name: self._sources[name] for name in self._used}
        maps = {
            name: (self.reader.array(source), self._index(source, index, k)) for name, (source, k) in sources.items()
        }
        return Frame(
            Layers(
                value=self.formula,
                heights=self._heights,
                maps=maps,
                x=self.coordinates("x", t),
                y=self.coordinates("y", t),
                scalars=self._scalars(t),
                finished=self._finished[index],
                shape=self.shape,
                shard=self.shard,
            )
        )

    def range(self, frames: Iterable[int], client: Any = None) -> tuple[float, float]:
        """The lowest and highest value over all of these picture frames, or what formulas of the settings say of the first.

        (0, 1) where there is no finite value. `client` is of `clusters.connect`.
        """
        frames = list(frames)
        is_log = self.picture.scale == "log"
        if self._bounds:
            low, high = self._stated_range(frames[0])
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise RequestError(
                    f"picture.range: [{low}, {high}] at t = {frames[0]} is no range; write the lower number first"
                )
            if is_log and low <= 0:
                raise RequestError(f"picture.range: [{low}, {high}] at t = {frames[0]}; scale = 'log' begins above 0")
            return low, high
        low, high = self.extent(frames, client, positive=is_log)
        return (0.1 if is_log else 0.0, 1.0) if math.isnan(low) else (low, high)

    def extent(self, frames: Iterable[int], client: Any = None, *, positive: bool = False) -> tuple[float, float]:
        """The lowest and highest finite value of the finished shards of these picture frames; NaN where there is none.

        Of the values above 0 alone where `positive`.
        """
        low, high = math.inf, -math.inf
        for t in frames:
            extents = clusters.compute(client, self.frame(t).extent(positive=positive))
            finite = extents[np.isfinite(extents)]
            low, high = min(low, finite.min(initial=math.inf)), max(high, finite.max(initial=-math.inf))
        return (float(low), float(high)) if low <= high else (math.nan, math.nan)

    def scale(self, frames: Iterable[int], client: Any = None) -> Scale:
        """The colours of these picture frames, with one range, and one histogram, for all of them."""
        frames = list(frames)
        picture = self.picture
        low, high = (0.0, picture.cycle) if picture.cycle else self.range(frames, client)
        ranks = None
        if picture.scale == "histogram":
            counts = np.zeros(scales.NUM_BINS, np.int64)
            for t in frames:
                counts += clusters.compute(client, self.frame(t).counts(low, high))
            ranks = scales.ranks(counts)
        colours, background = colour.table(picture.colormap), colour.colour(picture.background)
        return Scale(colours, low, high, background, picture.scale, picture.cycle, ranks)

    def common_scale(self, client: Any = None) -> Scale | None:
        """The colours of all frames of the picture where they share one range; None where each has its own."""
        frames = range(self.num_frames)
        if self.picture.range == "frame":
            return None
        if self._bounds and len({self._stated_range(t) for t in frames}) > 1:
            return None
        return self.scale(frames, client)

    def _stated_range(self, t: int) -> tuple[float, float]:
        low, high = (float(np.real(value_of(bound, self._scalars(t)))) for bound in self._bounds)
        return low, high

    def _index(self, source: str, index: int, component: int) -> tuple[int, ...]:
        """Where a map lies in its array: the indices of its leading dimensions."""
        return (index,) if self.reader.array(source).ndim == len(MAP) else (index, component)

    def _scalars(self, t: int) -> dict[str, float]:
        index = self.stored_index(t)
        return {"t": float(t)} | {name: float(values[index]) for name, values in self._parameters.items()}


def _pair(sizes: tuple[int, ...]) -> tuple[int, int]:
    """The last two sizes: rows and columns."""
    return sizes[-2], sizes[-1]
