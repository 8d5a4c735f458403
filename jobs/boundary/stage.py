"""The units of a boundary job: formulas become the starting values of one tile, the kernel iterates, outputs are read off.

Every unit is a pure function of the job and its number. Nothing here reads a store or a clock, but the finished table of
roots where there is one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.plan import ArraySpec, Finished
from jobs.boundary import interior
from jobs.boundary import roots as root_table
from jobs.boundary.formulas import Formulas
from jobs.boundary.given import Values, over_pixels
from jobs.boundary.readings import readings
from jobs.sections import View
from jobs.tiles import Tile, num_tiles, tile
from jobs.view import window
from kernels import iterate
from kernels.backends.base import Array, Backend, Run
from kernels.expression import Formula, evaluate

CHANGED_BY_SKIPPING = frozenset({"final", "orbit_trap"})
"""Outputs for which a pixel must be iterated to the limit though it is known never to stop."""


@dataclass(frozen=True)
class BoundaryStage:
    """Unit i is shard i of the arrays, counted in C order over (frame, rows, columns)."""

    arrays: tuple[ArraySpec, ...]
    problem: iterate.Problem
    formulas: Formulas
    view: View
    limits: NDArray[np.int32]
    tolerance: float
    name: str = "boundary"

    @property
    def num_units(self) -> int:
        """One unit a shard."""
        return num_tiles(self.arrays[0])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(array.name for array in self.arrays)

    def tile(self, unit: int) -> Tile:
        """Which pixels of which frame a unit owns."""
        return tile(self.arrays[0], unit)

    def cost(self, unit: int) -> float:
        """Pixels times the most updates."""
        tile = self.tile(unit)
        return float(tile.num_pixels) * float(self.limits[tile.frame])

    def memory_bytes(self, unit: int) -> int:
        """Starting values and numbers of the pixels, what the kernel returns, and two shard buffers an array."""
        formulas, num_states = self.formulas, len(self.formulas.start)
        used = frozenset[str]().union(*(update.names for update in formulas.map.updates))
        uses_old = any(f"{name}_old" in used for name in formulas.map.states)
        given = 1 + sum(one.kind == "lane" for one in formulas.given)
        inputs = num_states * (1 + uses_old) + sum(one.kind == "lane" for one in formulas.map.constants)
        ends = 1 + 2 * num_states * ("final" in self.problem.outputs)

        # Complex numbers as given, the same as real parts, and what the kernel returns
        values = 16 * given + 32 * inputs + 16 * ends
        stored = sum(np.dtype(array.dtype).itemsize * math.prod(array.shard[1:]) for array in self.arrays)
        return self.tile(unit).num_pixels * values + 2 * stored

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Begin the unit's pixels on a back end."""
        tile = self.tile(unit)
        u, v = window(self.view, tile.frame).points(tile.rows, tile.columns)
        values = over_pixels(self.formulas.given, tile.frame, u, v)
        known = self.known(values, tile.shape)
        chosen = None if known is None or not known.any() else np.flatnonzero(known == 0)
        shape = tile.shape if chosen is None else (1, chosen.size)

        def of_pixels(value: Any) -> iterate.Value:
            """A value as a number, or one for each pixel that is iterated."""
            if np.ndim(value) == 0:
                return complex(value)
            pixels = np.broadcast_to(value, tile.shape)
            return np.ascontiguousarray(pixels if chosen is None else pixels.reshape(1, -1)[:, chosen])

        def states(formulas: tuple[Formula, ...]) -> dict[str, iterate.Value]:
            """A value a state."""
            names = self.formulas.map.states
            return {name: of_pixels(evaluate.numpy(one, values)) for name, one in zip(names, formulas, strict=True)}

        run: Run | None = None
        if math.prod(shape):
            program = iterate.compile(self.problem, backend)
            run = program.start(
                shape,
                start=states(self.formulas.start),
                old=states(self.formulas.old),
                lanes={name: of_pixels(values[name]) for name in {name for name, _ in program.lowered.lanes}},
                uniforms={name: complex(values[name]) for name, _ in program.lowered.uniforms},
                max_iterations=int(self.limits[tile.frame]),
            )
        return _BoundaryRun(self, tile, values, known, chosen, run, finished)

    def known(self, values: Values, shape: tuple[int, int]) -> NDArray[np.int32] | None:
        """Periods of the pixels that are known never to stop, 0 for all others; None where nothing is known."""
        if not self.problem.detect_cycles:
            return None
        name = interior.parameter(self.formulas)
        if name is None:
            return None
        c = np.broadcast_to(np.asarray(values[name], dtype=np.complex128), shape)
        return interior.periods(c)

    def outputs_of(self, tile: Tile, values: Values, ends: dict[str, Array], finished: Finished) -> dict[str, Array]:
        """All arrays of a tile from what the kernel returned."""
        roots = root_table.table(finished, tile.frame) if "root" in self.outputs else None
        limit = int(self.limits[tile.frame])
        return readings(self.formulas, self.outputs, values, ends, limit, roots, self.tolerance)


class _BoundaryRun:
    """A kernel's run over the pixels that are not known, and the readings of all."""

    def __init__(
        self,
        stage: BoundaryStage,
        tile: Tile,
        values: Values,
        known: NDArray[np.int32] | None,
        chosen: NDArray[np.intp] | None,
        run: Run | None,
        finished: Finished,
    ) -> None:
        self._stage = stage
        self._tile = tile
        self._values = values
        self._known = known
        self._chosen = chosen
        self._run = run
        self._finished = finished

    def advance(self, seconds: float) -> float:
        """Advance the kernel."""
        return 1.0 if self._run is None else self._run.advance(seconds)

    def interrupt(self) -> None:
        """Make the kernel come back."""
        if self._run is not None:
            self._run.interrupt()

    def arrays(self) -> dict[str, Array]:
        """The tile's arrays."""
        ends = {} if self._run is None else dict(self._run.arrays())
        if self._chosen is not None:
            assert self._known is not None
            ends = self._scattered(ends, self._known, self._chosen)
        return self._stage.outputs_of(self._tile, self._values, ends, self._finished)

    def _scattered(
        self, ends: dict[str, Array], known: NDArray[np.int32], chosen: NDArray[np.intp]
    ) -> dict[str, Array]:
        """The kernel's arrays over all pixels of the tile: those that were not iterated never stop."""
        rows, columns = known.shape
        num_reals = len(self._stage.formulas.map.states) * (2 if self._stage.formulas.map.complex else 1)
        filled: dict[str, Array] = {
            "iterations": np.full((rows, columns), self._stage.limits[self._tile.frame], np.int32),
            "outcome": np.full((rows, columns), iterate.OUTCOMES["never"], np.uint8),
            "period": known.copy(),
            "final": np.zeros((num_reals, rows, columns)),
        }
        for name, values in ends.items():
            filled[name].reshape(*values.shape[:-2], -1)[..., chosen] = values.reshape(*values.shape[:-2], -1)
        return {name: filled[name] for name in ("iterations", *self._stage.problem.outputs)}
