"""Lists of real operations as C++ for `device/lanes.hpp` and `device/functions.hpp`.

Owns the signatures of `update` and `stop`. Must never write anything but numbered symbols, hexadecimal numbers and names
from the table below.
"""

import math
from collections.abc import Sequence

from kernels.expression.operations import TESTS, Function, Operation

_OPERATORS = {"+": "+", "-": "-", "*": "*", "/": "/", "and": "&", "or": "|"}
_FUNCTIONS = {
    **{name: name for name in ("madd", "select", "less", "less_equal", "equal", "power")},
    **{"not": "negate", "abs": "absolute", "sqrt": "square_root", "copysign": "with_sign_of", "floor": "round_down"},
    **{"sin": "sine", "cos": "cosine", "tan": "tangent", "exp": "exponential", "log": "logarithm"},
    **{"sinh": "hyperbolic_sine", "cosh": "hyperbolic_cosine", "tanh": "hyperbolic_tangent"},
    **{"atan2": "arctangent2", "min": "minimum", "max": "maximum"},
}
_INPUTS = "const Lane *s, const Lane *old, const Lane *constant, const real *uniform, Lane k"

Names = Sequence[tuple[str, str]]


def render(update: Function, stop: Function, uniforms: Names, lanes: Names) -> str:
    """The two device functions; `uniforms` and `lanes` are in the order of the arrays `uniform` and `constant`.

    `next` of `update` may be the same memory as `s` or `old`: everything is read before anything is written.
    """
    lines = [
        '#include "functions.hpp"',
        f"DEVICE void update({_INPUTS}, Lane *next) {{",
        *_body(update, uniforms, lanes),
    ]
    lines += [f"    next[{n}] = v{index};" for n, index in enumerate(update.results)]
    lines += [
        "}",
        f"DEVICE Mask stop({_INPUTS}) {{",
        *_body(stop, uniforms, lanes),
        f"    return v{stop.results[0]};",
        "}",
    ]
    return "\n".join([*lines, ""])


def _body(function: Function, uniforms: Names, lanes: Names) -> list[str]:
    return [
        f"    const {'Mask' if operation.name in TESTS else 'Lane'} v{n} = {_text(operation, function, uniforms, lanes)};"
        for n, operation in enumerate(function.operations)
    ]


def _text(operation: Operation, function: Function, uniforms: Names, lanes: Names) -> str:
    operands = [f"v{index}" for index in operation.operands]
    match operation.name:
        case "literal":
            return f"broadcast({_number(float.fromhex(operation.value))})"
        case "state":
            return f"s[{operation.value}]"
        case "old":
            return f"old[{operation.value}]"
        case "lane":
            return f"constant[{lanes.index(operation.value)}]"
        case "uniform":
            return f"broadcast(uniform[{uniforms.index(operation.value)}])"
        case "k":
            return "k"
        case "negative":
            fused = function.operations[operation.operands[0]].name == "madd"
            return f"opposite({operands[0]})" if fused else f"-{operands[0]}"
        case name if name in _OPERATORS:
            return f" {_OPERATORS[name]} ".join(operands)
    return f"{_FUNCTIONS[operation.name]}({', '.join(operands)})"


def _number(value: float) -> str:
    """A float64 that every compiler reads without rounding."""
    if math.isnan(value):
        return "real(0) / real(0)"
    if math.isinf(value):
        return f"{'-' * (value < 0)}real(1) / real(0)"
    return f"real({value.hex()})"
