from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import Normalize
from PIL import Image

from analysis import figures
from analysis.colour import MISSING
from analysis.field import Field
from analysis.images import image
from analysis.picture import resolve
from hpc.reading import open_for_reading
from kernels.errors import RequestError

Store = Callable[..., Path]
STEPS = [1000.0, 1000.0]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as read:
        return np.asarray(read)


def inferno(values: np.ndarray) -> np.ndarray:
    return matplotlib.colormaps["inferno"](Normalize(values.min(), values.max())(values), bytes=True)[..., :3]


@pytest.mark.parametrize("frame", [0, 1])
def test_a_picture_has_the_colours_of_matplotlib_pixel_by_pixel(store: Store, times: np.ndarray, frame: int) -> None:
    path = store(arrays={"times": times}, parameters={"steps": STEPS})
    out = path.with_suffix(".png")
    assert image(path, out, frame=frame) == out
    assert np.array_equal(pixels(out), inferno(1000.0 - times[frame]))


def test_row_0_is_the_top_row(store: Store) -> None:
    times = np.zeros((1, 20, 30), np.int32)
    times[0, 0, 29] = 5
    path = store(arrays={"times": times}, parameters={"steps": [5]})
    drawn = pixels(image(path, path.with_suffix(".png"), picture={"value": "times", "colormap": "gray"}))
    assert drawn.shape == (20, 30, 3)
    assert np.argwhere(drawn[..., 0]).tolist() == [[0, 29]]
    assert drawn[0, 29].tolist() == [255, 255, 255]


def test_unfinished_shards_are_grey_and_do_not_count_for_the_range(
    store: Store, times: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    path = store(arrays={"times": times}, parameters={"steps": STEPS}, unfinished=(0, 7))
    with caplog.at_level(logging.WARNING):
        drawn = pixels(image(path, path.with_suffix(".png")))
    assert "83.3 % is computed" in caplog.text
    missing = np.zeros((40, 52), bool)
    missing[:16, :16] = missing[16:32, 48:] = True
    assert (drawn[missing] == MISSING).all()
    assert np.array_equal(drawn[~missing], inferno(1000.0 - times[0][~missing]))


def test_a_store_with_nothing_in_it_is_all_grey(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters={"steps": STEPS}, unfinished=tuple(range(24)))
    assert (pixels(image(path, path.with_suffix(".png"))) == MISSING).all()


def test_formulas_see_arrays_coordinates_parameters_components_and_t(store: Store, times: np.ndarray) -> None:
    final = np.random.default_rng(5).normal(size=(2, 3, 40, 52))
    path = store(arrays={"times": times, "final": final}, parameters={"steps": STEPS, "mass_1": [3, 7]})
    value = "times*x + y**2 - mass_1*final_2 + 100*t"
    drawn = pixels(image(path, path.with_suffix(".png"), frame=1, picture={"value": value}))
    x, y = -20 + 40 * np.arange(52) / 52, -20 + 40 * np.arange(40)[:, None] / 40
    assert np.array_equal(drawn, inferno(times[1] * x + y * y - 7 * final[1, 2] + 100))


@pytest.mark.parametrize("value", ["x + 0*y", "t", "7"])
def test_formulas_without_arrays(store: Store, times: np.ndarray, value: str) -> None:
    path = store(arrays={"times": times}, parameters={"steps": STEPS})
    drawn = pixels(image(path, path.with_suffix(".png"), picture={"value": value}))
    expected = np.broadcast_to(np.arange(52.0) if "x" in value else 0.0, (40, 52))
    assert np.array_equal(drawn, inferno(expected))


def test_nan_is_background_and_infinity_does_not_count_for_the_range(store: Store) -> None:
    separation = np.linspace(0, 1, 64).reshape(1, 8, 8)
    separation[0, 0, :2] = np.nan, np.inf
    path = store(arrays={"separation": separation}, shard=(4, 4), picture={"value": "separation", "background": "lime"})
    drawn = pixels(image(path, path.with_suffix(".png")))
    assert drawn[0, 0].tolist() == [0, 255, 0]
    assert drawn[0, 1].tolist() == [252, 254, 164]
    assert np.array_equal(drawn[1:], inferno_between(separation[0, 1:], separation[0, 0, 2]))


def inferno_between(values: np.ndarray, low: float) -> np.ndarray:
    return matplotlib.colormaps["inferno"](Normalize(low, 1)(values), bytes=True)[..., :3]


def test_ranges_may_be_formulas(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters={"steps": [1000, 500]})
    picture = {"value": "times", "range": ["-100", "steps + 100*t"]}
    drawn = pixels(image(path, path.with_suffix(".png"), frame=1, picture=picture))
    expected = matplotlib.colormaps["inferno"](Normalize(-100, 600)(times[1].astype(float)), bytes=True)[..., :3]
    assert np.array_equal(drawn, expected)
    with pytest.raises(RequestError, match=r"picture\.range: \[1000\.0, 0\.0\]"):
        image(path, path.with_suffix(".png"), picture={"range": ["steps", 0]})


def test_one_stored_frame_serves_many_pictures(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times[:1]}, parameters={"steps": [1000]})
    picture = {"value": "100*t - min(times, 100*t)", "frames": 11}
    drawn = pixels(image(path, path.with_suffix(".png"), frame=4, picture=picture))
    assert np.array_equal(drawn, inferno(400.0 - np.minimum(times[0], 400)))
    with pytest.raises(RequestError, match=r"--frame 11: not there; the frames of this picture are 0 to 10"):
        image(path, path.with_suffix(".png"), frame=11, picture=picture)
    with pytest.raises(RequestError, match="--frame -1"):
        image(path, path.with_suffix(".png"), frame=-1, picture=picture)


