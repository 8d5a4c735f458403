"""From a job's text to a frozen, typed, complete job: unknown keys, wrong types and bad values end here.

Owns the base class of jobs, the table of job kinds and the wording of errors. Starts no work.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import time
from collections.abc import Iterator, Sequence
from datetime import date
from datetime import time as time_of_day
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Protocol, cast, get_args, get_origin

import msgspec

from hpc.options import RunOptions, parse_deadline
from hpc.plan import Plan
from jobs.defaults import defaults
from jobs.reading import Tree, cleaned, locate, merge, nearest, one_line, read, read_overrides
from jobs.sections import Check, RunSection, Section
from kernels.backends.base import Backend
from kernels.errors import RequestError

KINDS = {
    "divergence": "jobs.divergence.kind",
    "boundary": "jobs.boundary.kind",
    "geometry": "jobs.geometry.kind",
    "corpus": "jobs.corpus.kind",
    "encoding": "jobs.encoding.kind",
    "training": "jobs.training.kind",
    "completion": "jobs.completion.kind",
}
"""Module of every job kind; imported when a job of that kind is loaded."""

NAME = r"^[a-z0-9-]{1,64}$"


class Job(Section, frozen=True, kw_only=True):
    """What every job has; a kind adds its own sections and the outputs it knows."""

    kind: str
    """What is computed: the kinds are below."""

    name: Annotated[str, msgspec.Meta(pattern=NAME)]
    """Name of the store: lower-case letters, digits and -; the file's own name unless given."""

    title: str = ""
    """One line for lists and pictures."""

    description: str = ""
    """Anything else worth knowing."""

    source: str = ""
    """Where it comes from."""

    outputs: tuple[str, ...] = ()
    """Which arrays are stored; the kind says which there are."""

    run: RunSection = RunSection()
    check: tuple[Check, ...] = ()


class Kind(Protocol):
    """What the module of a job kind offers. One whose sections depend on the job has `model_of(tree)` besides."""

    MODEL: type[Job]
    DEFAULTS: Tree

    def resolve(self, job: Job) -> Job:
        """The job with everything filled in that follows from the rest; RequestError where a value is impossible."""
        ...

    def plan(self, job: Job, device: str | None) -> Plan:
        """The stages, arrays and attributes of a resolved job; `device` enters its identity."""
        ...

    def overview(self, job: Job, plan: Plan) -> list[tuple[str, str]]:
        """What `horseshoe plan` says of the work: pairs of a word and a line."""
        ...


def load(name_or_path: str, overrides: Sequence[str] = ()) -> Job:
    """Read, complete and check a job by gallery name or TOML path.

    `overrides` are texts `key=value`, later ones win. Raises RequestError with one line that names the key.
    """
    path = locate(name_or_path)
    tree = merge({"name": path.stem}, read(path))
    return from_tree(merge(tree, read_overrides(overrides)))


def from_tree(tree: Tree) -> Job:
    """A resolved job from plain data; see `load`."""
    tree = cleaned(tree)
    module = kind_of(tree.get("kind"))
    tree = merge(module.DEFAULTS, tree)
    own = sections_of(module, tree)
    if isinstance(tree.get("check"), dict):
        tree["check"] = [tree["check"]]
    if isinstance(tree.get("run"), dict) and "deadline" in tree["run"]:
        tree["run"]["deadline"] = _deadline_text(tree["run"]["deadline"])
    try:
        job = msgspec.convert(tree, own)
    except msgspec.ValidationError as error:
        raise RequestError(explain(str(error), own)) from None
    if "\n" in job.title:
        raise RequestError("title: has several lines; the others belong to description")
    if job.run.deadline is not None:
        parse_deadline(job.run.deadline, time.time())
    return module.resolve(job)


def sections_of(module: Kind, tree: Tree) -> type[Job]:
    """The type of a job: that of its kind, or the one that the kind makes of what the job says."""
    model_of = getattr(module, "model_of", None)
    return module.MODEL if model_of is None else cast(type[Job], model_of(tree))


