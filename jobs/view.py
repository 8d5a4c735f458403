"""Pixels <-> coordinates: the formulas of the View contract, by index, in float64.

A tile's coordinates are a slice of the whole frame's, bit for bit; nothing here knows what is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jobs.sections import Number, View
from kernels.errors import RequestError
from kernels.expression import Formula, evaluate, parse

Floats = NDArray[np.float64]

MAX_COORDINATE_BYTES = 4 << 30

MOST_WINDOWS = 1 << 17
"""Views that are remembered: of all frames, since decimal arithmetic takes a tenth of a millisecond a view."""


@dataclass(frozen=True)
class Window:
    """The view of one frame in plain numbers; lengths in units of u and v, `rotation` in degrees."""

    center: tuple[float, float]
    width: float
    height: float
    columns: int
    rows: int
    sampling: Literal["center", "edge", "inclusive"]
    rows_up: bool
    rotation: float

    def horizontal(self, start: int, stop: int) -> Floats:
        """First coordinate of columns start ... stop - 1 before rotation, float64 of shape (stop - start,)."""
        left = self.center[0] - self.width / 2
        return self._sample(self.center[0], left, self.width, self.columns, start, stop)

    def vertical(self, start: int, stop: int) -> Floats:
        """Second coordinate of rows start ... stop - 1 before rotation; row 0 is the top row of the picture."""
        if self.rows_up:
            top = self.center[1] + self.height / 2
            return self._sample(self.center[1], top, -self.height, self.rows, start, stop)
        bottom = self.center[1] - self.height / 2
        return self._sample(self.center[1], bottom, self.height, self.rows, start, stop)

    def points(self, rows: slice, columns: slice) -> tuple[Floats, Floats]:
        """u and v of a tile (slices with start and stop); they broadcast to (rows, columns)."""
        u = self.horizontal(columns.start, columns.stop)[np.newaxis, :]
        v = self.vertical(rows.start, rows.stop)[:, np.newaxis]
        if self.rotation == 0.0:
            return u, v
        cosine, sine = _turn(self.rotation)
        across, up = u - self.center[0], v - self.center[1]
        return self.center[0] + (across * cosine - up * sine), self.center[1] + (across * sine + up * cosine)

    def _sample(self, middle: float, first: float, length: float, number: int, start: int, stop: int) -> Floats:
        index = np.arange(start, stop, dtype=np.int64).astype(np.float64)
        if self.sampling == "edge":
            return first + (index * length) / number
        if self.sampling == "center":
            return first + ((index + 0.5) * length) / number
        if number == 1:
            return np.full(stop - start, middle)
        return first + (index * length) / (number - 1)


@lru_cache(maxsize=MOST_WINDOWS)
def window(view: View, frame: int) -> Window:
    """The view of one frame; RequestError names the key of a number that makes no view."""
    columns, rows = view.resolution
    width = _number("view.width", view.width, frame)
    height = width * rows / columns if view.height is None else _number("view.height", view.height, frame)
    result = Window(
        center=(
            _number("view.center[0]", view.center[0], frame),
            _number("view.center[1]", view.center[1], frame),
        ),
        width=width,
        height=height,
        columns=columns,
        rows=rows,
        sampling=view.sampling,
        rows_up=view.rows == "up",
        rotation=_number("view.rotation", view.rotation, frame),
    )
    for name, center, length, number in (
        ("width", result.center[0], width, columns),
        ("height", result.center[1], height, rows),
    ):
        if length <= 0:
            raise RequestError(f"view.{name}: must be larger than 0; it is {length} in frame {frame}")
        if not math.isfinite(length * number) or not math.isfinite(abs(center) + length):
            raise RequestError(f"view.{name}: the coordinates of frame {frame} overflow; it is {length}")
        if number > 1 and length / number < math.ulp(abs(center) + length / 2):
            raise RequestError(f"view.{name}: the pixels of frame {frame} are closer than float64 can tell apart")
    return result


def check(view: View, count: int) -> None:
    """Look at the view of every frame; RequestError names the key of a number that makes no view."""
    for frame in range(count if depends_on_frame(view) else 1):
        window(view, frame)
    columns, rows = view.resolution
    if 8 * count * (columns + rows) > MAX_COORDINATE_BYTES:
        raise RequestError(
            f"frames.count: {count} frames of {columns} x {rows} have more coordinates than a store takes"
        )


@dataclass(frozen=True)
class Coordinates:
    """x (axis 0) or y of all frames before rotation, float64 of `shape` (frames, columns or rows), computed when read."""

    view: View
    count: int
    axis: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of frames, and of columns or rows."""
        return self.count, self.view.resolution[self.axis]

    def __getitem__(self, region: tuple[slice, ...]) -> Floats:
        """The coordinates of a slice of frames and one of columns or rows, read-only where the view does not move."""
        frames, places = (range(size)[part] for part, size in zip(region, self.shape, strict=True))
        if not depends_on_frame(self.view):
            return np.broadcast_to(self._line(0, places), (len(frames), len(places)))
        found = np.empty((len(frames), len(places)))
        for line, frame in zip(found, frames, strict=True):
            line[:] = self._line(frame, places)
        return found

    def _line(self, frame: int, places: range) -> Floats:
        here = window(self.view, frame)
        sample = here.vertical if self.axis else here.horizontal
        return sample(places.start, places.stop)


def depends_on_frame(view: View) -> bool:
    """Whether the view moves with t."""
    numbers = {
        "view.center[0]": view.center[0],
        "view.center[1]": view.center[1],
        "view.width": view.width,
        "view.height": view.height,
        "view.rotation": view.rotation,
    }
    return any(isinstance(number, str) and "t" in _parse(key, number).names for key, number in numbers.items())


def _number(key: str, number: Number, frame: int) -> float:
    """One number of a view, in decimal arithmetic, rounded once."""
    if not isinstance(number, str):
        return float(number)
    value = evaluate.decimal(_parse(key, number), {"t": frame})
    if not math.isfinite(value):
        raise RequestError(f"{key}: {number!r} is {value} in frame {frame}")
    return value


@lru_cache
def _parse(key: str, text: str) -> Formula:
    return parse(text, names={"t"}, key=key)


def _turn(degrees: float) -> tuple[float, float]:
    """Cosine and sine, exact at quarter turns."""
    quarters, rest = divmod(degrees, 90.0)
    angle = math.radians(rest)
    cosine, sine = math.cos(angle), math.sin(angle)
    for _ in range(int(quarters) % 4):
        cosine, sine = -sine, cosine
    return cosine, sine
