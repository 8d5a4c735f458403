"""Names and functions that a user defines by formulas: put in where they are used, derivatives taken.

Owns what a definition may be called and how far definitions may grow. Must never evaluate anything.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from kernels.errors import RequestError
from kernels.expression.derive import derivative_of_tree
from kernels.expression.errors import FormulaError, excerpt
from kernels.expression.parse import DEEPEST_TREE, parse
from kernels.expression.tree import RESERVED, Call, Formula, Name, Node, children, rebuild, walk

# The derivative d(formula, name), a function of the language where there are definitions
DERIVATIVE = "d"
MOST_NODES = 5000
MOST_ARGUMENTS = 8

# Nodes of which derivatives are taken, in all formulas of a job together; SymPy takes about a second for so many
MOST_NODES_DERIVED = 1000

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_HEAD = re.compile(rf"({_NAME})(?:\s*\(\s*({_NAME}(?:\s*,\s*{_NAME})*)\s*\))?")


@dataclass(frozen=True)
class _Definition:
    """A name, the names of its arguments (none for a plain name), and what it stands for."""

    arguments: tuple[str, ...]
    key: str
    text: str


class Definitions:
    """The definitions of a job, by their heads: ``{"f(s)": "s**5 - s - 1", "g": "z**2"}``.

    `names` are those that all formulas may use. Definitions may use each other, in any order, and `d`.

    Raises FormulaError or RequestError, one line with the key, where a head is not one, a name is taken, a definition uses
    itself, or one grows beyond `MOST_NODES` nodes when others are put in.
    """

    def __init__(self, texts: Mapping[str, str], *, names: Collection[str], key: str) -> None:
        self._names = frozenset(names)
        self._definitions: dict[str, _Definition] = {}
        for head, text in texts.items():
            self._read_head(head, text, f"{key}.{head}" if head.isascii() and head.isprintable() else key)
        for definition in self._definitions.values():
            self._check_arguments(definition)
        self._trees: dict[str, Node] = {}
        self._derivatives: dict[tuple[Node, str], Node] = {}
        self._num_nodes_derived = 0
        for name in self._definitions:
            self._tree(name, ())

    @property
    def functions(self) -> dict[str, tuple[int, int | None]]:
        """Functions that a formula may call beside those of the language, with their numbers of arguments."""
        numbers = {name: len(one.arguments) for name, one in self._definitions.items() if one.arguments}
        return {name: (number, number) for name, number in {**numbers, DERIVATIVE: 2}.items()}

    def parse(self, text: str, *, names: Collection[str], key: str) -> Formula:
        """As `expression.parse`, with all definitions put in and all derivatives taken.

        The parts of a definition stand in the column where it is used. The names of the formula are those that are left:
        definitions may bring in any that they were given.

        Raises FormulaError.
        """
        plain = {name for name, one in self._definitions.items() if not one.arguments}
        formula = parse(text, names=plain.union(names), key=key, functions=self.functions)
        tree = self._expand(formula.tree, key, (), frozenset())
        return Formula(text, key, tree, frozenset(node.name for node in walk(tree) if isinstance(node, Name)))

    def _read_head(self, head: str, text: str, key: str) -> None:
        parts = _HEAD.fullmatch(head.strip())
        if parts is None:
            raise RequestError(f"{key}: {excerpt(head)} is not a name or a function of names; write f or f(s)")
        name, listed = parts.groups()
        arguments = tuple(re.findall(_NAME, listed or ""))
        if name in self._definitions:
            raise RequestError(f"{key}: {name} is defined twice; remove one definition")
        for chosen in (name, *arguments):
            if chosen in RESERVED or chosen == DERIVATIVE:
                raise RequestError(f"{key}: {chosen} is a name of the language; choose another")
        if name in self._names:
            raise RequestError(f"{key}: {name} has a meaning already; choose another name")
        if len(set(arguments)) < len(arguments) or len(arguments) > MOST_ARGUMENTS:
            raise RequestError(f"{key}: a function has at most {MOST_ARGUMENTS} arguments, each with its own name")
        self._definitions[name] = _Definition(arguments, key, text)

    def _check_arguments(self, definition: _Definition) -> None:
        for argument in definition.arguments:
            if argument in self._definitions:
                raise RequestError(f"{definition.key}: {argument} is a definition too; choose another argument")

    def _tree(self, name: str, users: tuple[str, ...]) -> Node:
        """What a definition stands for, in terms of its arguments and of names that are not defined."""
        definition = self._definitions[name]
        if name in users:
            circle = " -> ".join([*users[users.index(name) :], name])
            raise FormulaError(definition.key, 1, f"this definition uses itself: {excerpt(circle)[1:-1]}")
        if name not in self._trees:
            plain = {other for other, one in self._definitions.items() if not one.arguments}
            known = {*self._names, *plain, *definition.arguments}
            formula = parse(definition.text, names=known, key=definition.key, functions=self.functions)
            own = frozenset(definition.arguments)
            self._trees[name] = self._expand(formula.tree, definition.key, (*users, name), own)
        return self._trees[name]

    def _derivative(self, tree: Node, name: str, key: str, column: int) -> Node:
        """The derivative of a tree, taken once however often it is used."""
        if (tree, name) not in self._derivatives:
            self._num_nodes_derived += sum(1 for _ in walk(tree))
            if self._num_nodes_derived > MOST_NODES_DERIVED:
                message = f"derivatives are of more than {MOST_NODES_DERIVED} numbers, names and operators in all"
                raise FormulaError(key, column, f"{message}; write some by hand")
            self._derivatives[tree, name] = derivative_of_tree(tree, name, key, column)
        return self._derivatives[tree, name]

    def _expand(self, tree: Node, key: str, users: tuple[str, ...], own: frozenset[str]) -> Node:
        """A tree with all definitions put in, but for names in `own`, which are arguments."""
        num_nodes = 0

        def expand(node: Node) -> Node:
            nonlocal num_nodes
            num_nodes += 1
            if isinstance(node, Name) and node.name in self._definitions and node.name not in own:
                return put_in(self._tree(node.name, users), {}, node.column)
            if isinstance(node, Call) and node.function == DERIVATIVE:
                variable = node.arguments[1]
                if not isinstance(variable, Name) or variable.name in self._definitions:
                    message = "d(formula, name) takes a derivative with respect to a name, as in d(f(z), z)"
                    raise FormulaError(key, variable.column, message)
                return counted(
                    self._derivative(expand(node.arguments[0]), variable.name, key, node.column), node.column
                )
            operands = [expand(child) for child in children(node)]
            if isinstance(node, Call) and node.function in self._definitions:
                definition = self._definitions[node.function]
                body = self._tree(node.function, users)
                return put_in(body, dict(zip(definition.arguments, operands, strict=True)), node.column)
            return rebuild(node, operands, node.column)

        def put_in(body: Node, arguments: Mapping[str, Node], column: int) -> Node:
            if isinstance(body, Name) and body.name in arguments:
                return counted(arguments[body.name], column)
            operands = [put_in(child, arguments, column) for child in children(body)]
            return counted(rebuild(body, operands, column), column, own_only=True)

        def counted(node: Node, column: int, *, own_only: bool = False) -> Node:
            nonlocal num_nodes
            for _ in (node,) if own_only else walk(node):
                num_nodes += 1
                if num_nodes > MOST_NODES:
                    message = (
                        f"with its definitions put in, this has more than {MOST_NODES} numbers, names and operators"
                    )
                    raise FormulaError(key, column, message)
            return node

        result = expand(tree)
        if any(depth > DEEPEST_TREE for depth in _depths(result)):
            raise FormulaError(
                key, tree.column, f"with its definitions put in, this is nested deeper than {DEEPEST_TREE}"
            )
        return result


def _depths(tree: Node) -> Iterator[int]:
    """The depth of every node."""
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield depth
        waiting.extend((child, depth + 1) for child in children(node))
