"""The settings of a picture: the store's own `[picture]`, overridden by the command line, checked and typed.

Pure functions of values; never reads an array.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Literal

import msgspec

from analysis import colour
from kernels.errors import RequestError


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One resolved `[picture]`.

    `value` is a formula over arrays, coordinates, per-frame parameters and `t`; `frames` is None for the stored count;
    `range` is 'auto' (one range for all that is drawn), 'frame' (each frame its own), or two numbers or formulas of the
    frame's parameters and `t`.
    """

    value: str
    colormap: str = "inferno"
    range: Literal["auto", "frame"] | tuple[float | str, float | str] = "auto"
    background: str = "black"
    axes: bool = False
    fps: float = 30.0
    frames: int | None = None


def resolve(attributes: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Picture:
    """The picture of a store with root attribute `attributes`, keys of `overrides` coming first.

    Raises RequestError naming the key, and the nearest one for an unknown key.
    """
    merged = {**attributes["pictures"], **(overrides or {})}
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
    if picture.frames is not None and picture.frames < 1:
        raise RequestError(f"picture.frames: {picture.frames} is less than 1")
    colour.table(picture.colormap)
    colour.colour(picture.background)
    return picture


def describe(attributes: Mapping[str, Any], picture: Picture) -> dict[str, str]:
    """What a file that shows a store carries: ASCII text by keyword."""
    return {
        "Software": f"Horseshoe {version('horseshoe')}",
        "job": json.dumps(attributes["job"], sort_keys=True),
        "job_hash": str(attributes["job_hash"]),
        "picture": json.dumps(msgspec.to_builtins(picture), sort_keys=True),
    }


def _with_key(message: str) -> str:
    """'Expected `bool`, got `str` - at `$.axes`' -> 'axes: expected ...' so that the key leads the line."""
    text, _, path = message.partition(" - at ")
    key = path.strip("`").removeprefix("$.")
    return f"{key}: {text}" if key else text
