"""Plots of what is no map: curves of runs, scatter, matrices, points in space, arrows; drawn by matplotlib.

Owns the layout of plots. Draws what `series` gives, to the pixel size that is asked for; never smooths or interpolates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import colour, png
from analysis.files import replacing
from analysis.picture import describe
from analysis.plot import Plot
from analysis.series import Series
from hpc.reading import Reader
from kernels.errors import RequestError, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
MOST_LEGENDS = 20
MOST_MARKS = 200_000
"""Marks of a scatter; more of them would only hide each other."""

Floats = NDArray[np.float64]


def draw(reader: Reader, plot: Plot, out: Path, *, frame: int = 0) -> Path:
    """Draw a plot of a store to the PNG `out` and return `out`.

    Curves and scatter show all runs of a sweep in one plot, the other figures run `frame`. The PNG carries the job, its
    hash and the plot's settings as text. Raises RequestError for a formula, shape or run that is not there.
    """
    series = Series(reader)
    if not 0 <= frame < series.num_runs:
        raise RequestError(f"--frame {frame}: there are runs 0 to {series.num_runs - 1}")
    with replacing(out) as temporary:
        pixels = _pixels(series, plot, frame)
        text = {"Title": one_line(reader.attributes["job"].get("title", "")), "frame": str(frame)}
        text |= describe(reader.attributes, plot)
        png.write(temporary, pixels.shape[1], pixels.shape[0], [pixels], text)
    return out


def _pixels(series: Series, plot: Plot, run: int) -> NDArray[np.uint8]:
    """The plot as uint8 (rows, columns, 3)."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ink = "black" if sum(colour.colour(plot.background)) > 1.2 * 255 else "0.85"
    style: Any = {f"{part}color": ink for part in ("text.", "axes.label", "axes.edge", "xtick.", "ytick.")}
    style |= {"axes.facecolor": plot.background}
    with rc_context(style):
        columns, rows = plot.size
        size = (columns / DPI, rows / DPI)
        figure = Figure(figsize=size, dpi=DPI, facecolor=plot.background, layout="constrained")
        canvas: Any = FigureCanvasAgg(figure)
        _DRAW[plot.figure](figure, series, plot, run)
        title = one_line(series.reader.attributes["job"].get("title", ""))
        figure.suptitle(_plain(title), fontsize=min(12.0, 1.5 * columns / max(20, len(title))))
        for key, name in zip(("x", "y", "z"), plot.labels, strict=False):
            figure.axes[0].set(**{f"{key}label": _plain(name)})
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def _curves(figure: Figure, series: Series, plot: Plot, run: int) -> None:
    """Each formula of y over x, one curve a run, or several where the values have two dimensions."""
    del run
    axes = figure.add_subplot()
    colours = _colours(plot, series.num_runs)
    styles = ("-", "--", ":", "-.")
    for number, label in enumerate(series.labels()):
        for index, text in enumerate(plot.y):
            values = series.values(text, number, key=f"picture.y[{index}]")
            rows = np.atleast_2d(values)
            x = _abscissae(series, plot, number, rows.shape[-1])
            whole = label if len(plot.y) == 1 else f"{text} {label}".strip()
            family = _colours(plot, len(rows)) if len(rows) > 1 and series.num_runs == 1 else None
            for row, ordinates in enumerate(rows):
                there = _drawable(plot, x, ordinates)
                axes.plot(
                    x[there],
                    ordinates[there],
                    styles[index % len(styles)],
                    color=family[row] if family is not None else colours[number],
                    label=_plain(whole) if row == 0 and whole else None,
                    linewidth=1.2,
                    marker="o" if np.count_nonzero(there) < 30 else None,
                    markersize=3,
                )
    _finish(axes, series, plot, x_name=plot.x or series.last_dimension(plot.y[0]), y_name=", ".join(plot.y))