def _deadline_text(value: Any) -> Any:
    """A deadline given as seconds or as a time of TOML, as the text that `RunOptions` explains."""
    if isinstance(value, date | time_of_day):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:f}"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def kind_of(name: object) -> Kind:
    """The module of a job kind; RequestError for a kind that does not exist."""
    if not isinstance(name, str) or name not in KINDS:
        near = nearest(str(name), list(KINDS))
        known = ", ".join(KINDS)
        raise RequestError(f"kind: {one_line(name)!r} is not a job kind{near}; known: {known}")
    return cast(Kind, importlib.import_module(KINDS[name]))


def plan(job: Job, device: str | None = None) -> Plan:
    """The plan of a job; `device` as `device_of` gives it."""
    kind = kind_of(job.kind)
    return dataclasses.replace(kind.plan(job, device), defaults=defaults(type(job), kind.DEFAULTS))


def device_of(job: Job, backend: Backend) -> str | None:
    """The device as a part of the job's identity: None but for `fast` arithmetic, which differs between devices."""
    if not differs_between_devices(job):
        return None
    return f"{backend.kind}, {backend.num_lanes_float64} lanes"


def differs_between_devices(job: Job) -> bool:
    """Whether results depend on the device so that it is part of the job's identity."""
    numerics = getattr(job, "numerics", None)
    return numerics is not None and numerics.arithmetic == "fast"


def run_options(job: Job) -> RunOptions:
    """The part of `[run]` that the engine reads."""
    run = job.run
    return RunOptions(
        threads=run.threads, device=run.device, grace_s=run.grace_s, deadline=run.deadline, progress=run.progress
    )


def explain(message: str, model: type[Job]) -> str:
    """msgspec's message as one line that starts with the dotted key."""
    text, _, path = message.rpartition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    if not text:
        text, key = message, ""

    # Name the unknown or missing key itself, not the table around it.
    if match := re.match(r"Object (contains unknown|missing required) field `(.*)`", text):
        name = match[2]
        full = f"{key}.{name}" if key else name
        if match[1] == "missing required":
            return f"{full}: is missing"
        return f"{one_line(full)}: unknown key; nearest: {_nearest_key(model, key, name)}"

    # Say what is possible where that is a short list.
    if text.startswith("Invalid enum value"):
        value = text.removeprefix("Invalid enum value ")
        return f"{key}: {value} is not among {', '.join(_choices(model, key))}"
    if "matching regex" in text:
        return f"{key}: only lower-case letters, digits and -, at most 64 characters"
    text = text.replace("`", "").replace("object", "a table").replace("array", "a list").replace("str", "a string")
    return f"{key or 'job'}: {text[0].lower()}{text[1:]}"


def _nearest_key(model: type[Section], key: str, name: str) -> str:
    """The key that `name` in the section at `key` stands for: one called so elsewhere, else one like it, here first."""
    section = re.sub(r"\[.*?\]", "", key)
    every = list(_keys(model))
    here = [one for one in every if one.rpartition(".")[0] == section]
    for candidates, cutoff in ((every, 1.0), (here, 0.6), (every, 0.6), (here, 0.0)):
        names = [one.rpartition(".")[2] for one in candidates]
        if close := get_close_matches(name, names, n=1, cutoff=cutoff):
            return candidates[names.index(close[0])]
    return section


def _keys(of: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Every dotted key of a model, those of sections too."""
    for field in msgspec.structs.fields(of):
        yield f"{prefix}{field.name}"
        for part in _parts(field.type):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield from _keys(part, f"{prefix}{field.name}.")


def _choices(model: type[Section], key: str) -> list[str]:
    """Field names of the section at a dotted key, or the values that a choice has there."""
    found: set[Any] = {model}
    for part in filter(None, re.sub(r"\[.*?\]", "", key).split(".")):
        sections = [one for one in found if isinstance(one, type) and issubclass(one, msgspec.Struct)]
        types = {field.name: field.type for section in sections for field in msgspec.structs.fields(section)}
        found = set(_parts(types.get(part)))
    names: list[str] = []
    for one in found:
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            names += [field.name for field in msgspec.structs.fields(one)]
        elif get_origin(one) is Literal:
            names += [str(value) for value in get_args(one)]
    return names


def _parts(kind: Any) -> Iterator[Any]:
    """A type and the types inside its unions, tuples and annotations."""
    yield kind
    if get_origin(kind) is not Literal:
        for inner in get_args(kind):
            yield from _parts(inner)
