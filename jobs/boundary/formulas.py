"""The formulas of a boundary job: read, checked against each other, classified, and made into a map for the kernel.

Owns which names a formula may use. Never evaluates at a pixel, never compiles.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from jobs.boundary import states
from jobs.boundary.given import (
    FRAME_KINDS,
    PIXEL_KINDS,
    SURROUNDINGS,
    Given,
    as_constants,
    classify,
    kinds_of,
    over_frames,
)
from jobs.boundary.names import Texts, check_names, check_use, order_of_constants, state_names
from jobs.boundary.roots import Function
from jobs.parameters import Floats
from kernels.errors import RequestError
from kernels.expression import Formula
from kernels.expression.definitions import Definitions
from kernels.expression.derive import derivative
from kernels.expression.lower import MapFormulas
from kernels.expression.tree import Binary, Imaginary, Name, walk
from kernels.expression.types import Kind, require_real

READ_FROM_FINAL = frozenset({"final", "smooth", "distance", "root", "orbit_trap"})


@dataclass(frozen=True)
class Formulas:
    """A map ready for the kernel, and what is evaluated around it.

    `given` are the numbers, in order; `start` and `old` give every state of `map` its value and the value before; `stated` are
    the states the user named, which come first. `links` are the comparisons of the stop test, `escaping` is the state of the
    first that is abs(state) > ..., `power` is that of [stop]. `function` is the one whose roots are wanted.
    """

    map: MapFormulas
    given: tuple[Given, ...]
    start: tuple[Formula, ...]
    old: tuple[Formula, ...]
    stated: tuple[str, ...]
    links: tuple[states.Link, ...]
    escaping: str | None
    power: Formula | None
    function: Function | None

    @property
    def components(self) -> list[str]:
        """Names of the reals of the stated states, in their order."""
        parts = ("_re", "_im") if self.map.complex else ("",)
        return [f"{name}{part}" for name in self.stated for part in parts]


def read(texts: Texts) -> Formulas:
    """Read all formulas of a job. RequestError, one line with the key and column, for whatever cannot be served."""
    check_names(texts)
    formulas = _Reader(texts).formulas()
    check_use(texts)
    return formulas


def frame_values(formulas: Formulas, count: int) -> dict[str, tuple[str, Floats]]:
    """Key and values of the numbers that the user named and that have one value a frame, float64 of shape (count,).

    A complex one is two: NAME_re and NAME_im.
    """
    values = over_frames(formulas.given, count)
    found: dict[str, tuple[str, Floats]] = {}
    for given in formulas.given:
        if given.kind == "lane" or not given.stated:
            continue
        one_each = np.array(np.broadcast_to(values[given.name], (count,)))
        parts = {"_re": one_each.real, "_im": one_each.imag} if given.complex else {"": one_each}
        for suffix, part in parts.items():
            found[given.name + suffix] = given.formula.key, np.ascontiguousarray(part, dtype=np.float64)
    return found


class _Reader:
    """Reads one job's texts in the order in which they build on each other."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self.names = state_names(texts)
        self.numbers = (*texts.constants, *(("dt",) if texts.dt is not None else ()))
        self.before = [f"{name}_old" for name in self.names]
        self.in_map = {*SURROUNDINGS, *self.numbers, *self.names, *self.before, "k"}
        self.in_map |= {f"{name}_start" for name in self.names}
        definitions = {head: str(body) for head, body in texts.define.items()}
        self.definitions = Definitions(definitions, names=self.in_map, key="define")

    def parse(self, text: object, names: Collection[str], key: str) -> Formula:
        """A formula of these names, definitions expanded."""
        formula = self.definitions.parse(str(text), names=names, key=key)
        if foreign := sorted(formula.names - set(names)):
            raise RequestError(f"{key}: uses {foreign[0]} through a definition, which has no meaning here")
        return formula

    def formulas(self) -> Formulas:
        """All of it."""
        texts, outputs = self.texts, self.texts.outputs
        updates = tuple(self.update(name) for name in self.names)
        stop = self.parse(texts.when, self.in_map, "stop.when")
        trap = None if texts.trap is None else self.parse(texts.trap, self.in_map - {"k"}, "trap.value")
        given = self.constants()
        start = tuple(self.start(name) for name in self.names)
        old = tuple(self.old(name, updates) for name in self.names)

        # Decide between real and complex
        others = [one.formula for one in given] + ([trap] if trap else [])
        is_complex = texts.numbers == "complex"
        if texts.numbers == "auto":
            is_complex = any(_is_complex(formula) for formula in (*updates, *start, *old, stop, *others))
        if not is_complex:
            for name, formula in zip((*self.names, *self.before), (*start, *old), strict=True):
                require_real(formula, kinds_of(given), f"the start of {name} in a real map")
        if trap:
            state_kind = Kind.COMPLEX if is_complex else Kind.REAL
            kinds = dict.fromkeys((*self.names, *self.before, *(f"{name}_start" for name in self.names)), state_kind)
            require_real(trap, kinds_of(given) | kinds, "a trap's value")
        given = self.with_starts(given, start, (*updates, stop, *([trap] if trap else [])))

        # Add states for what outputs need
        all_states = states.States(self.names, updates, start, old)
        links = states.links(stop, frozenset({*self.names, *self.before}))
        escaping = states.escaping(links, self.names)
        if "distance" in outputs:
            if not is_complex or escaping is None:
                raise RequestError("stop.when: outputs = distance needs a complex map and a test such as abs(z) > 1000")
            all_states, given = states.add_derivatives(all_states, given, derivative)
        if "smooth" in outputs:
            used = frozenset[str]().union(*(link.quantity.names for link in links))
            wanted = frozenset(name for name in self.names if f"{name}_old" in used)
            all_states = states.add_previous(all_states, wanted)
        if "orbit_trap" in outputs:
            if trap is None:
                raise RequestError('trap.value: is missing; write the formula whose smallest value is kept: "abs(z)"')
            all_states = states.add_trap(all_states, trap, is_complex=is_complex)

        used = frozenset[str]().union(stop.names, *(update.names for update in all_states.updates))
        constants = as_constants(given, used)
        return Formulas(
            map=MapFormulas(is_complex, all_states.names, all_states.updates, stop, constants),
            given=given,
            start=all_states.start,
            old=all_states.old,
            stated=self.names,
            links=links,
            escaping=escaping,
            power=self.power(),
            function=self.function(given, is_complex) if "root" in outputs else None,
        )

    def update(self, name: str) -> Formula:
        """What a state becomes; in a flow, what Euler's method makes of its rate of change."""
        if self.texts.dt is None:
            return self.parse(self.texts.map[name], self.in_map, f"map.{name}")
        rate = self.parse(self.texts.map[f"d{name}"], self.in_map, f"map.d{name}")
        change = Binary("*", Name("dt", 1), rate.tree, 1)
        return states.formula_of(Binary("+", Name(name, 1), change, 1), rate)

    def start(self, name: str) -> Formula:
        """The first value of a state."""
        return self.parse(self.texts.start[name], {*SURROUNDINGS, *self.texts.constants}, f"start.{name}")

    def old(self, name: str, updates: tuple[Formula, ...]) -> Formula:
        """The value before the first one; the first one itself where the map asks for neither."""
        old = f"{name}_old"
        used = any(old in update.names for update in updates)
        if used and old not in self.texts.start:
            raise RequestError(f"start.{old}: is missing; [map] uses {old}, which needs a first value")
        if not used and old in self.texts.start:
            raise RequestError(f"start.{old}: [map] does not use {old}; remove it")
        names = {*SURROUNDINGS, *self.texts.constants}
        return self.parse(self.texts.start[old], names, f"start.{old}") if used else self.start(name)

    def constants(self) -> tuple[Given, ...]:
        """The numbers of [constants] and [integrator], each after those it uses."""
        known: dict[str, Given] = {}
        for name in order_of_constants(self.texts):
            key = f"constants.{name}"
            known[name] = classify(name, self.parse(self.texts.constants[name], {*SURROUNDINGS, *known}, key), known)
        if self.texts.dt is not None:
            dt = self.parse(self.texts.dt, {*SURROUNDINGS, *known}, "integrator.dt")
            known["dt"] = classify("dt", dt, known)
        return tuple(known.values())

    def with_starts(
        self, given: tuple[Given, ...], start: tuple[Formula, ...], formulas: tuple[Formula, ...]
    ) -> tuple[Given, ...]:
        """With NAME_start of the states where a formula uses it."""
        known = {one.name: one for one in given}
        used = frozenset[str]().union(*(formula.names for formula in formulas))
        for name, formula in zip(self.names, start, strict=True):
            if f"{name}_start" in used:
                known[f"{name}_start"] = classify(f"{name}_start", formula, known, stated=False)
        return tuple(known.values())

    def power(self) -> Formula | None:
        """The power of [stop]: of the frame, the pixel and constants."""
        if self.texts.power is None:
            return None
        return self.parse(self.texts.power, {*SURROUNDINGS, *self.numbers}, "stop.power")

    def function(self, given: tuple[Given, ...], is_complex: bool) -> Function:
        """The function of [roots]: of one state, the frame and constants without a pixel in them."""
        text, key = self.texts.roots, "roots.of"
        if text is None:
            raise RequestError(f'{key}: is missing; write the function whose roots are meant: "f({self.names[0]})"')
        formula = self.parse(text, {*FRAME_KINDS, *PIXEL_KINDS, *self.numbers, *self.names}, key)
        variables = [name for name in self.names if name in formula.names]
        if len(variables) != 1:
            raise RequestError(f"{key}: must be a function of exactly one of {', '.join(self.names)}")
        lanes = {*PIXEL_KINDS, *(one.name for one in given if one.kind == "lane")}
        if of_pixel := sorted(formula.names & lanes):
            raise RequestError(f"{key}: {of_pixel[0]} depends on the pixel, and one table of roots serves all pixels")
        return Function(
            formula=formula,
            derivative=derivative(formula, variables[0]),
            variable=variables[0],
            only_real=not is_complex,
            given=tuple(one for one in given if one.kind != "lane"),
        )


def _is_complex(formula: Formula) -> bool:
    """Whether a formula has an imaginary unit or the pixel as one number in it."""
    return "pixel" in formula.names or any(isinstance(node, Imaginary) for node in walk(formula.tree))
