"""The `[picture]` of kinds that store no maps: a plot of their arrays.

Owns the keys as a job has them, and their check before anything is computed. What they draw is in analysis/plots.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from jobs.sections import FormulaText, Section
from kernels.expression import parse

Formulas = FormulaText | tuple[FormulaText, ...]
Pixels = Annotated[int, msgspec.Meta(ge=200, le=8192)]


class Plot(Section, frozen=True, kw_only=True):
    """How a store without maps is drawn unless `image` is told otherwise. See docs/plots.md."""

    figure: Literal["curves", "scatter", "matrix", "points", "arrows"]
    """Lines over x, one colour a run; marks; coloured cells; marks in space; arrows."""

    x: FormulaText = ""
    """What lies to the right; curves count from 0 where it is empty."""

    y: Formulas = ()
    """What lies upwards; of curves and scatter there may be several."""

    z: FormulaText = ""
    """The third direction of points."""

    u: FormulaText = ""
    """How far arrows reach to the right."""

    v: FormulaText = ""
    """How far arrows reach upwards."""

    value: FormulaText = ""
    """The cells of a matrix; the colours of scatter and points."""

    lines: Formulas = ()
    """Heights of thin horizontal lines to compare with, such as chance."""

    logarithmic: Literal["x", "y"] | tuple[Literal["x", "y"], ...] = ()
    """Which axes are logarithmic."""

    diagonal: bool = False
    """Whether the line y = x is drawn."""

    equal: bool = False
    """Whether a unit is as long on both axes."""

    labels: tuple[str, ...] = ()
    """Names of the axes; the formulas themselves unless given."""

    colormap: str = ""
    """As of maps; tab10 where runs are told apart by colour, else viridis, unless given."""

    background: str = "white"
    """Colour of the paper."""

    size: tuple[Pixels, Pixels] = (900, 600)
    """Columns and rows of the picture."""


def check_plot(picture: Plot, *, names: Iterable[str]) -> None:
    """Refuse what analysis would refuse once the store is there; `names` are arrays, constants and dimensions.

    Raises RequestError naming the key.
    """
    # It takes its time, and may load matplotlib: a list of jobs does without.
    from analysis.plot import resolve

    known = frozenset(names)
    resolved = resolve({"pictures": msgspec.to_builtins(picture)})
    for key, text in resolved.formulas.items():
        parse(text, names=known, key=f"picture.{key}")
