"""The operations of a lowered map on NumPy arrays: what a kernel computes, for tests and for small work without a compiler.

Owns the NumPy meaning of every operation. In the arithmetic 'plain' the kernel gives the same bits for + - * / sqrt abs
floor min max and comparisons; functions differ in the last digits, and `madd` rounds twice here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.expression.operations import Function, Operation

Names = Sequence[tuple[str, str]]

_OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "negative": np.negative,
    "madd": lambda a, b, c: a * b + c,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "floor": np.floor,
    "min": np.minimum,
    "max": np.maximum,
    "copysign": np.copysign,
    "power": np.power,
    "atan2": lambda y, x: np.arctan2(y, x + 0.0),  # at the origin 0, whatever the signs of the zeros
    "select": np.where,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log")},
}


@dataclass(frozen=True)
class Interpreter:
    """`update` and `stop` as the kernel has them; arguments are sequences of real arrays or numbers that broadcast."""

    update_function: Function
    stop_function: Function
    uniforms: Names
    lanes: Names

    def update(self, s: Any, old: Any, constant: Any, uniform: Any, k: Any) -> list[Any]:
        """The reals of the new states, in the precision of `s`."""
        return self._run(self.update_function, s, old, constant, uniform, k)

    def stop(self, s: Any, old: Any, constant: Any, uniform: Any, k: Any) -> Any:
        """Where the test holds after the update from `old` to `s`, or compares what is not a number."""
        return self._run(self.stop_function, s, old, constant, uniform, k)[0]

    def _run(self, function: Function, s: Any, old: Any, constant: Any, uniform: Any, k: Any) -> list[Any]:
        precision = np.result_type(*map(np.asarray, s)).type

        def leaf(operation: Operation) -> Any:
            match operation.name:
                case "literal":
                    return precision(float.fromhex(operation.value))
                case "lane":
                    return np.asarray(constant[self.lanes.index(operation.value)], precision)
                case "uniform":
                    return precision(uniform[self.uniforms.index(operation.value)])
                case "k":
                    return np.asarray(k, precision)
            return np.asarray({"state": s, "old": old}[operation.name][operation.value], precision)

        values: list[Any] = []
        with np.errstate(all="ignore"):
            for operation in function.operations:
                if operation.name in _OPERATIONS:
                    values.append(_OPERATIONS[operation.name](*(values[index] for index in operation.operands)))
                else:
                    values.append(leaf(operation))
        return [values[index] for index in function.results]
