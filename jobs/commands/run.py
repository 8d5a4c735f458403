"""`horseshoe run`: a job over MPI ranks into a store. The only verb that starts MPI."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.commands.options import JobName, Out, Overrides
from kernels.errors import RequestError

if TYPE_CHECKING:
    from jobs.model import Job


def main(job: JobName, /, *, out: Out = None, overrides: Overrides = ()) -> int:
    """Compute a job into a store, or resume one; the same command resumes after any stop.

    Parameters
    ----------
    out:
        The store, a folder; NAME.zarr in this folder unless given.
    """
    from hpc import launch, schedule, store
    from hpc.refusals import resolved
    from jobs import model

    comm = launch.start()

    def prepare() -> tuple[Job, Path, str | None, float | None]:
        loaded = model.load(job, overrides)
        place = out or Path(f"{loaded.name}.zarr")
        device = _device(loaded)
        if not resolved(place).parent.is_dir():
            raise RequestError(
                f"--out: {resolved(place).parent} is not a folder: make it first, or choose another --out"
            )
        store.check(place, model.plan(loaded, device))
        return loaded, place, device, _seconds_per_cost(loaded)

    loaded, place, device, seconds_per_cost = launch.agree(comm, prepare)
    launch.everywhere(comm, lambda: _check_device(loaded, device))
    options = model.run_options(loaded)
    code = schedule.run(comm, model.plan(loaded, device), place, options, seconds_per_cost=seconds_per_cost)
    if comm.rank == 0 and code != launch.EXIT_REQUEST:
        launch.announce(place)
    launch.leave(comm, code)


def _device(job: Job) -> str | None:
    """The device where results depend on it; nothing is looked at otherwise."""
    from hpc import devices
    from jobs import model

    if job.numerics.arithmetic != "fast":
        return None
    return model.device_of(job, devices.choose(model.run_options(job), 0, 1))


def _check_device(job: Job, device: str | None) -> None:
    """Refuse ranks on unlike devices where results depend on the device."""
    mine = _device(job)
    if mine != device:
        raise RequestError(
            f"numerics.arithmetic: fast needs like devices, rank 0 has {device}, another {mine}; set run.device"
        )


def _seconds_per_cost(job: Job) -> float | None:
    """An estimate of the speed of the last stage, the costly one, where there is a deadline to keep; else None."""
    from hpc import devices, options
    from jobs import estimate, model

    chosen = model.run_options(job)
    if options.deadline(chosen, os.environ, time.time()) is None:
        return None
    backend = devices.choose(chosen, 0, 1)
    return estimate.probe(model.plan(job, None).stages[-1], backend)
