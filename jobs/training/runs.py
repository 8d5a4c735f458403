"""The runs of a training job: one, or one for each combination of a sweep's values.

Pure functions of the job. Knows the sections, not what the values of a task mean.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from jobs.identity import resolved
from jobs.model import explain
from jobs.sections import Section
from jobs.training.sections import Train, Training
from kernels.errors import RequestError

MOST_RUNS = 10_000
SWEPT = ("data", "model", "train")
SHARED = ("train.ranks", "train.evaluate_every", "train.checkpoint_every", "train.keep")
"""Keys of [train] that shape the store, which all runs share."""


@dataclass(frozen=True)
class RunSettings:
    """One run: its sections, and the values of the sweep that it has, by dotted key."""

    number: int
    data: Section
    model: Section
    train: Train
    values: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """Most steps of the run."""
        if self.train.samples is not None:
            return -(-self.train.samples // self.train.batch)
        assert self.train.steps is not None
        return self.train.steps


def flattened(sweep: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a sweep, however its tables are nested; of a key that is said twice, both."""
    for key, value in sweep.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_sweep(sweep: Mapping[str, Any]) -> dict[str, Any]:
    """A sweep with dotted keys alone. Raises RequestError naming the key that cannot be varied so."""
    found = dict(flattened(sweep))
    zipped = found.get("zip", False)
    if not isinstance(zipped, bool):
        raise RequestError("sweep.zip: is true or false")
    lists = {key: value for key, value in found.items() if key != "zip"}
    for key, value in lists.items():
        if key.partition(".")[0] not in SWEPT or "." not in key:
            raise RequestError(f"sweep.{key}: only keys of {', '.join(SWEPT)} can be varied")
        if key in SHARED:
            raise RequestError(f"sweep.{key}: is the same for all runs of a job; make a job for each")
        if not isinstance(value, list | tuple) or not value:
            raise RequestError(f"sweep.{key}: expected a list of values")
    if zipped and len({len(value) for value in lists.values()}) > 1:
        raise RequestError("sweep.zip: the lists differ in length")
    number = max(map(len, lists.values()), default=1) if zipped else math.prod(map(len, lists.values()))
    if number > MOST_RUNS:
        raise RequestError(f"sweep: makes {number} runs, more than {MOST_RUNS}")
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def runs(job: Training) -> tuple[RunSettings, ...]:
    """The runs of a resolved job in their order. Raises RequestError naming the key of a value that is none."""
    return _runs(msgspec.json.encode(resolved(job)), type(job))


@functools.lru_cache(maxsize=8)
def _runs(text: bytes, of: type[Training]) -> tuple[RunSettings, ...]:
    tree = msgspec.json.decode(text)
    lists = {key: value for key, value in tree["sweep"].items() if key != "zip"}
    zipped = bool(lists) and bool(tree["sweep"].get("zip"))
    combined = zip(*lists.values(), strict=True) if zipped else itertools.product(*lists.values())
    found = []
    for number, values in enumerate(combined):
        own = dict(zip(lists, values, strict=True))
        try:
            job: Any = msgspec.convert(_with_values(tree, own), of)
        except msgspec.ValidationError as error:
            raise RequestError(f"sweep: {explain(str(error), of)}") from None
        found.append(RunSettings(number, job.data, job.model, job.train, own))
    return tuple(found)


def _with_values(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A job's tree with values laid over it by dotted key."""
    laid: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(tree))
    for key, value in values.items():
        *sections, last = key.split(".")
        table = laid
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise RequestError(f"sweep.{key}: {section} is no table")
        table[last] = value

    # A run that is told its steps is not told its samples, and the other way round.
    for told, other in (("train.steps", "train.samples"), ("train.samples", "train.steps")):
        if told in values:
            laid["train"][other.partition(".")[2]] = None
    return laid
