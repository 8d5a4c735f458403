"""What strangers write, made up: each outcome is a value or one line of RequestError, within bounds that the system holds.

As a script, in a process of its own: fuzz.py TARGET EXAMPLES. The process may take MEMORY_BYTES more than it starts with, and
EXAMPLE_S of processor time an example; what breaks the bounds ends it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from analysis import images, measures
from analysis.picture import resolve
from hpc import ledger, runs, store
from hpc.reading import open_for_reading
from jobs import cli, model
from jobs.reading import GALLERY, gallery_names, locate, read, toml_value
from kernels.errors import RequestError
from kernels.expression import parse
from kernels.expression.evaluate import decimal, numpy

MEMORY_BYTES = 1 << 30
EXAMPLE_S = 10.0
LONGEST_LINE = 4000

HOSTILE_NUMBERS = [
    "0",
    "-1",
    "1e308",
    "-1e308",
    "5e-324",
    "1e999",
    "9" * 400,
    "-0.0",
    "9223372036854775807",
    "1e-320",
    "3e9",
]
HOSTILE_FORMULAS = [
    *(
        "9**9**9",
        "9**9**9**9",
        "10**-10**10",
        "1e999999999",
        "2**0.5**1e300",
        "exp(exp(exp(9)))",
        "sin(1e199)",
        "0/0",
        "-i",
    ),
    *(
        "0." + "3" * 900,
        "1e-900 + 1",
        "tan(1e150)*1e-150",
        "(1 + 1e-590)**(10**580)",
        "log(-1)",
        "t/0",
        "u*1e308*1e308",
    ),
    *(
        "1/t",
        "floor(1e300)",
        "sqrt(" * 60 + "2" + ")" * 60,
        "-" * 150 + "2",
        "a" * 3000,
        "1_000",
        "0x10",
        "'x'",
        "x.real",
    ),
    *("__import__('os')", "\x1b[2J", "\u202e", "$(touch x)", "../../x", "%s%n", "{0.__class__}", "\\frac{", "$^{$"),
]
PIECES = [
    *"xytuvk+-*/(),<>=",
    "**",
    " and ",
    " not ",
    "sin(",
    "cosh(",
    "max(",
    "d(",
    "arg(",
    "1e300",
    "i",
    "pi",
    "\n",
    "0.5",
]

texts = (
    st.text(max_size=80)
    | st.sampled_from(HOSTILE_FORMULAS)
    | st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 70000)
    | st.sampled_from([2**31 - 1, 2**63 - 1, -(2**63), 10**18])
    | st.floats()
    | texts
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


class TooLong(BaseException):
    """An example has had its processor time; no handler of what is tested may take it."""


def attempt(work: Callable[[], Any]) -> Any:
    """What the work gives, None where it is refused in one line; anything else ends the search."""
    signal.setitimer(signal.ITIMER_PROF, EXAMPLE_S)
    try:
        return work()
    except RequestError as error:
        message = str(error)
        assert message, "a refusal says why"
        assert "\n" not in message, message
        assert len(message) < LONGEST_LINE, f"{len(message)} characters: {message[:200]}"
        return None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def plan_and_describe(job: Any) -> None:
    """All that happens to a job before anything is computed."""
    loaded = model.from_tree(job) if isinstance(job, dict) else model.load(job)
    if loaded.kind == "training":
        return  # Its plan reads and cuts its data, however much that is.
    plan = model.plan(loaded)
    for stage in plan.stages:
        if stage.num_units:
            stage.cost(0)
            stage.memory_bytes(0)


@given(st.binary(max_size=300) | texts.map(lambda text: text.encode("utf-8", "replace")))
def noise_as_a_job(content: bytes) -> None:
    path = Path("noise.toml")
    path.write_bytes(b'kind = "divergence"\n' + content)
    attempt(lambda: plan_and_describe(str(path)))


JOBS = sorted({read(locate(name))["kind"]: name for name in reversed(gallery_names())}.values())


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a tree, tables and lists among them."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from leaves(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a path; without it where the value is MISSING."""
    copy = json.loads(json.dumps(tree))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if value is MISSING:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return copy


