"""Light and shadow on a picture: a map taken as the heights of a landscape and lit from one side.

Pure functions of heights and colours. Only the direction of the slope counts, not its steepness, so that the same light
serves a count that grows without bound towards a boundary and a distance that shrinks to nothing there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.picture import Shade

Floats = NDArray[np.float64]

LEVEL = 0.5
"""The light on level ground, which leaves colours as they are."""

SHADOW = 0.3
"""What is left of a colour where no light falls."""

GLEAM = 0.6
"""How much of what a colour lacks to white it gets where most light falls."""


def light(heights: Floats, shade: Shade) -> Floats:
    """How much light falls on each pixel: 1/2 where it is level, 0 in full shadow, 1 at most.

    `heights` has one more row and column on each side than the result; NaN where there is no neighbour. Where differences
    to the two sides of a pixel disagree, the map is rougher than its pixels, and counts as level.
    """
    right = _slope(heights[1:-1, :-2], heights[1:-1, 1:-1], heights[1:-1, 2:])
    up = _slope(heights[2:, 1:-1], heights[1:-1, 1:-1], heights[:-2, 1:-1])
    size = np.hypot(right[1], up[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(size > 0, shade.height / size, 0.0)
    east, north = right[0] * scale, up[0] * scale

    # Lambert's law: the light is the cosine of the angle between the normal (-east, -north, 1) and the way to the sun
    azimuth, elevation = np.radians(shade.azimuth), np.radians(shade.elevation)
    towards_sun = np.cos(elevation) * (np.sin(azimuth) * east + np.cos(azimuth) * north)
    cosine = (np.sin(elevation) - towards_sun) / np.sqrt(1 + east * east + north * north)
    lit: Floats = np.clip(cosine / (2 * np.sin(elevation)), 0.0, 1.0)
    return lit


def blend(colours: NDArray[np.uint8], lit: Floats) -> NDArray[np.uint8]:
    """The colours, uint8 (..., 3), under this light, shape (...): LEVEL leaves them, less darkens and more brightens.

    Darker means multiplied, down to SHADOW; brighter means that of what is missing to white, up to GLEAM is added.
    """
    share = colours.astype(np.float32) / 255
    level = lit[..., np.newaxis].astype(np.float32)
    share *= SHADOW + (1 - SHADOW) * np.minimum(level / LEVEL, 1)
    share += (1 - share) * GLEAM * np.maximum(level - LEVEL, 0) / (1 - LEVEL)
    return np.rint(255 * share).astype(np.uint8)


def _slope(before: Floats, here: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Mean of the differences to both neighbours, and mean of their sizes; of one where the other is not finite, else 0."""
    with np.errstate(invalid="ignore"):
        differences = np.stack([here - before, after - here])
    known = np.isfinite(differences)
    differences[~known] = 0.0
    num_known = np.maximum(known.sum(axis=0), 1)
    return differences.sum(axis=0) / num_known, np.abs(differences).sum(axis=0) / num_known
