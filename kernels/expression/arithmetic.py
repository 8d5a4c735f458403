"""The one walk over the tree of a formula for any arithmetic: what an arithmetic offers, in which order it is used.

Owns the order of evaluation and of integer powers. Must never compute with values itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

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
    product_exponent,
)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Arithmetic(Generic[Value]):
    """Literals from their text, constants by name, and a function of one or two values for every operation.

    `operations` has the names of the tree: operators, comparisons, ``and or not``, functions, and ``negative``.
    """

    number: Callable[[str], Value]
    imaginary: Callable[[str, int], Value]
    is_complex: Callable[[Value], bool]
    constants: Mapping[str, Callable[[], Value]]
    operations: Mapping[str, Callable[..., Value]]


def evaluate(formula: Formula, arithmetic: Arithmetic[Value], values: Mapping[str, Value]) -> Value:
    """Evaluate the tree of a formula in one arithmetic; every node once, operands from left to right.

    Raises FormulaError where a complex number meets an order comparison, floor, min or max.
    """
    operations = arithmetic.operations

    def value(node: Node) -> Value:
        match node:
            case Number():
                return arithmetic.number(node.text)
            case Imaginary():
                return arithmetic.imaginary(node.text, node.column)
            case Constant():
                return arithmetic.constants[node.name]()
            case Name():
                return values[node.name]
            case Unary():
                return operations["negative" if node.operator == "-" else node.operator](value(node.operand))
            case Binary():
                power = product_exponent(node.right) if node.operator == "**" else None
                if power is not None:
                    return integer_power(value(node.left), power, arithmetic)
                return operations[node.operator](value(node.left), value(node.right))
            case Compare():
                operands = [value(operand) for operand in node.operands]
                if not ORDER_COMPARISONS.isdisjoint(node.operators):
                    refuse_complex(node, operands, "an order comparison")
                links = [operations[name](*operands[n : n + 2]) for n, name in enumerate(node.operators)]
                return combine("and", links)
            case Logic():
                return combine(node.operator, [value(operand) for operand in node.operands])
            case Call():
                operands = [value(argument) for argument in node.arguments]
                if node.function in REAL_FUNCTIONS:
                    refuse_complex(node, operands, node.function)
                return operations[node.function](*operands) if len(operands) == 1 else combine(node.function, operands)

    def combine(name: str, operands: list[Value]) -> Value:
        result = operands[0]
        for operand in operands[1:]:
            result = operations[name](result, operand)
        return result

    def refuse_complex(node: Node, operands: list[Value], what: str) -> None:
        if any(arithmetic.is_complex(operand) for operand in operands):
            raise FormulaError(formula.key, node.column, f"{what} needs real numbers; write abs(...) or re(...)")

    return value(formula.tree)


def integer_power(base: Value, power: int, arithmetic: Arithmetic[Value]) -> Value:
    """The integer power of a value as products, in the order that `tree.product_exponent` fixes."""
    if power == 0:
        return arithmetic.number("1")
    if power == 1:
        return base
    if power < 0:
        return arithmetic.operations["/"](arithmetic.number("1"), integer_power(base, -power, arithmetic))
    half = integer_power(base, power // 2, arithmetic)
    square = arithmetic.operations["*"](half, half)
    return arithmetic.operations["*"](square, base) if power % 2 else square
