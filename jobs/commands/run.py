"""`horseshoe run`: a job over MPI ranks into a store. The only verb that starts MPI."""

from __future__ import annotations

from pathlib import Path

from jobs.commands.options import JobName, Out, Overrides


def main(job: JobName, /, *, out: Out = None, overrides: Overrides = ()) -> int:
    """Compute a job into a store, or resume one; the same command resumes after any stop.

    Parameters
    ----------
    out:
        The store; NAME.zarr in this folder unless given.
    """
    from hpc import devices, launch, schedule, store
    from jobs import estimate, model

    comm = launch.start()
    local_rank, local_size = devices.local(comm)

    def prepare() -> tuple[model.Job, Path]:
        loaded = model.load(job, overrides)
        options = model.run_options(loaded)
        backend = devices.choose(options, local_rank, local_size)
        plan = model.plan(loaded, backend)
        place = Path(out or f"{loaded.name}.zarr").absolute()
        store.check(place, plan)
        estimate.refuse_what_cannot_fit(plan, backend, local_size)
        return loaded, place

    loaded, place = launch.agree(comm, prepare)
    options = model.run_options(loaded)
    backend = launch.everywhere(comm, lambda: devices.choose(options, local_rank, local_size))
    code = schedule.run(comm, model.plan(loaded, backend), place, options)
    if comm.rank == 0:
        print(out or f"{loaded.name}.zarr")
    launch.leave(comm, code)
