"""Every example of docs/formulas.md gives what stands behind its arrow."""

import cmath
import re
from pathlib import Path

import pytest

from kernels.expression import FormulaError, parse
from kernels.expression.evaluate import decimal, numpy

GUIDE = Path(__file__).parents[2] / "docs" / "formulas.md"
EXAMPLE = re.compile(r"(?P<text>.+?) +# (?:(?P<values>\w+ = .+?) )?-> (?P<result>.+)")


def examples() -> list[tuple[str, str]]:
    """Language of the block (``formula`` or ``view``) and line."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [(language, line) for language, body in blocks for line in body.splitlines()]


@pytest.mark.parametrize(("language", "line"), examples())
def test_example(language: str, line: str) -> None:
    example = EXAMPLE.fullmatch(line)
    assert example is not None
    values = {}
    for assignment in (example["values"] or "").split(", "):
        if assignment:
            name, number = assignment.split(" = ")
            values[name] = int(number)

    # Compute, or take the refusal
    evaluate = {"formula": numpy, "view": decimal}[language]
    try:
        result = evaluate(parse(example["text"], names=values, key="key"), values)
    except FormulaError as error:
        result = str(error).replace("key, ", "error: ")

    expected = example["result"]
    if expected in ("true", "false"):
        assert result is (expected == "true")
    elif expected.startswith("error: "):
        assert result == expected
    else:
        number = complex(expected)
        assert isinstance(result, complex) == ("j" in expected)
        assert result == number or (cmath.isnan(result) and cmath.isnan(number))


def test_the_guide_has_examples_of_both_kinds() -> None:
    languages = [language for language, _ in examples()]
    assert languages.count("formula") > 30
    assert languages.count("view") > 3
