from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.plan import ArraySpec, Plan
from hpc.store import Writer, prepare, unit_region

PICTURE = {
    "value": "steps - times",
    "colormap": "inferno",
    "range": "auto",
    "background": "black",
    "axes": False,
    "fps": 30.0,
    "frames": None,
}


@dataclass
class Toy:
    """What a toy store holds: whole arrays, cut into shards when written."""

    arrays: Mapping[str, np.ndarray]
    parameters: Mapping[str, Sequence[float]] = field(default_factory=dict)
    shard: tuple[int, int] = (16, 16)
    picture: Mapping[str, Any] = field(default_factory=dict)
    unfinished: tuple[int, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    view: Mapping[str, Any] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=lambda: {"never": 0, "diverged": 1, "non-finite": 2})


@dataclass(frozen=True)
class ToyStage:
    arrays: tuple[ArraySpec, ...]
    num_units: int
    name: str = "toy"


FILL = {"i": -1, "u": 255, "f": float("nan")}


def make_store(path: Path, toy: Toy) -> Path:
    """Write a store of one stage whose arrays are (frame, y, x) or (frame, component, y, x)."""
    specs = []
    for name, values in toy.arrays.items():
        inner = (values.shape[1],) if values.ndim == 4 else ()
        dimensions = ("frame", *(("component",) if inner else ()), "y", "x")
        shard = (1, *inner, *toy.shard)
        chunk = (1, *inner, *(size // 2 for size in toy.shard))
        attributes: dict[str, Any] = {"units": "1", "long_name": name}
        if name == "times":
            attributes["never"] = "steps"
        if name == "outcome":
            attributes["outcomes"] = dict(toy.outcomes)
        specs.append(
            ArraySpec(
                name, values.shape, values.dtype.str, shard, chunk, dimensions, FILL[values.dtype.kind], attributes
            )
        )

    # Coordinates and parameters
    num_frames, rows, columns = (specs[0].shape[0], *specs[0].shape[-2:])
    x = np.tile(-20 + 40 * np.arange(columns) / columns, (num_frames, 1))
    y = np.tile(-20 + 40 * np.arange(rows) / rows, (num_frames, 1))
    constants = [("x", x, ("frame", "x")), ("y", y, ("frame", "y"))]
    constants += [(name, np.asarray(values, np.float64), ("frame",)) for name, values in toy.parameters.items()]

    view = {"axes": ["x", "z"], "width": "40/2**t", "height": None, "resolution": [columns, rows]} | dict(toy.view)
    job = {"kind": "divergence", "name": "toy", "title": "A toy – map", "view": view}
    plan = Plan(
        stages=(ToyStage(tuple(specs), int(np.prod(specs[0].grid()))),),  # type: ignore[arg-type]
        constants=tuple(
            (ArraySpec(name, values.shape, "<f8", values.shape, values.shape, dimensions, float("nan")), values)
            for name, values, dimensions in constants
        ),
        attributes={
            "format": 1,
            "kind": "divergence",
            "job": job,
            "job_hash": "0123abcd",
            "pictures": {**PICTURE, **toy.picture},
            "kernel_digest": "none",
            **toy.attributes,
        },
        identity={"kind": "divergence"},
    )
    prepare(path, plan, run_id="run")
    writer = Writer(path, plan, "run", 0)
    for unit in range(plan.stages[0].num_units):
        if unit not in toy.unfinished:
            writer.write(0, unit, {spec.name: toy.arrays[spec.name][unit_region(spec, unit)] for spec in specs}, 0.1)
    writer.close()
    return path


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Path]:
    """Make a toy store in this test's folder, from the fields of `Toy`."""

    def make(name: str = "toy.zarr", **fields: Any) -> Path:
        return make_store(tmp_path / name, Toy(**fields))

    return make


@pytest.fixture
def times() -> np.ndarray:
    """Two frames of 40 x 52 counts of 0 to 1000 steps, every row and column different, a corner never ended."""
    rows, columns = np.mgrid[0:40, 0:52]
    first = (rows * 17 + columns * 3) % 1000
    first[:5, :7] = 1000
    return np.stack([first, first // 2]).astype(np.int32)
