"""What reaches a compiler: no text of a user, and no shell."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import iterate, source
from kernels.backends import compiler
from kernels.expression import parse
from kernels.expression.lower import Constant, MapFormulas, lower

# Names as jobs may choose them, marked so that they can be found in anything that is made of them.
names = st.from_regex(r"zqx[a-z0-9_]{0,12}", fullmatch=True)
decimals = st.integers(10**8, 10**12).map(lambda number: f"0.{number}") | st.integers(10**7, 10**12).map(str)


@settings(max_examples=60, deadline=None)
@given(st.lists(names, min_size=4, max_size=4, unique=True), decimals, st.sampled_from(["reproducible", "plain"]))
def test_no_text_of_a_user_enters_rendered_source(given_names: list[str], decimal: str, arithmetic: str) -> None:
    state, baked, uniform, lane = given_names
    known = [state, f"{state}_old", "k", baked, uniform, lane]
    update = parse(f"{state}**2 + {baked}*sin({uniform})/{decimal} - {lane} + {state}_old", names=known, key="map")
    stop = parse(f"abs({state}) > {decimal}", names=known, key="stop")
    constants = (Constant(baked, "baked", True, 1.5), Constant(uniform, "uniform", True), Constant(lane, "lane", True))
    problem = iterate.Problem(MapFormulas(True, (state,), (update,), stop, constants), arithmetic=arithmetic)
    made = iterate.source(problem, lower(problem.formulas, arithmetic))
    plain = iterate.Problem(
        MapFormulas(
            True,
            ("s",),
            (parse("s**2 + b*sin(u)/0.1234567891 - l + s_old", names=["s", "s_old", "k", "b", "u", "l"], key="map"),),
            parse("abs(s) > 0.1234567891", names=["s", "s_old", "k", "b", "u", "l"], key="stop"),
            (Constant("b", "baked", True, 1.5), Constant("u", "uniform", True), Constant("l", "lane", True)),
        ),
        arithmetic=arithmetic,
    )
    expected = iterate.source(plain, lower(plain.formulas, arithmetic))
    for backend in ("host", "cuda"):
        rendered = made.render(backend, 8)
        assert rendered.isascii()
        assert "zqx" not in rendered
        assert decimal not in rendered
        without_numbers = {
            re.sub(r"0x[0-9a-fp.+-]+|\d+", "#", text) for text in (rendered, expected.render(backend, 8))
        }
        assert len(without_numbers) == 1, "names and digits decide nothing but numbers"


def test_the_compiler_is_called_without_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its command is a list of words, whatever stands in the names of folders."""
    folder = tmp_path / "a cache; touch executed $(touch executed)"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("HORSESHOE_CACHE", str(folder))
    monkeypatch.chdir(tmp_path)
    commands: list[list[str]] = []
    run = subprocess.run

    def watched(command: list[str], **options: object) -> object:
        assert isinstance(command, list)
        assert not options.get("shell")
        commands.append(command)
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", watched)
    compiler.load_library.cache_clear()
    try:
        compiler.load_library('extern "C" int forty_two_of_this_test() { return 42; }\n')
    finally:
        compiler.load_library.cache_clear()
    assert any(str(folder) in shlex.join(command) or str(folder) in command[-1] for command in commands)
    assert list(folder.glob("*.so"))
    assert not (tmp_path / "executed").exists()


def test_settings_of_sources_are_numbers_and_names_of_ours() -> None:
    made = source.KernelSource("iterate", 8, {"ARITHMETIC": 1}, 1, 1, 1, 1)
    defines = [line for line in made.render("host", 4).splitlines() if line.startswith("#define")]
    assert all(re.fullmatch(r"#define [A-Z0-9_]+ [A-Za-z0-9_]+", line) for line in defines)
