"""The one exception that stands for a user's mistake, on the lowest floor so that every floor can raise it.

Owns also how its message is made fit for a terminal. Prints nothing.
"""

from __future__ import annotations

LONGEST_MESSAGE = 400
GAP = " ... "


class RequestError(ValueError):
    """A request that cannot be served as written.

    The message is one line that names the key or file and the fix. The command line prints it without a
    traceback and exits with code 2; nothing has been written.
    """


def one_line(text: object, limit: int = LONGEST_MESSAGE) -> str:
    """Any text as one line of at most `limit` characters that a terminal only prints.

    Messages repeat what users wrote, which may hold line ends, control sequences or megabytes. What is too long loses
    its middle: the key stands at the beginning, the fix at the end.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
    if len(line) <= limit:
        return line
    tail = (limit - len(GAP)) // 3
    return line[: limit - len(GAP) - tail] + GAP + line[len(line) - tail :]
