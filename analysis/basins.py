"""How much of a view never stopped, and how much of it ended at each root or in each way.

Owns shares and areas. Never counts a shard that is not finished.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import clusters
from analysis.totals import dimensions, is_by_frame, never_values, num_frames, totals
from hpc import shards
from hpc.reading import Reader
from kernels.errors import RequestError
from kernels.expression import evaluate, parse

Row = dict[str, Any]

MAP = ("frame", "y", "x")

BASINS = ("root", "outcome")
"""Arrays whose values name the basin that a pixel lies in."""


def area(reader: Reader, _picture: Any, client: Any) -> Iterator[Row]:
    """Every array that counts up to an end, frame by frame: the share of pixels that never did, and that of the view's area."""
    for name in reader.arrays():
        never = never_values(reader, name)
        if never is None or dimensions(reader, name) != MAP:
            continue
        finished = reader.finished(name)
        for frame in range(num_frames(reader, name)):
            found = totals(reader, name, finished, range(frame, frame + 1), client)
            pixels, view = found.count + found.num_nan, view_area(reader, frame)
            share = (found.never or 0) / pixels if pixels else None
            yield {
                "frame": frame,
                "array": name,
                "finished": float(finished[frame].mean()),
                "pixels": pixels,
                "never": found.never or 0,
                "never_fraction": share,
                "view_area": view,
                "area": None if share is None else share * view,
            }


def basin_fraction(reader: Reader, _picture: Any, client: Any) -> Iterator[Row]:
    """Every value of `root` and `outcome`, frame by frame: what it stands for, its pixels and their share."""
    names = [name for name in BASINS if name in reader.arrays()]
    if not names:
        raise RequestError(f"{reader.path}: has no array {' or '.join(BASINS)}; compute one with outputs in the job")
    for name in names:
        finished = reader.finished(name)
        for frame in range(num_frames(reader, name)):
            start = {"frame": frame, "array": name, "finished": float(finished[frame].mean())}
            counts = value_counts(reader, name, finished, range(frame, frame + 1), client)
            pixels = sum(counts.values())
            names_of = meanings(reader, name, frame)
            if not counts:
                yield {**start, "value": None, "meaning": None, "pixels": 0, "fraction": None}
            for value, count in sorted(counts.items()):
                meaning = names_of.get(value, "none")
                yield {**start, "value": value, "meaning": meaning, "pixels": count, "fraction": count / pixels}


def view_area(reader: Reader, frame: int) -> float:
    """The area of a frame's view, width times height. RequestError where the store does not tell its view."""
    view = reader.attributes["job"].get("view", {})
    if "width" not in view:
        raise RequestError(f"{reader.path}: its job has no view.width, so it has no area")
    columns, rows = view["resolution"]
    width = _at_frame(view["width"], frame, "view.width")
    height = view.get("height")
    return width * (width * rows / columns if height is None else _at_frame(height, frame, "view.height"))


def value_counts(
    reader: Reader, name: str, finished: NDArray[np.bool_], frames: range, client: Any = None
) -> Counter[int]:
    """How many pixels have each value of an array of integers, in the finished shards of these stored frames."""
    from dask.delayed import delayed

    array, has_frames = reader.array(name), is_by_frame(reader, name)
    chosen = [position for position in np.argwhere(finished).tolist() if not has_frames or position[0] in frames]
    parts = [delayed(_counts_of_shard)(array, shards.region(array, position)) for position in chosen]
    merged: Counter[int] = clusters.compute(client, delayed(_merge)(parts))
    return merged


def meanings(reader: Reader, name: str, frame: int) -> dict[int, str]:
    """What the values of `root` and `outcome` stand for: the root, the way a pixel ended."""
    if name == "outcome":
        outcomes: Any = reader.array(name).attrs.get("outcomes", {})
        return {value: meaning for meaning, value in outcomes.items()}
    if name != "root" or "roots" not in reader.arrays() or not reader.finished("roots").all():
        return {}
    table = reader.read("roots")
    roots = table[min(frame, len(table) - 1)]
    return {index: f"{re:.6g}{im:+.6g}i" for index, (re, im) in enumerate(roots) if math.isfinite(re)}


def _at_frame(number: Any, frame: int, key: str) -> float:
    """A number of the view in one frame: itself, or a formula of t."""
    if not isinstance(number, str):
        return float(number)
    return float(np.real(evaluate.decimal(parse(number, names={"t"}, key=key), {"t": frame})))


def _counts_of_shard(array: Any, selection: tuple[slice, ...]) -> Counter[int]:
    values, counts = np.unique(shards.read(array, selection), return_counts=True)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _merge(parts: list[Counter[int]]) -> Counter[int]:
    return sum(parts, start=Counter())
