"""`--set`, merging and files: text to plain dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs import model
from jobs.reading import merge, read_overrides
from kernels.errors import RequestError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.0", 3.0),
        ("[1, 2]", [1, 2]),
        ("true", True),
        ("'a b'", "a b"),
        ("40/2**(t/30)", "40/2**(t/30)"),
        ("inferno", "inferno"),
        ("", ""),
        ("a=b", "a=b"),
        ("1\nother = 2", "1\nother = 2"),
        ("{b = 1}", {"b": 1}),
    ],
)
def test_values_are_toml_or_text(text: str, value: Any) -> None:
    assert read_overrides([f"a.key={text}"]) == {"a": {"key": value}}


def test_later_overrides_win_and_tables_merge() -> None:
    assert read_overrides(["a.b=1", "a.c=2", "a.b=3", "d=4"]) == {"a": {"b": 3, "c": 2}, "d": 4}
    assert merge({"a": {"b": 1}, "c": 2}, {"a": {"d": 3}, "c": {"e": 4}}) == {"a": {"b": 1, "d": 3}, "c": {"e": 4}}


def test_a_file_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "my-job.toml"
    path.write_text('kind = "divergence"\n[view]\nresolution = [4, 4]\n')
    assert model.load("my-job.toml").name == "my-job"
    job = model.load(str(path), ["name=other", "view.width=10"])
    assert (job.name, job.view.width, job.view.resolution) == ("other", 10.0, (4, 4))
    path.rename(tmp_path / "My Job.toml")
    with pytest.raises(RequestError, match=r"^name: "):
        model.load("My Job.toml")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("3600", "3600"),
        ("90.5", "90.500000"),
        ("'2h'", "2h"),
        ("2026-08-01T18:00:00", "2026-08-01T18:00:00"),
        ("2026-08-01 18:00:00Z", "2026-08-01T18:00:00+00:00"),
        ("2026-08-01", "2026-08-01"),
    ],
)
def test_a_deadline_is_a_duration_or_a_time(given: str, text: str) -> None:
    assert model.load("three-body", [f"run.deadline={given}"]).run.deadline == text


def test_one_check_may_stand_as_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('kind = "divergence"\n[check]\nquantity = "times.sum"\nvalue = 3\n')
    (check,) = model.load("a.toml").check
    assert (check.quantity, check.value, check.tolerance) == ("times.sum", 3.0, 0.0)
