from __future__ import annotations

import numpy as np
import pytest

from analysis import shading
from analysis.picture import Shade


def plane(east: float, north: float) -> np.ndarray:
    rows, columns = np.mgrid[0.0:5, 0.0:6]
    return east * columns - north * rows


@pytest.mark.parametrize(("east", "north"), [(1.0, 0.0), (0.0, 1.0), (3e-9, -4e-9), (-5e7, 5e7)])
@pytest.mark.parametrize("shade", [Shade(), Shade(azimuth=90, elevation=30, height=2), Shade(azimuth=0, elevation=80)])
def test_planes_have_lamberts_light(east: float, north: float, shade: Shade) -> None:
    steepness = shade.height / np.hypot(east, north)
    normal = np.array([-east * steepness, -north * steepness, 1])
    azimuth, elevation = np.radians(shade.azimuth), np.radians(shade.elevation)
    sun = [np.cos(elevation) * np.sin(azimuth), np.cos(elevation) * np.cos(azimuth), np.sin(elevation)]
    cosine = normal @ sun / np.linalg.norm(normal)
    found = shading.light(plane(east, north), shade)
    expected = np.clip(cosine / np.sin(elevation) / 2, 0, 1)
    # The means of differences along the axes are exact here, but for rounding
    assert found == pytest.approx(np.full((3, 4), expected), abs=1e-6)


def test_light_comes_from_the_top_left() -> None:
    rows, columns = np.mgrid[-20:21, -20:21]
    found = shading.light(-np.hypot(rows, columns), Shade())
    assert found[8, 8] > 0.65
    assert found[30, 30] < 0.05
    assert found[8, 30] == pytest.approx(found[30, 8])


def test_level_ground_and_noise_are_left_as_they_are() -> None:
    assert (shading.light(np.full((5, 6), 7.0), Shade()) == shading.LEVEL).all()
    zigzag = np.tile([0.0, 1.0], (5, 3))
    assert shading.light(zigzag, Shade()) == pytest.approx(np.full((3, 4), shading.LEVEL))


def test_edges_use_the_side_that_is_there() -> None:
    whole = shading.light(plane(2, 1), Shade())
    framed = plane(2, 1)
    framed[0] = framed[:, 0] = np.nan
    framed[2, 5] = np.inf
    assert shading.light(framed, Shade()) == pytest.approx(whole)
    lone = np.full((3, 3), np.nan)
    lone[1, 1] = 5
    assert shading.light(lone, Shade()).tolist() == [[shading.LEVEL]]


def test_blend() -> None:
    colours = np.array([[0, 100, 255]], np.uint8).repeat(3, axis=0)
    shadow, level, gleam = shading.blend(colours, np.array([0.0, shading.LEVEL, 1.0])).astype(int)
    assert level.tolist() == [0, 100, 255]
    assert shadow.tolist() == [0, 30, 76]
    assert gleam.tolist() == [153, 193, 255]
