"""Numbers of a job that may be formulas: of the frame, or of the pixel as well.

Owns parsing with the key in every error, and evaluation to finite float64. Never evaluates text by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from jobs.sections import Number, Picture, Shade
from kernels.errors import RequestError
from kernels.expression import Formula, evaluate, parse

FRAME_NAMES = frozenset({"t"})
PIXEL_NAMES = frozenset({"u", "v"})

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """One number of a job: a constant, or a formula of t and perhaps of u and v."""

    key: str
    value: float | Formula

    @property
    def depends_on_frame(self) -> bool:
        """Whether the frame index occurs in it."""
        return isinstance(self.value, Formula) and not FRAME_NAMES.isdisjoint(self.value.names)

    @property
    def depends_on_pixel(self) -> bool:
        """Whether the pixel's coordinates occur in it."""
        return isinstance(self.value, Formula) and not PIXEL_NAMES.isdisjoint(self.value.names)

    def check(self, count: int) -> None:
        """RequestError where its values are not real, or without a pixel in it not finite, in one of the frames."""
        if self.depends_on_pixel:
            self.over_pixels(0, np.ones(1), np.ones(1))
        else:
            self.over_frames(count)

    def over_frames(self, count: int) -> Floats:
        """Its value in each frame, float64 of shape (count,); RequestError where one is not a finite real number."""
        if isinstance(self.value, float):
            return np.full(count, self.value)
        with np.errstate(all="ignore"):
            values = np.asarray(evaluate.numpy(self.value, {"t": np.arange(count, dtype=np.float64)}))
        frames = np.array(np.broadcast_to(self._real(values), (count,)))
        if not np.isfinite(frames).all():
            frame = int(np.argmin(np.isfinite(frames)))
            raise RequestError(f"{self.key}: {self.value.text!r} is {frames[frame]} in frame {frame}")
        return frames

    def over_pixels(self, frame: int, u: Floats, v: Floats) -> float | Floats:
        """Its value at points (u, v) of one frame: a float where no pixel occurs, else float64 that broadcasts."""
        if isinstance(self.value, float):
            return self.value
        with np.errstate(all="ignore"):
            values = self._real(np.asarray(evaluate.numpy(self.value, {"t": float(frame), "u": u, "v": v})))
        return values if self.depends_on_pixel else float(values)

    def _real(self, values: NDArray[np.generic]) -> Floats:
        if np.iscomplexobj(values):
            raise RequestError(f"{self.key}: a real number is needed; take re(...), im(...) or abs(...) of it")
        return values.astype(np.float64)


def frame_parameter(key: str, number: Number) -> Parameter:
    """A number that may depend on t only."""
    return _parameter(key, number, FRAME_NAMES)


def pixel_parameter(key: str, number: Number) -> Parameter:
    """A number that may depend on t, u and v."""
    return _parameter(key, number, FRAME_NAMES | PIXEL_NAMES)


def check_picture(picture: Picture, *, arrays: Iterable[str], parameters: Iterable[str]) -> None:
    """Refuse what analysis would refuse once the store is there; pixels are called `arrays`, numbers of the frame `parameters`.

    Raises RequestError naming the key: settings as `analysis.picture.resolve` looks at them, unknown names, values that
    are not real.
    """
    # It takes its time, and may load matplotlib: a list of jobs does without.
    from analysis.blocks import value_of
    from analysis.picture import resolve

    of_frame = ("t", *sorted(parameters))
    of_pixel = (*arrays, "x", "y", *of_frame)
    drawn = [parse(picture.value, names=of_pixel, key="picture.value")]
    if isinstance(picture.shade, Shade) and picture.shade.value is not None:
        drawn.append(parse(picture.shade.value, names=of_pixel, key="picture.shade.value"))
    for index, bound in enumerate(picture.range if isinstance(picture.range, tuple) else ()):
        if isinstance(bound, str):
            drawn.append(parse(bound, names=of_frame, key=f"picture.range[{index}]"))
    for formula in drawn:
        value_of(formula, {name: np.zeros(1) for name in formula.names})
    resolve({"pictures": msgspec.to_builtins(picture)})


def _parameter(key: str, number: Number, names: frozenset[str]) -> Parameter:
    return Parameter(key, parse(number, names=names, key=key) if isinstance(number, str) else float(number))
