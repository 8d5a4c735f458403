"""Random maps: lowered and interpreted they give what Python gives number by number, and what the tree gives exactly."""

from __future__ import annotations

import cmath
import re
from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from kernels.expression import parse
from kernels.expression.evaluate import numpy as evaluate
from kernels.expression.lower import Constant, Lowered, MapFormulas, lower

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st

NUM = 16
CONSTANTS = (Constant("c", "lane", True), Constant("a", "uniform", True), Constant("b", "baked", True, 0.3 - 1.25j))


class RandomFormula:
    """Complex formulas as text that Python reads as well.

    Every number is complex: what functions give of real ones is another matter in Python's complex arithmetic.
    """

    def __init__(self, random: Random) -> None:
        self.random = random

    def number(self, depth: int) -> str:
        if depth == 0 or self.random.random() < 0.1:
            return self.random.choice(["z", "z_old", "c", "a", "b", "k*z", "i*c", "2*z", "z/0.75", "1.5*z"])
        kind = self.random.choice(["binary", "binary", "binary", "power", "call", "call", "real", "test", "negative"])
        inner = [f"({self.number(depth - 1)})" for _ in range(2)]
        match kind:
            case "binary":
                return f"{inner[0]} {self.random.choice('++-**/')} {inner[1]}"
            case "power":
                return f"{inner[0]}**({self.random.choice(['2', '3', '-1', '-2', '5', '0.5', '2.5', 'c'])})"
            case "call":
                return f"{self.random.choice(FUNCTIONS)}{inner[0]}"
            case "real":
                return f"{self.real(inner[0])} {self.random.choice('+-*')} {inner[1]}"
            case "test":
                return f"({self.test(*inner)})*{inner[1]} + {inner[0]}"
        return f"-{inner[0]}"

    def real(self, number: str) -> str:
        return f"{self.random.choice(['re', 'im', 'abs', 'arg'])}{number}"

    def test(self, left: str, right: str) -> str:
        return f"{self.real(left)} {self.random.choice(['<', '<=', '>', '>='])} {self.real(right)} + 0.3"


FUNCTIONS = ["sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt", "conj"]


def tame(function: Callable[[complex], complex]) -> Callable[[complex], complex]:
    """The function where its result is far from what a number can hold: beyond, neighbours tell nothing of each other."""

    def checked(value: complex) -> complex:
        result = function(value)
        if not 1e-100 < abs(result) < 1e100:
            raise ValueError
        return result

    return checked


MEANINGS = {
    **{name: tame(getattr(cmath, name)) for name in FUNCTIONS if name != "conj"},
    **{"conj": lambda z: complex(z).conjugate(), "arg": cmath.phase, "abs": abs},
    **{"re": lambda z: complex(z).real, "im": lambda z: complex(z).imag, "i": 1j},
}


