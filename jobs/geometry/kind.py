"""Job kind `geometry`: curves, surfaces, atlases, groups, symmetries and widths, with the residuals that check them.

Owns the sections of the kind and turns a job into a plan of one stage. The mathematics is in networks/geometry.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Literal, cast

import msgspec

from hpc.plan import Plan
from jobs.geometry.experiments import EXPERIMENTS
from jobs.geometry.quantities import Experiment, names_of
from jobs.geometry.sections import Atlas, Exponential, Groups, Implicit, Parametrised, RoundTrip, Symmetry, Width
from jobs.geometry.stage import GeometryStage
from jobs.identity import attributes, digest, identity
from jobs.model import Job
from jobs.plotting import Plot, check_plot
from kernels.errors import RequestError

DEFAULTS: dict[str, Any] = {"picture": {"figure": "curves"}}

NEEDS_TORCH = ("atlas", "round_trip", "groups", "exponential", "symmetry", "width")


class Geometry(Job, frozen=True, kw_only=True):
    """A manifold, charts, a matrix group, an algebra, or what models keep, looked at numerically: one of the sections below.

    Arrays begin with the run: each manifold, group, type of number, algebra or attention that a section lists.
    """

    kind: Literal["geometry"]
    implicit: Implicit | None = None
    parametrised: Parametrised | None = None
    atlas: Atlas | None = None
    round_trip: RoundTrip | None = None
    groups: Groups | None = None
    exponential: Exponential | None = None
    symmetry: Symmetry | None = None
    width: Width | None = None
    picture: Plot


MODEL = Geometry


def resolve(job: Job) -> Geometry:
    """The job; RequestError unless it has exactly one experiment, whose formulas and picture make sense."""
    job = cast(Geometry, job)
    name, experiment = experiment_of(job)
    if name in NEEDS_TORCH and find_spec("torch") is None:
        raise RequestError(f"{name}: needs torch; pip install 'horseshoe[train]'")
    every = tuple(quantity.name for quantity in experiment.quantities)
    unknown = [output for output in job.outputs if output not in every]
    if unknown:
        raise RequestError(f"outputs: {unknown[0]!r} is none of {', '.join(every)}")
    check_plot(job.picture, names=names_of(experiment.quantities))
    return msgspec.structs.replace(job, outputs=tuple(one for one in every if one in (job.outputs or every)))


def experiment_of(job: Geometry) -> tuple[str, Experiment]:
    """The only section that is there, by name, and what it computes."""
    there = [name for name in EXPERIMENTS if getattr(job, name) is not None]
    if len(there) != 1:
        given = f"has {' and '.join(there)}" if there else "has none"
        raise RequestError(f"kind: a geometry job has one of {', '.join(EXPERIMENTS)}; this one {given}")
    return there[0], EXPERIMENTS[there[0]](getattr(job, there[0]))


def overview(job: Job, plan: Plan) -> list[tuple[str, str]]:
    """The experiment, and its runs."""
    name, experiment = experiment_of(cast(Geometry, job))
    runs = ", ".join(experiment.runs) if experiment.runs else str(plan.stages[0].num_units)
    return [("experiment", name), ("runs", runs)]


def plan(job: Job, device: str | None) -> Plan:
    """One stage, a unit for each run."""
    job = cast(Geometry, job)
    name, experiment = experiment_of(job)
    chosen = tuple(one for one in experiment.quantities if one.name in job.outputs)
    stage = GeometryStage(replace(experiment, quantities=chosen))
    own = identity(job, device)
    told = attributes(job, own, digest({"experiment": name, "version": 1}))
    return Plan((stage,), (), {**told, "runs": list(experiment.runs)}, own)
