"""Texts made to hurt: each gets one printable line or a number, in well under a second, and nothing is executed."""

import time

import pytest

from kernels.expression import FormulaError, parse
from kernels.expression.evaluate import decimal, numpy

HOSTILE = {
    "10,000 brackets": "(" * 10_000 + "x" + ")" * 10_000,
    "2,000 brackets": "(" * 2_000 + "x" + ")" * 2_000,
    "2,000 open brackets": "(" * 2_000,
    "2,000 closed brackets": ")" * 2_000,
    "nested calls": "sin(" * 100 + "x" + ")" * 100,
    "nested broken calls": "f(x and f(" * 45 + "x x" + "))" * 45,
    "nested unclosed calls": "max(x, " * 90,
    "nested comparisons": "0<(" * 90 + "x" + ")" * 90,
    "signs": "-" * 4_000 + "x",
    "negations": "not " * 400 + "x",
    "a tower": "2**" * 400 + "2",
    "a low tower": "9**9**9**9",
    "a large power": "10**10**10",
    "a large power of ten": "1e99999999999",
    "a small power of ten": "1e-99999999999",
    "a long sum": "x+" * 2_000 + "x",
    "a long tuple": "x," * 2_000,
    "a huge integer": "9" * 4_000,
    "a huge imaginary integer": "9" * 4_000 + "i",
    "a huge fraction": "0." + "3" * 4_000,
    "huge digits and functions": "sin(cos(tan(x)))**0.5*" * 40 + "1." + "7" * 500,
    "a base near one": "(1 + 1e-590)**(10**580)",
    "a megabyte": "x+" * 2**19 + "x",
    "a megabyte of brackets": "(" * 2**20,
    "a megabyte of blanks": " " * 2**20,
    "a call": '__import__("os")',
    "a call without quotes": "__import__(os)",
    "an attribute": "x.__class__",
    "an attribute of a number": "1..__class__",
    "an attribute of a literal": "().__class__.__bases__",
    "a subscript": "x[0]",
    "a text": "'x'",
    "a formatted text": "f'{x}'",
    "bytes": 'b"x"',
    "a lambda": "lambda: x",
    "a called lambda": "(lambda: x)()",
    "a comprehension": "[x for x in y]",
    "a generator": "max(x for x in x)",
    "a walrus": "(y := 1)",
    "a conditional": "1 if x else 2",
    "a yield": "(yield)",
    "an await": "await x",
    "a star": "max(*x)",
    "a keyword argument": "sin(x=1)",
    "an ellipsis": "...",
    "a matrix product": "x @ x",
    "a bit": "x | 1",
    "a shift": "x << 1",
    "a membership": "x in x",
    "a statement": "import os",
    "two lines": "x\nimport os",
    "a semicolon": "x; x",
    "a comment": "x # x",
    "a continued line": "x \\\n + 1",
    "a null byte": "x\0+1",
    "a form feed": "x\f+1",
    "a byte order mark": "\ufeffx",
    "a Cyrillic letter": "\u0445 + 1",
    "a fullwidth letter": "\uff58 + 1",
    "a fullwidth digit": "\uff11",
    "an Arabic digit": "\u0663",
    "a mathematical minus": "\u2212x",
    "a no-break space": "x\u00a0+ 1",
    "a zero-width space": "x\u200b",
    "a text running right to left": "\u202ex",
    "a lone surrogate": "\ud800",
    "an emoji": "\U0001f40e",
    "a long unknown name": "y" * 4_000,
    "an escape sequence": "\x1b[31mx",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_one_line_or_a_number_in_a_moment(name: str) -> None:
    started = time.process_time()
    try:
        formula = parse(HOSTILE[name], names=["x"], key="view.width")
        assert isinstance(numpy(formula, {"x": 0.5}), float | complex | bool)
        assert isinstance(decimal(formula, {"x": "0.5"}), float)
    except FormulaError as error:
        message = str(error)
        assert message.startswith("view.width, column ")
        assert message.isascii()
        assert message.isprintable()
        assert len(message) < 200
    assert time.process_time() - started < 1


def test_python_itself_is_out_of_reach() -> None:
    """Names of Python that the caller did not offer are unknown, those it offered are only values."""
    for name in ("print", "eval", "exec", "open", "__builtins__", "__name__", "abs.x"):
        with pytest.raises(FormulaError):
            parse(f"{name}(1)", names=["x"], key="key")
    with pytest.raises(FormulaError, match="'print' is not a function"):
        parse("print(1)", names=["print"], key="key")
