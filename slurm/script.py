"""The text of a batch script: a pure function of its settings.

Owns what SLURM is asked for. Calls nothing, reads no environment; every word of a user is checked or quoted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from kernels.errors import RequestError

TIME = re.compile(r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}")
WORD = re.compile(r"[A-Za-z0-9_.,@%+-]+")

WARNING_S = 120
"""How long before its end a job is told to stop, so that units in flight are finished."""

EXIT_STOPPED = 75


@dataclass(frozen=True)
class Batch:
    """One batch job. `command` is started by srun, one rank a task.

    `time` is SLURM's text (minutes, H:M:S or D-H). With `array`, so many tasks run one after another and each resumes
    the store of the one before; without it a job that was stopped early queues itself again. `setup` are lines of
    shell before the command (`module load ...`), `then` is one after it, run where it ended with 0.
    """

    name: str
    command: Sequence[str]
    nodes: int = 1
    time: str | None = None
    partition: str | None = None
    array: int | None = None
    setup: Sequence[str] = ()
    then: str | None = None


def render(batch: Batch) -> str:
    """The script for sbatch; RequestError names the option that SLURM or the shell could not read."""
    sections = [
        ["#!/bin/bash", *(f"#SBATCH --{option}" for option in _options(batch))],
        [_line("setup", line) for line in batch.setup],
        [f"srun --mpi=pmi2 -K1 {shlex.join(batch.command)}", "code=$?"],
        [
            f"# {EXIT_STOPPED} says that it was stopped early: the same command goes on where it stopped.",
            f'if [ "$code" -eq {EXIT_STOPPED} ]; then',
            *(['    scontrol requeue "$SLURM_JOB_ID"'] if batch.array is None else []),
            "    exit 0",
            "fi",
        ],
        ['[ "$code" -eq 0 ] || exit "$code"', *([_line("then", batch.then)] if batch.then else [])],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _options(batch: Batch) -> list[str]:
    """Options of sbatch."""
    options = [f"job-name={_word('name', batch.name)}", f"nodes={_positive('nodes', batch.nodes)}"]
    if batch.time is not None:
        if not TIME.fullmatch(batch.time):
            raise RequestError(f"--time: {batch.time!r} is not a time of SLURM such as 30, 2:00:00 or 1-12")
        options.append(f"time={batch.time}")
    if batch.partition is not None:
        options.append(f"partition={_word('partition', batch.partition)}")
    if batch.array is not None:
        options.append(f"array=1-{_positive('array', batch.array)}%1")
    log = f"{batch.name}-%j.log" if batch.array is None else f"{batch.name}-%A-%a.log"
    return [*options, f"output={log}", "open-mode=append", f"signal=USR1@{WARNING_S}", "requeue"]


def _word(option: str, text: str) -> str:
    if not WORD.fullmatch(text):
        raise RequestError(f"--{option}: {text!r} has characters that SLURM does not take")
    return text


def _line(option: str, text: str) -> str:
    if not text.isprintable():
        raise RequestError(f"--{option}: {text!r} is not one line of text")
    return text


def _positive(option: str, number: int) -> int:
    if number < 1:
        raise RequestError(f"--{option}: {number} is not a number of 1 or more")
    return number
