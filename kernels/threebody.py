"""Three bodies and their shifted twin, tile by tile: when does a small shift grow beyond a distance?

Equations and order of operations: explicit Euler with the old velocity in the position, the separation tested before each
update (three-body spec T0). Knows neither stores nor job files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.backends.base import Backend, Loaded, Run
from kernels.source import KernelSource
from kernels.tile import Tile

Value = float | NDArray[np.float64]
Vector = tuple[Value, Value, Value]

OUTPUTS = {"times": "<i4", "outcome": "|u1", "separation": "<f8", "energy_error": "<f8", "final": "<f8"}
OUTCOMES = {"never": 0, "diverged": 1, "non-finite": 2}
METHODS = ("euler",)
PRECISIONS = {"float64": ("double", 8), "float32": ("float", 4)}
ARITHMETICS = {"reproducible": 0, "plain": 1, "fast": 2}


@dataclass(frozen=True)
class Problem:
    """What one compiled program depends on; everything else is an argument of `Program.start`.

    `body` (0..2) is shifted in the twin system, and its separation from the unshifted one is tested.
    With `early_stop` false every pixel is integrated to the last step, though `times` stays what it was.
    """

    precision: str = "float64"
    arithmetic: str = "reproducible"
    early_stop: bool = True
    body: int = 0
    outputs: tuple[str, ...] = ("times", "outcome")
    method: str = "euler"


@dataclass(frozen=True)
class Initial:
    """Starting values of one tile of shape (rows, columns); each is a float or a float64 array of that shape.

    `position` and `velocity` are [body][component], `mass` [body], `gravity` the constant G, `shift` what is added to the
    position of `Problem.body` in the twin system.
    """

    shape: tuple[int, int]
    position: tuple[Vector, Vector, Vector]
    velocity: tuple[Vector, Vector, Vector]
    mass: Vector
    gravity: Value
    shift: Vector


@dataclass(frozen=True)
class Program:
    """A compiled problem, ready to start any number of runs."""

    problem: Problem
    loaded: Loaded

    def start(self, initial: Initial, *, distance: float, dt: float, steps: int) -> Run:
        """Begin one tile.

        The run's arrays are of the tile's shape: `times` int32, the first state index with separation > `distance` (or not a
        number), `steps` where there is none; `outcome` uint8 (see OUTCOMES); `separation`, `energy_error` (relative, of the
        unshifted system) and `final` (18, rows, columns: positions of the bodies, then their velocities), float64, taken
        where the pixel stopped. `times` and `outcome` are always there.
        """
        rows, columns = initial.shape
        wanted = ("times", "outcome", *self.problem.outputs)
        shapes = {name: (18, rows, columns) if name == "final" else (rows, columns) for name in OUTPUTS}
        return self.loaded.start(
            Tile(
                num_pixels=rows * columns,
                limit=steps,
                inputs=_inputs(initial),
                parameters=[distance * distance, dt],
                outputs={name: (shapes[name], OUTPUTS[name]) if name in wanted else None for name in OUTPUTS},
            )
        )


def compile(problem: Problem, backend: Backend) -> Program:
    """Compile once a problem and machine, and keep the result on disk.

    Raises RequestError where no compiler is found.
    """
    return Program(problem, backend.load(source(problem)))


def digest(problem: Problem) -> str:
    """Digest of the rendered device source; the same on every machine and back end, no compiler needed."""
    return source(problem).digest()


def source(problem: Problem) -> KernelSource:
    """Device source of a problem."""
    assert problem.method in METHODS
    real, real_bytes = PRECISIONS[problem.precision]
    return KernelSource(
        family="threebody",
        real_bytes=real_bytes,
        defines={
            "REAL": real,
            "ARITHMETIC": ARITHMETICS[problem.arithmetic],
            "BODY": problem.body,
            "EARLY_STOP": int(problem.early_stop),
        },
        num_inputs=25,
        num_parameters=2,
        num_outputs=len(OUTPUTS),
        state_size=39,
    )


def _inputs(initial: Initial) -> list[Value]:
    """The values of a tile in the order of `Input` in `device/threebody.hpp`."""
    vectors = [*initial.position, *initial.velocity, initial.mass, (initial.gravity,), initial.shift]
    return [value for vector in vectors for value in vector]
