"""Time of a training step of flat mixers and of transformers of equal width."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from benchmarks import rounds

WIDTHS = (128, 256, 512)
CONTEXT = 512
DEPTH = 2
VOCABULARY = 1024
BATCH = 2
NUM_STEPS = 2

MODELS = ("flat", "attention", "llama")
"""The flat mixer; attention in its place, all else alike; a Llama-style transformer."""


def section(num_rounds: int) -> list[str]:
    """The table of step times as lines of Markdown."""
    scores = rounds.alternate(contestants(), num_rounds)
    lines = [
        "",
        f"A step of {BATCH} samples of {CONTEXT} tokens, {DEPTH} blocks, one thread (forward, backward, AdamW); the text says "
        "that mixers train 6 to 20 times faster:",
        "",
        "| width | flat mixer | attention / flat | Llama-style / flat |",
        "|---|---|---|---|",
    ]
    for width in WIDTHS:
        flat, attention, llama = (f"{name} {width}" for name in MODELS)
        times = [rounds.ratio(scores, flat, other) for other in (attention, llama)]
        own = f"{1e3 / scores[flat].median:.0f} ms (spread {scores[flat].spread:.2f})"
        lines.append(f"| {width} | {own} | {times[0]:.2f} | {times[1]:.2f} |")
    return lines


def contestants() -> dict[str, Callable[[], float]]:
    """Name -> measurement in steps a second."""
    return {f"{name} {width}": partial(speed, name, width) for width in WIDTHS for name in MODELS}


def speed(name: str, width: int, context: int = CONTEXT, batch: int = BATCH) -> float:
    """Steps a second of a model that has taken one step already."""
    import torch
    from torch.nn import functional

    from networks.language.model import LanguageModel
    from networks.language.settings import Settings, llama

    torch.set_num_threads(1)
    torch.manual_seed(0)
    if name == "llama":
        settings = llama(vocabulary=VOCABULARY, context=context, width=width, depth=DEPTH)
    else:
        positions = "rope" if name == "attention" else "none"
        settings = Settings(VOCABULARY, context, width, DEPTH, name, positions=positions)  # type: ignore[arg-type]
    model = LanguageModel(settings)
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    tokens = torch.randint(VOCABULARY, (batch, context))

    def step() -> None:
        logits = model(tokens)[:, :-1]
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    step()
    begun_s = time.perf_counter()
    for _ in range(NUM_STEPS):
        step()
    return NUM_STEPS / (time.perf_counter() - begun_s)
