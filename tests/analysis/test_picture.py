from __future__ import annotations

import json
from typing import Any

import pytest

from analysis import picture
from kernels.errors import RequestError

STORED = {"value": "steps - times", "colormap": "inferno", "range": [0, "steps"], "frames": None, "fps": 25.0}
ATTRIBUTES: dict[str, Any] = {"pictures": STORED, "job": {"name": "toy"}, "job_hash": "01ab"}


def test_overrides_come_before_the_store_and_the_store_before_the_defaults() -> None:
    resolved = picture.resolve(ATTRIBUTES, {"colormap": "gray", "frames": 101})
    assert resolved == picture.Picture("steps - times", "gray", (0.0, "steps"), "black", False, 25.0, 101)
    assert picture.resolve(ATTRIBUTES).frames is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"colourmap": "gray"}, r"picture\.colourmap: there is no such key; the nearest is picture\.colormap"),
        ({"axes": "yes"}, r"picture: axes: Expected `bool`"),
        ({"fps": 0}, r"picture\.fps: 0\.0 is outside"),
        ({"fps": float("nan")}, r"picture\.fps"),
        ({"frames": 0}, r"picture\.frames: 0 is less than 1"),
        ({"range": [1]}, r"picture: range"),
        ({"range": "automatic"}, r"picture: range"),
        ({"value": 3}, r"picture: value"),
        ({"colormap": "infrno"}, r"inferno"),
        ({"background": "blak"}, r"black"),
        ({"scale": "logarithm"}, r"picture: scale"),
        ({"cycle": -1}, r"picture\.cycle: -1\.0 is not a positive number"),
        ({"cycle": float("inf")}, r"picture\.cycle: inf"),
        ({"cycle": 5, "scale": "log"}, r"picture\.cycle: goes with scale = 'linear' alone"),
        ({"shade": 3}, r"picture: shade"),
        ({"shade": {"azimut": 3}}, r"picture: shade: Object contains unknown field `azimut`"),
        ({"shade": {"elevation": 0}}, r"picture: shade\.elevation"),
        ({"shade": {"height": float("inf")}}, r"picture\.shade: azimuth and height are finite"),
    ],
)
def test_wrong_settings_are_one_line_that_names_the_key(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        picture.resolve(ATTRIBUTES, overrides)
    assert "\n" not in str(caught.value)


def test_light_is_off_on_or_described() -> None:
    assert picture.resolve(ATTRIBUTES).light is None
    assert picture.resolve(ATTRIBUTES, {"shade": True}).light == picture.Shade()
    stored = {**ATTRIBUTES, "pictures": {**STORED, "shade": {"azimuth": 90, "elevation": 30}}}
    assert picture.resolve(stored).light == picture.Shade(90, 30)
    assert picture.resolve(stored, {"shade": {"azimuth": 10}}).light == picture.Shade(10, 30)
    assert picture.resolve(stored, {"shade": False}).light is None


def test_a_store_without_a_picture_asks_for_a_value() -> None:
    with pytest.raises(RequestError, match=r"picture\.value.*--value"):
        picture.resolve({"pictures": {}})


def test_the_description_is_ascii_and_complete() -> None:
    text = picture.describe({**ATTRIBUTES, "job": {"title": "Poincaré"}}, picture.resolve(ATTRIBUTES))
    assert all(value.isascii() for value in text.values())
    assert json.loads(text["job"]) == {"title": "Poincaré"}
    assert text["job_hash"] == "01ab"
    assert text["Software"].startswith("Horseshoe ")
    assert json.loads(text["picture"])["range"] == [0.0, "steps"]
