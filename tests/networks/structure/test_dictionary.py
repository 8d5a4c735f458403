"""Soft dictionaries: partitions of unity, hat functions, heads, fields that see a set, and dropout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from networks.structure.dictionary import MultiHeadAttention, distance_score, dot_score, hat_weights, look_up
from networks.structure.field import NeuralField, Settings
from networks.structure.interpolation import Basis, Dictionary
from networks.structure.perceptron import only_masks, over_masks, perceptron


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


@pytest.fixture
def nodes() -> Tensor:
    return torch.tensor([0.0, 0.1, 0.35, 0.5, 0.8, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("basis", ["hat", "softmax", "mlp"])
def test_weights_are_a_partition_of_unity(nodes: Tensor, basis: Basis) -> None:
    x = torch.linspace(-0.2, 1.2, 141, dtype=torch.float64)
    alpha = Dictionary(basis, nodes, nodes).double().weights(x)
    assert (alpha.sum(1) - 1).abs().max() <= 1e-12
    assert (alpha >= 0).all()


def test_hat_functions_interpolate_and_give_back_affine_functions(nodes: Tensor) -> None:
    values = torch.randn(len(nodes), dtype=torch.float64)
    assert (hat_weights(nodes, nodes) - torch.eye(len(nodes))).abs().max() <= 1e-12
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert (hat_weights(x, nodes) @ (3 * nodes - 2) - (3 * x - 2)).abs().max() <= 1e-12
    between = hat_weights(torch.tensor([0.2], dtype=torch.float64), nodes) @ values
    assert between.item() == pytest.approx((values[1] * 0.15 + values[2] * 0.1).item() / 0.25, abs=1e-12)


def test_cold_softmax_is_the_nearest_node(nodes: Tensor) -> None:
    values = torch.randn(len(nodes), 1, dtype=torch.float64)
    x = torch.linspace(0.003, 0.997, 57, dtype=torch.float64)[:, None]
    nearest = values[(x - nodes).abs().argmin(1)]
    errors = [
        (look_up(distance_score(x, nodes[:, None], temperature), values) - nearest).abs().max().item()
        for temperature in (1e-1, 1e-6)
    ]
    assert errors[0] > 1e-2
    assert errors[1] <= 1e-12


def test_one_head_with_nothing_is_the_dictionary() -> None:
    q, k, v = (torch.randn(2, count, 6, dtype=torch.float64) for count in (5, 7, 7))
    bare = MultiHeadAttention((6, 6, 6), 6, 1, projection="identity")
    assert torch.equal(bare(q, k, v), look_up(dot_score(q, k), v))
    weights = torch.softmax(dot_score(q, k), dim=-1)
    assert (weights.sum(-1) - 1).abs().max() <= 1e-12


@pytest.mark.parametrize("projection", ["linear", "mlp"])
def test_keys_and_values_are_a_set(projection: str) -> None:
    model = MultiHeadAttention((3, 4, 5), 8, 2, projection=projection, depth=2).double()  # type: ignore[arg-type]
    q, k, v = (torch.randn(2, count, width, dtype=torch.float64) for count, width in ((5, 3), (7, 4), (7, 5)))
    order = torch.randperm(7)
    out = model(q, k, v)
    assert out.shape == (2, 5, 8)
    assert (model(q, k[:, order], v[:, order]) - out).abs().max() <= 1e-12
    assert (model(q, k[:, order], v) - out).abs().max() > 1e-4
    # Each head has networks of its own.
    assert len(list(model.queries)) == 2
    assert sum(isinstance(one, nn.Linear) for one in model.queries[0].modules()) == (3 if projection == "mlp" else 1)


def test_fields_see_a_set_and_blind_ones_nothing() -> None:
    x, places, z = torch.rand(2, 9), torch.rand(2, 12), torch.randn(2, 12)
    order = torch.randperm(12)
    seeing, blind = NeuralField(Settings()), NeuralField(Settings(conditioning="none"))
    assert (seeing(x, places, z) - seeing(x, places[:, order], z[:, order])).abs().max() <= 1e-6
    assert (seeing(x, places, z) - seeing(x, places, z[:, order])).abs().max() > 1e-4
    assert torch.equal(blind(x, places, z), blind(x, places, z + 1))


def test_dropout_keeps_the_mean_and_evaluation_is_still() -> None:
    linear = nn.Linear(20, 3)
    model = nn.Sequential(nn.Dropout(0.3), linear).eval()
    x = torch.randn(1, 20)
    plain = model(x)
    assert torch.equal(plain, linear(x))
    masks = 10_000
    mean, deviation = over_masks(model, lambda: model(x), masks=masks, seed=1)
    assert (deviation > 0.1).all()
    assert ((mean - plain).abs() <= 3 * deviation / masks**0.5).all()
    assert torch.equal(model(x), plain)


def test_masks_are_those_of_their_seed_and_leave_other_numbers_alone() -> None:
    model = perceptron([5, 16, 16, 2], dropout=0.5).eval()
    x = torch.randn(4, 5)
    before = torch.get_rng_state()
    first = over_masks(model, lambda: model(x), masks=5, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(
        torch.equal(a, b) for a, b in zip(first, over_masks(model, lambda: model(x), masks=5, seed=7), strict=True)
    )
    assert not torch.equal(first[0], over_masks(model, lambda: model(x), masks=5, seed=8)[0])
    assert not any(module.training for module in model.modules())
    with only_masks(model):
        assert [module.training for module in model.modules()].count(True) == 2
