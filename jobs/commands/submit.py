"""`horseshoe submit`: a job as a batch job of SLURM."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter

from jobs.commands.options import JobName, Overrides

Value = TypeVar("Value")


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
    """Send a job to SLURM; its store is NAME.zarr in this folder.

    Parameters
    ----------
    profile:
        A name in ~/.config/horseshoe, or a TOML file, with nodes, time, partition and setup.
    nodes:
        Number of nodes.
    time:
        Time limit as SLURM writes it: 30, 2:00:00, 1-12.
    partition:
        Partition of the cluster.
    array:
        So many batch jobs one after another; each goes on where the one before stopped.
    then:
        A command for the batch script once the job is done, such as a video.
    dry_run:
        Print the script instead of sending it.
    """
    from jobs import model
    from slurm import profiles, script
    from slurm.submit import submit

    loaded = model.load(job, overrides)
    defaults = profiles.load(profile)
    name = str(Path(job).resolve()) if job.endswith(".toml") else job
    command = [sys.executable, "-m", "jobs", "run", name]
    for assignment in overrides:
        command += ["--set", assignment]
    chosen = first(nodes, defaults.nodes)
    text = script.render(
        script.Batch(
            name=loaded.name,
            command=command,
            nodes=1 if chosen is None else chosen,
            time=first(time, defaults.time),
            partition=first(partition, defaults.partition),
            array=array,
            setup=defaults.setup,
            then=then,
        )
    )
    print(text.rstrip("\n") if dry_run else submit(text))
    return 0


def first(*values: Value | None) -> Value | None:
    """The first value that is given."""
    return next((value for value in values if value is not None), None)
