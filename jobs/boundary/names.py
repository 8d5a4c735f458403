"""The names of a boundary job: which there are, which are forbidden, what uses what.

Owns the errors of naming: a name given twice, one that nothing uses, constants that go round in a circle. Never reads a
formula beyond its names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from jobs.boundary.given import SURROUNDINGS
from jobs.reading import nearest
from jobs.sections import Number
from kernels.errors import RequestError
from kernels.expression import RESERVED

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
MOST_STATES = 16
TAKEN = frozenset({*SURROUNDINGS, "k", "dt"})
SUFFIXES = ("_old", "_start")


@dataclass(frozen=True)
class Texts:
    """The formulas of a job as written: see the sections of jobs/boundary/kind.py."""

    numbers: Literal["auto", "complex", "real"]
    map: Mapping[str, Number]
    start: Mapping[str, Number]
    constants: Mapping[str, Number]
    define: Mapping[str, Number]
    dt: Number | None
    when: str
    power: Number | None
    trap: str | None
    roots: str | None
    outputs: tuple[str, ...]


def state_names(texts: Texts) -> tuple[str, ...]:
    """The states, in alphabetical order; those of a flow without the d of their keys."""
    return tuple(sorted(key if texts.dt is None else key[1:] for key in texts.map))


def check_names(texts: Texts) -> None:
    """RequestError for a name that is none, is taken or given twice, and for a state without a start."""
    if not texts.map:
        raise RequestError('map: is empty; write how a state changes in an update: z = "z**2 + pixel"')
    if len(texts.map) > MOST_STATES:
        raise RequestError(f"map: has {len(texts.map)} states, at most {MOST_STATES} are possible")
    for key in texts.map if texts.dt is not None else ():
        if not key.startswith("d") or key == "d":
            raise RequestError(
                f"map.{key}: with [integrator], [map] has rates of change; write d{key} for that of {key}"
            )
    seen: dict[str, str] = {}
    for name, key in _given_names(texts):
        if not NAME.fullmatch(name):
            raise RequestError(f"{key}: a name has letters, digits and _, begins with no digit, and is not too long")
        if name in RESERVED | TAKEN or name.endswith(SUFFIXES):
            raise RequestError(f"{key}: {name} has a meaning of its own; choose another name")
        if name in seen:
            raise RequestError(f"{key}: {name} is also {seen[name]}; choose another name")
        seen[name] = key

    # Starts belong to states
    states = state_names(texts)
    possible = [*states, *(f"{name}_old" for name in states)]
    for key in texts.start:
        if texts.dt is None and key not in possible and f"d{key}" in texts.map:
            raise RequestError(f"map.d{key}: a rate of change needs a time step: [integrator] dt")
        if key not in possible:
            raise RequestError(f"start.{key}: [map] has no such state{nearest(key, possible)}")
    for name in states:
        if name not in texts.start:
            raise RequestError(f"start.{name}: is missing; write where {name} begins")


def check_use(texts: Texts) -> None:
    """RequestError for a constant or definition that no formula uses, directly or through others."""
    uses = {name: _words(text) for name, text in texts.constants.items()}
    uses |= {_head(key): _words(text) for key, text in texts.define.items()}
    everything = (texts.map, texts.start, {"": texts.when, "dt": texts.dt, "p": texts.power})
    waiting = [word for table in everything for text in table.values() for word in _words(text)]
    waiting += [word for text in (texts.trap, texts.roots) for word in _words(text)]
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += uses.get(name, ())
    for name, key in _given_names(texts):
        if name in uses and name not in used:
            raise RequestError(f"{key}: nothing uses {name}; remove it")


def order_of_constants(texts: Texts) -> tuple[str, ...]:
    """The constants, each after those it uses, also through definitions. RequestError where they use each other."""
    through = {_head(key): _words(text) for key, text in texts.define.items()}
    ordered: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in ordered or (name not in texts.constants and name not in through):
            return
        if name in path:
            circle = " uses ".join([*path[path.index(name) :], name])
            raise RequestError(f"constants.{path[0]}: its value cannot be found: {circle}")
        path.append(name)
        for other in sorted(through[name] if name in through else _words(texts.constants[name])):
            visit(other)
        path.pop()
        if name in texts.constants:
            ordered.append(name)

    try:
        for name in texts.constants:
            visit(name)
    except RecursionError:
        raise RequestError("constants: their formulas build on each other too deeply") from None
    return tuple(ordered)


def _given_names(texts: Texts) -> Iterator[tuple[str, str]]:
    """Every name that the user chose, with its key."""
    for key in texts.map:
        yield key if texts.dt is None else key[1:], f"map.{key}"
    for name in texts.constants:
        yield name, f"constants.{name}"
    for key in texts.define:
        yield _head(key), f"define.{key}"


def _head(key: str) -> str:
    """The name of a definition, whose key may list arguments."""
    return key.partition("(")[0].strip()


def _words(text: object) -> frozenset[str]:
    """The names in a text."""
    return frozenset(WORD.findall(text)) if isinstance(text, str) else frozenset()
