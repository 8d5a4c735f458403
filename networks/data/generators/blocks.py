"""Stochastic block graphs: nodes of one class are linked more often, features tell the class only through noise.

Owns the model; the layout is that of `networks.data.graphs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networks.data.arrays import TEST, TRAIN, VALID, split_by_number, to_npz
from networks.data.draws import Draws
from networks.data.graphs import FILE_NAME


def make(count: int, seed: int, parameters: Mapping[str, float]) -> dict[str, bytes]:
    """`count` graphs; the last tenth is for validation. Of a single graph, a fifth of the nodes each is for validation and
    the test.

    Class c has the centre m_c, drawn once; a node has m_c + noise * (nearly normal).
    """
    nodes, classes, width = (int(parameters[name]) for name in ("nodes", "classes", "features"))
    draws = Draws("blocks", seed)
    centres = draws.normal(classes, width)
    features, labels, edges = [], [], []
    first, second = np.triu_indices(nodes, 1)
    for number in range(count):
        classes_of = draws.integers(0, classes, nodes)
        share = np.where(classes_of[first] == classes_of[second], parameters["inside"], parameters["outside"])
        linked = draws.uniform(first.size) < share
        labels.append(classes_of)
        features.append(centres[classes_of] + parameters["noise"] * draws.normal(nodes, width))
        edges.append(np.stack((first[linked], second[linked]), axis=1) + number * nodes)
    if count == 1:
        split = np.array([TRAIN, TRAIN, TRAIN, VALID, TEST], dtype=np.uint8)[draws.integers(0, 5, nodes)]
    else:
        split = np.repeat(split_by_number(count), nodes)
    arrays: dict[str, NDArray[Any]] = {
        "features": np.concatenate(features).astype(np.float32),
        "labels": np.concatenate(labels).astype(np.int32),
        "edges": np.concatenate(edges).astype(np.int32),
        "node_offsets": np.arange(count + 1, dtype=np.int64) * nodes,
        "edge_offsets": np.cumsum([0, *(len(one) for one in edges)]).astype(np.int64),
        "split": split,
    }
    return {FILE_NAME: to_npz(arrays)}
