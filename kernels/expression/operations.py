"""A formula as a list of real operations, each a function of earlier ones: what kernels and NumPy execute alike.

Owns sharing, folding, fusing and dropping of operations. Must never know complex numbers, C++ or the values of names.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from kernels.expression import decimal_functions, decimals

# Numbers that a kernel gets: a literal, real `value` of the state, of the state before, of a pixel, of a frame; the update
LEAVES = frozenset({"literal", "state", "old", "lane", "uniform", "k"})

# Operations whose result is a truth value
TESTS = frozenset({"less", "less_equal", "equal", "and", "or", "not"})

_COMMUTATIVE = frozenset({"+", "*", "equal", "and", "or"})
_DIGITS = 60


@dataclass(frozen=True, slots=True)
class Operation:
    """One rounded operation: its name, the indices of its operands in the list, and what a leaf stands for."""

    name: str
    operands: tuple[int, ...] = ()
    value: Any = None


@dataclass(frozen=True)
class Function:
    """Operations in an order in which they can be executed, and the indices of the results."""

    operations: tuple[Operation, ...]
    results: tuple[int, ...]

    def leaves(self, name: str) -> set[Any]:
        """What the leaves of one name stand for."""
        return {operation.value for operation in self.operations if operation.name == name}

    @property
    def num_operations(self) -> int:
        """Operations that are no leaves."""
        return sum(operation.name not in LEAVES for operation in self.operations)


class Builder:
    """Grows a list of operations in which no two are equal; methods take and return indices."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._index: dict[Operation, int] = {}

    def literal(self, value: float) -> int:
        """A number that is known now."""
        # Zeros of different signs are equal, but not the same operation; numbers that are none are not even equal
        return self._add(Operation("literal", (), value.hex()))

    def leaf(self, name: str, value: Any = None) -> int:
        """A number that the kernel gets."""
        return self._add(Operation(name, (), value))

    def value(self, index: int) -> float | None:
        """The number at an index where it is known now."""
        operation = self.operations[index]
        return float.fromhex(operation.value) if operation.name == "literal" else None

    def apply(self, name: str, *operands: int) -> int:
        """The operation on earlier ones, folded where all are known, and without what changes no value."""
        values = [self.value(operand) for operand in operands]
        if name in _FOLDED and None not in values:
            return self.literal(_FOLDED[name](*values))
        simpler = self._simplify(name, operands, values)
        if simpler is not None:
            return simpler
        if name in _COMMUTATIVE:
            operands = tuple(sorted(operands))
        return self._add(Operation(name, operands))

    def _simplify(self, name: str, operands: tuple[int, ...], values: list[float | None]) -> int | None:
        """An index that holds the same value, where there is one."""
        match name, values:
            case "*", [1.0, _]:
                return operands[1]
            case (("*" | "/"), [_, 1.0]):
                return operands[0]
            case "*", [-1.0, _]:
                return self.apply("negative", operands[1])
            case (("*" | "/"), [_, -1.0]):
                return self.apply("negative", operands[0])
            case "/", [_, float(divisor)] if math.frexp(divisor)[0] in (0.5, -0.5) and 1e-300 < abs(divisor) < 1e300:
                return self.apply("*", operands[0], self.literal(1 / divisor))
        match name, [self.operations[operand] for operand in operands]:
            case (("negative" | "not"), [Operation(name=inner, operands=(index,))]) if inner == name:
                return index
            case (("*" | "/"), [Operation(name="negative", operands=(index,)), _]):
                return self.apply("negative", self.apply(name, index, operands[1]))
            case (("*" | "/"), [_, Operation(name="negative", operands=(index,))]):
                return self.apply("negative", self.apply(name, operands[0], index))
            case "+", [_, Operation(name="negative", operands=(index,))]:
                return self.apply("-", operands[0], index)
            case "+", [Operation(name="negative", operands=(index,)), _]:
                return self.apply("-", operands[1], index)
            case "-", [_, Operation(name="negative", operands=(index,))]:
                return self.apply("+", operands[0], index)
            case (("and" | "or"), [left, right]) if left == right:
                return operands[0]
        return None

    def _add(self, operation: Operation) -> int:
        index = self._index.setdefault(operation, len(self.operations))
        if index == len(self.operations):
            self.operations.append(operation)
        return index

    def function(self, results: Iterable[int]) -> Function:
        """The operations that the results need, as a function."""
        wanted = tuple(results)
        live = set(wanted)
        for index in reversed(range(len(self.operations))):
            if index in live:
                live.update(self.operations[index].operands)
        place = {old: new for new, old in enumerate(sorted(live))}
        kept = [self.operations[old] for old in sorted(live)]
        moved = [Operation(o.name, tuple(place[i] for i in o.operands), o.value) for o in kept]
        return Function(tuple(moved), tuple(place[index] for index in wanted))