def test_a_title_says_the_frame_and_what_moves(store: Store, times: np.ndarray) -> None:
    def titles(path: Path, **settings: Any) -> list[str]:
        reader = open_for_reading(path)
        field = Field(reader, resolve(reader.attributes, settings))
        return [field.title(t) for t in range(field.num_frames)]

    moving = {"steps": [1000, 500], "dt": [0.1, 0.1]}
    path = store("moving.zarr", arrays={"times": times}, parameters=moving)
    assert titles(path) == ["A toy – map; frame 0; steps = 1000", "A toy – map; frame 1; steps = 500"]
    path = store("one.zarr", arrays={"times": times[:1]}, parameters={"steps": [1000]})
    assert titles(path) == ["A toy – map"]
    assert titles(path, frames=2)[1] == "A toy – map; frame 1"


def test_a_title_is_drawn_above_the_map(store: Store, times: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is in it, and however long it is: nothing of it is cut off."""
    path = store(arrays={"times": times}, parameters={"steps": STEPS})
    for text in ("$x^$", "long " * 60):
        monkeypatch.setattr(Field, "title", lambda *_, text=text: text)
        drawn = pixels(image(path, path.with_suffix(".png"), picture={"axes": True}))
        ink = (drawn[:15] != drawn[0, 0]).any(axis=(0, 2))
        assert ink.any()
        assert not ink[:5].any()
        assert not ink[-5:].any()


def test_what_is_not_a_number_is_said(store: Store, times: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    path = store(arrays={"times": times}, parameters={"steps": STEPS}, unfinished={1})
    image(path, path.with_suffix(".png"), picture={"value": "times"})
    assert "not a number" not in caplog.text
    drawn = pixels(image(path, path.with_suffix(".png"), picture={"value": "log(500 - times)", "background": "teal"}))
    teal = (drawn == (0, 128, 128)).all(axis=-1)
    assert f"{100 * teal.mean():.2g} % is not a number, drawn in teal" in caplog.text


def test_a_picture_carries_its_job(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters={"steps": STEPS})
    with Image.open(image(path, path.with_suffix(".png"), frame=1)) as read:
        text = dict(read.text)  # type: ignore[attr-defined]
    assert text["Title"] == "A toy – map"
    assert json.loads(text["job"])["name"] == "toy"
    assert text["job_hash"] == "0123abcd"
    assert text["frame"] == "1"
    assert json.loads(text["picture"])["value"] == "steps - times"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("__import__('os').system('touch hacked')", "picture.value, column"),
        ("().__class__", "picture.value, column"),
        ("timse", r"unknown name 'timse'; did you mean 'times'"),
        ("times + i", "the values are complex"),
        ("", "empty"),
        ("(" * 5000, "picture.value"),
        ("9**9**9**9", None),
    ],
)
def test_hostile_and_wrong_formulas(
    store: Store, times: np.ndarray, value: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = store(arrays={"times": times}, parameters={"steps": STEPS})
    out = path.with_suffix(".png")
    if message is None:
        assert image(path, out, picture={"value": value}).exists()
        return
    with pytest.raises(RequestError, match=message) as caught:
        image(path, out, picture={"value": value})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_a_store_is_refused_in_one_line(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing.zarr"):
        with pytest.raises(RequestError) as caught:
            image(place, tmp_path / "a.png")
        assert str(place) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("least", "most", "shown"), [(1, 4096, (40, 52)), (100, 4096, (80, 104)), (1, 20, (14, 18))])
def test_axes_keep_whole_pixels(
    store: Store, times: np.ndarray, monkeypatch: pytest.MonkeyPatch, least: int, most: int, shown: tuple[int, int]
) -> None:
    monkeypatch.setattr(figures, "SMALLEST_PX", least)
    monkeypatch.setattr(figures, "LARGEST_PX", most)
    path = store(arrays={"times": times}, parameters={"steps": STEPS})
    drawn = pixels(image(path, path.with_suffix(".png"), picture={"axes": True, "background": "white"}))

    # The inner pixels of the picture stand where the layout puts them, as they are
    plain = inferno(1000.0 - times[0])
    if least > 52:
        plain = plain.repeat(2, axis=0).repeat(2, axis=1)
    elif most < 52:
        plain = plain[::3, ::3]
    assert plain.shape[:2] == shown
    assert drawn.shape[0] % 2 == drawn.shape[1] % 2 == 0
    left, bottom = 70, 45
    top = drawn.shape[0] - bottom - shown[0]
    inside = drawn[top + 2 : top + shown[0] - 2, left + 2 : left + shown[1] - 2]
    assert np.array_equal(inside, plain[2:-2, 2:-2])
    assert (drawn[top : top + shown[0], :left].min(axis=2) < 128).any()
