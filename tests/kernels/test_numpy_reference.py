"""The kernel against NumPy written down from the equations: arithmetic `plain` is equal bit for bit."""

from __future__ import annotations

import numpy as np

from kernels.backends.host import HostBackend
from kernels.threebody import Problem


def reference(initial, steps, dt, distance, body=0):
    """Explicit Euler of both systems, one rounded operation after the other in the kernel's order."""
    shape = initial.shape
    full = lambda triple: [np.broadcast_to(value, shape).astype(float) for value in triple]  # noqa: E731
    attraction = [initial.gravity * mass for mass in initial.mass]
    systems = []
    for shifted in (False, True):
        position = [full(triple) for triple in initial.position]
        if shifted:
            position[body] = [p + s for p, s in zip(position[body], full(initial.shift), strict=True)]
        systems.append((position, [full(triple) for triple in initial.velocity]))
    times = np.full(shape, steps)
    for step in range(steps):
        first, second = systems[0][0][body], systems[1][0][body]
        square = sum_of_squares([a - b for a, b in zip(first, second, strict=True)])
        times = np.where((times == steps) & ~(square <= distance * distance), step, times)
        systems = [euler(position, velocity, attraction, dt) for position, velocity in systems]
    return times, np.array(systems[0]).reshape(18, *shape)


def sum_of_squares(d):
    return d[2] * d[2] + (d[1] * d[1] + d[0] * d[0])


def euler(p, v, attraction, dt):
    strength = {}
    difference = {}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        difference[a, b] = [x - y for x, y in zip(p[a], p[b], strict=True)]
        square = sum_of_squares(difference[a, b])
        strength[a, b] = 1.0 / (square * np.sqrt(square))
    new_p = [[dt * v[body][c] + p[body][c] for c in range(3)] for body in range(3)]
    new_v = [[], [], []]
    for c in range(3):
        d01, d02, d12 = (difference[pair][c] for pair in ((0, 1), (0, 2), (1, 2)))
        f01, f02, f12 = (strength[pair] for pair in ((0, 1), (0, 2), (1, 2)))
        g0, g1, g2 = attraction
        new_v[0].append(dt * (-(g2 * f02) * d02 + -(g1 * f01 * d01)) + v[0][c])
        new_v[1].append(dt * (-(g2 * f12) * d12 + g0 * f01 * d01) + v[1][c])
        new_v[2].append(dt * (g1 * f12 * d12 + g0 * f02 * d02) + v[2][c])
    return new_p, new_v


def test_plain_equals_numpy_bit_for_bit(threebody_run, threebody_plane):
    steps, initial = 3_000, threebody_plane(12, gravity=60.0, shift=(1e-2, -2e-2, 3e-2))
    problem = Problem(arithmetic="plain", early_stop=False, body=0, outputs=("final",))
    arrays = threebody_run(HostBackend(1), initial, problem, steps=steps, distance=0.2)
    times, final = reference(initial, steps, 1e-3, 0.2)
    assert 10 < np.count_nonzero(times < steps) < 134
    np.testing.assert_array_equal(arrays["times"], times)
    np.testing.assert_array_equal(arrays["final"], final)


def test_each_body_can_be_the_shifted_one(threebody_run, threebody_plane):
    steps, initial = 1_000, threebody_plane(6, gravity=300.0, shift=(1e-2, -2e-2, 3e-2))
    for body in (1, 2):
        problem = Problem(arithmetic="plain", early_stop=False, body=body)
        arrays = threebody_run(HostBackend(1), initial, problem, steps=steps, distance=0.038)
        times, _ = reference(initial, steps, 1e-3, 0.038, body)
        assert np.count_nonzero(times < steps) > 0
        np.testing.assert_array_equal(arrays["times"], times)
