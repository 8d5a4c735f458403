"""Plots of what is no map: curves of runs, scatter, matrices, points in space, arrows; drawn by matplotlib.

Owns the layout of plots. Draws what `series` gives, to the pixel size that is asked for; never smooths or interpolates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import colour, png
from analysis import plot_words as words
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
LEGEND_LETTER_PX = 6
MOST_MARKS = 200_000
"""Marks of a scatter; more of them would only hide each other."""
MARGIN_PX = 8
OF_ALL_RUNS = "0.4"
"""Colour of what is the same in all runs."""

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
        layout: Any = "none" if plot.figure == "points" else "constrained"
        figure = Figure(figsize=size, dpi=DPI, facecolor=plot.background, layout=layout)
        canvas: Any = FigureCanvasAgg(figure)
        title = words.title(series, plot, run)
        longest = max(map(len, title.split("\n")))
        figure.suptitle(words.plain(title), fontsize=min(12.0, 1.5 * columns / max(20, longest)))
        _DRAW[plot.figure](figure, series, plot, run)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


@dataclass(frozen=True)
class _Strand:
    """What one formula of y draws for one run: rows of shape (rows, points) over x of shape (points,).

    `group` counts groups of runs, which are `repeats` large; `label` is empty where the legend names the group already; `run`
    is None where the points are those of all runs.
    """

    x: Floats
    rows: Floats
    formula: int
    run: int | None
    group: int
    label: str
    repeats: int


def _strands(series: Series, plot: Plot) -> list[_Strand]:
    """What curves and scatter draw. Runs that differ by their seed alone are a group, with one label; runs without points are
    left out; and of several formulas one whose values are those of all runs is drawn once.
    """
    groups = series.groups()
    places = list(dict.fromkeys(groups))
    found = []
    for index, text in enumerate(plot.y):
        name = words.name(series, text, units=False) if len(plot.y) > 1 else ""
        drawn: list[tuple[int, Floats, Floats]] = []
        for run in range(series.num_runs):
            rows = np.atleast_2d(series.values(text, run, key=f"picture.y[{index}]"))
            if plot.figure == "scatter":
                rows = rows.reshape(1, -1)
            x = _abscissae(series, plot, run, rows.shape[-1], f"picture.y[{index}]")
            if _drawable(plot, x, rows).any():
                drawn.append((run, x, rows))
        first = drawn[:1]
        if len(plot.y) > 1 and len(drawn) > 1 and all(_same(first[0], one) for one in drawn[1:]):
            found.append(_Strand(first[0][1], first[0][2], index, None, 0, name, 1))
            continue
        members = Counter(groups[run] for run, _, _ in drawn)
        named = set()
        for run, x, rows in drawn:
            group = groups[run]
            several = f"{members[group]} seeds" if members[group] > 1 else ""
            told = group if members[group] > 1 else series.labels()[run]
            label = "" if group in named else ", ".join(filter(None, (name, told, several)))
            named.add(group)
            found.append(_Strand(x, rows, index, run, places.index(group), label, members[group]))
    return found


def _same(one: tuple[int, Floats, Floats], other: tuple[int, Floats, Floats]) -> bool:
    """Whether two runs have the same points."""
    return all(np.array_equal(mine, yours, equal_nan=True) for mine, yours in zip(one[1:], other[1:], strict=True))


def _curves(figure: Figure, series: Series, plot: Plot, run: int) -> None:
    """Each formula of y over x, one curve a run, or several where the values have two dimensions."""
    del run
    axes = figure.add_subplot()
    strands = _strands(series, plot)
    colours = _colours(plot, 1 + max((strand.group for strand in strands), default=0))
    styles, markers = ("-", "--", ":", "-."), "os^Dv<>P*X"
    for strand in strands:
        is_family = len(strand.rows) > 1 and series.num_runs == 1
        family = _colours(plot, len(strand.rows)) if is_family else None
        for row, ordinates in enumerate(strand.rows):
            there = _drawable(plot, strand.x, ordinates)
            own = OF_ALL_RUNS if strand.run is None else colours[strand.group]
            axes.plot(
                strand.x[there],
                ordinates[there],
                styles[strand.formula % len(styles)],
                color=family[row] if family is not None else own,
                label=words.plain(strand.label) if row == 0 and strand.label else None,
                linewidth=1.2 if strand.repeats == 1 else 0.8,
                marker=markers[strand.group % len(markers)] if np.count_nonzero(there) < 30 else None,
                markersize=3 if len(strands) == 1 else 4,
            )
    dimension = series.dimensions(plot.y[0])[-1:]
    _finish(axes, series, plot, x_name=plot.x or "".join(dimension), is_empty=not strands)


def _abscissae(series: Series, plot: Plot, run: int, length: int, key: str) -> Floats:
    """The values of x, which count from 0 where no formula is given; `key` is that of y."""
    if not plot.x:
        return np.arange(length, dtype=np.float64)
    x = np.ravel(series.values(plot.x, run, key="picture.x"))
    if x.size != length:
        raise RequestError(
            f"picture.x: has {x.size} values where y has {length} ({key}); give arrays of the same length"
        )
    return x


def _scatter(figure: Figure, series: Series, plot: Plot, run: int) -> None:
    """Points (x, y), one colour for each formula of y of each group of runs, or coloured by `value`."""
    del run
    axes = figure.add_subplot()
    strands = _strands(series, plot)
    colours = _colours(plot, len(plot.y) * (1 + max((strand.group for strand in strands), default=0)))
    for strand in strands:
        x, y = strand.x, strand.rows[0]
        thin = np.flatnonzero(_drawable(plot, x, y))[:: -(-x.size // MOST_MARKS) or None]
        marks: dict[str, Any] = {"s": float(np.clip(4000 / max(x.size, 1), 6, 60)), "linewidths": 0, "alpha": 0.7}
        if plot.value:
            values = np.ravel(series.values(plot.value, strand.run or 0, key="picture.value"))
            if values.size != x.size:
                raise RequestError(
                    f"picture.value: has {values.size} values where x has {x.size}; give as many of each"
                )
            marks |= {"c": values[thin], "cmap": plot.colormap}
        else:
            is_shared = strand.run is None
            marks |= {"color": OF_ALL_RUNS if is_shared else colours[strand.group * len(plot.y) + strand.formula]}
        axes.scatter(x[thin], y[thin], label=words.plain(strand.label) or None, **marks)
    _finish(axes, series, plot, x_name=plot.x, is_empty=not strands)


def _matrix(figure: Figure, series: Series, plot: Plot, run: int) -> None:
    """A two-dimensional array as coloured cells, row 0 on top; one of three dimensions as so many panels."""
    from matplotlib import colormaps

    values = series.values(plot.value, run, key="picture.value")
    if values.ndim not in (2, 3):
        raise RequestError(f"picture.value: has {values.ndim} dimensions; a matrix has 2, or 3 for several panels")
    panels = values[None] if values.ndim == 2 else values
    across = max(1, min(len(panels), round((len(panels) * plot.size[0] / plot.size[1]) ** 0.5)))
    every = figure.subplots(-(-len(panels) // across), across, squeeze=False, sharex=True, sharey=True)
    finite = panels[np.isfinite(panels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    dimensions = ("", "", "", *series.dimensions(plot.value))[-3:]
    red, green, blue = (part / 255 for part in colour.MISSING)
    shades = colormaps[plot.colormap].with_extremes(bad=(red, green, blue))
    image: Any = None
    for number, axes in enumerate(every.flat):
        if number >= len(panels):
            axes.set_visible(False)
            continue
        image = axes.imshow(panels[number], vmin=low, vmax=high, cmap=shades, interpolation="none", aspect="auto")
        _whole_ticks(axes.xaxis, axes.yaxis)
        if len(panels) > 1:
            axes.set_title(words.plain(f"{dimensions[0]} {number}".strip()), fontsize=10)
        if number % across == 0:
            axes.set_ylabel(words.axis(series, plot, 1, dimensions[1:2]))
        if number >= len(panels) - across:
            axes.set_xlabel(words.axis(series, plot, 0, dimensions[2:]))
            axes.tick_params(labelbottom=True)
    bar = words.axis(series, plot, 2, [plot.value])
    figure.colorbar(image, ax=every.ravel().tolist(), label=bar)


def _points(figure: Figure, series: Series, plot: Plot, run: int) -> None:
    """Points in space, coloured by `value`, else by height."""
    from matplotlib.ticker import MaxNLocator

    axes: Any = figure.add_axes((0.0, 0.0, 1.0, 1.0), projection="3d")
    x, y, z = (np.ravel(series.values(_formula(plot, key), run, key=f"picture.{key}")) for key in ("x", "y", "z"))
    if not x.size == y.size == z.size:
        raise RequestError(f"picture.z: x, y and z have {x.size}, {y.size} and {z.size} values; give as many of each")
    shade = np.ravel(series.values(plot.value, run, key="picture.value")) if plot.value else z
    if shade.size != z.size:
        raise RequestError(f"picture.value: has {shade.size} values where z has {z.size}; give as many of each")
    there = np.flatnonzero(np.isfinite(x + y + z))
    x, y, z, shade = (part[there[:: -(-there.size // MOST_MARKS) or None]] for part in (x, y, z, shade))
    area = float(np.clip(1e5 / max(x.size, 1), 1.5, 20))
    axes.scatter(x, y, z, c=shade, cmap=plot.colormap, s=area, linewidths=0, depthshade=False, clip_on=False)

    # A short axis has room for few numbers
    spans = [float(np.ptp(one)) if one.size else 0.0 for one in (x, y, z)]
    longest = max(spans)
    box = [max(span, longest / 10) or 1.0 for span in spans]
    for number, (key, length) in enumerate(zip("xyz", box, strict=True)):
        part = getattr(axes, f"{key}axis")
        part.set_major_locator(MaxNLocator(max(2, round(7 * length / max(box))), steps=[1, 2, 5, 10]))
        part.set_label_text(words.axis(series, plot, number, [_formula(plot, key)]))
    _fill(figure, axes, box)


def _fill(figure: Figure, axes: Any, box: Sequence[float]) -> None:
    """Draw a box in space as large as the figure has room below its title."""
    from matplotlib.transforms import Bbox
    from mpl_toolkits.mplot3d import proj3d  # type: ignore[import-untyped]

    canvas: Any = figure.canvas
    renderer = canvas.get_renderer()
    below_title = min(text.get_window_extent(renderer).y0 for text in figure.texts)
    room = np.array([figure.bbox.width, below_title]) - 2 * MARGIN_PX
    whole = np.array(figure.bbox.size)
    zoom, moved = 1.0, np.zeros(2)

    # Numbers and names do not grow with the box: three times bring it near enough
    for _ in range(3):
        canvas.draw()
        limits = (axes.get_xlim(), axes.get_ylim(), axes.get_zlim())
        corners = [one.ravel() for one in np.meshgrid(*limits)]
        right, up, _depth = proj3d.proj_transform(*corners, axes.get_proj())
        drawn: Any = Bbox.null()
        drawn.update_from_data_xy(axes.transData.transform(np.column_stack([right, up])), ignore=True)
        drawn = Bbox.union([drawn, *(getattr(axes, f"{key}axis").get_tightbbox(renderer) for key in "xyz")])
        growth = float(min(room / drawn.size))
        middle = whole * (0.5 + moved)
        zoom *= growth
        moved = (room / 2 + MARGIN_PX - growth * ((drawn.min + drawn.max) / 2 - middle)) / whole - 0.5
        axes.set_box_aspect(box, zoom=zoom)
        axes.set_position((*moved, 1.0, 1.0))


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
    x, y, u, v = (part[there] for part in (x, y, u, v))
    colours = _colours(plot, x.size)[: x.size]
    axes.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=1, color=colours, width=0.004)

    # Quiver's own limits are those of the arrows' tails
    for low_high, ends in ((axes.set_xlim, (x, x + u)), (axes.set_ylim, (y, y + v))) if x.size else ():
        low, high = min(map(np.nanmin, ends)), max(map(np.nanmax, ends))
        margin = 0.05 * ((high - low) or 1.0)
        low_high(float(low) - margin, float(high) + margin)
    _finish(axes, series, plot, x_name=plot.x, is_empty=not x.size)


def _drawable(plot: Plot, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points are numbers, and above 0 where an axis is logarithmic."""
    there = np.isfinite(x) & np.isfinite(y)
    for name, values in (("x", x), ("y", y)):
        if name in plot.logarithmic:
            there &= values > 0
    return there


