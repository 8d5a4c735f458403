"""What a language model is judged by: cross entropy in nats and right guesses, over the tokens that are no padding.

Owns which token each logit is compared with. Gives sums, never means.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

IGNORED = -100


def targets(tokens: Tensor, padding: int | None) -> Tensor:
    """The token behind each place, [sample, place]; IGNORED behind the last one and where it is padding."""
    following = functional.pad(tokens[:, 1:], (0, 1), value=IGNORED)
    return following if padding is None else following.masked_fill(following == padding, IGNORED)


def count(tokens: Tensor, padding: int | None) -> int:
    """How many tokens count in the loss."""
    return int((targets(tokens, padding) != IGNORED).sum())


def cross_entropy(logits: Tensor, tokens: Tensor, padding: int | None) -> Tensor:
    """Sum of -ln of the probability of each token that counts, in nats; float32 at least. A scalar with its graph."""
    exact = logits if logits.element_size() >= 4 else logits.float()
    return functional.cross_entropy(
        exact.flatten(0, 1), targets(tokens, padding).flatten(), ignore_index=IGNORED, reduction="sum"
    )


def correct(logits: Tensor, tokens: Tensor, padding: int | None) -> int:
    """How many tokens that count are the likeliest."""
    return int((logits.argmax(-1) == targets(tokens, padding)).sum())


def chance(vocabulary: int) -> float:
    """The loss of a token when all words are alike, in nats."""
    return math.log(vocabulary)
