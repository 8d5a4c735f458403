"""Job kind `divergence`: where two copies of three bodies, started a little apart, separate.

Owns the sections of the kind and turns a job into a plan of one stage. The mathematics is kernels/threebody.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np

from hpc.plan import ArraySpec, Plan, Values
from jobs.arrays import coordinate_arrays, frame_array, pixel_array
from jobs.divergence.stage import DivergenceStage, Parameters, Setting
from jobs.identity import attributes, identity
from jobs.maps import MapJob, with_precision
from jobs.maps import overview as overview
from jobs.model import Job
from jobs.moving import moving, view_values
from jobs.parameters import check_picture, frame_parameter, pixel_parameter
from jobs.sections import Number, Section
from jobs.tiling import layout
from jobs.view import check as check_view
from kernels import threebody
from kernels.backends.base import Array
from kernels.errors import RequestError

Vector = tuple[Number, Number, Number]

DEFAULTS: dict[str, Any] = {
    "outputs": ["times", "outcome"],
    "view": {"width": 40.0, "resolution": [1000, 1000]},
    "picture": {"value": "", "colormap": "inferno"},
}

DRAWN_FIRST = {
    "times": "steps - times",
    "separation": "separation",
    "energy_error": "energy_error",
    "outcome": "outcome",
    "final": "final_0",
}
"""What a picture shows that says nothing else: the formula of the first of these outputs that is there."""

MAX_STEPS = 2**31 - 2
"""Counts are int32."""


class Bodies(Section, frozen=True, kw_only=True):
    """The three bodies at the start. Numbers may be formulas of u, v and t: where u and v stand decides what the map is of."""

    mass: Vector = (10.0, 20.0, 30.0)
    """Mass of each body."""

    position: tuple[Vector, Vector, Vector] = (("u", "v", -11.0), (0.0, 0.0, 0.0), (10.0, 10.0, 12.0))
    """x, y and z of each body, a row a body."""

    velocity: tuple[Vector, Vector, Vector] = ((-3.0, 0.0, 0.0), (0.0, 0.0, 0.0), (3.0, 0.0, 0.0))
    """Velocity along x, y and z of each body, a row a body."""

    gravity: Number = 9.8
    """The gravitational constant."""


class Twin(Section, frozen=True, kw_only=True):
    """The second copy of the system, in which one body starts a little elsewhere."""

    body: Literal[1, 2, 3] = 1
    """Which body."""

    shift: Vector = (0.001, 0.001, 0.001)
    """How far along x, y and z; formulas of u, v and t."""

    distance: Number = 0.5
    """The copies have separated when this body's two places are farther apart; a formula of t."""


class Integrator(Section, frozen=True, kw_only=True):
    """How the bodies are moved through time."""

    method: Literal["euler"] = "euler"
    """Explicit Euler: positions with the old velocities, velocities with the old accelerations."""

    dt: Number = 0.001
    """Time step; a formula of t."""

    steps: Number = 50_000.0
    """Most steps of a pixel: a whole number, or a formula of t, which is rounded down."""

    early_stop: bool = True
    """Whether a pixel ends when its copies have separated. If not, separation, energy_error and final are of the last step."""


Output = Literal["times", "outcome", "separation", "energy_error", "final"]


class Divergence(MapJob, frozen=True, kw_only=True):
    """Where two copies of three bodies, started a little apart, separate: over a plane of starting points or of parameters.

    `times` is integrator.steps where they never do. Where their distance is no longer a number, the pixel ends too: `times` is
    the step at which that was, and `outcome` tells the two apart.
    """

    kind: Literal["divergence"]
    outputs: Annotated[tuple[Output, ...], msgspec.Meta(min_length=1)]
    bodies: Bodies = Bodies()
    twin: Twin = Twin()
    integrator: Integrator = Integrator()


MODEL = Divergence


def resolve(job: Job) -> Divergence:
    """The job with outputs in their fixed order, shard and chunk filled in; RequestError for impossible values."""
    job = cast(Divergence, job)
    if job.numerics.precision not in ("auto", "float32", "float64"):
        raise RequestError(f"numerics.precision: {job.numerics.precision} is not offered for kind divergence")
    count = job.frames.count
    setting = read_setting(job)
    for parameter in setting.pixel_parameters():
        parameter.check(count)
    check_view(job.view, count)
    value = job.picture.value or next(text for output, text in DRAWN_FIRST.items() if output in job.outputs)
    picture = msgspec.structs.replace(job.picture, value=value)
    parameters = [name for name, *_ in _frame_values(job, setting)] + [name for name, *_ in moving(job.view)]
    check_picture(picture, arrays=_drawable(job.outputs), parameters=parameters)
    rows, columns = job.view.resolution[1], job.view.resolution[0]
    shard, chunk = layout(job.run, (rows, columns), count, int(setting.steps.max()))
    outputs = tuple(name for name in threebody.OUTPUTS if name in job.outputs)
    run = msgspec.structs.replace(job.run, shard=shard, chunk=chunk)
    return with_precision(msgspec.structs.replace(job, outputs=outputs, run=run, picture=picture))


