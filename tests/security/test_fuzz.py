"""What strangers write, made up by the hundred, in processes whose memory and time the system bounds: see fuzz.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz.py")
ROOT = Path(__file__).parents[2]

TEXTS = {"noise_as_a_job": 60, "changed_jobs": 60, "views": 60, "formulas": 100, "ledgers": 60, "records_of_runs": 60}
STORES = {"changed_stores": 40, "noise_in_stores": 20, "last_words": 40, "pictures": 40, "names_of_measures": 40}


def search(targets: str, num_examples: int) -> None:
    """Look for an example that gives anything but a value or a refusal of one line within the bounds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), targets, str(num_examples)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-6000:]}"
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == targets.split(",")


@pytest.mark.parametrize("target", [*TEXTS, *STORES])
def test_a_value_or_one_line_within_bounds(target: str) -> None:
    search(target, {**TEXTS, **STORES}[target])


@pytest.mark.check  # Minutes
@pytest.mark.parametrize("target", [*TEXTS, *STORES])
def test_many_more_examples(target: str) -> None:
    search(target, 2000)


@pytest.mark.parametrize(
    ("work", "what"),
    [("bytearray(3 << 30)", "MemoryError"), ("list(iter(int, 1))", "MemoryError|TooLong"), ("''.x", "AttributeError")],
)
def test_the_search_finds_what_breaks_the_bounds(work: str, what: str) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import fuzz; from hypothesis import given, strategies\n"
        f"fuzz.TARGETS['bad'] = given(strategies.none())(lambda _: fuzz.attempt(lambda: {work}))\n"
        "fuzz.EXAMPLE_S = 1\nfuzz.main(['bad'], 1)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert any(name in done.stderr for name in what.split("|")), done.stderr
