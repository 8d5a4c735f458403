"""Planes of starting points and the reference map, for every kernel test; needs NumPy and pytest alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import numpy as np
import pytest

from kernels import threebody
from kernels.backends.base import Backend
from kernels.threebody import Initial, Problem

# 16x16 points of the xy plane, 50,000 steps, as the spec has them from NumPy and C alike.
REFERENCE_SUM = 11418997
REFERENCE_SHA256 = "1b88e1c3c6be33d96c313340fc477fc88ee69da97ffb3aed10b0fe00730bcf7e"


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels are compiled afresh once a test run, whatever the user's cache holds."""
    os.environ["HORSESHOE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def plane(
    size: int, *, z: float = -11.0, mass=(10.0, 20.0, 30.0), gravity=9.8, shift=(1e-3, 1e-3, 1e-3), axes: str = "xy"
) -> Initial:
    """Body 1 starts at every point of a 40 by 40 square, sampled at left edges; row 0 is y = -20, or z = 20 for 'yz'."""
    edge = -20 + 40 * np.arange(size) / size
    u, v = np.meshgrid(edge, edge)
    first = (u, v, z) if axes == "xy" else (-10.0, u, 20 - 40 * np.arange(size)[:, None] / size + 0 * u)
    return Initial(
        shape=(size, size),
        position=(first, (0.0, 0.0, 0.0), (10.0, 10.0, 12.0)),
        velocity=((-3.0, 0.0, 0.0), (0.0, 0.0, 0.0), (3.0, 0.0, 0.0)),
        mass=mass,
        gravity=gravity,
        shift=shift,
    )


def single(position, *, velocity=None, mass=(10.0, 20.0, 30.0), shift=(1e-3, 1e-3, 1e-3)) -> Initial:
    """One pixel whose first body starts at `position`, or all three where nine numbers are given."""
    position = np.reshape(position, (-1, 3)).tolist()
    position = position if len(position) == 3 else [*position, [0.0, 0.0, 0.0], [10.0, 10.0, 12.0]]
    velocity = velocity or ((-3.0, 0.0, 0.0), (0.0, 0.0, 0.0), (3.0, 0.0, 0.0))
    return Initial((1, 1), tuple(map(tuple, position)), velocity, mass, 9.8, shift)


def run(
    backend: Backend,
    initial: Initial,
    problem: Problem | None = None,
    *,
    steps=50_000,
    distance=0.5,
    dt=1e-3,
    slice_s=60.0,
) -> dict[str, np.ndarray]:
    """All arrays of one tile."""
    started = threebody.compile(problem or Problem(), backend).start(initial, distance=distance, dt=dt, steps=steps)
    while started.advance(slice_s) < 1.0:
        pass
    return started.arrays()


def sha256(times: np.ndarray) -> str:
    """Digest of a map as the spec takes it."""
    return hashlib.sha256(np.ascontiguousarray(times, "<i4").tobytes()).hexdigest()


@pytest.fixture(scope="session")
def threebody_plane() -> Callable[..., Initial]:
    return plane


@pytest.fixture(scope="session")
def threebody_single() -> Callable[..., Initial]:
    return single


@pytest.fixture(scope="session")
def threebody_run() -> Callable[..., dict[str, np.ndarray]]:
    return run


@pytest.fixture(scope="session")
def assert_reference() -> Callable[[np.ndarray], None]:
    def check(times: np.ndarray) -> None:
        assert int(times.sum()) == REFERENCE_SUM
        assert sha256(times) == REFERENCE_SHA256

    return check
