"""The stages of a corpus job: the tokeniser is learnt, then every block of the text becomes tokens.

Every unit is a pure function of the text and its number. Nothing here reads a store, but for the finished tokeniser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpc.plan import ArraySpec, Finished
from kernels.backends.base import Array, Backend, Run
from kernels.errors import RequestError
from networks.data import layouts, text, tokenisers
from networks.data.layouts import Text

MOST_FROZEN_BYTES = 1 << 22
"""The frozen tokeniser has so much room, with zeros behind it."""

CHUNK = 1 << 14
MEMORY_FACTOR = 64
"""Bytes in memory for one of text: its characters, its words as Python has them, its tokens."""


@dataclass(frozen=True)
class TokeniserStage:
    """One unit: the frozen tokeniser, as bytes."""

    request: text.Request
    text: Text
    name: str = "tokeniser"
    num_units: int = 1

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """The bytes of the JSON form."""
        shape = (MOST_FROZEN_BYTES,)
        told = {"units": "1", "long_name": "frozen tokeniser: JSON, with zeros behind it"}
        return (ArraySpec("tokeniser", shape, "|u1", shape, (CHUNK,), ("byte",), 255, told),)

    def cost(self, unit: int) -> float:
        """There is only one unit to compare with."""
        del unit
        return 1.0

    def memory_bytes(self, unit: int) -> int:
        """What is learnt from, and what is stored."""
        del unit
        sample = min(self.text.splits["train"].num_bytes, text.SAMPLE_BYTES)
        return MEMORY_FACTOR * min(sample, text.BLOCK_BYTES) + 8 * sample + 4 * MOST_FROZEN_BYTES

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Begin to learn."""
        del unit, backend, finished
        return _InOneGo(self._learn)

    def _learn(self) -> dict[str, Array]:
        frozen = tokenisers.freeze(text.train_tokeniser(self.request, self.text))
        if len(frozen) > MOST_FROZEN_BYTES:
            raise RequestError(
                f"data.vocabulary: the frozen tokeniser has {len(frozen)} bytes, more than {MOST_FROZEN_BYTES}; "
                "ask for fewer tokens, or raise data.minimum_count"
            )
        return {"tokeniser": np.frombuffer(frozen.ljust(MOST_FROZEN_BYTES, b"\0"), dtype=np.uint8)}


@dataclass(frozen=True)
class TokensStage:
    """Unit i is block i of the splits, one after the other; `room` is the most tokens that a block can make."""

    text: Text
    block_bytes: int
    room: int
    name: str = "tokens"

    @cached_property
    def blocks(self) -> list[tuple[str, int]]:
        """Split and number of every block."""
        counts = {split: layouts.num_blocks(span, self.block_bytes) for split, span in self.text.splits.items()}
        return [(split, number) for split, count in counts.items() for number in range(count)]

    @property
    def num_units(self) -> int:
        """Blocks of all splits."""
        return len(self.blocks)

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """Tokens with -1 behind them, and how many tokens and ends of documents there are."""
        num, room = self.num_units, self.room
        told = {"units": "1", "long_name": "tokens of each block, -1 behind them"}
        tokens = ArraySpec("tokens", (num, room), "<i4", (1, room), (1, CHUNK), ("block", "place"), -1, told)
        counts = {"token_count": "tokens of each block", "document_count": "documents that end in each block"}
        return (
            tokens,
            *(
                ArraySpec(name, (num,), "<i8", (1,), (1,), ("block",), -1, {"units": "1", "long_name": meaning})
                for name, meaning in counts.items()
            ),
        )

    def cost(self, unit: int) -> float:
        """Nominal bytes of the block; the last one of a split has fewer."""
        split, number = self.blocks[unit]
        left = self.text.splits[split].num_bytes - number * self.block_bytes
        return float(max(1, min(left, self.block_bytes)))

    def memory_bytes(self, unit: int) -> int:
        """The longest block in all its forms, and two buffers of a shard."""
        del unit
        return MEMORY_FACTOR * self.room + (1 << 20)

    def start(self, unit: int, backend: Backend, finished: Finished) -> Run:
        """Begin a block."""
        del backend
        frozen = finished.read("tokeniser")
        return _InOneGo(lambda: self._tokens(unit, frozen.tobytes().rstrip(b"\0")))

    def _tokens(self, unit: int, frozen: bytes) -> dict[str, Array]:
        tokeniser = tokenisers.thaw(frozen)
        split, number = self.blocks[unit]
        found = text.tokenise_block(tokeniser, self.text, split, self.block_bytes, number)
        row = np.full((1, self.room), -1, dtype="<i4")
        row[0, : found.size] = found
        ends = np.count_nonzero(found == tokenisers.END)
        return {
            "tokens": row,
            "token_count": np.array([found.size], dtype="<i8"),
            "document_count": np.array([ends], dtype="<i8"),
        }


def tokens_stage(whole: Text, block_bytes: int) -> TokensStage:
    """The stage with room for the longest block, which is found by looking at where blocks meet."""
    longest = max(
        layouts.block(span, whole.layout, block_bytes, number).num_bytes
        for span in whole.splits.values()
        for number in range(layouts.num_blocks(span, block_bytes))
    )
    return TokensStage(whole, block_bytes, -(-(longest + 1) // CHUNK) * CHUNK)


class _InOneGo:
    """A unit that takes seconds and is computed by the first `advance`."""

    def __init__(self, compute: Callable[[], dict[str, Array]]) -> None:
        self._compute = compute
        self._found: dict[str, Array] = {}

    def advance(self, seconds: float) -> float:
        """Compute everything."""
        del seconds
        self._found = self._compute()
        return 1.0

    def interrupt(self) -> None:
        """Nothing to do: what is begun is short."""

    def arrays(self) -> dict[str, Array]:
        """The arrays of the unit."""
        return self._found