def read_setting(job: Divergence) -> Setting:
    """Every number of the job as a constant, an array over frames, or a formula; RequestError names a bad key."""
    count = job.frames.count
    if isinstance(job.integrator.steps, float) and not job.integrator.steps.is_integer():
        raise RequestError(f"integrator.steps: {job.integrator.steps} is not a whole number")
    steps = frame_parameter("integrator.steps", job.integrator.steps).over_frames(count)
    distance = frame_parameter("twin.distance", job.twin.distance).over_frames(count)
    dt = frame_parameter("integrator.dt", job.integrator.dt).over_frames(count)
    steps = np.floor(steps)
    for key, values, low in (("integrator.steps", steps, 1.0), ("twin.distance", distance, 0.0)):
        if values.min() < low:
            raise RequestError(f"{key}: must be at least {low:g}; it is {values.min():g} in frame {values.argmin()}")
    if steps.max() > MAX_STEPS:
        raise RequestError(f"integrator.steps: at most {MAX_STEPS}; it is {steps.max():g} in frame {steps.argmax()}")
    if (dt == 0).any():
        raise RequestError(f"integrator.dt: must not be 0; it is in frame {int(np.argmax(dt == 0))}")
    return Setting(
        view=job.view,
        steps=steps.astype(np.int64),
        distance=distance,
        dt=dt,
        mass=_vector("bodies.mass", job.bodies.mass),
        position=_matrix("bodies.position", job.bodies.position),
        velocity=_matrix("bodies.velocity", job.bodies.velocity),
        gravity=pixel_parameter("bodies.gravity", job.bodies.gravity),
        shift=_vector("twin.shift", job.twin.shift),
    )


def problem(job: Divergence) -> threebody.Problem:
    """What the compiled program depends on."""
    return threebody.Problem(
        precision="float32" if job.numerics.precision == "float32" else "float64",
        arithmetic=job.numerics.arithmetic,
        early_stop=job.integrator.early_stop,
        body=job.twin.body - 1,
        outputs=job.outputs,
        method=job.integrator.method,
    )


def plan(job: Job, device: str | None) -> Plan:
    """One stage whose units are the shards of every frame."""
    job = cast(Divergence, job)
    setting = read_setting(job)
    own = identity(job, device)
    stage = DivergenceStage(
        name="divergence",
        arrays=tuple(_array(job, name, setting) for name in job.outputs),
        problem=problem(job),
        setting=setting,
    )
    return Plan(
        stages=(stage,),
        constants=tuple(_constants(job, setting)),
        attributes=attributes(job, own, threebody.digest(stage.problem)),
        identity=own,
    )


LONG_NAMES = {
    "times": ("steps", "first state at which the copies are farther apart than twin.distance"),
    "outcome": ("1", "how the pixel ended"),
    "separation": ("length", "distance of the shifted body's copies where the pixel stopped"),
    "energy_error": ("1", "relative change of the unshifted system's energy where the pixel stopped"),
    "final": ("length; length/time", "positions and velocities of the unshifted system where the pixel stopped"),
}
COMPONENTS = [
    f"{quantity}_{axis}_{body}" for quantity in ("position", "velocity") for body in (1, 2, 3) for axis in "xyz"
]


def _array(job: Divergence, name: str, setting: Setting) -> ArraySpec:
    """The layout and attributes of one output."""
    dtype = threebody.OUTPUTS[name]
    units, long_name = LONG_NAMES[name]
    extra: dict[str, Any] = {}
    if name == "times":
        same = bool((setting.steps == setting.steps[0]).all())
        extra["never"] = int(setting.steps[0]) if same else "steps"
    if name == "outcome":
        extra["outcomes"] = dict(threebody.OUTCOMES)
    inner: tuple[tuple[str, int], ...] = ()
    if name == "final":
        extra["components"] = COMPONENTS
        inner = (("component", len(COMPONENTS)),)
    return pixel_array(job, name, dtype, {"units": units, "long_name": long_name, **extra}, inner)


def _constants(job: Divergence, setting: Setting) -> list[tuple[ArraySpec, Values]]:
    """Coordinates, and every parameter that has one value a frame."""
    named = _frame_values(job, setting) + view_values(job.view, job.frames.count)
    per_frame = [frame_array(*one) for one in named]
    return coordinate_arrays(job) + per_frame


def _frame_values(job: Divergence, setting: Setting) -> list[tuple[str, str, str, Array]]:
    """Name, units, key and values of the parameters that have one value a frame.

    Masses and gravity always unless the pixel enters; of starting values only those that change with the frame.
    """
    count = job.frames.count
    found: list[tuple[str, str, str, Array]] = [
        ("steps", "1", "integrator.steps", setting.steps.astype(np.int32)),
        ("dt", "time", "integrator.dt", setting.dt),
        ("distance", "length", "twin.distance", setting.distance),
    ]
    always = [("gravity", "length**3/(mass*time**2)", setting.gravity)]
    always += [(f"mass_{body}", "mass", one) for body, one in enumerate(setting.mass, 1)]
    moving = [(f"shift_{axis}", "length", one) for axis, one in zip("xyz", setting.shift, strict=True)]
    for label, units, matrix in (
        ("position", "length", setting.position),
        ("velocity", "length/time", setting.velocity),
    ):
        for body, row in enumerate(matrix, 1):
            moving += [(f"{label}_{body}_{axis}", units, one) for axis, one in zip("xyz", row, strict=True)]
    for name, units, one in (*always, *(entry for entry in moving if entry[2].depends_on_frame)):
        if not one.depends_on_pixel:
            found.append((name, units, one.key, one.over_frames(count)))
    return found


def _drawable(outputs: tuple[str, ...]) -> list[str]:
    """Names that a picture's formula may use for the pixels of the outputs."""
    maps = [name for name in outputs if name != "final"]
    return maps + [f"final_{index}" for index in range(len(COMPONENTS)) if "final" in outputs]


def _vector(key: str, row: Vector) -> Parameters:
    x, y, z = (pixel_parameter(f"{key}[{i}]", number) for i, number in enumerate(row))
    return x, y, z


def _matrix(key: str, rows: tuple[Vector, Vector, Vector]) -> tuple[Parameters, Parameters, Parameters]:
    first, second, third = (_vector(f"{key}[{i}]", row) for i, row in enumerate(rows))
    return first, second, third
