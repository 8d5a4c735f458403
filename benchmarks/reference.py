"""Writes docs/job.md: every key of a job file, from the models of jobs/ and the texts below their fields.

    python -m benchmarks.reference

A pure function of the source code; runs no job.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import numpy as np

from jobs import model
from jobs.maps import MapJob
from kernels import iterate, threebody

RESULT = Path(__file__).parents[1] / "docs" / "job.md"

HEAD = """\
# Job files

A job is a TOML file; [jobs/gallery](../jobs/gallery) has many. Each key below can also be changed on the command line:
`--set SECTION.KEY=VALUE`, as in `--set view.width=3` or `--set 'view.resolution=[200, 200]'`, where the value is TOML and
anything else is a text. An unknown key is refused, and the nearest known one named.

A *number or formula* is a number, or a text such as `"30 + 10*sin(2*pi*t/90)"`: see [formulas.md](formulas.md). Where a
key says nothing else, a formula is one of `t`, the frame, from 0. Columns come before rows in `view.resolution`, rows before
columns in `run.shard` and `run.chunk`.

Written by `make docs` from the models in jobs/; a test keeps it current.
"""

KINDS: dict[str, Any] = {kind: importlib.import_module(module) for kind, module in model.KINDS.items()}
OUTPUTS: dict[str, dict[str, tuple[str, str, str]]] = {
    "divergence": {name: (threebody.OUTPUTS[name], *told) for name, told in KINDS["divergence"].LONG_NAMES.items()},
    "boundary": KINDS["boundary"].ARRAYS,
}
OUTCOMES = {"divergence": threebody.OUTCOMES, "boundary": iterate.OUTCOMES}

Model = type[msgspec.Struct]


def render() -> str:
    """The page."""
    defaults = {kind: module.DEFAULTS for kind, module in KINDS.items()}
    of_maps = {kind: tree for kind, tree in defaults.items() if issubclass(KINDS[kind].MODEL, MapJob)}
    common = names(model.Job)
    parts = [HEAD, "## Every kind\n", table(model.Job, "", defaults)]
    parts += list(sections(model.Job, "", defaults))
    parts += [f"## Maps\n\n{docstring(MapJob)}\n", *sections(MapJob, "", of_maps, leave_out=common - {"run"})]
    for kind, module in KINDS.items():
        own = common | (names(MapJob) if kind in of_maps else set())
        parts.append(f"## Kind `{kind}`\n\n{docstring(module.MODEL)}\n")
        if kind in OUTPUTS:
            parts.append(outputs(kind, defaults[kind]["outputs"]))
        plain = [field for field in msgspec.structs.fields(module.MODEL) if field.name not in own]
        if any(section_of(field.type) is None for field in plain):
            parts.append(table(module.MODEL, "", {}, leave_out=own))
        parts += list(sections(module.MODEL, "", {} if kind in of_maps else {kind: defaults[kind]}, leave_out=own))
        for task, of in getattr(module, "models", dict)().items():
            parts.append(f"## Task `{task}` of kind `{kind}`\n\n{docstring(of)}\n")
            parts += list(sections(of, "", {}, leave_out=names(module.MODEL)))
    return "\n".join(parts)


def names(of: Model) -> set[str]:
    """Names of the fields of a model."""
    return {field.name for field in msgspec.structs.fields(of)}


def sections(of: Model, prefix: str, defaults: dict[str, Any], leave_out: set[str] | None = None) -> Iterator[str]:
    """A heading, the docstring and the table of each section of a model, and of the sections inside it."""
    for field in msgspec.structs.fields(of):
        section = section_of(field.type)
        if section is None or field.name in (leave_out or ()):
            continue
        key = f"{prefix}{field.name}"
        heading = f"[[{key}]]" if get_origin(field.type) is tuple else f"[{key}]"
        parts = {kind: tree[field.name] for kind, tree in defaults.items() if field.name in tree}
        yield f"### `{heading}`\n\n{docstring(section)}\n"
        yield table(section, f"{key}.", parts)
        yield from sections(section, f"{key}.", {})


def table(of: Model, prefix: str, defaults: dict[str, Any], leave_out: set[str] | None = None) -> str:
    """The keys of a model that are no sections of their own; `defaults` are what the kinds put in."""
    rows = ["| key | what it takes | default | meaning |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(of):
        text = described(of, field.name)
        if field.name in (leave_out or ()) or text is None:
            continue
        by_kind = {kind: tree[field.name] for kind, tree in defaults.items() if field.name in tree}
        rows.append(f"| `{prefix}{field.name}` | {takes(field.type)} | {default(field, by_kind)} | {text} |")
    return "\n".join(rows) + "\n"


def outputs(kind: str, usual: list[str]) -> str:
    """The arrays that a kind can store."""
    rows = ["| output | type | unit | meaning |", "|---|---|---|---|"]
    for name, (dtype, unit, meaning) in OUTPUTS[kind].items():
        if name == "outcome":
            meaning += ": " + ", ".join(f"{number} {word}" for word, number in OUTCOMES[kind].items())
        rows.append(f"| `{name}` | {np.dtype(dtype).name} | {unit} | {meaning} |")
    return "\n".join(rows) + f"\n\n`outputs` is `{json.dumps(usual)}` unless given.\n"


def section_of(kind: Any) -> Model | None:
    """The section that a field of this type holds, None for a value."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    found = [section_of(part) for part in get_args(kind)] if get_origin(kind) is not Literal else []
    return next(filter(None, found), None)


