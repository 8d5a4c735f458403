"""Deadlines as people and SLURM write them."""

from __future__ import annotations

import pytest

from hpc.options import RunOptions, deadline, parse_deadline
from kernels.errors import RequestError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3600", 3600), ("45s", 45), ("90m", 5400), ("2h", 7200), ("1.5 h", 5400), ("1d", 86400), ("0", 0)],
)
def test_durations_count_from_the_start(text: str, seconds: float) -> None:
    assert parse_deadline(text, 1000.0) == 1000.0 + seconds


def test_times() -> None:
    assert parse_deadline("2001-09-09T01:46:40+00:00", 0.0) == 1e9
    assert parse_deadline("2001-09-09T01:46:40Z", 0.0) == 1e9


@pytest.mark.parametrize("text", ["", "soon", "2 weeks", "-5", "2026-13-01", "1h30", "9" * 400 + "-01-01"])
def test_anything_else_is_one_line(text: str) -> None:
    with pytest.raises(RequestError, match=r"^run\.deadline: .*90m") as caught:
        parse_deadline(text, 0.0)
    assert "\n" not in str(caught.value)


def test_slurm_goes_first() -> None:
    assert deadline(RunOptions(), {}, 5.0) is None
    assert deadline(RunOptions(deadline="10"), {}, 5.0) == 15.0
    assert deadline(RunOptions(deadline="10"), {"SLURM_JOB_END_TIME": "77"}, 5.0) == 77.0
    assert deadline(RunOptions(), {"SLURM_JOB_END_TIME": "Unknown"}, 5.0) is None
