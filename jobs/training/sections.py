"""The sections that every training job has: how it is trained, what is varied.

Owns names, types, defaults and descriptions of the keys. The sections [data] and [model] are those of its task.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from jobs.model import Job
from jobs.plotting import Plot
from jobs.sections import Section

MOST_STEPS = 100_000_000

Count = Annotated[int, msgspec.Meta(ge=1, le=MOST_STEPS)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]

Order = Literal["shuffled", "shuffled-once", "sequential", "sequential-by-class", "alternating"]


class Train(Section, frozen=True, kw_only=True):
    """How a model is trained."""

    ranks: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] | None = None
    """MPI ranks that train one run together, each with a part of every batch; all there are, unless given. Other ranks train
    other runs of a sweep meanwhile."""

    batch: Count = 32
    """Samples of one step, over all ranks."""

    accumulation: Count = 1
    """Into how many parts a rank cuts its part of a batch, one in memory at a time."""

    steps: Annotated[int, msgspec.Meta(ge=0, le=MOST_STEPS)] | None = None
    """Steps of a run; this or `samples` is needed."""

    samples: Count | None = None
    """Samples of a run, instead of steps; the last step is a whole one."""

    seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Seconds of training after which a run ends, if it has not taken all its steps; looked at when it is evaluated."""

    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    """How gradients become steps."""

    rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-3
    """Learning rate, the largest of the schedule."""

    betas: tuple[Annotated[float, msgspec.Meta(ge=0, lt=1)], Annotated[float, msgspec.Meta(ge=0, lt=1)]] = (0.9, 0.999)
    """How much adam and adamw keep of the mean gradient and of its mean square."""

    momentum: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """How much sgd keeps of its last step."""

    weight_decay: NotNegative = 0.0
    """How fast weights shrink by themselves."""

    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the rate falls from the end of the warm-up to the last step."""

    warmup: Annotated[int, msgspec.Meta(ge=0, le=MOST_STEPS)] = 0
    """Steps in which the rate rises from 0, in even parts."""

    last_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """What is left of the rate at the last step, as a share of it; for the schedules that fall."""

    clip: NotNegative = 0.0
    """Largest norm of the gradient, longer ones are shortened to it; 0: as it is."""

    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] = 0
    """Decides first weights, order of the data, dropout, and what a task draws."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the numbers in the model's products: `auto` is bfloat16, with weights in float32, on GPUs that have it."""

    compile: bool = False
    """Whether the model goes through torch.compile, which takes half a minute and makes long runs faster."""

    order: Order = "shuffled"
    """Order of the samples: anew in every epoch; once; as they are; class after class; classes in turn."""

    evaluate_every: Count | None = None
    """Steps between evaluations; as checkpoint_every unless given."""

    checkpoint_every: Count | None = None
    """Steps between checkpoints, a multiple of evaluate_every: what a crash may cost. A tenth of the run, at most 1000
    steps, unless given."""

    keep: Annotated[int, msgspec.Meta(ge=2, le=1 << 20)] = 2
    """How many checkpoints of a run are kept."""


class Training(Job, frozen=True, kw_only=True):
    """A model trained on data, or several of them that differ in a few keys. See docs/training.md.

    The task says what [data] and [model] hold. [sweep] has a list of values for each key that is varied, such as
    `"model.width" = [64, 128]`; several keys: all combinations, the last one changing fastest.
    """

    kind: Literal["training"]
    task: str
    """What is to be learned: the tasks are below."""

    train: Train
    sweep: dict[str, Any] = msgspec.field(default_factory=dict)
    """Lists of values by dotted key; with `zip = true` their first values make the first run, and so on."""

    picture: Plot

    def __reduce__(self) -> Any:
        # The type depends on the task: make it anew where the job arrives.
        from jobs.identity import resolved
        from jobs.model import from_tree

        return from_tree, (resolved(self),)
