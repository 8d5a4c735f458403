"""The frames of a store as a video: H.264 in .mp4, or lossless FFV1 in .mkv.

Owns encoding and its settings. Never holds more than one frame, and colours all of them with one range unless told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import clusters, colour, figures
from analysis.field import Field
from analysis.files import replacing
from analysis.images import log_unfinished
from analysis.picture import Picture, describe, resolve
from analysis.plot import is_plot
from hpc.reading import open_for_reading
from kernels.errors import RequestError, one_line

LARGEST_PX = 16384
"""H.264 takes no more on a side."""

MOST_FRAMES = 100_000
"""What a job may ask for; nearly an hour at 30 frames a second."""

SLOWEST_FPS = 0.001
"""Rates are fractions with denominators of at most 1001."""

BT_709 = 1

MP4 = {"crf": "16", "preset": "slow"}


def video(store: Path, out: Path, *, picture: Mapping[str, Any] | None = None, client: Any = None) -> Path:
    """Draw all picture frames of `store` to the video `out` (.mp4 or .mkv) and return `out`.

    `picture` holds keys of `[picture]` that come before the store's own; `client` is of `clusters.connect`. The
    video has exactly `picture.frames` frames; an .mp4 of odd size gets one more row or column of the background,
    because its colours have half the resolution. The comment of the file is JSON with the job, its hash and the picture's
    settings. Raises RequestError for a store, key, formula, suffix or size that cannot be served.
    """
    reader = open_for_reading(store)
    if is_plot(reader.attributes):
        raise RequestError(f"{store}: holds no frames for a video; `horseshoe image` draws its plot")
    settings = resolve(reader.attributes, picture)
    field = Field(reader, settings)
    if out.suffix not in (".mp4", ".mkv"):
        raise RequestError(f"{out}: a video ends in .mp4 (H.264) or .mkv (lossless FFV1)")
    if max(field.shape) > LARGEST_PX:
        raise RequestError(f"{store}: {max(field.shape)} pixels on a side; a video has at most {LARGEST_PX}")
    if field.num_frames > MOST_FRAMES:
        raise RequestError(f"picture.frames: {field.num_frames}; a video has at most {MOST_FRAMES}")
    if settings.fps < SLOWEST_FPS:
        raise RequestError(f"picture.fps: {settings.fps}; a video has at least {SLOWEST_FPS} frames a second")

    frames = list(range(field.num_frames))
    comment = json.dumps(describe(reader.attributes, settings), sort_keys=True)
    metadata = {"title": one_line(reader.attributes["job"].get("title", "")), "comment": comment}
    with replacing(out) as temporary:
        log_unfinished(field, frames)
        _encode(temporary, out.suffix, _drawn(field, client), settings, metadata)
    return out


def _drawn(field: Field, client: Any) -> Iterator[NDArray[np.uint8]]:
    """Every picture frame, uint8 (rows, columns, 3)."""
    frames = range(field.num_frames)
    common = field.common_scale(client)
    for t in frames:
        scale = common or field.scale([t], client)
        if field.picture.axes:
            yield figures.figure(field, t, scale, client)
        else:
            yield clusters.compute(client, field.frame(t).painted(scale, field.picture.light))


def _encode(
    path: Path,
    suffix: str,
    frames: Iterator[NDArray[np.uint8]],
    settings: Picture,
    metadata: Mapping[str, str],
) -> None:
    """Write the frames to `path` in the format of `suffix`."""
    import av
    from av.video.reformatter import ColorRange, Colorspace

    is_mp4 = suffix == ".mp4"
    rate = Fraction(settings.fps).limit_denominator(1001)
    options = {"movflags": "+faststart"} if is_mp4 else {}
    with av.open(str(path), "w", format="mp4" if is_mp4 else "matroska", options=options) as container:
        container.metadata.update(metadata)
        stream: Any = container.add_stream("libx264" if is_mp4 else "ffv1", rate=rate, options=MP4 if is_mp4 else {})
        stream.pix_fmt = "yuv420p" if is_mp4 else "bgr0"
        for index, pixels in enumerate(frames):
            drawn = _even(pixels, colour.colour(settings.background)) if is_mp4 else pixels
            if index == 0:
                stream.height, stream.width = drawn.shape[:2]
                if is_mp4:
                    context = stream.codec_context
                    context.colorspace = context.color_primaries = context.color_trc = BT_709
                    context.color_range = ColorRange.MPEG
            frame = av.VideoFrame.from_ndarray(drawn, format="rgb24")
            if is_mp4:
                frame = frame.reformat(
                    format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
                )
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _even(pixels: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The picture with an even number of rows and columns."""
    rows, columns = pixels.shape[:2]
    if rows % 2 == columns % 2 == 0:
        return pixels
    padded = np.empty((rows + rows % 2, columns + columns % 2, 3), np.uint8)
    padded[...] = background
    padded[:rows, :columns] = pixels
    return padded
