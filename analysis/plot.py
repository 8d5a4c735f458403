"""The settings of a plot: what a store that holds no maps is drawn as. Checked and typed, as those of a picture are.

Pure functions of values; never reads an array.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from analysis import colour
from kernels.errors import RequestError

Kind = Literal["curves", "scatter", "matrix", "points", "arrows"]


class Plot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One resolved `[picture]` with a `figure`. See docs/pictures.md for the keys.

    Formulas are over the arrays of the store, its constants, and the names of dimensions, which count from 0. `colormap` is
    tab10 where runs are told apart by colour, else viridis, unless given.
    """

    figure: Kind
    x: str = ""
    y: tuple[str, ...] = ()
    z: str = ""
    u: str = ""
    v: str = ""
    value: str = ""
    lines: tuple[str, ...] = ()
    logarithmic: tuple[Literal["x", "y"], ...] = ()
    diagonal: bool = False
    equal: bool = False
    labels: tuple[str, ...] = ()
    colormap: str = ""
    background: str = "white"
    size: tuple[Annotated[int, msgspec.Meta(ge=200, le=8192)], Annotated[int, msgspec.Meta(ge=200, le=8192)]] = (
        900,
        600,
    )

    @property
    def formulas(self) -> dict[str, str]:
        """The formulas that are there, by key."""
        single = {key: getattr(self, key) for key in ("x", "z", "u", "v", "value")}
        several = {f"{key}[{i}]": text for key in ("y", "lines") for i, text in enumerate(getattr(self, key))}
        return {key: text for key, text in {**single, **several}.items() if text}


NEEDED: Mapping[str, tuple[str, ...]] = {
    "curves": ("y",),
    "scatter": ("x", "y"),
    "matrix": ("value",),
    "points": ("x", "y", "z"),
    "arrows": ("x", "y", "u", "v"),
}
"""Keys without which a figure shows nothing."""


def is_plot(attributes: Mapping[str, Any]) -> bool:
    """Whether a store's picture is a plot, not a map."""
    return "figure" in attributes["pictures"]


def resolve(attributes: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Plot:
    """The plot of a store with root attribute `attributes`, keys of `overrides` coming first.

    `y` and `lines` may be one formula instead of a list. Raises RequestError naming the key, and the nearest one for an
    unknown key.
    """
    merged = {**attributes["pictures"], **(overrides or {})}

    # `--value` asks for what is drawn, whatever the figure calls it; a range of colours means nothing here
    merged.pop("range", None)
    if overrides and "value" in overrides and merged.get("figure") != "matrix":
        merged["y"] = overrides["value"]
        merged.pop("value")
    for key in ("y", "lines", "logarithmic"):
        if isinstance(merged.get(key), str):
            merged[key] = [merged[key]]
    known = Plot.__struct_fields__
    for key in merged:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise RequestError(f"picture.{key}: there is no such key of a plot; the nearest is picture.{nearest}")
    try:
        plot = msgspec.convert(merged, Plot)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        raise RequestError(f"picture.{path.rstrip('`')}: {text}" if path else f"picture: {text}") from None
    for key in NEEDED[plot.figure]:
        if not getattr(plot, key):
            raise RequestError(f"picture.{key}: is missing; a plot of {plot.figure} needs it")
    if not plot.colormap:
        plot = msgspec.structs.replace(plot, colormap="tab10" if plot.figure in ("curves", "scatter") else "viridis")
    if plot.figure == "scatter" and plot.value and "colormap" not in merged:
        plot = msgspec.structs.replace(plot, colormap="viridis")
    colour.check(plot.colormap, plot.background)
    return plot
