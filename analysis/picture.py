"""The settings of a picture: the store's own `[picture]`, overridden by the command line, checked and typed.

Pure functions of values; never reads an array.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, Literal

import msgspec

from analysis import colour
from kernels.errors import RequestError, one_line


class Shade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the light of a shaded picture comes from, in degrees: `azimuth` clockwise from the top, `elevation` above the page.

    `value` is the formula whose values are the heights, None for that of the picture; `height` is the slope, rise over run.
    """

    azimuth: float = 315.0
    elevation: Annotated[float, msgspec.Meta(gt=0, le=90)] = 45.0
    height: float = 1.0
    value: str | None = None


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One resolved `[picture]`.

    `value` is a formula over arrays, coordinates, per-frame parameters and `t`; `frames` is None for the stored count;
    `range` is 'auto' (one range for all that is drawn), 'frame' (each frame its own), or two numbers or formulas of the
    frame's parameters and `t`. `scale` says how the range is spread over the colours: evenly, by the logarithm, or by rank;
    with a `cycle` other than 0 the colours begin anew whenever the value has grown by that much, and the range is not used.
    `shade` is false for no light, true for the usual one.
    """

    value: str
    colormap: str = "inferno"
    range: Literal["auto", "frame"] | tuple[float | str, float | str] = "auto"
    background: str = "black"
    axes: bool = False
    fps: float = 30.0
    frames: int | None = None
    scale: Literal["linear", "log", "histogram"] = "linear"
    cycle: float = 0.0
    shade: Shade | bool = False

    @property
    def light(self) -> Shade | None:
        """The light that `shade` asks for, None for no light."""
        if isinstance(self.shade, Shade):
            return self.shade
        return Shade() if self.shade else None


def resolve(attributes: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Picture:
    """The picture of a store with root attribute `attributes`, keys of `overrides` coming first.

    Raises RequestError naming the key, and the nearest one for an unknown key.
    """
    merged = {**attributes["pictures"], **(overrides or {})}
    stored, given = attributes["pictures"].get("shade"), (overrides or {}).get("shade")
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        merged["shade"] = {**stored, **given}
    known = Picture.__struct_fields__
    for key in merged:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise RequestError(f"picture.{key}: there is no such key; the nearest is picture.{nearest}")
    if "value" not in merged:
        raise RequestError("picture.value: this store has no default picture; say what to draw with --value")
    try:
        picture = msgspec.convert(merged, Picture)
    except msgspec.ValidationError as error:
        raise RequestError(f"picture: {_with_key(str(error))}") from None

    # Look at the values that the types do not check
    if not 0 < picture.fps <= 1000:
        raise RequestError(f"picture.fps: {picture.fps} is outside (0, 1000]")
    if not 0 <= picture.cycle < math.inf:
        raise RequestError(
            f"picture.cycle: {picture.cycle} is not a positive number, nor 0 for colours that do not repeat"
        )
    if picture.cycle and picture.scale != "linear":
        raise RequestError(f"picture.cycle: goes with scale = 'linear' alone; for {picture.scale} colours leave it out")
    if (light := picture.light) and not (math.isfinite(light.azimuth) and math.isfinite(light.height)):
        raise RequestError("picture.shade: azimuth and height are finite numbers")
    if picture.frames is not None and picture.frames < 1:
        raise RequestError(f"picture.frames: {picture.frames} is less than 1")
    colour.check(picture.colormap, picture.background)
    return picture


def describe(attributes: Mapping[str, Any], picture: msgspec.Struct) -> dict[str, str]:
    """What a file that shows a store carries: ASCII text by keyword."""
    return {
        "Software": f"Horseshoe {version('horseshoe')}",
        "job": json.dumps(attributes["job"], sort_keys=True),
        "job_hash": one_line(attributes["job_hash"]),
        "picture": json.dumps(msgspec.to_builtins(picture), sort_keys=True),
    }


def _with_key(message: str) -> str:
    """'Expected `bool`, got `str` - at `$.axes`' -> 'axes: expected ...' so that the key leads the line."""
    text, _, path = message.partition(" - at ")
    key = path.strip("`").removeprefix("$.")
    return f"{key}: {text}" if key else text
