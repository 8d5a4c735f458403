"""The tree of a checked formula: small frozen nodes, and what the language calls its constants and functions.

Every node knows the column of the text it came from; equality of nodes ignores it, so that equal parts are equal.
Must never hold a value of a name or depend on how a formula is evaluated.
"""

import keyword
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

CONSTANTS = ("e", "pi")

# Name -> (smallest, largest) number of arguments; None stands for any number.
FUNCTIONS: dict[str, tuple[int, int | None]] = {
    **dict.fromkeys(("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt"), (1, 1)),
    **dict.fromkeys(("abs", "re", "im", "conj", "arg", "floor"), (1, 1)),
    **dict.fromkeys(("min", "max"), (2, None)),
}

# Functions and comparisons that have no meaning for complex numbers.
REAL_FUNCTIONS = frozenset({"floor", "min", "max"})
ORDER_COMPARISONS = frozenset({"<", "<=", ">", ">="})

# Names that a job may not give to a variable, constant or definition of its own.
RESERVED = frozenset({"i", *CONSTANTS, *FUNCTIONS, *keyword.kwlist})

# Integer powers up to this one are products; see `product_exponent`.
LARGEST_PRODUCT = 64


@dataclass(frozen=True, slots=True)
class Number:
    """A real literal as written: digits, optional point, optional exponent."""

    text: str
    column: int = field(compare=False)

    @property
    def value(self) -> float:
        """The literal rounded to float64; infinity where it is too large."""
        return float(self.text)


@dataclass(frozen=True, slots=True)
class Imaginary:
    """`text` times the imaginary unit; the name ``i`` is the literal 1 times the unit."""

    text: str
    column: int = field(compare=False)

    @property
    def value(self) -> float:
        """The factor of the imaginary unit, rounded to float64."""
        return float(self.text)


@dataclass(frozen=True, slots=True)
class Constant:
    """One of `CONSTANTS`."""

    name: str
    column: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A value that the caller gives when the formula is evaluated."""

    name: str
    column: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`operator` is ``-`` or ``not``; a leading ``+`` leaves no node."""

    operator: str
    operand: "Node"
    column: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`operator` is one of ``+ - * / **``."""

    operator: str
    left: "Node"
    right: "Node"
    column: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain ``a < b <= c``: one operator of ``< <= > >= == !=`` fewer than operands, true where all of them hold."""

    operators: tuple[str, ...]
    operands: tuple["Node", ...]
    column: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """`operator` is ``and`` or ``or``; two operands or more, all of them evaluated."""

    operator: str
    operands: tuple["Node", ...]
    column: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """One of `FUNCTIONS`, or of those the parser was given, with as many arguments as it takes."""

    function: str
    arguments: tuple["Node", ...]
    column: int = field(compare=False)


Node = Number | Imaginary | Constant | Name | Unary | Binary | Compare | Logic | Call


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below one, in the order of the text."""
    match node:
        case Unary():
            return (node.operand,)
        case Binary():
            return (node.left, node.right)
        case Compare() | Logic():
            return node.operands
        case Call():
            return node.arguments
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Every node from `node` down, parents first, without recursion."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(children(current)))


def rebuild(node: Node, operands: Sequence[Node], column: int) -> Node:
    """The same node with other nodes directly below it, in the order of `children`, and another column."""
    match node:
        case Unary():
            return Unary(node.operator, operands[0], column)
        case Binary():
            return Binary(node.operator, operands[0], operands[1], column)
        case Compare():
            return Compare(node.operators, tuple(operands), column)
        case Logic():
            return Logic(node.operator, tuple(operands), column)
        case Call():
            return Call(node.function, tuple(operands), column)
        case _:
            return replace(node, column=column)


def product_exponent(exponent: Node) -> int | None:
    """The integer n of ``x**n`` where the power is a product, None where it is a general power.

    It is one where the exponent is written as an integral number with an optional sign, at most `LARGEST_PRODUCT` in
    size. Every evaluation forms the same product in the same order: x**0 = 1, x**1 = x, x**(2m) = x**m * x**m,
    x**(2m+1) = x**(2m) * x, and x**-n = 1 / x**n.
    """
    sign = 1
    while isinstance(exponent, Unary) and exponent.operator == "-":
        sign, exponent = -sign, exponent.operand
    if not isinstance(exponent, Number) or exponent.value > LARGEST_PRODUCT or not exponent.value.is_integer():
        return None
    return sign * int(exponent.value)


@dataclass(frozen=True)
class Formula:
    """A checked formula: its text, the key of the job file it stands under, its tree and the names it uses."""

    text: str
    key: str
    tree: Node = field(compare=False, repr=False)
    names: frozenset[str] = field(compare=False, repr=False)
