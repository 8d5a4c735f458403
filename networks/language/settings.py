"""What a language model is made of, as one frozen record, and the two baselines as such records.

Owns names and defaults of the choices and their arithmetic. Builds nothing and knows no job keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Mixing = Literal["flat", "expanded", "parallel", "multi-head", "attention", "series", "side-by-side"]
Score = Literal["dot", "distance", "squared-distance"]
Positions = Literal["none", "learned", "rope", "first-block", "every-block"]
Norm = Literal["layer", "rms"]
Order = Literal["pre", "post"]
FeedForwardKind = Literal["gelu", "relu", "swiglu"]

WITH_ATTENTION = frozenset({"attention", "series", "side-by-side"})
"""Mixings with attention heads: rotary positions and scores mean something only there."""

WITH_HEADS = WITH_ATTENTION | {"multi-head"}

FEATURE_POSITIONS = frozenset({"first-block", "every-block"})
"""Positions that are a feature of their own beside the embedding's."""


@dataclass(frozen=True)
class Settings:
    """A causal language model: tokens [sample, place] to logits [sample, place, word].

    `series` is attention, then a flat mixer, then the feed-forward network, each with its own residual; `side-by-side`
    adds attention and flat mixer of the same input. `expansion`, `convolutions`, `kernel`, `heads`, `score` and
    `projection_depth` count where the mixing has such a thing.
    """

    vocabulary: int
    context: int
    width: int
    depth: int
    mixing: Mixing = "flat"
    kernel: int = 1
    expansion: float = 2.0
    convolutions: int = 2
    heads: int = 4
    score: Score = "dot"
    projection_depth: int = 0
    positions: Positions = "none"
    norm: Norm = "layer"
    order: Order = "pre"
    final_norm: bool = False
    feed_forward: FeedForwardKind = "gelu"
    widening: float = 4.0
    bias: bool = True
    residual: bool = True
    tied: bool = False
    embedding_map: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        assert min(self.vocabulary, self.context, self.width, self.depth, self.kernel, self.convolutions) >= 1
        assert self.mixing not in WITH_HEADS or self.inner_width % self.heads == 0
        assert self.positions != "rope" or (self.has_attention and self.inner_width // self.heads % 2 == 0)
        assert self.positions not in FEATURE_POSITIONS or not self.has_attention

    @property
    def has_attention(self) -> bool:
        """Whether there are attention heads."""
        return self.mixing in WITH_ATTENTION

    @property
    def inner_width(self) -> int:
        """Features inside the blocks: the embedding's, and one more where the position is a feature of its own."""
        return self.width + (self.positions in FEATURE_POSITIONS)

    @property
    def hidden_width(self) -> int:
        """Features inside a feed-forward network."""
        return round(self.inner_width * self.widening)

    @property
    def num_maps(self) -> int:
        """How many maps between places a block shows: heads, kernels, or both."""
        if self.has_attention:
            return self.heads
        kernels = 1 if self.mixing == "expanded" else self.kernel
        return kernels * (self.heads if self.mixing == "multi-head" else 1)

    @property
    def hidden_places(self) -> int:
        """Rows between the two maps of an expanded mixer."""
        return max(1, round(self.context * self.expansion))


def llama(*, vocabulary: int, context: int, width: int, depth: int = 8, heads: int = 4, **other: Any) -> Settings:
    """A Llama-style transformer: RMS norms before each part and at the end, RoPE, SwiGLU 4 wide, no biases."""
    choices: dict[str, Any] = {
        "mixing": "attention",
        "positions": "rope",
        "norm": "rms",
        "final_norm": True,
        "feed_forward": "swiglu",
        "bias": False,
    }
    return Settings(vocabulary=vocabulary, context=context, width=width, depth=depth, heads=heads, **(choices | other))


def gpt(*, vocabulary: int, context: int, width: int, depth: int = 8, heads: int = 4, **other: Any) -> Settings:
    """The first GPT: layer norms after each part, learned positions, GELU, biases, tied to the embedding."""
    choices: dict[str, Any] = {"mixing": "attention", "positions": "learned", "order": "post", "tied": True}
    return Settings(vocabulary=vocabulary, context=context, width=width, depth=depth, heads=heads, **(choices | other))