def takes(kind: Any) -> str:
    """A type in words."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _limited(parts[0], parts[1:])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(takes(part) for part in parts if part is not types.NoneType)
    if origin is tuple and parts[-1] is Ellipsis:
        return f"list of {takes(parts[0])}"
    if origin is tuple and len(set(parts)) == 1:
        return (
            f"{len(parts)} x ({takes(parts[0])})"
            if get_origin(parts[0]) is tuple
            else f"{len(parts)} x {takes(parts[0])}"
        )
    if origin is dict:
        return "table"
    if section_of(kind):
        return "table"
    return {bool: "`true`, `false`", str: "text", float: "number", int: "whole number"}[kind]


def _limited(kind: Any, notes: tuple[Any, ...]) -> str:
    """A type with limits, or one that has a name of its own."""
    for note in notes:
        if note.description:
            return str(note.description)
    words = [takes(kind)]
    for note in notes:
        limits = {"above": note.gt, "at least": note.ge, "below": note.lt, "at most": note.le}
        words += [
            f"{word} {limit:g}" if limit < 10**6 else f"{word} {limit}"
            for word, limit in limits.items()
            if limit is not None
        ]
    return ", ".join(words)


def default(field: msgspec.structs.FieldInfo, by_kind: dict[str, Any]) -> str:
    """What a key is when it is not given."""
    if by_kind:
        texts = {kind: _toml(value) for kind, value in by_kind.items()}
        values = set(texts.values())
        return values.pop() if len(values) == 1 else ", ".join(f"{text} ({kind})" for kind, text in texts.items())
    if field.default_factory is not msgspec.NODEFAULT:
        return _toml(field.default_factory())
    if field.default is msgspec.NODEFAULT:
        return "needed" if field.name != "name" else ""
    return "" if field.default is None else _toml(msgspec.to_builtins(field.default))


def _toml(value: Any) -> str:
    """A default as it stands in a file; nothing where it is empty."""
    if value in ("", {}, [], ()):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{json.dumps(value).replace('.0,', ',').replace('.0]', ']')}`"


def docstring(of: Model) -> str:
    """What a class says of itself, with links to the pages that it names."""
    return re.sub(r"docs/(\w+\.md)", r"[\1](\1)", inspect.getdoc(of) or "")


def described(of: Model, name: str) -> str | None:
    """The text below a field, on one line; None where the field is a section, which says it itself."""
    for base in of.__mro__:
        if base.__module__.startswith("jobs.") and name in (texts := _texts(base)):
            return " ".join(texts[name].split())
    return None


@cache
def _texts(of: type) -> dict[str, str]:
    """The strings that stand below the fields of a class."""
    body = ast.parse(inspect.getsource(of)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for above, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name) and isinstance(below, ast.Expr):
            assert isinstance(below.value, ast.Constant)
            found[above.target.id] = str(below.value.value)
    return found


def main() -> None:
    """Write the page."""
    temporary = RESULT.with_suffix(".md.partial")
    with temporary.open("w") as file:
        file.write(render())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(RESULT)


if __name__ == "__main__":
    main()
