"""What a step is made of: fused optimisers, precision, compiled models, dropout of its own place, one exchange of gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load

from hpc.process_group import Group
from hpc.reading import open_for_reading
from jobs import model
from jobs.training import optimisers, trainer
from jobs.training.checkpoint import Checkpoints
from jobs.training.order import share
from jobs.training.randomness import number
from jobs.training.runs import runs
from jobs.training.sections import Train
from jobs.training.tasks import classes

CPU = torch.device("cpu")


@pytest.fixture
def alone_with_gloo() -> Iterator[Group]:
    """A group of one rank that exchanges gradients all the same."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    yield Group(0, 1, CPU, dist.group.WORLD)
    dist.destroy_process_group()


def made(job: Any, group: Group) -> trainer.Trainer:
    run = runs(job)[0]
    return trainer.Trainer(classes.task(run.data, run.model, seed=run.train.seed), run, group)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_optimisers_are_fused(name: Any) -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    assert optimisers.optimiser(Train(steps=1, optimiser=name), [weight]).defaults["fused"] is True


def test_products_in_bfloat16_and_weights_in_float32(train: Callable[..., Path]) -> None:
    losses, told = {}, {}
    for precision in ("auto", "float32", "bfloat16"):
        store = train(precision, train={"precision": precision})
        losses[precision] = open_for_reading(store).read("loss")[0]
        state = Checkpoints(store, 0, 2, "test-0").state(12)
        assert state is not None
        told[precision] = state.precision
        weights = load((store / "checkpoints" / "0" / "12" / "model.safetensors").read_bytes())
        assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert told == {"auto": "float32", "float32": "float32", "bfloat16": "bfloat16"}
    np.testing.assert_array_equal(losses["auto"], losses["float32"])
    assert (losses["bfloat16"] != losses["float32"]).all()
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.03)


@pytest.mark.check
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_model_learns_the_same(train: Callable[..., Path]) -> None:
    plain, compiled = (
        open_for_reading(train(name, train={"compile": name == "compiled"})).read("loss")[0]
        for name in ("plain", "compiled")
    )
    np.testing.assert_allclose(compiled, plain, rtol=1e-4)


def test_a_model_is_compiled_where_that_is_asked_for(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def compiled(of: torch.nn.Module) -> torch.nn.Module:
        asked.append(of)
        return of

    monkeypatch.setattr(torch, "compile", compiled)
    train("plain")
    assert not asked
    train("compiled", train={"compile": True})
    assert len(asked) == 1


@pytest.mark.parametrize("accumulation", [1, 4])
def test_gradients_are_exchanged_once_a_step(
    make_job: Callable[..., model.Job], alone_with_gloo: Group, accumulation: int
) -> None:
    one = made(make_job(train={"accumulation": accumulation}), alone_with_gloo)
    sent: list[int] = []

    def exchange(_state: Any, bucket: Any) -> Any:
        sent.append(bucket.buffer().numel())
        future: Any = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future

    # DDP looks at types, not at their names.
    exchange.__annotations__ = {"bucket": dist.GradBucket, "return": torch.futures.Future[torch.Tensor]}  # type: ignore[attr-defined]
    one._forward.register_comm_hook(None, exchange)  # type: ignore[operator]
    one.begin(0)
    sent.clear()
    one.step(0, stop=False)
    # All numbers go out once, whatever the number of parts.
    assert sum(sent) == sum(weight.numel() for weight in one.model.parameters())


def test_dropout_is_that_of_seed_step_rank_and_part(
    make_job: Callable[..., model.Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks with the same points drop other activations; a step again drops the same ones."""
    monkeypatch.setattr(trainer, "share", lambda items, _rank, size: share(items, 0, size))
    job = make_job(model={"dropout": 0.5}, train={"batch": 4, "accumulation": 2})

    def gradients(rank: int, step: int) -> tuple[bytes, set[int]]:
        seeds = set()

        def seed(run_seed: int, purpose: str, *place: int) -> None:
            seeds.add(number(run_seed, purpose, *place))
            torch.manual_seed(number(run_seed, purpose, *place))

        with monkeypatch.context() as patch:
            patch.setattr(trainer, "seed_torch", seed)
            one = made(job, Group(rank, 1, CPU, None))
            seeds.clear()
            one._backward(step, one._parts(0), 4.0)
        return b"".join(weight.grad.numpy().tobytes() for weight in one.model.parameters()), seeds  # type: ignore[union-attr]

    first, places = gradients(0, 0)
    assert gradients(0, 0) == (first, places)
    assert places == {number(0, "training", 0, 0, part) for part in range(2)}
    others = [gradients(1, 0)[0], gradients(0, 1)[0]]
    assert len({first, *others}) == 3
