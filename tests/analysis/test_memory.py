"""Peak memory of drawing, measured in a process of its own by the kernel's high-water mark."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

DRAW = """
import json, os, re, sys
from pathlib import Path
from analysis import clusters, images

def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

os.cpu_count = lambda: int(sys.argv[3])
before = peak_mb()
images.image(Path(sys.argv[1]), Path(sys.argv[2]), picture={"range": "auto", **json.loads(sys.argv[4])})
print(before, peak_mb())
"""

ALL_AT_ONCE = {"scale": "histogram", "shade": {"value": "times*(1 + x)"}}
"""What needs most: three passes, two formulas, one of them on pixels of neighbours."""

MEASURE = """
import os, re, sys
from pathlib import Path
from analysis import measures

os.cpu_count = lambda: 64
measures.measure("boundary-dimension", Path(sys.argv[1]), Path(sys.argv[2]))
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024)
"""


def square(store: Callable[..., Path], size: int, shard: int) -> Path:
    """A store of a square map."""
    row = np.linspace(0, 50_000, size, dtype=np.int32)
    times = np.broadcast_to(row, (1, size, size))
    return store(arrays={"times": times}, parameters={"steps": [50_000]}, shard=(shard, shard))


def draw(path: Path, cores: int, picture: dict[str, Any]) -> tuple[float, float]:
    """Draw a square map; return the peak memory before and after, in MB."""
    out = path.with_suffix(".png")
    command = [sys.executable, "-c", DRAW, str(path), str(out), str(cores), json.dumps(picture)]
    before, after = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    Image.MAX_IMAGE_PIXELS, limit = None, Image.MAX_IMAGE_PIXELS
    with Image.open(out) as read:
        assert read.size[0] == read.size[1]
    Image.MAX_IMAGE_PIXELS = limit
    return float(before), float(after)


@pytest.mark.parametrize(("picture", "most_mb"), [({}, 120), (ALL_AT_ONCE, 190)])
def test_drawing_takes_far_less_memory_than_the_map(
    store: Callable[..., Path], picture: dict[str, Any], most_mb: float
) -> None:
    before, after = draw(square(store, 6000, 512), 2, picture)
    assert after - before < most_mb
    assert 1.5 * most_mb < 6000 * 6000 * 8 / 1e6


@pytest.mark.check
@pytest.mark.timeout(1800)
def test_20_000_pixels_square_within_2_gb(store: Callable[..., Path]) -> None:
    path = square(store, 20_000, 2048)
    for picture in ({}, ALL_AT_ONCE):
        _, after = draw(path, 64, picture)
        assert after < 2000
    command = [sys.executable, "-c", MEASURE, str(path), str(path.with_suffix(".csv"))]
    assert float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) < 2000
