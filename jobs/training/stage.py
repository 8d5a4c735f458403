"""The stage `train`: a unit is a block of steps of one run, made by a group of ranks from the checkpoint before it.

Owns the numbering of units, their cost, and the passage from the engine to the loop. Imports torch only to work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpc.plan import ArraySpec, Finished
from jobs.training.checkpoint import Checkpoints
from jobs.training.runs import RunSettings
from kernels.backends.base import Array, Backend, Run
from kernels.errors import RequestError

if TYPE_CHECKING:
    from hpc.groups import Member
    from networks.task import Task

TRIED_S = 0.5
MOST_TRIED = 100
MOST_RUNS_TRIED = 4

FORWARD = 1 / 3
"""What an evaluation sample takes of the time of a sample in training, which has a way back of about two ways there."""

MakeTask = Callable[[RunSettings], "Task"]


class Together:
    """Of stages that groups of ranks compute."""

    runs: tuple[RunSettings, ...]
    make_task: MakeTask

    def look(self, runs: Sequence[int], rank: int, num_ranks: int) -> None:
        """Read the data of runs: all ranks those of the first, which they keep, and each its share of the others.

        Raises RequestError naming the key where the data cannot be had, or are too few for a step.
        """
        unlike: list[RunSettings] = []
        for run in runs:
            settings = self.runs[run]
            if all((settings.data, settings.train.batch) != (one.data, one.train.batch) for one in unlike):
                unlike.append(settings)
        for settings in (*unlike[1:][rank::num_ranks], unlike[0]):
            num_samples = self.make_task(settings).num_samples
            if settings.steps and settings.train.batch > num_samples:
                raise RequestError(
                    f"train.batch: a step of {settings.train.batch} samples is more than there are: {num_samples}; "
                    "use at most that many, or more data"
                )

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Units of such a stage are not started one by one."""
        raise TypeError(f"unit {unit} is made by a group of ranks, with those before it ({backend}, {finished})")


@dataclass(frozen=True)
class TrainStage(Together):
    """Unit i is block i % num_blocks of run i // num_blocks. `weights_bytes` is the memory of the largest model in training."""

    arrays: tuple[ArraySpec, ...]
    runs: tuple[RunSettings, ...]
    make_task: MakeTask
    weights_bytes: int
    name: str = "train"

    @property
    def num_runs(self) -> int:
        """Runs of the job."""
        return len(self.runs)

    @property
    def num_units(self) -> int:
        """Blocks of all runs."""
        return self.num_runs * self._num_blocks

    @property
    def _num_blocks(self) -> int:
        return self.arrays[0].grid()[1]

    def cost(self, unit: int) -> float:
        """Steps; a moment for a block that the run does not reach."""
        number, block = divmod(unit, self._num_blocks)
        length = self.arrays[0].shard[1]
        return max(1e-3, float(min(length, self.runs[number].steps - block * length)))

    def memory_bytes(self, unit: int) -> int:
        """Weights, gradients and what the optimiser keeps, of the largest model; what a batch needs comes on top."""
        del unit
        return self.weights_bytes

    def group_size(self, num_ranks: int) -> int:
        """`train.ranks`, or all there are."""
        train = self.runs[0].train
        wanted = train.ranks or num_ranks
        if wanted > num_ranks:
            raise RequestError(
                f"train.ranks: {wanted} are asked for, this job has {num_ranks}; start it with more ranks"
            )
        for run in self.runs:
            parts = wanted * run.train.accumulation
            if run.train.batch % parts:
                raise RequestError(
                    f"train.batch: {run.train.batch} samples are not shared out evenly among {wanted} "
                    f"rank{'s' * (wanted != 1)} with {run.train.accumulation} parts each; make it a multiple of {parts}"
                )
        return wanted

    def is_pending(self, run: int, finished: Array, store: Path) -> bool:
        """Whether blocks are missing, or what results are to be made from."""
        from hpc.store import finished_units
        from jobs.training.loop import has_end

        if not finished[run * self._num_blocks : (run + 1) * self._num_blocks].all():
            return True
        try:
            made = finished_units(store, "results")[run]
        except RequestError:
            return False
        return not made and not has_end(self.checkpoints(store, run))

    def checkpoints(self, store: Path, run: int) -> Checkpoints:
        """The checkpoints of a run, to read."""
        return Checkpoints(store, run, self.runs[run].train.keep, "reader-0")

    def work(self, run: int, member: Member) -> None:
        """Train a run; called on all ranks of its group."""
        import torch

        from jobs.training.loop import Loop

        settings = self.runs[run]
        try:
            task = member.everywhere(lambda: self.make_task(settings))
            Loop(task, settings, self.arrays, self._num_blocks, member).run()
        except torch.OutOfMemoryError as error:
            # Of a GPU; the engine knows that of the host.
            raise MemoryError(str(error)) from error

    def seconds_per_cost(self, backend: Backend) -> float | None:
        """Seconds a step with its share of evaluations, without checkpoints, from a few steps on this rank alone.

        Of a sweep up to four runs are tried, the first and the last among them, and the slowest counts. A run whose time
        is limited has no more than that.
        """
        device: Any = getattr(backend, "device", None)
        if device is None:
            return None
        unlike: list[RunSettings] = []
        for number in np.unique(np.linspace(0, self.num_runs - 1, MOST_RUNS_TRIED).round().astype(int)):
            run = self.runs[number]
            if all(_effort(run) != _effort(one) for one in unlike):
                unlike.append(run)
        return max(self._seconds_per_step(run, device) for run in unlike)

    def _seconds_per_step(self, run: RunSettings, device: Any) -> float:
        from hpc.process_group import Group
        from jobs.training.trainer import Trainer

        task = self.make_task(run)
        trainer = Trainer(task, run, Group(0, 1, device, None))
        trainer.begin(0)
        # The first step prepares what the others find ready; it counts where there is no other.
        begun_s, first, step = time.perf_counter(), 0, 0
        while step < min(MOST_TRIED, run.steps) and time.perf_counter() < begun_s + TRIED_S:
            trainer.step(step, stop=False)
            step += 1
            if step == 1 and run.steps > 1:
                begun_s, first = time.perf_counter(), 1
        seconds = (time.perf_counter() - begun_s) / max(1, step - first)
        assert run.train.evaluate_every is not None
        if run.train.seconds is not None:
            seconds = min(seconds, run.train.seconds / run.steps)
        return seconds * (1 + FORWARD * task.num_evaluation_samples / run.train.batch / run.train.evaluate_every)


def _effort(run: RunSettings) -> tuple[Any, ...]:
    """What the time of a step depends on."""
    train = run.train
    return run.data, run.model, train.batch, train.accumulation, train.optimiser, train.precision, train.seconds