def _abscissae(series: Series, plot: Plot, run: int, length: int) -> Floats:
    """The values of x, which count from 0 where no formula is given."""
    if not plot.x:
        return np.arange(length, dtype=np.float64)
    x = np.ravel(series.values(plot.x, run, key="picture.x"))
    if x.size != length:
        raise RequestError(f"picture.x: has {x.size} values where y has {length}; give arrays of the same length")
    return x


def _scatter(figure: Figure, series: Series, plot: Plot, run: int) -> None:
    """Points (x, y), one colour for each formula of y of each run, or coloured by `value`."""
    del run
    axes = figure.add_subplot()
    colours = _colours(plot, series.num_runs * len(plot.y))
    for number, label in enumerate(series.labels()):
        x = np.ravel(series.values(plot.x, number, key="picture.x"))
        for index, text in enumerate(plot.y):
            whole = label if len(plot.y) == 1 else f"{text} {label}".strip()
            y = np.ravel(series.values(text, number, key=f"picture.y[{index}]"))
            if x.size != y.size:
                raise RequestError(f"picture.y[{index}]: has {y.size} values where x has {x.size}")
            thin = np.flatnonzero(_drawable(plot, x, y))[:: -(-x.size // MOST_MARKS) or None]
            marks: dict[str, Any] = {"s": float(np.clip(4000 / max(x.size, 1), 6, 60)), "linewidths": 0, "alpha": 0.7}
            if plot.value:
                values = np.ravel(series.values(plot.value, number, key="picture.value"))[thin]
                marks |= {"c": values, "cmap": plot.colormap}
            else:
                marks |= {"color": colours[number * len(plot.y) + index]}
            axes.scatter(x[thin], y[thin], label=_plain(whole) or None, **marks)
    _finish(axes, series, plot, x_name=plot.x, y_name=", ".join(plot.y))


def _matrix(figure: Figure, series: Series, plot: Plot, run: int) -> None:
    """A two-dimensional array as coloured cells, row 0 on top; one of three dimensions as a row of such panels."""
    values = series.values(plot.value, run, key="picture.value")
    if values.ndim not in (2, 3):
        raise RequestError(f"picture.value: has {values.ndim} dimensions; a matrix has 2, or 3 for several panels")
    panels = values[None] if values.ndim == 2 else values
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    if not np.isfinite(panels).any():
        raise RequestError(f"{series.reader.path}: no cell of run {run} is computed yet; run the job to its end first")
    low, high = (float(edge(panels)) for edge in (np.nanmin, np.nanmax))
    image: Any = None
    for axes, panel in zip(every, panels, strict=True):
        image = axes.imshow(panel, vmin=low, vmax=high, cmap=plot.colormap, interpolation="none", aspect="auto")
    figure.colorbar(image, ax=list(every), label=plot.value)


def _points(figure: Figure, series: Series, plot: Plot, run: int) -> None:
    """Points in space, coloured by `value`, else by height."""
    axes: Any = figure.add_subplot(projection="3d")
    x, y, z = (np.ravel(series.values(_formula(plot, key), run, key=f"picture.{key}")) for key in ("x", "y", "z"))
    if not x.size == y.size == z.size:
        raise RequestError(f"picture.z: x, y and z have {x.size}, {y.size} and {z.size} values; give as many of each")
    shade = np.ravel(series.values(plot.value, run, key="picture.value")) if plot.value else z
    there = np.flatnonzero(np.isfinite(x + y + z))
    if not there.size:
        raise RequestError(f"{series.reader.path}: no point of run {run} is computed yet; run the job to its end first")
    x, y, z, shade = (part[there[:: -(-there.size // MOST_MARKS)]] for part in (x, y, z, shade))
    axes.scatter(x, y, z, c=shade, cmap=plot.colormap, s=min(20.0, 1e4 / x.size), linewidths=0)
    axes.set_box_aspect([float(np.ptp(one)) or 1.0 for one in (x, y, z)])
    axes.set(xlabel=plot.x, ylabel=plot.y[0], zlabel=plot.z)


def _formula(plot: Plot, key: str) -> str:
    """The single formula of a key; the first of y."""
    return plot.y[0] if key == "y" else str(getattr(plot, key))


def _arrows(figure: Figure, series: Series, plot: Plot, run: int) -> None:
    """Arrows (u, v) that begin at (x, y), in the plot's own units."""
    axes = figure.add_subplot()
    x, y, u, v = (
        np.ravel(series.values(_formula(plot, key), run, key=f"picture.{key}")) for key in ("x", "y", "u", "v")
    )
    x, y, u, v = np.broadcast_arrays(x, y, u, v)
    there = np.isfinite(x + y + u + v)
    if not there.any():
        raise RequestError(f"{series.reader.path}: no arrow of run {run} is computed yet; run the job to its end first")
    x, y, u, v = (part[there] for part in (x, y, u, v))
    colours = _colours(plot, x.size)
    axes.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=1, color=colours, width=0.004)

    # Quiver's own limits are those of the arrows' tails
    for low_high, ends in ((axes.set_xlim, (x, x + u)), (axes.set_ylim, (y, y + v))):
        low, high = min(map(np.nanmin, ends)), max(map(np.nanmax, ends))
        margin = 0.05 * ((high - low) or 1.0)
        low_high(float(low) - margin, float(high) + margin)
    _finish(axes, series, plot, x_name=plot.x, y_name=plot.y[0])


def _drawable(plot: Plot, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points are numbers, and above 0 where an axis is logarithmic."""
    there = np.isfinite(x) & np.isfinite(y)
    for name, values in (("x", x), ("y", y)):
        if name in plot.logarithmic:
            there &= values > 0
    return there


def _finish(axes: Axes, series: Series, plot: Plot, *, x_name: str, y_name: str) -> None:
    """Scales, reference lines, names and legend."""
    for name in plot.logarithmic:
        _, high = axes.dataLim.intervalx if name == "x" else axes.dataLim.intervaly
        if not high > 0:
            raise RequestError(f"picture.logarithmic: no value of {name} is above 0; leave {name} out")
        axes.set(**{f"{name}scale": "log"})
    for index, text in enumerate(plot.lines):
        for height in np.unique(np.ravel(series.values(text, 0, key=f"picture.lines[{index}]"))):
            axes.axhline(float(height), color="0.5", linewidth=0.8, linestyle=":", label=_plain(text))
    if plot.diagonal:
        axes.axline((0, 0), slope=1, color="0.5", linewidth=0.8, linestyle=":")
    if plot.equal:
        axes.set_aspect("equal")
    axes.set(xlabel=_plain(x_name), ylabel=_plain(y_name))
    _, labels = axes.get_legend_handles_labels()
    if 0 < len(labels) <= MOST_LEGENDS:
        axes.legend(fontsize=8, framealpha=0.7)


def _colours(plot: Plot, count: int) -> Floats:
    """As many colours of the colour map, its palest end left out, or the first of a map of few: float64 (count, 3).

    Of a map of few that does not suffice, those of turbo instead: no two runs look alike.
    """
    table = colour.table(plot.colormap)
    if len(table) <= MOST_LEGENDS and count > len(table):
        table = colour.table("turbo")
    if len(table) <= MOST_LEGENDS:
        positions = np.arange(max(count, 1))
    else:
        positions = np.linspace(0, 0.85 * (len(table) - 1), max(count, 1)).astype(int)
    return np.asarray(table[positions] / 255.0)


def _plain(text: str) -> str:
    """A text that comes from a job, kept from being read as a formula to be set."""
    return text.replace("$", r"\$")


_DRAW: Mapping[str, Callable[[Figure, Series, Plot, int], None]] = {
    "curves": _curves,
    "scatter": _scatter,
    "matrix": _matrix,
    "points": _points,
    "arrows": _arrows,
}
