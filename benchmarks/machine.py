"""The machine that is measured, and where the project is. Needs none of the contestants' packages."""

from __future__ import annotations

import platform
from pathlib import Path

ROOT = Path(__file__).parents[1]


def processor() -> str:
    """The model that the kernel reports, else the architecture."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
