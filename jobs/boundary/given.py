"""The numbers that a map is given: constants, the pixel's coordinates, the frame, start values.

Owns how they are classified (baked into the kernel, one a frame, one a pixel) and evaluated, in the order in which they
build on each other. Never reads text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from kernels.expression import Formula, evaluate
from kernels.expression.lower import Constant
from kernels.expression.types import Kind, infer

PIXEL_KINDS = {"u": Kind.REAL, "v": Kind.REAL, "pixel": Kind.COMPLEX}
FRAME_KINDS = {"t": Kind.REAL}
SURROUNDINGS = {**PIXEL_KINDS, **FRAME_KINDS}

Values = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """A named number: `kind` as in kernels.expression.lower.Constant; `stated` where the user chose the name."""

    name: str
    formula: Formula
    kind: str
    complex: bool
    stated: bool = True


def classify(name: str, formula: Formula, known: Mapping[str, Given], *, stated: bool = True) -> Given:
    """The number that a formula of `t`, the pixel and numbers already known gives."""
    kinds = {**SURROUNDINGS, **{other.name: _kind(other) for other in known.values()}}
    used = [known[other].kind for other in formula.names if other in known]
    if "lane" in used or not formula.names.isdisjoint(PIXEL_KINDS):
        kind = "lane"
    elif "uniform" in used or not formula.names.isdisjoint(FRAME_KINDS):
        kind = "uniform"
    else:
        kind = "baked"
    return Given(name, formula, kind, infer(formula, kinds) is Kind.COMPLEX, stated)


def kinds_of(givens: Iterable[Given]) -> dict[str, Kind]:
    """Real or complex, by name, with the names of pixel and frame."""
    return {**SURROUNDINGS, **{given.name: _kind(given) for given in givens}}


def as_constants(givens: Iterable[Given], names: Iterable[str]) -> tuple[Constant, ...]:
    """The numbers among `names` as a kernel is given them."""
    givens, used, constants = tuple(givens), set(names), []
    values = over_frames(givens, 1)
    for given in givens:
        if given.name in used:
            value = complex(values[given.name]) if given.kind == "baked" else None
            constants.append(Constant(given.name, given.kind, given.complex, value))
    for name, kind in PIXEL_KINDS.items():
        if name in used:
            constants.append(Constant(name, "lane", kind is Kind.COMPLEX))
    if "t" in used:
        constants.append(Constant("t", "uniform", False))
    return tuple(constants)


def over_frames(givens: Iterable[Given], count: int) -> Values:
    """The numbers that do not depend on the pixel, each one number or float64 or complex128 of shape (count,).

    RequestError where one is not finite.
    """
    values: Values = {"t": np.arange(count, dtype=np.float64)}
    for given in givens:
        if given.kind == "lane":
            continue
        values[given.name] = evaluate.numpy(given.formula, values)
        frames = np.broadcast_to(values[given.name], (count,))
        if not np.isfinite(frames).all():
            frame = int(np.argmin(np.isfinite(frames)))
            raise RequestError(f"{given.formula.key}: {given.formula.text!r} is {frames[frame]} in frame {frame}")
    return values


def at_frame(givens: Iterable[Given], frame: int) -> Values:
    """The numbers of one frame that do not depend on the pixel, and `t`."""
    values: Values = {"t": float(frame)}
    for given in givens:
        if given.kind != "lane":
            values[given.name] = evaluate.numpy(given.formula, values)
    return values


def over_pixels(givens: Iterable[Given], frame: int, u: NDArray[np.float64], v: NDArray[np.float64]) -> Values:
    """All numbers at the points (u, v) of one frame, with those of pixel and frame; arrays broadcast to the points."""
    values: Values = {"t": float(frame), "u": u, "v": v, "pixel": u + 1j * v}
    for given in givens:
        values[given.name] = evaluate.numpy(given.formula, values)
    return values


def _kind(given: Given) -> Kind:
    return Kind.COMPLEX if given.complex else Kind.REAL
