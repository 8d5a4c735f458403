"""Job kind `corpus`: a text becomes tokens once, by many ranks, for the training jobs that name the store as their path.

Owns the kind's type, its checks and its plan. How texts are cut and tokenised is in networks/data.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal, cast

import numpy as np

from hpc.plan import ArraySpec, Plan
from jobs.corpus.sections import Data
from jobs.corpus.stage import TokeniserStage, tokens_stage
from jobs.identity import attributes, digest, identity
from jobs.model import Job
from jobs.plotting import Plot, check_plot
from kernels.errors import RequestError
from networks.data import layouts, sources, text, tokenisers
from networks.data.generators import catalogue

DEFAULTS: dict[str, Any] = {
    "picture": {"figure": "curves", "y": "token_count", "labels": ["block", "tokens"]},
}
VERSION = 1
"""Of the way a text is cut and tokenised."""

NAMES = frozenset({"tokeniser", "tokens", "token_count", "document_count", "split", "block", "place", "byte"})


class Corpus(Job, frozen=True, kw_only=True):
    """A text becomes tokens. See docs/data.md.

    Training jobs of the task `language` take the finished store as their `data.path`.
    """

    kind: Literal["corpus"]
    data: Data
    picture: Plot


MODEL = Corpus


def resolve(job: Job) -> Corpus:
    """The job; RequestError for a source that cannot be, or a tokeniser that is not there."""
    job = cast(Corpus, job)
    data = job.data
    if job.outputs:
        raise RequestError("outputs: a corpus job stores all it makes; leave it out")
    if data.path is None and data.generator is None:
        raise RequestError("data.path: is missing; give a text, or a data.generator that writes one")
    if data.path is None and data.generator is not None:
        if data.count is None:
            raise RequestError("data.count: is missing; say how many the generator writes")
        catalogue.check(data.generator, data.count, data.seed, {})
    if data.tokeniser not in tokenisers.KINDS and not data.tokeniser.endswith(".json"):
        known = ", ".join(tokenisers.KINDS)
        raise RequestError(f"data.tokeniser: {data.tokeniser!r} is none of {known}, and no path of a .json file")
    if data.tokeniser == "byte-pairs" and find_spec("tokenizers") is None:
        raise RequestError("data.tokeniser: byte-pairs needs tokenizers; pip install 'horseshoe[train]'")
    check_plot(job.picture, names=NAMES)
    return job


def overview(job: Job, plan: Plan) -> list[tuple[str, str]]:
    """Layout of the text, and bytes by split."""
    del job
    stated = plan.identity["manifest"]
    sizes = ", ".join(f"{name} {size}" for name, size in stated["bytes"].items())
    return [("layout", stated["layout"]), ("bytes", sizes)]


def plan(job: Job, device: str | None) -> Plan:
    """The stages `tokeniser` and `tokens`. A generator writes its files here, once."""
    data = cast(Corpus, job).data
    generator = data.generator if data.path is None else None
    place = sources.locate(data.path, generator, data.count, data.seed)
    request = text.Request(place, data.tokeniser, data.vocabulary, data.minimum_count, data.limit_bytes)
    whole = request.text()
    stage = tokens_stage(whole, data.block_bytes)

    own = identity(job, device)
    files = sources.describe_files(whole.files, data.licence or sources.licence_beside(place))
    sizes = {name: span.num_bytes for name, span in whole.splits.items()}
    own["manifest"] = {**files, "layout": whole.layout, "bytes": sizes}
    if data.tokeniser not in tokenisers.KINDS:
        frozen = tokenisers.load(sources.locate(data.tokeniser))
        own["manifest"]["tokeniser"] = tokenisers.digest(frozen)
    told = attributes(job, own, digest({"corpus": VERSION}))

    names = list(layouts.SPLIT_WORDS)
    split = np.array([names.index(name) for name, _ in stage.blocks], dtype=np.int32)
    about = {"units": "1", "long_name": "split of each block", "values": names}
    constant = ArraySpec("split", split.shape, "<i4", split.shape, split.shape, ("block",), -1, about)
    stages = (TokeniserStage(request, whole), stage)
    return Plan(stages, ((constant, split),), {**told, "manifest": own["manifest"]}, own)
