"""Text out of a language model: the choice of a token, and windows filled slot by slot.

Owns which logit decides which token. Draws only from the generator it is given.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def choose(logits: Tensor, temperature: float, generator: torch.Generator | None = None) -> Tensor:
    """A word for each row of [row, word]: the likeliest at temperature 0, else drawn from softmax(logits / temperature)."""
    if temperature == 0:
        return logits.argmax(-1)
    assert generator is not None
    probabilities = (logits.float() / temperature).softmax(-1)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


@torch.no_grad()
def fill_window(
    model: nn.Module,
    window: Tensor,
    lengths: Tensor,
    count: int,
    *,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The window [sample, place] with `count` tokens written behind the first `lengths` [sample] of each sample.

    The logit of a place decides the token behind it, so that the logit of the last place, which no training ever touched,
    decides nothing. What stood in the slots before has no say, since the model is causal. The model must be in evaluation
    mode; lengths are at least 1 and leave room for all slots.
    """
    assert int(lengths.min()) >= 1
    assert int(lengths.max()) + count <= window.shape[1]
    filled = window.clone()
    rows = torch.arange(len(window), device=window.device)
    for step in range(count):
        last = lengths + step - 1
        logits = model(filled[:, : int(last.max()) + 1])[rows, last]
        filled[rows, last + 1] = choose(logits, temperature, generator)
    return filled
