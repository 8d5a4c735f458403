"""Encode, process, decode on a graph: x to h, h through blocks that know the edges, h to y.

Owns the choice of the block and what it carries from one to the next. Encoder and decoder see one node at a time: with no
processor it is a network of the features alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from kernels.errors import RequestError
from networks.structure.diffusion import Activation, GraphDiffusion, Weights
from networks.structure.flows import LearnedEnergy, double_bracket, hamiltonian, skew
from networks.structure.graph import Graph
from networks.structure.graph_attention import GraphAttention
from networks.structure.integrators import Method, advance
from networks.structure.perceptron import perceptron

Processor = Literal["none", "gat", "grand", "hamiltonian", "double-bracket"]


@dataclass(frozen=True)
class Settings:
    """What the network is made of; the last six count where the processor has such a thing."""

    features: int
    classes: int
    width: int
    depth: int
    processor: Processor = "gat"
    shared: bool = False
    dropout: float = 0.0
    heads: int = 1
    weights: Weights = "symmetric"
    activation: Activation = "identity"
    step: float = 0.5
    damping: float = 1.0
    method: Method = "rk4"


class Flowing(nn.Module):
    """One step of a gradient flow, nodes holding q and edges p, for an energy that is learned."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.energy = LearnedEnergy(settings.width, settings.width, depth=1)

    def forward(self, q: Tensor, p: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """q [sample, node, width] and p [sample, edge, width] one step later."""
        own = self.settings
        energy = self.energy.of_state(graph.num_nodes)
        # Waves would be the faster the more neighbours there are, and any step too long for some graph.
        turn = skew(graph, graph.larger_degrees() ** -0.5)
        damped = own.processor == "double-bracket"
        flow = double_bracket(energy, turn, own.damping) if damped else hamiltonian(energy, turn)
        try:
            x = advance(own.method, flow, torch.cat([q, p], dim=1), own.step)
        except ArithmeticError as error:
            raise RequestError(f"model.step: {error}, or model.method = rk4") from None
        return x[:, : graph.num_nodes], x[:, graph.num_nodes :]


class OnNodes(nn.Module):
    """A block that leaves the edges alone."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, q: Tensor, p: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """q by the block, p as it is."""
        return self.block(q, graph), p


def processor(settings: Settings) -> nn.Module | None:
    """One block, None where there is none."""
    own = settings
    if own.processor == "gat":
        return OnNodes(GraphAttention(own.width, own.heads))
    if own.processor == "grand":
        return OnNodes(GraphDiffusion(own.width, weights=own.weights, step=own.step, activation=own.activation))
    return None if own.processor == "none" else Flowing(settings)


class EncodeProcessDecode(nn.Module):
    """Node features [sample, node, feature] and edges [sample, edge, 2] to [sample, node, class]."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings, width = settings, settings.width
        self.encoder = perceptron([settings.features, width, width], dropout=settings.dropout)
        drawn = (processor(settings) for _ in range(1 if settings.shared else settings.depth))
        self.blocks = nn.ModuleList(block for block in drawn if block is not None)
        self.decoder = perceptron([width, width, settings.classes], dropout=settings.dropout)

    def states(self, features: Tensor, edges: Tensor) -> list[Tensor]:
        """What nodes hold before the first block and after each: depth + 1 times [sample, node, width]."""
        graph = Graph(edges, features.shape[1])
        q = self.encoder(features)
        p = q.new_zeros(graph.num_samples, graph.num_edges, q.shape[-1])
        found = [q]
        for number in range(self.settings.depth):
            if self.blocks:
                q, p = self.blocks[number % len(self.blocks)](q, p, graph)
            found.append(q)
        return found

    def forward(self, features: Tensor, edges: Tensor) -> Tensor:
        """Logits of each node."""
        # Sums over neighbours in half precision would hear some of them only.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.decoder(self.states(features, edges)[-1])
        return logits
