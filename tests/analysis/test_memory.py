"""Peak memory of drawing, measured in a process of its own by the kernel's high-water mark."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DRAW = """
import os, re, sys
from pathlib import Path
from analysis import clusters, images

def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

os.cpu_count = lambda: int(sys.argv[3])
before = peak_mb()
images.image(Path(sys.argv[1]), Path(sys.argv[2]), picture={"range": "auto"})
print(before, peak_mb())
"""


def draw(store: Callable[..., Path], size: int, shard: int, cores: int) -> tuple[float, float]:
    """Draw a square map; return the peak memory before and after, in MB."""
    row = np.linspace(0, 50_000, size, dtype=np.int32)
    times = np.broadcast_to(row, (1, size, size))
    path = store(arrays={"times": times}, parameters={"steps": [50_000]}, shard=(shard, shard))
    out = path.with_suffix(".png")
    command = [sys.executable, "-c", DRAW, str(path), str(out), str(cores)]
    before, after = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    Image.MAX_IMAGE_PIXELS, limit = None, Image.MAX_IMAGE_PIXELS
    with Image.open(out) as read:
        assert read.size == (size, size)
    Image.MAX_IMAGE_PIXELS = limit
    return float(before), float(after)


def test_drawing_takes_far_less_memory_than_the_map(store: Callable[..., Path]) -> None:
    before, after = draw(store, 6000, 512, 2)
    assert after - before < 120
    assert 6000 * 6000 * 8 / 1e6 > 2 * 120


@pytest.mark.check
@pytest.mark.timeout(900)
def test_20_000_pixels_square_within_2_gb(store: Callable[..., Path]) -> None:
    _, after = draw(store, 20_000, 2048, 64)
    assert after < 2000
