"""Job kind `boundary`: when the orbit of every pixel under a map escapes, or enters a set, or converges.

Owns the sections of the kind and turns a job into a plan. What its formulas say is read in jobs/boundary/formulas.py; the
mathematics is kernels/iterate.py.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from hpc.plan import ArraySpec, Plan, Stage, Values
from jobs.arrays import coordinate_arrays, frame_array, pixel_array
from jobs.boundary import roots
from jobs.boundary.formulas import READ_FROM_FINAL, Formulas, frame_values, read
from jobs.boundary.given import over_frames
from jobs.boundary.names import Texts
from jobs.boundary.outputs import NO_ROOT
from jobs.boundary.stage import CHANGED_BY_SKIPPING, BoundaryStage
from jobs.identity import attributes, identity
from jobs.maps import MapJob, with_precision
from jobs.maps import overview as overview
from jobs.model import Job
from jobs.moving import moving, view_values
from jobs.parameters import check_picture, frame_parameter
from jobs.sections import FormulaText, Number, Section
from jobs.tiling import layout
from jobs.view import check as check_view
from kernels import iterate
from kernels.errors import RequestError

DEFAULTS: dict[str, Any] = {
    "outputs": ["iterations"],
    "view": {"width": 4.0, "resolution": [1000, 1000]},
    "picture": {"value": "", "colormap": "twilight_shifted"},
}

MAX_ITERATIONS = 2**31 - 2
"""Counts are int32."""

DRAWN_FIRST = ("iterations", "smooth", "root", "outcome", "period", "orbit_trap", "distance", "final_0")
"""What a picture shows that says nothing else: the first of these that is there."""


class Stop(Section, frozen=True, kw_only=True):
    """When an orbit ends."""

    when: FormulaText
    """The test, such as abs(z) > 2, made after each update; z is the new state, z_old the one before."""

    max_iterations: Number = 200.0
    """Most updates of a pixel; a formula of t, rounded down."""

    detect_cycles: bool = True
    """Whether an orbit that returns exactly to a state it was in, and so never stops, is left early; counts are the same."""

    power: Number | None = None
    """For `smooth`: with what power the tested quantity grows, or shrinks, in an update; found from the map unless given."""


class Integrator(Section, frozen=True, kw_only=True):
    """Makes a flow of the map: `dx` of [map] is the rate of change of x. Without this section, [map] gives the new states."""

    method: Literal["euler"] = "euler"
    """Explicit Euler: x becomes x + dt*dx, with all rates at the old values."""

    dt: Number
    """Time step; a formula like a constant's."""


class Trap(Section, frozen=True, kw_only=True):
    """For the output `orbit_trap`."""

    value: FormulaText
    """What is smallest somewhere on the orbit, its start left out."""


class Roots(Section, frozen=True, kw_only=True):
    """For the output `root`."""

    of: FormulaText
    """The function whose roots are meant, such as f(z)."""

    tolerance: Annotated[float, msgspec.Meta(gt=0)] = 1e-3
    """How far from a root a pixel may have stopped."""


Output = Literal["iterations", "outcome", "final", "smooth", "distance", "root", "period", "orbit_trap"]

ARRAYS: dict[str, tuple[str, str, str]] = {
    "iterations": ("<i4", "updates", "first update, from 0, after which stop.when holds"),
    "outcome": ("|u1", "1", "how the pixel ended"),
    "final": ("<f8", "1", "state where the pixel stopped"),
    "smooth": ("<f8", "updates", "continuous count of updates; NaN where the pixel never stopped"),
    "distance": ("<f8", "length", "estimated distance to the boundary; NaN where the pixel never stopped"),
    "root": ("<i2", "1", "index, in the array roots, of the root that was reached"),
    "period": ("<i4", "updates", "period of the cycle of a pixel that never stops; 0 where none was found"),
    "orbit_trap": ("<f8", "1", "smallest value of trap.value over the orbit"),
}
"""Dtype, units and meaning of every output, in their fixed order."""


