"""What fits into a host."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hpc import memory
from kernels.errors import RequestError


def test_a_rank_holds_one_unit_more_than_its_device(toy: Any) -> None:
    assert memory.needed_bytes(toy.make_plan(), 1) == 2 << 20
    assert memory.needed_bytes(toy.make_plan(), 4) == 5 << 20


def test_what_does_not_fit_is_refused(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "host_bytes", lambda: 6 << 20)
    memory.check(toy.make_plan(), 1, 3)
    with pytest.raises(RequestError, match=r"^run\.shard: 4 ranks of"):
        memory.check(toy.make_plan(), 1, 4)


def test_many_units_take_no_longer(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of 1000 x 1000 shards: those at the corners are looked at, in each frame."""
    asked = []
    stage = toy.PartialStage(3_000_000, 1.0)
    stage.arrays = (toy.spec("partial", (3, 1000, 1000), (1, 1, 1)),)
    monkeypatch.setattr(stage, "memory_bytes", lambda unit: asked.append(unit) or unit, raising=False)
    plan = dataclasses.replace(toy.make_plan(), stages=(stage,))
    assert memory.needed_bytes(plan, 1) == 2 * 2_999_999
    assert asked == [0, 999_999, 1_000_000, 1_999_999, 2_000_000, 2_999_999]


def test_more_units_than_anyone_can_count_are_refused(toy: Any) -> None:
    with pytest.raises(RequestError, match=r"^run\.shard: makes 10000000000 units of stage 'partial'"):
        memory.check(toy.make_plan(10**10), 1, 1)


def test_control_groups_limit_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Path("/proc/self/cgroup").read_text().splitlines()[-1]
    group = line.rpartition(":")[2].lstrip("/")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    whole = memory.host_bytes()
    (tmp_path / group).mkdir(parents=True, exist_ok=True)
    (tmp_path / group / "memory.max").write_text("max\n")
    assert memory.host_bytes() == whole
    (tmp_path / "memory.max").write_text("1000000\n")
    assert memory.host_bytes() == 1000000
