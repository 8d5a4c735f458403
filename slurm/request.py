"""From what a plan needs to what a batch job asks for: nodes, ranks, time, memory, and how early it is warned.

Pure arithmetic. Knows neither job kinds nor the text of a script.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from kernels.errors import RequestError
from slurm.profile import Profile

TIME = re.compile(
    r"(?:(?P<days>\d{1,4})-(?P<hours>\d{1,2})|(?P<first>\d{1,7}))(?::(?P<second>\d\d))?(?::(?P<third>\d\d))?"
)

# What estimates of time are multiplied by, what starting takes, and the step that times are rounded up to.
TIME_SAFETY = 1.5
START_S = 600
TIME_STEP_S = 600

# A rank's own estimate leaves out the libraries below it, and those of GPUs are large.
MEMORY_SAFETY = 1.25
LEAST_RANK_BYTES = 2 << 30
MEMORY_STEP_BYTES = 256 << 20

# After the grace time units go to a slow disk, then the job closes its files and queues itself again.
SLOW_DISK_BYTES_PER_S = 50e6
CLOSE_S = 30
LONGEST_WARNING_S = 65535


@dataclass(frozen=True)
class Work:
    """What is left of a plan, for ranks as the profile has them.

    `rank_seconds` is the time that one rank alone would take, None where nothing is known of it. `rank_bytes` is a
    rank's memory, `unit_bytes` that of its units in flight. `group` ranks work on a unit together. `is_shared` is whether
    several batch jobs share the units.
    """

    num_units: int
    rank_seconds: float | None
    rank_bytes: int
    unit_bytes: int
    grace_s: float
    group: int = 1
    is_shared: bool = True


@dataclass(frozen=True)
class Request:
    """What the script asks for. `warning_s` is how long before its end a job is told to stop."""

    nodes: int
    ranks: int
    time_s: int
    node_bytes: int
    warning_s: int


def ask(
    work: Work, profile: Profile, *, nodes: int | None = None, time: str | None = None, array: int | None = None
) -> Request:
    """The request for some work; `nodes` and `time` (a text of SLURM) override what would follow from it.

    It is that of each of `array` jobs, where so many share the work. Raises RequestError for numbers below 1, and where a
    time cannot be read, or is too short for a job to do anything before it is warned.
    """
    if array is not None and array < 1:
        raise RequestError(f"--array: {array} is not a number of 1 or more")
    if nodes is not None and nodes < 1:
        raise RequestError(f"--nodes: {nodes} is not a number of 1 or more")
    warning_s = math.ceil(work.grace_s + work.unit_bytes / SLOW_DISK_BYTES_PER_S + CLOSE_S)
    if warning_s > LONGEST_WARNING_S:
        raise RequestError(f"run.grace_s: {work.grace_s:g} is longer than the warning that SLURM can give")
    longest_s = seconds("profile: max_time", profile.max_time)
    goal_s = seconds("profile: goal_time", profile.goal_time)

    # Take no more ranks than there are units, and only so many that they end in time; whole groups of them.
    most = max(work.num_units, 1) * work.group
    ranks = profile.ranks_per_node
    if nodes is not None:
        ranks = nodes * profile.ranks_per_node
    elif work.rank_seconds is not None:
        wanted = math.ceil(min(work.rank_seconds / goal_s, profile.max_nodes * profile.ranks_per_node))
        ranks = min(max(wanted, 1), most)
    else:
        ranks = min(ranks, most)
    if nodes is not None and ranks < work.group:
        raise RequestError(f"--nodes: {nodes} have {ranks} ranks, a run takes {work.group}; see train.ranks")
    ranks = max(work.group, ranks - ranks % work.group)

    time_s = longest_s
    if time is not None:
        time_s = seconds("--time", time)
    elif work.rank_seconds is not None and math.isfinite(work.rank_seconds):
        jobs = array if array is not None and work.is_shared else 1
        estimate_s = TIME_SAFETY * _computing_s(work, ranks * jobs, work.rank_seconds) + START_S + warning_s
        time_s = min(longest_s, _round_up(estimate_s, TIME_STEP_S))
    if time_s < 2 * warning_s:
        option = "--time" if time is not None else "profile: max_time"
        raise RequestError(f"{option}: too short, a job is told to stop {warning_s} s before its end; see run.grace_s")

    ranks_on_node = min(ranks, profile.ranks_per_node)
    rank_bytes = max(MEMORY_SAFETY * work.rank_bytes, LEAST_RANK_BYTES)
    return Request(
        nodes=nodes if nodes is not None else -(-ranks // profile.ranks_per_node),
        ranks=ranks,
        time_s=time_s,
        node_bytes=_round_up(ranks_on_node * rank_bytes, MEMORY_STEP_BYTES),
        warning_s=warning_s,
    )


def seconds(option: str, text: str) -> int:
    """A time as SLURM writes it (minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S), in seconds; RequestError names `option`."""
    found = TIME.fullmatch(text)
    if found is None:
        raise RequestError(f"{option}: {text!r} is not a time of SLURM such as 30, 2:00:00 or 1-12")
    parts = [int(found[name] or 0) for name in ("second", "third")]
    if found["days"]:
        return int(found["days"]) * 86400 + int(found["hours"]) * 3600 + parts[0] * 60 + parts[1]
    if found["third"]:
        return int(found["first"]) * 3600 + parts[0] * 60 + parts[1]
    return int(found["first"]) * 60 + parts[0]


def time_text(time_s: int) -> str:
    """Seconds as SLURM reads them: H:MM:SS."""
    return f"{time_s // 3600}:{time_s // 60 % 60:02}:{time_s % 60:02}"


def _computing_s(work: Work, ranks: int, rank_seconds: float) -> float:
    """How long so many ranks compute. Units are not divided: some ranks have one more than others, or none."""
    if work.num_units == 0:
        return 0.0
    rounds = -(-work.num_units // max(1, ranks // work.group))
    return rank_seconds / work.group * rounds / work.num_units


def _round_up(value: float, step: int) -> int:
    return math.ceil(value / step) * step