MISSING = object()
EXTRA_KEYS = [
    *("view.center", "view.width", "view.height", "view.resolution", "view.rotation", "view.sampling", "frames.count"),
    *("run.shard", "run.chunk", "run.threads", "run.deadline", "picture.value", "picture.range", "picture.colormap"),
    *(
        "picture.cycle",
        "picture.background",
        "picture.shade",
        "picture.frames",
        "outputs",
        "constants",
        "define",
        "check",
    ),
    *(
        "numerics.precision",
        "numerics.arithmetic",
        "name",
        "title",
        "integrator.steps",
        "integrator.dt",
        "map.max_iterations",
    ),
]


@given(st.data())
def changed_jobs(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(JOBS))
    tree: Any = tomllib.loads((GALLERY / f"{name}.toml").read_text()) | {"name": name}
    for _ in range(data.draw(st.integers(1, 3))):
        value = data.draw(trees | st.sampled_from(HOSTILE_NUMBERS).map(toml_value) | st.sampled_from([MISSING]))
        if data.draw(st.booleans()):
            paths = list(leaves(tree))
            tree = changed(tree, data.draw(st.sampled_from(paths)), value) if paths else tree
        elif value is not MISSING:
            section, _, key = data.draw(st.sampled_from(EXTRA_KEYS)).rpartition(".")
            inner = tree.setdefault(section, {}) if section else tree
            if isinstance(inner, dict):
                inner[key] = value
    attempt(lambda: plan_and_describe(tree))


@given(texts | st.text("0123456789.e+-*/ ()", max_size=60) | st.sampled_from(HOSTILE_NUMBERS), st.integers(0, 3))
def views(text: str, part: int) -> None:
    key = ("center", "width", "height", "rotation")[part]
    view: dict[str, Any] = {"resolution": [4, 3], key: [text, "0"] if key == "center" else text}
    attempt(lambda: plan_and_describe({"kind": "divergence", "name": "a", "view": view}))


@given(texts, st.floats(), st.complex_numbers())
def formulas(text: str, real: float, number: complex) -> None:
    def work() -> None:
        formula = parse(text, names=["x", "y", "t", "u"], key="key")
        values = dict.fromkeys(("x", "t", "u"), real) | {"y": number}
        with contextlib.suppress(RequestError):
            numpy(formula, values)
        assert isinstance(decimal(formula, dict.fromkeys(values, "1.5")), float)

    attempt(work)


entries = st.fixed_dictionaries(
    {
        "unit": st.integers() | scalars,
        "stage": st.sampled_from(["map", "a"]) | scalars,
        "run": st.sampled_from(["first"]) | scalars,
        "seconds": st.floats() | scalars,
        "files": st.dictionaries(st.text(max_size=8), st.lists(scalars, max_size=3), max_size=3) | scalars,
    },
    optional={"revoked": trees},
)


@given(st.lists(entries.map(json.dumps) | texts | st.integers(1, 9**5).map(lambda depth: "[" * depth), max_size=6))
def ledgers(lines: list[str]) -> None:
    place = Path("ledger-store")
    (place / "ledger").mkdir(parents=True, exist_ok=True)
    (place / "ledger" / "first-0.jsonl").write_bytes("\n".join(lines).encode("utf-8", "replace"))
    tally = attempt(lambda: ledger.tally(place, {"map": 6}))
    assert tally["map"].finished.shape == (6,)


@given(st.dictionaries(st.sampled_from(["pid", "host", "started", "ended", "swept", "version", "ranks"]), trees))
def records_of_runs(record: dict[str, Any]) -> None:
    place = Path("runs-store") / "runs"
    place.mkdir(parents=True, exist_ok=True)
    record = {"host": os.uname().nodename, **record}
    (place / "first.json").write_text(json.dumps(record))
    for found in attempt(lambda: runs.read_runs(place.parent)).values():
        assert attempt(lambda found=found: runs.known_dead(found)) in (True, False)


SMALL = ["view.resolution=[8, 6]", "run.shard=[4, 4]", "integrator.steps=5", "run.threads=1", "frames.count=2"]


@functools.cache
def small_plan() -> Any:
    return model.plan(model.load("three-body", SMALL))


