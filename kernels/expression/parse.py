"""From the text of a formula to its checked tree.

Python's parser reads the text; every node it returns is on the whitelist below or refused. The text is never evaluated,
compiled or imported. Must never know the values of names.
"""

import ast
import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kernels.expression.errors import FormulaError, excerpt
from kernels.expression.tokens import clean
from kernels.expression.tree import (
    CONSTANTS,
    FUNCTIONS,
    RESERVED,
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
    walk,
)

DEEPEST_TREE = 200
MOST_NAMES_LISTED = 12

_BINARY: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


def parse(
    text: str, *, names: Collection[str], key: str, functions: Mapping[str, tuple[int, int | None]] | None = None
) -> Formula:
    """Check the text of a formula and return it with its tree.

    `names` are those the formula may use beside the constants and functions of the language, the most usual first if they
    have an order; callers have refused the names in `tree.RESERVED` where a user chose them. `functions` are further ones
    with the smallest and largest number of their arguments, as in `tree.FUNCTIONS`; their calls stay in the tree. `key` is
    the place in the job file, for messages.

    Raises FormulaError, one line with key and column, for anything but a formula of the language within its limits.
    """
    given = {*names, *(functions or {})}
    assert RESERVED.isdisjoint(given), f"names of the language cannot be given: {sorted(RESERVED.intersection(given))}"
    cleaned = clean(text, key)

    # Brackets around the whole let the text begin with blanks, and make columns of the tree count from 1
    try:
        expression = ast.parse(f"({cleaned})", mode="eval").body
    except SyntaxError as error:
        column = min(max((error.offset or 2) - 1, 1), len(text))
        raise FormulaError(
            key, column, f"cannot read {excerpt(text[column - 1 :])}; is something missing there?"
        ) from None
    except (MemoryError, RecursionError, ValueError):
        raise FormulaError(key, 1, "the formula is too deeply nested") from None

    known = (*names, *CONSTANTS, "i")
    listed = known if isinstance(names, Sequence) else tuple(sorted(known))
    converter = _Converter(cleaned, key, frozenset(names), listed, {**FUNCTIONS, **(functions or {})})
    tree = converter.convert(expression, 1)
    return Formula(text, key, tree, frozenset(node.name for node in walk(tree) if isinstance(node, Name)))


@dataclass(frozen=True)
class _Converter:
    """Turns nodes of Python's tree into ours, one level of Python's stack a level of the tree."""

    text: str
    key: str
    names: frozenset[str]
    listed: tuple[str, ...]
    functions: Mapping[str, tuple[int, int | None]]

    def convert(self, node: ast.expr, depth: int) -> Node:
        column = node.col_offset
        if depth > DEEPEST_TREE:
            raise self.error(column, f"operators are nested deeper than {DEEPEST_TREE}; split the formula")
        match node:
            case ast.Constant():
                return self.literal(node)
            case ast.Name(id=name):
                return self.name(name, column)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.convert(node.operand, depth + 1)
            case ast.UnaryOp(op=ast.USub()):
                return Unary("-", self.convert(node.operand, depth + 1), column)
            case ast.UnaryOp(op=ast.Not()):
                return Unary("not", self.convert(node.operand, depth + 1), column)
            case ast.BinOp() if type(node.op) in _BINARY:
                left = self.convert(node.left, depth + 1)
                return Binary(_BINARY[type(node.op)], left, self.convert(node.right, depth + 1), column)
            case ast.BoolOp():
                operator = "and" if isinstance(node.op, ast.And) else "or"
                return Logic(operator, tuple([self.convert(value, depth + 1) for value in node.values]), column)
            case ast.Compare() if all(type(operator) in _COMPARE for operator in node.ops):
                operators = tuple(_COMPARE[type(operator)] for operator in node.ops)
                operands = tuple([self.convert(value, depth + 1) for value in (node.left, *node.comparators)])
                return Compare(operators, operands, column)
            case ast.Call(func=ast.Name(id=function), keywords=[]):
                self.check_call(function, node)
                return Call(function, tuple([self.convert(value, depth + 1) for value in node.args]), column)
            case ast.Call(keywords=[]):
                raise self.error(column, "only a name can be called; write * for a product")
            case ast.Tuple(elts=[]):
                raise self.error(column, "there is nothing between these brackets")
            case ast.Tuple(elts=[first, *_]):
                comma = (first.end_col_offset or column) + self.text[(first.end_col_offset or 1) - 1 :].find(",")
                raise self.error(comma, "a comma stands only between the arguments of a function")
            case _:
                raise self.error(column, f"{excerpt(self.source(node))} is not part of the language")

    def literal(self, node: ast.Constant) -> Node:
        if type(node.value) is complex:
            return Imaginary(self.source(node).removesuffix("j"), node.col_offset)
        if type(node.value) in (int, float):
            return Number(self.source(node), node.col_offset)
        raise self.error(node.col_offset, f"{excerpt(self.source(node))} is not a number")

    def name(self, name: str, column: int) -> Node:
        if name == "i":
            return Imaginary("1", column)
        if name in CONSTANTS:
            return Constant(name, column)
        if name in self.functions and name not in self.names:
            raise self.error(column, f"{name} is a function; write {name}(...)")
        if name not in self.names:
            raise self.error(column, f"unknown name {excerpt(name)}; {self.nearest(name, self.listed)}")
        return Name(name, column)

    def check_call(self, function: str, node: ast.Call) -> None:
        if function not in self.functions:
            if function in (*self.names, *CONSTANTS, "i"):
                raise self.error(node.col_offset, f"{excerpt(function)} is not a function; write * for a product")
            hint = self.nearest(function, sorted(self.functions))
            raise self.error(node.col_offset, f"unknown function {excerpt(function)}; {hint}")
        least, most = self.functions[function]
        given = len(node.args)
        if given < least or (most is not None and given > most):
            wanted = f"{least} argument{'s' * (least > 1)}" + (" or more" if most is None else "")
            raise self.error(node.col_offset, f"{function} takes {wanted}, not {given}")

    def nearest(self, name: str, known: Sequence[str]) -> str:
        """The known name most like this one, or the first of the known names."""
        close = difflib.get_close_matches(name, known, n=1)
        if close:
            return f"did you mean {excerpt(close[0])}?"
        more = ", ..." if len(known) > MOST_NAMES_LISTED else ""
        return "known: " + ", ".join(known[:MOST_NAMES_LISTED]) + more

    def source(self, node: ast.expr) -> str:
        return self.text[node.col_offset - 1 : (node.end_col_offset or node.col_offset + 1) - 1]

    def error(self, column: int, message: str) -> FormulaError:
        return FormulaError(self.key, column, message)