class Python:
    """A formula in Python's own numbers, every name in it a number of its own, so that each can be moved a little."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self.code = compile(re.sub(r"\b(z|z_old|c|a|b|k)\b", self._name, text), "formula", "eval")

    def _name(self, match: re.Match[str]) -> str:
        self.names.append(match[1])
        return f"number{len(self.names) - 1}"

    def value(self, values: dict[str, complex], moves: np.random.Generator) -> complex | None:
        """The value; None where that is undefined, at a branch cut, or depends too much on the last digits."""
        found = []
        for size in (0, *[1e-9] * 12):
            factors = 1 + size * (moves.normal(size=len(self.names)) + 1j * moves.normal(size=len(self.names)))
            moved = {f"number{n}": complex(values[name] * factors[n]) for n, name in enumerate(self.names)}
            try:
                found.append(complex(eval(self.code, {**MEANINGS, **moved})))
            except (OverflowError, ZeroDivisionError, ValueError):
                return None
        spread = max(abs(value - found[0]) for value in found)
        return found[0] if abs(found[0]) < 1e12 and spread < 1e-6 * max(abs(found[0]), 1e-3) else None


def lowered(text: str, arithmetic: str) -> Lowered:
    names = ["z", "z_old", "k", *(constant.name for constant in CONSTANTS)]
    read = [parse(one, names=names, key="map.z") for one in (text, "abs(z) > 2")]
    return lower(MapFormulas(True, ("z",), (read[0],), read[1], CONSTANTS), arithmetic)


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=True), st.sampled_from(["reproducible", "plain"]))
def test_random_complex_maps_equal_python(random: Random, arithmetic: str) -> None:
    text = RandomFormula(random).number(3)
    step = lowered(text, arithmetic)
    generator = np.random.default_rng(random.randrange(2**32))
    s, old, c = generator.normal(size=(3, 2, NUM)) * 2
    a, k = generator.normal(size=2), generator.integers(1, 8, NUM)
    uniform = [a[("re", "im").index(part)] for _, part in step.uniforms]
    lanes = [c[("re", "im").index(part)] for _, part in step.lanes]
    real, imaginary = (np.broadcast_to(part, NUM) for part in step.numpy().update(s, old, lanes, uniform, k))
    python = Python(text)
    for n in range(NUM):
        values = {"z": complex(*s[:, n]), "z_old": complex(*old[:, n]), "c": complex(*c[:, n]), "k": float(k[n])}
        expected = python.value({**values, "a": complex(*a), "b": 0.3 - 1.25j}, generator)
        if expected is not None:
            assert abs(complex(real[n], imaginary[n]) - expected) <= 1e-8 * max(abs(expected), 1e-3), (text, values)


class RandomRealFormula:
    """Real formulas of operations that are rounded once or exact."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def number(self, depth: int) -> str:
        if depth == 0:
            return self.random.choice(["x", "y", "x_old", "p", "q", "k", "2", "0", "0.5", "3", "1e300", "1"])
        kind = self.random.choice(["binary", "binary", "power", "call", "call", "negative", "test", "pair"])
        left, right = (f"({self.number(depth - 1)})" for _ in range(2))
        match kind:
            case "binary":
                return f"{left} {self.random.choice('+-*/')} {right}"
            case "power":
                return f"{left}**{self.random.choice(['2', '3', '-1', '-2', '5', '0', '1', '7'])}"
            case "call":
                return f"{self.random.choice(['abs', 'sqrt', 'floor', 're', 'im', 'conj'])}{left}"
            case "pair":
                return f"{self.random.choice(['min', 'max'])}({left}, {right}, 1)"
            case "negative":
                return f"-{left}"
        return f"({self.test(depth)}) * {left}"

    def test(self, depth: int) -> str:
        first, second, third = (f"({self.number(depth - 1)})" for _ in range(3))
        operators = ["<", "<=", ">", ">=", "==", "!="]
        one = f"{first} {self.random.choice(operators)} {second} {self.random.choice(operators)} {third}"
        other = f"{third} {self.random.choice(operators)} {first}"
        return f"{self.random.choice(['', 'not '])}({one} {self.random.choice(['and', 'or'])} {other})"


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=True))
def test_random_real_maps_equal_the_tree_exactly(random: Random) -> None:
    """In the arithmetic 'plain', folding, sharing and simplifying change no value, of whatever numbers."""
    maker = RandomRealFormula(random)
    names = ("x", "y", "x_old", "y_old", "p", "q", "k")
    update, other, stop = (
        parse(text, names=names, key="map.x") for text in (maker.number(3), maker.number(2), maker.test(2))
    )
    constants = (Constant("p", "lane", False), Constant("q", "baked", False, 0.7))
    step = lower(MapFormulas(False, ("x", "y"), (update, other), stop, constants), "plain")
    generator = np.random.default_rng(random.randrange(2**32))
    numbers = generator.choice([0.0, 1.0, -1.0, 0.5, 2.5, -3.0, np.inf, -np.inf, np.nan, 1e300], (5, NUM))
    numbers[:, ::2] = generator.normal(size=(5, NUM // 2))
    values = {**dict(zip(names, numbers, strict=False)), "q": 0.7, "k": np.arange(NUM, dtype=float)}

    lanes = [values["p"]] if step.lanes else []
    arguments = ([values["x"], values["y"]], [values["x_old"], values["y_old"]], lanes, [], values["k"])
    for formula, result in zip((update, other), step.numpy().update(*arguments), strict=True):
        expected = np.broadcast_to(evaluate(formula, values), NUM)
        np.testing.assert_array_equal(np.broadcast_to(result, NUM), expected, err_msg=formula.text)

    # What holds as written stops
    stopped = np.broadcast_to(step.numpy().stop(*arguments), NUM)
    as_written = np.broadcast_to(evaluate(stop, values), NUM)
    assert stopped[as_written].all()
