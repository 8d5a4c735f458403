"""Flows on graphs and their integrators: what must stay, stays; what must fall, falls; orders are the stated ones."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from networks.structure.flows import Flow, LearnedEnergy, double_bracket, hamiltonian, skew
from networks.structure.graph import Graph
from networks.structure.integrators import METHODS, Method, advance, trajectory

NODES, FEATURES = 10, 2
RING = [[node, (node + 1) % NODES] for node in range(NODES)]
CHORDS = [[0, 4], [2, 7], [3, 9]]


@pytest.fixture
def graph() -> Graph:
    return Graph(torch.tensor([RING + CHORDS]), NODES)


@pytest.fixture
def start() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, NODES + len(RING + CHORDS), FEATURES, generator=generator, dtype=torch.float64)


@pytest.fixture
def energy() -> LearnedEnergy:
    torch.manual_seed(0)
    return LearnedEnergy(FEATURES, 16).double()


def energies(flow: Flow, states: Tensor) -> Tensor:
    return flow.energy(states[0].detach()).detach()


def test_j_is_skew(start: Tensor) -> None:
    size = start[0].numel()
    basis = torch.eye(size, dtype=torch.float64).reshape(size, *start.shape[1:])
    many = Graph(torch.tensor([RING + CHORDS]).expand(size, -1, -1), NODES)
    matrix = skew(many)(basis).reshape(size, size)
    assert matrix.abs().sum() > 0
    assert torch.equal(matrix, -matrix.T)


def test_energy_does_not_change_along_a_hamiltonian_flow(graph: Graph, start: Tensor, energy: LearnedEnergy) -> None:
    flow = hamiltonian(energy.of_state(NODES), skew(graph))
    gradient, rate = flow.gradient(start), flow(start)
    assert rate.abs().max() > 0.1
    assert abs((gradient * rate).sum().item()) <= 1e-12


def test_energy_falls_by_the_squared_length_of_j_grad(graph: Graph, start: Tensor, energy: LearnedEnergy) -> None:
    flow = double_bracket(energy.of_state(NODES), skew(graph))
    gradient = flow.gradient(start)
    rate, lost = (gradient * flow(start)).sum().item(), -skew(graph)(gradient).square().sum().item()
    assert rate == pytest.approx(lost, rel=1e-12)
    # And so says a central difference along the flow.
    ahead, behind = (flow.energy(start + sign * 1e-5 * flow(start)).item() for sign in (1, -1))
    assert (ahead - behind) / 2e-5 == pytest.approx(lost, rel=1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("damping", [0.0, 1.0])
@torch.no_grad()
def test_sums_and_cycles_stay(
    graph: Graph, start: Tensor, energy: LearnedEnergy, method: Method, damping: float
) -> None:
    flow = double_bracket(energy.of_state(NODES), skew(graph), damping)
    end = trajectory(method, flow, start, 0.05, 10)[0, -1].detach()
    assert (end - start[0]).abs().max() > 0.1
    assert (end[:NODES].sum(0) - start[0, :NODES].sum(0)).abs().max() <= 1e-12
    ring = slice(NODES, 2 * NODES)
    assert (end[ring].sum(0) - start[0, ring].sum(0)).abs().max() <= 1e-12
    # The cycle 0 - 1 - 2 - 3 - 4 and back along the chord 0 - 4.
    first, second = (x[NODES : NODES + 4].sum(0) - x[2 * NODES] for x in (start[0], end))
    assert (first - second).abs().max() <= 1e-12


@torch.no_grad()
def test_discrete_gradient_keeps_the_energy(graph: Graph, start: Tensor, energy: LearnedEnergy) -> None:
    flow = hamiltonian(energy.of_state(NODES), skew(graph))
    drift = {
        method: (energies(flow, states) - energies(flow, states)[0]).abs().max().item()
        for method in METHODS
        for states in [trajectory(method, flow, start, 0.1, 100).detach()]
    }
    assert drift["discrete-gradient"] < 1e-10
    assert drift["discrete-gradient"] < 1e-3 * drift["midpoint"] < drift["euler"]
    assert drift["rk4"] < 1e-2 * drift["euler"]


@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_double_bracket_energy_never_rises(graph: Graph, start: Tensor, energy: LearnedEnergy, seed: int) -> None:
    flow = double_bracket(energy.of_state(NODES), skew(graph))
    generator = torch.Generator().manual_seed(seed)
    start = 2 * torch.randn(start.shape, generator=generator, dtype=torch.float64)
    found = energies(flow, trajectory("discrete-gradient", flow, start, 0.02, 200).detach())
    assert (found.diff() <= 1e-12).all()
    assert found[-1] < 0.5 * found[0]


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("rk4", 4), ("midpoint", 2), ("discrete-gradient", 2)])
@torch.no_grad()
def test_orders(graph: Graph, start: Tensor, energy: LearnedEnergy, method: Method, order: int) -> None:
    flow = hamiltonian(energy.of_state(NODES), skew(graph))
    exact = trajectory("rk4", flow, start, 1 / 512, 256)[0, -1]
    counts = (10, 20, 40) if order > 1 else (40, 80, 160)
    errors = [
        (trajectory(method, flow, start, 0.5 / count, count)[0, -1] - exact).abs().max().item() for count in counts
    ]
    measured = [math.log2(first / second) for first, second in itertools.pairwise(errors)]
    assert measured[-1] == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize("method", ["midpoint", "discrete-gradient"])
@torch.no_grad()
def test_a_batch_changes_no_digit(energy: LearnedEnergy, start: Tensor, method: Method) -> None:
    edges = torch.tensor([RING + CHORDS])
    both = torch.cat([start, 3 * start.flip(1)])
    flows = [hamiltonian(energy.of_state(NODES), skew(Graph(edges.expand(count, -1, -1), NODES))) for count in (1, 2)]
    alone, together = (advance(method, flow, x, 0.1) for flow, x in zip(flows, (start, both), strict=True))
    assert (alone[0] - together[0]).abs().max() <= 1e-14


def test_a_state_at_rest_stays(graph: Graph, start: Tensor) -> None:
    flow = hamiltonian(lambda x: x.square().sum((1, 2)) / 2, skew(graph))
    rest = torch.zeros_like(start)
    assert torch.equal(advance("discrete-gradient", flow, rest, 0.1), rest)


def test_too_long_a_step_is_said(graph: Graph, start: Tensor) -> None:
    flow = hamiltonian(lambda x: 50 * x.square().sum((1, 2)), skew(graph))
    with pytest.raises(ArithmeticError, match="shorter"):
        advance("midpoint", flow, start, 1.0)


def test_gradients_go_through_an_implicit_step(graph: Graph, start: Tensor, energy: LearnedEnergy) -> None:
    flow = hamiltonian(energy.of_state(NODES), skew(graph))
    weight = next(energy.parameters())
    advance("midpoint", flow, start, 0.1).square().sum().backward()
    assert weight.grad is not None
    # The same by differences of the weight.
    place, change, values = (3, 1), 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            weight[place] += sign * change
            values.append(advance("midpoint", flow, start, 0.1).square().sum().item())
            weight[place] -= sign * change
    assert weight.grad[place].item() == pytest.approx((values[0] - values[1]) / (2 * change), rel=1e-5)