class Boundary(MapJob, frozen=True, kw_only=True):
    """A map iterated at every pixel: escape times, entry times, basins of roots, planes of parameters. See docs/maps.md.

    `iterations` is max_iterations where a pixel never stopped. A state that is not a number stops it too; `outcome` tells.
    """

    kind: Literal["boundary"]
    outputs: Annotated[tuple[Output, ...], msgspec.Meta(min_length=1)]
    numbers: Literal["auto", "complex", "real"] = "auto"
    """Whether states are complex; `auto`: where i or pixel occurs anywhere."""

    map: dict[str, Any]
    """What each state becomes in an update: its name, and a formula."""

    start: dict[str, Any]
    """Where each state begins: a number or a formula of u, v, pixel, t and the constants."""

    constants: dict[str, Any] = msgspec.field(default_factory=dict)
    """Names for numbers, and for formulas of u, v, pixel, t and other constants."""

    define: dict[str, Any] = msgspec.field(default_factory=dict)
    """Names for formulas, with arguments, such as "f(s)", or without."""

    integrator: Integrator | None = None
    stop: Stop
    trap: Trap | None = None
    roots: Roots | None = None


MODEL = Boundary


def resolve(job: Job) -> Boundary:
    """The job with outputs in their fixed order, shard, chunk and type filled in; RequestError for impossible values."""
    job = cast(Boundary, job)
    if job.numerics.precision not in ("auto", "float32", "float64"):
        raise RequestError(f"numerics.precision: {job.numerics.precision} is not offered for kind boundary")
    outputs = tuple(name for name in ARRAYS if name in job.outputs)
    tables = {name: _formulas(name, getattr(job, name)) for name in ("map", "start", "constants", "define")}
    job = msgspec.structs.replace(job, outputs=outputs, **tables)
    count = job.frames.count
    limits = max_iterations(job)
    check_view(job.view, count)
    formulas = formulas_of(job)
    over_frames(formulas.given, count)
    drawable = _drawable(job, formulas)
    value = job.picture.value or next(name for name in DRAWN_FIRST if name in drawable)
    picture = msgspec.structs.replace(job.picture, value=value)
    check_picture(picture, arrays=drawable, parameters=_frame_names(job, formulas))
    columns, rows = job.view.resolution
    shard, chunk = layout(job.run, (rows, columns), count, int(limits.max()))
    run = msgspec.structs.replace(job.run, shard=shard, chunk=chunk)
    numbers: Literal["complex", "real"] = "complex" if formulas.map.complex else "real"
    return with_precision(msgspec.structs.replace(job, run=run, numbers=numbers, picture=picture))


def _formulas(section: str, table: dict[str, Any]) -> dict[str, Number]:
    """A section whose keys are the user's: numbers, and formulas as text."""
    for key, value in table.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number and not isinstance(value, str):
            raise RequestError(f"{section}.{key}: expected a number or a formula as text")
        if is_number and abs(value) > sys.float_info.max:
            raise RequestError(f"{section}.{key}: too large for a number of 64 bits")
    return {key: value if isinstance(value, str) else float(value) for key, value in table.items()}


def max_iterations(job: Boundary) -> NDArray[np.int32]:
    """The limit of each frame; RequestError where it is none."""
    key = "stop.max_iterations"
    stated = job.stop.max_iterations
    if isinstance(stated, float) and not stated.is_integer():
        raise RequestError(f"{key}: {stated} is not a whole number")
    values = np.floor(frame_parameter(key, stated).over_frames(job.frames.count))
    if values.min() < 1:
        raise RequestError(f"{key}: must be at least 1; it is {values.min():g} in frame {values.argmin()}")
    if values.max() > MAX_ITERATIONS:
        raise RequestError(f"{key}: at most {MAX_ITERATIONS}; it is {values.max():g} in frame {values.argmax()}")
    return values.astype(np.int32)


def formulas_of(job: Boundary) -> Formulas:
    """The job's formulas, read and classified."""
    return read(
        Texts(
            numbers=job.numbers,
            map=job.map,
            start=job.start,
            constants=job.constants,
            define=job.define,
            dt=None if job.integrator is None else job.integrator.dt,
            when=job.stop.when,
            power=job.stop.power,
            trap=None if job.trap is None else job.trap.value,
            roots=None if job.roots is None else job.roots.of,
            outputs=job.outputs,
        )
    )


