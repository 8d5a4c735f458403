"""Check values of the three-body spec: T0, A1, A6 to A11, A17, B5 to B10."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import threebody
from kernels.backends.host import HostBackend
from kernels.threebody import Problem

FINAL = Problem(early_stop=False, outputs=("final",))
HOST = HostBackend(threads=2)


@pytest.mark.parametrize(
    ("state", "tolerance", "expected"),
    [
        (1, 0, [-10.003, 10, -11, 0, 0, 0, 10.003, 10, 12]),
        (2, 5e-11, [-10.0059994515, 9.9999996592, -10.9999993863, 2.9039744224e-7, 6.3119660781e-7, 3.6551688897e-7,
                    10.0059996236, 9.9999996928, 11.9999995518]),
        (1000, 1e-8, [-12.7280084298, 9.8445675301, -10.722199897, 0.1482853815, 0.2905504672, 0.1699239749,
                      12.8104792223, 9.8581105118, 11.7941173158]),
        (10000, 1e-7, [-15.4760303339, 3.3719485159, 4.1539914849, 16.4021229554, 1.3485109574, -1.7443816653,
                       20.8905948077, 11.3103431898, 8.1115906152]),
        (50000, 1e-4, [17.83405, 16.28054, -25.80162, 63.72310, 0.81082, 5.87974, 58.23992, 7.36594, 13.01404]),
    ],
)  # fmt: skip
def test_states_of_the_default_trajectory(threebody_run, threebody_single, state, tolerance, expected):
    final = threebody_run(HOST, threebody_single([-10, 10, -11]), FINAL, steps=state)["final"]
    np.testing.assert_allclose(final[:9, 0, 0], expected, rtol=0, atol=max(tolerance, 4e-15))


def test_momentum_and_centre_of_mass_are_kept(threebody_run, threebody_single):
    final = threebody_run(HOST, threebody_single([-10, 10, -11]), FINAL, steps=50_000)["final"][:, 0, 0]
    mass = np.array([10.0, 20.0, 30.0])
    np.testing.assert_allclose(mass @ final[9:].reshape(3, 3), [60, 0, 0], atol=1e-10)
    np.testing.assert_allclose(mass @ final[:9].reshape(3, 3) / 60, [10 / 3 + 50, 20 / 3, 25 / 6], atol=1e-9)


@pytest.mark.parametrize(("steps", "energy"), [(10_000, -330.785), (50_000, -316.247)])
def test_energy_error_of_euler(threebody_run, threebody_single, steps, energy):
    problem = Problem(early_stop=False, outputs=("energy_error",))
    error = threebody_run(HOST, threebody_single([-10, 10, -11]), problem, steps=steps)["energy_error"]
    assert error[0, 0] == pytest.approx((energy + 342.8831565) / 342.8831565, abs=2e-6)


def test_initial_accelerations(threebody_run, threebody_single):
    # After one step of length dt the velocities have changed by dt times the acceleration (spec A1).
    final = threebody_run(HOST, threebody_single([-10, 10, -11]), FINAL, steps=1, dt=1.0)["final"][9:, 0, 0]
    acceleration = final.reshape(3, 3) - [[-3, 0, 0], [0, 0, 0], [3, 0, 0]]
    expected = [
        [0.5484596, -0.34079917, 0.61368858],
        [0.29039744, 0.63119661, 0.36551689],
        [-0.37641816, -0.30719802, -0.44824079],
    ]
    np.testing.assert_allclose(acceleration, expected, atol=1e-8)
    np.testing.assert_allclose(np.array([10, 20, 30]) @ acceleration, 0, atol=1e-13)


@pytest.mark.parametrize("arithmetic", threebody.ARITHMETICS)
@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_reference_map_whatever_the_vector(threebody_run, threebody_plane, assert_reference, arithmetic, lanes):
    assert_reference(threebody_run(HostBackend(1, lanes), threebody_plane(16), Problem(arithmetic=arithmetic))["times"])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_reference_map_whatever_the_threads(threebody_run, threebody_plane, assert_reference, threads):
    assert_reference(threebody_run(HostBackend(threads), threebody_plane(16))["times"])


def test_full_integration_keeps_the_times(threebody_run, threebody_plane, assert_reference):
    assert_reference(threebody_run(HOST, threebody_plane(16), Problem(early_stop=False))["times"])


def test_growth_follows_from_the_longest_run(threebody_run, threebody_plane):
    long = threebody_run(HOST, threebody_plane(16), steps=100_000)["times"]
    short = threebody_run(HOST, threebody_plane(16), steps=50_000)["times"]
    np.testing.assert_array_equal(np.minimum(long, 50_000), short)


def test_coarse_map_is_a_subset_of_the_fine_one(threebody_run, threebody_plane):
    coarse, fine = (threebody_run(HOST, threebody_plane(size), steps=20_000)["times"] for size in (8, 16))
    np.testing.assert_array_equal(coarse, fine[::2, ::2])


def test_without_gravity_nothing_diverges(threebody_run, threebody_plane):
    arrays = threebody_run(HOST, threebody_plane(16, gravity=0.0), steps=5_000)
    assert np.all(arrays["times"] == 5_000)
    assert np.all(arrays["outcome"] == threebody.OUTCOMES["never"])


def test_a_distance_below_the_shift_ends_at_once(threebody_run, threebody_plane):
    assert np.all(threebody_run(HOST, threebody_plane(16), distance=1.7e-3)["times"] == 0)


def test_separation_at_the_first_crossing(threebody_run, threebody_single):
    arrays = threebody_run(HOST, threebody_single([-7.5, 2.5, -11]), Problem(outputs=("separation",)))
    assert arrays["times"][0, 0] == 22458
    assert arrays["separation"][0, 0] == pytest.approx(0.500465, abs=1e-6)


def test_bodies_that_coincide_end_as_non_finite(threebody_run, threebody_single):
    arrays = threebody_run(HOST, threebody_single([0, 0, 0]))
    assert arrays["times"][0, 0] == 2
    assert arrays["outcome"][0, 0] == threebody.OUTCOMES["non-finite"]


def test_a_pixel_that_loses_its_number_after_diverging_stays_diverged(threebody_run, threebody_single):
    start = threebody_single([0, 0, 1e-200], shift=(1.0, 0.0, 0.0))
    arrays = threebody_run(HOST, start, Problem(early_stop=False, outputs=("final",)), steps=100)
    assert np.isnan(arrays["final"]).any()
    assert (arrays["times"][0, 0], arrays["outcome"][0, 0]) == (0, threebody.OUTCOMES["diverged"])


@pytest.mark.parametrize(
    ("change", "diverged", "smallest", "total"),
    [
        ({"z": 10.9}, 102, 1747, None),
        ({"z": 11.0}, 100, 1598, None),
        ({"z": 11.15}, 102, 630, None),
        ({"z": -10.9}, 79, None, None),
        ({"z": -11.15}, 82, 13051, None),
        ({"mass": (30.0, 20.0, 30.0)}, 115, None, 11089963),
        ({"mass": (5.9, 20.0, 30.0)}, 74, 9532, 11577872),
        ({"gravity": 1.0}, 0, None, None),
        ({"gravity": 20.0}, 100, 4151, None),
        ({"gravity": 30.7}, 95, 3163, 10280061),
        ({"axes": "yz"}, 93, 4940, 11326132),
    ],
)
def test_sweeps(threebody_run, threebody_plane, change, diverged, smallest, total):
    times = threebody_run(HOST, threebody_plane(16, **change))["times"]
    assert np.count_nonzero(times < 50_000) == diverged
    assert smallest is None or times.min() == smallest
    assert total is None or times.sum() == total


def test_parameters_may_differ_from_pixel_to_pixel(threebody_run, threebody_plane):
    masses = np.repeat([[30.0, 5.9]], 16, axis=0).repeat([8, 8], axis=1)
    gravity = np.full((16, 16), 9.8)
    mixed = threebody_run(HOST, threebody_plane(16, mass=(masses, 20.0, 30.0), gravity=gravity), steps=20_000)["times"]
    for half, mass in ((np.s_[:, :8], 30.0), (np.s_[:, 8:], 5.9)):
        whole = threebody_run(HOST, threebody_plane(16, mass=(mass, 20.0, 30.0)), steps=20_000)["times"]
        np.testing.assert_array_equal(mixed[half], whole[half])


def test_mirror_symmetry_of_the_yz_plane(threebody_run, threebody_plane):
    # Reflection across the plane through bodies 2 and 3 and the x direction, with a shift along x alone (spec A11).
    rng = np.random.default_rng(7)
    points = rng.uniform(-20, 20, (1, 50, 2))
    normal = np.array([12.0, -10.0]) / np.sqrt(244)
    mirrored = points - 2 * (points @ normal)[..., None] * normal
    maps = []
    for y, z in (np.moveaxis(points, -1, 0), np.moveaxis(mirrored, -1, 0)):
        initial = threebody_plane(1, shift=(1e-3, 0.0, 0.0))
        start = threebody.Initial((1, 50), ((-10.0, y, z), *initial.position[1:]), *list(vars(initial).values())[2:])
        maps.append(threebody_run(HOST, start)["times"])
    assert np.count_nonzero(maps[0] < 50_000) > 5
    np.testing.assert_array_equal(*maps)


def test_two_body_control(threebody_run, threebody_single):
    # Body 1 has no mass; energy of the relative motion of bodies 2 and 3, drift of Euler included (spec A17).
    velocity = ((-3.0, 0.0, 0.0), (-3.0, 0.0, 0.0), (3.0, 0.0, 0.0))
    start = threebody_single([-10, 10, -11], velocity=velocity, mass=(0.0, 20.0, 30.0), shift=(0.0, 0.0, 1e-6))
    final = threebody_run(HOST, start, Problem(early_stop=False, body=2, outputs=("final", "separation")), steps=50_000)
    state = final["final"][:, 0, 0].reshape(2, 3, 3)
    relative, speed = state[0, 1] - state[0, 2], state[1, 1] - state[1, 2]
    specific_energy = speed @ speed / 2 - 9.8 * 50 / np.sqrt(relative @ relative)
    assert specific_energy == pytest.approx(-8.357948, abs=1e-6)
    assert final["separation"][0, 0] < 9.81e-5


def test_single_precision_grains_but_is_not_noise(threebody_run, threebody_plane):
    double = threebody_run(HOST, threebody_plane(16))["times"]
    single = threebody_run(HOST, threebody_plane(16), Problem(precision="float32"))["times"]
    assert 0.25 < np.mean(double != single) < 0.45


def test_single_precision_is_the_same_on_every_vector(threebody_run, threebody_plane):
    problem = Problem(precision="float32", outputs=tuple(threebody.OUTPUTS))
    scalar, vector = (
        threebody_run(HostBackend(1, lanes), threebody_plane(16), problem, steps=20_000) for lanes in (1, 8)
    )
    for name in threebody.OUTPUTS:
        np.testing.assert_array_equal(scalar[name], vector[name])


def test_a_number_that_is_none_has_the_same_bits_everywhere(threebody_run, threebody_single):
    start = threebody_single([0, 0, 0])
    problem = Problem(early_stop=False, outputs=("separation", "energy_error", "final"))
    results = [threebody_run(HostBackend(1, lanes), start, problem, steps=9) for lanes in (1, 4, 8)]
    for name in problem.outputs:
        assert len({arrays[name].tobytes() for arrays in results}) == 1
    assert np.isnan(results[0]["final"]).any()
