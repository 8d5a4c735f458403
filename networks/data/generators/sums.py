"""Pairs of a sum and its value, one a line: `37+45`, a tab, `82`. A small language to translate.

Owns the questions; the layout is that of `networks.data.pairs`.
"""

from __future__ import annotations

from collections.abc import Mapping

from kernels.errors import RequestError
from networks.data.draws import Draws

HELD_BACK = 10


def make(count: int, seed: int, parameters: Mapping[str, float]) -> dict[str, bytes]:
    """`count` different sums; the last tenth, at least one, are for validation."""
    limit = 10 ** int(parameters["digits"])
    if count > limit * limit // 2:
        raise RequestError(f"data.count is at most {limit * limit // 2} for sums of {int(parameters['digits'])} digits")
    draws = Draws("sums", seed)
    found: dict[tuple[int, int], None] = {}
    while len(found) < count:
        found.setdefault((draws.below(limit), draws.below(limit)))
    lines = [f"{one}+{other}\t{one + other}\n" for one, other in found]
    kept = count - max(1, count // HELD_BACK)
    return {"sums-train.tsv": "".join(lines[:kept]).encode(), "sums-valid.tsv": "".join(lines[kept:]).encode()}
