"""`horseshoe submit`: a job as a batch job of SLURM."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jobs.commands.options import JobName, Overrides
from kernels.errors import RequestError

AFTERWARDS = ("image", "video", "measure", "verify")


def main(
    job: JobName,
    /,
    *,
    profile: str | None = None,
    nodes: int | None = None,
    time: str | None = None,
    partition: str | None = None,
    array: int | None = None,
    then: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    overrides: Overrides = (),
) -> int:
    """Send a job to SLURM; its store is NAME.zarr in this folder. Prints the job's number.

    Parameters
    ----------
    profile:
        cpu, gpu, multi-gpu or preemptible; a name in ~/.config/horseshoe; or a TOML file.
    nodes:
        Number of nodes; from the plan unless given.
    time:
        Time limit as SLURM writes it: 30, 2:00:00, 1-12; from the plan unless given.
    partition:
        Partition of the cluster.
    array:
        So many batch jobs that share the work on the store.
    then:
        What follows once the store is complete, such as "video three-body.zarr"; prints its number too.
    dry_run:
        Print the scripts instead of sending them.
    """
    from jobs import batch, model
    from slurm import profile as profiles
    from slurm import request, script
    from slurm.submit import submit

    loaded = model.load(job, overrides)
    chosen = profiles.load(profile)
    following = None if then is None else _following(then)
    store = Path(f"{loaded.name}.zarr")
    known = nodes is not None and time is not None
    most_ranks = (batch.nodes_for(loaded, chosen) if nodes is None else max(nodes, 1)) * chosen.ranks_per_node
    work = batch.work(
        loaded, store, chosen.cpus_per_rank, chosen.gpus_per_node > 0, with_time=not known, most_ranks=most_ranks
    )
    command = [*_horseshoe(), "run", str(Path(job).resolve()) if job.endswith(".toml") else job]
    for assignment in overrides:
        command += ["--set", assignment]
    beside = Path(sys.executable).with_name("mpiexec")
    text = script.render(
        script.Batch(
            name=loaded.name,
            command=command,
            store=str(store),
            profile=chosen,
            request=request.ask(work, chosen, nodes=nodes, time=time, array=array),
            partition=partition,
            array=array,
            mpiexec=str(beside) if beside.exists() else "mpiexec",
        )
    )

    def after(number: str) -> str:
        return script.render_after(loaded.name, number, [*_horseshoe(), *(following or [])], chosen, partition)

    # Compose both before anything is sent, so that a mistake in the second leaves nothing behind.
    texts = [text, *([after("JOB")] if following else [])]
    if dry_run:
        print("\n".join(texts).rstrip("\n"))
        return 0
    number = submit(text)
    print(number, flush=True)
    if following:
        print(submit(after(number)))
    return 0


def _horseshoe() -> list[str]:
    """The command of this installation, by the full path of its Python."""
    return [sys.executable, "-m", "jobs"]


def _following(text: str) -> list[str]:
    """The words of --then, checked as a command line of a verb that needs no MPI; RequestError or CycloptsError."""
    from jobs import cli

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise RequestError(f"--then: {text!r}: {error}") from None
    words = words[1:] if words[:1] == ["horseshoe"] else words
    if not words or words[0] not in AFTERWARDS:
        raise RequestError(f"--then: {text!r} begins with none of {', '.join(AFTERWARDS)}")
    cli.build().parse_args(words, print_error=False, exit_on_error=False)
    return words
