"""Classes of nodes from their features and their neighbours, as a problem for the trainer.

Owns the join of graphs, network and loss. A sample is a graph; nodes of another split than the sample's have no label, and
smaller graphs are filled up with nodes that have none and no edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from networks.data.arrays import TRAIN, VALID
from networks.data.graphs import Graphs
from networks.structure.diffusion import spread
from networks.structure.shell import EncodeProcessDecode, Settings
from networks.task import Batch, Result

NO_LABEL = -1
MOST_SHOWN = 16
"""Graphs over which the spread of the nodes is a mean."""


class NodesTask:
    """A `networks.task.Task`: the class of each node.

    `load` gives the graphs and is called once; features and classes of `settings` are those of the graphs.
    """

    unit = "nodes"
    groups = None
    measures = ("accuracy",)

    def __init__(self, settings: Settings, load: Callable[[], Graphs]) -> None:
        self._settings, self._load = settings, load

    @cached_property
    def graphs(self) -> Graphs:
        """All graphs."""
        return self._load()

    @cached_property
    def _numbers(self) -> dict[int, list[int]]:
        """Graphs with nodes of each split."""
        found = self.graphs
        offsets = found.node_offsets
        return {
            split: [
                number
                for number in range(len(found))
                if (found.split[offsets[number] : offsets[number + 1]] == split).any()
            ]
            for split in (TRAIN, VALID)
        }

    @property
    def num_samples(self) -> int:
        """Graphs with nodes to train on."""
        return len(self._numbers[TRAIN])

    @property
    def num_evaluation_samples(self) -> int:
        """Graphs with nodes held back."""
        return len(self._numbers[VALID])

    @property
    def chance(self) -> float:
        """The loss when all classes are alike."""
        return math.log(self.graphs.num_classes)

    @property
    def results(self) -> tuple[Result, ...]:
        """How far apart the nodes of a graph are at each depth."""
        return (
            Result(
                "spread",
                (self._settings.depth + 1,),
                ("block",),
                long_name="distance of nodes from their mean, as a share of that before the first block",
            ),
        )

    def model(self) -> EncodeProcessDecode:
        """A new network."""
        features = self.graphs.features.shape[1]
        return EncodeProcessDecode(replace(self._settings, features=features, classes=self.graphs.num_classes))

    def batch(self, samples: Sequence[int]) -> Batch:
        """`features` [graph, node, feature], `edges` [graph, edge, 2] and `labels` [graph, node]."""
        return self._batch(TRAIN, samples)

    def evaluation_batch(self, samples: Sequence[int]) -> Batch:
        """The same with labels of nodes held back."""
        return self._batch(VALID, samples)

    def _batch(self, split: int, samples: Sequence[int]) -> Batch:
        found = [self.graphs.graph(self._numbers[split][sample]) for sample in samples]
        num_nodes = max(len(graph.labels) for graph in found)
        num_edges = max(1, *(len(graph.edges) for graph in found))
        features = np.zeros((len(found), num_nodes, self.graphs.features.shape[1]), np.float32)
        edges = np.zeros((len(found), num_edges, 2), np.int64)
        labels = np.full((len(found), num_nodes), NO_LABEL, np.int64)
        for row, graph in enumerate(found):
            features[row, : len(graph.labels)] = graph.features
            edges[row, : len(graph.edges)] = graph.edges
            labels[row, : len(graph.labels)] = np.where(graph.split == split, graph.labels, NO_LABEL)
        return {
            name: torch.from_numpy(of) for name, of in (("features", features), ("edges", edges), ("labels", labels))
        }

    def weight(self, batch: Batch) -> float:
        """Nodes with a label."""
        return float((batch["labels"] != NO_LABEL).sum())

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross entropy in nats, summed over nodes with a label."""
        return _cross_entropy(model(batch["features"], batch["edges"]), batch["labels"])

    def evaluate(self, model: nn.Module, batch: Batch) -> Mapping[str, float]:
        """The loss, and how many nodes are told right."""
        labels = batch["labels"]
        logits = model(batch["features"], batch["edges"])
        right = (logits.argmax(-1) == labels).sum().item()
        return {"loss": _cross_entropy(logits, labels).item(), "accuracy": float(right)}

    def finish(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """The arrays of `results`."""
        assert isinstance(model, EncodeProcessDecode)
        shown = range(min(MOST_SHOWN, self.num_evaluation_samples))
        total = np.zeros(self._settings.depth + 1)
        with torch.no_grad():
            for sample in shown:
                batch = self.evaluation_batch([sample])
                found = np.array([spread(state).item() for state in model.states(batch["features"], batch["edges"])])
                total += found / max(found[0], np.finfo(np.float64).tiny)
        return {"spread": total / len(shown)}


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL, reduction="sum")
