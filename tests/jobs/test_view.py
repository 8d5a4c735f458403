"""The View contract: formulas by index, tiles as slices, rows, rotation, decimal view numbers."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.sections import View
from jobs.view import Coordinates, window
from kernels.errors import RequestError


def view(**keys: Any) -> View:
    return msgspec.convert({"width": 40, "resolution": [16, 16], **keys}, View)


def coordinates(chosen: View, count: int) -> list[np.ndarray[Any, Any]]:
    """x and y of all frames."""
    lazy = [Coordinates(chosen, count, axis) for axis in (0, 1)]
    return [one[tuple(slice(0, size) for size in one.shape)] for one in lazy]


def test_edge_down_is_the_text_s_grid() -> None:
    (x,), (y,) = coordinates(view(sampling="edge", rows="down"), 1)
    assert x.tolist() == [-20 + 2.5 * i for i in range(16)]
    assert y.tolist() == x.tolist()


def test_edge_up_runs_from_the_top() -> None:
    _, (y,) = coordinates(view(sampling="edge"), 1)
    assert y.tolist() == [20 - 2.5 * j for j in range(16)]


def test_center_is_symmetric() -> None:
    (x,), (y,) = coordinates(view(), 1)
    assert x[0] == -18.75
    assert (x == -x[::-1]).all()
    assert (y == x[::-1]).all()


def test_inclusive_reaches_both_ends_and_one_pixel_sits_in_the_middle() -> None:
    (x,), (y,) = coordinates(view(sampling="inclusive", resolution=[5, 1], center=[1, 7]), 1)
    assert x.tolist() == [-19, -9, 1, 11, 21]
    assert y.tolist() == [7]


def test_height_follows_the_resolution_or_is_given() -> None:
    assert window(view(resolution=[20, 5]), 0).height == 10
    assert window(view(resolution=[20, 5], height=3), 0).height == 3


def test_the_map_of_half_the_resolution_is_every_other_pixel() -> None:
    (fine,), _ = coordinates(view(sampling="edge", resolution=[32, 32]), 1)
    (coarse,), _ = coordinates(view(sampling="edge"), 1)
    assert (fine[::2] == coarse).all()


@given(
    center=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
    width=st.floats(1e-6, 1e3),
    columns=st.integers(1, 40),
    rows=st.integers(1, 40),
    sampling=st.sampled_from(["center", "edge", "inclusive"]),
    direction=st.sampled_from(["up", "down"]),
    rotation=st.sampled_from([0.0, 90.0, 33.3]),
    cut=st.tuples(st.integers(0, 39), st.integers(1, 40), st.integers(0, 39), st.integers(1, 40)),
)
def test_a_tile_is_a_slice_of_the_whole_bit_for_bit(
    center: tuple[float, float],
    width: float,
    columns: int,
    rows: int,
    sampling: str,
    direction: str,
    rotation: float,
    cut: tuple[int, int, int, int],
) -> None:
    made = view(
        center=center,
        width=width,
        resolution=[columns, rows],
        sampling=sampling,
        rows=direction,
        rotation=rotation,
    )
    one = window(made, 0)
    top, tall, left, wide = cut
    down = slice(min(top, rows - 1), min(min(top, rows - 1) + tall, rows))
    across = slice(min(left, columns - 1), min(min(left, columns - 1) + wide, columns))
    whole = np.broadcast_arrays(*one.points(slice(0, rows), slice(0, columns)))
    tile = np.broadcast_arrays(*one.points(down, across))
    for full, part in zip(whole, tile, strict=True):
        assert full.shape == (rows, columns)
        assert full[down, across].tobytes() == part.tobytes()


def test_rotation_turns_counter_clockwise_about_the_centre_and_is_exact_at_quarters() -> None:
    keys: dict[str, Any] = {"center": [1, 2], "width": 4, "resolution": [5, 5], "sampling": "inclusive"}
    whole = slice(0, 5)
    u, v = np.broadcast_arrays(*window(view(**keys), 0).points(whole, whole))
    turned_u, turned_v = window(view(**keys, rotation=90), 0).points(whole, whole)
    assert (turned_u == 1 - (v - 2)).all()
    assert (turned_v == 2 + (u - 1)).all()
    back_u, back_v = window(view(**keys, rotation=-270), 0).points(whole, whole)
    assert (back_u == turned_u).all()
    assert (back_v == turned_v).all()
    slanted_u, slanted_v = window(view(**keys, rotation=30), 0).points(whole, whole)
    assert np.hypot(slanted_u - 1, slanted_v - 2) == pytest.approx(np.hypot(u - 1, v - 2))
    assert (slanted_u[2, 4], slanted_v[2, 4]) == pytest.approx((1 + 2 * np.cos(np.pi / 6), 2 + 2 * np.sin(np.pi / 6)))


def test_view_numbers_are_decimal_and_depend_on_the_frame() -> None:
    zoom = view(width="40/2**(t/30)", center=["0.1 + 0.2", "-0.5"])
    assert window(zoom, 0).width == 40
    assert window(zoom, 30).width == 20
    assert window(zoom, 60).width == 10
    assert window(zoom, 0).center == (0.3, -0.5)
    x, y = coordinates(zoom, 61)
    assert x.shape == y.shape == (61, 16)
    assert (x[60] == window(zoom, 60).horizontal(0, 16)).all()


def test_a_part_of_the_coordinates_is_a_part_of_all() -> None:
    for keys in ({"width": "40/2**(t/30)"}, {"rows": "down"}):
        for axis, whole in enumerate(coordinates(view(**keys), 61)):
            part = Coordinates(view(**keys), 61, axis)[slice(17, 23), slice(3, 9)]
            assert part.tobytes() == whole[17:23, 3:9].tobytes()


def test_frames_of_a_still_view_share_their_memory() -> None:
    x, y = coordinates(view(), 1000)
    assert x.shape == (1000, 16)
    assert x.strides[0] == y.strides[0] == 0


@pytest.mark.parametrize(
    ("keys", "start"),
    [
        ({"width": "t - 1"}, "view.width: must be larger than 0"),
        ({"height": 0}, "view.height: must be larger than 0"),
        ({"width": "log(t)"}, "view.width: 'log\\(t\\)' is "),
        ({"width": 1e308}, "view.width: the coordinates of frame 0 overflow"),
        ({"height": 1.7e308}, "view.height: the coordinates of frame 0 overflow"),
        ({"center": [1.79e308, 0], "width": 1e307}, "view.width: the coordinates of frame 0 overflow"),
        ({"center": [1e9, 0], "width": 1e-9}, "view.width: the pixels of frame 0 are closer"),
    ],
)
def test_a_view_that_is_none_is_refused(keys: dict[str, Any], start: str) -> None:
    with pytest.raises(RequestError, match=f"^{start}"):
        window(view(**keys), 0)
