"""Masked mixers: learned weights between places that let nothing flow from later tokens to earlier ones.

Owns the causal map between places and the mixers made of it. Keeps no mask: every forward pass masks the weights it uses,
so that neither a checkpoint nor an optimiser ever holds what must not count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalMap(nn.Conv1d):
    """A linear map between places, the same for all features: y[row] = sum over s <= row of W[row, s] x[s] + b[row].

    Weights [row, place, kernel]. A kernel above 1 also mixes that many neighbouring features ("same" padding, one more
    zero behind than before where it is even). With fewer places than the map was made for, its leading corner acts: what
    these places would get in a full window.
    """

    bias: nn.Parameter

    def __init__(self, places: int, rows: int | None = None, kernel: int = 1) -> None:
        super().__init__(places, places if rows is None else rows, kernel)

    def acting(self) -> Tensor:
        """The weights that act, [row, place, kernel]: none from a place behind the row.

        Their gradient lies in memory as they do, which DDP wants; so a kernel of several is masked by a product.
        """
        if self.kernel_size[0] == 1:
            return self.weight.squeeze(2).tril().unsqueeze(2)
        mask = torch.ones(self.weight.shape[:2], dtype=self.weight.dtype, device=self.weight.device).tril()
        return self.weight * mask[:, :, None]

    def masked(self) -> Tensor:
        """The same as [kernel, row, place]."""
        return self.acting().permute(2, 0, 1)

    def forward(self, x: Tensor, rows: int | None = None) -> Tensor:
        """From [sample, place, feature] to [sample, row, feature]: as many rows as places unless told, if it has them."""
        kernel, places = self.kernel_size[0], x.shape[1]
        rows = places if rows is None else rows
        weight = self.acting()[:rows, :places]
        if kernel > 1:
            before = (kernel - 1) // 2
            x = functional.pad(x, (before, kernel - 1 - before))
        return functional.conv1d(x, weight, self.bias[:rows])


class FlatMixer(nn.Module):
    """One causal map."""

    def __init__(self, places: int, kernel: int = 1) -> None:
        super().__init__()
        self.map = CausalMap(places, kernel=kernel)

    def forward(self, x: Tensor) -> Tensor:
        """[sample, place, feature] to the same."""
        mixed: Tensor = self.map(x)
        return mixed

    def weights(self, x: Tensor) -> Tensor:
        """What acts between places, [kernel, query, key]."""
        places = x.shape[1]
        return self.map.masked()[:, :places, :places]


class ExpandedMixer(nn.Module):
    """Two causal maps with a GELU between them, over `hidden` rows in the middle.

    Rows beyond the context are dead, since no output may see them: they have weights, as in the text, which never act and
    are not computed. With fewer rows than places, what stands behind the last row reaches no later place.
    """

    def __init__(self, places: int, hidden: int, kernel: int = 1) -> None:
        super().__init__()
        self.first = CausalMap(places, hidden, kernel)
        self.second = CausalMap(hidden, places, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """[sample, place, feature] to the same."""
        places = x.shape[1]
        mixed: Tensor = self.second(functional.gelu(self.first(x, places)), places)
        return mixed

    def weights(self, x: Tensor) -> Tensor:
        """The product of both maps without the GELU between them, summed over the kernels, [1, query, key]."""
        places = x.shape[1]
        first, second = self.first.masked().sum(0), self.second.masked().sum(0)
        return (second[:places] @ first[:, :places])[None]


class ParallelMixer(nn.Module):
    """The sum of several causal maps: algebraically one map, which only the optimiser sees as several."""

    def __init__(self, places: int, convolutions: int, kernel: int = 1) -> None:
        super().__init__()
        self.maps = nn.ModuleList(CausalMap(places, kernel=kernel) for _ in range(convolutions))

    def forward(self, x: Tensor) -> Tensor:
        """[sample, place, feature] to the same."""
        return torch.stack([one(x) for one in self.maps]).sum(0)

    def weights(self, x: Tensor) -> Tensor:
        """The sum of the maps, [kernel, query, key]."""
        places = x.shape[1]
        return torch.stack([one.masked() for one in self._causal()]).sum(0)[:, :places, :places]

    @torch.no_grad()
    def merged(self) -> FlatMixer:
        """The one map that does the same."""
        maps = self._causal()
        flat = FlatMixer(maps[0].in_channels, maps[0].kernel_size[0]).to(maps[0].weight)
        flat.map.weight.copy_(torch.stack([one.weight for one in maps]).sum(0))
        flat.map.bias.copy_(torch.stack([one.bias for one in maps]).sum(0))
        return flat

    def _causal(self) -> list[CausalMap]:
        return [one for one in self.maps if isinstance(one, CausalMap)]


class MultiHeadMixer(nn.Module):
    """As many causal maps as heads, each on its own projection of the features; joined and projected back."""

    def __init__(self, places: int, width: int, heads: int, kernel: int = 1, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.value = nn.Linear(width, width, bias=bias)
        self.maps = nn.ModuleList(CausalMap(places, kernel=kernel) for _ in range(heads))
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[sample, place, feature] to the same."""
        parts = self.value(x).chunk(self.heads, dim=-1)
        joined = torch.cat([one(part) for one, part in zip(self.maps, parts, strict=True)], dim=-1)
        mixed: Tensor = self.output(joined)
        return mixed

    def weights(self, x: Tensor) -> Tensor:
        """What acts between places, [head and kernel, query, key]."""
        places = x.shape[1]
        maps = [one.masked() for one in self.maps if isinstance(one, CausalMap)]
        return torch.cat(maps)[:, :places, :places]
