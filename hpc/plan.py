"""The protocol between job kinds and the engine: a plan is a short list of stages of numbered units.

Everything here is a value or a pure function of the job; no store, rank or clock is touched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kernels.backends.base import Array, Backend, Run

if TYPE_CHECKING:
    from hpc.groups import Member


@dataclass(frozen=True)
class ArraySpec:
    """One Zarr array of a store. Shapes are in elements; `shard` and `chunk` have one entry a dimension.

    `fill_value` means "not computed" (-1 for counts, 255 for outcomes, NaN for floats).
    `attributes` holds at least `units` and `long_name`, and `never` for counts.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    shard: tuple[int, ...]
    chunk: tuple[int, ...]
    dimensions: tuple[str, ...]
    fill_value: float
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def grid(self) -> tuple[int, ...]:
        """Number of shards along each dimension."""
        return tuple(-(-size // shard) for size, shard in zip(self.shape, self.shard, strict=True))


class Values(Protocol):
    """The values of a constant: an array, or what computes a part of one when asked, lest large ones fill the memory."""

    def __getitem__(self, region: tuple[slice, ...], /) -> Array:
        """The values of a region, one slice with start and stop a dimension."""
        ...


class Finished(Protocol):
    """Read access to arrays of earlier stages and to constants of the same store."""

    def read(self, name: str) -> Array:
        """The whole array, computed values only."""
        ...


class Stage(Protocol):
    """Numbered units of equal kind. Unit i owns shard `unravel_index(i, grid)` of every array of its stage.

    All arrays of a stage have the same number of shards in the same C order (dimensions with one shard may differ).
    """

    @property
    def name(self) -> str:
        """The stage's name, unique in its plan."""
        ...

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """What the stage computes."""
        ...

    @property
    def num_units(self) -> int:
        """Number of units, and of shards of each array."""
        ...

    def cost(self, unit: int) -> float:
        """Work relative to the stage's other units (for the order of handing out and the time estimate)."""
        ...

    def memory_bytes(self, unit: int) -> int:
        """Peak memory of one unit in flight, shard buffers included."""
        ...

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Begin one unit; pure in (job, unit): the same bytes whoever computes it, on whatever back end."""
        ...


@runtime_checkable
class GroupStage(Stage, Protocol):
    """A stage that groups of ranks compute: `num_runs` rows of units, each made by one group, in order.

    Unit i belongs to run i // (num_units // num_runs). `start` is never called.
    """

    @property
    def num_runs(self) -> int:
        """Number of rows of units."""
        ...

    def group_size(self, num_ranks: int) -> int:
        """How many ranks make one run, of a job that has `num_ranks`; RequestError where it has too few."""
        ...

    def is_pending(self, run: int, finished: Array, store: Path) -> bool:
        """Whether there is anything to do for a run; `finished` is the bitmap of the stage's units. Rank 0 asks."""
        ...

    def look(self, runs: Sequence[int], rank: int, num_ranks: int) -> None:
        """Read what these runs are made from, on all ranks, which share that out; RequestError where it is not there.

        Called before anything is written.
        """
        ...

    def work(self, run: int, member: Member) -> None:
        """Make what is missing of a run, on all ranks of its group, or stop early where the member says so."""
        ...

    def seconds_per_cost(self, backend: Backend) -> float | None:
        """Seconds that a unit of cost takes on one rank, tried for a moment; None where that cannot be tried."""
        ...


@dataclass(frozen=True)
class Plan:
    """All that the engine needs of a job.

    `constants` are arrays known beforehand (coordinates, per-frame parameters), written at creation shard by shard.
    `attributes` is the root attribute `horseshoe` of the store: format, kind, job, job_hash, pictures, kernel_digest.
    `identity` is the resolved job without what may change between starts; its hash is `attributes["job_hash"]`.
    `defaults` has what a key of the identity (dotted) stands for in a store that is older than the key.
    """

    stages: tuple[Stage, ...]
    constants: tuple[tuple[ArraySpec, Values], ...]
    attributes: Mapping[str, Any]
    identity: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)


def num_shards(spec: ArraySpec) -> int:
    """Number of shards (files) of one array."""
    return math.prod(spec.grid())
