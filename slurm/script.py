"""The text of batch scripts: a pure function of job, profile and request.

Owns what SLURM is asked for and what happens when a job stops early. Calls nothing, reads no environment; every word
of a user is checked or quoted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from kernels.errors import RequestError
from slurm.profile import Profile
from slurm.request import Request, seconds, time_text

WORD = re.compile(r"[A-Za-z0-9_.,@+-]+")
OPTION = re.compile(r"[a-z][a-z-]*(=[A-Za-z0-9_.,:@+*/&|\[\]()-]+)?")
AFTER_BYTES = 8 << 30


@dataclass(frozen=True)
class Batch:
    """One batch job that computes a store. `command` is started as every rank, from the folder of submission.

    With `array`, so many jobs share the work on the store. `mpiexec` is the program that the profile's launcher of
    that name means.
    """

    name: str
    command: Sequence[str]
    store: str
    profile: Profile
    request: Request
    partition: str | None = None
    array: int | None = None
    mpiexec: str = "mpiexec"


def render(batch: Batch) -> str:
    """The script for sbatch; RequestError names the option that SLURM or the shell could not read."""
    profile = batch.profile
    return _join(
        ["#!/bin/bash", *_directives(batch)],
        [_line("profile: setup", line) for line in profile.setup],
        [
            "# A rank has the threads it makes itself; kernels are compiled once a node, into its scratch.",
            "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1",
            'export HORSESHOE_CACHE="${HORSESHOE_CACHE:-${SLURM_TMPDIR:-/tmp}/horseshoe-$UID}"',
        ],
        [
            "# An array's jobs have a number of their own. Older SLURMs do not tell a job when it ends.",
            'job="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}"',
            'job="${job:-$SLURM_JOB_ID}"',
            'end="$(SLURM_TIME_FORMAT=standard squeue --noheader --jobs="$job" --format=%e)"',
            '[[ "$end" != 2*T* ]] || export SLURM_JOB_END_TIME="$(date --date="$end" +%s)"',
        ],
        [
            f"finished() {{ (cd {shlex.quote(batch.store)} && cat ledger/*.jsonl | wc -l; ls checkpoints/*) 2> /dev/null; }}",
            'before="$(finished)"',
        ],
        [
            "# The warning reaches this shell; srun and mpiexec pass it on to every rank.",
            "launcher=",
            'trap \'[ -z "$launcher" ] || kill -USR1 "$launcher"\' USR1 TERM',
            f"{_launch(batch)} {shlex.join(batch.command)} &",
            "launcher=$!",
            'while kill -0 "$launcher" 2> /dev/null; do wait "$launcher"; done',
            'wait "$launcher"',
            "code=$?",
            '[ "$code" -eq 75 ] || exit "$code"',
        ],
        [
            "# 75: stopped early. Go on from the queue, where this start has brought the job on and nobody cancels it.",
            'state="$(squeue --noheader --jobs="$job" --format=%T)"',
            'if [ "$state" != RUNNING ]; then',
            '    echo "horseshoe: stopped, SLURM says $state; not queued again" >&2',
            'elif [ "$(finished)" = "$before" ]; then',
            '    echo "horseshoe: stopped before a unit was finished; not queued again" >&2',
            f'elif [ "${{SLURM_RESTART_COUNT:-0}}" -ge {profile.restarts} ]; then',
            f'    echo "horseshoe: stopped after {profile.restarts} restarts; not queued again" >&2',
            "else",
            '    scontrol requeue "$job"',
            "fi",
            "exit 75",
        ],
    )


def render_after(name: str, number: str, command: Sequence[str], profile: Profile, partition: str | None = None) -> str:
    """The script of what follows once job `number` has ended with 0; it vanishes where that can never be."""
    options = [
        f"job-name={_word('name', name)}-then",
        *("nodes=1", "ntasks=1", f"cpus-per-task={profile.cpus_per_rank}", f"mem={AFTER_BYTES >> 20}M"),
        f"time={time_text(seconds('profile: max_time', profile.max_time))}",
        *_common(profile, partition),
        f"output={name}-then-%j.log",
        "open-mode=append",
        f"dependency=afterok:{_word('job', number)}",
        "kill-on-invalid-dep=yes",
    ]
    return _join(
        ["#!/bin/bash", *(f"#SBATCH --{option}" for option in options)],
        [_line("profile: setup", line) for line in profile.setup],
        [f"exec {shlex.join(command)}"],
    )


def _directives(batch: Batch) -> list[str]:
    """Lines that sbatch reads. No --gpus-per-task: it would hide the other GPUs of a node from a rank."""
    profile, request = batch.profile, batch.request
    options = [
        f"job-name={_word('name', batch.name)}",
        f"nodes={request.nodes}",
        f"ntasks={request.ranks}",
        f"ntasks-per-node={min(request.ranks, profile.ranks_per_node)}",
        f"cpus-per-task={profile.cpus_per_rank}",
        *([f"gpus-per-node={profile.gpus_per_node}"] if profile.gpus_per_node else []),
        f"mem={request.node_bytes >> 20}M",
        f"time={time_text(request.time_s)}",
        *_common(profile, batch.partition),
    ]
    if batch.array is not None:
        if batch.array < 1:
            raise RequestError(f"--array: {batch.array} is not a number of 1 or more")
        options.append(f"array=1-{batch.array}")
    log = f"{batch.name}-%j.log" if batch.array is None else f"{batch.name}-%A_%a.log"
    options += [f"output={log}", "open-mode=append", f"signal=B:USR1@{request.warning_s}", "requeue"]
    return [f"#SBATCH --{option}" for option in options]


def _common(profile: Profile, partition: str | None) -> list[str]:
    """Options of the cluster, for every job there."""
    for option in profile.options:
        if not OPTION.fullmatch(option):
            raise RequestError(f"profile: options: {option!r} is not an option of sbatch such as account=physics")
    partition = partition if partition is not None else profile.partition
    return [*([f"partition={_word('partition', partition)}"] if partition is not None else []), *profile.options]


def _launch(batch: Batch) -> str:
    """What starts the ranks. A rank that dies must end the job: srun would let the others wait for it."""
    profile, request = batch.profile, batch.request
    if profile.launcher == "mpiexec":
        per_node = min(request.ranks, profile.ranks_per_node)
        return shlex.join([batch.mpiexec, "-n", str(request.ranks), "-ppn", str(per_node)])
    words = ["srun", f"--mpi={_word('mpi', profile.mpi)}", "--kill-on-bad-exit=1"]
    words += [f"--cpus-per-task={profile.cpus_per_rank}", "--cpu-bind=cores"]
    return shlex.join([*words, *(["--gpu-bind=none"] if profile.gpus_per_node else [])])


def _word(option: str, text: str) -> str:
    if not WORD.fullmatch(text):
        raise RequestError(f"--{option}: {text!r} has characters that SLURM does not take")
    return text


def _line(option: str, text: str) -> str:
    if not text.isprintable():
        raise RequestError(f"{option}: {text!r} is not one line of text")
    return text


def _join(*sections: Sequence[str]) -> str:
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"
