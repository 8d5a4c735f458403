"""Exact derivatives of checked trees, by SymPy.

The expression that SymPy sees is built node by node: what does not depend on the variable is a symbol, integer exponents are
integers, nothing is text. Owns the way there and back. Imports SymPy only when a derivative is asked for.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import count
from typing import Any

from kernels.expression.errors import FormulaError
from kernels.expression.tree import Binary, Call, Formula, Name, Node, Number, Unary, children, product_exponent, walk

MOST_NODES = 5000

# Functions and powers of the variable inside each other; SymPy recurses through them slowly
DEEPEST_NESTING = 20

_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}

# Functions with a derivative everywhere in the plane but for poles and branch cuts
_FUNCTIONS = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt")


def derivative(formula: Formula, name: str) -> Formula:
    """The derivative of a formula with respect to one of its names, all others held.

    Raises FormulaError where the formula depends on the name through a function that has none (abs, re, min, ...), a
    comparison, where functions are nested too deep, and where the derivative has more than `MOST_NODES` nodes.
    """
    tree = derivative_of_tree(formula.tree, name, formula.key, formula.tree.column)
    return Formula(formula.text, formula.key, tree, frozenset(n.name for n in walk(tree) if isinstance(n, Name)))


def derivative_of_tree(tree: Node, name: str, key: str, column: int) -> Node:
    """The derivative of a tree, all of whose new nodes stand at one column; see `derivative`."""
    return _Derivation(tree, name, key, column).run()


class _Derivation:
    """One tree on its way into SymPy and back."""

    def __init__(self, tree: Node, name: str, key: str, column: int) -> None:
        import sympy

        self.sympy: Any = sympy
        self.tree, self.name, self.key, self.column = tree, name, key, column
        self.variable: Any = sympy.Symbol("variable")
        self.symbols: dict[Node, Any] = {}
        self.nodes: dict[Any, Node] = {self.variable: Name(name, column)}
        self.num_nodes = count(1)
        self.depends: dict[int, bool] = {}

    def run(self) -> Node:
        try:
            expression = self.there(self.tree, 0)
            if expression.has(self.sympy.zoo, self.sympy.nan):
                raise self.error("this divides by zero whatever its values; it has no derivative")
            return self.back(expression.diff(self.variable))
        except RecursionError:
            raise self.error("the formula is too deeply nested for a derivative") from None

    # Into SymPy

    def dependent(self, node: Node) -> bool:
        """Whether the variable is anywhere in a tree."""
        known = self.depends.get(id(node))
        if known is None:
            known = node.name == self.name if isinstance(node, Name) else any(map(self.dependent, children(node)))
            self.depends[id(node)] = known
        return known

    def there(self, node: Node, nesting: int) -> Any:
        if not self.dependent(node):
            return self.symbol(node)
        if nesting > DEEPEST_NESTING:
            raise self.error(f"functions and powers are nested deeper than {DEEPEST_NESTING} in a derivative")
        match node:
            case Name():
                return self.variable
            case Unary(operator="-"):
                return -self.there(node.operand, nesting)
            case Binary(operator="**"):
                power = product_exponent(node.right)
                exponent = self.there(node.right, nesting + 1) if power is None else self.sympy.Integer(power)
                return self.there(node.left, nesting + 1) ** exponent
            case Binary():
                return _OPERATORS[node.operator](self.there(node.left, nesting), self.there(node.right, nesting))
            case Call() if node.function in _FUNCTIONS:
                return getattr(self.sympy, node.function)(self.there(node.arguments[0], nesting + 1))
        what = f"{node.function}(...)" if isinstance(node, Call) else "a comparison"
        raise self.error(f"{what} has no derivative with respect to {self.name}")

    def symbol(self, node: Node) -> Any:
        """The symbol that stands for a tree without the variable; the same for equal trees."""
        if node not in self.symbols:
            self.symbols[node] = self.sympy.Symbol(f"c{len(self.symbols)}")
            self.nodes[self.symbols[node]] = node
        return self.symbols[node]

    # And back

    def back(self, expression: Any) -> Node:
        if next(self.num_nodes) > MOST_NODES:
            raise self.error(f"a derivative here has more than {MOST_NODES} nodes; write the formula in fewer")
        sympy = self.sympy
        if expression in self.nodes:
            return self.nodes[expression]
        if isinstance(expression, sympy.Rational):
            return self.rational(expression)
        if isinstance(expression, sympy.Add):
            return self.sum(expression.as_ordered_terms())
        if isinstance(expression, sympy.Mul | sympy.Pow):
            return self.product(expression)
        name = type(expression).__name__
        if name in _FUNCTIONS:
            return Call(name, (self.back(expression.args[0]),), self.column)
        raise self.error("SymPy finds no derivative here that this language can state")

    def rational(self, number: Any) -> Node:
        """A rational number: an integer, or a fraction of two."""
        if number < 0:
            return Unary("-", self.rational(-number), self.column)
        numerator = Number(str(number.p), self.column)
        return numerator if number.q == 1 else Binary("/", numerator, Number(str(number.q), self.column), self.column)

    def sum(self, terms: Sequence[Any]) -> Node:
        """A sum, whose terms are subtracted where their factor is negative."""
        result = self.back(terms[0])
        for term in terms[1:]:
            negative = term.could_extract_minus_sign()
            result = Binary("-" if negative else "+", result, self.back(-term if negative else term), self.column)
        return result

    def product(self, expression: Any) -> Node:
        """A quotient of products of powers, each base once."""
        coefficient, factors = expression.as_coeff_mul()
        exponents: dict[Any, list[Any]] = {}
        for factor in factors:
            base, exponent = (factor.base, factor.exp) if isinstance(factor, self.sympy.Pow) else (factor, 1)
            exponents.setdefault(base, []).append(exponent)

        numerators: list[Node] = [] if abs(coefficient.p) == 1 else [Number(str(abs(coefficient.p)), self.column)]
        denominators: list[Node] = [] if coefficient.q == 1 else [Number(str(coefficient.q), self.column)]
        for base, powers in exponents.items():
            total = self.sympy.Add(*powers)
            below = total.is_Rational and total < 0
            (denominators if below else numerators).append(self.power(base, -total if below else total))
        result = self.chain(numerators)
        if denominators:
            result = Binary("/", result, self.chain(denominators), self.column)
        return Unary("-", result, self.column) if coefficient < 0 else result

    def power(self, base: Any, exponent: Any) -> Node:
        """A power as it is best computed."""
        if exponent == 1:
            return self.back(base)
        half = self.sympy.Rational(1, 2)
        if exponent == half:
            return Call("sqrt", (self.back(base),), self.column)
        if exponent.is_Rational and exponent.q == 2:
            return Binary("*", self.power(base, exponent - half), self.power(base, half), self.column)
        return Binary("**", self.back(base), self.back(exponent), self.column)

    def chain(self, factors: Sequence[Node]) -> Node:
        result: Node = factors[0] if factors else Number("1", self.column)
        for factor in factors[1:]:
            result = Binary("*", result, factor, self.column)
        return result

    def error(self, message: str) -> FormulaError:
        return FormulaError(self.key, self.column, message)
