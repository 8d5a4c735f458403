"""Training jobs whose task is `language`: the next word of a text, with a choice of how words are mixed.

Owns the keys of `[data]` and `[model]` for this task and what they must not be. Imports torch only where a task is made.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from jobs.sections import Section, Size
from kernels.errors import RequestError
from networks.data import sources
from networks.data.generators import catalogue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from networks.data.text import Corpus
    from networks.language.settings import Settings
    from networks.language.task import Completions, LanguageTask

NUM_WINDOWS_CONTINUED = 4
"""Windows of the text held back that are continued where no prompts are given, each from its middle on."""

Count = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=64)]
Few = Annotated[int, msgspec.Meta(ge=1, le=1024)]


class Data(Section, frozen=True, kw_only=True):
    """The text, how it becomes tokens and windows, and what the trained model is asked to continue."""

    path: str | None = None
    """A text file, or a folder with one for training and one for validation: TinyStories, WikiText-2 or plain text; or the
    store of a job of kind `corpus`, which has a tokeniser of its own. Read in place of what the generator would write."""

    generator: Literal["stories", "articles"] | None = None
    """What writes the text where no path is given, from a small grammar: `stories` in the layout of TinyStories, `articles` in
    that of WikiText-2."""

    count: Count | None = None
    """How many stories or articles the generator writes."""

    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    """Which ones."""

    licence: str | None = None
    """The licence of the text at `path`, kept with the results."""

    limit_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Bytes of each part of the text that are read, up to the end of a document; all unless given."""

    tokeniser: str = "characters"
    """`characters`, `words`, `byte-pairs` (learnt from the text), or the path of a frozen one (.json)."""

    vocabulary: Annotated[int, msgspec.Meta(ge=4, le=1 << 20)] = 4096
    """Most tokens that words or byte pairs may make."""

    context: Annotated[int, msgspec.Meta(ge=2, le=1 << 20)]
    """Tokens of a window: a sample."""

    packing: Literal["stream", "documents"] = "stream"
    """Windows cut from documents laid end to end, or a new one for each document, padded."""

    evaluation_samples: Count | None = None
    """Windows held back that are evaluated; all unless given."""

    prompts: tuple[str, ...] = ()
    """Texts that the trained model continues; the first windows held back, from their middle on, unless given."""

    new_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Tokens that it writes; half a window unless given."""

    temperatures: tuple[Annotated[float, msgspec.Meta(ge=0, le=1e6)], ...] = (0.0,)
    """How boldly: 0 always writes the likeliest token, 1 draws as the model says, more than 1 more evenly."""


class Model(Section, frozen=True, kw_only=True):
    """A causal language model."""

    mixing: Literal["flat", "expanded", "parallel", "multi-head", "attention", "series", "side-by-side"] = "flat"
    """How places see those before them: masked mixers (one map of learned weights; two with a GELU between; the sum of
    several; one for each projected head), attention, or attention and a flat mixer, one after the other or side by side."""

    width: Size
    """Features of a token."""

    depth: Few
    """Blocks."""

    kernel: Few = 1
    """Neighbouring features that a mixer mixes too."""

    expansion: Positive = 2.0
    """Rows between the two maps of an expanded mixer, as multiples of the context. Those beyond 1 are dead."""

    convolutions: Few = 2
    """Maps of a parallel mixer."""

    heads: Few = 4
    """Heads of attention, or of a multi-head mixer."""

    score: Literal["dot", "distance", "squared-distance"] = "dot"
    """What attention compares queries and keys by: their product, or minus their distance."""

    projection_depth: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """Hidden layers of the networks that make queries, keys and values of each head; 0: linear maps."""

    positions: Literal["auto", "none", "learned", "rope", "first-block", "every-block"] = "auto"
    """None; learned and added; rotary (attention only); or a feature of its own, given to the first block or to every one
    (mixers only). `auto` is rotary with attention, none with mixers."""

    norm: Literal["layer", "rms"] = "layer"
    """Kind of the norms."""

    order: Literal["pre", "post"] = "pre"
    """Whether a norm stands before each part or behind its sum."""

    final_norm: bool = False
    """Whether there is one more norm before the head."""

    feed_forward: Literal["gelu", "relu", "swiglu"] = "gelu"
    """Activation of the feed-forward networks."""

    widening: Positive = 4.0
    """Their hidden features, as multiples of the width."""

    bias: bool = True
    """Whether linear maps have biases; those between places always do."""

    residual: bool = True
    """Whether each part is added to what it gets."""

    tied: bool = False
    """Whether the head uses the weights of the embedding."""

    embedding_map: bool = False
    """Whether a linear map of the features stands behind the embedding."""

    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Share of features dropped behind the embedding and behind each part, in training."""


DATA, MODEL = Data, Model


