"""What is known of the runs before they are made, as constants of the store: the values of the sweep, chance, parameters.

Owns their names and form. Pure functions of the runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpc.plan import ArraySpec, Values
from jobs.training.metrics import NAMES
from jobs.training.runs import RunSettings
from kernels.expression.tree import RESERVED

Constant = tuple[ArraySpec, Values]

OWN = ("chance", "parameters")


def names(runs: Sequence[RunSettings]) -> set[str]:
    """Names of the constants."""
    return {*OWN, *(name for name, _ in _named(runs))}


def _named(runs: Sequence[RunSettings]) -> list[tuple[str, str]]:
    """The name in the store of each key of the sweep: its last part, or all of it where that is taken."""
    found: list[tuple[str, str]] = []
    for key in runs[0].values:
        short = key.rpartition(".")[2]
        taken = {*NAMES, *OWN, "step", "evaluation", "run", *RESERVED, *(name for name, _ in found)}
        found.append((key.replace(".", "_") if short in taken else short, key))
    return found


def constants(
    runs: Sequence[RunSettings], chance: Sequence[float | None], parameters: Sequence[int]
) -> tuple[Constant, ...]:
    """The constants over runs. What is no number is told by its place in the attribute `values`."""
    found = [
        _constant("chance", np.array([math.nan if one is None else one for one in chance]), "nat", "loss of guessing"),
        _constant("parameters", np.array(parameters, dtype=np.int64), "1", "weights that are trained"),
    ]
    for name, key in _named(runs):
        values = [run.values[key] for run in runs]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            found.append(_constant(name, np.array(values, dtype=np.float64), "1", key))
        else:
            texts = [json.dumps(value) if not isinstance(value, str) else value for value in values]
            known = list(dict.fromkeys(texts))
            indices = np.array([known.index(text) for text in texts], dtype=np.int32)
            found.append(_constant(name, indices, "1", key, values=known))
    return tuple(found)


def _constant(name: str, values: Any, units: str, meaning: str, /, **more: Any) -> Constant:
    fill = math.nan if values.dtype.kind == "f" else -1
    told = {"units": units, "long_name": meaning, **more}
    return ArraySpec(name, values.shape, values.dtype.str, values.shape, values.shape, ("run",), fill, told), values