def plan(job: Job, device: str | None) -> Plan:
    """The map in units that are the shards of every frame; before it, where asked for, the table of roots."""
    job = cast(Boundary, job)
    formulas = formulas_of(job)
    own = identity(job, device)
    limits = max_iterations(job)
    stage = BoundaryStage(
        arrays=tuple(_array(job, name, formulas, limits) for name in job.outputs),
        problem=problem(job, formulas),
        formulas=formulas,
        view=job.view,
        limits=limits,
        tolerance=0.0 if job.roots is None else job.roots.tolerance,
    )
    stages: tuple[Stage, ...] = (stage,)
    if function := formulas.function:
        num_frames = job.frames.count if function.depends_on_frame else 1
        assert job.roots is not None
        spec = roots.array(num_frames, function.capacity(), job.roots.of)
        stages = (roots.RootsStage((spec,), function), stage)
    return Plan(
        stages=stages,
        constants=tuple(_constants(job, formulas, limits)),
        attributes=attributes(job, own, iterate.digest(stage.problem)),
        identity=own,
    )


def problem(job: Boundary, formulas: Formulas) -> iterate.Problem:
    """What the compiled program depends on."""
    wanted: set[str] = {name for name in job.outputs if name in ("outcome", "period")}
    if "root" in job.outputs:
        wanted.add("outcome")
    if not READ_FROM_FINAL.isdisjoint(job.outputs):
        wanted.add("final")
    return iterate.Problem(
        formulas=formulas.map,
        precision="float32" if job.numerics.precision == "float32" else "float64",
        arithmetic=job.numerics.arithmetic,
        outputs=tuple(name for name in iterate.OUTPUTS if name in wanted),
        detect_cycles=job.stop.detect_cycles and CHANGED_BY_SKIPPING.isdisjoint(job.outputs),
        num_passengers=len(formulas.map.states) - len(formulas.stated),
    )


def _array(job: Boundary, name: str, formulas: Formulas, limits: NDArray[np.int32]) -> ArraySpec:
    """The layout and attributes of one output."""
    dtype, units, long_name = ARRAYS[name]
    extra: dict[str, Any] = {}
    inner: tuple[tuple[str, int], ...] = ()
    if name == "iterations":
        extra["never"] = int(limits[0]) if (limits == limits[0]).all() else "max_iterations"
    if name == "outcome":
        extra["outcomes"] = dict(iterate.OUTCOMES)
    if name == "root":
        extra |= {"never": NO_ROOT, "long_name": f"{long_name}; {NO_ROOT} for none"}
    if name == "final":
        extra["components"] = formulas.components
        inner = (("component", len(formulas.components)),)
    return pixel_array(job, name, dtype, {"units": units, "long_name": long_name, **extra}, inner)


def _constants(job: Boundary, formulas: Formulas, limits: NDArray[np.int32]) -> list[tuple[ArraySpec, Values]]:
    """Coordinates, and every number that has one value a frame."""
    per_frame = [frame_array("max_iterations", "1", "stop.max_iterations", limits)]
    for name, (key, values) in frame_values(formulas, job.frames.count).items():
        per_frame.append(frame_array(name, "1", key, values))
    per_frame += [frame_array(*one) for one in view_values(job.view, job.frames.count)]
    arrays = coordinate_arrays(job) + per_frame
    taken = {"t", roots.NAME, *job.outputs}
    for spec, _ in arrays:
        if spec.name in taken:
            raise RequestError(f"constants.{spec.name}: the store has an array of that name; choose another name")
        taken.add(spec.name)
    return arrays


def _frame_names(job: Boundary, formulas: Formulas) -> list[str]:
    """Names of the parameters that have one value a frame."""
    return ["max_iterations", *frame_values(formulas, job.frames.count), *(name for name, *_ in moving(job.view))]


def _drawable(job: Boundary, formulas: Formulas) -> list[str]:
    """Names that a picture's formula may use for the pixels of the outputs."""
    maps = [name for name in job.outputs if name != "final"]
    return maps + [f"final_{index}" for index in range(len(formulas.components)) if "final" in job.outputs]
