"""What a block is made of: token mixing, feed-forward networks, norms, and the residual around each of them.

Owns how a `Settings` becomes modules. Knows neither embeddings nor losses.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from networks.language.attention import Attention
from networks.language.mixers import ExpandedMixer, FlatMixer, MultiHeadMixer, ParallelMixer
from networks.language.settings import Order, Settings

TokenMixing = FlatMixer | ExpandedMixer | ParallelMixer | MultiHeadMixer | Attention


class FeedForward(nn.Module):
    """Two linear maps over the features with an activation between them, the same at every place."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.activation = functional.gelu if settings.feed_forward == "gelu" else functional.relu
        self.first = nn.Linear(settings.inner_width, settings.hidden_width, bias=settings.bias)
        self.second = nn.Linear(settings.hidden_width, settings.inner_width, bias=settings.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[sample, place, feature] to the same."""
        mapped: Tensor = self.second(self.activation(self.first(x)))
        return mapped


class GatedFeedForward(nn.Module):
    """SwiGLU: the hidden features times the SiLU of as many gates (Shazeer, 2020)."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.gate = nn.Linear(settings.inner_width, settings.hidden_width, bias=settings.bias)
        self.first = nn.Linear(settings.inner_width, settings.hidden_width, bias=settings.bias)
        self.second = nn.Linear(settings.hidden_width, settings.inner_width, bias=settings.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[sample, place, feature] to the same."""
        mapped: Tensor = self.second(functional.silu(self.gate(x)) * self.first(x))
        return mapped


class RootMeanSquareNorm(nn.RMSNorm):
    """RMS norm in the type of its weights, as autocast does for layer norms and not for this one."""

    def forward(self, x: Tensor) -> Tensor:
        """Features last, to the same."""
        return super().forward(x.to(self.weight.dtype))


class SideBySide(nn.Module):
    """The sum of two token mixings of the same input."""

    def __init__(self, attention: Attention, mixer: FlatMixer) -> None:
        super().__init__()
        self.attention, self.mixer = attention, mixer

    def forward(self, x: Tensor) -> Tensor:
        """[sample, place, feature] to the same."""
        mixed: Tensor = self.attention(x) + self.mixer(x)
        return mixed


class Part(nn.Module):
    """One part of a block with its norm, before it or after the sum, its dropout and its residual."""

    def __init__(self, inner: nn.Module, settings: Settings) -> None:
        super().__init__()
        self.norm = norm(settings)
        self.inner = inner
        self.dropout = nn.Dropout(settings.dropout)
        self.order: Order = settings.order
        self.residual = settings.residual

    def forward(self, x: Tensor) -> Tensor:
        """[sample, place, feature] to the same."""
        changed: Tensor = self.dropout(self.inner(self.norm(x) if self.order == "pre" else x))
        if self.residual:
            changed = x + changed
        if self.order == "post":
            changed = self.norm(changed)
        return changed


def norm(settings: Settings) -> nn.Module:
    """A norm over the features of a place."""
    return RootMeanSquareNorm(settings.inner_width) if settings.norm == "rms" else nn.LayerNorm(settings.inner_width)


def attention(settings: Settings) -> Attention:
    """The attention of a block."""
    rotary = settings.positions == "rope"
    return Attention(
        settings.inner_width,
        settings.heads,
        score=settings.score,
        rotary=rotary,
        bias=settings.bias,
        projection_depth=settings.projection_depth,
    )


def mixings(settings: Settings) -> list[nn.Module]:
    """The token mixings of a block, one after the other."""
    places, kernel = settings.context, settings.kernel
    match settings.mixing:
        case "flat":
            return [FlatMixer(places, kernel)]
        case "expanded":
            return [ExpandedMixer(places, settings.hidden_places, kernel)]
        case "parallel":
            return [ParallelMixer(places, settings.convolutions, kernel)]
        case "multi-head":
            return [MultiHeadMixer(places, settings.inner_width, settings.heads, kernel, bias=settings.bias)]
        case "attention":
            return [attention(settings)]
        case "series":
            return [attention(settings), FlatMixer(places, kernel)]
        case "side-by-side":
            return [SideBySide(attention(settings), FlatMixer(places, kernel))]


def block(settings: Settings) -> nn.Sequential:
    """Token mixing, then the feed-forward network, each as a part with norm and residual."""
    feed_forward = GatedFeedForward if settings.feed_forward == "swiglu" else FeedForward
    return nn.Sequential(*(Part(inner, settings) for inner in [*mixings(settings), feed_forward(settings)]))


def first_mixing(of: nn.Module) -> TokenMixing:
    """The token mixing of a block whose weights are shown: the attention where there is one beside a mixer."""
    return next(module for module in of.modules() if isinstance(module, TokenMixing))
