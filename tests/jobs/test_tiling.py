"""The default shard depends on the job alone, and shard and chunk follow each other."""

from __future__ import annotations

import pytest

from jobs.sections import MapRun
from jobs.tiling import default_side, layout
from kernels.errors import RequestError


@pytest.mark.parametrize(
    ("extent", "frames", "updates", "side"),
    [
        ((1000, 1000), 1, 50_000, 128),
        ((1000, 1000), 1, 100_000, 64),
        ((1000, 1000), 1, 10**9, 64),
        ((16, 16), 1, 1, 2048),
        ((1000, 1000), 101, 50_000, 128),
        ((20_000, 20_000), 1, 50_000, 256),
        ((1000, 1000), 100_000, 50_000, 1024),
    ],
)
def test_default_side(extent: tuple[int, int], frames: int, updates: int, side: int) -> None:
    assert default_side(extent, frames, updates) == side


@pytest.mark.parametrize(
    ("shard", "chunk", "expected"),
    [
        (None, None, ((128, 128), (128, 128))),
        ((1000, 512), None, ((1000, 512), (250, 256))),
        ((997, 8), None, ((997, 8), (997, 8))),
        (None, (100, 64), ((200, 128), (100, 64))),
        ((400, 64), (100, 64), ((400, 64), (100, 64))),
    ],
)
def test_layout(
    shard: tuple[int, int] | None,
    chunk: tuple[int, int] | None,
    expected: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    assert layout(MapRun(shard=shard, chunk=chunk), (1000, 1000), 1, 50_000) == expected


def test_a_shard_that_is_no_multiple_of_its_chunk_is_refused() -> None:
    with pytest.raises(RequestError, match=r"^run\.shard: "):
        layout(MapRun(shard=(64, 64), chunk=(64, 48)), (64, 64), 1, 1)
