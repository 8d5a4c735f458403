"""docs/job.md is current, and says something of every key."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import msgspec
import pytest

from analysis.measures import STATISTICS
from benchmarks import reference
from jobs import model
from jobs.sections import Check, Section


def every_model() -> Iterator[type[msgspec.Struct]]:
    """Models of all kinds, and of the sections inside them."""
    found = [importlib.import_module(module).MODEL for module in model.KINDS.values()]
    while found:
        one = found.pop()
        yield one
        found += filter(None, (reference.section_of(field.type) for field in msgspec.structs.fields(one)))


def test_the_page_is_current() -> None:
    """Otherwise: `make docs`."""
    assert reference.RESULT.read_text() == reference.render()


@pytest.mark.parametrize("of", sorted(set(every_model()), key=str), ids=lambda of: of.__name__)
def test_every_key_is_described(of: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(of):
        if reference.section_of(field.type) is None:
            assert reference.described(of, field.name), field.name


def test_a_key_without_a_text_is_found() -> None:
    class Bare(Section, frozen=True, kw_only=True):
        key: int = 0

    assert reference.described(Bare, "key") is None


def test_every_statistic_is_named() -> None:
    text = reference.described(Check, "quantity") or ""
    assert not [name for name in STATISTICS if name not in text]
