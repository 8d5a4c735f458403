"""Blocks, budgets, lost pieces and refusals of training jobs, in this process."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpc.reading import open_for_reading
from hpc.verify import verify
from jobs import model
from jobs.commands.verify import main as verify_command
from jobs.training import trainer
from jobs.training.checkpoint import Checkpoints
from kernels.errors import RequestError
from networks.classes.task import ClassesTask

Train = Callable[..., Path]


def read(store: Path, name: str) -> np.ndarray[Any, Any]:
    return open_for_reading(store).read(name)


def test_what_a_store_holds(train: Train) -> None:
    store = train(train={"steps": 10, "samples": None})
    reader = open_for_reading(store)
    assert (reader.num_units("train"), reader.num_units("results")) == (3, 1)
    assert reader.array("loss").metadata.dimension_names == ("run", "step")
    assert reader.array("loss").shards == (1, 4)
    assert reader.array("evaluation_loss").shards == (1, 2)
    assert read(store, "evaluation_step").tolist() == [[2, 4, 6, 8, 10]]
    assert read(store, "evaluation_samples").tolist() == [[64, 128, 192, 256, 320]]
    assert read(store, "weight")[0].tolist() == [32 * (step + 1) for step in range(10)]
    assert reader.array("weight").attrs["units"] == "points"
    assert np.isfinite(read(store, "loss")).all()
    assert (np.diff(read(store, "seconds")[0]) > 0).all()
    assert read(store, "confusion").shape == (1, 8, 8)
    assert read(store, "confusion").sum(axis=2) == pytest.approx(np.ones((1, 8)))
    assert reader.constant("chance") == pytest.approx(np.log(8))
    assert reader.constant("parameters").tolist() == [16 * 24 + 24 + 24 * 8 + 8]
    assert not verify(store)


def test_it_learns(train: Train) -> None:
    store = train(train={"steps": 60})
    loss = read(store, "evaluation_loss")[0]
    assert loss[-1] < 0.5 < loss[0]
    assert read(store, "evaluation_accuracy")[0, -1] > 0.85
    halves = read(store, "evaluation_accuracy_a") + read(store, "evaluation_accuracy_b")
    assert halves == pytest.approx(2 * read(store, "evaluation_accuracy"))


def test_the_loss_is_the_mean_over_all_samples_whatever_the_parts(train: Train, engine: Any) -> None:
    whole, parts = train("whole"), train("parts", train={"accumulation": 8})
    its = engine.numbers(parts)
    for name, values in engine.numbers(whole).items():
        np.testing.assert_allclose(its[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_lost_block_is_made_again_from_the_beginning(train: Train, engine: Any, tmp_path: Path) -> None:
    train()
    straight = tmp_path / "small.zarr"
    store = train("lost")
    (store / "loss" / "c" / "0" / "0").write_bytes(b"damaged")
    assert {fault.unit for fault in verify(store)} == {0}
    assert train("lost", run_id="second") == store
    engine.assert_same(straight, store)
    assert not verify(store)


@pytest.mark.parametrize("harm", ["cut", "foreign", "large", "json"])
def test_a_damaged_checkpoint_is_none(train: Train, harm: str, tmp_path: Path) -> None:
    store = train()
    place = store / "checkpoints" / "0" / "12"
    checkpoints = Checkpoints(store, 0, 2, "test-0")
    assert checkpoints.steps() == [12, 8]
    state = checkpoints.state(12)
    assert state is not None
    assert (state.step, state.ended, state.random, state.ranks) == (12, True, False, 1)
    if harm == "cut":
        (place / "model.safetensors").write_bytes(b"")
    elif harm == "foreign":
        data = (place / "optimiser.safetensors").read_bytes()
        (place / "optimiser.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif harm == "large":
        (place / "VALID").write_bytes(b"[" * (1 << 20))
    else:
        valid = json.loads((place / "VALID").read_text())
        (place / "VALID").write_text(json.dumps({**valid, "../../zarr.json": [1, ""]}))
    assert checkpoints.state(12) is None
    assert checkpoints.state(8) is not None
    assert checkpoints.state(5) is None
    assert tmp_path.is_dir()


@pytest.mark.parametrize(
    "harm",
    ["names", "shapes", "type", "optimiser", "parameter", "optimiser type", "half an optimiser", "weight 0", "nothing"],
)
def test_a_checkpoint_of_other_tensors_is_refused(train: Train, harm: str) -> None:
    """Its checksums hold; the results are lost, and the end of the run has to be made again from it."""
    store = train()
    checkpoints = Checkpoints(store, 0, 1, "test-0")
    contents = checkpoints.load(8)
    model, optimiser = dict(contents.model), dict(contents.optimiser)
    if harm == "names":
        model["odd"] = model.pop(next(iter(model)))
    elif harm == "shapes":
        model[next(iter(model))] = torch.zeros(3)
    elif harm == "type":
        model = {name: tensor.double() for name, tensor in model.items()}
    elif harm == "optimiser":
        optimiser["0.exp_avg"] = torch.zeros(3)
    elif harm == "optimiser type":
        optimiser["0.exp_avg"] = optimiser["0.exp_avg"].double()
    elif harm == "half an optimiser":
        optimiser = {name: tensor for name, tensor in optimiser.items() if not name.endswith("exp_avg_sq")}
    elif harm == "weight 0":
        optimiser = {name: tensor for name, tensor in optimiser.items() if not name.startswith("0.")}
    elif harm == "nothing":
        optimiser = {}
    else:
        optimiser["99.exp_avg"] = torch.zeros(3)
    checkpoints.save(dataclasses.replace(contents, model=model, optimiser=optimiser))
    shutil.rmtree(checkpoints.place(12))
    (store / "loss" / "c" / "0" / "2").write_bytes(b"damaged")
    assert verify(store)
    with pytest.raises(AssertionError, match=r"the checkpoint.* remove it, the same command goes on"):
        train(run_id="second")


def test_verify_strikes_damaged_checkpoints_and_a_run_mends_the_last(
    train: Train, engine: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store, straight = train(), train("straight")
    checkpoints = Checkpoints(store, 0, 2, "test-0")
    assert verify_command(store) == 0
    assert capsys.readouterr().out == f"{store}\n"

    # Of an earlier one nothing depends.
    (checkpoints.place(8) / "model.safetensors").write_bytes(b"")
    assert verify_command(store) == 0
    assert capsys.readouterr().out == f"checkpoints/0/8: damaged; a later one is whole\n{store}\n"
    assert checkpoints.steps() == [12]

    # The last one is what has been trained: the run begins anew, as there is none before it.
    with (checkpoints.place(12) / "model.safetensors").open("ab") as file:
        file.write(b"x")
    assert verify_command(store) == 75
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "checkpoints/0/12: damaged; the run goes on from the one before it, or begins anew"
    assert lines[1].startswith("1 bad file: ")
    assert train(run_id="second") == store
    assert verify_command(store) == 0
    engine.assert_same(straight, store)
    assert checkpoints.steps() == [12, 8]

    # A store that a stranger has linked to other folders is not written to.
    (tmp_path / "elsewhere").mkdir()
    shutil.move(store / "checkpoints" / "0", tmp_path / "elsewhere" / "0")
    (store / "checkpoints" / "0").symlink_to(tmp_path / "elsewhere" / "0")
    (tmp_path / "elsewhere" / "0" / "12" / "model.safetensors").write_bytes(b"")
    assert verify_command(store) == 0
    assert (tmp_path / "elsewhere" / "0" / "12" / "VALID").exists()


def test_the_memory_of_a_gpu_that_does_not_do_is_said(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("jobs.training.trainer.Trainer.step", step)
    with pytest.raises(AssertionError, match=r"train\.batch: out of memory; cut it with train\.accumulation"):
        train()


def test_a_disk_that_is_full_at_a_checkpoint(train: Train) -> None:
    """No file may grow: safetensors has an error of its own for it, which becomes the file system's."""
    checkpoints = Checkpoints(train(), 0, 2, "test-0")
    contents = checkpoints.load(12)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (256, hard))
        with pytest.raises(OSError, match=r"File too large|I/O error"):
            checkpoints.save(contents)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)
    assert checkpoints.steps() == [12, 8]
    assert not list(checkpoints.place(12).parent.glob("*.partial"))
    assert checkpoints.state(12) is not None


