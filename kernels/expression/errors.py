"""The error of a formula: one line that names the key, the column and what to write instead.

Owns the wording of the place, nothing else. Must never show more than a short excerpt of the text.
"""

from kernels.errors import RequestError

LONGEST_EXCERPT = 40


class FormulaError(RequestError):
    """A formula that cannot be served as written; its message is one printable ASCII line.

    `key` is the place in the job file, for instance ``view.width``; `column` counts characters of the text from 1.
    """

    def __init__(self, key: str, column: int, message: str) -> None:
        super().__init__(f"{key}, column {column}: {message}")
        self.key = key
        self.column = column
        self.message = message

    def __reduce__(self) -> tuple[type["FormulaError"], tuple[str, int, str]]:
        return FormulaError, (self.key, self.column, self.message)


def excerpt(text: str) -> str:
    """Quote a piece of a stranger's text for a message: short, ASCII, without control characters."""
    short = text if len(text) <= LONGEST_EXCERPT else text[: LONGEST_EXCERPT - 3] + "..."
    return ascii(short)
