"""The numbers of a view that move with t, as parameters of the frame: a store says where each of its frames lies.

Pure functions of a view. What the numbers mean is said in jobs/view.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jobs.parameters import Floats, frame_parameter
from jobs.sections import Number, View
from jobs.view import Window, window

NUMBERS: dict[str, tuple[str, str, Callable[[Window], float]]] = {
    "center_u": ("", "view.center[0]", lambda one: one.center[0]),
    "center_v": ("", "view.center[1]", lambda one: one.center[1]),
    "width": ("", "view.width", lambda one: one.width),
    "height": ("", "view.height", lambda one: one.height),
    "rotation": ("degree", "view.rotation", lambda one: one.rotation),
}
"""Units, key and value of the numbers of a view, by their name in a store."""


def moving(view: View) -> list[tuple[str, str, str]]:
    """Name, units and key of the numbers that differ between frames; the height follows the width unless it is given."""
    stated: dict[str, Number] = {
        "center_u": view.center[0],
        "center_v": view.center[1],
        "width": view.width,
        "height": view.width if view.height is None else view.height,
        "rotation": view.rotation,
    }
    return [
        (name, units, key)
        for name, (units, key, _) in NUMBERS.items()
        if frame_parameter(key, stated[name]).depends_on_frame
    ]


def view_values(view: View, count: int) -> list[tuple[str, str, str, Floats]]:
    """Name, units, key and values, float64 of shape (count,), of the numbers that differ between frames."""
    names = moving(view)
    if not names:
        return []
    windows = [window(view, frame) for frame in range(count)]
    return [
        (name, units, key, np.array([NUMBERS[name][2](one) for one in windows], dtype=np.float64))
        for name, units, key in names
    ]
