"""Tasks about structure, trained by a few lines: they beat what has no structure, and leave what they promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from jobs.training.tasks import dynamics, field, interpolation, nodes
from networks.data import sources
from networks.data.trajectories import load_trajectories
from networks.task import Task


@pytest.fixture(autouse=True, scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data")
        folder.chmod(0o700)
        patch.setenv("HORSESHOE_DATA", str(folder))
        yield


def made(module: Any, data: dict[str, Any], model: dict[str, Any]) -> Task:
    sections = msgspec.convert(data, module.DATA), msgspec.convert(model, module.MODEL)
    module.check(*sections, None)
    found: Task = module.task(*sections, seed=1)
    return found


def trained(task: Task, steps: int, *, batch: int = 32, rate: float = 3e-3) -> tuple[torch.nn.Module, dict[str, float]]:
    """A model after some steps of Adam, and its mean measures on the evaluation samples."""
    torch.manual_seed(1)
    model, order = task.model(), np.random.default_rng(1)
    optimiser = torch.optim.Adam(model.parameters(), rate)
    for step in range(steps):
        part = task.batch(order.integers(0, task.num_samples, min(batch, task.num_samples)).tolist())
        (task.loss(model, part) / task.weight(part)).backward()
        if not step:
            # DDP refuses a weight that a loss does not reach.
            assert all(weight.grad is not None for weight in model.parameters())
        optimiser.step()
        optimiser.zero_grad()
    with torch.no_grad():
        every = task.evaluation_batch(range(task.num_evaluation_samples))
        sums = task.evaluate(model.eval(), every)
    assert set(sums) == {"loss", *task.measures}
    return model, {name: value / task.weight(every) for name, value in sums.items()}


def finished(task: Task, model: torch.nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """What a task leaves, of the promised names, shapes and types."""
    promised = {result.name: (result.shape, result.dtype) for result in task.results}
    assert all(len(result.dimensions) == len(result.shape) for result in task.results)
    found = dict(task.finish(model.eval()))
    assert {name: (array.shape, array.dtype.str) for name, array in found.items()} == promised
    return found


PAIRS = {"generator": "diffusion", "count": 300}


def test_a_field_that_sees_its_coefficient_is_better_than_a_blind_one() -> None:
    relative = {}
    for conditioning in ("attention", "none"):
        task = made(field, PAIRS, {"conditioning": conditioning, "width": 32})
        model, measured = trained(task, 250)
        relative[conditioning] = measured["relative_error"]
        left = finished(task, model)
        assert left["masks_on_loss"] == pytest.approx(left["masks_off_loss"], rel=1e-5)
    assert relative["attention"] < 0.5 * relative["none"]


def test_dropout_spreads_predictions() -> None:
    task = made(field, {**PAIRS, "masks": 8}, {"dropout": 0.3, "width": 16})
    left = finished(task, trained(task, 5)[0])
    assert (left["mask_spread"] > 0).all()
    assert left["masks_on_loss"] != left["masks_off_loss"]


def test_hat_functions_interpolate_and_bases_learn() -> None:
    errors = {}
    for basis in ("hat", "softmax", "mlp"):
        task = made(interpolation, {"shown": 111}, {"basis": basis})
        untrained = finished(task, task.model())
        assert untrained["row_error"] <= 1e-12
        at_nodes = untrained["first"][::10] - untrained["exact"][::10]
        assert (np.abs(at_nodes).max() <= 1e-12) == (basis == "hat")
        model, measured = trained(task, 300, batch=200, rate=1e-2)
        left = finished(task, model)
        errors[basis] = np.abs(left["approximation"] - left["exact"]).mean()
        assert errors[basis] < 0.8 * np.abs(untrained["approximation"] - left["exact"]).mean()
        assert measured["loss"] < 0.2 * task.chance
    assert errors["hat"] != errors["softmax"]


@pytest.mark.parametrize("processor", ["gat", "grand", "hamiltonian", "double-bracket"])
def test_neighbours_tell_the_class(processor: str) -> None:
    accuracy = {}
    for kind in ("none", processor):
        task = made(nodes, {"generator": "blocks", "count": 40}, {"processor": kind})
        model, measured = trained(task, 60, batch=8, rate=1e-2)
        accuracy[kind] = measured["accuracy"]
        spread = finished(task, model)["spread"]
        assert spread[0] == 1
        assert (spread[1:] == 1).all() == (kind == "none")
    assert accuracy[processor] > accuracy["none"] + 0.05


def test_one_graph_is_split_by_nodes() -> None:
    task = made(nodes, {"generator": "blocks", "count": 1, "parameters": {"nodes": 50}}, {})
    assert (task.num_samples, task.num_evaluation_samples) == (1, 1)
    train, valid = (get([0])["labels"] for get in (task.batch, task.evaluation_batch))
    assert ((train >= 0) & (valid >= 0)).sum() == 0
    assert min(task.weight(task.batch([0])), task.weight(task.evaluation_batch([0]))) > 0


@pytest.mark.parametrize("generator", ["springs", "pendulums"])
def test_learned_energy_is_kept(generator: str) -> None:
    task = made(dynamics, {"generator": generator, "count": 40, "shown": 2}, {})
    model, measured = trained(task, 300, batch=64)
    assert measured["loss"] < 0.02 * (task.chance or 0)
    left = finished(task, model)
    assert np.ptp(left["learned_energy"]) > 1e-3
    assert np.abs(left["energy_drift"]).max() < 1e-10
    assert left["sum_drift"].max() < 1e-10
    assert left["cycle_drift"].max() < 1e-10
    assert left["rollout_error"][:, 0].max() == 0
    assert np.abs(left["energy_of_data"] - left["energy_of_data"][:, :1]).max() < 1e-3
    # What was learned is nearly the true energy.
    assert np.abs(left["energy"] - left["energy"][:, :1]).max() < 0.2 * left["energy"][:, 0].max()


def test_learned_energy_falls() -> None:
    task = made(dynamics, {"generator": "damped-springs", "count": 40, "shown": 2}, {"law": "double-bracket"})
    model, measured = trained(task, 300, batch=64)
    assert measured["loss"] < 0.02 * (task.chance or 0)
    left = finished(task, model)
    assert (np.diff(left["learned_energy"]) <= 1e-12).all()
    shares = left["energy"][:, -1] / left["energy"][:, 0], left["energy_of_data"][:, -1] / left["energy_of_data"][:, 0]
    assert np.abs(shares[0] - shares[1]).max() < 0.1
    assert shares[1].max() < 0.9


def test_a_free_law_has_no_energy() -> None:
    task = made(dynamics, {"generator": "springs", "count": 20}, {"law": "free"})
    model, measured = trained(task, 100, batch=64)
    left = finished(task, model)
    assert np.isnan(left["learned_energy"]).all()
    assert np.isfinite(left["energy"]).all()
    assert left["sum_drift"].max() > 1e-6
    assert measured["loss"] < (task.chance or 0)


def test_double_bracket_data_lose_energy_and_keep_momentum() -> None:
    found = load_trajectories(sources.generated("damped-springs", 10, 3, {"steps": 20}))
    assert (np.diff(found.energy()) < 0).all()
    momentum = found.velocities.sum(-1)
    assert np.abs(momentum - momentum[:, :1]).max() < 1e-12
    # Half the time step with twice the steps is the same motion.
    finer = load_trajectories(sources.generated("damped-springs", 10, 3, {"steps": 40, "time_step": 0.05}))
    assert np.abs(finer.positions[:, ::2] - found.positions).max() < 1e-9


def test_data_read_while_a_model_is_counted_are_data() -> None:
    task = made(dynamics, {"generator": "pendulums", "count": 10}, {})
    with torch.device("meta"):
        assert sum(weight.numel() for weight in task.model().parameters()) > 0
    assert task.chance is not None
    assert task.chance > 0
    assert torch.isfinite(task.loss(task.model(), task.batch([0, 1])))


@pytest.mark.parametrize(
    ("module", "data", "model", "key"),
    [
        (field, {}, {}, "data.path"),
        (field, {"generator": "diffusion"}, {}, "data.count"),
        (field, {"generator": "diffusion", "count": 10}, {"heads": 3}, "model.heads"),
        (field, {"path": "/nowhere"}, {}, "data.path"),
        (field, {"path": "/nowhere", "count": 3}, {}, "data.count"),
        (dynamics, {"generator": "springs", "count": 10, "parameters": {"mass": 1.0}}, {}, "data.parameters.mass"),
        (nodes, {"generator": "blocks", "count": 10}, {"heads": 3}, "model.heads"),
        (
            nodes,
            {"generator": "blocks", "count": 10},
            {"processor": "grand", "weights": "row-stochastic", "step": 1.5},
            "model.step",
        ),
        (interpolation, {"interval": [1, 0]}, {}, "data.interval"),
        (interpolation, {"function": "1/x"}, {}, "data.function"),
        (interpolation, {"function": "sqrt(x - 2)"}, {}, "data.function"),
        (interpolation, {"nodes": 200}, {}, "data.count"),
    ],
)
def test_what_cannot_be_is_said(module: Any, data: dict[str, Any], model: dict[str, Any], key: str) -> None:
    from kernels.errors import RequestError

    with pytest.raises(RequestError, match=f"^{key}"):
        made(module, data, model)


def test_manifests_know_a_file_by_its_sum(tmp_path: Path) -> None:
    folder = sources.generated("springs", 10)
    own, licence = tmp_path / "mine.npz", "CC0-1.0"
    own.write_bytes((folder / "trajectories.npz").read_bytes())
    data = msgspec.convert({"path": str(own), "licence": licence}, dynamics.DATA)
    told = dynamics.manifest(data)
    assert told["licence"] == licence
    assert told["files"]["mine.npz"]["bytes"] == own.stat().st_size
    assert dynamics.task(data, dynamics.MODEL(), seed=0).num_samples == 9 * 50
