"""Motions of masses learned from states one step apart, as a problem for the trainer, and rolled out afterwards.

Owns the join of motions, flow and loss: the learned quantity is the increment of an integrator between two known states,
so that no implicit step is solved in training. Rolling out is done in float64.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networks.data.arrays import TRAIN, VALID
from networks.data.trajectories import Trajectories
from networks.structure.flows import LearnedEnergy, Rate, double_bracket, hamiltonian, skew
from networks.structure.graph import Graph
from networks.structure.integrators import METHODS, Method, advance
from networks.structure.motions import Motions, motions
from networks.structure.perceptron import perceptron
from networks.task import Batch, Result

Law = Literal["hamiltonian", "double-bracket", "free"]


@dataclass(frozen=True)
class Settings:
    """What is learned: an energy whose flow is `law`, or with `free` any rate of change of the whole state."""

    law: Law = "hamiltonian"
    method: Method = "discrete-gradient"
    hidden: int = 32
    depth: int = 2


class LearnedMotion(nn.Module):
    """The increments (y - x) / step of an integrator from x to y [sample, node + edge, 1].

    A free law has no energy whose differences it could keep: with it the midpoint rule stands in for discrete gradients.
    """

    def __init__(self, settings: Settings, of: Motions, step: float) -> None:
        super().__init__()
        self.settings, self.step, self.num_nodes = settings, step, of.num_nodes
        self.method: Method = settings.method
        self.register_buffer("edges", of.edges[None], persistent=False)
        size = of.states.shape[2]
        if settings.law == "free":
            self.method = "midpoint" if settings.method == "discrete-gradient" else settings.method
            self.rate = perceptron([size, *settings.depth * [settings.hidden], size], activation="tanh")
        else:
            float_ = torch.get_default_dtype()
            free, kinds = (None if one is None else one.to(float_) for one in (of.free, of.kinds))
            self.energy = LearnedEnergy(1, settings.hidden, settings.depth, free=free, kinds=kinds)
        if settings.law == "double-bracket":
            self.log_damping = nn.Parameter(torch.tensor(-2.0))

    def flow(self, num_samples: int) -> Rate:
        """What moves states of so many samples."""
        if self.settings.law == "free":
            return lambda x: self.rate(x.flatten(1)).reshape(x.shape)
        assert isinstance(self.edges, Tensor)
        turn = skew(Graph(self.edges.expand(num_samples, -1, -1), self.num_nodes))
        energy = self.energy.of_state(self.num_nodes)
        if self.settings.law == "hamiltonian":
            return hamiltonian(energy, turn)
        return double_bracket(energy, turn, self.log_damping.exp())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The increment from x towards y."""
        # Differences of energies have no digits to lose.
        with torch.autocast(x.device.type, enabled=False):
            return METHODS[self.method](self.flow(len(x)), x, y, self.step)


