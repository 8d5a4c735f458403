"""Jobs that let a trained language model continue other prompts: the same text as training itself would leave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.measures import measure
from hpc.reading import open_for_reading
from jobs import model
from kernels.errors import RequestError

from ..conftest import compute_store

PROMPTS = ["the little dog", "one day"]
ASKED = {"prompts": PROMPTS, "new_tokens": 9, "temperatures": [0.0, 1.0]}


def language(**data: Any) -> model.Job:
    return model.from_tree(
        {
            "kind": "training",
            "task": "language",
            "name": "stories",
            "data": {"generator": "stories", "count": 100, "context": 32, **data},
            "model": {"width": 16, "depth": 1},
            "train": {"batch": 8, "steps": 4, "checkpoint_every": 2, "seed": 3},
            "sweep": {"model.mixing": ["flat", "attention"]},
        }
    )


def completion(store: Path, **asked: Any) -> model.Job:
    given = {"store": str(store), "trained": 1, "seed": 3, **ASKED, **asked}
    return model.from_tree({"kind": "completion", "name": "more", "completion": given})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose models were asked for something else."""
    return compute_store(language(prompts=["a cat"], new_tokens=2), tmp_path_factory.mktemp("trained") / "a.zarr")


def arrays(store: Path) -> dict[str, Any]:
    reader = open_for_reading(store)
    return {name: reader.read(name) for name in reader.arrays() if name.startswith("completion_")}


def test_the_text_is_what_training_would_have_left(trained: Path, tmp_path: Path) -> None:
    expected = arrays(compute_store(language(**ASKED), tmp_path / "whole.zarr"))
    store = compute_store(completion(trained), tmp_path / "more.zarr")
    found = arrays(store)
    assert set(found) == set(expected) == set(open_for_reading(store).arrays())
    for name, values in found.items():
        assert values.tobytes() == expected[name][1:].tobytes(), name
    lines = measure("completions", store, tmp_path / "more.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2
    assert lines[1].split(",")[2:4] == ["0.0", "the little dog"]


def test_a_copy_of_the_store_is_the_same_model(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.zarr"
    shutil.copytree(trained, copy)
    hashes = [
        model.kind_of("completion").plan(completion(store), None).attributes["job_hash"] for store in (trained, copy)
    ]
    assert hashes[0] == hashes[1]
    other = model.kind_of("completion").plan(completion(trained, trained=0), None).attributes["job_hash"]
    assert other != hashes[0]


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"trained": 2}, "completion.trained: there is no run 2, only 0 to 1"),
        ({"new_tokens": 32}, "completion.new_tokens: at most"),
        ({"prompts": ["x" * 40]}, "completion.prompts[0]: has 40 tokens"),
        ({"prompts": []}, "completion.prompts"),
        ({"temperatures": [-1.0]}, "completion.temperatures"),
    ],
)
def test_mistakes_name_the_key(trained: Path, asked: dict[str, Any], line: str) -> None:
    with pytest.raises(RequestError) as caught:
        model.kind_of("completion").plan(completion(trained, **asked), None)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_stores_are_refused(trained: Path, train: Callable[..., Path], tmp_path: Path) -> None:
    def refused(store: Path) -> str:
        with pytest.raises(RequestError) as caught:
            model.kind_of("completion").plan(completion(store, trained=0), None)
        return str(caught.value)

    assert "is no store of training jobs of the task language" in refused(train())
    copy = tmp_path / "copy.zarr"
    shutil.copytree(trained, copy)
    shutil.rmtree(copy / "checkpoints" / "0" / "4")
    assert "has no checkpoint at its end" in refused(copy)

    # As if the text had changed since
    text = (copy / "zarr.json").read_text()
    job_hash = json.loads(text)["attributes"]["horseshoe"]["job_hash"]
    (copy / "zarr.json").write_text(text.replace(job_hash, "0" * 64))
    assert "was trained on another text" in refused(copy)