def check(data: Data, model: Model, train: Any) -> None:
    """Refuse what cannot be trained, by the key to change."""
    del train
    if data.path is None and data.generator is None:
        raise RequestError("data.path: is missing; give a text, or a data.generator that writes one")
    if data.path is None and data.generator is not None:
        if data.count is None:
            raise RequestError("data.count: is missing; say how many the generator writes")
        catalogue.check(data.generator, data.count, data.seed, {})
    if not data.temperatures:
        raise RequestError("data.temperatures: is empty; give at least one, such as [0.0]")
    if data.new_tokens is not None and data.new_tokens >= data.context:
        raise RequestError(
            f"data.new_tokens: at most data.context - 1 = {data.context - 1}, to leave room for a prompt"
        )
    _check_model(model)


def _check_model(model: Model) -> None:
    attention = model.mixing in ("attention", "series", "side-by-side")
    feature = model.positions in ("first-block", "every-block")
    if model.positions == "rope" and not attention:
        raise RequestError(f"model.positions: rope needs attention, which {model.mixing} has not; use none or learned")
    if feature and attention:
        raise RequestError(f"model.positions: {model.positions} is for mixers alone; use rope or learned")
    if model.score != "dot" and not attention:
        raise RequestError(f"model.score: {model.score} needs attention, which {model.mixing} has not")
    if model.projection_depth and not attention:
        raise RequestError(f"model.projection_depth: networks of heads need attention, which {model.mixing} has not")
    width = model.width + feature
    if (attention or model.mixing == "multi-head") and width % model.heads:
        why = " and one more for the position" if feature else ""
        raise RequestError(f"model.heads: {model.heads} does not divide the {model.width} features{why} of model.width")
    rope = attention and model.positions in ("auto", "rope")
    if rope and (width // model.heads) % 2:
        raise RequestError("model.positions: rope turns pairs of features; make model.width / model.heads even")


def settings(data: Data, model: Model, vocabulary: int) -> Settings:
    """The model as `networks` knows it."""
    from networks.language.settings import WITH_ATTENTION, Settings

    chosen = msgspec.structs.asdict(model)
    if model.positions == "auto":
        chosen["positions"] = "rope" if model.mixing in WITH_ATTENTION else "none"
    return Settings(vocabulary=vocabulary, context=data.context, **chosen)


def task(data: Data, model: Model, *, seed: int) -> LanguageTask:
    """The task: reads or makes the text. Completions at temperatures above 0 are drawn with `seed`."""
    from networks.language.task import LanguageTask

    corpus = load(data)
    made = settings(data, model, corpus.tokeniser.size)
    return LanguageTask(made, corpus, completions(data, corpus, seed), data.evaluation_samples)


@functools.lru_cache(maxsize=1)
def load(data: Data) -> Corpus:
    """The text as windows of tokens. The runs of a sweep that differ in the model alone share them."""
    from networks.data import text

    place = _place(data)
    if _is_store(place):
        from jobs.corpus import reading

        return reading.load(place, data.context, data.packing)
    request = text.Request(place, data.tokeniser, data.vocabulary, limit_bytes=data.limit_bytes)
    return text.load(request, data.context, data.packing, data.licence)


def manifest(data: Data) -> dict[str, Any]:
    """What the text is, whatever it is called here: the generator's parameters, or sizes and sums of the files."""
    if data.path is None and data.generator is not None and data.count is not None:
        return sources.describe_generated(data.generator, data.count, data.seed)
    place = _place(data)
    if _is_store(place):
        from jobs.corpus import reading

        return reading.describe(place)
    from networks.data import layouts, tokenisers

    found = sources.describe_files(layouts.find(place).files, data.licence)
    if data.tokeniser not in tokenisers.KINDS:
        found["tokeniser"] = tokenisers.digest(tokenisers.load(sources.locate(data.tokeniser)))
    return found


def _is_store(place: Path) -> bool:
    # Zarr is loaded only where there is something to look at.
    from hpc.reading import is_store

    return is_store(place)


def _place(data: Data) -> Path:
    if data.path is not None:
        return sources.locate(data.path)
    return sources.locate(None, data.generator, data.count, data.seed)


def completions(data: Data, corpus: Corpus, seed: int) -> Completions:
    """The prompts as windows. Raises RequestError for one that has no tokens or leaves no room."""
    import numpy as np

    from networks.language.task import Completions

    new_tokens = data.context // 2 if data.new_tokens is None else data.new_tokens
    room = data.context - new_tokens
    rows = _prompts(data, corpus, room)
    windows = np.zeros((len(rows), data.context), np.int64)
    for window, row in zip(windows, rows, strict=True):
        window[: len(row)] = row
    lengths = np.array([len(row) for row in rows], np.int64)
    return Completions(windows, lengths, new_tokens, data.temperatures, seed)


def _prompts(data: Data, corpus: Corpus, room: int) -> list[NDArray[np.int32]]:
    if not data.prompts:
        held_back = corpus.valid
        count = min(NUM_WINDOWS_CONTINUED, len(held_back))
        return [held_back.tokens[number, : min(room, int(held_back.lengths[number]))] for number in range(count)]
    rows = [corpus.tokeniser.encode(prompt) for prompt in data.prompts]
    for number, row in enumerate(rows):
        if not 1 <= len(row) <= room:
            problem = f"has {len(row)} tokens; 1 to {room} leave room for data.new_tokens in data.context"
            raise RequestError(f"data.prompts[{number}]: {problem}")
    return rows
