"""Where every random number of a training job comes from: a hash of the seed, a purpose, and where it is needed.

Owns the hash. No generator lives on between two steps, so that nothing of it has to be kept.
"""

from __future__ import annotations

import hashlib

import numpy as np


def number(seed: int, purpose: str, *place: int) -> int:
    """64 bits for one purpose at one place, such as "dropout" at (step, rank, part)."""
    text = ":".join(map(str, (seed, purpose, *place)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def numpy_generator(seed: int, purpose: str, *place: int) -> np.random.Generator:
    """A generator of NumPy for one purpose at one place."""
    return np.random.Generator(np.random.PCG64(number(seed, purpose, *place)))


def seed_torch(seed: int, purpose: str, *place: int) -> None:
    """Begin torch's default generators, of the CPU and of all GPUs, anew for one purpose at one place."""
    import torch

    found = number(seed, purpose, *place)
    torch.default_generator.manual_seed(found)

    # torch.manual_seed would take a picture of the stack at every call, for GPUs that may come later.
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(found)
