"""The sections that every job kind shares, as frozen typed records.

Owns names, types and defaults of CONTRACT keys; what a value means is decided where it is used.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Number = float | str
"""A number, or a formula of the frame index t (and of the pixel where a kind allows it)."""

Size = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
FrameCount = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Threads = Annotated[int, msgspec.Meta(ge=1, le=1024)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: frozen, no unknown keys."""


class View(Section, frozen=True, kw_only=True):
    """Which points of the plane the pixels are; see jobs/view.py for the formulas. `rotation` is in degrees."""

    center: tuple[Number, Number] = (0.0, 0.0)
    width: Number
    height: Number | None = None
    resolution: tuple[Size, Size]
    sampling: Literal["center", "edge", "inclusive"] = "center"
    rows: Literal["up", "down"] = "up"
    rotation: Number = 0.0
    axes: tuple[str, str] = ("x", "y")


class Frames(Section, frozen=True, kw_only=True):
    """How many values the frame index t takes: 0 ... count - 1."""

    count: FrameCount = 1


class Numerics(Section, frozen=True, kw_only=True):
    """Precision and policy of the arithmetic."""

    precision: Literal["auto", "float32", "float64", "double-double", "perturbation"] = "auto"
    arithmetic: Literal["reproducible", "plain", "fast"] = "reproducible"


class RunSection(Section, frozen=True, kw_only=True):
    """Where and how the work runs. `shard` and `chunk` are [rows, columns] and belong to the store's layout."""

    threads: Threads | None = None
    device: Literal["auto", "host", "cuda"] = "auto"
    grace_s: Seconds = 10.0
    deadline: str | None = None
    progress: Literal["auto", "bar", "lines", "none"] = "auto"
    shard: tuple[Size, Size] | None = None
    chunk: tuple[Size, Size] | None = None


class Shade(Section, frozen=True, kw_only=True):
    """Light on a picture: where it comes from in degrees, the slope, and the formula of the heights (the picture's own)."""

    azimuth: float = 315.0
    elevation: Annotated[float, msgspec.Meta(gt=0, le=90)] = 45.0
    height: float = 1.0
    value: str | None = None


class Picture(Section, frozen=True, kw_only=True):
    """How a finished store is drawn; written to the store, so that analysis reads nothing else."""

    value: str
    frames: FrameCount | None = None
    colormap: str
    range: Literal["auto", "frame"] | tuple[Number, Number] = "auto"
    background: str = "black"
    axes: bool = False
    fps: Annotated[float, msgspec.Meta(ge=0.001, le=1000)] = 30.0
    scale: Literal["linear", "log", "histogram"] = "linear"
    cycle: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    shade: Shade | bool = False


class Check(Section, frozen=True, kw_only=True):
    """One known result: the job with `overrides` laid over it has this `quantity`, to within `tolerance`."""

    overrides: dict[str, Any] = {}
    quantity: str
    value: float | str
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.0
