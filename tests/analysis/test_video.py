from __future__ import annotations

import json
import logging
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import matplotlib
import numpy as np
import pytest
from matplotlib.colors import Normalize

from analysis.video import video
from kernels.errors import RequestError

Store = Callable[..., Path]
STEPS = {"steps": [1000.0, 1000.0]}


def decode(path: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    """All frames as RGB, and facts about the stream and the file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        context = stream.codec_context
        facts = {
            "codec": context.name,
            "format": context.format.name,
            "rate": float(stream.average_rate or 0),
            "metadata": {key.lower(): value for key, value in container.metadata.items()},
        }
    return frames, facts


def inferno(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return matplotlib.colormaps["inferno"](Normalize(low, high)(values), bytes=True)[..., :3]


def test_mp4_has_every_frame_in_one_range(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters=STEPS, picture={"fps": 25.0})
    out = path.with_suffix(".mp4")
    assert video(path, out) == out
    frames, facts = decode(out)
    assert (facts["codec"], facts["format"], facts["rate"], len(frames)) == ("h264", "yuv420p", 25.0, 2)
    for frame, stored in zip(frames, times, strict=True):
        expected = inferno(1000.0 - stored, 0, 990)
        assert frame.shape == expected.shape
        assert np.abs(frame.astype(int) - expected).mean() < 6


def test_mp4_carries_its_job(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters=STEPS)
    _, facts = decode(video(path, path.with_suffix(".mp4")))
    assert facts["metadata"]["title"] == "A toy – map"
    comment = json.loads(facts["metadata"]["comment"])
    assert comment["job_hash"] == "0123abcd"
    assert json.loads(comment["job"])["name"] == "toy"
    assert comment["Software"].startswith("Horseshoe")


def test_growth_of_one_stored_frame_to_101_pictures(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times[:1]}, parameters={"steps": [1000]})
    picture = {"value": "10*t - min(times, 10*t)", "frames": 101}
    frames, _ = decode(video(path, path.with_suffix(".mkv"), picture=picture))
    assert len(frames) == 101
    for t in (0, 1, 57, 100):
        values = 10.0 * t - np.minimum(times[0], 10 * t)
        assert np.array_equal(frames[t], inferno(values, 0, 1000 - times[0].min()))


def test_mkv_is_lossless_and_each_frame_may_have_its_range(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times[:, :39, :51]}, parameters=STEPS, picture={"range": "frame"})
    frames, facts = decode(video(path, path.with_suffix(".mkv")))
    assert facts["codec"] == "ffv1"
    assert facts["metadata"]["title"] == "A toy – map"
    for frame, stored in zip(frames, times[:, :39, :51], strict=True):
        values = 1000.0 - stored
        assert np.array_equal(frame, inferno(values, values.min(), values.max()))


def test_odd_sizes_get_one_more_row_and_column_of_the_background(store: Store) -> None:
    path = store(arrays={"times": np.full((1, 63, 65), 3, np.int32)}, parameters={"steps": [3]})
    picture = {"value": "times", "range": [0, 3], "background": "blue"}
    (frame,), _ = decode(video(path, path.with_suffix(".mp4"), picture=picture))
    assert frame.shape == (64, 66, 3)
    assert np.abs(frame[:60, :62].astype(int) - [252, 254, 164]).max() < 12
    assert frame[63, :, 2].mean() > frame[63, :, 0].mean()


def test_axes_and_missing_shards(store: Store, times: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    path = store(arrays={"times": times}, parameters=STEPS, unfinished=(3,))
    with caplog.at_level(logging.WARNING):
        frames, _ = decode(video(path, path.with_suffix(".mkv"), picture={"axes": True}))
    assert "95.8 % is computed" in caplog.text
    assert len(frames) == 2
    assert frames[0].shape[0] > 380
    assert (frames[0] == 128).all(axis=2).sum() > 1000
    assert (frames[1] == 128).all(axis=2).sum() < 100


def test_what_cannot_be_encoded(store: Store, times: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store(arrays={"times": times}, parameters=STEPS)
    with pytest.raises(RequestError, match=r"a video ends in \.mp4"):
        video(path, path.with_suffix(".gif"))
    for key, value in (("frames", 10**12), ("fps", 1e-5)):
        with pytest.raises(RequestError, match=rf"^picture\.{key}: .*; a video has at (most|least)"):
            video(path, path.with_suffix(".mp4"), picture={key: value})
    monkeypatch.setattr("analysis.video.LARGEST_PX", 50)
    with pytest.raises(RequestError, match=r"52 pixels on a side; a video has at most 50"):
        video(path, path.with_suffix(".mp4"))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_disk_that_is_full_on_the_way(store: Store, times: np.ndarray, suffix: str) -> None:
    path = store(arrays={"times": times}, parameters=STEPS)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limit[1]))
    try:
        with pytest.raises(RequestError, match=r"cannot be written \(File too large\)"):
            video(path, path.with_suffix(suffix))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(path.parent.iterdir()) == [path]
