"""One run in training on one rank of its group: a model, its optimiser, a step, an evaluation.

Owns what happens in a step and what of it a checkpoint keeps. Never touches files; what it does is a function of the run, the
step and the checkpoint it began with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.training import optimisers
from jobs.training.order import DataOrder, share
from jobs.training.randomness import seed_torch
from jobs.training.runs import RunSettings
from kernels.errors import RequestError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hpc.process_group import Group
    from networks.task import Batch, Task

MOST_SKIPPED = 10
"""Steps in a row whose gradient is not finite: more of them mean that nothing is learned any more."""


@dataclass(frozen=True)
class Step:
    """What a step has come to, the same on all ranks; `stop` where any rank asks for it."""

    loss: float
    gradient_norm: float
    rate: float
    stop: bool


class Trainer:
    """The model of a run with all that moves it. Made and called by all ranks of a group alike."""

    def __init__(self, task: Task, run: RunSettings, group: Group) -> None:
        from torch import nn

        train = run.train
        self._task = task
        self._run = run
        self._train = train
        self._group = group
        self._order = DataOrder(train.order, task.num_samples, train.seed, task.groups)
        self.precision = precision(run, group.device)
        seed_torch(train.seed, "model")
        self.model = task.model().to(group.device)
        self._optimiser = optimisers.optimiser(train, self.model.parameters())
        self._forward = _wrapped(self.model, group, compiled=train.compile)
        self._next: tuple[int, list[Batch], float] | None = None
        self._with_gradient: set[int] = set()
        self.random = False
        self.mixes = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.model.modules())
        self.weight = 0.0
        self.skipped = 0
        self.skipped_in_a_row = 0

    def begin(self, step: int) -> None:
        """Make ready for a step: the first of a run, or the one after a checkpoint.

        Raises RequestError, on all ranks, where the checkpoint lacks a part of the optimiser.
        """
        parts = self._parts(step)
        self._next = (step, parts, self._group.sum([self._weigh(parts)])[0])
        self._warm_up(parts[0])
        lacking = self._with_gradient - self._optimiser.state_dict()["state"].keys()
        if step > self.skipped and lacking and optimisers.kept(self._train):
            raise RequestError(
                f"the checkpoint at step {step} keeps nothing of the optimiser for weight {min(lacking)}; remove it, the same "
                "command goes on from the one before"
            )

    def step(self, step: int, *, stop: bool) -> Step:
        """Take a step, counted from 0. `stop` is whether this rank asks for an end.

        Raises RequestError, on all ranks, where gradients are not finite for several steps in a row.
        """
        from torch import nn

        assert self._next is not None
        assert self._next[0] == step
        _, parts, weight = self._next
        rate = optimisers.rate(self._train, step, self._run.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        self.model.train()
        loss = self._backward(step, parts, weight)

        # While a GPU is still at work: the samples of the next step, whose weight travels with what this one has come to.
        following = self._parts(step + 1) if step + 1 < self._run.steps else []
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        own_norm, own_loss = float(norm), float(loss)
        bad = not (math.isfinite(own_norm) and math.isfinite(own_loss))
        total, num_bad, num_stop, next_weight = self._group.sum(
            [0.0 if bad else own_loss, float(bad), float(stop), self._weigh(following)]
        )
        self._next = (step + 1, following, next_weight)
        self.weight += weight

        # Leave a step out that would spoil the weights, on all ranks alike.
        if num_bad:
            self._skip(step)
            return Step(math.inf, math.inf, rate, num_stop > 0)
        self.skipped_in_a_row = 0
        if self._train.clip > 0:
            nn.utils.clip_grads_with_norm_(list(self.model.parameters()), self._train.clip, norm)
        self._optimiser.step()
        return Step(total / weight if weight > 0 else math.nan, own_norm, rate, num_stop > 0)

    def evaluate(self) -> dict[str, float]:
        """Mean loss and measures over the evaluation samples, the same on all ranks; NaN where there are none."""
        import torch

        names = ("loss", *self._task.measures)
        sums = dict.fromkeys(names, 0.0)
        weight = 0.0
        size = self._part_size
        seed_torch(self._train.seed, "evaluation", self._group.rank)
        self.model.eval()
        with torch.no_grad():
            for first in range(self._group.rank * size, self._task.num_evaluation_samples, self._group.size * size):
                numbers = range(first, min(first + size, self._task.num_evaluation_samples))
                batch = self._task.evaluation_batch(numbers)
                weight += self._task.weight(batch)
                with self._autocast():
                    found = self._task.evaluate(self.model, self._on_device(batch))
                for name in names:
                    sums[name] += float(found[name])
        *totals, weight = self._group.sum([*sums.values(), weight])
        return {name: total / weight if weight else math.nan for name, total in zip(names, totals, strict=True)}

    def model_tensors(self) -> dict[str, Tensor]:
        """Weights and buffers on the CPU, each once: tied weights under their first name."""
        return model_tensors(self.model)

    def optimiser_tensors(self) -> dict[str, Tensor]:
        """What the optimiser keeps, on the CPU, as "PARAMETER.NAME"."""
        from torch import Tensor

        state = self._optimiser.state_dict()["state"]
        return {
            f"{number}.{name}": value.detach().cpu().contiguous()
            for number, kept in state.items()
            for name, value in kept.items()
            if isinstance(value, Tensor)
        }

    def restore(self, model: Mapping[str, Tensor], optimiser: Mapping[str, Tensor]) -> None:
        """Take up what a checkpoint has kept. Raises RequestError where it is of another model or optimiser."""
        import torch

        load_model(self.model, model)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in optimiser.items():
            number, _, name = key.partition(".")
            if not number.isdecimal() or not name:
                raise RequestError(f"the checkpoint's optimiser has {key!r}, which is none of ours")
            state.setdefault(int(number), {})[name] = value
        parameters = list(self.model.parameters())
        for position, found in state.items():
            if position >= len(parameters) or tuple(sorted(found)) != optimisers.kept(self._train):
                raise RequestError(f"the checkpoint's optimiser has other tensors for weight {position}")
            for name, value in found.items():
                like = torch.zeros(()) if name == "step" else parameters[position]
                if (value.shape, value.dtype) != (like.shape, like.dtype):
                    raise RequestError(f"the checkpoint's optimiser has {position}.{name} of another shape or type")
        groups = self._optimiser.state_dict()["param_groups"]
        try:
            self._optimiser.load_state_dict({"state": state, "param_groups": groups})
        except (ValueError, KeyError) as error:
            raise RequestError(f"the checkpoint does not fit the optimiser: {error}") from None

    @property
    def _part_size(self) -> int:
        """Samples that a rank has in memory at a time."""
        return self._train.batch // (self._group.size * self._train.accumulation)

    def _parts(self, step: int) -> list[Batch]:
        """This rank's part of a step's batch, cut for accumulation."""
        size = self._train.batch
        numbers = share(self._order.samples(step * size, (step + 1) * size), self._group.rank, self._group.size)
        accumulation = self._train.accumulation
        return [self._task.batch(share(numbers, part, accumulation)) for part in range(accumulation)]

    def _weigh(self, parts: list[Batch]) -> float:
        return sum(self._task.weight(batch) for batch in parts)

    def _backward(self, step: int, parts: list[Batch], weight: float) -> Tensor:
        """Gradients of the mean loss over all ranks and parts; this rank's part of the sum of losses."""
        import torch

        # DDP takes the mean over ranks of what is a share of one sum.
        scale = self._group.size / weight if weight > 0 else 0.0
        total = torch.zeros((), dtype=torch.float64, device=self._group.device)
        for number, batch in enumerate(parts):
            seed_torch(self._train.seed, "training", step, self._group.rank, number)
            with self._without_exchange() if number + 1 < len(parts) else nullcontext():
                with self._autocast():
                    loss = self._task.loss(self._forward, self._on_device(batch))
                (loss * scale).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _without_exchange(self) -> AbstractContextManager[Any]:
        """Gradients stay on this rank, forward and backward: they go out with those of the last part."""
        from torch import nn

        if isinstance(self._forward, nn.parallel.DistributedDataParallel):
            return self._forward.no_sync()
        return nullcontext()

    def _warm_up(self, batch: Batch) -> None:
        """Compute gradients once and forget them.

        DDP puts gradients into its buckets in another order from its second step on, and so sums them in another order:
        steps after a resume would not be those of a run that was never stopped. Tells also whether training draws random
        numbers.
        """
        import torch

        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        self.model.train()
        seed_torch(self._train.seed, "training", 0, self._group.rank, 0)
        before = self._random_state()
        with self._autocast():
            loss = self._task.loss(self._forward, self._on_device(batch))
        self.random = not torch.equal(before, self._random_state())
        loss.backward()  # type: ignore[no-untyped-call]
        numbered = enumerate(self.model.parameters())
        self._with_gradient = {number for number, parameter in numbered if parameter.grad is not None}
        self._optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in self.model.named_buffers():
                buffer.copy_(buffers[name])

    def _random_state(self) -> Tensor:
        """Of the generator that the device's dropout draws from."""
        import torch

        cuda = self._group.device.type == "cuda"
        return torch.cuda.get_rng_state(self._group.device) if cuda else torch.get_rng_state()

    def _autocast(self) -> AbstractContextManager[Any]:
        import torch

        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self._group.device.type, dtype=torch.bfloat16)

    def _on_device(self, batch: Batch) -> Batch:
        return {name: tensor.to(self._group.device, non_blocking=True) for name, tensor in batch.items()}

    def _skip(self, step: int) -> None:
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MOST_SKIPPED:
            raise RequestError(
                f"train.rate: the gradient of {MOST_SKIPPED} steps in a row, up to step {step + 1}, is not finite; "
                "use a lower rate, a warm-up or train.clip, in a new store"
            )