class DynamicsTask:
    """A `networks.task.Task`: from each state of a motion the next one.

    `load` gives the motions and is called once. The first `num_shown` held back are rolled out from their first state.
    """

    unit = "steps"
    groups = None
    measures = ()

    def __init__(self, settings: Settings, load: Callable[[], Trajectories], *, num_shown: int) -> None:
        self.settings, self._load, self._num_shown = settings, load, num_shown

    @cached_property
    def _found(self) -> Trajectories:
        return self._load()

    @cached_property
    def motions(self) -> Motions:
        """All motions as states."""
        return motions(self._found)

    @cached_property
    def _of_split(self) -> dict[int, NDArray[np.int64]]:
        return {split: np.flatnonzero(self._found.split == split) for split in (TRAIN, VALID)}

    @property
    def _steps(self) -> int:
        return self.motions.states.shape[1] - 1

    @property
    def num_samples(self) -> int:
        """Steps to train on."""
        return len(self._of_split[TRAIN]) * self._steps

    @property
    def num_evaluation_samples(self) -> int:
        """Steps held back."""
        return len(self._of_split[VALID]) * self._steps

    @property
    def chance(self) -> float:
        """The loss of saying that nothing moves."""
        states = self.motions.states[torch.from_numpy(self._of_split[TRAIN])]
        rates = (states[:, 1:] - states[:, :-1]) / self._found.time_step
        return float(self._mean_square(rates.flatten(0, 1)).mean())

    @property
    def results(self) -> tuple[Result, ...]:
        """Energies, errors and what should stay, along motions held back."""
        shown = (min(self._num_shown, len(self._of_split[VALID])), self._steps + 1)
        dimensions = ("motion", "time")
        told = {
            "energy_of_data": "true energy of the motion held back",
            "energy": "true energy of the states rolled out",
            "learned_energy": "energy that was learned, of the states rolled out; no number where none was",
            "energy_drift": "change of the learned energy since the start",
            "rollout_error": "root mean square difference of the states from the motion",
            "sum_drift": "largest change of the sum of q over nodes",
            "cycle_drift": "largest change of the sum of p around cycles",
        }
        time = Result("seconds_from_start", shown[1:], dimensions[1:], units="s", long_name="time")
        return (time, *(Result(name, shown, dimensions, long_name=of) for name, of in told.items()))

    def model(self) -> LearnedMotion:
        """A new law."""
        return LearnedMotion(self.settings, self.motions, self._found.time_step)

    def batch(self, samples: Sequence[int]) -> Batch:
        """`x` and `y`: states and those one step later [step, node + edge, 1]."""
        return self._batch(TRAIN, samples)

    def evaluation_batch(self, samples: Sequence[int]) -> Batch:
        """The same of motions held back."""
        return self._batch(VALID, samples)

    def _batch(self, split: int, samples: Sequence[int]) -> Batch:
        numbers, times = np.divmod(np.asarray(list(samples), dtype=np.int64), self._steps)
        of = self._of_split[split][numbers]
        states = self.motions.states
        return {"x": states[of, times].float(), "y": states[of, times + 1].float()}

    def weight(self, batch: Batch) -> float:
        """Steps."""
        return float(len(batch["x"]))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean square error of the rates of a step, summed over steps."""
        x, y = batch["x"], batch["y"]
        return self._mean_square((y - x) / self._found.time_step - model(x, y)).sum()

    def evaluate(self, model: nn.Module, batch: Batch) -> Mapping[str, float]:
        """The loss."""
        return {"loss": self.loss(model, batch).item()}

    def _mean_square(self, rates: Tensor) -> Tensor:
        """Of each sample, over all but the support, which does not move."""
        size, free = rates.shape[1], self.motions.free
        if free is None:
            return rates.square().mean((1, 2))
        counted = torch.cat([free, free.new_ones(size - len(free))]).to(rates)[:, None]
        return (rates.square() * counted).sum((1, 2)) / counted.sum()

    def finish(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """The arrays of `results`. Where a step of a learned law has no solution a motion ends: no numbers from there on."""
        assert isinstance(model, LearnedMotion)
        exact, found = copy.deepcopy(model).double(), self.motions
        data = found.states[torch.from_numpy(self._of_split[VALID][: self._num_shown])]
        rolled = torch.full_like(data, torch.nan)
        for motion, first in enumerate(data[:, :1]):
            rolled[motion] = _rolled_out(exact, first, self._steps)
        q, p = rolled[:, :, : found.num_nodes, 0], rolled[:, :, found.num_nodes :, 0]
        around = p @ found.cycles().T
        learned = torch.full(data.shape[:2], torch.nan, dtype=torch.float64)
        if self.settings.law != "free":
            with torch.no_grad():
                learned = exact.energy.of_state(found.num_nodes)(rolled.flatten(0, 1)).reshape(learned.shape)
        arrays = {
            "energy_of_data": found.energy(data),
            "energy": found.energy(rolled),
            "learned_energy": learned,
            "energy_drift": learned - learned[:, :1],
            "rollout_error": (rolled - data).square().mean((2, 3)).sqrt(),
            "sum_drift": (q.sum(-1) - q[:, :1].sum(-1)).abs(),
            "cycle_drift": torch.linalg.vector_norm(around - around[:, :1], dim=-1),
        }
        times = np.arange(self._steps + 1) * self._found.time_step
        return {"seconds_from_start": times, **{name: of.numpy() for name, of in arrays.items()}}


def _rolled_out(model: LearnedMotion, first: Tensor, steps: int) -> Tensor:
    """States [time, node + edge, 1] from the first [1, node + edge, 1] on."""
    states = torch.full((steps + 1, *first.shape[1:]), torch.nan, dtype=first.dtype)
    states[0], x, flow = first[0], first, model.flow(1)
    with torch.no_grad():
        for number in range(1, steps + 1):
            try:
                x = advance(model.method, flow, x, model.step)
            except ArithmeticError:
                break
            states[number] = x[0]
    return states
