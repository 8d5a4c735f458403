"""How large a language model is: parameters by formula, and bytes that a training step keeps for its backward pass.

Owns the arithmetic; builds nothing, so that sizes are known before there is memory for them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networks.language.model import LanguageModel
from networks.language.settings import Settings


def parameters(settings: Settings) -> int:
    """Numbers that are trained, masked ones included."""
    embedding = settings.vocabulary * settings.width
    places = settings.context * settings.width if settings.positions == "learned" else 0
    head = 0 if settings.tied else embedding
    embedding_map = settings.width * (settings.width + 1) if settings.embedding_map else 0
    final_norm = norm_parameters(settings) if settings.final_norm else 0
    return embedding + embedding_map + places + head + final_norm + settings.depth * block_parameters(settings)


def block_parameters(settings: Settings) -> int:
    """Numbers of one block: its token mixings and its feed-forward network, each with a norm."""
    width, hidden = settings.inner_width, settings.hidden_width
    maps = 3 if settings.feed_forward == "swiglu" else 2
    biases = (maps - 1) * hidden + width if settings.bias else 0
    feed_forward = maps * width * hidden + biases
    parts = 3 if settings.mixing == "series" else 2
    return mixing_parameters(settings) + feed_forward + parts * norm_parameters(settings)


def mixing_parameters(settings: Settings) -> int:
    """Numbers of the token mixing of one block. Those between places do not depend on the width."""
    places, width = settings.context, settings.inner_width
    linear = width * width + (width if settings.bias else 0)
    # Hidden layers of each head's networks are as wide as all heads; what comes out is shared among them.
    projection = settings.heads * settings.projection_depth * linear + linear
    one_map = places * places * settings.kernel + places
    match settings.mixing:
        case "flat":
            return one_map
        case "expanded":
            rows = settings.hidden_places
            return 2 * places * rows * settings.kernel + rows + places
        case "parallel":
            return settings.convolutions * one_map
        case "multi-head":
            return settings.heads * one_map + 2 * linear
        case "attention":
            return 3 * projection + linear
        case "series" | "side-by-side":
            return 3 * projection + linear + one_map


def norm_parameters(settings: Settings) -> int:
    """Numbers of one norm: a scale a feature, and a layer norm's shift."""
    return settings.inner_width * (1 if settings.norm == "rms" else 2)


def counted(model: nn.Module) -> int:
    """Numbers that a model trains, counted."""
    return sum(weight.numel() for weight in model.parameters())


def kept_bytes(settings: Settings, samples: int = 1, *, head: bool = True) -> int:
    """Bytes that a forward pass in float32 keeps for the backward pass, its weights not counted.

    Counted on torch's meta device, which computes shapes and no numbers, so that any size costs nothing. `head` false
    leaves out the logits, as the text's memory table does. Attention is counted with the weights between its places, as
    it is without a fused kernel.
    """
    with torch.device("meta"):
        model = LanguageModel(settings)
        tokens = torch.zeros(samples, settings.context, dtype=torch.int64)
    weights = {weight.untyped_storage()._cdata for weight in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with (
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        output = model(tokens) if head else model.hidden(tokens)
    del output
    return sum(kept.values())
