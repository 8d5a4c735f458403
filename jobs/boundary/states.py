"""States that a map gets beside its own, so that the end of an orbit tells what an output needs.

The value before the last one, the derivative with respect to the pixel, the smallest value of a formula so far: each is one
more state with an update of its own, and shares its operations with the others in the kernel. Pure functions of formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jobs.boundary.given import Given, classify
from kernels.errors import RequestError
from kernels.expression import Formula
from kernels.expression.tree import Binary, Call, Compare, Logic, Name, Node, Number, children, rebuild, walk

# No name of a user's has a star
PREVIOUS = "*previous {}"
DERIVATIVE = "*derivative of {}"
TRAP = "*trap"

Differentiate = Callable[[Formula, str], Formula]


@dataclass(frozen=True)
class Link:
    """One comparison of a stop test: `quantity` rises above (`escape`) or falls below `bound`, which no state enters."""

    quantity: Formula
    bound: Formula
    escape: bool


@dataclass(frozen=True)
class States:
    """States, their updates, first values and the values before these, in the same order."""

    names: tuple[str, ...]
    updates: tuple[Formula, ...]
    start: tuple[Formula, ...]
    old: tuple[Formula, ...]

    def with_state(self, name: str, update: Formula, start: Formula, old: Formula | None = None) -> States:
        """These and one more."""
        return States((*self.names, name), (*self.updates, update), (*self.start, start), (*self.old, old or start))


def links(stop: Formula, state_names: frozenset[str]) -> tuple[Link, ...]:
    """The comparisons of a test, of which any suffices, between something that states enter and something they do not."""

    def found(node: Node) -> list[Link]:
        match node:
            case Logic(operator="or"):
                return [link for operand in node.operands for link in found(operand)]
            case Compare(operators=(operator,), operands=(left, right)) if operator in ("<", "<=", ">", ">="):
                sides = [formula_of(side, stop) for side in (left, right)]
                moving = [not side.names.isdisjoint(state_names) for side in sides]
                if moving == [True, False]:
                    return [Link(sides[0], sides[1], operator in (">", ">="))]
                if moving == [False, True]:
                    return [Link(sides[1], sides[0], operator in ("<", "<="))]
        return []

    return tuple(found(stop.tree))


def escaping(found: tuple[Link, ...], state_names: tuple[str, ...]) -> str | None:
    """The state s of the first comparison abs(s) > ..., None where there is none."""
    for link in found:
        match link.quantity.tree:
            case Call(function="abs", arguments=(Name(name=name),)) if link.escape and name in state_names:
                return name
    return None


def formula_of(tree: Node, origin: Formula) -> Formula:
    """A formula with another tree, that stands where its origin does in messages."""
    names = frozenset(node.name for node in walk(tree) if isinstance(node, Name))
    return Formula(origin.text, origin.key, tree, names)


def number(value: str, origin: Formula) -> Formula:
    """A literal as a formula."""
    return formula_of(Number(value, 1), origin)


def add_previous(states: States, wanted: frozenset[str]) -> States:
    """With PREVIOUS of each of the `wanted` states: its value before the last update."""
    for name, start, old in zip(states.names, states.start, states.old, strict=True):
        if name in wanted:
            states = states.with_state(PREVIOUS.format(name), formula_of(Name(name, 1), start), old)
    return states


def add_trap(states: States, trap: Formula, *, is_complex: bool) -> States:
    """With TRAP: the smallest value of a real formula over the orbit, start left out."""
    update = {name: formula.tree for name, formula in zip(states.names, states.updates, strict=True)}
    before = {f"{name}_old": Name(name, 1) for name in states.names}
    value = substituted(trap.tree, {**update, **before})
    so_far: Node = Name(TRAP, 1)
    if is_complex:
        so_far = Call("re", (so_far,), 1)
    smallest = formula_of(Call("min", (so_far, value), 1), trap)
    return states.with_state(TRAP, smallest, number("1e999", trap))


def add_derivatives(
    states: States, given: tuple[Given, ...], differentiate: Differentiate
) -> tuple[States, tuple[Given, ...]]:
    """With DERIVATIVE of each state with respect to the pixel, and of the given numbers that the pixel enters.

    RequestError where u or v enters instead, FormulaError where a formula has no complex derivative.
    """
    known: dict[str, Given] = {one.name: one for one in given}
    rates: dict[str, Node] = {"pixel": Number("1", 1)}

    def rate(formula: Formula) -> Formula | None:
        """The derivative of a formula with respect to the pixel; None where it is zero."""
        if coordinates := formula.names & {"u", "v"}:
            raise RequestError(f"{formula.key}: outputs = distance needs the name pixel in place of {min(coordinates)}")
        terms: list[Node] = []
        for name in sorted(formula.names & rates.keys()):
            partial = differentiate(formula, name).tree
            if isinstance(partial, Number) and partial.value == 0:
                continue
            inner = rates[name]
            one = isinstance(inner, Number)
            terms.append(partial if one else Binary("*", partial, inner, 1))
        if not terms:
            return None
        total = terms[0]
        for term in terms[1:]:
            total = Binary("+", total, term, 1)
        return formula_of(total, formula)

    # What the pixel enters before the map begins
    for one in given:
        if one.kind == "lane" and (change := rate(one.formula)):
            name = DERIVATIVE.format(one.name)
            known[name] = classify(name, change, known, stated=False)
            rates[one.name] = Name(name, 1)
    first = [(rate(start), rate(old)) for start, old in zip(states.start, states.old, strict=True)]

    # What happens to it in an update
    for name in states.names:
        rates[name] = Name(DERIVATIVE.format(name), 1)
        rates[f"{name}_old"] = Name(f"{DERIVATIVE.format(name)}_old", 1)
    result = states
    for name, update, (start, old) in zip(states.names, states.updates, first, strict=True):
        zero = number("0", update)
        result = result.with_state(DERIVATIVE.format(name), rate(update) or zero, start or zero, old or zero)
    return result, tuple(known.values())


def substituted(node: Node, replaced: Mapping[str, Node]) -> Node:
    """The tree with names replaced by trees."""
    if isinstance(node, Name):
        return replaced.get(node.name, node)
    return rebuild(node, [substituted(child, replaced) for child in children(node)], node.column)
