"""Four maps in Numba, each the loop one writes first: complex numbers, early exit, one pixel after the other."""

from __future__ import annotations

import cmath

import numpy as np
from numba import njit
from numpy.typing import NDArray

Complexes = NDArray[np.complex128]
Counts = NDArray[np.int32]


@njit(cache=False)
def mandelbrot(c: Complexes, limit: int) -> Counts:
    """z**2 + c until |z| > 2."""
    counts = np.full(c.size, limit, np.int32)
    for pixel in range(c.size):
        z = 0j
        for k in range(limit):
            z = z * z + c[pixel]
            if z.real * z.real + z.imag * z.imag > 4.0:
                counts[pixel] = k
                break
    return counts


@njit(cache=False)
def newton(start: Complexes, limit: int) -> Counts:
    """Newton's method for z**3 - 1 until a step is shorter than 1e-7."""
    counts = np.full(start.size, limit, np.int32)
    for pixel in range(start.size):
        z = start[pixel]
        for k in range(limit):
            new = z - (z * z * z - 1) / (3 * z * z)
            step = new - z
            z = new
            if step.real * step.real + step.imag * step.imag < 1e-14:
                counts[pixel] = k
                break
    return counts


@njit(cache=False)
def henon(start: Complexes, limit: int) -> Counts:
    """1 - 1.4 x**2 + y, 0.3 x until the point is more than 10 away."""
    counts = np.full(start.size, limit, np.int32)
    for pixel in range(start.size):
        x, y = start[pixel].real, start[pixel].imag
        for k in range(limit):
            x, y = 1 - 1.4 * x * x + y, 0.3 * x
            if x * x + y * y > 100.0:
                counts[pixel] = k
                break
    return counts


@njit(cache=False)
def sine(start: Complexes, limit: int) -> Counts:
    """(1 + 0.2i) sin(z) until the imaginary part is beyond 50."""
    counts = np.full(start.size, limit, np.int32)
    for pixel in range(start.size):
        z = start[pixel]
        for k in range(limit):
            z = (1 + 0.2j) * cmath.sin(z)
            if abs(z.imag) > 50.0:
                counts[pixel] = k
                break
    return counts
