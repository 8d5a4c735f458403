"""Job kind `completion`: a language model of a finished training store continues other prompts.

Owns the sections of the kind and its plan of one unit. What a model writes, and how, is in networks/language.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any, Literal, cast

import msgspec

from hpc.plan import Plan
from jobs.completion.stage import CompletionStage
from jobs.completion.trained import PREFIX, Trained, open_trained
from jobs.identity import attributes, digest, identity
from jobs.model import Job
from jobs.plotting import Plot, check_plot
from jobs.sections import Section
from kernels.errors import RequestError

DEFAULTS: dict[str, Any] = {
    "picture": {"figure": "curves", "y": "completion_length", "labels": ["prompt", "tokens"]},
}
VERSION = 1
"""Of the way prompts are continued."""

NAMES = frozenset({*(f"{PREFIX}{name}" for name in ("tokens", "length", "start", "text")), "prompt", "temperature"})

Temperature = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Number = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class Prompts(Section, frozen=True, kw_only=True):
    """Which trained model goes on with which texts."""

    store: str
    """A finished store of a training job of the task `language`. Its text has to be where it was: it has the tokens."""

    trained: Number = 0
    """Which of its runs."""

    prompts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=10_000)]
    """Texts to continue."""

    new_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Tokens behind each; half the window of the model unless given."""

    temperatures: Annotated[tuple[Temperature, ...], msgspec.Meta(min_length=1, max_length=1000)] = (0.0,)
    """How boldly: 0 always writes the likeliest token, 1 draws as the model says, more than 1 more evenly."""

    seed: Number = 0
    """Of what is drawn."""


class Completion(Job, frozen=True, kw_only=True):
    """A trained language model continues prompts; `horseshoe measure completions STORE` prints them."""

    kind: Literal["completion"]
    completion: Prompts
    picture: Plot


MODEL = Completion


def resolve(job: Job) -> Completion:
    """The job; RequestError where torch is missing or the picture makes no sense. The store is looked at by `plan`."""
    job = cast(Completion, job)
    if find_spec("torch") is None or find_spec("safetensors") is None:
        raise RequestError("kind: completion needs torch and safetensors; pip install 'horseshoe[train]'")
    if job.outputs:
        raise RequestError("outputs: a completion job stores all it makes; leave it out")
    check_plot(job.picture, names=NAMES)
    return job


def overview(job: Job, plan: Plan) -> list[tuple[str, str]]:
    """Which model, and how much it writes."""
    asked = cast(Completion, job).completion
    model = f"run {asked.trained} of {asked.store}, step {plan.identity['trained']['step']}"
    return [("model", model), ("texts", str(len(asked.prompts) * len(asked.temperatures)))]


def plan(job: Job, device: str | None) -> Plan:
    """One stage of one unit. The model's weights are part of the identity, the place of its store is not."""
    asked = cast(Completion, job).completion
    trained: Trained = open_trained(asked)
    own = identity(job, device)
    del own["completion"]["store"], own["completion"]["trained"]
    own["trained"] = trained.manifest
    told = attributes(job, own, digest({"completion": VERSION}))
    return Plan((CompletionStage(trained),), (), {**told, "trained": trained.manifest}, own)
