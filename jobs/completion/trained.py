"""A run of a finished training store, and the task that it was trained on with other prompts.

Owns the check that the store is one, whole, and that its text is still the same. Never writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hpc.plan import ArraySpec
from hpc.reading import open_for_reading
from jobs import model
from jobs.training import results
from jobs.training.checkpoint import Checkpoints
from jobs.training.facts import facts, make_task
from jobs.training.loop import last_step
from jobs.training.runs import RunSettings, runs
from jobs.training.sections import Training
from jobs.training.tasks import module_of
from kernels.backends.base import Array
from kernels.errors import RequestError
from networks.data import sources

if TYPE_CHECKING:
    from jobs.completion.kind import Prompts

TASK = "language"
PREFIX = "completion_"
"""Of the arrays that a language task leaves of its completions."""


@dataclass(frozen=True)
class Trained:
    """The run with the prompts it is asked now, the checkpoint at its end, and the arrays of completions that it leaves."""

    run: RunSettings
    checkpoints: Checkpoints
    step: int
    manifest: dict[str, Any]
    arrays: tuple[ArraySpec, ...]

    @property
    def memory_bytes(self) -> int:
        """Weights as they are read and as they are used."""
        return 8 * facts(TASK, self.run).parameters

    def complete(self) -> dict[str, Array]:
        """The arrays, with the run first."""
        from jobs.training.randomness import seed_torch
        from jobs.training.trainer import load_model

        task = make_task(TASK, self.run)
        made = task.model()
        load_model(made, self.checkpoints.load(self.step).model)
        seed_torch(self.run.train.seed, "finish")
        found = task.finish(made.eval())
        return {spec.name: results.padded(spec, found[spec.name]) for spec in self.arrays}


def open_trained(asked: Prompts) -> Trained:
    """The run of a store. Raises RequestError where it is no such store, not finished, or its text has changed."""
    store = sources.locate(asked.store)
    reader = open_for_reading(store)
    job = reader.attributes["job"]
    if reader.attributes["kind"] != "training" or job.get("task") != TASK:
        raise RequestError(f"completion.store: {asked.store} is no store of training jobs of the task {TASK}")
    made = model.from_tree(job)
    assert isinstance(made, Training)
    found = runs(made)
    if asked.trained >= len(found):
        raise RequestError(f"completion.trained: there is no run {asked.trained}, only 0 to {len(found) - 1}")
    _check_text(made, store, reader.attributes["job_hash"])
    run = found[asked.trained]

    checkpoints = Checkpoints(store, run.number, run.train.keep, "reader-0")
    step = last_step(checkpoints)
    if step is None:
        raise RequestError(
            f"completion.store: run {run.number} of {asked.store} has no checkpoint at its end; run it on"
        )
    manifest = {"job": reader.attributes["job_hash"], "run": run.number, "step": step}
    manifest["weights"] = checkpoints.weights_sha256(step)
    try:
        run = _with_prompts(run, asked)
        left = results.arrays([facts(TASK, run).results])
    except RequestError as error:
        # The task knows its prompts as keys of [data].
        raise RequestError(re.sub(r"\bdata\.(prompts|new_tokens)", r"completion.\1", str(error))) from None
    return Trained(run, checkpoints, step, manifest, tuple(spec for spec in left if spec.name.startswith(PREFIX)))


def _check_text(job: Training, store: Path, job_hash: str) -> None:
    """Other text has other tokens: numbers that the model takes for other words."""
    from jobs.training.kind import plan

    if plan(job, None).attributes["job_hash"] != job_hash:
        raise RequestError(f"{store}: was trained on another text than is at its data.path now; put that back")


def _with_prompts(run: RunSettings, asked: Prompts) -> RunSettings:
    """The run's settings with what it is asked now."""
    data: Any = msgspec.structs.replace(
        run.data, prompts=asked.prompts, new_tokens=asked.new_tokens, temperatures=asked.temperatures
    )
    train = msgspec.structs.replace(run.train, seed=asked.seed)
    module_of(TASK).check(data, run.model, train)
    return RunSettings(run.number, data, run.model, train, run.values)
