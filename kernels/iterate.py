"""One map iterated at every pixel, tile by tile, until its stop test holds: escape, entry, convergence.

Counts are indices, from 0, of the first update after which the test holds; `max_iterations` where it never does. Knows
neither stores nor job files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.backends.base import Backend, Loaded, Run
from kernels.expression.lower import Lowered, MapFormulas, lower
from kernels.source import KernelSource
from kernels.threebody import ARITHMETICS, PRECISIONS
from kernels.tile import Tile

Value = complex | NDArray[np.complex128] | NDArray[np.float64]

OUTPUTS = {"iterations": "<i4", "outcome": "|u1", "period": "<i4", "final": "<f8"}
OUTCOMES = {"never": 0, "stopped": 1, "non-finite": 2}


@dataclass(frozen=True)
class Problem:
    """What one compiled program depends on; everything else is an argument of `Program.start`.

    With `detect_cycles`, a pixel whose whole state returns exactly is known to go on for ever, and ends early; `final` is then
    NaN in every pixel that never stops. It is ignored for maps with `k`. The last `num_passengers` states of the map are used
    by no other update and no test (a derivative, the smallest value so far): cycles and outcomes do not look at them.
    """

    formulas: MapFormulas
    precision: str = "float64"
    arithmetic: str = "reproducible"
    outputs: tuple[str, ...] = ("iterations",)
    detect_cycles: bool = True
    num_passengers: int = 0


@dataclass(frozen=True)
class Program:
    """A compiled problem, ready to start any number of runs."""

    problem: Problem
    lowered: Lowered
    loaded: Loaded

    def start(
        self,
        shape: tuple[int, int],
        *,
        start: Mapping[str, Value],
        old: Mapping[str, Value],
        lanes: Mapping[str, Value],
        uniforms: Mapping[str, complex],
        max_iterations: int,
    ) -> Run:
        """Begin one tile of shape (rows, columns); every value is a number or an array of that shape.

        `start` and `old` give the states and, where the map uses them, the states before; `lanes` and `uniforms` the constants
        of those kinds. The run's arrays: `iterations` int32, `outcome` uint8 (see OUTCOMES), `period` int32 (with which the
        orbit of a pixel that never stops returns to its end, to half of the digits; 0 for none up to max_iterations),
        `final` float64 (states, rows, columns; a complex state is its real and its imaginary part), where the pixel stopped.
        """
        states = [_part(start[name], part) for name, part in self._state_parts()]
        previous = [_part(old[name], part) for name, part in self._state_parts()] if self.lowered.old_states else []
        constants = [_part(lanes[name], part) for name, part in self.lowered.lanes]
        parameters = [float(_part(uniforms[name], part)) for name, part in self.lowered.uniforms]
        shapes = {name: (self.lowered.num_states, *shape) if name == "final" else shape for name in OUTPUTS}
        wanted = ("iterations", *self.problem.outputs)
        return self.loaded.start(
            Tile(
                num_pixels=shape[0] * shape[1],
                limit=max_iterations,
                inputs=[*states, *previous, *constants],
                parameters=[*parameters, 0.0],
                outputs={name: (shapes[name], OUTPUTS[name]) if name in wanted else None for name in OUTPUTS},
            )
        )

    def _state_parts(self) -> list[tuple[str, str]]:
        parts = ("re", "im") if self.problem.formulas.complex else ("re",)
        return [(name, part) for name in self.problem.formulas.states for part in parts]


def compile(problem: Problem, backend: Backend) -> Program:
    """Compile once a problem and machine, and keep the result on disk.

    Raises FormulaError for a formula that cannot be compiled, RequestError where no compiler is found.
    """
    lowered = lower(problem.formulas, problem.arithmetic)
    return Program(problem, lowered, backend.load(source(problem, lowered)))


def digest(problem: Problem) -> str:
    """Digest of the rendered device source; the same on every machine and back end, no compiler needed."""
    return source(problem, lower(problem.formulas, problem.arithmetic)).digest()


def source(problem: Problem, lowered: Lowered) -> KernelSource:
    """Device source of a problem."""
    real, real_bytes = PRECISIONS[problem.precision]
    uses_old = bool(lowered.old_states)
    num_inputs = lowered.num_states * (1 + uses_old) + len(lowered.lanes)
    keep_final = bool({"outcome", "final", "period"} & set(problem.outputs))
    return KernelSource(
        family="iterate",
        real_bytes=real_bytes,
        defines={
            "REAL": real,
            "ARITHMETIC": ARITHMETICS[problem.arithmetic],
            "NUM_STATES": lowered.num_states,
            "NUM_PASSENGERS": problem.num_passengers * (2 if problem.formulas.complex else 1),
            "USES_OLD": int(uses_old),
            "NUM_CONSTANTS": len(lowered.lanes),
            "NUM_UNIFORMS": len(lowered.uniforms),
            "NUM_OPERATIONS": lowered.num_operations,
            "DETECT_CYCLES": int(problem.detect_cycles and not lowered.uses_k),
            "KEEP_FINAL": int(keep_final),
        },
        num_inputs=num_inputs,
        num_parameters=len(lowered.uniforms) + 1,
        num_outputs=len(OUTPUTS),
        state_size=num_inputs,
        functions=lowered.source,
    )


def _part(value: Value, part: str) -> float | NDArray[np.float64]:
    """Real or imaginary part as a float, or as a contiguous float64 array."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value.real if part == "re" else value.imag, dtype=np.float64)
    return complex(value).real if part == "re" else complex(value).imag
