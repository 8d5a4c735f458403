"""The first look at the text of a formula: its characters, numbers, brackets and size, in linear time.

Owns every limit that must hold before Python's own parser sees the text. Must never call that parser.
"""

import keyword
import re
from typing import NoReturn

from kernels.expression.errors import LONGEST_EXCERPT, FormulaError, excerpt

LONGEST_TEXT = 4096
MOST_NODES = 500
DEEPEST_BRACKETS = 100

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<unit>[ij]?)(?P<tail>[A-Za-z0-9_.]*)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<operator>\*\*|//|<=|>=|==|!=|[-+*/<>])
      | (?P<bracket>[(),])""",
    re.VERBOSE,
)

_HINTS = {
    "^": "write ** for a power",
    "=": "write == to compare",
    "%": "there is no remainder; write x - y*floor(x/y)",
    "&": "write and",
    "|": "write or, or abs(x)",
    "!": "write not, or != to compare",
    "[": "write round brackets",
    "{": "write round brackets",
}
_WORDS = frozenset({"and", "or", "not"})


def clean(text: str, key: str) -> str:
    """Check the text and return it, of the same length, in a form that Python's parser can read.

    Imaginary literals end in ``j`` and white space is blanks, so that columns stay what they were.

    Raises FormulaError for an empty or too long text, a character or number that is not of the language, brackets that
    do not match or are nested too deep, and more numbers, names and operators than a tree may have nodes.
    """
    if len(text) > LONGEST_TEXT:
        raise FormulaError(key, LONGEST_TEXT + 1, f"a formula has at most {LONGEST_TEXT} characters, not {len(text)}")
    pieces: list[str] = []
    open_brackets: list[int] = []
    num_nodes = 0
    position = 0
    while position < len(text):
        column = position + 1
        token = _TOKEN.match(text, position)
        if token is None:
            _refuse_character(text[position], key, column)
        position = token.end()
        pieces.append(_piece(token, key, column))

        # Count what becomes a node and follow the brackets
        kind = token.lastgroup
        if kind == "bracket":
            _follow(token.group(), open_brackets, key, column)
        elif kind != "space":
            num_nodes += 1
            if num_nodes > MOST_NODES:
                message = f"a formula has at most {MOST_NODES} numbers, names and operators"
                raise FormulaError(key, column, message)
    if open_brackets:
        raise FormulaError(key, open_brackets[-1], "this bracket is never closed")
    if num_nodes == 0:
        raise FormulaError(key, 1, "the formula is empty; write a number or an expression")
    return "".join(pieces)


def _piece(token: re.Match[str], key: str, column: int) -> str:
    """The checked text of one token as Python's parser shall see it."""
    text = token.group()
    if token["space"]:
        return " " * len(text)
    if token["number"]:
        if tail := token["unit"] + token["tail"] if token["tail"] else "":
            short = tail.isalpha() and len(text) <= LONGEST_EXCERPT
            hint = f"write {token['number']}*{tail}" if short else "it has digits, a point and an exponent only"
            raise FormulaError(key, column, f"{excerpt(text)} is not a number; {hint}")
        return token["number"] + ("j" if token["unit"] else "")
    if text == "//":
        raise FormulaError(key, column, "'//' is not an operator here; write floor(x/y)")
    if keyword.iskeyword(text) and text not in _WORDS:
        raise FormulaError(key, column, f"{excerpt(text)} is a reserved word; choose another name")
    return text


def _follow(bracket: str, open_brackets: list[int], key: str, column: int) -> None:
    """Push or pop the column of a bracket."""
    if bracket == "(":
        open_brackets.append(column)
        if len(open_brackets) > DEEPEST_BRACKETS:
            raise FormulaError(key, column, f"brackets are nested deeper than {DEEPEST_BRACKETS}")
    elif bracket == ")":
        if not open_brackets:
            raise FormulaError(key, column, "this bracket was never opened")
        open_brackets.pop()


def _refuse_character(character: str, key: str, column: int) -> NoReturn:
    """Raise the error for a character that begins no token."""
    hint = _HINTS.get(character, "formulas are ASCII numbers, names, operators and round brackets")
    raise FormulaError(key, column, f"{excerpt(character)} is not part of a formula; {hint}")
