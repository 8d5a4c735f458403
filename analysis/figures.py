"""A picture inside axes: the view's names and coordinates, and the colours' scale, drawn by matplotlib.

Owns the layout of figures. Never smooths: a pixel of the map is a whole number of pixels, or left out in a large map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import clusters, scales
from analysis.field import Field
from analysis.scales import Scale
from kernels.errors import one_line

SMALLEST_PX, LARGEST_PX = 400, 4096
"""A map whose longer side is smaller is enlarged, its pixels repeated; a larger one is thinned out."""

POINTS_PER_INCH = 72
MARGINS_EM = {"left": 7.0, "right": 9.0, "bottom": 4.5, "top": 2.5}
BAR_EM = (1.0, 1.2)
"""Distance of the colour bar from the picture, and its width."""
NUM_BAR_VALUES = 9
LETTER_EM = 0.65
"""Width of a letter, so that a long title is made to fit."""


def figure(field: Field, t: int, scale: Scale, client: Any = None) -> NDArray[np.uint8]:
    """Picture frame `t` with axes and colour bar: uint8 (rows, columns, 3). `client` is of `clusters.connect`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    step = max(1, -(-max(field.shape) // LARGEST_PX))
    pixels = clusters.compute(client, field.frame(t).painted(scale, field.picture.light)[::step, ::step])
    repeats = max(1, -(-SMALLEST_PX // max(field.shape)))
    pixels = pixels.repeat(repeats, axis=0).repeat(repeats, axis=1)
    rows, columns = pixels.shape[:2]

    # Lay out in pixels, an even number for videos: the picture one to one, margins in units of the letters' size
    em = max(10.0, min(rows, columns) / 45)
    left, right, bottom, top = (round(em * MARGINS_EM[side]) for side in ("left", "right", "bottom", "top"))
    right += (left + columns + right) % 2
    top += (bottom + rows + top) % 2
    width, height = left + columns + right, bottom + rows + top
    dpi = 100.0
    face, ink = _face_and_ink(scale.background)
    canvas = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor=face)
    FigureCanvasAgg(canvas)
    size = em * POINTS_PER_INCH / dpi

    # Draw the picture with the pixels' coordinates
    axes = canvas.add_axes((left / width, bottom / height, columns / width, rows / height))
    (left_edge, right_edge), (top_edge, bottom_edge) = (_edges(field.coordinates(name, t)) for name in ("x", "y"))
    extent = (left_edge, right_edge, bottom_edge, top_edge)
    axes.imshow(pixels, extent=extent, interpolation="none", aspect="auto", origin="upper")
    names = field.reader.attributes["job"].get("view", {}).get("axes", ("x", "y"))
    axes.set_xlabel(one_line(names[0]), fontsize=size, parse_math=False)
    axes.set_ylabel(one_line(names[1]), fontsize=size, parse_math=False)
    title = field.title(t)
    fitting = columns / (LETTER_EM * em * max(1, len(title)))
    axes.set_title(title, fontsize=size * min(1.0, fitting), color=ink, parse_math=False)

    # Draw the colours' scale beside it
    gap, thickness = (em * part for part in BAR_EM)
    bar = canvas.add_axes(((left + columns + gap) / width, bottom / height, thickness / width, rows / height))
    _draw_bar(bar, scale)
    bar.set_ylabel(field.formula.text, fontsize=size, parse_math=False)
    for part in (axes, bar):
        part.tick_params(labelsize=0.9 * size, which="both", colors=ink)
        part.xaxis.label.set_color(ink)
        part.yaxis.label.set_color(ink)
        part.yaxis.get_offset_text().set(color=ink, fontsize=0.9 * size)
        part.xaxis.get_offset_text().set(color=ink, fontsize=0.9 * size)
        for spine in part.spines.values():
            spine.set_edgecolor(ink)

    canvas.canvas.draw()
    return np.asarray(canvas.canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[attr-defined]


def _draw_bar(axes: Any, scale: Scale) -> None:
    """The colours from the lowest value up, with the values they stand for."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm, Normalize

    colours = ListedColormap(scale.colours / 255)
    if scale.ranks is not None:
        bar = axes.figure.colorbar(ScalarMappable(Normalize(0, 1), colours), cax=axes)
        positions = np.linspace(0, 1, NUM_BAR_VALUES)
        bar.set_ticks(positions, labels=[f"{scales.value_at(scale, position):.4g}" for position in positions])
        return
    norm = (LogNorm if scale.kind == "log" and scale.low < scale.high else Normalize)(scale.low, scale.high)
    axes.figure.colorbar(ScalarMappable(norm, colours), cax=axes)


def _face_and_ink(background: tuple[int, int, int]) -> tuple[tuple[float, float, float], str]:
    """The background as matplotlib's colour, and what can be read on it."""
    red, green, blue = (part / 255 for part in background)
    return (red, green, blue), "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.4 else "0.85"


def _edges(coordinates: NDArray[np.float64]) -> tuple[float, float]:
    """Where the first pixel begins and the last one ends, each pixel centred on its coordinate."""
    first, last = float(coordinates[0]), float(coordinates[-1])
    half = (last - first) / (2 * (len(coordinates) - 1)) if len(coordinates) > 1 else 0.5
    return first - half, last + half
