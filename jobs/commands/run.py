"""`horseshoe run`: a job over MPI ranks into a store. The only verb that starts MPI."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from jobs.commands.options import JobName, Out, Overrides
from kernels.errors import RequestError

if TYPE_CHECKING:
    from hpc.stops import Stops
    from jobs.model import Job


def main(job: JobName, /, *, out: Out = None, overrides: Overrides = ()) -> NoReturn:
    """Compute a job into a store, or resume one; the same command resumes after any stop.

    Parameters
    ----------
    out:
        The store, a folder; NAME.zarr in this folder unless given.
    """
    from hpc.stops import Stops
    from kernels.backends.cache import share_with_cupy

    # Hear signals from here on: what follows takes its time.
    with Stops() as stops:
        share_with_cupy()
        _run(job, out, overrides, stops)


def _run(job: str, out: Path | None, overrides: Sequence[str], stops: Stops) -> NoReturn:
    """Load the job on rank 0, compute it on all ranks and leave."""
    with _hidden("cupy"):
        import zarr  # noqa: F401
    from hpc import launch, schedule, store, torchrun
    from hpc.refusals import resolved
    from jobs import model

    torchrun.hand_over()
    comm = launch.start()

    def prepare() -> tuple[Job, Path, str | None]:
        loaded = model.load(job, overrides)
        place = out or Path(f"{loaded.name}.zarr")
        device = _device(loaded)
        if not resolved(place).parent.is_dir():
            raise RequestError(
                f"{place}: {resolved(place).parent} is not a folder: make it first, or choose another --out"
            )
        store.check(place, model.plan(loaded, device))
        return loaded, place, device

    loaded, place, device = launch.agree(comm, prepare)
    launch.everywhere(comm, lambda: _check_device(loaded, device))
    code = schedule.run(comm, model.plan(loaded, device), place, model.run_options(loaded), stops=stops)
    if comm.rank == 0 and code != launch.EXIT_REQUEST:
        launch.announce(place)
    launch.leave(comm, code)


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Let a package seem absent for a while.

    Zarr imports CuPy wherever it is installed, which doubles the time of its own import on every rank; what it is handed
    here lies in host memory. Kernels that need CuPy import it later as ever.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def _device(job: Job) -> str | None:
    """The device where results depend on it; nothing is looked at otherwise."""
    from hpc import devices
    from jobs import model

    if not model.differs_between_devices(job):
        return None
    return model.device_of(job, devices.choose(model.run_options(job), 0, 1))


def _check_device(job: Job, device: str | None) -> None:
    """Refuse ranks on unlike devices where results depend on the device."""
    mine = _device(job)
    if mine != device:
        raise RequestError(
            f"numerics.arithmetic: fast needs like devices, rank 0 has {device}, another {mine}; set run.device"
        )
