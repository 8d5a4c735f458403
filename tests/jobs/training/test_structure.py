"""Tasks of structure under the trainer: ranks make no difference, and the recipes show what their entries say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.reading import Reader, open_for_reading
from jobs import model
from jobs.reading import locate, merge, read

from ..conftest import compute_store

SMALL = {
    "graph-processors": ["data.count=24", "train.steps=4"],
    "double-bracket-springs": ["data.count=10", "data.parameters.steps=8", "train.steps=4"],
}


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORSESHOE_DATA", str(tmp_path_factory.getbasetemp() / "generated"))


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Reader]:
    """The finished store of a gallery job with sections laid over it."""

    def run(name: str, **sections: Any) -> Reader:
        job = model.from_tree(merge(read(locate(name)), sections))
        return open_for_reading(compute_store(job, tmp_path / f"{name}.zarr"))

    return run


@pytest.mark.mpi
@pytest.mark.parametrize("name", SMALL)
def test_two_ranks_are_one(name: str, tmp_path: Path, engine: Any) -> None:
    found = []
    for ranks in (1, 2):
        keys = [*SMALL[name], "train.evaluate_every=2", "train.checkpoint_every=4", f"train.ranks={ranks}"]
        store = tmp_path / f"{ranks}.zarr"
        done = engine.start(ranks, name, "--out", store, *(word for key in keys for word in ("--set", key)))
        assert done.returncode == 0, done.stderr
        found.append(engine.numbers(store))
    one, two = found
    assert one.keys() == two.keys()
    assert np.isfinite(one["loss"]).all()
    for key in ("loss", "evaluation_loss", "gradient_norm"):
        assert two[key] == pytest.approx(one[key], rel=1e-4, abs=1e-7), key


@pytest.mark.check
def test_a_field_that_sees_is_twice_as_good(recipe: Callable[..., Reader]) -> None:
    seeing, blind = recipe("neural-field").read("evaluation_relative_error")[:, -1]
    assert seeing < 0.5 * blind


@pytest.mark.check
def test_every_processor_beats_features_alone(recipe: Callable[..., Reader]) -> None:
    alone, *others = recipe("graph-processors").read("evaluation_accuracy")[:, -1]
    assert min(others) > alone + 0.1


@pytest.mark.check
def test_attention_smooths_all_away_and_waves_do_not(recipe: Callable[..., Reader]) -> None:
    attention, diffusion, waves, _ = recipe("over-smoothing").read("spread")[:, -1]
    assert attention < 1e-4 < diffusion < 0.3 < waves


@pytest.mark.check
def test_damped_springs_need_a_law_that_loses_energy(recipe: Callable[..., Reader]) -> None:
    found = recipe("double-bracket-springs")
    energy, data = found.read("energy"), found.read("energy_of_data")[0]
    assert (np.diff(found.read("energy_drift")[0]) <= 1e-12).all()
    assert np.abs(energy[0] - data).max() < 0.05 * data.max()
    assert np.abs(energy[1] - data).max() > 0.3 * data.max()


@pytest.mark.check
def test_a_learned_pendulum_swings_on(recipe: Callable[..., Reader]) -> None:
    found = recipe("hamiltonian-pendulum")
    energy, data = found.read("energy"), found.read("energy_of_data")[0]
    assert np.abs(energy[0] - data).max() < 0.05 * data.max()
    assert np.abs(energy[1] - data).max() > 0.5 * data.max()
    assert np.abs(found.read("energy_drift")[0]).max() < 1e-10
