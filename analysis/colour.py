"""Numbers to colours: colour maps and colours by name, and the painting of a block of values.

Pure functions of values. Never reads a store and never decides a range.
"""

from __future__ import annotations

import difflib
import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError

MISSING = (128, 128, 128)
"""The flat grey of what is not computed yet."""

FAMILIAR_MAPS = frozenset({"inferno", "viridis", "twilight_shifted", "tab10"})
FAMILIAR_COLOURS = frozenset({"black", "white"})
HEXADECIMAL = re.compile("#[0-9a-fA-F]{6}")


def check(colormap: str, background: str) -> None:
    """Refuse (RequestError) what `table` and `colour` refuse; nothing is imported for the names that are the defaults."""
    if colormap not in FAMILIAR_MAPS:
        table(colormap)
    if background not in FAMILIAR_COLOURS and not HEXADECIMAL.fullmatch(background):
        colour(background)


@cache
def table(name: str) -> NDArray[np.uint8]:
    """The colour map `name` as a table of shape (colours, 3), uint8.

    Names are those of matplotlib ('inferno'), colorcet ('cet_fire') and cmasher ('cmr.ember'), each with its
    reverse ('inferno_r'). Raises RequestError naming the nearest for another one.
    """
    import matplotlib

    # These packages register their maps when imported; cmasher takes a second, so matplotlib's own come first
    if name not in matplotlib.colormaps:
        import cmasher  # noqa: F401
        import colorcet  # noqa: F401
    if name not in matplotlib.colormaps:
        nearest = difflib.get_close_matches(name, list(matplotlib.colormaps), n=1, cutoff=0.0)[0]
        raise RequestError(f"picture.colormap: no colour map is called {name!r}; the nearest name is {nearest!r}")
    colormap = matplotlib.colormaps[name]
    colours = np.asarray(colormap(np.arange(colormap.N), bytes=True), dtype=np.uint8)[:, :3].copy()
    colours.flags.writeable = False
    return colours


@cache
def colour(name: str) -> tuple[int, int, int]:
    """Red, green, blue (0..255) of a CSS name or '#rrggbb'. Raises RequestError naming the nearest name."""
    from matplotlib import colors

    if not colors.is_color_like(name):
        nearest = difflib.get_close_matches(name, list(colors.CSS4_COLORS), n=1, cutoff=0.0)[0]
        raise RequestError(f"picture.background: {name!r} is no colour; write '#rrggbb' or a name such as {nearest!r}")
    red, green, blue = (round(255 * part) for part in colors.to_rgb(name))
    return red, green, blue


def paint(
    values: NDArray[np.float64],
    colours: NDArray[np.uint8],
    low: float,
    high: float,
    background: tuple[int, int, int],
) -> NDArray[np.uint8]:
    """Colour `values` of any shape; returns uint8 of shape (*values.shape, 3).

    `low` gets the first colour of the table and `high` the last, values beyond them likewise, NaN the background:
    the same rule, to the bit, as matplotlib's `Normalize` and `Colormap`.
    """
    num_colours = len(colours)
    scaled = np.subtract(values, low, dtype=np.float64)
    if high > low:
        scaled /= high - low
        scaled *= num_colours
    else:
        scaled[~np.isnan(scaled)] = 0.0
    is_nan = np.isnan(scaled)
    scaled[is_nan] = 0.0
    np.clip(scaled, 0, num_colours - 1, out=scaled)
    painted = colours[scaled.astype(np.intp)]
    painted[is_nan] = background
    return painted
