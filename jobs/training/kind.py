"""Job kind `training`: models trained on the problem of a task, run after run of a sweep.

Owns the way from a job to its plan: the runs, the arrays of their metrics, what they leave. How a model is trained is
said in jobs/training/trainer.py; what is learned, by the module of its task.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from typing import Any, cast

import msgspec

from hpc.plan import Plan, Stage
from jobs.identity import attributes, digest, identity
from jobs.model import Job
from jobs.plotting import check_plot
from jobs.reading import Tree
from jobs.sections import Section
from jobs.training import metrics, results, sweep
from jobs.training.facts import BYTES_PER_PARAMETER, TaskMaker, facts
from jobs.training.overview import overview as overview
from jobs.training.runs import check_sweep, runs
from jobs.training.sections import Train, Training
from jobs.training.stage import TrainStage
from jobs.training.tasks import TASKS, module_of
from kernels.errors import RequestError

DEFAULTS: dict[str, Any] = {
    "picture": {"figure": "curves", "x": "evaluation_step", "y": "evaluation_loss"},
}

VERSION = 3
"""Of the way models are trained: another one makes other numbers of the same job."""

MOST_DEFAULT_STEPS = 1000
DEFAULT_CHECKPOINTS = 10

MODEL = Training


def model_of(tree: Tree) -> type[Training]:
    """The type of a job that says which task it is of; RequestError where it does not."""
    module_of(tree.get("task"))
    return _model_of(tree["task"])


def models() -> dict[str, type[Training]]:
    """The types of the jobs of all tasks, by task."""
    return {task: _model_of(task) for task in TASKS}


@functools.cache
def _model_of(task: str) -> type[Training]:
    module: Any = module_of(task)
    fields = [_field("data", module.DATA), _field("model", module.MODEL)]
    about = (module.__doc__ or "").strip()
    made = msgspec.defstruct(
        "Training", fields, bases=(Training,), namespace={"__doc__": about}, module=__name__, frozen=True, kw_only=True
    )
    return cast(type[Training], made)


def _field(name: str, of: type[Section]) -> Any:
    """A section that a job may leave out where all its keys have defaults."""
    try:
        return name, of, of()
    except TypeError:
        return name, of


def resolve(job: Job) -> Training:
    """The job with evaluations and checkpoints settled; RequestError for impossible values of any run."""
    job = cast(Training, job)
    if find_spec("torch") is None or find_spec("safetensors") is None:
        raise RequestError("kind: training needs torch and safetensors; pip install 'horseshoe[train]'")
    if job.outputs:
        raise RequestError("outputs: a training job stores what it measures; leave it out")
    job = msgspec.structs.replace(job, sweep=check_sweep(job.sweep))
    module = module_of(job.task)
    found = runs(job)
    for run in found:
        _check_train(run.train)
        module.check(run.data, run.model, run.train)
    return msgspec.structs.replace(job, train=_with_intervals(job.train, max(run.steps for run in found)))


def _check_train(train: Train) -> None:
    """Refuse what contradicts itself."""
    if (train.steps is None) == (train.samples is None):
        raise RequestError("train.steps and train.samples: give exactly one of them")
    if train.momentum and train.optimiser != "sgd":
        raise RequestError(f"train.momentum: is for sgd; {train.optimiser} has train.betas")


def _with_intervals(train: Train, steps: int) -> Train:
    """The steps between checkpoints and between evaluations, where they are not given."""
    between = train.evaluate_every
    length = train.checkpoint_every
    if length is None:
        length = max(1, min(MOST_DEFAULT_STEPS, -(-steps // DEFAULT_CHECKPOINTS)))
        length = length if between is None else -(-length // between) * between
    between = length if between is None else between
    if length % between:
        raise RequestError(f"train.checkpoint_every: {length} is not a multiple of train.evaluate_every {between}")
    return msgspec.structs.replace(train, checkpoint_every=length, evaluate_every=between)


def plan(job: Job, device: str | None) -> Plan:
    """The stages `train`, where there are steps to take, and `results`, where the task leaves anything."""
    job = cast(Training, job)
    found = runs(job)
    known = [facts(job.task, run) for run in found]
    if len({(one.unit, one.measures) for one in known}) > 1:
        raise RequestError("sweep: its runs are not measured alike; make a job for each")
    maker = TaskMaker(job.task)
    weights = max(
        one.parameters * BYTES_PER_PARAMETER[run.train.optimiser] for one, run in zip(known, found, strict=True)
    )
    stages: list[Stage] = []
    steps = max(run.steps for run in found)
    if steps:
        assert job.train.checkpoint_every is not None
        assert job.train.evaluate_every is not None
        lengths = (steps, job.train.checkpoint_every, job.train.evaluate_every)
        arrays = metrics.arrays(len(found), *lengths, known[0].measures, known[0].unit)
        stages.append(TrainStage(arrays, found, maker, weights))
    left = results.arrays([one.results for one in known])
    if left:
        stages.append(results.ResultsStage(left, found, maker, weights))
    constants = sweep.constants(found, [one.chance for one in known], [one.parameters for one in known])
    _check_picture(job, stages, [spec.name for spec, _ in constants])

    own = identity(job, device)
    manifests = [dict(module_of(job.task).manifest(run.data)) for run in found]
    own["manifest"] = manifests[:1] if all(one == manifests[0] for one in manifests) else manifests
    told = attributes(job, own, digest({"training": VERSION}))
    return Plan(tuple(stages), constants, told, own)


def _check_picture(job: Training, stages: list[Stage], constants: list[str]) -> None:
    """Refuse a picture of what is not there, before it is computed."""
    specs = [spec for stage in stages for spec in stage.arrays]
    dimensions = {name for spec in specs for name in spec.dimensions} - {"run"}
    names = [spec.name for spec in specs] + constants
    if len(set(names)) < len(names):
        raise RequestError(f"task: {job.task} leaves two arrays of one name")
    check_plot(job.picture, names={*names, *dimensions})
