"""What the parser accepts, the tree it makes, and the one line it answers with otherwise."""

import pickle

import pytest

from kernels.errors import RequestError
from kernels.expression import Formula, FormulaError, parse
from kernels.expression.tree import Binary, Call, Compare, Constant, Imaginary, Logic, Name, Number, Unary, walk

ANY = 0  # columns do not take part in comparisons of nodes


def read(text: str) -> Formula:
    return parse(text, names=["x", "y", "t", "times", "steps"], key="view.width")


X, Y, ONE, TWO = Name("x", ANY), Name("y", ANY), Number("1", ANY), Number("2", ANY)

TREES = {
    "x": X,
    " (x) ": X,
    "+x": X,
    "1e-3": Number("1e-3", ANY),
    ".5": Number(".5", ANY),
    "2.": Number("2.", ANY),
    "pi*e": Binary("*", Constant("pi", ANY), Constant("e", ANY), ANY),
    "i": Imaginary("1", ANY),
    "0.148i": Imaginary("0.148", ANY),
    "0.148j": Imaginary("0.148", ANY),
    "1e3i": Imaginary("1e3", ANY),
    "-x**2": Unary("-", Binary("**", X, TWO, ANY), ANY),
    "2**-x": Binary("**", TWO, Unary("-", X, ANY), ANY),
    "x**y**2": Binary("**", X, Binary("**", Y, TWO, ANY), ANY),
    "x - y - 1": Binary("-", Binary("-", X, Y, ANY), ONE, ANY),
    "x - (y - 1)": Binary("-", X, Binary("-", Y, ONE, ANY), ANY),
    "x +\n\ty": Binary("+", X, Y, ANY),
    "1 < x <= y": Compare(("<", "<="), (ONE, X, Y), ANY),
    "x == 1 or x != y and not x": Logic(
        "or",
        (
            Compare(("==",), (X, ONE), ANY),
            Logic("and", (Compare(("!=",), (X, Y), ANY), Unary("not", X, ANY)), ANY),
        ),
        ANY,
    ),
    "max(x, y, 1)": Call("max", (X, Y, ONE), ANY),
}


@pytest.mark.parametrize("text", TREES)
def test_the_tree(text: str) -> None:
    assert read(text).tree == TREES[text]


def test_columns_count_from_one_and_survive_imaginary_literals() -> None:
    columns = {str(getattr(node, "name", node)): node.column for node in walk(read(" 2i +\n\t t*x").tree)}
    assert columns["t"] == 9
    assert columns["x"] == 11
    assert [node.column for node in walk(read("  3").tree)] == [3]


def test_the_names_a_formula_uses() -> None:
    assert read("steps - min(times, 1000*t) + pi").names == {"steps", "times", "t"}
    assert read("2*pi + e*i").names == frozenset()


def test_a_formula_travels_between_processes() -> None:
    formula = read("x" + " + y" * 150)
    copy = pickle.loads(pickle.dumps(formula))
    assert (copy, copy.tree, copy.names) == (formula, formula.tree, formula.names)


def test_an_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(FormulaError("key", 3, "wrong")))
    assert str(error) == "key, column 3: wrong"
    assert isinstance(error, RequestError)


ERRORS = {
    "": (1, "the formula is empty"),
    " \n ": (1, "the formula is empty"),
    "xx + 1": (1, "unknown name 'xx'; did you mean 'x'?"),
    "1 + stepps": (5, "did you mean 'steps'?"),
    "1 + qqq": (5, "unknown name 'qqq'; known: x, y, t, times, steps, e, pi, i"),
    "sinn(x)": (1, "unknown function 'sinn'; did you mean 'sin'?"),
    "x(2)": (1, "'x' is not a function; write *"),
    "sin(x)(y)": (1, "only a name can be called"),
    "1 + sin": (5, "sin is a function; write sin(...)"),
    "sin(x, y)": (1, "sin takes 1 argument, not 2"),
    "sin()": (1, "sin takes 1 argument, not 0"),
    "x + max(x)": (5, "max takes 2 arguments or more, not 1"),
    "2x": (1, "'2x' is not a number; write 2*x"),
    "3ix": (1, "'3ix' is not a number; write 3*ix"),
    "1_000": (1, "'1_000' is not a number"),
    "0x10": (1, "'0x10' is not a number"),
    "1.2.3": (1, "'1.2.3' is not a number"),
    "007": (1, "cannot read '007'"),
    "x^2": (2, "write ** for a power"),
    "x = 2": (3, "write == to compare"),
    "x // 2": (3, "write floor(x/y)"),
    "x % 2": (3, "there is no remainder"),
    "(x": (1, "this bracket is never closed"),
    "x)": (2, "this bracket was never opened"),
    "1) + (2": (2, "this bracket was never opened"),
    "x + ()": (5, "there is nothing between these brackets"),
    "x, y": (2, "a comma stands only between the arguments"),
    "((x), y)": (5, "a comma stands only between the arguments"),
    "x y": (1, "cannot read 'x y'"),
    "x + * y": (5, "cannot read '* y'"),
    "x +": (3, "cannot read"),
    "1 if x else 2": (3, "'if' is a reserved word"),
    "lambda": (1, "'lambda' is a reserved word"),
    "x is y": (3, "'is' is a reserved word"),
    "sin(*x)": (5, "'*x' is not part of the language"),
    "sin(**x)": (1, "'sin(**x)' is not part of the language"),
    "True": (1, "'True' is a reserved word"),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_name_key_and_column(text: str) -> None:
    column, message = ERRORS[text]
    with pytest.raises(FormulaError) as caught:
        read(text)
    assert caught.value.column == column
    assert str(caught.value).startswith(f"view.width, column {column}: ")
    assert message in str(caught.value)


def test_the_limits_are_where_they_are_said_to_be() -> None:
    assert len(list(walk(read("max(" + "x, " * 498 + "x)").tree))) == 500
    with pytest.raises(FormulaError, match="at most 500 numbers, names and operators"):
        read("max(" + "x, " * 499 + "x)")

    read("(" * 100 + "x" + ")" * 100)
    with pytest.raises(FormulaError, match="column 101: brackets are nested deeper than 100"):
        read("(" * 101 + "x" + ")" * 101)

    read("-" * 199 + "x")
    with pytest.raises(FormulaError, match="operators are nested deeper than 200"):
        read("-" * 200 + "x")

    read("x".ljust(4096))
    with pytest.raises(FormulaError, match="at most 4096 characters, not 4097"):
        read("x".ljust(4097))


@pytest.mark.parametrize("name", ["i", "pi", "e", "sin", "lambda", "and"])
def test_callers_cannot_redefine_the_language(name: str) -> None:
    with pytest.raises(AssertionError, match="names of the language"):
        parse("1", names=["x", name], key="key")
