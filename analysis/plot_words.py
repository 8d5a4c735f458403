"""What a plot says in words: its title, the names of its axes and of its curves, and how much of its store is computed.

Owns the way from the attributes of a store to text that matplotlib sets. What a store says is shortened and never obeyed.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence

from analysis.plot import Plot
from analysis.series import Series
from kernels.errors import one_line

LONGEST_NAME = 100
LETTER_PX = 8
"""Width of a letter of an axis' name, and a little more."""
OF_ONE_RUN = ("matrix", "points", "arrows")
"""Figures that show one run."""

_POWER = re.compile(r"\b([A-Za-z])\^(\d+)")


def name(series: Series, text: str, *, units: bool = True) -> str:
    """What a formula is called: an array's `long_name`, and its units in brackets; the formula itself where it is no array."""
    reader = series.reader
    if text not in {*reader.arrays(), *reader.constants()}:
        return text
    attributes = reader.array(text).attrs
    meaning, unit = attributes.get("long_name"), attributes.get("units")
    whole = one_line(meaning) if isinstance(meaning, str) and meaning.strip() else text
    whole = textwrap.shorten(whole, LONGEST_NAME, placeholder=" ...")
    is_told = units and isinstance(unit, str) and unit not in ("", "1")
    return f"{whole} ({one_line(unit)})" if is_told else whole


def axis(series: Series, plot: Plot, place: int, texts: Sequence[str]) -> str:
    """The name of axis `place` (0 for x): that of `labels`, else of the formulas it shows; broken to the axis' length."""
    told = plot.labels[place : place + 1] or dict.fromkeys(name(series, text) for text in texts)
    length = plot.size[min(place, 1)]
    return plain(textwrap.fill(", ".join(told), max(20, length // LETTER_PX - 10)))


def title(series: Series, plot: Plot, run: int) -> str:
    """The job's title, and below it the run where only one of several is shown, and what is missing."""
    above = one_line(series.reader.attributes["job"].get("title", ""))
    shown = series.labels()[run] if plot.figure in OF_ONE_RUN and series.num_runs > 1 else ""
    return "\n".join(filter(None, (above, "; ".join(filter(None, (one_line(shown), unfinished(series, plot)))))))


def unfinished(series: Series, plot: Plot) -> str:
    """'unfinished: 60 %' where not everything that a plot shows is computed, else nothing; never 100 %."""
    share = series.share_finished(plot.formulas)
    return f"unfinished: {math.floor(100 * share)} %" if share < 1 else ""


def plain(text: str) -> str:
    """A text that comes from a job, kept from being read as a formula to be set, except for powers such as R^2."""
    return _POWER.sub(r"$\1^{\2}$", text.replace("$", r"\$"))
