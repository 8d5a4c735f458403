"""The values of a picture: its formula over the arrays of a store, frame by frame, shard by shard, as Dask collections.

Owns the way from a store to ranges and colours. Never holds more of a frame than the shards in flight, and never draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from analysis import clusters, colour
from analysis.blocks import Scale, extent_of_block, on_block, paint_block, value_of
from analysis.picture import Picture
from analysis.totals import dimensions
from hpc.reading import Reader
from kernels.errors import RequestError
from kernels.expression import Formula, parse

MAP = ("frame", "y", "x")
COMPONENTS = ("frame", "component", "y", "x")


@dataclass(frozen=True)
class Frame:
    """One frame of a picture, nothing computed yet.

    `operands` are Dask arrays by name, each (rows, columns), (rows, 1) or (1, columns), in chunks of one shard, the
    first of them (rows, columns); `scalars` the parameters of this frame and `t`; `finished` one flag a shard.
    """

    formula: Formula
    operands: Mapping[str, Any]
    scalars: Mapping[str, float]
    finished: NDArray[np.bool_]

    def extent(self) -> Any:
        """Lowest and highest finite value of each shard: float64 (shard rows, shard columns, 2); NaN: it has none."""
        one_each = tuple((1,) * count for count in self.finished.shape)
        return self._over_shards(extent_of_block, (*one_each, (2,)), np.dtype(np.float64))

    def painted(self, scale: Scale) -> Any:
        """The picture: uint8 (rows, columns, 3), unfinished shards in flat grey."""
        row_chunks, column_chunks = next(iter(self.operands.values())).chunks
        return self._over_shards(paint_block, (row_chunks, column_chunks, (3,)), np.dtype(np.uint8), scale=scale)

    def _over_shards(self, function: Callable[..., Any], chunks: Any, dtype: np.dtype[Any], **options: Any) -> Any:
        return da.map_blocks(
            on_block,
            *self.operands.values(),
            function=function,
            names=tuple(self.operands),
            formula=self.formula,
            scalars=dict(self.scalars),
            finished=self.finished,
            dtype=dtype,
            chunks=chunks,
            new_axis=2,
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
        constants = {name: reader.constant(name) for name in reader.constants()}
        self._parameters = {name: values for name, values in constants.items() if values.ndim == 1}
        self._coordinates = {name: values for name, values in constants.items() if name in ("x", "y")}

        # Read the formulas
        names = {*self._sources, *self._parameters, *self._coordinates, "t"}
        self.formula = parse(picture.value, names=names, key="picture.value")
        self._bounds: tuple[Formula, ...] = ()
        if not isinstance(picture.range, str):
            bounds = (str(bound) for bound in picture.range)
            self._bounds = tuple(parse(bound, names={*self._parameters, "t"}, key="picture.range") for bound in bounds)

        # All that one formula uses lies on one grid
        used = [name for name in sorted(self.formula.names) if name in self._sources]
        self._used = used or sorted(self._sources)[:1]
        first, *others = (reader.array(self._sources[name][0]) for name in self._used)
        self.shape = first.shape[-2:]
        self.shard = (first.shards or first.chunks)[-2:]
        for other in others:
            if other.shape[-2:] != self.shape or (other.shards or other.chunks)[-2:] != self.shard:
                raise RequestError(f"picture.value: {picture.value!r} mixes arrays of different sizes")
        self.num_stored = first.shape[0]
        self.num_frames = picture.frames or self.num_stored
        finished = [reader.finished(self._sources[name][0]) for name in self._used]
        grid = (self.num_stored, *finished[0].shape[-2:])
        self._finished = np.logical_and.reduce([flags.reshape(grid) for flags in finished])
        value_of(self.formula, {name: np.zeros(1) for name in self.formula.names})

    def checked(self, t: int) -> int:
        """`t` where it is a frame of the picture. Raises RequestError where it is none."""
        if not 0 <= t < self.num_frames:
            raise RequestError(f"--frame {t}: not there; the frames of this picture are 0 to {self.num_frames - 1}")
        return t

    def stored_index(self, t: int) -> int:
        """The stored frame that picture frame `t` shows: its own, or the last one where fewer are stored."""
        return min(t, self.num_stored - 1)

    def finished_fraction(self, frames: Iterable[int]) -> float:
        """Share of the shards behind these picture frames that are computed, 0 to 1."""
        stored = sorted({self.stored_index(t) for t in frames})
        return float(np.mean(self._finished[stored]))

    def coordinates(self, name: str, t: int) -> NDArray[np.float64]:
        """The coordinate 'x' (columns,) or 'y' (rows,) of picture frame `t`."""
        return np.asarray(self._coordinates[name][self.stored_index(t)], dtype=np.float64)

    def frame(self, t: int) -> Frame:
        """Picture frame `t`, lazily."""
        index = self.stored_index(t)
        operands = {name: self._map(name, index) for name in self._used}
        if "x" in self.formula.names:
            operands["x"] = da.from_array(self.coordinates("x", t)[None, :], chunks=(1, self.shard[1]))
        if "y" in self.formula.names:
            operands["y"] = da.from_array(self.coordinates("y", t)[:, None], chunks=(self.shard[0], 1))
        scalars = {name: value for name, value in self._scalars(t).items() if name in self.formula.names}
        return Frame(self.formula, operands, scalars, self._finished[index])

    def range(self, frames: Iterable[int], client: Any = None) -> tuple[float, float]:
        """The lowest and highest value over all of these picture frames, or what formulas of the settings say of the first.

        (0, 1) where there is no finite value. `client` is of `clusters.connect`.
        """
        frames = list(frames)
        if self._bounds:
            low, high = (float(np.real(value_of(bound, self._scalars(frames[0])))) for bound in self._bounds)
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise RequestError(
                    f"picture.range: [{low}, {high}] at t = {frames[0]} is no range; write the lower number first"
                )
            return low, high
        low, high = self.extent(frames, client)
        return (0.0, 1.0) if math.isnan(low) else (low, high)

    def extent(self, frames: Iterable[int], client: Any = None) -> tuple[float, float]:
        """The lowest and highest finite value of the finished shards of these picture frames; NaN where there is none."""
        low, high = math.inf, -math.inf
        for t in frames:
            extents = clusters.compute(client, self.frame(t).extent())
            finite = extents[np.isfinite(extents)]
            low, high = min(low, finite.min(initial=math.inf)), max(high, finite.max(initial=-math.inf))
        return (float(low), float(high)) if low <= high else (math.nan, math.nan)

    def scale(self, frames: Iterable[int], client: Any = None) -> Scale:
        """The colours of these picture frames, with one range for all of them."""
        low, high = self.range(frames, client)
        return Scale(colour.table(self.picture.colormap), low, high, colour.colour(self.picture.background))

    def _map(self, name: str, index: int) -> Any:
        source, component = self._sources[name]
        array = self.reader.array(source)
        lazy = da.from_zarr(array, chunks=array.shards or array.chunks)
        return lazy[index] if array.ndim == len(MAP) else lazy[index, component]

    def _scalars(self, t: int) -> dict[str, float]:
        index = self.stored_index(t)
        return {"t": float(t)} | {name: float(values[index]) for name, values in self._parameters.items()}
