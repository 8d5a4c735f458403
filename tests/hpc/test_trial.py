"""A unit begun before the job: what cannot be, how fast it goes, and that the slowest rank counts."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hpc import trial
from kernels.errors import RequestError


def test_what_needs_earlier_results_cannot_be_tried(toy: Any) -> None:
    stages = toy.make_plan().stages
    assert trial.begin(stages[0], 6, toy.ToyBackend()) is not None
    assert trial.begin(stages[1], 0, toy.ToyBackend()) is None
    assert trial.seconds_per_cost(stages[1], 0, toy.ToyBackend()) is None


def test_speed_is_of_a_unit_among_others(toy: Any) -> None:
    stages = toy.make_plan(seconds=0.4).stages
    assert trial.of_stages(stages, [2, 0], toy.ToyBackend(8), measured=False) == [None, None]
    assert trial.of_stages(stages, [None, None], toy.ToyBackend(8), measured=True) == [None, None]
    measured, unknown = trial.of_stages(stages, [2, 0], toy.ToyBackend(8), measured=True)
    # A cost of 1 takes at least 0.2 s, and eight units share the device.
    assert measured is not None
    assert 8 * 0.2 * 0.99 <= measured < 8 * 2.0
    assert unknown is None


def test_the_slowest_rank_counts() -> None:
    assert trial.slowest([[1.0, None, None], [3.0, 2.0, None], [None, math.inf, None]]) == [3.0, math.inf, None]


@pytest.mark.parametrize(
    ("fault", "line"), [("refuse", "bodies.mass: the culprit"), ("memory", "run.shard: out of memory in unit 6")]
)
def test_refusals(toy: Any, fault: str, line: str) -> None:
    plan = toy.make_plan(fault=fault, culprit=6)
    with pytest.raises(RequestError, match=line):
        trial.of_stages(plan.stages, [6, 0], toy.ToyBackend(), measured=False)
