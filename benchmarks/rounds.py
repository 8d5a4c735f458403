"""Contestants alternating in one run: every round measures each of them once, so that the machine's moods hit all alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

NUM_ROUNDS = 7


@dataclass(frozen=True)
class Score:
    """Speeds of one contestant over the rounds, in its own unit per second."""

    speeds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle speed."""
        return statistics.median(self.speeds)

    @property
    def spread(self) -> float:
        """(fastest - slowest) / median."""
        return (max(self.speeds) - min(self.speeds)) / self.median


def alternate(contestants: Mapping[str, Callable[[], float]], num_rounds: int = NUM_ROUNDS) -> dict[str, Score]:
    """Run every contestant once to warm up, then `num_rounds` rounds; a contestant returns its speed."""
    for contestant in contestants.values():
        contestant()
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(num_rounds):
        for name, contestant in contestants.items():
            speeds[name].append(contestant())
    return {name: Score(tuple(values)) for name, values in speeds.items()}


def ratio(scores: Mapping[str, Score], name: str, other: str) -> float:
    """Median over the rounds of the ratio within each round."""
    pairs = zip(scores[name].speeds, scores[other].speeds, strict=True)
    return statistics.median(a / b for a, b in pairs)
