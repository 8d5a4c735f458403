"""The life of a run on one rank: from its last checkpoint, block after block, to its end or to a stop.

Owns when a run is evaluated, kept, written and over. What a step does is said in jobs/training/trainer.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpc.plan import ArraySpec
from jobs.training.checkpoint import Checkpoints, Contents, State
from jobs.training.metrics import Block
from jobs.training.runs import RunSettings
from kernels.errors import RequestError

if TYPE_CHECKING:
    from hpc.groups import Member
    from jobs.training.trainer import Step, Trainer
    from networks.task import Task

log = logging.getLogger(__name__)


class Loop:
    """One run of a store in training. All ranks of its group make one and call `run`."""

    def __init__(
        self, task: Task, run: RunSettings, specs: Sequence[ArraySpec], num_blocks: int, member: Member
    ) -> None:
        from jobs.training.trainer import Trainer

        train = run.train
        assert train.checkpoint_every is not None
        assert train.evaluate_every is not None
        self._task = task
        self._run = run
        self._specs = specs
        self._member = member
        self._num_blocks = num_blocks
        self._length = train.checkpoint_every
        self._between = train.evaluate_every
        self._checkpoints = Checkpoints(member.store, run.number, train.keep, member.writer)
        self._first_unit = run.number * num_blocks
        self._trainer: Trainer = member.everywhere(lambda: Trainer(task, run, member.group))
        self._step = 0
        self._seconds = 0.0
        self._ended = False
        self._has_end = False
        self._block = self._new_block(0)
        self._begun_s = time.monotonic()
        self._timed_s = self._begun_s

    def run(self) -> None:
        """Train until nothing is missing of the run, or the job is told to stop."""
        member = self._member
        found = -1
        if member.leads:
            self._checkpoints.sweep(member.store)
            found = self._find()
            self._has_end = has_end(self._checkpoints)
        found = member.group.from_leader(found)
        self._has_end = member.group.from_leader(int(self._has_end)) == 1
        if found >= 0:
            member.everywhere(lambda: self._restore(found))
            self._write_block()
        if self._ended or self._is_complete():
            self._write_rest()
            return
        log.info(
            "training", extra={"run_number": self._run.number, "step": self._step, "precision": self._trainer.precision}
        )
        self._trainer.begin(self._step)
        self._timed_s = time.monotonic()
        while not self._ended and not self._is_complete():
            if self._take_step():
                self._save()
                member.stop()
                return
        self._write_rest()

    def _take_step(self) -> bool:
        """A step, and what is due after it; True where the run has to stop here."""
        member = self._member
        if self._step == self._block.number * self._length + self._length:
            self._block = self._new_block(self._block.number + 1)
        done = self._trainer.step(self._step, stop=member.is_told_to_stop())
        self._step += 1

        # A step's time has all that happens between two steps, but for evaluations and checkpoints.
        now_s = time.monotonic()
        self._seconds += now_s - self._timed_s
        self._timed_s = now_s
        self._note(done)
        if self._step % self._between == 0 or self._step == self._run.steps:
            self._evaluate()
            self._timed_s = time.monotonic()
        if self._ended or self._step % self._length == 0:
            self._save()
            self._write_block()
            self._timed_s = time.monotonic()
        return done.stop and not self._ended

    def _note(self, done: Step) -> None:
        """Take down the numbers of the step that has just been taken."""
        values = {
            "loss": done.loss,
            "gradient_norm": done.gradient_norm,
            "rate": done.rate,
            "weight": self._trainer.weight,
            "seconds": self._seconds,
            "memory_bytes": self._member.group.memory_bytes() if self._member.leads else -1,
        }
        index = (self._step - 1) % self._length
        self._block.note(index, values)
        speed = self._trainer.weight / self._seconds if self._seconds > 0 else 0.0
        self._member.report(index + 1.0, f"loss {done.loss:.4g}, {speed:.3g} {self._task.unit}/s")

    def _evaluate(self) -> None:
        """Evaluate, and see whether the run has had all its time, by the leader's clock."""
        found = self._trainer.evaluate()
        values = {f"evaluation_{name}": value for name, value in found.items()}
        values |= {
            "evaluation_step": self._step,
            "evaluation_samples": float(self._step * self._run.train.batch),
            "evaluation_seconds": self._seconds,
        }
        index = -(-self._step // self._between) - 1
        self._block.note(index % (self._length // self._between), values)
        limit_s = self._run.train.seconds
        over = limit_s is not None and self._member.group.from_leader(int(self._seconds >= limit_s)) == 1
        self._ended = over or self._step == self._run.steps

    def _find(self) -> int:
        """The step of the checkpoint to go on from, -1 where the run begins anew."""
        missing = np.flatnonzero(~self._row())
        last = (int(missing[0]) + 1) * self._length if missing.size else self._run.steps
        for step in self._checkpoints.steps():
            state = self._checkpoints.state(step) if step <= last else None
            if state is not None and state.run == self._run.number and state.seed == self._run.train.seed:
                return step
        return -1

    def _restore(self, step: int) -> None:
        """Take up a checkpoint. Raises RequestError where it is none of this run, or was made by other ranks that count."""
        place = self._checkpoints.place(step)
        try:
            contents = self._checkpoints.load(step)
        except ValueError as error:
            raise RequestError(f"{place}: {error}; remove it, the same command goes on from the one before") from None
        state = contents.state
        _check_ranks(state, self._member.group.size, place)
        block = self._new_block((max(step, 1) - 1) // self._length)
        try:
            block.restore(contents.metrics)
            self._trainer.restore(contents.model, contents.optimiser)
        except (ValueError, KeyError) as error:
            raise RequestError(f"{place}: {error}; remove it, the same command goes on from the one before") from None
        self._block = block
        self._step, self._seconds, self._ended = step, state.seconds, state.ended
        self._trainer.weight = state.weight
        self._trainer.skipped, self._trainer.skipped_in_a_row = state.skipped, state.skipped_in_a_row

    def _save(self) -> None:
        """Keep where the run is, by its leader."""
        member, trainer = self._member, self._trainer

        def save() -> None:
            if not member.leads:
                return
            state = State(
                run=self._run.number,
                step=self._step,
                seed=self._run.train.seed,
                ranks=member.group.size,
                random=trainer.random,
                mixes=trainer.mixes,
                weight=trainer.weight,
                seconds=self._seconds,
                skipped=trainer.skipped,
                skipped_in_a_row=trainer.skipped_in_a_row,
                ended=self._ended,
                precision=trainer.precision,
                device=member.backend.describe(),
                threads=member.backend.threads,
            )
            metrics = {name: values[0] for name, values in self._block.arrays().items()}
            place = self._checkpoints.save(
                Contents(state, trainer.model_tensors(), trainer.optimiser_tensors(), metrics)
            )
            log.info("checkpoint", extra={"place": str(place), "step": self._step})

        member.everywhere(save)
        self._has_end = self._has_end or self._ended

    def _write_block(self) -> None:
        """Make the block durable where it is complete: its checkpoint is."""
        if not self._ended and self._step != (self._block.number + 1) * self._length:
            return
        seconds, self._begun_s = time.monotonic() - self._begun_s, time.monotonic()
        self._write(self._block, seconds, float(self._step - self._block.number * self._length))

    def _write_rest(self) -> None:
        """Blocks that the run does not reach have a file too, in which nothing is computed."""
        if not self._ended:
            return
        for number in range(self._block.number + 1, self._num_blocks):
            self._write(self._new_block(number), 0.0, 0.0)

    def _write(self, block: Block, seconds: float, cost: float) -> None:
        """Make a block durable, unless it is."""
        unit = self._first_unit + block.number
        if self._member.finished[unit]:
            return

        def write() -> None:
            if self._member.leads:
                self._member.write(unit, block.arrays(), seconds, cost)

        self._member.everywhere(write)
        self._member.finished[unit] = True

    def _row(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which blocks of the run are finished."""
        return self._member.finished[self._first_unit : self._first_unit + self._num_blocks]

    def _is_complete(self) -> bool:
        """Whether all blocks are there, and what the run has led to."""
        return self._has_end and bool(self._row().all())

    def _new_block(self, number: int) -> Block:
        """An empty block; arrays are cut at the longest run."""
        shapes = {spec.dimensions[1]: (spec.shape[1], spec.shard[1]) for spec in self._specs}
        sizes = {name: min(shard, size - number * shard) for name, (size, shard) in shapes.items()}
        return Block(self._specs, number, sizes["step"], sizes["evaluation"])


def has_end(checkpoints: Checkpoints) -> bool:
    """Whether the checkpoint at the end of a run is there, whole."""
    return last_step(checkpoints) is not None


def last_step(checkpoints: Checkpoints) -> int | None:
    """The step of the checkpoint at the end of a run; None where there is none that is whole."""
    for step in checkpoints.steps():
        state = checkpoints.state(step)
        if state is not None and state.ended:
            return step
    return None


def _check_ranks(state: State, size: int, place: Path) -> None:
    """Other ranks go on where it makes no difference: each sample weighs the same, whoever has it."""
    if state.ranks == size or not (state.random or state.mixes):
        return
    why = "draws random numbers, which differ by rank" if state.random else "mixes the samples that a rank has"
    former = f"{state.ranks} rank{'s' * (state.ranks != 1)}"
    raise RequestError(f"{place}: was made by {former} of a model that {why}; go on with as many, not {size}")
