"""The boundary kind: its formulas against a plain NumPy loop, classification, arrays, tiles, views of what never stops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jobs import model
from jobs.boundary.given import over_pixels
from jobs.boundary.kind import Boundary, formulas_of
from jobs.boundary.stage import BoundaryStage
from jobs.reading import merge
from jobs.view import window
from kernels import iterate
from kernels.backends.host import HostBackend
from kernels.expression import evaluate

from .conftest import Done, compute, run_unit

Sections = dict[str, Any]

MANDELBROT: Sections = {
    "kind": "boundary",
    "name": "small",
    "map": {"z": "z**2 + c"},
    "start": {"z": 0},
    "constants": {"c": "pixel"},
    "stop": {"when": "abs(z) > 2", "max_iterations": 50},
    "view": {"center": [-0.6, 0], "width": 3.2, "resolution": [24, 20]},
}


def make(*sections: Sections) -> Boundary:
    tree = MANDELBROT
    for one in sections:
        # A map of its own brings its own states and numbers
        if "map" in one:
            tree = {**tree, "start": {}, "constants": {}, "map": {}}
        tree = merge(tree, one)
    job = model.from_tree(tree)
    assert isinstance(job, Boundary)
    return job


def stage_of(job: Boundary) -> BoundaryStage:
    stage = model.plan(job).stages[-1]
    assert isinstance(stage, BoundaryStage)
    return stage


def slowly(job: Boundary, frame: int) -> dict[str, np.ndarray[Any, Any]]:
    """Counts, ends and orbit traps of one frame by a loop over arrays of NumPy."""
    formulas = formulas_of(job)
    (columns, rows), dtype = job.view.resolution, complex if formulas.map.complex else float
    u, v = window(job.view, frame).points(slice(0, rows), slice(0, columns))
    values = over_pixels(formulas.given, frame, u, v)

    def first(formula: Any) -> np.ndarray[Any, Any]:
        return np.broadcast_to(np.asarray(evaluate.numpy(formula, values), dtype=dtype), (rows, columns)).copy()

    states = {name: first(one) for name, one in zip(formulas.map.states, formulas.start, strict=True)}
    olds = {name: first(one) for name, one in zip(formulas.map.states, formulas.old, strict=True)}
    constants = {spec.name: values[tuple(map(slice, spec.shape))] for spec, values in model.plan(job).constants}
    limit = int(constants["max_iterations"][frame])
    counts, alive = np.full((rows, columns), limit), np.ones((rows, columns), dtype=bool)
    for k in range(limit):
        names = {**values, **states, **{f"{name}_old": old for name, old in olds.items()}, "k": float(k)}
        updates = zip(formulas.map.states, formulas.map.updates, strict=True)
        new = {name: np.broadcast_to(evaluate.numpy(update, names), alive.shape) for name, update in updates}
        olds = {name: np.where(alive, states[name], olds[name]) for name in states}
        states = {name: np.where(alive, new[name], states[name]) for name in states}
        names |= {**states, **{f"{name}_old": old for name, old in olds.items()}}
        stopped = np.broadcast_to(evaluate.numpy(formulas.map.stop, names), alive.shape)
        stopped = stopped | ~np.isfinite(np.stack(list(states.values()))).all(axis=0)
        counts[alive & stopped] = k
        alive = alive & ~stopped
    return {"iterations": counts, **states}


SYSTEMS: dict[str, Sections] = {
    "mandelbrot": {},
    "julia": {"map": {"z": "z**2 + a"}, "start": {"z": "pixel"}, "constants": {"a": "-0.744 + 0.148i"}},
    "turning": {
        "map": {"z": "z**2 + c + b"},
        "start": {"z": "c"},
        "constants": {"c": "pixel", "b": "r*exp(i*w*t)", "r": "1/3", "w": 0.1},
        "frames": {"count": 3},
        "stop": {"max_iterations": "20 + 10*t"},
    },
    "exponent of the frame": {
        "map": {"z": "z**n + pixel"},
        "start": {"z": 0},
        "constants": {"n": "2 + t/3"},
        "frames": {"count": 2},
    },
    "exponent of the pixel": {
        "map": {"z": "z**n + c"},
        "start": {"z": 0.1},
        "constants": {"n": "2 + abs(u)", "c": "u + i*v/2"},
    },
    "coordinates in the map": {"map": {"z": "z**2 + u + i*v"}, "start": {"z": 0}},
    "burning ship": {"map": {"z": "(abs(re(z)) + i*abs(im(z)))**2 + pixel"}, "start": {"z": 0}},
    "tricorn": {"map": {"z": "conj(z)**2 + pixel"}, "start": {"z": 0}},
    "sine": {
        "map": {"z": "a*sin(z)"},
        "start": {"z": "pixel"},
        "constants": {"a": "1 + 0.2i"},
        "stop": {"when": "abs(im(z)) > 20", "max_iterations": 30},
    },
    "phoenix": {
        "map": {"z": "z**2 + 0.56667 - 0.5*z_old"},
        "start": {"z": "pixel", "z_old": 0},
    },
    "begun anew": {"map": {"z": "z**2 + z_start/2"}, "start": {"z": "pixel"}},
    "counted": {"map": {"z": "z**2 + pixel/(1 + k)"}, "start": {"z": 0}},
    "newton": {
        "map": {"z": "z - f(z)/d(f(z), z)"},
        "start": {"z": "pixel"},
        "define": {"f(s)": "s**3 - g", "g": "1 + 0*i"},
        "stop": {"when": "abs(z - z_old) < 1e-7", "max_iterations": 30},
    },
    "secant": {
        "map": {"z": "z - f(z)*(z - z_old)/(f(z) - f(z_old))"},
        "start": {"z": "pixel", "z_old": "pixel/2"},
        "define": {"f(s)": "s**3 - 1"},
        "stop": {"when": "abs(z - z_old) < 1e-7", "max_iterations": 30},
    },
    "two that come together": {
        "map": {"z": "N(z)", "w": "N(w)"},
        "start": {"z": "pixel", "w": "pixel + 1e-3"},
        "define": {"N(s)": "s - (s**3 - 1)/(3*s**2)"},
        "stop": {"when": "abs(z - w) < 1e-7", "max_iterations": 30},
    },
    "henon": {
        "map": {"x": "1 - a*x**2 + y", "y": "b*x"},
        "start": {"x": "u", "y": "v"},
        "constants": {"a": 1.4, "b": 0.3},
        "stop": {"when": "sqrt(x**2 + y**2) > 10", "max_iterations": 40},
    },
    "flow": {
        "map": {"dx": "y", "dy": "-a*y - b*sin(x)"},
        "integrator": {"dt": "0.1 + 0.01*t"},
        "start": {"x": "u", "y": "5*v"},
        "constants": {"a": 0.2, "b": 4.9},
        "frames": {"count": 2},
        "stop": {"when": "abs(x) > 2*pi or abs(y) < 0.01", "max_iterations": 40},
    },
    "real parameter plane": {
        "map": {"x": "r*x*(1 - x)"},
        "start": {"x": "v"},
        "constants": {"r": "u"},
        "stop": {"when": "not (x > -1 and x < 2)", "max_iterations": 30},
    },
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_equals_a_loop_over_numpy(name: str) -> None:
    """Few updates, so that rounding decides about no pixel but those at the edge of the test."""
    detect: Sections = {"stop": {"detect_cycles": False}, "outputs": ["iterations", "final"]}
    job = make(SYSTEMS[name], detect)
    arrays = compute(model.plan(job))
    names = job.map if job.integrator is None else [key[1:] for key in job.map]
    for frame in range(job.frames.count):
        expected = slowly(job, frame)
        counts = arrays["iterations"][frame]
        same = counts == expected["iterations"]
        assert same.mean() >= 0.99
        assert len(np.unique(counts)) > 3
        final = iter(arrays["final"][frame])
        for state in sorted(names):
            values = next(final)
            if job.numbers == "complex":
                values = values + 1j * next(final)
            early = same & (counts < 8) & np.isfinite(expected[state])
            np.testing.assert_allclose(values[early], expected[state][early], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_never_stops_is_found_early(name: str) -> None:
    """Counts are the same bytes whether cycles are looked for or not, and whatever the tiles are."""
    longer: Sections = {"stop": {"max_iterations": 300}} if "frames" not in SYSTEMS[name] else {}
    plain = compute(model.plan(make(SYSTEMS[name], longer, {"stop": {"detect_cycles": False}})))
    tiled = compute(model.plan(make(SYSTEMS[name], longer, {"run": {"shard": [7, 5]}})))
    assert plain["iterations"].tobytes() == tiled["iterations"].tobytes()


def test_outputs_do_not_change_each_other() -> None:
    every: Sections = {
        "map": {"z": "z**3 + c"},
        "start": {"z": 0},
        "constants": {"c": "pixel"},
        "trap": {"value": "abs(z - 1)"},
        "stop": {"when": "abs(z) > 100", "max_iterations": 60},
        "outputs": ["iterations", "outcome", "final", "smooth", "distance", "period", "orbit_trap"],
    }
    together = compute(model.plan(make(every)))
    assert list(together) == every["outputs"]
    for name in every["outputs"]:
        extra = {"map": every["map"]} if name != "orbit_trap" else every
        alone = compute(model.plan(make({**every, **extra, "outputs": [name]})))
        assert set(alone) == {name}
        assert alone[name].tobytes() == together[name].tobytes(), name


def test_arrays_and_constants() -> None:
    job = make(SYSTEMS["turning"], {"outputs": ["final", "outcome", "iterations"]})
    plan = model.plan(job)
    iterations, outcome, final = plan.stages[0].arrays
    assert (iterations.name, outcome.name, final.name) == ("iterations", "outcome", "final")
    assert iterations.attributes["never"] == "max_iterations"
    assert iterations.fill_value == -1
    assert iterations.dimensions == ("frame", "y", "x")
    assert outcome.attributes["outcomes"] == {"never": 0, "stopped": 1, "non-finite": 2}
    assert final.shape == (3, 2, 20, 24)
    assert final.attributes["components"] == ["z_re", "z_im"]
    constants = {spec.name: values[tuple(map(slice, spec.shape))] for spec, values in plan.constants}
    assert set(constants) == {"x", "y", "max_iterations", "b_re", "b_im", "r", "w"}
    assert constants["max_iterations"].tolist() == [20, 30, 40]
    np.testing.assert_allclose(constants["b_re"] + 1j * constants["b_im"], np.exp(0.1j * np.arange(3)) / 3)
    assert model.plan(make()).stages[0].arrays[0].attributes["never"] == 50


def test_constants_go_where_they_are_cheapest() -> None:
    """No frame and no pixel in it: baked; a frame: a number of the launch; a pixel: one a lane."""
    job = make(SYSTEMS["turning"])
    kinds = {constant.name: constant.kind for constant in formulas_of(job).map.constants}
    assert kinds == {"c": "lane", "b": "uniform"}
    baked = formulas_of(make(SYSTEMS["henon"])).map.constants
    assert {(one.name, one.kind, one.value) for one in baked} == {("a", "baked", 1.4), ("b", "baked", 0.3)}


@pytest.mark.parametrize("name", ["mandelbrot", "secant", "henon"])
@pytest.mark.parametrize("outputs", [["iterations"], ["iterations", "smooth", "final"]])
def test_memory_is_what_is_said(name: str, outputs: list[str]) -> None:
    """Enough, and not many times too much: the ranks of a host are counted by it."""
    import tracemalloc

    size: Sections = {"view": {"resolution": [300, 300]}, "stop": {"max_iterations": 20}, "outputs": outputs}
    stage = stage_of(make(SYSTEMS[name], size, {"run": {"shard": [300, 300]}}))
    iterate.compile(stage.problem, HostBackend(threads=1))
    tracemalloc.start()
    run_unit(stage, 0, HostBackend(threads=1), Done())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    buffers = 2 * sum(8 for array in stage.arrays)
    assert peak < stage.memory_bytes(0) < 4 * peak + buffers * 300 * 300


def test_the_kernel_depends_on_no_frame() -> None:
    """One compile a job: other frames, views and limits give the same source."""
    digests = {
        model.plan(make(SYSTEMS["turning"], changed)).attributes["kernel_digest"]
        for changed in (
            {},
            {"frames": {"count": 30}},
            {"view": {"width": "3/2**t", "resolution": [8, 8]}},
            {"stop": {"max_iterations": 7}},
        )
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("sections", "numbers"),
    [
        ({}, "complex"),
        (SYSTEMS["henon"], "real"),
        (SYSTEMS["flow"], "real"),
        (SYSTEMS["real parameter plane"], "real"),
        (SYSTEMS["newton"], "complex"),
        ({"map": {"z": "z**2 + a"}, "start": {"z": "u"}, "constants": {"a": "re(i*v)"}}, "complex"),
        ({"map": {"z": "z**2 + u"}, "start": {"z": 0}, "stop": {"when": "z > 2"}}, "real"),
        ({"map": {"z": "z**2 + u"}, "start": {"z": 0}, "numbers": "complex"}, "complex"),
    ],
)
def test_real_and_complex(sections: Sections, numbers: str) -> None:
    job = make(sections)
    assert job.numbers == numbers
    assert formulas_of(job).map.complex == (numbers == "complex")


def test_cardioid_and_disc_are_not_iterated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels of the two largest parts are known: nothing is iterated there, and periods are told."""
    shapes = []
    start = iterate.Program.start

    def started(self: iterate.Program, shape: tuple[int, int], **given: Any) -> Any:
        shapes.append(shape)
        return start(self, shape, **given)

    monkeypatch.setattr(iterate.Program, "start", started)
    outputs: Sections = {"outputs": ["iterations", "period"]}
    whole = compute(model.plan(make(outputs, {"stop": {"max_iterations": 1000}})))
    assert shapes[0][1] < 480
    assert {1, 2, 3} <= set(np.unique(whole["period"]))
    inside = compute(model.plan(make(outputs, {"view": {"center": [-0.1, 0], "width": 0.1, "resolution": [4, 4]}})))
    assert len(shapes) == 1
    assert (inside["iterations"] == 50).all()
    assert (inside["period"] == 1).all()
    whole = compute(model.plan(make()))

    # The same set written otherwise is iterated, to the same counts
    for other in (
        {"map": {"z": "z**2 + 1*pixel"}, "start": {"z": 0}},
        {"stop": {"detect_cycles": False}},
        {"stop": {"when": "abs(z) > 2 or abs(z) < -1"}},
    ):
        counts = compute(model.plan(make(other)))["iterations"]
        assert shapes[-1] == (20, 24)
        assert counts.tobytes() == whole["iterations"].tobytes()


