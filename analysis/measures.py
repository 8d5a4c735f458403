"""Named measures of a store as CSV, and single quantities of an array for checks.

Owns what is measured. Never draws, and never counts a shard that is not finished.
"""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.basins import area, basin_fraction, meanings, value_counts, view_area
from analysis.completions import completions
from analysis.dimension import boundary_dimension, dimension, maps
from analysis.estimates import estimates
from analysis.files import replacing
from analysis.picture import resolve
from analysis.runs import last, runs
from analysis.totals import Totals, is_by_frame, never_values, num_frames, sha256, totals
from hpc import shards
from hpc.reading import Reader, open_for_reading
from kernels.errors import RequestError, one_line

Row = dict[str, Any]
Settings = Mapping[str, Any] | None

STATISTICS = ("sum", "min", "max", "mean", "ended", "never", "area", "fraction", "boundary_dimension", "last", "sha256")

_QUANTITY = re.compile(
    r"(?P<array>\w+)(\[(?P<frame>[0-9]{1,9})\])?\.(?P<statistic>\w+)(\((?P<value>-?[\w-]{1,40})\))?", re.ASCII
)


def measure(name: str, store: Path, out: Path, *, picture: Settings = None, client: Any = None) -> Path:
    """Write the measure `name`, one of MEASURES, of `store` to the CSV `out` (a header, then rows) and return `out`.

    `picture` holds keys of `[picture]` that come before the store's own; `client` is of `clusters.connect`. Raises
    RequestError naming the nearest for a measure that is not there.
    """
    if name not in MEASURES:
        nearest = difflib.get_close_matches(name, MEASURES, n=1, cutoff=0.0)[0]
        raise RequestError(
            f"{one_line(name)}: no measure is called so; the nearest of {', '.join(MEASURES)} is {nearest!r}"
        )
    reader = open_for_reading(store)
    with replacing(out) as temporary:
        rows = list(MEASURES[name](reader, picture, client))
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]) if rows else ["frame"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return out


def quantity(store: Path, name: str, *, client: Any = None) -> float | int | str:
    """One number or text of a finished array, by a name 'ARRAY.STATISTIC' or, for one frame or run, 'ARRAY[K].STATISTIC'.

    sum, min, max and mean leave NaN out; of integers, sum, min and max are exact ints. ended counts the values other
    than the array's `never`, never those that are it; area is the share of these times the area of the view.
    last is the last finite value in C order.
    'fraction(VALUE)' is the share of one value, a number or, of outcomes, a name. boundary_dimension is that of
    `analysis.dimension`. sha256 is that of the values in C order, little endian, in hex.
    Raises RequestError for a name that cannot be read, an array that is not finished, or a statistic that is not a
    finite number.
    """
    match = _QUANTITY.fullmatch(name)
    if (
        match is None
        or match["statistic"] not in STATISTICS
        or (match["statistic"] == "fraction") != bool(match["value"])
    ):
        raise RequestError(f"quantity {name!r}: write ARRAY.STATISTIC, with STATISTIC one of {', '.join(STATISTICS)}")
    reader = open_for_reading(store)
    array, statistic = match["array"], match["statistic"]

    # Choose the frames, and refuse what is not finished
    frames = range(num_frames(reader, array))
    if match["frame"] is not None:
        frame = int(match["frame"])
        if not is_by_frame(reader, array) or frame not in frames:
            raise RequestError(f"quantity {name!r}: {array} has no frame {frame}, only 0 to {len(frames) - 1}")
        frames = range(frame, frame + 1)
    finished = reader.finished(array)
    fraction = 1.0
    if array not in reader.constants():
        fraction = float((finished[frames.start : frames.stop] if is_by_frame(reader, array) else finished).mean())
    if fraction < 1:
        raise RequestError(f"quantity {name!r}: {100 * fraction:.1f} % is computed; run the job to its end first")

    if statistic == "sha256":
        return sha256(reader, array, frames)
    if statistic == "last":
        found_last = last(shards.read(reader.array(array), [slice(frames.start, frames.stop)]))
        return _finite(name, math.nan if found_last is None else found_last)
    if statistic in ("area", "boundary_dimension") and len(frames) > 1:
        raise RequestError(f"quantity {name!r}: is that of one frame; write {array}[0].{statistic}")
    if statistic == "boundary_dimension":
        return _finite(name, _boundary_dimension(reader, name, array, frames.start, client))
    if statistic == "fraction":
        counts = value_counts(reader, array, finished, frames, client)
        return counts[_value(reader, name, array, match["value"])] / counts.total()
    if statistic in ("ended", "never", "area") and never_values(reader, array) is None:
        raise RequestError(f"quantity {name!r}: {array} counts nothing that could end")
    found = totals(reader, array, finished, frames, client)
    if statistic == "area":
        return (found.never or 0) / (found.count + found.num_nan) * view_area(reader, frames.start)
    return _finite(name, getattr(found, statistic))


def _boundary_dimension(reader: Reader, name: str, array: str, frame: int, client: Any) -> float:
    if array not in maps(reader):
        raise RequestError(f"quantity {name!r}: {array} has no basins, and counts nothing that could end")
    return dimension(reader, array, frame, client).value


def _value(reader: Reader, name: str, array: str, text: str) -> int:
    """The value that a text between parentheses means, as a number or by its name."""
    if reader.array(array).dtype.kind not in "iu":
        raise RequestError(f"quantity {name!r}: {array} has values of which none comes twice; fraction is of integers")
    names = {meaning: value for value, meaning in meanings(reader, array, 0).items()} if array == "outcome" else {}
    if text in names:
        return names[text]
    if not re.fullmatch("-?[0-9]{1,18}", text):
        raise RequestError(f"quantity {name!r}: {text!r} is no value of {array}; write an integer" + _or(names))
    return int(text)


def _or(names: Mapping[str, int]) -> str:
    return f" or one of {', '.join(names)}" if names else ""


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise RequestError(f"quantity {name!r}: {value} is not a finite number")
    return value


def summary(reader: Reader, _picture: Settings, client: Any) -> Iterator[Row]:
    """Every array, frame by frame and as a whole ('all'): what is finished, extremes, mean, sum, checksum."""
    for name in reader.arrays():
        finished = reader.finished(name)
        every = range(num_frames(reader, name))
        single = [(str(frame), range(frame, frame + 1)) for frame in every] if is_by_frame(reader, name) else []
        for label, frames in [*single, ("all", every)]:
            found = totals(reader, name, finished, frames, client)
            fraction = float((finished[frames.start : frames.stop] if single else finished).mean())
            yield {
                "frame": label,
                "array": name,
                "finished": fraction,
                "min": _number(found.min),
                "max": _number(found.max),
                "mean": _number(found.mean),
                "sum": found.sum,
                "nan": found.num_nan,
                "ended": found.ended,
                "sha256": sha256(reader, name, frames) if fraction == 1 else None,
            }


def divergence(reader: Reader, _picture: Settings, client: Any) -> Iterator[Row]:
    """Every array that counts up to an end, frame by frame: the frame's parameters, the share that ended, and when."""
    parameters = {name: reader.constant(name) for name in reader.constants() if reader.array(name).ndim == 1}
    for name in reader.arrays():
        never = never_values(reader, name)
        if never is None or not is_by_frame(reader, name):
            continue
        finished = reader.finished(name)
        for frame in range(num_frames(reader, name)):
            found = totals(reader, name, finished, range(frame, frame + 1), client)
            yield {
                "frame": frame,
                **{parameter: values[frame] for parameter, values in parameters.items()},
                "array": name,
                "finished": float(finished[frame].mean()),
                **_ending(found, never[frame]),
            }


def picture_range(reader: Reader, picture: Settings, client: Any) -> Iterator[Row]:
    """The picture's formula, frame by frame: lowest and highest finite value."""
    from analysis.field import Field

    field = Field(reader, resolve(reader.attributes, picture))
    for t in range(field.num_frames):
        low, high = field.extent([t], client)
        yield {"frame": t, "finished": field.finished_fraction([t]), "low": _number(low), "high": _number(high)}


MEASURES: Mapping[str, Callable[[Reader, Settings, Any], Iterator[Row]]] = {
    "summary": summary,
    "divergence": divergence,
    "picture": picture_range,
    "area": area,
    "basin-fraction": basin_fraction,
    "boundary-dimension": boundary_dimension,
    "runs": runs,
    "completions": completions,
    "estimates": estimates,
}


def _ending(found: Totals, never: Any) -> Row:
    """How many of the values ended, and their mean."""
    ended = found.ended or 0
    mean = (found.sum - float(never) * (found.count - ended)) / ended if ended else math.nan
    fraction = ended / found.count if found.count else math.nan
    return {"pixels": found.count, "ended": ended, "ended_fraction": _number(fraction), "mean_ended": _number(mean)}


def _number(value: float) -> float | None:
    """None, an empty cell, for NaN."""
    return None if math.isnan(value) else value
