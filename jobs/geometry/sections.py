"""The sections of geometry jobs: one for each experiment, of which a job has exactly one.

Owns names, types and defaults of the keys. What an experiment computes is in jobs/geometry/experiments.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from jobs.sections import FormulaText, Section

Count = Annotated[int, msgspec.Meta(ge=2, le=10_000_000)]
PerAxis = Annotated[int, msgspec.Meta(ge=2, le=400)]
Interval = tuple[float, float]
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
MatrixSize = Annotated[int, msgspec.Meta(ge=2, le=16)]
PointsText = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}(e\+?[0-9]{1,4})?\Z")]


class Implicit(Section, frozen=True, kw_only=True):
    """The points of a cubic grid at which an equation nearly holds."""

    equation: FormulaText
    """What is 0 on the surface: a formula of x, y and z."""

    points_per_axis: PerAxis = 50
    """Points of the grid along each axis, both ends included."""

    half_width: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """The grid reaches from minus this to this."""

    tolerance: Annotated[float, msgspec.Meta(gt=0)] = 1e-2
    """How far from 0 the equation may be."""

    parts: tuple[FormulaText, ...] = ()
    """Formulas of x, y and z that are not 0 where a chart has the point; `covered` counts the charts of each point."""


class Parametrised(Section, frozen=True, kw_only=True):
    """Points of a curve or surface from formulas of parameters p and q."""

    x: FormulaText
    """First coordinate."""

    y: FormulaText
    """Second coordinate."""

    z: FormulaText = "0"
    """Third coordinate."""

    p: Interval
    """Between which values the first parameter lies."""

    q: Interval = (0.0, 0.0)
    """Between which values the second parameter lies."""

    count: Count = 1000
    """How many points."""

    spacing: Literal["even", "random"] = "even"
    """Even: p from its first to its last value, both included, with q at its first. Random: uniform in p and q."""

    density: FormulaText = ""
    """Random points are kept with a probability proportional to this formula of p and q; all of them where it is empty."""

    equation: FormulaText
    """What is 0 on the surface, a formula of x, y and z: `residual` is its value."""

    seed: Seed = 0
    """Of the random points."""


class Atlas(Section, frozen=True, kw_only=True):
    """The charts of manifolds, and whether they fit together."""

    manifolds: Annotated[tuple[Literal["circle", "sphere", "torus"], ...], msgspec.Meta(min_length=1)] = ("sphere",)
    """Which; each is a run."""

    count: Count = 1000
    """Random points of each."""

    seed: Seed = 0
    """Of the points."""


class RoundTrip(Section, frozen=True, kw_only=True):
    """From spherical coordinates to a stereographic chart and back."""

    dtypes: Annotated[tuple[Literal["float32", "float64"], ...], msgspec.Meta(min_length=1)] = ("float32", "float64")
    """Types of the numbers; each is a run."""

    count: Count = 1000
    """Random points for each seed."""

    seeds: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    """How many times, with seeds 0, 1, ..."""


class Groups(Section, frozen=True, kw_only=True):
    """The axioms of matrix groups over random elements."""

    groups: Annotated[tuple[Literal["GL", "O", "SO"], ...], msgspec.Meta(min_length=1)] = ("GL", "O", "SO")
    """Which; each is a run."""

    size: MatrixSize = 2
    """Rows of the matrices."""

    count: Count = 1000
    """Random triples of elements."""

    seed: Seed = 0
    """Of the elements."""


class Exponential(Section, frozen=True, kw_only=True):
    """One-parameter groups: the exponentials of multiples of an element of an algebra, and where they take a vector."""

    algebras: Annotated[tuple[Literal["so(2)", "so(3)", "gl(2)"], ...], msgspec.Meta(min_length=1)] = ("so(2)",)
    """Which; each is a run."""

    coefficients: Annotated[tuple[float, ...], msgspec.Meta(min_length=1, max_length=4)] = (1.0,)
    """Of the element, in the algebra's basis; those that are not given are 0."""

    parameters: Interval = (0.0, 0.1)
    """Multiples of the element: from the first to the last, both included."""

    count: Annotated[int, msgspec.Meta(ge=2, le=100_000)] = 10
    """How many multiples."""


class Symmetry(Section, frozen=True, kw_only=True):
    """How much a causal model with attention changes when its input, or its queries and keys, are turned or moved.

    Each score at each tap is a run, with all taps of the first score before those of the second.
    """

    scores: Annotated[tuple[Literal["dot", "distance", "squared-distance"], ...], msgspec.Meta(min_length=1)] = (
        "dot",
        "distance",
    )
    """What attention compares queries and keys by."""

    taps: Annotated[tuple[Literal["input", "heads"], ...], msgspec.Meta(min_length=1)] = ("input", "heads")
    """Where a rotation or a translation acts: on the embedded tokens, or on queries and keys, on all heads alike."""

    width: Annotated[int, msgspec.Meta(ge=2, le=512)] = 64
    """Features of a token."""

    heads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    """Heads of the attention, each with at least two of the features."""

    depth: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    """Blocks of the model."""

    places: Annotated[int, msgspec.Meta(ge=2, le=1024)] = 32
    """Tokens of the sample, all random."""

    dtype: Literal["float32", "float64"] = "float64"
    """Type of the numbers."""

    seeds: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    """How many models, tokens, rotations and translations, with seeds 0, 1, ..."""


class Width(Section, frozen=True, kw_only=True):
    """How many features tell so many points apart, after Johnson and Lindenstrauss, and whether random points agree.

    Each number of points with each error is a run, with all errors of the first number before those of the second.
    """

    points: Annotated[tuple[PointsText, ...], msgspec.Meta(min_length=1, max_length=1000)]
    """How many: whole numbers as text, such as "15e12", since some are beyond all floats."""

    errors: Annotated[tuple[Annotated[float, msgspec.Meta(ge=0.01, le=1)], ...], msgspec.Meta(min_length=1)] = (1.0,)
    """Relative errors of squared distances that may occur."""

    trial_points: Annotated[int, msgspec.Meta(ge=2, le=2000)] = 500
    """At most so many random points are projected to the width."""

    trial_features: Annotated[int, msgspec.Meta(ge=2, le=4096)] = 1000
    """Features of the random points. A greater width is no projection and is not tried."""

    trials: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    """How many times, with seeds 0, 1, ..."""
