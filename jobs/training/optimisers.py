"""Optimisers and the schedule of their rate.

Owns the way from [train] to torch's optimisers. The rate is a pure function of the step, so that a schedule keeps nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobs.training.sections import Train

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer


def optimiser(train: Train, parameters: Iterable[Parameter]) -> Optimizer:
    """The optimiser of a run, in its fused form: one kernel for all weights."""
    import torch

    if train.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=train.rate, momentum=train.momentum, weight_decay=train.weight_decay, fused=True
        )
    of = torch.optim.AdamW if train.optimiser == "adamw" else torch.optim.Adam
    return of(parameters, lr=train.rate, betas=train.betas, weight_decay=train.weight_decay, fused=True)


def kept(train: Train) -> tuple[str, ...]:
    """Names of the tensors that the optimiser keeps for each weight that has had a gradient; "step" is a number."""
    if train.optimiser == "sgd":
        return ("momentum_buffer",) if train.momentum else ()
    return ("exp_avg", "exp_avg_sq", "step")


def rate(train: Train, step: int, steps: int) -> float:
    """The learning rate of a step, counted from 0, of a run of `steps`.

    Rises from rate/warmup to rate in the warm-up; then stays, or falls to last_rate * rate at the last step.
    """
    if step < train.warmup:
        return train.rate * (step + 1) / train.warmup
    if train.schedule == "constant":
        return train.rate
    done = (step - train.warmup) / max(1, steps - 1 - train.warmup)
    left = 1.0 - done if train.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return train.rate * (train.last_rate + (1.0 - train.last_rate) * left)
