"""The kind of number a formula gives, found from its tree and the kinds of its names alone.

Owns the rules real, complex or truth value, and the errors where a job wants another kind. Must never evaluate anything.
"""

from collections.abc import Mapping
from enum import IntEnum

from kernels.expression.errors import FormulaError
from kernels.expression.tree import (
    ORDER_COMPARISONS,
    REAL_FUNCTIONS,
    Binary,
    Call,
    Compare,
    Constant,
    Formula,
    Imaginary,
    Logic,
    Name,
    Node,
    Number,
    Unary,
    children,
)


class Kind(IntEnum):
    """What a formula gives; a value of a smaller kind can stand where a larger one is wanted."""

    TRUTH = 0
    REAL = 1
    COMPLEX = 2


# Real whatever their argument is
_REAL_RESULTS = frozenset({"abs", "re", "im", "arg"}) | REAL_FUNCTIONS


def infer(formula: Formula, kinds: Mapping[str, Kind]) -> Kind:
    """The kind of a formula whose names are of the given kinds.

    It depends on the operations alone: ``i*i`` is complex, ``sqrt(-1)`` is real (and not a number).

    Raises FormulaError where a complex number meets an order comparison, floor, min or max.
    """
    return _kind(formula.tree, formula.key, kinds)


def require_real(formula: Formula, kinds: Mapping[str, Kind], what: str) -> None:
    """Refuse a complex formula where `what`, for instance ``"x of a real map"``, wants a real one.

    Raises FormulaError at what makes it complex.
    """
    if infer(formula, kinds) is Kind.COMPLEX:
        cause = _cause(formula.tree, formula.key, kinds)
        name = cause.name if isinstance(cause, Name) else "i"
        raise FormulaError(
            formula.key, cause.column, f"{name} makes this complex, but {what} is real; write re(...) or abs(...)"
        )


def require_truth(formula: Formula, kinds: Mapping[str, Kind]) -> None:
    """Refuse a formula that gives a number where a test is wanted.

    Raises FormulaError.
    """
    if infer(formula, kinds) is not Kind.TRUTH:
        message = "this gives a number, not a truth value; write a comparison such as abs(z) > 2"
        raise FormulaError(formula.key, _first_column(formula.tree), message)


def _kind(node: Node, key: str, kinds: Mapping[str, Kind]) -> Kind:
    match node:
        case Number() | Constant():
            return Kind.REAL
        case Imaginary():
            return Kind.COMPLEX
        case Name():
            return kinds[node.name]
    operands = [_kind(child, key, kinds) for child in children(node)]
    match node:
        case Unary(operator="not") | Logic():
            return Kind.TRUTH
        case Compare():
            if Kind.COMPLEX in operands and not ORDER_COMPARISONS.isdisjoint(node.operators):
                raise FormulaError(key, node.column, "complex numbers have no order; write abs(...) or re(...)")
            return Kind.TRUTH
        case Call() if node.function in REAL_FUNCTIONS and Kind.COMPLEX in operands:
            raise FormulaError(key, node.column, f"{node.function} needs real numbers; write abs(...) or re(...)")
        case Call() if node.function in _REAL_RESULTS:
            return Kind.REAL
        case Unary() | Binary() | Call():
            return max(Kind.REAL, *operands)
    raise AssertionError(node)


def _cause(node: Node, key: str, kinds: Mapping[str, Kind]) -> Imaginary | Name:
    """The first literal or name that makes a complex tree complex."""
    if isinstance(node, Imaginary | Name):
        return node
    return next(_cause(child, key, kinds) for child in children(node) if _kind(child, key, kinds) is Kind.COMPLEX)


def _first_column(node: Node) -> int:
    """Where the text of a tree begins, but for brackets."""
    return min([node.column, *(_first_column(child) for child in children(node))])
