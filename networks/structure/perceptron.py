"""Dense networks with dropout, and what their dropout masks do to an output.

Owns layers and their order. Masks come from torch's default generator, which the caller seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "tanh": nn.Tanh, "relu": nn.ReLU}


def perceptron(
    widths: Sequence[int], *, activation: str = "gelu", dropout: float = 0.0, last_bias: bool = True
) -> nn.Sequential:
    """Linear layers of these widths with an activation, then dropout, between each two of them."""
    layers: list[nn.Module] = []
    for number, (inner, outer) in enumerate(itertools.pairwise(widths)):
        if number:
            layers += [ACTIVATIONS[activation](), *([nn.Dropout(dropout)] if dropout else [])]
        layers.append(nn.Linear(inner, outer, bias=last_bias or number + 2 < len(widths)))
    return nn.Sequential(*layers)


@contextmanager
def only_masks(model: nn.Module) -> Iterator[None]:
    """Dropout masks on, all else as in evaluation; as before afterwards."""
    before = {module: module.training for module in model.modules()}
    try:
        for module in before:
            module.training = isinstance(module, nn.Dropout)
        yield
    finally:
        for module, training in before.items():
            module.training = training


@torch.no_grad()
def over_masks(model: nn.Module, output: Callable[[], Tensor], *, masks: int, seed: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of an output over random dropout masks, in float64. Other generators are left alone."""
    with torch.random.fork_rng(devices=[]), only_masks(model):
        torch.manual_seed(seed)
        first = output().double()
        # Squares of differences from one of them lose no digits.
        total, squares = torch.zeros_like(first), torch.zeros_like(first)
        for _ in range(masks - 1):
            change = output().double() - first
            total, squares = total + change, squares + change**2
    mean = total / masks
    return first + mean, (squares / masks - mean**2).clamp_min(0).sqrt()
