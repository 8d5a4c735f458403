"""The table of roots of a job's function, frame by frame: a stage before the map, one unit, no kernel.

Owns how roots are found and ordered. What a pixel's root is, is decided in jobs/boundary/outputs.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpc.plan import ArraySpec, Finished
from jobs.boundary.given import Given, at_frame
from jobs.boundary.polynomial import NotAPolynomialError, coefficients
from kernels.backends.base import Array, Backend, Run
from kernels.expression import Formula, evaluate

Roots = NDArray[np.complex128]

NAME = "roots"
MOST_ROOTS = 64
"""Of a function that is no polynomial, those of the smallest absolute value are kept."""

LATTICE_HALF_WIDTH, LATTICE_SIDE = 4.0, 40
NUM_STEPS = 200
SAME = 1e-7
"""Roots closer than this, relative to their size where that is above 1, are one root."""


@dataclass(frozen=True)
class Function:
    """A function of one name whose roots are sought; `given` are the numbers that it may use beside."""

    formula: Formula
    derivative: Formula
    variable: str
    only_real: bool
    given: tuple[Given, ...]

    @property
    def depends_on_frame(self) -> bool:
        """Whether the roots may move from frame to frame."""
        changing = {"t", *(one.name for one in self.given if one.kind == "uniform")}
        return not changing.isdisjoint(self.formula.names)

    def capacity(self) -> int:
        """Rows of the table: the degree of a polynomial, else the most that is kept."""
        try:
            return max(1, coefficients(self.formula, self.variable, at_frame(self.given, 0)).size - 1)
        except NotAPolynomialError:
            return MOST_ROOTS

    def roots(self, frame: int) -> Roots:
        """Distinct roots by increasing real part, then imaginary part; complex128 of shape (number,).

        All of a polynomial; of another function those that Newton's method finds from the points of a fixed lattice.
        """
        values = at_frame(self.given, frame)
        try:
            found = _polynomial_roots(coefficients(self.formula, self.variable, values))
        except NotAPolynomialError:
            found = self._search(values)
            found = found[np.argsort(np.abs(found), kind="stable")]
        found = distinct(found)
        if self.only_real:
            found = found[np.abs(found.imag) <= SAME * np.maximum(1, np.abs(found))].real.astype(np.complex128)
        found = found[: self.capacity()]
        return found[np.lexsort((found.imag, np.round(found.real, 9)))]

    def _search(self, values: Mapping[str, complex]) -> Roots:
        """Where Newton's method ends that begins on a lattice, half a spacing off the axes."""
        offsets = (np.arange(LATTICE_SIDE) + 0.5) / LATTICE_SIDE * 2 - 1
        z = (LATTICE_HALF_WIDTH * (offsets[None, :] + 1j * offsets[:, None])).ravel()
        step = np.full(z.shape, np.inf + 0j)
        with np.errstate(all="ignore"):
            for _ in range(NUM_STEPS):
                names = {**values, self.variable: z}
                step = evaluate.numpy(self.formula, names) / evaluate.numpy(self.derivative, names)
                z = z - step
            settled = np.isfinite(z) & (np.abs(step) <= 1e-12 * np.maximum(1, np.abs(z)))
        return np.asarray(z[settled], dtype=np.complex128)


def _polynomial_roots(ascending: NDArray[np.complex128]) -> Roots:
    """Eigenvalues of the companion matrix, polished by Newton's method where that makes the value smaller."""
    polynomial = np.polynomial.Polynomial(ascending)
    z = np.roots(ascending[::-1]).astype(np.complex128)
    derivative = polynomial.deriv()
    with np.errstate(all="ignore"):
        for _ in range(8):
            closer = z - polynomial(z) / derivative(z)
            better = np.abs(polynomial(closer)) < np.abs(polynomial(z))
            z = np.where(better, closer, z)
    return z


def distinct(values: Roots) -> Roots:
    """The values without those that are as good as equal to an earlier one."""
    kept: list[complex] = []
    for value in values.tolist():
        if all(abs(value - other) > SAME * max(1.0, abs(value)) for other in kept):
            kept.append(value)
    return np.array(kept, dtype=np.complex128)


@dataclass(frozen=True)
class RootsStage:
    """One unit: the table of all frames, as real and imaginary parts; rows that are not used are NaN."""

    arrays: tuple[ArraySpec, ...]
    function: Function
    name: str = NAME
    num_units: int = 1

    def cost(self, unit: int) -> float:
        """Steps of Newton's method; there is only one unit to compare with."""
        del unit
        return float(self.arrays[0].shape[0] * NUM_STEPS * LATTICE_SIDE**2)

    def memory_bytes(self, unit: int) -> int:
        """The table, its encoded copy, and the lattice."""
        del unit
        return 64 * self.arrays[0].shape[0] * self.arrays[0].shape[1] + 512 * LATTICE_SIDE**2

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Begin the table."""
        del unit, backend, finished
        return _TableRun(self.function, self.arrays[0].shape[0], self.arrays[0].shape[1])


def table(finished: Finished, frame: int) -> Roots:
    """The finished table's roots of one frame."""
    values = finished.read(NAME)
    parts = values[min(frame, values.shape[0] - 1)]
    roots: Roots = parts[:, 0] + 1j * parts[:, 1]
    return roots


def array(num_frames: int, capacity: int, function: str) -> ArraySpec:
    """The layout of the table; one shard."""
    shape = (num_frames, capacity, 2)
    told = {"units": "", "long_name": f"roots of {function}, real and imaginary part", "parts": ["re", "im"]}
    return ArraySpec(NAME, shape, "<f8", shape, shape, ("t", "root", "part"), float("nan"), told)


class _TableRun:
    """Finds the roots of one frame after the other."""

    def __init__(self, function: Function, num_frames: int, capacity: int) -> None:
        self._function = function
        self._num_frames = num_frames
        self._next = 0
        self._table = np.full((num_frames, capacity, 2), np.nan)
        self._interrupted = False

    def advance(self, seconds: float) -> float:
        """At least one frame, then as many as there is time for."""
        end_s = time.monotonic() + seconds
        self._interrupted = False
        while self._next < self._num_frames:
            found = self._function.roots(self._next)
            self._table[self._next, : found.size] = np.stack([found.real, found.imag], axis=1)
            self._next += 1
            if self._interrupted or time.monotonic() >= end_s:
                break
        return self._next / self._num_frames

    def interrupt(self) -> None:
        """Come back after the frame under way."""
        self._interrupted = True

    def arrays(self) -> dict[str, Array]:
        """The table."""
        return {NAME: self._table}
