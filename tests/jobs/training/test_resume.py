"""A run that is killed, told to stop and resumed is the run that was never touched: bit for bit, by two ranks."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

pytestmark = pytest.mark.mpi

DROPOUT = """
kind = "training"
task = "classes"
[data]
count = 64
evaluation_count = 20
[model]
hidden = [32, 16]
dropout = 0.2
[train]
batch = 32
accumulation = 2
steps = 42
checkpoint_every = 10
evaluate_every = 5
rate = 0.01
schedule = "cosine"
warmup = 5
clip = 0.5
"""

# What mpiexec says where the end of a rank that it has killed itself comes before that of the rank which asked for it.
KILLED = 9

PLAIN = DROPOUT.replace("dropout = 0.2", "")

ONE_STEP = """
[sweep]
zip = true
"train.optimiser" = ["adamw", "sgd"]
"train.rate" = [0.01, 1.0]
"train.steps" = [42, 1]
"train.warmup" = [5, 0]
"train.clip" = [0.5, 0.0]
"""


def job(text: str) -> Path:
    path = Path("job.toml")
    path.write_text(text)
    return path


def test_resume_equals_straight_through(engine: Any) -> None:
    path = job(DROPOUT)
    done = engine.start(2, path, "--out", "straight.zarr")
    assert (done.returncode, done.stdout, done.stderr) == (0, "straight.zarr\n", "")
    store = Path("resumed.zarr")
    checkpoints = store / "checkpoints" / "0"

    # Kill a rank at any step between two checkpoints.
    step = random.randrange(21, 30)
    assert engine.start(2, path, "--out", store, strike=f"kill:{step}:{random.randrange(2)}").returncode != 0
    assert sorted(folder.name for folder in checkpoints.iterdir()) == ["10", "20"], step

    # Kill the one that writes in the middle of the next checkpoint.
    assert engine.start(2, path, "--out", store, strike="write:30:0").returncode != 0
    assert {folder.name for folder in checkpoints.iterdir() if folder.name.isdecimal()} == {"10", "20"}
    assert list(checkpoints.glob("30.*.partial"))

    # Tell the other one to stop: it says so in its next step, which is finished, and kept.
    step = random.randrange(30, 37)
    told = engine.start(2, path, "--out", store, strike=f"term:{step}:1")
    stopped = "horseshoe: stopped early (SIGTERM); the same command goes on\n"
    assert (told.returncode, told.stderr) == (75, stopped)
    assert (checkpoints / str(step + 2) / "VALID").is_file()
    assert not list(store.rglob("*.partial"))
    assert json.loads((store / "status.json").read_text())["state"] == "stopped"

    assert engine.start(2, path, "--out", store).returncode == 0, step
    engine.assert_same(Path("straight.zarr"), store)

    # Results that are lost are made from the last checkpoint; without it the end of the run is made again, by as many ranks.
    (store / "checkpoints" / "0" / "42" / "model.safetensors").write_bytes(b"")
    for ledger in (store / "ledger").iterdir():
        lines = [line for line in ledger.read_text().splitlines() if '"results"' not in line]
        ledger.write_text("\n".join(lines) + "\n" if lines else "")
    refused = engine.start(None, path, "--out", store)
    assert refused.returncode == 2
    assert "was made by 2 ranks of a model that draws random numbers" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert engine.start(2, path, "--out", store).returncode == 0
    engine.assert_same(Path("straight.zarr"), store)


CHANGED = "data.path: stories.txt has changed"


def test_what_one_rank_alone_meets_ends_the_job(engine: Any) -> None:
    """The others wait in a sum for it: nothing but the end of their processes wakes them."""
    path = job(DROPOUT)
    assert engine.start(2, path, "--out", "straight.zarr").returncode == 0
    done = engine.start(2, path, "--out", "struck.zarr", strike="refuse:13:1")
    assert done.returncode in (2, KILLED)
    assert done.stderr == f"horseshoe: rank 1 on {socket.gethostname()}: {CHANGED}\n"

    # A mistake of ours shows where it was made.
    done = engine.start(2, path, "--out", "struck.zarr", strike="bug:35:1")
    assert done.returncode != 0
    assert "horseshoe: rank 1 ends the job after this error:" in done.stderr
    assert "ArithmeticError: a mistake of ours" in done.stderr
    assert "gloo" not in done.stderr
    assert engine.start(2, path, "--out", "struck.zarr").returncode == 0
    engine.assert_same(Path("straight.zarr"), Path("struck.zarr"))


@pytest.mark.check
def test_more_that_one_rank_alone_meets(engine: Any) -> None:
    path = job(DROPOUT)
    place = socket.gethostname()
    unread = "stories.txt: Input/output error; mend that, the same command goes on"
    for strike, line in (("disk:23:0", f"rank 0 on {place}: {unread}"), ("vanish:33:0", CHANGED)):
        done = engine.start(2, path, "--out", "struck.zarr", strike=strike)
        assert done.returncode in (2, KILLED), strike
        assert done.stderr == f"horseshoe: {line}\n", strike

    # Groups beside it end too.
    Path("groups.toml").write_text(DROPOUT + 'ranks = 2\n[sweep]\n"train.rate" = [0.01, 0.001]\n')
    done = engine.start(3, "groups.toml", "--out", "groups.zarr", strike="refuse:13:1")
    assert done.returncode in (2, KILLED)
    assert done.stderr == f"horseshoe: rank 1 on {place}: {CHANGED}\n"

    # A rank that is killed is named by the launcher alone: no error of the others' lost connections.
    done = engine.start(2, path, "--out", "struck.zarr", strike="kill:37:1")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "gloo" not in done.stderr


def test_ranks_make_no_difference_without_dropout(engine: Any) -> None:
    """The second run takes one step of descent at rate 1: it tells the mean of the gradients of the ranks."""
    path = job(PLAIN + ONE_STEP)
    assert engine.start(2, path, "--out", "two.zarr", strike="digest:41").returncode == 0
    assert engine.start(None, path, "--out", "one.zarr").returncode == 0
    assert Path("digest-0").read_text() == Path("digest-1").read_text()
    assert_close(engine, Path("one.zarr"), Path("two.zarr"), 1e-5)
    one, two = (load(engine.weights(Path(name), 1)) for name in ("one.zarr", "two.zarr"))
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=0, atol=1e-6)

    # One goes on where two were killed.
    assert engine.start(2, path, "--out", "changed.zarr", strike="kill:25:1").returncode != 0
    assert engine.start(None, path, "--out", "changed.zarr").returncode == 0
    assert_close(engine, Path("one.zarr"), Path("changed.zarr"), 1e-5)


def test_a_sweep_over_groups_of_ranks(engine: Any) -> None:
    path = job(DROPOUT + 'ranks = 1\n[sweep]\n"train.rate" = [0.01, 0.001, 0.1]\n')
    assert engine.start(2, path, "--out", "two.zarr").returncode == 0
    assert engine.start(None, path, "--out", "one.zarr").returncode == 0
    engine.assert_same(Path("one.zarr"), Path("two.zarr"), num_runs=3)
    logs = [json.loads(line) for file in Path("two.zarr/logs").iterdir() for line in file.read_text().splitlines()]
    began = [(line["rank"], line["run_number"]) for line in logs if line["message"] == "run begins"]
    assert sorted(run for _, run in began) == [0, 0, 1, 1, 2, 2]
    assert {rank for rank, _ in began} == {0, 1}


def assert_close(engine: Any, store: Path, other: Path, tolerance: float) -> None:
    its = engine.numbers(other)
    for name, values in engine.numbers(store).items():
        np.testing.assert_allclose(its[name], values, rtol=tolerance, atol=tolerance, err_msg=name)
    one, two = load(engine.weights(store)), load(engine.weights(other))
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=0, atol=tolerance)


@pytest.mark.check
def test_three_ranks_sum_gradients_in_one_order(engine: Any) -> None:
    """The sum of three numbers depends on their order, and DDP fills its buckets anew after its first step."""
    text = (
        DROPOUT.replace("[32, 16]", "[700, 700]")
        .replace("batch = 32", "batch = 36")
        .replace("steps = 42", "steps = 14")
    )
    path = job(text.replace("checkpoint_every = 10", "checkpoint_every = 5"))
    assert engine.start(3, path, "--out", "straight.zarr").returncode == 0
    assert engine.start(3, path, "--out", "resumed.zarr", strike="kill:7:1").returncode != 0
    assert engine.start(3, path, "--out", "resumed.zarr").returncode == 0
    engine.assert_same(Path("straight.zarr"), Path("resumed.zarr"))