def fuse(function: Function) -> Function:
    """Sums with a product that nothing else needs as fused multiply-adds: ``madd(a, b, c)`` is a*b + c, rounded once.

    The parts of a complex product with a third term are two of them: a*b - c*d + e is madd(a, b, madd(-c, d, e)).
    """
    return _Fusion(function).run()


class _Fusion:
    """One pass over a function that copies it, operation by operation, into a new builder."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.builder = Builder()
        self.place: list[int] = []
        self.num_uses = [0] * len(function.operations)
        for index in (*function.results, *(i for operation in function.operations for i in operation.operands)):
            self.num_uses[index] += 1

    def run(self) -> Function:
        for operation in self.function.operations:
            self.place.append(self.copy(operation))
        return self.builder.function(self.place[index] for index in self.function.results)

    def copy(self, operation: Operation) -> int:
        if operation.name in LEAVES:
            return self.builder.leaf(operation.name, operation.value)
        if operation.name in ("+", "-"):
            left, right = operation.operands
            negative = operation.name == "-"
            for first, first_sign, second, second_sign in (
                (left, False, right, negative),
                (right, negative, left, False),
            ):
                if pair := self.products(first):
                    outer, inner = pair
                    rest = self.madd(inner, first_sign, self.signed(second, second_sign))
                    return self.madd(outer, first_sign, rest)
            if self.product(left):
                return self.madd((left, False), False, self.signed(right, negative))
            if self.product(right):
                return self.madd((right, negative), False, self.place[left])
        return self.builder.apply(operation.name, *(self.place[index] for index in operation.operands))

    def product(self, index: int) -> bool:
        """Whether an operation is a product that is used once."""
        return self.function.operations[index].name == "*" and self.num_uses[index] == 1

    def products(self, index: int) -> tuple[tuple[int, bool], tuple[int, bool]] | None:
        """Two products, with a sign each, of which an operation that is used once is the sum."""
        operation = self.function.operations[index]
        if (
            operation.name not in ("+", "-")
            or self.num_uses[index] != 1
            or not all(map(self.product, operation.operands))
        ):
            return None
        left, right = operation.operands
        return (left, False), (right, operation.name == "-")

    def signed(self, index: int, negative: bool) -> int:
        return self.builder.apply("negative", self.place[index]) if negative else self.place[index]

    def madd(self, product: tuple[int, bool], negative: bool, term: int) -> int:
        index, own_sign = product
        left, right = (self.place[operand] for operand in self.function.operations[index].operands)
        if own_sign != negative:
            # Compilers take in the sign of anything but a fused result
            if self.builder.operations[left].name == "madd" or self.builder.value(right) is not None:
                left, right = right, left
            left = self.builder.apply("negative", left)
        return self.builder.apply("madd", left, right, term)


def _divide(left: float, right: float) -> float:
    if right:
        return left / right
    return math.copysign(math.inf, left) * math.copysign(1, right) if left and left == left else math.nan


def _square_root(value: float) -> float:
    return math.sqrt(value) if value >= 0 else math.nan


def _rounded_once(function: Callable[..., Decimal]) -> Callable[..., float]:
    """A decimal function rounded to float64, so that the same literal is rendered on every machine."""

    def rounded(*operands: float) -> float:
        with localcontext(decimals.context(_DIGITS)):
            return float(function(*map(Decimal, operands)))

    return rounded


_FOLDED: dict[str, Callable[..., float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "negative": lambda a: -a,
    "abs": abs,
    "sqrt": _square_root,
    "copysign": math.copysign,
    "power": _rounded_once(decimal_functions.power),
    "exp": _rounded_once(decimal_functions.exp),
    "log": _rounded_once(Decimal.ln),
    **{name: _rounded_once(getattr(decimal_functions, name)) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
}
