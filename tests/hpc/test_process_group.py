"""What a rank's process is made ready for before it trains."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from hpc import process_group
from hpc.options import RunOptions

process_group.choose(RunOptions(threads=1, device="host"), 0, 1)

def round_of_a_step():
    parts = [torch.ones(7 << 20) for _ in range(3)]  # 28 MiB each, freed together

for _ in range(3):
    round_of_a_step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    round_of_a_step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone gives memory back so eagerly")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120)

    # Five rounds of 84 MiB have 107,520 pages; once in a while one of the parts finds a new place.
    assert int(done.stdout) < 107_520 // 5
