"""How a job is to be run on this machine: the part of a job that never changes its numbers.

Owns the options and the reading of a deadline. Never looks at a job's physics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kernels.errors import RequestError

MOST_THREADS = 1024
SECONDS_PER = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class RunOptions:
    """Section `[run]` of a job, without what belongs to the store (shard, chunk).

    `threads` is the number of CPU threads a rank, at most MOST_THREADS (None: the usable cores, shared out among the
    ranks of a host); `grace_s` the time that a unit in flight is given to finish once the job is told to stop;
    `deadline` a duration from the start ("3600", "90m", "2h", "1d") or an ISO time ("2026-08-01T18:00", local time
    without a zone).
    """

    threads: int | None = None
    device: Literal["auto", "host", "cuda"] = "auto"
    grace_s: float = 10.0
    deadline: str | None = None
    progress: Literal["auto", "bar", "lines", "none"] = "auto"


def parse_deadline(text: str, now_s: float) -> float:
    """The time that a `run.deadline` means, in Unix seconds; durations count from `now_s`.

    Raises RequestError where the text is neither a duration nor an ISO time.
    """
    duration = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([smhd]?)", text.strip())
    if duration:
        return now_s + float(duration[1]) * SECONDS_PER[duration[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise RequestError(
            f"run.deadline: {text!r} is neither a duration (3600, 90m, 2h, 1d) nor a time (2026-08-01T18:00)"
        ) from None


def deadline(options: RunOptions, environment: Mapping[str, str], now_s: float) -> float | None:
    """When the job must have ended, in Unix seconds: the end of the SLURM job, else `run.deadline`, else None."""
    chosen = None if options.deadline is None else parse_deadline(options.deadline, now_s)
    slurm = environment.get("SLURM_JOB_END_TIME", "")
    return float(slurm) if slurm.isdecimal() else chosen
