"""Graph calculus, attention, diffusion and the shell: invariants to their tolerances, and no order of nodes."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from networks.structure.diffusion import GraphDiffusion, spread
from networks.structure.graph import Graph, neighbour_softmax
from networks.structure.graph_attention import GraphAttention
from networks.structure.shell import EncodeProcessDecode, Processor, Settings

NODES, WIDTH = 10, 4
PROCESSORS: tuple[Processor, ...] = ("none", "gat", "grand", "hamiltonian", "double-bracket")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(5)


@pytest.fixture
def edges() -> Tensor:
    """A random graph in one piece but for node 9, which has no edges."""
    pairs = list(itertools.combinations(range(NODES - 1), 2))
    kept = [pair for number, pair in enumerate(pairs) if pair[1] - pair[0] == 1 or number % 5 == 0]
    return torch.tensor([kept])


@pytest.fixture
def h() -> Tensor:
    return torch.randn(1, NODES, WIDTH, dtype=torch.float64)


def test_adjoint_in_the_inner_product_of_symmetric_weights(edges: Tensor, h: Tensor) -> None:
    graph = Graph(edges, NODES)
    g = torch.randn(1, edges.shape[1], WIDTH, dtype=torch.float64)
    alpha = GraphDiffusion(WIDTH).double().edge_weights(h, graph)
    on_edges, on_nodes = (alpha * graph.difference(h) * g).sum(), (h * graph.divergence(alpha * g)).sum()
    assert on_edges.abs() > 1e-3
    assert (on_edges - on_nodes).abs() <= 1e-12
    assert graph.difference(torch.full_like(h, 3.25)).abs().max() == 0


def test_filling_edges_add_nothing(edges: Tensor, h: Tensor) -> None:
    filled = torch.cat([edges, torch.zeros(1, 3, 2, dtype=edges.dtype)], dim=1)
    for processor in PROCESSORS:
        model = EncodeProcessDecode(Settings(WIDTH, 3, 8, 2, processor)).double()
        assert (model(h, edges) - model(h, filled)).abs().max() <= 1e-14


@pytest.mark.parametrize("weights", ["symmetric", "row-stochastic"])
def test_diffusion_keeps_its_invariants(edges: Tensor, h: Tensor, weights: str) -> None:
    graph = Graph(edges, NODES)
    layer = GraphDiffusion(WIDTH, weights=weights, step=0.5).double()  # type: ignore[arg-type]
    constant = torch.full_like(h, -1.5)
    assert (layer(constant, graph) - constant).abs().max() <= 1e-15

    with torch.no_grad():
        states = [h]
        for _ in range(200):
            states.append(layer(states[-1], graph))
    lowest, highest = h.amin(1, keepdim=True), h.amax(1, keepdim=True)
    assert all(((lowest - 1e-12 <= state) & (state <= highest + 1e-12)).all() for state in states)
    connected = [spread(state[:, : NODES - 1]).item() for state in states]
    assert connected[-1] < 1e-2 * connected[0]
    moved = (states[-1].mean(1) - h.mean(1)).abs().max().item()
    if weights == "symmetric":
        assert moved <= 1e-14
    else:
        assert moved > 1e-3


def dirichlet_energy(h: Tensor, graph: Graph, weights: Tensor) -> Tensor:
    """1/2 |delta h|^2 in the inner product of symmetric weights [sample, edge, 1], for each sample."""
    return (weights * graph.difference(h).square()).sum((1, 2)) / 2


def test_dirichlet_energy_never_rises(edges: Tensor, h: Tensor) -> None:
    graph = Graph(edges, NODES)
    alpha = GraphDiffusion(WIDTH).double().edge_weights(h, graph).detach()
    eye = torch.eye(NODES, dtype=torch.float64)[None]
    largest = torch.linalg.eigvalsh(graph.divergence(alpha * graph.difference(eye))[0])[-1].item()
    assert largest < 2
    for step in (0.5, 1.0, 1.99 / largest):
        state, energies = h, [dirichlet_energy(h, graph, alpha).item()]
        for _ in range(100):
            state = state - step * graph.divergence(alpha * graph.difference(state))
            energies.append(dirichlet_energy(state, graph, alpha).item())
        assert all(second <= first + 1e-15 for first, second in itertools.pairwise(energies))
        assert energies[-1] < 0.2 * energies[0]
    wrong_sign = h + graph.divergence(alpha * graph.difference(h))
    assert dirichlet_energy(wrong_sign, graph, alpha).item() > energies[0]


def test_the_layer_is_that_diffusion(edges: Tensor, h: Tensor) -> None:
    graph = Graph(edges, NODES)
    layer = GraphDiffusion(WIDTH, step=0.7, activation="tanh").double()
    laplacian = graph.divergence(layer.edge_weights(h, graph) * graph.difference(h))
    assert (layer(h, graph) - (h - 0.7 * torch.tanh(laplacian))).abs().max() <= 1e-15


def test_attention_rows_sum_to_one_over_neighbours(edges: Tensor, h: Tensor) -> None:
    graph = Graph(edges, NODES)
    layer = GraphAttention(WIDTH, heads=2).double()
    sources, targets, alpha, _ = layer.weights(h, graph)
    sums = torch.zeros(NODES, 2, dtype=torch.float64).index_add(0, targets, alpha)
    assert (sums - 1).abs().max() <= 1e-12
    assert (alpha > 0).all()
    linked = {(int(a), int(b)) for a, b in edges[0]}
    wanted = linked | {(b, a) for a, b in linked} | {(node, node) for node in range(NODES)}
    assert set(zip(sources.tolist(), targets.tolist(), strict=True)) == wanted


def test_attention_is_the_formula(edges: Tensor, h: Tensor) -> None:
    layer = GraphAttention(WIDTH).double()
    mapped, a = h[0] @ layer.map.weight.T, torch.cat([layer.of_target[0], layer.of_source[0]])
    neighbours = {node: {node} for node in range(NODES)}
    for first, second in edges[0].tolist():
        neighbours[first].add(second)
        neighbours[second].add(first)
    rows = []
    for node, others in neighbours.items():
        scores = torch.stack([a @ torch.cat([mapped[node], mapped[other]]) for other in sorted(others)])
        alpha = torch.softmax(nn.functional.leaky_relu(scores, 0.2), dim=0)
        rows.append(nn.functional.elu(alpha @ mapped[sorted(others)]))
    assert (layer(h, Graph(edges, NODES))[0] - torch.stack(rows)).abs().max() <= 1e-12


def test_large_scores_stay_finite() -> None:
    alpha = neighbour_softmax(torch.tensor([[1e4], [-1e4], [2e4]]), torch.tensor([0, 0, 1]), 2)
    assert torch.equal(alpha, torch.tensor([[1.0], [0.0], [1.0]]))


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_order_of_nodes_means_nothing(edges: Tensor, h: Tensor, processor: Processor) -> None:
    model = EncodeProcessDecode(Settings(WIDTH, 3, 8, 3, processor)).double()
    order = torch.randperm(NODES)
    place = torch.argsort(order)
    # Edges have a direction inside: for flows that is the sign of p, so it is kept.
    renumbered = place[edges]
    assert (model(h[:, order], renumbered) - model(h, edges)[:, order]).abs().max() <= 1e-10
    if processor in ("gat", "grand"):
        assert (model(h, edges.flip(-1)) - model(h, edges)).abs().max() <= 1e-12


@pytest.mark.parametrize("processor", PROCESSORS[1:])
def test_neighbours_are_heard(edges: Tensor, h: Tensor, processor: Processor) -> None:
    model = EncodeProcessDecode(Settings(WIDTH, 3, 8, 2, processor)).double()
    changed = h.clone()
    changed[0, 0] += 1
    moved = (model(changed, edges) - model(h, edges)).abs().amax(-1)[0]
    assert moved[1] > 1e-6
    assert moved[NODES - 1] == 0


def test_without_a_processor_it_is_encoder_and_decoder(edges: Tensor, h: Tensor) -> None:
    model = EncodeProcessDecode(Settings(WIDTH, 3, 8, 7, "none")).double()
    assert torch.equal(model(h, edges), model.decoder(model.encoder(h)))
    processed = EncodeProcessDecode(Settings(WIDTH, 3, 8, 7, "gat", shared=True)).double()
    processed.load_state_dict(model.state_dict(), strict=False)
    assert (processed(h, edges) - model(h, edges)).abs().max() > 1e-3
    # A shared block is one set of weights at every depth.
    assert len(processed.blocks) == 1
    assert len(processed.states(h, edges)) == 8


@pytest.mark.parametrize("processor", ["hamiltonian", "double-bracket"])
def test_flows_teach_all_their_weights(edges: Tensor, h: Tensor, processor: Processor) -> None:
    model = EncodeProcessDecode(Settings(WIDTH, 3, 8, 2, processor)).double()
    model(h, edges).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())
    with torch.no_grad():
        assert torch.isfinite(model(h, edges)).all()
