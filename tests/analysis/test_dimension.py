from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image, ImageDraw

from analysis import dimension as module
from analysis.dimension import Dimension, box_sizes, dimension
from analysis.measures import measure, quantity
from hpc.reading import open_for_reading

Store = Callable[..., Path]

KOCH = 1j * math.sqrt(3) / 6 + 0.5
QUADRATIC = (0, 0.25, 0.25 + 0.25j, 0.5 + 0.25j, 0.5, 0.5 - 0.25j, 0.75 - 0.25j, 0.75, 1)


def found(store: Store, inside: np.ndarray, shard: int = 512) -> Dimension:
    """The dimension of the edge of a set of pixels, as a store of basins."""
    arrays = {"outcome": inside.astype(np.uint8)[np.newaxis]}
    path = store(arrays=arrays, shard=(shard, shard), name=f"{uuid4().hex}.zarr")
    return dimension(open_for_reading(path), "outcome", 0)


def replaced(corners: list[complex], generator: tuple[complex, ...], times: int) -> list[complex]:
    """A closed polygon with every side replaced by a copy of the generator, a number of times."""
    for _ in range(times):
        sides = zip(corners, [*corners[1:], corners[0]], strict=True)
        corners = [a + (b - a) * point for a, b in sides for point in generator[:-1]]
    return corners


def filled(corners: list[complex], size: int) -> np.ndarray:
    image = Image.new("1", (size, size))
    ImageDraw.Draw(image).polygon([(z.real * size, z.imag * size) for z in corners], fill=1)
    return np.asarray(image)


def carpet(level: int) -> np.ndarray:
    """Sierpinski's carpet of 3**level pixels a side."""
    cell = np.ones((3, 3), bool)
    cell[1, 1] = False
    inside = np.ones((1, 1), bool)
    for _ in range(level):
        inside = np.kron(inside, cell)
    return inside


def mandelbrot(size: int, steps: int) -> np.ndarray:
    """Counts of the text's loop, never = steps."""
    c = np.linspace(-2, 0.5, size) + 1j * np.linspace(1.25, -1.25, size)[:, None]
    z, counts = np.zeros_like(c), np.full(c.shape, steps, np.int32)
    for k in range(steps):
        z = np.where(counts == steps, z * z + c, 0)
        counts[(np.abs(z) > 2) & (counts == steps)] = k
    return counts


