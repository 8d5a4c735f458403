"""`horseshoe list`: names and titles of the ready jobs. Reads their files only."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from typing import Annotated

from cyclopts import Parameter

from jobs.reading import gallery_names, locate, read


def main(pattern: Annotated[str, Parameter(name="PATTERN")] = "*", /) -> int:
    """List the gallery: name and title of each ready job.

    Parameters
    ----------
    pattern:
        Part of a name, or a pattern with * and ?; all unless given.
    """
    wanted = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    names = [name for name in gallery_names() if fnmatchcase(name, wanted)]
    if not names:
        print(f"no ready job matches {pattern!r}", file=sys.stderr)
    width = max(map(len, names), default=0)
    for name in names:
        print(f"{name:<{width}}  {read(locate(name)).get('title', '')}")
    return 0
