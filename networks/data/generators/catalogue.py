"""The generators by name, and what they can be asked for.

Owns names, parameters with their ranges, and versions. Imports no generator until one is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from kernels.errors import RequestError

LARGEST_SEED = (1 << 64) - 1
MOST_NUMBERS = 1 << 27
"""What an entry of arrays may hold, so that no request fills the memory."""

Make = Callable[[int, int, Mapping[str, float]], Mapping[str, bytes]]


@dataclass(frozen=True)
class Parameter:
    """A number that a generator takes; a whole one where its default is whole."""

    default: float
    smallest: float
    largest: float


@dataclass(frozen=True)
class Generator:
    """A generator: the module with its `make(count, seed, parameters)`, its parameters, and the range of its count.

    Count times the parameters named in `grows_with` is bounded by MOST_NUMBERS. `version` grows whenever the bytes change,
    so that an old entry of the cache is not taken for a new one.
    """

    module: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    smallest: int = 2
    largest: int = 1_000_000
    grows_with: tuple[str, ...] = ()
    version: int = 1

    def make(self) -> Make:
        """The function that makes the files."""
        make: Make = import_module(f"networks.data.generators.{self.module}").make
        return make


def _motions(nodes: int, stiffness: float, gravity: float) -> Generator:
    parameters = {
        "nodes": Parameter(nodes, 1, 10_000),
        "steps": Parameter(50, 1, 100_000),
        "time_step": Parameter(0.1, 1e-6, 1.0),
        "spread": Parameter(0.5, 0.0, 100.0),
        "stiffness": Parameter(stiffness, 0.0, 1000.0),
        "gravity": Parameter(gravity, 0.0, 1000.0),
        "friction": Parameter(0.0, 0.0, 10.0),
    }
    return Generator("motions", parameters, grows_with=("nodes", "steps"))


GENERATORS = {
    "stories": Generator("stories"),
    "articles": Generator("articles", smallest=10, largest=100_000),
    "deliveries": Generator("deliveries", {"missing": Parameter(0.03, 0.0, 1.0)}),
    "sums": Generator("sums", {"digits": Parameter(2, 1, 9)}),
    "blocks": Generator(
        "blocks",
        {
            "nodes": Parameter(60, 2, 5000),
            "classes": Parameter(3, 1, 1000),
            "features": Parameter(8, 1, 1000),
            "inside": Parameter(0.2, 0.0, 1.0),
            "outside": Parameter(0.02, 0.0, 1.0),
            "noise": Parameter(2.0, 0.0, 1000.0),
        },
        smallest=1,
        grows_with=("nodes", "nodes"),
    ),
    "springs": _motions(6, stiffness=1.0, gravity=0.0),
    "pendulums": _motions(1, stiffness=0.0, gravity=1.0),
    "damped-springs": Generator(
        "brackets",
        {
            "nodes": Parameter(6, 3, 10_000),
            "steps": Parameter(50, 1, 100_000),
            "time_step": Parameter(0.1, 1e-6, 1.0),
            "spread": Parameter(0.5, 0.0, 100.0),
            "stiffness": Parameter(1.0, 0.0, 10.0),
            "damping": Parameter(0.1, 0.0, 1.0),
        },
        grows_with=("nodes", "steps"),
    ),
    "diffusion": Generator(
        "diffusion",
        {
            "points": Parameter(65, 3, 100_000),
            "knots": Parameter(6, 2, 1000),
            "lowest": Parameter(0.1, 1e-6, 1e6),
            "highest": Parameter(2.0, 1e-6, 1e6),
        },
        grows_with=("points",),
    ),
}


def check(generator: str, count: int, seed: int, parameters: Mapping[str, Any]) -> dict[str, float]:
    """All parameters of a generator, those not given with their defaults. Raises RequestError for what it cannot make."""
    known = GENERATORS.get(generator)
    if known is None:
        raise RequestError(f"data.generator {generator!r} is unknown; {_nearest(generator, GENERATORS)}")
    if not known.smallest <= count <= known.largest:
        raise RequestError(f"data.count is of {known.smallest} to {known.largest} for {generator}, not {count}")
    if not 0 <= seed <= LARGEST_SEED:
        raise RequestError(f"data.seed is of 0 to {LARGEST_SEED}, not {seed}")
    for name in parameters:
        if name not in known.parameters:
            raise RequestError(f"data.parameters.{name} is unknown; {_nearest(name, known.parameters)}")
    full = {name: _value(name, one, parameters.get(name, one.default)) for name, one in known.parameters.items()}
    if known.grows_with and count * math.prod(full[name] for name in known.grows_with) > MOST_NUMBERS:
        factors = " and ".join(sorted({f"data.parameters.{name}" for name in known.grows_with}))
        raise RequestError(f"data.count times {factors} is more than {MOST_NUMBERS} numbers; make one of them smaller")
    return full


def _value(name: str, known: Parameter, value: Any) -> float:
    whole = isinstance(known.default, int)
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not known.smallest <= value <= known.largest or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise RequestError(
            f"data.parameters.{name} is {kind} of {known.smallest:g} to {known.largest:g}, not {value!r}"
        )
    # The type of the default, so that 1 and 1.0 make the same entry.
    return int(value) if whole else float(value)


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(names) or 'none'}"
