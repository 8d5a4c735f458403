"""What `image`, `video` and `measure` share: where the result goes, and `[picture]` from the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.reading import read_overrides
from kernels.errors import RequestError


def picture_overrides(assignments: Sequence[str], value: str | None, colormap: str | None) -> Mapping[str, Any]:
    """The `[picture]` keys given by --set, --value and --colormap; RequestError for a key of another section.

    A stored range is that of the stored value: another value brings `auto`.
    """
    tree = read_overrides(assignments)
    for key in tree:
        if key != "picture":
            raise RequestError(f"--set {key}: a finished store only takes keys of picture, as in picture.colormap=gray")
    picture = tree.get("picture", {})
    if not isinstance(picture, dict):
        raise RequestError("--set picture: name one of its keys, as in picture.colormap=gray")
    short = {"value": value, "colormap": colormap}
    given = {**picture, **{key: text for key, text in short.items() if text is not None}}
    return {"range": "auto", **given} if "value" in given else given


def num_frames(store: Path, picture: Mapping[str, Any]) -> int:
    """How many frames a picture of the store has; RequestError where there is no store."""
    from hpc.reading import open_for_reading

    attributes = open_for_reading(store).attributes
    stored = attributes["job"].get("frames", {}).get("count", 1)
    frames = {**attributes["pictures"], **picture}.get("frames") or stored
    return frames if isinstance(frames, int) else 1


def result_path(store: Path, out: Path | None, suffixes: Sequence[str], label: str = "") -> Path:
    """`out`, else the store's name with `label` and the first of `suffixes`, in this folder.

    RequestError for another suffix, and for a store's path that is none.
    """
    from hpc.refusals import resolved

    if out is None:
        return Path(f"{resolved(store).stem}{label}{suffixes[0]}")
    if out.suffix not in suffixes:
        raise RequestError(f"--out {out}: the name of what is made here ends in {' or '.join(suffixes)}")
    return out
