"""Experiments with models: what attention does not notice, and how wide a model must be. torch is imported when one is run.

Owns the arrays of these experiments, as pure functions of their sections. Never reads a store.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jobs.geometry.quantities import Experiment, Quantity
from jobs.geometry.sections import Symmetry, Width
from kernels.backends.base import Array
from kernels.errors import RequestError

if TYPE_CHECKING:
    from networks.language.settings import Score

VOCABULARY = 32


def symmetry(section: Symmetry) -> Experiment:
    """The largest change of logits under a rotation and under a translation, for each score, tap and seed."""
    if section.width % section.heads or section.width == section.heads:
        raise RequestError(
            f"symmetry.heads: {section.heads} heads need two features each or more of the {section.width} of symmetry.width"
        )
    runs = tuple(itertools.product(section.scores, section.taps))
    shape, dimensions = (section.seeds,), ("seed",)
    quantities = (
        Quantity("rotation", "largest change of a logit under a rotation", shape, dimensions),
        Quantity("translation", "largest change of a logit under a translation", shape, dimensions),
    )

    def compute(run: int) -> Mapping[str, Array]:
        score, tap = runs[run]
        changes = [_changes(section, score, tap, seed) for seed in range(section.seeds)]
        rotation, translation = np.array(changes, dtype=np.float64).T
        return {"rotation": rotation.copy(), "translation": translation.copy()}

    return Experiment(tuple(f"{score}, {tap}" for score, tap in runs), quantities, compute)


def _changes(section: Symmetry, score: Score, tap: str, seed: int) -> tuple[float, float]:
    """Changes under a rotation and under a translation."""
    import torch

    from networks.geometry.groups import rotations
    from networks.language.attention import Attention
    from networks.language.model import LanguageModel
    from networks.language.settings import Settings
    from networks.language.symmetry import change, move, turn

    dtype = getattr(torch, section.dtype)
    settings = Settings(
        vocabulary=VOCABULARY,
        context=section.places,
        width=section.width,
        depth=section.depth,
        mixing="attention",
        heads=section.heads,
        score=score,
        positions="learned",
    )
    # Weights are drawn by torch's own generator, which is put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LanguageModel(settings).to(dtype).eval()
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY, (1, section.places), generator=generator)

    # The same element acts on every head of every block.
    size = section.width if tap == "input" else section.width // section.heads
    rotation = rotations(1, size, generator)[0].to(dtype)
    shift = torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)
    attentions = [module for module in model.modules() if isinstance(module, Attention)]
    heads = [part for attention in attentions for part in (attention.query, attention.key)]
    taps = [model.embedding] if tap == "input" else heads
    return change(model, tokens, turn(rotation), taps), change(model, tokens, move(shift), taps)


def width(section: Width) -> Experiment:
    """The bound and the least width above it, and the errors of random points projected to that width."""
    counts = [_whole(text, f"width.points[{place}]") for place, text in enumerate(section.points)]
    runs = tuple(itertools.product(zip(section.points, counts, strict=True), section.errors))
    quantities = (
        Quantity("bound", "8 ln(points) / error^2"),
        Quantity("smallest_width", "least whole number above the bound", dtype="<i8"),
        Quantity("allowed_error", "relative error of squared distances that may occur"),
        Quantity(
            "projection_error",
            "largest relative error of squared distances of random points; NaN where the width is more than they have",
            (section.trials,),
            ("trial",),
        ),
    )

    def compute(run: int) -> Mapping[str, Array]:
        import torch

        from networks.language.width import projection_error, smallest_width, width_bound

        (_, count), error = runs[run]
        least = smallest_width(count, error)
        found = np.full(section.trials, np.nan)
        for seed in range(section.trials if least <= section.trial_features else 0):
            generator = torch.Generator().manual_seed(seed)
            shape = (min(count, section.trial_points), section.trial_features)
            found[seed] = projection_error(
                torch.randn(shape, generator=generator, dtype=torch.float64), least, generator
            )
        return {
            "bound": np.array(width_bound(count, error)),
            "smallest_width": np.array(least),
            "allowed_error": np.array(error),
            "projection_error": found,
        }

    names = tuple(f"{text} points, error {error:g}" for (text, _), error in runs)
    features, points = section.trial_features, section.trial_points
    return Experiment(names, quantities, compute, 8 * (features**2 + 2 * features * points + 3 * points**2))


def _whole(text: str, key: str) -> int:
    """The number that a text like 15e12 means."""
    digits, _, exponent = text.partition("e")
    count: int = int(digits) * 10 ** int(exponent or 0)
    if count < 2:
        raise RequestError(f"{key}: {text} has no two points to tell apart")
    return count
