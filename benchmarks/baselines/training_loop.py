"""A language model trained by a bare loop of PyTorch: what the trainer is measured against.

    python -m benchmarks.baselines.training_loop '{"width": 128, ...}'

Prints tokens a second on standard output. Model and text are those of networks/; no files, ranks, measures or stops.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch.nn import functional

from networks.data import sources, text
from networks.language.model import LanguageModel
from networks.language.settings import Settings

IGNORED = -100


def train(
    *, count: int, context: int, mixing: str, width: int, depth: int, batch: int, steps: int, left_out: int
) -> float:
    """Tokens a second over the steps behind the first `left_out`."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    corpus = text.load(text.Request(sources.generated("stories", count)), context, "stream")
    windows = torch.from_numpy(corpus.train.tokens.astype("int64"))
    vocabulary = corpus.tokeniser.size
    model = LanguageModel(Settings(vocabulary, context, width, depth, mixing))  # type: ignore[arg-type]
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0, fused=True)

    order = torch.randperm(len(windows))
    losses = []
    begun_s = time.perf_counter()
    for step in range(steps):
        if step == left_out:
            begun_s = time.perf_counter()
        tokens = windows[order[torch.arange(step * batch, (step + 1) * batch) % len(order)]]
        targets = functional.pad(tokens[:, 1:], (0, 1), value=IGNORED)
        logits = model(tokens)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - begun_s
    return (steps - left_out) * batch * (context - 1) / seconds


if __name__ == "__main__":
    print(train(**json.loads(sys.argv[1])))
