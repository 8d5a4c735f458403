"""The command line is frozen: verbs, arguments, options. Everything else is job configuration."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable

import pytest

from analysis.measures import MEASURES
from jobs import cli
from jobs.commands.examples import EXAMPLES

CommandLine = Callable[..., tuple[int, str, str]]

PICTURE = "[--out] [--cluster] [--value] [--colormap] [--set]"
FROZEN = {
    "list": "[PATTERN]",
    "plan": "JOB [--set]",
    "run": "JOB [--out] [--set]",
    "status": "STORE",
    "verify": "STORE",
    "image": f"STORE [--frame] {PICTURE}",
    "video": f"STORE {PICTURE}",
    "measure": f"NAME STORE {PICTURE}",
    "submit": "JOB [--profile] [--nodes] [--time] [--partition] [--array] [--then] [--dry-run] [--set]",
    "doctor": "",
}


def usage(verb: str) -> str:
    """Arguments and options of a verb, the optional ones in brackets."""
    arguments = cli.build()[verb].assemble_argument_collection()
    texts = [("{}" if one.required else "[{}]").format("/".join(one.names)) for one in arguments]
    return " ".join(texts)


def test_the_command_line_is_frozen() -> None:
    assert {verb: usage(verb) for verb in cli.VERBS} == FROZEN


def test_list(command_line: CommandLine) -> None:
    code, out, err = command_line("list")
    assert (code, err) == (0, "")
    assert "three-body-yz  " in out
    assert len(command_line("list", "three-body-*-sweep")[1].splitlines()) == 3
    assert len(command_line("list", "body-gravity")[1].splitlines()) == 1
    assert [line.split()[0] for line in command_line("list", "three-body-y*")[1].splitlines()] == ["three-body-yz"]
    assert command_line("list", "nothing-like-it") == (0, "", "no ready job matches 'nothing-like-it'\n")


def test_list_loads_nothing_that_draws() -> None:
    program = "import sys; from jobs import cli, model; cli.dispatch(['list']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = done.stdout.splitlines()[-1]
    assert "'jobs.model'" in modules
    assert not [name for name in ("matplotlib", "dask", "mpi4py", "zarr") if f"'{name}'" in modules]


def test_help_and_no_arguments(command_line: CommandLine) -> None:
    for arguments in ((), ("--help",)):
        code, out, err = command_line(*arguments)
        assert (code, err) == (0, "")
        assert all(verb in out for verb in FROZEN)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_ends_with_an_example(command_line: CommandLine, verb: str) -> None:
    code, out, err = command_line(verb, "--help")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"Example: {EXAMPLES[verb]}"
    words = shlex.split(EXAMPLES[verb])
    cli.build().parse_args(words[words.index("horseshoe") + 1 :], print_error=False, exit_on_error=False)


def test_help_names_every_measure(command_line: CommandLine) -> None:
    text = " ".join(command_line("measure", "--help")[1].replace("│", " ").split())
    assert not [name for name in MEASURES if f"{name} (" not in text]


def test_only_the_first_rank_speaks(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "1")
    assert command_line("plan", "nothing") == (2, "", "")
    monkeypatch.setenv("PMI_RANK", "0")
    code, _, err = command_line("plan", "nothing")
    assert (code, err.count("\n")) == (2, 1)
