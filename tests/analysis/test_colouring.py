"""Scales and light on whole pictures and videos: no seams between shards, one histogram for a video, figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from analysis import colour, scales, shading
from analysis.colour import MISSING
from analysis.images import image
from analysis.picture import Shade
from analysis.scales import Scale
from analysis.video import video
from kernels.errors import RequestError

Store = Callable[..., Path]
ROWS, COLUMNS = 40, 52
INFERNO = colour.table("inferno")
BLACK = (0, 0, 0)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as read:
        return np.asarray(read)


@pytest.fixture
def hills() -> np.ndarray:
    """Two frames of smooth positive hills with a hole of NaN."""
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    first = np.exp(3 * np.sin(rows / 7) * np.cos(columns / 9) + rows / 30)
    first[10:20, 12:30] = np.nan
    return np.stack([first, 2 * first])


def equalised(values: np.ndarray) -> Scale:
    low, high = np.nanmin(values), np.nanmax(values)
    return Scale(INFERNO, low, high, BLACK, "histogram", ranks=scales.ranks(scales.count(values, low, high)))


def lit(colours: np.ndarray, heights: np.ndarray, shade: Shade) -> np.ndarray:
    """The whole map in one piece."""
    light = shading.light(np.pad(heights, 1, constant_values=np.nan), shade)
    return np.where(np.isnan(heights)[..., np.newaxis], colours, shading.blend(colours, light))


def draw(path: Path, **picture: Any) -> np.ndarray:
    return pixels(image(path, path.with_suffix(".png"), picture={"value": "height", **picture}))


def test_scales_on_pictures(store: Store, hills: np.ndarray) -> None:
    path = store(arrays={"height": hills})
    low, high = np.nanmin(hills[0]), np.nanmax(hills[0])
    assert np.array_equal(draw(path, scale="histogram"), equalised(hills[0]).paint(hills[0]))
    assert np.array_equal(draw(path, scale="log"), Scale(INFERNO, low, high, BLACK, "log").paint(hills[0]))
    assert np.array_equal(draw(path, cycle=1.5), Scale(INFERNO, 0, 1.5, BLACK, cycle=1.5).paint(hills[0]))
    stated = Scale(INFERNO, 0, 9, BLACK, "histogram", ranks=scales.ranks(scales.count(hills[0], 0, 9)))
    assert np.array_equal(draw(path, scale="histogram", range=[0, 9]), stated.paint(hills[0]))


def test_a_logarithm_begins_at_the_lowest_positive_value(store: Store, hills: np.ndarray) -> None:
    path = store(arrays={"height": hills})
    found = draw(path, value="height - 2", scale="log")
    shifted = hills[0] - 2
    expected = Scale(INFERNO, shifted[shifted > 0].min(), np.nanmax(shifted), BLACK, "log").paint(shifted)
    assert np.array_equal(found, expected)
    assert draw(path, value="-height", scale="log").max() <= INFERNO[0].max()
    with pytest.raises(RequestError, match=r"scale = 'log' begins above 0"):
        draw(path, scale="log", range=[0, 9])


@pytest.mark.parametrize("shard", [(16, 16), (64, 64), (40, 8), (1, 64), (64, 1)])
def test_light_has_no_seams(store: Store, hills: np.ndarray, shard: tuple[int, int]) -> None:
    path = store(arrays={"height": hills, "depth": -hills}, shard=tuple(2 * size for size in shard))
    plain = Scale(INFERNO, np.nanmin(hills[0]), np.nanmax(hills[0]), BLACK).paint(hills[0])
    assert np.array_equal(draw(path, shade=True), lit(plain, hills[0], Shade()))
    from_below = draw(path, shade={"azimuth": 80, "elevation": 30, "height": 2, "value": "depth + x"})
    heights = -hills[0] + (-20 + 40 * np.arange(COLUMNS) / COLUMNS)
    assert np.array_equal(from_below, lit(plain, heights, Shade(80, 30, 2)))


def test_slabs_have_no_seams(store: Store, hills: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store(arrays={"height": hills})
    whole = draw(path, shade=True)
    monkeypatch.setattr("analysis.blocks.SLAB_PX", 40)
    assert np.array_equal(draw(path, shade=True), whole)


def test_light_stops_at_what_is_missing(store: Store, hills: np.ndarray) -> None:
    path = store(arrays={"height": hills}, unfinished=(5,))
    known = hills[0].copy()
    known[16:32, 16:32] = np.nan
    plain = Scale(INFERNO, np.nanmin(known), np.nanmax(known), BLACK).paint(known)
    expected = lit(plain, known, Shade())
    expected[16:32, 16:32] = MISSING
    assert np.array_equal(draw(path, shade=True), expected)


@pytest.mark.parametrize(
    ("limits", "is_common"), [("auto", True), ("frame", False), (["0", "90"], True), (["0", "50+t"], False)]
)
def test_a_video_has_one_histogram_unless_told(store: Store, hills: np.ndarray, limits: Any, is_common: bool) -> None:
    path = store(arrays={"height": hills})
    picture = {"value": "height", "scale": "histogram", "range": limits}
    out = video(path, path.with_suffix(".mkv"), picture=picture)
    with av.open(str(out)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for t, frame in enumerate(frames):
        counted = hills if is_common else hills[t]
        low, high = np.nanmin(counted), np.nanmax(counted)
        if not isinstance(limits, str):
            low, high = 0, 90 if is_common else 50 + t
        scale = Scale(INFERNO, low, high, BLACK, "histogram", ranks=scales.ranks(scales.count(counted, low, high)))
        assert np.array_equal(frame, scale.paint(hills[t]))


@pytest.mark.parametrize(
    ("background", "is_dark"), [("black", True), ("navy", True), ("white", False), ("ivory", False)]
)
def test_figures_can_be_read_on_their_background(
    store: Store, hills: np.ndarray, background: str, is_dark: bool
) -> None:
    path = store(arrays={"height": hills})
    drawn = draw(path, axes=True, background=background).astype(int)
    assert tuple(drawn[0, 0]) == colour.colour(background)
    margin = drawn[:, :60].sum(axis=2) / 3
    assert margin.max() > 180 if is_dark else margin.min() < 70


@pytest.mark.parametrize("picture", [{"scale": "histogram"}, {"scale": "log"}, {"cycle": 2.0}, {"shade": True}])
def test_figures_of_every_kind(store: Store, hills: np.ndarray, picture: dict[str, Any]) -> None:
    path = store(arrays={"height": hills})
    plain = draw(path, **picture).repeat(8, axis=0).repeat(8, axis=1)
    drawn = draw(path, axes=True, **picture)
    em = max(10.0, ROWS * 8 / 45)
    top, left = round(2.5 * em), round(7 * em)
    inside = drawn[top + 2 : top + ROWS * 8 - 2, left + 2 : left + COLUMNS * 8 - 2]
    assert np.array_equal(inside, plain[2:-2, 2:-2])


def test_a_figure_of_one_value(store: Store) -> None:
    path = store(arrays={"height": np.full((1, 20, 20), 3.0)})
    for scale in ("linear", "log", "histogram"):
        assert draw(path, axes=True, scale=scale).size
