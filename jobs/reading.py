"""Where the text of a job comes from: the gallery, a TOML file, `--set key=value`.

Owns the way from text to plain nested dictionaries. Knows no section and no job kind.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kernels.errors import RequestError

GALLERY = Path(__file__).parent / "gallery"
MAX_JOB_BYTES = 1 << 20
MAX_DEPTH = 16
KEY_PART = re.compile(r"[A-Za-z0-9_-]+")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that no text of a job has: those that command a terminal, or turn the direction of what follows.

A new line and a tab are not among them.
"""

Tree = dict[str, Any]


def gallery_names() -> list[str]:
    """Names of the ready jobs, sorted."""
    return sorted(path.stem for path in GALLERY.glob("*.toml"))


def locate(name_or_path: str) -> Path:
    """The file of a gallery name or of a path that ends in .toml; RequestError when there is none."""
    if name_or_path.endswith(".toml"):
        return Path(name_or_path)
    path = GALLERY / f"{name_or_path}.toml"
    if KEY_PART.fullmatch(name_or_path) and path.is_file():
        return path
    if Path(f"{name_or_path}.toml").is_file():
        raise RequestError(f"{name_or_path}: no such gallery job; did you mean {name_or_path}.toml?")
    if name_or_path.endswith(".zarr") or (Path(name_or_path) / "zarr.json").is_file():
        raise RequestError(f"{name_or_path}: that is a store; give the job it is to be made by, or its TOML file")
    near = nearest(name_or_path, gallery_names())
    raise RequestError(f"{name_or_path}: no such gallery job{near}; `horseshoe list` names them, a file ends in .toml")


def read(path: Path) -> Tree:
    """Parse one job file of at most 1 MiB; RequestError names the file and what is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_JOB_BYTES + 1)
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_JOB_BYTES:
        raise RequestError(f"{path}: larger than the limit of {MAX_JOB_BYTES} bytes for a job file")
    try:
        return tomllib.loads(content.decode())
    except ValueError as error:  # Also of whole numbers with more digits than Python reads
        raise RequestError(f"{path}: not a TOML file: {one_line(error)}") from None
    except (RecursionError, MemoryError):
        raise RequestError(f"{path}: nested deeper than {MAX_DEPTH} levels") from None


def read_overrides(assignments: Sequence[str]) -> Tree:
    """`key=value` texts as one nested dictionary; a value is read as TOML, as a string where that fails."""
    tree: Tree = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(KEY_PART.fullmatch(part) for part in parts):
            raise RequestError(f"--set {one_line(assignment)}: write it as key=value with a dotted key")
        value: Any = toml_value(text)
        if isinstance(value, str) and value.startswith(("[", "{")):
            raise RequestError(
                f'{key.strip()}: {one_line(text)} is not TOML; close its brackets, and put texts between quotes: ["u", 2, 3]'
            )
        for part in reversed(parts):
            value = {part: value}
        tree = merge(tree, value)
    return tree


def toml_value(text: str) -> Any:
    """One TOML value, or the text itself where it is none."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError, MemoryError):
        return text
    return parsed["value"] if parsed.keys() == {"value"} else text


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """`below` with the entries of `above` laid over it; tables are merged, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(under, value) if both else value  # type: ignore[arg-type]
    return merged


def cleaned(tree: Tree) -> Tree:
    """The tree with its strings stripped.

    Raises RequestError for numbers that 64 bits do not hold, for control characters and for deep nesting.
    """
    return {key: _clean(value, key, 1) for key, value in tree.items()}


def _clean(value: Any, key: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise RequestError(f"{key}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {name: _clean(entry, f"{key}.{name}", depth + 1) for name, entry in value.items()}
    if isinstance(value, list):
        return [_clean(entry, f"{key}[{index}]", depth + 1) for index, entry in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(f"{key}: {value} is not a finite number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise RequestError(f"{key}: too large for a number of 64 bits; write it with a point or an exponent")
    if isinstance(value, str) and (found := CONTROL.search(value)):
        raise RequestError(f"{key}: has the control character {found[0]!r}; leave it out")
    return value.strip() if isinstance(value, str) else value


def nearest(word: str, known: Sequence[str]) -> str:
    """`; nearest: NAME`, the known word most like this one."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.0)
    return f"; nearest: {close[0]}" if close else ""


def one_line(text: object) -> str:
    """Any text on one line of at most 200 characters."""
    return " ".join(str(text).split())[:200]
