"""One walk over the trees of a map that writes real operations: numbers as parts, tests as truth values.

Owns the meaning of every node in a kernel, and of what is not a number in a test. Must never know what a kernel is given.
"""

import math
from collections.abc import Callable, Mapping

from kernels.expression.arithmetic import Arithmetic, integer_power
from kernels.expression.operations import Builder
from kernels.expression.parts import Parts, Value
from kernels.expression.tree import (
    ORDER_COMPARISONS,
    Binary,
    Call,
    Compare,
    Constant,
    Imaginary,
    Logic,
    Name,
    Node,
    Number,
    Unary,
    children,
    product_exponent,
)

_CONSTANTS = {"pi": math.pi, "e": math.e}

# Squares of numbers in this range neither overflow nor lose digits
SQUARES = (1e-120, 1e120)

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "!=": "=="}


class Translator:
    """Writes the operations of trees to a builder; `names` are the values of all names that they use."""

    def __init__(self, parts: Parts, names: Mapping[str, Value]) -> None:
        self.builder: Builder = parts.builder
        self.parts = parts
        self.names = names
        self.calculated: dict[int, Value] = {}
        self.operands_of_numbers: list[int] = []

    def number(self, node: Node) -> Value:
        """The operations of a tree that gives a number; a truth value counts as 1 or 0."""
        if id(node) not in self.calculated:
            self.calculated[id(node)] = self._number(node)
        return self.calculated[id(node)]

    def _number(self, node: Node) -> Value:
        parts = self.parts
        match node:
            case Number():
                return parts.literal(node.value)
            case Imaginary():
                return Value(None, self.builder.literal(node.value), complex=True)
            case Constant():
                return parts.literal(_CONSTANTS[node.name])
            case Name():
                return self.names[node.name]
            case Unary(operator="-"):
                return parts.negative(self.number(node.operand))
            case Binary(operator="**"):
                return self.power(self.number(node.left), node.right)
            case Binary():
                operations = {"+": parts.add, "-": parts.subtract, "*": parts.multiply, "/": parts.divide}
                return operations[node.operator](self.number(node.left), self.number(node.right))
            case Call():
                return self.call(node.function, [self.number(argument) for argument in node.arguments])
        test = self.truth(node)
        self.operands_of_numbers += self.compared(node)
        return Value(self.builder.apply("select", test, *(parts.part(parts.literal(n).re) for n in (1.0, 0.0))))

    def power(self, base: Value, exponent: Node) -> Value:
        """A written integer power as products, any other in general."""
        products: Arithmetic[Value] = Arithmetic(
            number=lambda text: self.parts.literal(float(text)),
            imaginary=lambda _text, _column: base,
            is_complex=lambda value: value.complex,
            constants={},
            operations={"*": self.parts.multiply, "/": self.parts.divide},
        )
        power = product_exponent(exponent)
        return self.parts.power(base, self.number(exponent)) if power is None else integer_power(base, power, products)

    def call(self, function: str, values: list[Value]) -> Value:
        """A function of the language."""
        parts, value = self.parts, values[0]
        match function:
            case "re":
                return Value(parts.part(value.re))
            case "im":
                return Value(parts.part(value.im))
            case "conj":
                return parts.conjugate(value)
            case "abs":
                return parts.absolute(value)
            case "arg":
                return parts.argument(value)
            case "floor":
                return parts.apply("floor", value)
            case "min" | "max":
                result = parts.part(value.re)
                for other in values[1:]:
                    result = self.builder.apply(function, result, parts.part(other.re))
                return Value(result)
        same: dict[str, Callable[[Value], Value]] = {
            **{"exp": parts.exp, "log": parts.log, "sqrt": parts.sqrt},
            **{"sin": parts.sin, "cos": parts.cos, "tan": parts.tan},
            **{"sinh": parts.sinh, "cosh": parts.cosh, "tanh": parts.tanh},
        }
        return same[function](value)

    # Truth values

    def stop(self, node: Node) -> int:
        """The test of a tree that is also true where an operand of any comparison is not a number."""
        test = self.unless_false(node)
        for operand in self.operands_of_numbers:
            test = self.builder.apply("or", test, self.not_a_number(operand))
        return test

    def truth(self, node: Node) -> int:
        """The test as written: a comparison with what is not a number is false, but for !=."""
        match node:
            case Unary(operator="not"):
                return self.builder.apply("not", self.truth(node.operand))
            case Logic():
                return self.combined(node.operator, [self.truth(operand) for operand in node.operands])
            case Compare():
                return self.combined("and", [self.compare(*link) for link in _links(node)])
        return self.builder.apply("not", self.parts.is_zero(self.number(node)))

    def unless_false(self, node: Node) -> int:
        """The test, true where an operand of one of its comparisons is not a number."""
        match node:
            case Logic(operator="or"):
                return self.combined("or", [self.unless_false(operand) for operand in node.operands])
            case Compare(operators=(operator,), operands=(left, right)) if operator != "==":
                return self.builder.apply("not", self.compare(_OPPOSITE[operator], left, right))
        unknown = [self.not_a_number(operand) for operand in self.compared(node)]
        return self.combined("or", [self.truth(node), *unknown])

    def combined(self, operator: str, tests: list[int]) -> int:
        """Several tests as one."""
        result = tests[0]
        for test in tests[1:]:
            result = self.builder.apply(operator, result, test)
        return result

    def not_a_number(self, operand: int) -> int:
        """The test that a real number is none."""
        return self.builder.apply("not", self.builder.apply("equal", operand, operand))

    def compare(self, operator: str, left: Node, right: Node) -> int:
        """One comparison as written."""
        first, second = self.operands(operator, left, right)
        if operator in ("==", "!="):
            test = self.parts.equal(first, second)
            return self.builder.apply("not", test) if operator == "!=" else test
        if operator in (">", ">="):
            first, second = second, first
        name = "less" if operator in ("<", ">") else "less_equal"
        return self.builder.apply(name, self.parts.part(first.re), self.parts.part(second.re))

    def operands(self, operator: str, left: Node, right: Node) -> tuple[Value, Value]:
        """What a comparison compares: in place of the absolute value of a complex number and another number, squares."""
        values = self.number(left), self.number(right)
        if operator not in ORDER_COMPARISONS:
            return values
        sizes = [self.inside(node) for node in (left, right)]
        known = [self.builder.value(value.re) for value in values if value.re is not None]
        if sizes == [None, None] or any(v is not None and v and not SQUARES[0] < abs(v) < SQUARES[1] for v in known):
            return values
        squares = [
            self.parts.multiply(value, self.parts.absolute(value)) if size is None else self.parts.square(size)
            for value, size in zip(values, sizes, strict=True)
        ]
        return squares[0], squares[1]

    def inside(self, node: Node) -> Value | None:
        """The number whose absolute value a node takes, where it is complex in both parts."""
        if not isinstance(node, Call) or node.function != "abs":
            return None
        value = self.number(node.arguments[0])
        return value if value.re is not None and value.im is not None else None

    def compared(self, node: Node) -> list[int]:
        """The real operands of all comparisons of a test that are not known now."""
        if isinstance(node, Compare):
            values = [value for link in _links(node) for value in self.operands(*link)]
            parts = [part for value in values for part in (value.re, value.im) if part is not None]
            return [part for part in parts if self.builder.value(part) is None]
        return [part for child in children(node) for part in self.compared(child)]


def _links(node: Compare) -> list[tuple[str, Node, Node]]:
    """The comparisons of a chain."""
    return list(zip(node.operators, node.operands, node.operands[1:], strict=False))