def small_store() -> Path:
    """A finished store of a small job, as `run` leaves it."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))
    from conftest import compute_store

    return Path(compute_store(model.load("three-body", SMALL), Path("small.zarr").resolve()))


def fresh() -> Path:
    """The small store as it was made."""
    place = Path("stranger.zarr").resolve()
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree("small.zarr", place)
    return place


def look_at(place: Path) -> None:
    """All that reads a store."""
    attempt(lambda: images.image(place, Path("out.png")))
    attempt(lambda: measures.measure("summary", place, Path("out.csv")))
    attempt(lambda: store.check(place, small_plan()))
    ask(place, "status", "verify")


def ask(place: Path, *verbs: str) -> None:
    """Verbs that print; all that they print can be printed."""
    for verb in verbs:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            code = cli.dispatch([verb, str(place)])
        assert code in (0, 2, 75), err.getvalue()
        printed = out.getvalue() + err.getvalue()
        assert printed.replace("\n", "").isprintable(), ascii(printed)


@given(st.data())
def changed_stores(data: st.DataObject) -> None:
    place = fresh()
    with_axes = {"axes": data.draw(st.integers(0, 7)) == 0}
    files = [place / "zarr.json", *sorted(place.glob("*/zarr.json")), *sorted(place.glob("runs/*.json"))]
    for _ in range(data.draw(st.integers(1, 2))):
        file = data.draw(st.sampled_from([place / "zarr.json", place / "times" / "zarr.json", *files]))
        tree = json.loads(file.read_text())
        paths = list(leaves(tree))
        value = data.draw(trees | st.sampled_from(HOSTILE_NUMBERS).map(toml_value) | st.sampled_from([MISSING]))
        file.write_bytes(json.dumps(changed(tree, data.draw(st.sampled_from(paths)), value)).encode())
    attempt(lambda: images.image(place, Path("out.png"), picture=with_axes))
    look_at(place)


@given(
    st.sampled_from(["zarr.json", "times/zarr.json", "status.json", "runs/test.json", "times/c/0/0/0", "x/c/0/0"]),
    st.data(),
)
def noise_in_stores(name: str, data: st.DataObject) -> None:
    place = fresh()
    noise = st.binary(max_size=400) | trees.map(lambda tree: json.dumps(tree).encode()) | st.just(b"[" * 10**5)
    (place / name).write_bytes(data.draw(noise))
    look_at(place)


states = st.dictionaries(
    st.sampled_from(["run", "state", "updated", "ranks", "eta_s", "rate", "percent", "note", "stages"]), trees
)


@given(states)
def last_words(status: dict[str, Any]) -> None:
    place = fresh()
    words = {"run": "a", "state": "running", "updated": "now", "ranks": 1, **status}
    (place / "status.json").write_text(json.dumps(words))
    ask(place, "status")


@given(
    st.dictionaries(
        st.sampled_from(["value", "colormap", "range", "background", "frames", "fps", "cycle", "shade"]), trees
    )
)
def pictures(picture: dict[str, Any]) -> None:
    place = Path("small.zarr").resolve()
    reader = open_for_reading(place)
    attempt(lambda: resolve(reader.attributes, picture))
    attempt(lambda: images.image(place, Path("out.png"), picture=picture))


@given(texts)
def names_of_measures(name: str) -> None:
    place = Path("small.zarr").resolve()
    attempt(lambda: measures.measure(name, place, Path("out.csv")))
    attempt(lambda: measures.quantity(place, name))


TARGETS: dict[str, Callable[[], None]] = {
    target.__name__: target
    for target in (
        *(noise_as_a_job, changed_jobs, views, formulas, ledgers, records_of_runs),
        *(changed_stores, noise_in_stores, last_words, pictures, names_of_measures),
    )
}
WITH_STORE = ("changed_stores", "noise_in_stores", "last_words", "pictures", "names_of_measures")


def main(names: list[str], num_examples: int) -> None:
    """Search for an example that breaks the rule, in a folder of its own under the bounds."""
    logging.disable()
    if set(names) & set(WITH_STORE):
        small_store()

    # Everything is imported and compiled by now: what comes on top is the examples' own.
    with Path("/proc/self/statm").open() as file:
        size_bytes = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes + MEMORY_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, resource.RLIM_INFINITY))

    def too_long(_number: int, _frame: Any) -> None:
        raise TooLong(f"more than {EXAMPLE_S} s of processor time")

    signal.signal(signal.SIGPROF, too_long)
    phases = (Phase.explicit, Phase.generate, Phase.shrink)
    common = settings(max_examples=num_examples, deadline=None, database=None, derandomize=True, phases=phases)
    for name in names:
        suppressed = settings(common, suppress_health_check=list(HealthCheck))
        suppressed(TARGETS[name])()
        print(f"{name}: {time.process_time():.1f} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main(sys.argv[1].split(","), int(sys.argv[2]))
