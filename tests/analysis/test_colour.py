from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import Normalize

from analysis import colour
from kernels.errors import RequestError


@pytest.mark.parametrize("name", ["inferno", "viridis_r", "tab10", "gray", "cet_fire", "cmr.ember"])
def test_colours_equal_those_of_matplotlib(name: str) -> None:
    table = colour.table(name)
    values = np.concatenate([np.random.default_rng(3).uniform(-7, 61, 5000), [0, 50, -1, 51, 25, -np.inf, np.inf]])
    expected = matplotlib.colormaps[name](Normalize(0, 50)(values), bytes=True)[:, :3]
    assert np.array_equal(colour.paint(values, table, 0, 50, (1, 2, 3)), expected)


def test_known_colours() -> None:
    painted = colour.paint(np.array([0.0, 0.5, 1.0]), colour.table("inferno"), 0, 1, (0, 0, 0))
    assert painted.tolist() == [[0, 0, 3], [187, 55, 84], [252, 254, 164]]


def test_nan_gets_the_background_and_one_value_the_first_colour() -> None:
    painted = colour.paint(np.array([[np.nan, 4.0]]), colour.table("viridis"), 4, 4, (9, 8, 7))
    assert painted.tolist() == [[[9, 8, 7], colour.table("viridis")[0].tolist()]]


def test_paint_leaves_its_input_alone() -> None:
    values = np.array([3.0, np.nan])
    colour.paint(values, colour.table("inferno"), 0, 9, (0, 0, 0))
    assert np.array_equal(values, [3.0, np.nan], equal_nan=True)


def test_backgrounds() -> None:
    assert colour.colour("black") == (0, 0, 0)
    assert colour.colour("#ff8000") == (255, 128, 0)
    with pytest.raises(RequestError, match=r"picture\.background: 'blakc' is no colour.*'black'"):
        colour.colour("blakc")


@pytest.mark.parametrize(("wrong", "nearest"), [("infernal", "inferno"), ("cmr.embers", "cmr.ember"), ("", "")])
def test_unknown_maps_name_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(RequestError, match=rf"picture\.colormap.*nearest name is '{nearest}") as caught:
        colour.table(wrong)
    assert "\n" not in str(caught.value)


def test_familiar_names_are_what_they_seem() -> None:
    for name in sorted(colour.FAMILIAR_MAPS):
        assert len(colour.table(name)) > 1
    for name in [*sorted(colour.FAMILIAR_COLOURS), "#12aBfF"]:
        assert colour.HEXADECIMAL.fullmatch(name) or colour.colour(name) in {(0, 0, 0), (255, 255, 255)}


@pytest.mark.parametrize(
    ("colormap", "background", "key"),
    [("infernal", "black", "colormap"), ("inferno", "blakc", "background"), ("inferno", "#12345g", "background")],
)
def test_a_check_refuses_what_cannot_be_drawn(colormap: str, background: str, key: str) -> None:
    with pytest.raises(RequestError, match=rf"picture\.{key}"):
        colour.check(colormap, background)
    colour.check("cmr.ember_r", "tab:orange")
    colour.check("inferno", "#12aBfF")
