"""What `image`, `video` and `measure` share: where the result goes, and `[picture]` from the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.reading import read_overrides
from kernels.errors import RequestError


def picture_overrides(assignments: Sequence[str], value: str | None, colormap: str | None) -> Mapping[str, Any]:
    """The `[picture]` keys given by --set, --value and --colormap; RequestError for a key of another section."""
    tree = read_overrides(assignments)
    for key in tree:
        if key != "picture":
            raise RequestError(f"--set {key}: a finished store only takes keys of picture, as in picture.colormap=gray")
    picture = tree.get("picture", {})
    if not isinstance(picture, dict):
        raise RequestError("--set picture: name one of its keys, as in picture.colormap=gray")
    short = {"value": value, "colormap": colormap}
    return {**picture, **{key: text for key, text in short.items() if text is not None}}


def result_path(store: Path, out: Path | None, suffix: str) -> Path:
    """`out`, else the store's name with another suffix in this folder; RequestError for a store's path that is none."""
    from hpc.refusals import resolved

    return out or Path(resolved(store).stem + suffix)
