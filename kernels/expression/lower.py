"""The formulas of a map as two functions of real operations: the update of all states, and the test that stops a pixel.

Owns the meaning of the tree in a kernel: which operations a node becomes, and which numbers a kernel is given. Must never
render text or compute with arrays.
"""

from dataclasses import dataclass
from functools import cached_property

from kernels.expression import types
from kernels.expression.errors import FormulaError
from kernels.expression.interpret import Interpreter
from kernels.expression.operations import Builder, Function, fuse
from kernels.expression.parts import Parts, Value
from kernels.expression.render import render
from kernels.expression.translate import Translator
from kernels.expression.tree import Formula
from kernels.expression.types import Kind

Known = complex | float


@dataclass(frozen=True)
class Constant:
    """A named number of a map: `baked` into the code as `value`, or `uniform` for all pixels of a frame, or one a `lane`."""

    name: str
    kind: str
    complex: bool
    value: Known | None = None


@dataclass(frozen=True)
class MapFormulas:
    """A map as a job states it, definitions and derivatives expanded.

    One update a state, all of them simultaneous. `stop` is tested after an update on the new values. Formulas may use the
    states, ``NAME_old`` (the value before the last update), the names of `constants`, and ``k``, the number of the update.
    """

    complex: bool
    states: tuple[str, ...]
    updates: tuple[Formula, ...]
    stop: Formula
    constants: tuple[Constant, ...] = ()


@dataclass(frozen=True)
class Lowered:
    """What a kernel executes: `update` gives the reals of the new states in order, `stop` one truth value.

    A complex state is two reals. `uniforms` and `lanes` name the numbers a kernel is given, in order, as (name, 're' or
    'im'). `old_states` are the reals of the states before, of which `update` makes use.
    """

    update: Function
    stop: Function
    num_states: int
    uniforms: tuple[tuple[str, str], ...]
    lanes: tuple[tuple[str, str], ...]

    @property
    def old_states(self) -> tuple[int, ...]:
        """Reals of the states before the last update that `update` uses."""
        return tuple(sorted(self.update.leaves("old")))

    @property
    def uses_k(self) -> bool:
        """Whether the number of the update matters."""
        return bool(self.update.leaves("k") | self.stop.leaves("k"))

    @property
    def num_operations(self) -> int:
        """Real operations of one update and one test."""
        return self.update.num_operations + self.stop.num_operations

    @cached_property
    def source(self) -> str:
        """C++ text of `update` and `stop`: numbered symbols and hexadecimal numbers, nothing of the formula's text."""
        return render(self.update, self.stop, self.uniforms, self.lanes)

    def numpy(self) -> Interpreter:
        """The same operations on arrays of NumPy."""
        return Interpreter(self.update, self.stop, self.uniforms, self.lanes)


def lower(formulas: MapFormulas, arithmetic: str) -> Lowered:
    """Lower a map to real operations for the given arithmetic: 'reproducible', 'plain' or 'fast'.

    In 'plain' every node of a tree becomes the operations it has in NumPy on separate real and imaginary parts; otherwise
    products and sums are fused. abs(X) < c is compared as abs(X)**2 < c*abs(c) in all of them. `stop` is also true where
    an operand of a comparison is not a number.

    Raises FormulaError where a formula is complex in a real map, `stop` is not a truth value, or complex numbers are
    ordered.
    """
    try:
        _check(formulas)
        update, stop = _functions(formulas, fused=arithmetic != "plain")
    except RecursionError:
        raise FormulaError(formulas.stop.key, 1, "the formulas of this map are too deeply nested") from None

    def used(leaf: str) -> tuple[tuple[str, str], ...]:
        names = update.leaves(leaf) | stop.leaves(leaf)
        return tuple((c.name, part) for c in formulas.constants for part in ("re", "im") if (c.name, part) in names)

    return Lowered(update, stop, len(update.results), used("uniform"), used("lane"))


def _check(formulas: MapFormulas) -> None:
    """Refuse formulas of the wrong kind."""
    kinds = _kinds(formulas)
    for state, formula in zip(formulas.states, formulas.updates, strict=True):
        if formulas.complex:
            types.infer(formula, kinds)
        else:
            types.require_real(formula, kinds, f"{state} of a real map")
    types.require_truth(formulas.stop, kinds)


def _functions(formulas: MapFormulas, *, fused: bool) -> tuple[Function, Function]:
    """The update and the test as real operations."""
    translator = _translator(formulas, fused)
    results = [translator.number(formula.tree) for formula in formulas.updates]
    reals = [part for result in results for part in ((result.re, result.im) if formulas.complex else (result.re,))]
    update = translator.builder.function(translator.parts.part(real) for real in reals)

    translator = _translator(formulas, fused)
    stop = translator.builder.function([translator.stop(formulas.stop.tree)])
    return (fuse(update), fuse(stop)) if fused else (update, stop)


def _kinds(formulas: MapFormulas) -> dict[str, Kind]:
    """The kinds of all names that the formulas may use."""
    state = Kind.COMPLEX if formulas.complex else Kind.REAL
    kinds = {name: state for base in formulas.states for name in (base, f"{base}_old")}
    kinds |= {constant.name: Kind.COMPLEX if constant.complex else Kind.REAL for constant in formulas.constants}
    return {**kinds, "k": Kind.REAL}


def _translator(formulas: MapFormulas, fused: bool) -> Translator:
    """A translator that knows every name of the map."""
    parts = Parts(Builder(), fused=fused)
    leaf = parts.builder.leaf
    names = {"k": Value(leaf("k"))}
    for n, state in enumerate(formulas.states):
        for name, kind in ((state, "state"), (f"{state}_old", "old")):
            real = Value(leaf(kind, n))
            names[name] = Value(leaf(kind, 2 * n), leaf(kind, 2 * n + 1), complex=True) if formulas.complex else real
    return Translator(parts, names | {constant.name: _constant(constant, parts) for constant in formulas.constants})


def _constant(constant: Constant, parts: Parts) -> Value:
    """The parts of a named number; what is baked in and zero is zero by structure."""
    if constant.kind == "baked":
        assert constant.value is not None
        number = complex(constant.value)
        if not constant.complex:
            return parts.literal(number.real)
        known = (None if part == 0 else parts.builder.literal(part) for part in (number.real, number.imag))
        return Value(next(known), next(known), complex=True)
    re, im = (parts.builder.leaf(constant.kind, (constant.name, part)) for part in ("re", "im"))
    return Value(re, im, complex=True) if constant.complex else Value(re)
