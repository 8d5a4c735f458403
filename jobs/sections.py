"""The sections that every job kind shares, as frozen typed records.

Owns names, types, defaults and descriptions of the keys; what a value does is decided where it is used. The text below a
field is its line in docs/job.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Number = Annotated[float | str, msgspec.Meta(description="number or formula")]
"""A number, or a formula of the frame index t (and of the pixel where a kind allows it)."""

FormulaText = Annotated[str, msgspec.Meta(description="formula")]

Size = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
FrameCount = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Threads = Annotated[int, msgspec.Meta(ge=1, le=1024)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: frozen, no unknown keys."""


class View(Section, frozen=True, kw_only=True):
    """Which points (u, v) of the plane the pixels are. Its numbers may be formulas of t, which makes zooms."""

    center: tuple[Number, Number] = (0.0, 0.0)
    """The point in the middle."""

    width: Number
    """Length of the view along u."""

    height: Number | None = None
    """Length of the view along v; so that pixels are squares unless given."""

    resolution: tuple[Size, Size]
    """Columns and rows of pixels."""

    sampling: Literal["center", "edge", "inclusive"] = "center"
    """Where in its cell a pixel's point is: in the middle; at the first edge; or spread from the first edge of the view to
    the last one, both included."""

    rows: Literal["up", "down"] = "up"
    """Whether v grows upwards or downwards in pictures."""

    rotation: Number = 0.0
    """Turns the points about the centre, in degrees, anticlockwise in the plane of u and v."""

    axes: tuple[str, str] = ("x", "y")
    """Names of u and v in pictures with axes: labels only. What u and v mean, the kind's own sections say."""


class Frames(Section, frozen=True, kw_only=True):
    """How many maps there are: a video's frames."""

    count: FrameCount = 1
    """How many values t takes: 0 ... count - 1."""


class Numerics(Section, frozen=True, kw_only=True):
    """Precision and policy of the arithmetic."""

    precision: Literal["auto", "float32", "float64", "double-double", "perturbation"] = "auto"
    """Type of the numbers; `auto` is float64. No kind offers double-double and perturbation yet."""

    arithmetic: Literal["reproducible", "plain", "fast"] = "reproducible"
    """`reproducible`: products and sums are fused, the same bytes on every CPU and GPU. `plain`: each operation is rounded, as
    NumPy does. `fast`: the compiler may reorder; results differ between devices."""


class RunSection(Section, frozen=True, kw_only=True):
    """Where and how the work runs. It may change from one run into a store to the next, but for `shard` and `chunk` of maps."""

    threads: Threads | None = None
    """CPU threads of a rank; the usable cores, shared out among the ranks of a host, unless given."""

    device: Literal["auto", "host", "cuda"] = "auto"
    """CPU (`host`) or GPU (`cuda`); `auto` takes a GPU where there is one."""

    grace_s: Seconds = 10.0
    """Seconds that units in flight are given to finish once the run is told to stop."""

    deadline: str | None = None
    """When the run must have ended: a duration from its start (3600, 90m, 2h, 1d) or a time (2026-08-01T18:00). Under SLURM it
    is the end of the batch job."""

    progress: Literal["auto", "bar", "lines", "none"] = "auto"
    """How progress is shown; `auto` is a bar on a terminal, else lines."""


class MapRun(RunSection, frozen=True, kw_only=True):
    """Where and how the work runs. All but `shard` and `chunk` may change from one run into a store to the next."""

    shard: tuple[Size, Size] | None = None
    """Rows and columns of a shard: one file, and one unit of work; chosen from size and steps unless given."""

    chunk: tuple[Size, Size] | None = None
    """Rows and columns of what is compressed as a piece; a divisor of the shard, at most 256, unless given."""


class Shade(Section, frozen=True, kw_only=True):
    """Light on a picture, as on a landscape whose heights are its values."""

    azimuth: float = 315.0
    """Where the light comes from: degrees clockwise from the top."""

    elevation: Annotated[float, msgspec.Meta(gt=0, le=90)] = 45.0
    """Degrees above the page."""

    height: float = 1.0
    """Slope of the landscape, rise over run; below 0 hills are valleys."""

    value: FormulaText | None = None
    """Formula of the heights; the picture's own unless given."""


class Picture(Section, frozen=True, kw_only=True):
    """How a store is drawn unless `image` and `video` are told otherwise. See docs/pictures.md."""

    value: FormulaText
    """What is drawn: a formula of arrays, of x, y and t, and of the frame's numbers; the first output where it is empty."""

    frames: FrameCount | None = None
    """Frames of a video; those stored unless given. The last one stored is drawn again where they are more."""

    colormap: str
    """A name of matplotlib (inferno), colorcet (cet_fire) or cmasher (cmr.ember); with _r reversed."""

    range: Literal["auto", "frame"] | tuple[Number, Number] = "auto"
    """Values of the first and last colour: those of all that is drawn, each frame its own, or two numbers or formulas of t
    and the frame's numbers."""

    background: str = "black"
    """Colour of what is not a number: a name or #rrggbb."""

    axes: bool = False
    """Whether axes, a title and the colours' scale are drawn around it."""

    fps: Annotated[float, msgspec.Meta(ge=0.001, le=1000)] = 30.0
    """Frames a second of a video."""

    scale: Literal["linear", "log", "histogram"] = "linear"
    """How the range is spread over the colours: evenly, by the logarithm, or by rank, so that all colours are used alike."""

    cycle: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Colours begin anew whenever the value has grown by so much, and `range` is not used; 0: never."""

    shade: Shade | bool = False
    """Light: true for the usual one, or the table below."""


class Check(Section, frozen=True, kw_only=True):
    """A known result: the job with `overrides` laid over it has this `quantity`. A job may have several."""

    overrides: dict[str, Any] = {}
    """Keys of the job to change, such as a small view.resolution."""

    quantity: str
    """`ARRAY.STATISTIC`, or `ARRAY[K].STATISTIC` of frame or run K. Statistics: sum, min, max, mean (NaN left out); ended,
    never (how many values did so); area (that of the view, of what never ended); fraction(VALUE) (share of one value);
    boundary_dimension (by counting boxes); last (the last finite value); sha256 (of the values, little endian, in C order)."""

    value: float | str
    """What it is: a number, or for sha256 a text."""

    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """How far from it a number may be."""