def test_no_checkpoint_is_written_through_a_link(train: Train, tmp_path: Path) -> None:
    checkpoints = Checkpoints(train(), 0, 1, "test-0")
    contents = checkpoints.load(12)
    inside, outside = checkpoints.place(12).parent, tmp_path / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    before = sorted((path, path.stat().st_mtime_ns) for path in outside.rglob("*"))
    with pytest.raises(OSError, match="link"):
        checkpoints.save(contents)
    inside.unlink()
    inside.mkdir()
    checkpoints.place(8).symlink_to(outside / "12")
    checkpoints.save(contents)
    assert checkpoints.steps() == [12]
    assert sorted((path, path.stat().st_mtime_ns) for path in outside.rglob("*")) == before


def test_updates_that_would_spoil_the_weights_are_left_out(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = ClassesTask.loss
    calls = []

    def spoilt(self: ClassesTask, of: Any, batch: Any) -> torch.Tensor:
        calls.append(1)
        found = loss(self, of, batch)
        # The first call is the one that warms up.
        return found * torch.nan if len(calls) == 6 else found

    monkeypatch.setattr(ClassesTask, "loss", spoilt)
    store = train()
    assert np.isinf(read(store, "gradient_norm")[0]).tolist() == [step == 4 for step in range(12)]
    state = Checkpoints(store, 0, 2, "test-0").state(12)
    assert state is not None
    assert state.skipped == 1
    assert np.isfinite(read(store, "evaluation_loss")).all()

    monkeypatch.setattr(ClassesTask, "loss", lambda *given: loss(*given) * torch.inf)
    with pytest.raises(AssertionError, match=r"train\.rate: the gradient of 10 steps in a row"):
        train("all")


def test_a_budget_in_seconds_ends_at_an_evaluation(train: Train) -> None:
    store = train(train={"steps": 1000, "checkpoint_every": 100, "evaluate_every": 4, "seconds": 1e-6})
    steps = read(store, "evaluation_step")[0]
    assert steps[0] == 4
    assert (steps[1:] == -1).all()
    loss = read(store, "loss")[0]
    assert np.isfinite(loss[:4]).all()
    assert np.isnan(loss[4:]).all()
    assert Checkpoints(store, 0, 2, "test-0").steps() == [4]
    assert np.isfinite(read(store, "confusion")).all()


def test_runs_of_unlike_lengths(train: Train) -> None:
    """Each has its own last step; the store has room for the longest."""
    store = train(sweep={"train": {"steps": [12, 5]}}, train={"steps": 1})
    loss = read(store, "loss")
    assert np.isfinite(loss[0]).all()
    assert np.isfinite(loss[1]).tolist() == [step < 5 for step in range(12)]
    assert read(store, "evaluation_step")[1].tolist() == [2, 4, 5, -1, -1, -1]
    assert open_for_reading(store).constant("steps").tolist() == [12, 5]


def test_no_steps_at_all(train: Train) -> None:
    """What an untrained model leaves."""
    shown = {"figure": "matrix", "value": "confusion", "x": "", "y": []}
    store = train(train={"steps": 0}, picture=shown)
    assert open_for_reading(store).stages() == ("results",)
    assert read(store, "confusion").shape == (1, 8, 8)


def test_the_optimisers(train: Train) -> None:
    losses = {
        name: read(train(name, train={"optimiser": name, **more}), "loss")[0]
        for name, more in (("adamw", {"weight_decay": 0.5}), ("adam", {}), ("sgd", {"momentum": 0.9, "rate": 0.05}))
    }
    assert len({values[0] for values in losses.values()}) == 1
    assert len({values[-1] for values in losses.values()}) == 3
    assert all(values[-1] < values[0] for values in losses.values())


def test_clipping(train: Train) -> None:
    """Plain descent at rate 1 moves by the clipped norm."""
    short = {"steps": 1, "optimiser": "sgd", "rate": 1.0, "checkpoint_every": 1, "evaluate_every": 1}
    made = {}
    for name, clip in (("free", 0.0), ("clipped", 0.1)):
        store = train(name, train={**short, "clip": clip})
        made[name] = Checkpoints(store, 0, 2, "t-0").load(1).model
        assert read(store, "gradient_norm")[0, 0] > 0.1
    start = {name: tensor.clone() for name, tensor in trainer.model_tensors(first_model()).items()}
    moved = {
        name: torch.cat([(tensor - start[key]).flatten() for key, tensor in tensors.items()]).norm()
        for name, tensors in made.items()
    }
    assert float(moved["clipped"]) == pytest.approx(0.1, rel=1e-4)
    assert float(moved["free"]) > 0.2


def first_model() -> torch.nn.Module:
    from jobs.training.randomness import seed_torch

    seed_torch(0, "model")
    return ClassesTask(
        num_classes=8, dimension=16, spread=1.0, num_training=1, num_evaluation=1, seed=0, hidden=(24,)
    ).model()


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"task": "clases"}, "task: 'clases' is not a task; nearest: classes"),
        ({"train": {"batches": 3}}, "train.batches: unknown key; nearest: train.batch"),
        ({"model": {"hiden": [3]}}, "model.hiden: unknown key; nearest: model.hidden"),
        ({"data": {"count": 0}}, "data.count: expected int >= 1"),
        ({"train": {"samples": 3}}, "train.steps and train.samples: give exactly one of them"),
        ({"train": {"evaluate_every": 3}}, "train.checkpoint_every: 4 is not a multiple of train.evaluate_every 3"),
        ({"train": {"momentum": 0.5}}, "train.momentum: is for sgd"),
        ({"outputs": ["loss"]}, "outputs: a training job stores what it measures"),
        ({"model": {"hidden": [], "dropout": 0.1}}, "model.dropout: there is no hidden layer"),
        ({"sweep": {"model": {"width": [1, 2]}}}, "sweep: model.width: unknown key"),
        ({"sweep": {"train.rate": 3}}, "sweep.train.rate: expected a list of values"),
        ({"sweep": {"train.rate": ["fast"]}}, "sweep: train.rate: "),
        ({"sweep": {"train.keep": [3, 4]}}, "sweep.train.keep: is the same for all runs"),
        ({"sweep": {"picture.figure": ["curves"]}}, "sweep.picture.figure: only keys of data, model, train"),
        ({"sweep": {"zip": True, "train.rate": [1.0], "train.seed": [1, 2]}}, "sweep.zip: the lists differ in length"),
    ],
)
def test_refusals(make_job: Callable[..., model.Job], sections: dict[str, Any], line: str) -> None:
    with pytest.raises(RequestError) as caught:
        make_job(**sections)
    assert str(caught.value).startswith(line)


def test_what_the_plan_refuses(make_job: Callable[..., model.Job]) -> None:
    with pytest.raises(RequestError, match=r"picture\.y"):
        model.plan(make_job(picture={"y": "lost"}))
    stage: Any = model.plan(make_job(train={"ranks": 3})).stages[0]
    with pytest.raises(RequestError, match=r"train\.ranks: 3 are asked for, this job has 2"):
        stage.group_size(2)
    with pytest.raises(RequestError, match=r"train\.batch: 32 samples are not shared out evenly among 3 ranks"):
        stage.group_size(3)


def test_a_job_travels_to_other_ranks(make_job: Callable[..., model.Job]) -> None:
    import pickle

    job = make_job(sweep={"train.rate": [0.1, 0.2]})
    arrived = pickle.loads(pickle.dumps(job))
    assert arrived == job
    assert type(arrived) is type(job)
