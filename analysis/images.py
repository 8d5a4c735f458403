"""One frame of a store as a PNG of exactly its pixels, a strip of shards at a time.

Owns the way from a store to a still picture. Never holds a whole map: memory is that of one row of shards.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import clusters, figures, plot, plots, png
from analysis.field import Field
from analysis.files import replacing
from analysis.picture import describe, resolve
from hpc.reading import open_for_reading
from kernels.errors import one_line

logger = logging.getLogger(__name__)


def image(
    store: Path, out: Path, *, frame: int = 0, picture: Mapping[str, Any] | None = None, client: Any = None
) -> Path:
    """Draw picture frame `frame` of `store` to the PNG `out` and return `out`.

    `picture` holds keys of `[picture]` that come before the store's own; `client` is of `clusters.connect`. Row 0 of
    the arrays is the top row; the range 'auto' is that of this frame. What is not finished is flat grey, and how
    much is finished is logged, and how much is not a number. The PNG carries the job, its hash and the picture's settings
    as text. A store that holds no maps is drawn as its plot. Raises RequestError for a store, key, formula or frame that is
    not there.
    """
    reader = open_for_reading(store)
    if plot.is_plot(reader.attributes):
        return plots.draw(reader, plot.resolve(reader.attributes, picture), out, frame=frame)
    settings = resolve(reader.attributes, picture)
    field = Field(reader, settings)
    text = {"Title": one_line(reader.attributes["job"].get("title", "")), "frame": str(field.checked(frame))}
    text |= describe(reader.attributes, settings)

    with replacing(out) as temporary:
        log_unfinished(field, [frame])
        log_nan(field, frame, client)
        scale = field.scale([frame], client)
        painted = field.frame(frame).painted(scale, settings.light)
        if settings.axes:
            drawn = figures.figure(field, frame, scale, client)
            png.write(temporary, drawn.shape[1], drawn.shape[0], [drawn], text)
        else:
            png.write(temporary, painted.shape[1], painted.shape[0], _strips(painted, client), text)
    return out


def log_unfinished(field: Field, frames: list[int]) -> None:
    """Say how much of these picture frames is computed, where it is not all."""
    fraction = field.finished_fraction(frames)
    if fraction < 1:
        logger.warning("%s: %.1f %% is computed; the rest is drawn grey", field.reader.path, 100 * fraction)


def log_nan(field: Field, t: int, client: Any = None) -> None:
    """Say how much of picture frame `t` is not a number, which has no colour of its own, where there is some."""
    share = int(clusters.compute(client, field.frame(t).num_nan()).sum()) / math.prod(field.shape)
    if share:
        background = field.picture.background
        logger.warning("%s: %.2g %% is not a number, drawn in %s", field.reader.path, 100 * share, background)


def _strips(painted: Any, client: Any) -> Iterator[NDArray[np.uint8]]:
    """The rows of a painted frame, one row of shards after the other."""
    start = 0
    for num_rows in painted.chunks[0]:
        yield clusters.compute(client, painted[start : start + num_rows])
        start += num_rows
