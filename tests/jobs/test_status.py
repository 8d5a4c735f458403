"""What `status` says of a run that has just begun, that was killed, or that left nonsense."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpc import runs
from hpc.leases import LeaseFolder
from jobs.commands import status
from jobs.model import Job

from .conftest import compute_store

CommandLine = Callable[..., tuple[int, str, str]]

LAST: dict[str, Any] = {
    "run": "test",
    "state": "running",
    "ranks": 2,
    "updated": "2026-08-01T18:00:00+00:00",
    "rate": None,
    "eta_s": 90.0,
}


@pytest.fixture
def left_behind(make_job: Callable[..., Job]) -> Callable[[object], Path]:
    """A store whose run has left this status."""

    def leave(last: object) -> Path:
        place = Path("store.zarr")
        if not place.exists():
            compute_store(make_job(integrator={"steps": 1}), place)
        (place / "status.json").write_text(json.dumps(last))
        return place

    return leave


def test_the_first_unit_is_under_way(command_line: CommandLine, left_behind: Callable[[object], Path]) -> None:
    left_behind(LAST)
    code, out, err = command_line("status", "store.zarr")
    assert (code, err) == (0, "")
    assert "run      test: running, updated 2026-08-01T18:00:00+00:00, 2 ranks\nleft     about 1 min 30 s\n" in out
    left_behind({**LAST, "rate": 0.25})
    assert "left     about 1 min 30 s, 0.25 units a second\n" in command_line("status", "store.zarr")[1]


def test_a_killed_run_is_not_running(command_line: CommandLine, left_behind: Callable[[object], Path]) -> None:
    place = left_behind(LAST)
    runs.update(place, "test", {"pid": 2**22 + 1})
    code, out, _ = command_line("status", "store.zarr")
    assert code == 0
    assert "run      test: ended without a word, updated" in out
    assert "left" not in out

    # Nothing is known of a run on another host.
    runs.update(place, "test", {"host": "elsewhere"})
    assert "run      test: running, updated" in command_line("status", "store.zarr")[1]


def test_runs_that_share_a_store(command_line: CommandLine, left_behind: Callable[[object], Path]) -> None:
    place = left_behind(LAST)
    for run_id in ("first-1", "second-2", "dead-3"):
        runs.begin(place, run_id)
        LeaseFolder(place, run_id).beat()
    runs.update(place, "dead-3", {"ended": "2026-08-01T18:00:00+00:00"})
    line = "sharing  2 runs are at work: first-1, second-2\n"
    assert line in command_line("status", "store.zarr")[1]
    runs.update(place, "second-2", {"ended": "2026-08-01T18:00:00+00:00"})
    assert "sharing" not in command_line("status", "store.zarr")[1]


@pytest.mark.parametrize("last", [[], {"state": "running"}, "running", {**LAST, "eta_s": []}])
def test_nonsense_is_left_out(command_line: CommandLine, left_behind: Callable[[object], Path], last: object) -> None:
    assert status.read_status(left_behind(last)) is None
    code, out, err = command_line("status", "store.zarr")
    assert (code, err) == (0, "")
    assert "run  " not in out
