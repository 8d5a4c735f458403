"""Whether a network keeps a symmetry: the change of what it gives when a group acts somewhere inside it.

Owns the trial and the usual elements. Judges nothing: what the change should be, the caller knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Element = Callable[[Tensor], Tensor]
"""What a group element does to a tensor, features last."""


@torch.no_grad()
def change(model: nn.Module, inputs: Tensor, element: Element, taps: Sequence[nn.Module]) -> float:
    """The largest change of the output when the element acts on what each of the modules in `taps` gives.

    A tap at the embedding acts on the input; taps at `query` and `key` of an attention act at its heads. The model must be
    in evaluation mode: dropout would change the output too.
    """
    assert not model.training

    def act(_module: nn.Module, _given: Any, output: Tensor) -> Tensor:
        return element(output)

    plain = model(inputs)
    hooks = [tap.register_forward_hook(act) for tap in taps]
    try:
        acted = model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return float((acted - plain).abs().max())


def turn(matrix: Tensor) -> Element:
    """A matrix [n, n] on each group of n features: on each head where n is the heads' width."""
    size = len(matrix)
    return lambda x: (x.reshape(*x.shape[:-1], -1, size) @ matrix.mT).flatten(-2)


def move(vector: Tensor) -> Element:
    """A shift [n] of each group of n features."""
    size = len(vector)
    return lambda x: (x.reshape(*x.shape[:-1], -1, size) + vector).flatten(-2)
