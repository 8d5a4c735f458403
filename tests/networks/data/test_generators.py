"""Generators: the same bytes everywhere, different for another seed, within their limits, true to their equations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kernels.errors import RequestError
from networks.data import graphs, layouts, pairs, sources, tables, trajectories
from networks.data.arrays import TEST, TRAIN, VALID
from networks.data.cache import read_manifest
from networks.data.draws import Draws
from networks.data.generators import catalogue, motions

# The first digits of the SHA-256 of every file: a change of a generator's bytes has to come with a new `version`.
PINNED = {
    ("stories", 40, 7): {"stories-train.txt": "3f5b67f1555cd086", "stories-valid.txt": "f4d2a9c3f5309a5d"},
    ("articles", 20, 7): {
        "wiki.test.tokens": "e7f8eb1568a103ce",
        "wiki.train.tokens": "30d018f6a57e9878",
        "wiki.valid.tokens": "7363d991732be422",
    },
    ("deliveries", 200, 7): {"deliveries.csv": "37c514fb58fe7ef6"},
    ("sums", 50, 7): {"sums-train.tsv": "2e27757835beb336", "sums-valid.tsv": "ce805a80942a50ca"},
    ("blocks", 4, 7): {"graphs.npz": "5000060d29cec98d"},
    ("blocks", 1, 7): {"graphs.npz": "a624207d0d1448ff"},
    ("springs", 4, 7): {"trajectories.npz": "c81fa28e606159d5"},
    ("pendulums", 4, 7): {"trajectories.npz": "7966386a3ae207b5"},
    ("damped-springs", 4, 7): {"trajectories.npz": "5ee1acbb57bb2e9b"},
    ("diffusion", 5, 7): {"diffusion.npz": "c4898b8276cb3129"},
}


def sums(folder: Path) -> dict[str, str]:
    return {name: stated["sha256"][:16] for name, stated in read_manifest(folder)["files"].items()}


def test_every_generator_is_pinned() -> None:
    assert {name for name, _, _ in PINNED} == catalogue.GENERATORS.keys()


@pytest.mark.parametrize("asked", PINNED, ids=str)
def test_bytes_are_the_same_everywhere(asked: tuple[str, int, int]) -> None:
    assert sums(sources.generated(*asked)) == PINNED[asked]


@pytest.mark.parametrize("name", catalogue.GENERATORS)
def test_another_seed_makes_other_bytes(name: str) -> None:
    count = 20
    folders = [sources.generated(name, count, seed) for seed in (0, 1)]
    first, second = map(sums, folders)
    assert folders[0] != folders[1]
    assert all(first[file] != second[file] for file in first)


def test_draws_are_philox_words() -> None:
    """Raw words of a counter-based generator are promised to stay the same; so do ours, made from them."""
    draws = Draws("test", 1)
    assert [draws.below(1000) for _ in range(4)] == [441, 717, 875, 761]
    assert Draws("test", 1).integers(0, 1000, 3).tolist() == [83, 166, 372]
    assert Draws("test", 2).below(1000) != Draws("test", 1).below(1000)


def test_draws_are_spread_as_they_should() -> None:
    draws = Draws("spread")
    uniform, normal = draws.uniform(20_000), draws.normal(20_000)
    assert 0 <= uniform.min() < 0.001
    assert 0.999 < uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03
    assert set(np.bincount(draws.integers(0, 5, 10_000)) // 1600) == {1}
    assert draws.integers(-3, -1, 100).min() == -3


def test_stories_differ_and_are_split() -> None:
    text = layouts.find(sources.generated("stories", 100))
    stories = {
        name: [piece.text for piece in layouts.pieces(span, text.layout, span)] for name, span in text.splits.items()
    }
    assert {name: len(found) for name, found in stories.items()} == {"train": 90, "valid": 10}
    assert len({*stories["train"], *stories["valid"]}) == 100


def test_sums_are_right_and_disjoint() -> None:
    found = pairs.load(sources.generated("sums", 60, parameters={"digits": 3}))
    lines = [pair for split in found.splits.values() for pair in split]
    assert len(set(lines)) == 60
    for question, answer in lines:
        one, other = question.split("+")
        assert int(one) + int(other) == int(answer)


def test_deliveries_follow_their_law() -> None:
    table = tables.read(sources.generated("deliveries", 3000))
    numbers = table.numbers
    assert set(table.columns) == {field.name for field in tables.DELIVERIES} | {"Elapsed Time"}
    assert 0.005 < np.mean(numbers["Cost"] > 9999) < 0.05
    assert 0.01 < np.isnan(numbers["Market"]).mean() < 0.06
    known = np.isfinite(numbers["Busy Deliverers"] + numbers["Total Deliverers"])
    assert (numbers["Busy Deliverers"] <= numbers["Total Deliverers"])[known].all()
    assert np.corrcoef(numbers["Linear Estimation"], numbers["Elapsed Time"])[0, 1] > 0.6
    none_missing = tables.read(sources.generated("deliveries", 100, parameters={"missing": 0})).numbers
    assert not np.isnan(list(none_missing.values())).any()


def test_blocks_link_what_is_alike() -> None:
    found = graphs.load(sources.generated("blocks", 20, parameters={"nodes": 40}))
    assert len(found) == 20
    assert found.num_classes == 3
    assert np.bincount(found.split).tolist() == [18 * 40, 2 * 40]
    alike = found.labels[found.edges[:, 0]] == found.labels[found.edges[:, 1]]
    assert alike.mean() > 0.7
    graph = found.graph(3)
    assert graph.edges.min() >= 0
    assert graph.edges.max() < len(graph.labels) == 40
    assert (graph.edges[:, 0] < graph.edges[:, 1]).all()
    single = graphs.load(sources.generated("blocks", 1))
    assert set(single.split) == {TRAIN, VALID, TEST}


def test_motions_obey_their_equation() -> None:
    springs = trajectories.load_trajectories(sources.generated("springs", 10))
    energy = springs.energy()
    assert np.abs(energy / energy[:, :1] - 1).max() < 1e-4
    # Springs pull both ends alike: the mean velocity stays.
    assert np.abs(springs.velocities.mean(-1) - springs.velocities[:, :1].mean(-1)).max() < 1e-13
    assert np.abs(springs.extensions().sum(-1)[..., None] - 0).max() > 0
    pendulums = trajectories.load_trajectories(sources.generated("pendulums", 10))
    energy = pendulums.energy()
    assert np.abs(energy - energy[:, :1]).max() < 1e-5
    damped = trajectories.load_trajectories(sources.generated("springs", 5, parameters={"friction": 0.3}))
    assert (np.diff(damped.energy(), axis=1) < 0).all()


def test_the_sine_is_one() -> None:
    angles = np.linspace(-50, 50, 20_001)
    assert np.abs(motions.sine(angles) - np.sin(angles)).max() < 1e-14


def test_diffusion_solves_its_equation() -> None:
    found = trajectories.load_diffusion(sources.generated("diffusion", 12))
    step = found.points[1]
    flux = found.coefficient * np.diff(found.solution) / step
    assert np.abs(-np.diff(flux) / step - 1).max() < 1e-9
    assert (found.solution[:, [0, -1]] == 0).all()
    even = trajectories.load_diffusion(
        sources.generated("diffusion", 2, parameters={"lowest": 1.0, "highest": 1.0, "points": 5})
    )
    assert np.allclose(even.solution, even.points * (1 - even.points) / 2, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("storys", 10), "did you mean stories"),
        (("stories", 0), "data.count"),
        (("stories", 10**9), "data.count"),
        (("stories", 10, -1), "data.seed"),
        (("stories", 10, 0, {"noise": 1}), "data.parameters.noise"),
        (("blocks", 10, 0, {"node": 9}), "did you mean nodes"),
        (("blocks", 10, 0, {"nodes": 2.5}), "a whole number"),
        (("blocks", 10, 0, {"noise": float("nan")}), "data.parameters.noise"),
        (("blocks", 10, 0, {"noise": True}), "data.parameters.noise"),
        (("blocks", 10, 0, {"noise": "1"}), "data.parameters.noise"),
        (("blocks", 100_000, 0, {"nodes": 5000}), "data.count times data.parameters.nodes"),
        (("sums", 51, 0, {"digits": 1}), "at most 50"),
    ],
)
def test_what_cannot_be_made_is_said(asked: tuple[object, ...], said: str, data_folder: Path) -> None:
    with pytest.raises(RequestError, match=said):
        sources.generated(*asked)  # type: ignore[arg-type]
    assert not [path for path in data_folder.glob("*") if path.suffix != ".lock"]


def test_equal_parameters_make_one_entry() -> None:
    assert sources.generated("blocks", 2, 0, {"nodes": 60.0}) == sources.generated("blocks", 2)