def precision(run: RunSettings, device: torch.device) -> str:
    """'float32', or 'bfloat16' where it is asked for, or where a GPU has it."""
    import torch

    if run.train.precision != "auto":
        return run.train.precision
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """A model's weights and buffers on the CPU, each once: tied weights under their first name."""
    seen = set()
    found = {}
    for name, tensor in model.state_dict().items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if place not in seen or tensor.numel() == 0:
            seen.add(place)
            found[name] = tensor.detach().cpu().contiguous()
    return found


def load_model(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put a checkpoint's tensors into a model. Raises RequestError where they are not those that it has."""
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in model_tensors(model).items()}
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    if wanted != found:
        odd = sorted({name for name, _ in wanted.items() ^ found.items()})
        raise RequestError(f"the checkpoint does not fit the model: {odd[0]} has another shape or type, or is missing")
    model.load_state_dict(dict(tensors), strict=False)


def _wrapped(model: nn.Module, group: Group, *, compiled: bool) -> nn.Module:
    """The model as it is called in training: compiled where asked for, its gradients exchanged where there are ranks."""
    import torch
    from torch import nn

    called: Any = model
    if compiled:
        import torch._inductor.config as inductor

        # No processes of its own: MPI and forks do not go together.
        inductor.compile_threads = 1
        called = torch.compile(model)
    if group.handle is None:
        return called  # type: ignore[no-any-return]
    return nn.parallel.DistributedDataParallel(called, process_group=group.handle, gradient_as_bucket_view=True)
