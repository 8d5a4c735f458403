"""Steps forward in time for dx/dt = B grad E(x): explicit ones, the implicit midpoint, and the discrete gradient.

Owns the increments and the solution of the implicit ones. All are written as (y - x) / step = increment(x, y), so that
learning from a known y needs no solution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from networks.structure.flows import Flow, Rate

Method = Literal["euler", "rk4", "midpoint", "discrete-gradient"]

MOST_ITERATIONS = 200
IMPLICIT = frozenset({"midpoint", "discrete-gradient"})


def euler(flow: Rate, x: Tensor, y: Tensor, step: float) -> Tensor:
    """Order 1."""
    del y, step
    return flow(x)


def rk4(flow: Rate, x: Tensor, y: Tensor, step: float) -> Tensor:
    """The classical Runge-Kutta method, order 4."""
    del y
    first = flow(x)
    second = flow(x + step / 2 * first)
    third = flow(x + step / 2 * second)
    fourth = flow(x + step * third)
    return (first + 2 * second + 2 * third + fourth) / 6


def midpoint(flow: Rate, x: Tensor, y: Tensor, step: float) -> Tensor:
    """The implicit midpoint rule, order 2; symplectic, keeps quadratic energies only."""
    del step
    return flow((x + y) / 2)


def discrete_gradient(flow: Flow, x: Tensor, y: Tensor, step: float) -> Tensor:
    """B times Gonzalez' discrete gradient (1996), order 2: E(y) - E(x) is what B makes of it, exactly, for any E."""
    del step
    change = y - x
    gradient = flow.gradient((x + y) / 2)
    over = tuple(range(1, x.dim()))
    missing = flow.energy(y) - flow.energy(x) - (gradient * change).sum(over)
    length = change.square().sum(over)
    # Where x and y are one point, the gradient there is the discrete gradient.
    share = torch.where(length > 0, missing / torch.where(length > 0, length, 1.0), 0.0)
    return flow.structure(gradient + share.reshape(-1, *(1,) * len(over)) * change)


METHODS: dict[str, Callable[[Any, Tensor, Tensor, float], Tensor]] = {
    "euler": euler,
    "rk4": rk4,
    "midpoint": midpoint,
    "discrete-gradient": discrete_gradient,
}


def advance(method: Method, flow: Rate, x: Tensor, step: float) -> Tensor:
    """The state [sample, ...] one step later.

    Implicit methods iterate until nothing changes by more than rounding; each sample stops on its own, so that what is in
    a batch beside it changes no digit. Raises ArithmeticError where a step is too long for that.
    """
    increment = METHODS[method]
    y = x + step * increment(flow, x, x, step)
    if method not in IMPLICIT:
        return y
    over = tuple(range(1, x.dim()))
    tolerance = 4 * torch.finfo(x.dtype).eps
    running = torch.ones(len(x), dtype=torch.bool, device=x.device)
    before = torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device)
    for _ in range(MOST_ITERATIONS):
        new = x + step * increment(flow, x, y, step)
        with torch.no_grad():
            change = (new - y).abs().amax(over)
            # Rounding: as small as it gets, or small and no longer falling.
            size = new.abs().amax(over).clamp_min(1)
            settled = (change <= tolerance * size) | ((change <= 256 * tolerance * size) & (change >= before))
            before = change
        y = torch.where(running.reshape(-1, *(1,) * len(over)), new, y)
        running = running & ~settled
        if not running.any():
            return y
    raise ArithmeticError(
        f"the {method} step of {step} does not settle in {MOST_ITERATIONS} iterations; take a shorter one"
    )


def trajectory(method: Method, flow: Rate, x: Tensor, step: float, count: int) -> Tensor:
    """`count` steps from x: [sample, count + 1, ...]."""
    states = [x]
    for _ in range(count):
        states.append(advance(method, flow, states[-1], step))
    return torch.stack(states, dim=1)