def test_small_escape_radius_is_no_mandelbrot_set() -> None:
    """Points of the cardioid pass the circle of radius 0.1."""
    counts = compute(model.plan(make({"stop": {"when": "abs(z) > 0.1"}})))["iterations"]
    assert (counts < 50).sum() > 470


def test_periods_are_those_of_the_cycles() -> None:
    """Centres of components of the Mandelbrot set, a little off."""
    for c, period in ((-0.1226 + 0.7449j, 3), (-1.7549, 3), (0.2823 + 0.5301j, 4), (-1.6254, 5)):
        sections: Sections = {
            "view": {"center": [c.real, c.imag], "width": 1e-9, "resolution": [3, 3]},
            "stop": {"max_iterations": 2000},
            "outputs": ["period", "outcome"],
        }
        arrays = compute(model.plan(make(sections)))
        assert (arrays["period"] == period).all()
        assert (arrays["outcome"] == 0).all()


def test_rounding_makes_no_periods() -> None:
    """In the cardioid and the disc orbits settle on small cycles of numbers; the true periods are 1 and 2."""
    iterated: Sections = {"map": {"z": "z**2 + 1*pixel"}, "start": {"z": 0}, "outputs": ["period"]}
    known = compute(model.plan(make({"outputs": ["period"]}, {"stop": {"max_iterations": 5000}})))["period"]
    found = compute(model.plan(make(iterated, {"stop": {"max_iterations": 5000}})))["period"]
    assert ((known == 1) == (found == 1)).all()
    assert ((known == 2) == (found == 2)).all()
    assert (known == 1).sum() > 50


