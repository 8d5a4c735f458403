"""Orders of the data, schedules of the rate, random numbers: pure functions of their place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jobs.training import optimisers
from jobs.training.order import DataOrder, share
from jobs.training.randomness import number, seed_torch
from jobs.training.sections import Train

GROUPS = np.array([0, 1, 1, 0, 2, 0, 1])


@pytest.mark.parametrize("order", ["shuffled", "shuffled-once", "sequential", "sequential-by-class", "alternating"])
def test_every_epoch_is_every_sample_once(order: str) -> None:
    of = DataOrder(order, 7, 3, GROUPS)  # type: ignore[arg-type]
    epochs = [of.samples(7 * epoch, 7 * epoch + 7) for epoch in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert (epochs[0] == epochs[1] == epochs[2]) is (order != "shuffled")

    # Any part, in any order of asking, is the same.
    whole = [sample for epoch in epochs for sample in epoch]
    assert DataOrder(order, 7, 3, GROUPS).samples(5, 16) == whole[5:16]  # type: ignore[arg-type]
    assert of.samples(2, 4) == whole[2:4]


def test_orders_by_class() -> None:
    by_class = DataOrder("sequential-by-class", 7, 3, GROUPS).samples(0, 7)
    assert GROUPS[by_class].tolist() == [0, 0, 0, 1, 1, 1, 2]
    in_turn = DataOrder("alternating", 7, 3, GROUPS).samples(0, 7)
    assert GROUPS[in_turn].tolist() == [0, 1, 2, 0, 1, 0, 1]
    assert DataOrder("sequential", 7, 3).samples(5, 9) == [5, 6, 0, 1]
    assert DataOrder("shuffled", 99, 3).samples(0, 99) != DataOrder("shuffled", 99, 4).samples(0, 99)


def test_ranks_share_a_batch() -> None:
    batch = list(range(12))
    parts = [share(share(batch, rank, 3), part, 2) for rank in range(3) for part in range(2)]
    assert [sample for part in parts for sample in part] == batch


def test_the_rate() -> None:
    train = Train(steps=11, rate=2.0, warmup=4, schedule="linear", last_rate=0.1)
    rates = [optimisers.rate(train, step, 11) for step in range(11)]
    assert rates[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert rates[-1] == pytest.approx(0.2)
    assert np.diff(rates[4:]) == pytest.approx(np.full(6, -0.3))
    cosine = Train(steps=11, rate=2.0, schedule="cosine")
    assert [optimisers.rate(cosine, step, 11) for step in (0, 5, 10)] == pytest.approx([2.0, 1.0, 0.0])
    assert {optimisers.rate(Train(steps=11, rate=2.0), step, 11) for step in range(11)} == {2.0}


def test_random_numbers_depend_on_their_place_alone() -> None:
    numbers = {number(1, "training", step, rank) for step in range(20) for rank in range(3)}
    assert len(numbers) == 60
    assert number(1, "training", 12, 1) != number(1, "training", 1, 21)
    assert number(7, "order", 0) == 2260487695032593410
    seed_torch(0, "training", 3)
    one = torch.rand(3)
    torch.rand(100)
    seed_torch(0, "training", 3)
    assert torch.equal(torch.rand(3), one)