def test_straight_lines(store: Store) -> None:
    rows, columns = np.mgrid[0:512, 0:512]
    for inside in (columns < 200, rows < 77):
        line = found(store, inside)
        assert line.value == pytest.approx(1, abs=1e-12)
        assert line.error == pytest.approx(0, abs=1e-12)
        assert line.counts == {1: 511} | {size: 512 // size for size in (2, 4, 8, 16, 32, 64)}
    for inside in (rows + 2 * columns < 800, 3 * rows - 2 * columns < 100, rows + columns < 509, rows < columns):
        assert found(store, inside).value == pytest.approx(1, abs=0.02)


def test_the_edge_of_a_filled_square(store: Store) -> None:
    inside = np.zeros((1024, 1024), bool)
    inside[200:800, 150:750] = True
    edge = found(store, inside)
    assert edge.value == pytest.approx(1, abs=0.03)
    assert 0 < edge.error < 0.01
    assert edge.counts[1] == 4 * 600


def test_the_edge_of_a_koch_snowflake(store: Store) -> None:
    centre = 0.5 + 0.5j
    triangle = [centre + 0.48 * np.exp(2j * np.pi * k / 3) for k in range(3)]
    edge = found(store, filled(replaced(triangle, (0, 1 / 3, KOCH, 2 / 3, 1), 6), 2048))
    assert edge.value == pytest.approx(math.log(4) / math.log(3), abs=0.05)
    assert edge.error < 0.02


def test_the_edge_of_a_quadratic_koch_island(store: Store) -> None:
    square = [0.25 + 0.25j, 0.75 + 0.25j, 0.75 + 0.75j, 0.25 + 0.75j]
    corners = np.array(replaced(square, QUADRATIC, 5)) * 2048
    x, y = np.rint(corners.real).astype(int), np.rint(corners.imag).astype(int)

    # Each side is one pixel long; those that go up or down separate the inside of a row from the outside
    after = np.roll(y, -1)
    crossed = np.zeros((2048, 2048), bool)
    crossed[np.minimum(y, after)[y != after], x[y != after]] = True
    edge = found(store, np.logical_xor.accumulate(crossed, axis=1))
    assert edge.value == pytest.approx(1.5, abs=0.03)


def test_the_edge_of_sierpinskis_carpet(store: Store) -> None:
    assert found(store, carpet(6)).value == pytest.approx(math.log(8) / math.log(3), abs=0.03)


def test_noise_fills_the_plane(store: Store) -> None:
    noise = np.random.default_rng(0).integers(0, 3, (512, 512))
    assert found(store, noise).value == pytest.approx(2, abs=0.001)


def boxes(classes: np.ndarray, size: int) -> int:
    """By definition, one pixel after the other, in whole boxes of 16."""
    occupied = set()
    for row in range(144):
        for column in range(192):
            if len(set(classes[row : row + 2, column : column + 2].flat)) > 1:
                occupied.add((row // size, column // size))
    return len(occupied)


@pytest.mark.parametrize(("shard", "tile_px"), [(256, 8), (40, 16), (16, 64), (40, 1024)])
def test_boxes_of_the_mandelbrot_set(store: Store, monkeypatch: pytest.MonkeyPatch, shard: int, tile_px: int) -> None:
    monkeypatch.setattr(module, "TILE_PX", tile_px)
    counts = mandelbrot(203, 60)[:150]
    path = store(arrays={"times": counts[np.newaxis]}, parameters={"steps": [60]}, shard=(shard, shard))
    reader = open_for_reading(path)
    assert box_sizes(reader, "times") == [1, 2, 4, 8, 16]
    edge = dimension(reader, "times", 0)
    assert edge.counts == {size: boxes(counts == 60, size) for size in (1, 2, 4, 8, 16)}


def test_the_boundary_of_the_mandelbrot_set_is_rough(store: Store) -> None:
    path = store(arrays={"times": mandelbrot(1024, 200)[np.newaxis]}, parameters={"steps": [200]}, shard=(512, 512))
    edge = dimension(open_for_reading(path), "times", 0)
    assert 1.1 < edge.value < 1.3
    assert quantity(path, "times.boundary_dimension") == edge.value
    with measure("boundary-dimension", path, path.with_suffix(".csv")).open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["dimension"]) == edge.value
    assert float(row["standard_error"]) == edge.error
    assert int(row["boxes_128"]) == edge.counts[128]


def test_the_error_is_that_of_least_squares(store: Store) -> None:
    edge = found(store, carpet(6))
    logarithms = np.log([[size, number] for size, number in edge.counts.items() if size > 1])
    design = np.column_stack([-logarithms[:, 0], np.ones(len(logarithms))])
    solution, (squares,), _, _ = np.linalg.lstsq(design, logarithms[:, 1])
    covariance = squares / (len(logarithms) - 2) * np.linalg.inv(design.T @ design)
    assert edge.value == pytest.approx(solution[0])
    assert edge.error == pytest.approx(math.sqrt(covariance[0, 0]))


def test_maps_without_a_boundary_have_no_dimension(store: Store) -> None:
    edge = found(store, np.zeros((64, 64)))
    assert math.isnan(edge.value)
    assert set(edge.counts.values()) == {0}


def test_unfinished_frames_have_no_dimension(store: Store, times: np.ndarray) -> None:
    path = store(arrays={"times": times}, parameters={"steps": [1000, 500]}, unfinished=(3,))
    with measure("boundary-dimension", path, path.with_suffix(".csv")).open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["dimension"], first["boxes_1"]) == ("", "")
    assert float(second["dimension"]) > 0
