"""Plots of stores that hold no maps, on stores written for the purpose; what is drawn is looked for in the pixels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from analysis import plot_words
from analysis.images import image
from analysis.measures import measure, quantity
from analysis.plot import resolve
from analysis.plots import _pixels, _strands
from analysis.series import Series, run_labels
from analysis.video import video
from hpc.plan import ArraySpec, Plan
from hpc.reading import open_for_reading
from hpc.store import Writer, prepare
from kernels.errors import RequestError

STEPS, BLOCK, NUM_RUNS = 40, 10, 2
LOSS = np.exp(-np.arange(STEPS) / 10)[None] * np.array([[1.0], [2.0]])
ANGLES = 2 * math.pi * np.arange(64) / 64
ATTENTION = np.tril(np.ones((2, 8, 8))) / np.arange(1, 9)[:, None]


@dataclass(frozen=True)
class Steps:
    """A unit is a block of steps of a run."""

    arrays: tuple[ArraySpec, ...]
    num_units: int
    name: str = "train"


def spec(name: str, shape: tuple[int, ...], shard: tuple[int, ...], dimensions: tuple[str, ...]) -> ArraySpec:
    return ArraySpec(
        name,
        shape,
        "<f8",
        shard,
        shard,
        dimensions,
        math.nan,
        {"units": "nat" if name == "loss" else "1", "long_name": f"long {name}"},
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, the last block of the second one missing; constants of a circle and of an attention matrix."""
    path = tmp_path_factory.mktemp("plots") / "runs.zarr"
    shape, shard = (NUM_RUNS, STEPS), (1, BLOCK)
    arrays = tuple(spec(name, shape, shard, ("run", "step")) for name in ("loss", "seconds"))
    constants = {
        "circle_x": (np.cos(ANGLES), ("point",)),
        "circle_y": (np.sin(ANGLES), ("point",)),
        "attention": (ATTENTION, ("head", "query", "key")),
        "chance": (np.full(NUM_RUNS, 0.5), ("run",)),
    }
    plan = Plan(
        stages=(Steps(arrays, NUM_RUNS * STEPS // BLOCK),),  # type: ignore[arg-type]
        constants=tuple(
            (spec(name, values.shape, values.shape, dimensions), values)
            for name, (values, dimensions) in constants.items()
        ),
        attributes={
            "format": 1,
            "kind": "toy",
            "job": {"title": "Two runs", "name": "runs", "sweep": {"model.mixing": ["flat", "attention"]}},
            "job_hash": "0" * 64,
            "pictures": {"figure": "curves", "y": ["loss"], "lines": ["chance"]},
            "kernel_digest": "",
        },
        identity={"kind": "toy"},
    )
    prepare(path, plan, run_id="toy")
    writer = Writer(path, plan, "toy", 0)
    for unit in range(NUM_RUNS * STEPS // BLOCK - 1):
        run, block = divmod(unit, STEPS // BLOCK)
        part = LOSS[run : run + 1, block * BLOCK : (block + 1) * BLOCK]
        writer.write(0, unit, {"loss": part, "seconds": np.ones_like(part)}, 0.0)
    writer.close()
    return path


def drawn(store: Path, out: Path, picture: Mapping[str, Any] | None = None, frame: int = 0) -> np.ndarray:
    return np.asarray(Image.open(image(store, out, frame=frame, picture=picture)))


def has_colour(pixels: np.ndarray, colour: tuple[int, int, int], tolerance: int = 8) -> bool:
    return bool((np.abs(pixels.astype(int) - colour).max(axis=-1) <= tolerance).any())


def test_values_of_a_run_and_what_is_missing(store: Path) -> None:
    series = Series(open_for_reading(store))
    assert series.num_runs == NUM_RUNS
    assert series.labels() == ["mixing = flat", "mixing = attention"]
    np.testing.assert_array_equal(series.values("2*loss", 0, key="k"), 2 * LOSS[0])
    second = series.values("loss", 1, key="k")
    assert np.isnan(second[-BLOCK:]).all()
    np.testing.assert_array_equal(second[:-BLOCK], LOSS[1, :-BLOCK])
    assert series.values("chance", 1, key="k") == 0.5


def test_names_of_dimensions_count(store: Path) -> None:
    series = Series(open_for_reading(store))
    np.testing.assert_array_equal(series.values("step", 0, key="k"), np.arange(STEPS))
    np.testing.assert_array_equal(series.values("loss*step", 0, key="k"), LOSS[0] * np.arange(STEPS))
    weighted = series.values("attention*query", 0, key="k")
    np.testing.assert_array_equal(weighted, ATTENTION * np.arange(8)[:, None])


def test_curves_have_the_size_asked_for_and_a_colour_for_each_run(store: Path, tmp_path: Path) -> None:
    pixels = drawn(store, tmp_path / "a.png", {"size": [640, 400], "colormap": "viridis"})
    assert pixels.shape == (400, 640, 3)
    assert has_colour(pixels, (68, 1, 84))  # the first of viridis
    assert (pixels == 255).all(axis=-1).mean() > 0.7


def test_scatter_has_a_colour_for_each_formula_of_each_run(store: Path, tmp_path: Path) -> None:
    picture = {"figure": "scatter", "x": "step", "y": ["loss", "loss + 3"], "colormap": "tab10"}
    pixels = drawn(store, tmp_path / "a.png", picture)
    for colour in ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)):
        red, green, blue = (round(0.7 * part + 0.3 * 255) for part in colour)  # as seen through on white
        assert has_colour(pixels, (red, green, blue)), colour


def test_the_png_carries_job_and_plot(store: Path, tmp_path: Path) -> None:
    text = Image.open(image(store, tmp_path / "a.png", picture={"logarithmic": "y"})).text  # type: ignore[attr-defined]
    assert json.loads(text["picture"])["logarithmic"] == ["y"]
    assert text["Title"] == "Two runs"


def test_a_logarithm_changes_the_picture(store: Path, tmp_path: Path) -> None:
    plain = drawn(store, tmp_path / "a.png")
    assert not np.array_equal(plain, drawn(store, tmp_path / "b.png", {"logarithmic": ["y"]}))


def test_matrix_has_zero_above_the_diagonal(store: Path, tmp_path: Path) -> None:
    picture = {"figure": "matrix", "value": "attention", "colormap": "gray"}
    pixels = drawn(store, tmp_path / "a.png", picture)
    assert has_colour(pixels, (0, 0, 0), 0)
    one_panel = drawn(store, tmp_path / "b.png", {**picture, "value": "loss", "figure": "curves"})
    assert not np.array_equal(pixels, one_panel)


@pytest.mark.parametrize(
    "picture",
    [
        {"figure": "scatter", "x": "circle_x", "y": "circle_y", "equal": True, "diagonal": True},
        {"figure": "scatter", "x": "circle_x", "y": "circle_y", "value": "circle_x"},
        {"figure": "points", "x": "circle_x", "y": "circle_y", "z": "circle_x*circle_y"},
        {"figure": "arrows", "x": "0*circle_x", "y": "0*circle_x", "u": "circle_x", "v": "circle_y", "equal": True},
    ],
)
def test_figures_are_drawn(store: Path, tmp_path: Path, picture: dict[str, Any]) -> None:
    pixels = drawn(store, tmp_path / "a.png", picture)
    assert 0.01 < (pixels < 250).any(axis=-1).mean() < 0.7


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        ({"figure": "pie"}, "picture.figure"),
        ({"hue": "loss"}, "picture.hue"),
        ({"y": []}, "picture.y: is missing"),
        ({"figure": "matrix"}, "picture.value: is missing"),
        ({"figure": "matrix", "value": "loss"}, "has 1 dimensions"),
        ({"y": ["losss"]}, "picture.y[0]"),
        ({"y": ["loss + circle_x"]}, "different shapes"),
        ({"x": "circle_x"}, "has 64 values where y has 40"),
        ({"colormap": "virids"}, "picture.colormap"),
        ({"size": [10, 10]}, "picture.size"),
    ],
)
def test_mistakes_name_the_key(store: Path, tmp_path: Path, picture: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        image(store, tmp_path / "a.png", picture=picture)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_names_are_what_the_store_calls_them(store: Path) -> None:
    reader = open_for_reading(store)
    series = Series(reader)
    plot = resolve(reader.attributes, {"labels": ["R^2 of $a"]})
    assert plot_words.axis(series, plot, 0, ["loss"]) == r"$R^{2}$ of \$a"
    assert plot_words.axis(series, plot, 1, ["loss", "2*loss"]) == "long loss (nat), 2*loss"


def test_a_title_says_what_is_missing_and_which_run_it_is(store: Path) -> None:
    reader = open_for_reading(store)
    series = Series(reader)
    assert plot_words.title(series, resolve(reader.attributes), 0) == "Two runs\nunfinished: 87 %"
    matrix = resolve(reader.attributes, {"figure": "matrix", "value": "attention", "y": [], "lines": []})
    assert plot_words.title(series, matrix, 1) == "Two runs\nmixing = attention"


def test_what_all_runs_share_is_drawn_once_and_what_has_no_points_not_at_all(store: Path) -> None:
    reader = open_for_reading(store)
    series = Series(reader)
    shared = _strands(series, resolve(reader.attributes, {"y": ["loss", "0*step"]}))
    assert [(one.label, one.run) for one in shared] == [
        ("long loss, mixing = flat", 0),
        ("long loss, mixing = attention", 1),
        ("0*step", None),
    ]
    logarithm = resolve(reader.attributes, {"y": ["loss - 1"], "logarithmic": ["y"]})
    assert [one.run for one in _strands(series, logarithm)] == [1]


def test_seeds_are_one_group() -> None:
    job = {"sweep": {"train.order": ["a", "b"], "train.seed": [0, 1]}}
    assert run_labels(job, 4, with_seeds=False) == ["order = a", "order = a", "order = b", "order = b"]
    assert run_labels({"sweep": {"train.seed": [0, 1]}}, 2, with_seeds=False) == ["seed = 0", "seed = 1"]


def test_points_in_space_use_the_room(store: Path) -> None:
    reader = open_for_reading(store)
    points = {"figure": "points", "x": "4*circle_x", "y": "4*circle_y", "z": "circle_x", "lines": []}
    drawn = (_pixels(Series(reader), resolve(reader.attributes, points), 0) < 250).any(axis=-1)
    assert (
        np.ptp(np.flatnonzero(drawn.any(axis=0))) > 0.9 * 900 or np.ptp(np.flatnonzero(drawn.any(axis=1))) > 0.9 * 600
    )
    assert not drawn[:, [0, -1]].any()
    assert not drawn[[0, -1]].any()


def test_a_run_that_is_not_there(store: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="runs 0 to 1"):
        image(store, tmp_path / "a.png", frame=2)


def test_a_plot_is_no_video(store: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no frames for a video"):
        video(store, tmp_path / "a.mp4")


def test_value_is_what_is_drawn() -> None:
    attributes = {"pictures": {"figure": "curves", "y": ["loss"]}}
    assert resolve(attributes, {"range": "auto", "value": "seconds"}).y == ("seconds",)


def test_labels_of_products_and_pairs() -> None:
    sweep = {"model.width": [1, 2], "model.depth": [3, 4]}
    product = run_labels({"sweep": sweep}, 4)
    assert product[1] == "width = 1, depth = 4"
    assert run_labels({"sweep": {**sweep, "zip": True}}, 2) == ["width = 1, depth = 3", "width = 2, depth = 4"]
    assert run_labels({}, 1) == [""]


def test_table_of_runs(store: Path, tmp_path: Path) -> None:
    lines = measure("runs", store, tmp_path / "runs.csv").read_text().splitlines()
    assert lines[0] == "run,label,chance,loss,loss_min,seconds,seconds_min"
    assert lines[1] == f"0,mixing = flat,0.5,{LOSS[0, -1]},{LOSS[0, -1]},1.0,1.0"
    assert lines[2].split(",")[3] == str(LOSS[1, -BLOCK - 1])


def test_the_last_number_of_a_run(store: Path) -> None:
    assert quantity(store, "loss[0].last") == LOSS[0, -1]
    assert quantity(store, "loss[0].max") == 1.0
    assert quantity(store, "chance[1].last") == quantity(store, "chance[1].sum") == 0.5
    with pytest.raises(RequestError, match="run the job to its end"):
        quantity(store, "loss[1].last")
