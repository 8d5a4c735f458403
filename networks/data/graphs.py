"""Graphs whose nodes have features and a class, from an `.npz` file: one large graph or many small ones.

Owns the layout. `features` (nodes, features), `labels` (nodes,), `edges` (edges, 2) with each undirected edge once,
`node_offsets` and `edge_offsets` (graphs + 1,), `split` (nodes,): 0 to train on, 1 for validation, 2 for the test. Nodes
are numbered through all graphs. Knows no models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from networks.data.arrays import Wanted, check_split, read_npz

FILE_NAME = "graphs.npz"
WANTED = {
    "features": Wanted(2, "<f4"),
    "labels": Wanted(1, "<i4"),
    "edges": Wanted(2, "<i4"),
    "node_offsets": Wanted(1, "<i8"),
    "edge_offsets": Wanted(1, "<i8"),
    "split": Wanted(1, "|u1"),
}


@dataclass(frozen=True)
class Graph:
    """One graph, its nodes numbered from 0; `edges` has each undirected edge once."""

    features: NDArray[np.float32]
    labels: NDArray[np.int32]
    edges: NDArray[np.int32]
    split: NDArray[np.uint8]


@dataclass(frozen=True)
class Graphs:
    """All graphs of a file; the fields are the arrays of its layout."""

    features: NDArray[np.float32]
    labels: NDArray[np.int32]
    edges: NDArray[np.int32]
    node_offsets: NDArray[np.int64]
    edge_offsets: NDArray[np.int64]
    split: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.node_offsets) - 1

    @property
    def num_classes(self) -> int:
        """Classes of nodes, numbered from 0."""
        return int(self.labels.max()) + 1

    def graph(self, number: int) -> Graph:
        """One graph with its own numbering of nodes."""
        first, last = self.node_offsets[number : number + 2]
        edges = self.edges[self.edge_offsets[number] : self.edge_offsets[number + 1]]
        own = slice(first, last)
        return Graph(self.features[own], self.labels[own], edges - np.int32(first), self.split[own])


def load(path: Path) -> Graphs:
    """The graphs of a file, or of `graphs.npz` in a folder. Raises RequestError where edges or classes are impossible."""
    file = path / FILE_NAME if path.is_dir() else path
    found = Graphs(**read_npz(file, WANTED))
    nodes, edges = len(found.features), len(found.edges)
    faults = {
        "labels has not one entry a node": len(found.labels) != nodes,
        "node_offsets do not run from 0 to the number of nodes": not _runs(found.node_offsets, nodes),
        "edge_offsets do not run from 0 to the number of edges": not _runs(found.edge_offsets, edges),
        "graphs differ in number between node_offsets and edge_offsets": found.node_offsets.size
        != found.edge_offsets.size,
        "edges is not of two columns": found.edges.shape[1] != 2,
        "labels has a class below 0": nodes > 0 and bool(found.labels.min() < 0),
        "there are no nodes": nodes == 0,
    }
    for fault, present in faults.items():
        if present:
            raise RequestError(f"data file {file}: {fault}")
    check_split(file, found.split, nodes, "nodes")
    owner = np.repeat(np.arange(len(found)), np.diff(found.edge_offsets))
    low, high = found.node_offsets[owner], found.node_offsets[owner + 1]
    if ((found.edges < low[:, None]) | (found.edges >= high[:, None])).any():
        raise RequestError(f"data file {file}: an edge ends at a node of another graph, or at none")
    return found


def _runs(offsets: NDArray[np.int64], total: int) -> bool:
    """Whether offsets cut `total` things into groups."""
    return offsets.size >= 2 and offsets[0] == 0 and offsets[-1] == total and bool((np.diff(offsets) >= 0).all())
