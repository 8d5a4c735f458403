"""The shell of every language model: embedding, positions, blocks, head.

Owns the passage from tokens to logits. Owns no loss and no sampling; depends on torch and this folder alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.language.blocks import block, first_mixing, norm
from networks.language.settings import FEATURE_POSITIONS, Settings


class LanguageModel(nn.Module):
    """Tokens [sample, place] to logits [sample, place, word]; no logit depends on a later token.

    Windows may be shorter than the context: what comes out is what the same places would give in a full window. A tied
    head uses the embedding itself and so has no weights of its own.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(settings.vocabulary, settings.width)
        self.embedding_map = nn.Linear(settings.width, settings.width) if settings.embedding_map else nn.Identity()
        self.places = nn.Embedding(settings.context, settings.width) if settings.positions == "learned" else None
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(block(settings) for _ in range(settings.depth))
        self.final_norm = norm(settings) if settings.final_norm else nn.Identity()
        self.head = None if settings.tied else nn.Linear(settings.width, settings.vocabulary, bias=False)
        if settings.tied:
            self._shrink_embeddings()

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token that follows each place."""
        x = self.final_norm(self.hidden(tokens))[..., : self.settings.width]
        if self.head is None:
            return functional.linear(x, self.embedding.weight)
        logits: Tensor = self.head(x)
        return logits

    def hidden(self, tokens: Tensor) -> Tensor:
        """What the last block gives, [sample, place, feature]."""
        length = tokens.shape[1]
        assert length <= self.settings.context
        x: Tensor = self.embedding_map(self.embedding(tokens)).to(self.embedding.weight.dtype)
        if self.places is not None:
            x = x + self.places.weight[:length]
        x = self.dropout(x)

        # The position as a feature of its own is there before the first block; or is put back behind every block.
        if self.settings.positions in FEATURE_POSITIONS:
            x = torch.cat([x, self._position(x)], dim=-1)
        for one in self.blocks:
            x = one(x)
            if self.settings.positions == "every-block":
                x = torch.cat([x[..., :-1], self._position(x)], dim=-1)
        return x

    @torch.no_grad()
    def mixing_weights(self, tokens: Tensor) -> Tensor:
        """Weights between places in the last block, [map, query, key]; attention gives those of the first sample."""
        mixing = first_mixing(self.blocks[-1])
        inputs: list[Tensor] = []
        hook = mixing.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
        try:
            self.hidden(tokens[:1])
        finally:
            hook.remove()
        return mixing.weights(inputs[0])

    def _shrink_embeddings(self) -> None:
        """Embeddings of length 1, about: as a head, longer ones would begin with logits that are far too sure."""
        for embedding in (self.embedding, self.places):
            if embedding is not None:
                nn.init.normal_(embedding.weight, std=self.settings.width**-0.5)

    def _position(self, x: Tensor) -> Tensor:
        """From -1 at the first place to just below 1 at the last one of the context, [sample, place, 1].

        In the type of the weights: in half precision many places would be one.
        """
        context = self.settings.context
        place = torch.arange(x.shape[1], device=x.device, dtype=self.embedding.weight.dtype)
        return ((2 * place - context) / context)[None, :, None].expand(x.shape[0], -1, 1)