def test_not_a_number_counts_as_ended() -> None:
    """0/0 in the first update, and an overflow that the test cannot see."""
    division: Sections = {"map": {"z": "(z - pixel)/(z - pixel)"}, "start": {"z": "pixel"}}
    arrays = compute(model.plan(make(division, {"outputs": ["iterations", "outcome"]})))
    assert (arrays["iterations"] == 0).all()
    assert (arrays["outcome"] == 2).all()


@pytest.mark.parametrize("precision", ["auto", "float64", "float32"])
def test_precision(precision: str) -> None:
    """Spec: 36 of 250,000 pixels differ between complex64 and complex128."""
    sections: Sections = {
        **SYSTEMS["julia"],
        "view": {"center": [0, 0], "width": 2.8, "resolution": [500, 500], "sampling": "inclusive"},
        "stop": {"max_iterations": 70},
    }
    counts = compute(model.plan(make(sections, {"numerics": {"precision": precision}})))["iterations"]
    never = int((counts == 70).sum())
    assert never == 34_506 or precision == "float32"
    assert abs(never - 34_506) < 20


def test_one_pass_serves_every_smaller_limit() -> None:
    long = compute(model.plan(make(SYSTEMS["julia"], {"stop": {"max_iterations": 500}})))["iterations"]
    for limit in (10, 50, 200):
        short = compute(model.plan(make(SYSTEMS["julia"], {"stop": {"max_iterations": limit}})))["iterations"]
        assert (np.minimum(long, limit) == short).all()


def test_frames_of_a_sweep_equal_single_jobs() -> None:
    """A number of the launch gives the bytes that the same number baked into the kernel gives."""
    swept = compute(model.plan(make(SYSTEMS["turning"])))["iterations"]
    for frame in range(3):
        fixed: Sections = {
            "constants": {"b": f"r*exp(i*w*{frame})"},
            "stop": {"max_iterations": 20 + 10 * frame},
            "frames": {"count": 1},
        }
        single = compute(model.plan(make(SYSTEMS["turning"], fixed)))["iterations"]
        assert single[0].tobytes() == swept[frame].tobytes()


def test_states_have_an_order_of_their_own() -> None:
    """Alphabetical, whatever the order in the file."""
    henon = SYSTEMS["henon"]
    turned = {**henon, "map": dict(reversed(henon["map"].items())), "outputs": ["final"]}
    first = model.plan(make(henon, {"outputs": ["final"]}))
    second = model.plan(make(turned))
    assert first.attributes["job_hash"] == second.attributes["job_hash"]
    assert first.stages[0].arrays[0].attributes["components"] == ["x", "y"]
    assert compute(first)["final"].tobytes() == compute(second)["final"].tobytes()
