"""The next word as a problem for the trainer: windows of a text, the cross entropy, and what a trained model shows.

Owns the join of text, model and loss, and the arrays that a finished run leaves. Knows no ranks and no job keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networks.data.text import Corpus
from networks.data.tokenisers import PAD, Tokeniser
from networks.language import counting, loss
from networks.language.generation import fill_window
from networks.language.model import LanguageModel
from networks.language.settings import Settings
from networks.task import Batch, Result

MOST_PLACES_SHOWN = 512
"""Weights between places are kept for so many at most: they are as many as places squared."""


@dataclass(frozen=True)
class Completions:
    """What a trained model is asked to go on with: windows [prompt, place], the lengths of their prompts, how many tokens.

    Each prompt is continued once at each temperature, drawn with `seed`.
    """

    windows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    new_tokens: int
    temperatures: tuple[float, ...]
    seed: int


class LanguageTask:
    """A `networks.task.Task`: predict each token of a window from those before it."""

    unit = "tokens"
    groups = None
    measures = ("accuracy",)

    def __init__(
        self,
        settings: Settings,
        corpus: Corpus,
        completions: Completions,
        most_evaluated: int | None = None,
    ) -> None:
        self.settings, self.completions = settings, completions
        self.tokeniser = corpus.tokeniser
        self._longest = _longest_bytes(corpus.tokeniser)
        self.training, self.evaluation = corpus.train.tokens, corpus.valid.tokens[:most_evaluated]

    @property
    def num_samples(self) -> int:
        """Windows to train on."""
        return len(self.training)

    @property
    def num_evaluation_samples(self) -> int:
        """Windows of the text held back."""
        return len(self.evaluation)

    @property
    def chance(self) -> float:
        """The loss when all words are alike."""
        return loss.chance(self.settings.vocabulary)

    @property
    def results(self) -> tuple[Result, ...]:
        """Sizes, weights between places, and completions as tokens and as text."""
        places = min(self.settings.context, MOST_PLACES_SHOWN)
        asked = (len(self.completions.temperatures), *self.completions.windows.shape)
        text_bytes = self._longest * self.settings.context
        temperatures = {"temperatures": list(self.completions.temperatures)}
        return (
            Result("kept_bytes", (), (), "<i8", "B", "kept for the backward pass of one sample, in float32"),
            Result(
                "mixing_weights",
                (self.settings.num_maps, places, places),
                ("map", "query", "key"),
                "<f4",
                long_name="weights between places in the last block, on the first evaluation sample",
            ),
            Result(
                "completion_tokens",
                asked,
                ("temperature", "prompt", "place"),
                "<i4",
                long_name="prompts and what the model writes behind them",
                attributes=temperatures,
            ),
            Result(
                "completion_length",
                asked[:2],
                ("temperature", "prompt"),
                "<i4",
                long_name="tokens of the prompt and of what is behind it",
            ),
            Result(
                "completion_start",
                asked[:2],
                ("temperature", "prompt"),
                "<i4",
                long_name="bytes of completion_text that are the prompt",
            ),
            Result(
                "completion_text",
                (*asked[:2], text_bytes),
                ("temperature", "prompt", "byte"),
                "|u1",
                long_name="the same as text in UTF-8, zeros behind it",
                attributes=temperatures,
            ),
        )

    def model(self) -> LanguageModel:
        """A new model."""
        return LanguageModel(self.settings)

    def batch(self, samples: Sequence[int]) -> Batch:
        """Windows to train on, `tokens` [sample, place]."""
        return {"tokens": _tensor(self.training[list(samples)])}

    def evaluation_batch(self, samples: Sequence[int]) -> Batch:
        """Windows held back, `tokens` [sample, place]."""
        return {"tokens": _tensor(self.evaluation[list(samples)])}

    def weight(self, batch: Batch) -> float:
        """Tokens that have to be guessed."""
        return float(loss.count(batch["tokens"], PAD))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross entropy in nats, summed over the tokens that have to be guessed."""
        return loss.cross_entropy(model(batch["tokens"]), batch["tokens"], PAD)

    def evaluate(self, model: nn.Module, batch: Batch) -> Mapping[str, float]:
        """The loss, and how many tokens are guessed right."""
        tokens = batch["tokens"]
        logits = model(tokens)
        return {
            "loss": loss.cross_entropy(logits, tokens, PAD).item(),
            "accuracy": float(loss.correct(logits, tokens, PAD)),
        }

    def finish(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """The arrays of `results`."""
        assert isinstance(model, LanguageModel)
        shown = _tensor(self.evaluation[:1, :MOST_PLACES_SHOWN])
        tokens, lengths, starts, text = self._complete(model)
        return {
            "kept_bytes": np.array(counting.kept_bytes(self.settings)),
            "mixing_weights": model.mixing_weights(shown).float().numpy(),
            "completion_tokens": tokens,
            "completion_length": lengths,
            "completion_start": starts,
            "completion_text": text,
        }

    def _complete(
        self, model: nn.Module
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]:
        """Tokens, where they end, the bytes of the prompt, and text."""
        asked = self.completions
        windows, lengths = torch.from_numpy(asked.windows), torch.from_numpy(asked.lengths)
        shape = (len(asked.temperatures), *asked.windows.shape)
        tokens = np.full(shape, PAD, np.int32)
        ends = np.broadcast_to(asked.lengths + asked.new_tokens, shape[:2]).astype(np.int32)
        starts = np.zeros(shape[:2], np.int32)
        text = np.zeros((*shape[:2], self._longest * shape[2]), np.uint8)
        for number, temperature in enumerate(asked.temperatures):
            generator = torch.Generator().manual_seed(asked.seed)
            filled = fill_window(
                model, windows, lengths, asked.new_tokens, temperature=temperature, generator=generator
            ).numpy()
            for prompt, (row, end) in enumerate(zip(filled, ends[number], strict=True)):
                tokens[number, prompt, :end] = row[:end]
                whole = self.tokeniser.decode(row[:end])
                written = whole.encode()
                text[number, prompt, : len(written)] = np.frombuffer(written, np.uint8)

                # A prompt may end within a character, which the text that goes on then has as a whole.
                given = self.tokeniser.decode(row[: asked.lengths[prompt]])
                shared = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(given, whole, strict=False)))
                starts[number, prompt] = len(whole[:shared].encode())
        return tokens, ends, starts, text


def _longest_bytes(tokeniser: Tokeniser) -> int:
    """Of the longest word in UTF-8, and of a space before it."""
    return 1 + max(len(tokeniser.decode([token]).encode()) for token in range(tokeniser.size))


def _tensor(windows: NDArray[np.int32]) -> Tensor:
    return torch.from_numpy(windows.astype(np.int64))