def _finish(axes: Axes, series: Series, plot: Plot, *, x_name: str, is_empty: bool) -> None:
    """Scales, reference lines, names and legend; of what is empty names alone."""
    for name in () if is_empty and words.unfinished(series, plot) else plot.logarithmic:
        _, high = axes.dataLim.intervalx if name == "x" else axes.dataLim.intervaly
        if not high > 0:
            raise RequestError(f"picture.logarithmic: no value of {name} is above 0; leave {name} out")
        axes.set(**{f"{name}scale": "log"})
    for index, text in enumerate(plot.lines):
        every = [np.ravel(series.values(text, run, key=f"picture.lines[{index}]")) for run in range(series.num_runs)]
        heights = np.unique(np.concatenate(every))
        for number, height in enumerate(heights[np.isfinite(heights)]):
            label = words.plain(words.name(series, text, units=False)) if number == 0 else None
            axes.axhline(float(height), color="0.5", linewidth=0.8, linestyle=":", label=label)
    if plot.diagonal:
        axes.axline((0, 0), slope=1, color="0.5", linewidth=0.8, linestyle=":")
    if plot.equal:
        axes.set_aspect("equal")
    axes.set(xlabel=words.axis(series, plot, 0, [x_name]), ylabel=words.axis(series, plot, 1, plot.y))
    for name, part, limits in (("x", axes.xaxis, axes.dataLim.intervalx), ("y", axes.yaxis, axes.dataLim.intervaly)):
        if name not in plot.logarithmic and limits[1] - limits[0] >= 1 and _is_whole(axes, name):
            _whole_ticks(part)
    _, labels = axes.get_legend_handles_labels()
    if 0 < len(labels) <= MOST_LEGENDS:
        # Beside the plot, or below it where names are long: it covers nothing
        is_short = max(map(len, labels)) * LEGEND_LETTER_PX < plot.size[0] / 4
        place = "outside right center" if is_short else "outside lower center"
        figure: Any = axes.figure
        figure.legend(fontsize=8, loc=place, frameon=False)


def _is_whole(axes: Axes, name: str) -> bool:
    """Whether all that is drawn along an axis are whole numbers, as counts of steps are."""
    drawn = [np.asarray(line.get_data()["xy".index(name)], float) for line in axes.lines if len(line.get_xdata()) > 2]  # type: ignore[arg-type]
    drawn += [np.asarray(marks.get_offsets())[:, "xy".index(name)] for marks in axes.collections]
    return bool(drawn) and all(bool((one == np.rint(one)).all()) for one in drawn)


def _whole_ticks(*parts: Any) -> None:
    """Mark axes at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    for part in parts:
        part.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


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


_DRAW: Mapping[str, Callable[[Figure, Series, Plot, int], None]] = {
    "curves": _curves,
    "scatter": _scatter,
    "matrix": _matrix,
    "points": _points,
    "arrows": _arrows,
}
