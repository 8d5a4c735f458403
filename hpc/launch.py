"""Where MPI begins and ends: start, agreement of all ranks, the last breath.

Owns the import of mpi4py.MPI, the wait that costs no core, and the only ways out of a job. Never knows plans or stores.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from hpc.process_manager import take_leave
from kernels.errors import RequestError, one_line

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm, Request

EXIT_DONE = 0
EXIT_CRASH = 1
EXIT_REQUEST = 2
EXIT_STOPPED = 75

SHORTEST_WAIT_S = 10e-6
LONGEST_WAIT_S = 2e-3

# What a launcher reads from a rank's pipe before an abort is lost after it.
DRAIN_S = 0.3

Value = TypeVar("Value")


def start() -> Intracomm:
    """Begin MPI and return the world.

    The main thread alone may call MPI. From here on an uncaught exception in any rank ends the whole job with its
    traceback, and so does a rank that exits in any way but `leave`. Where the launcher belongs to another MPI, so
    that each rank believes to be alone, one line is printed and every rank leaves with code 2.
    """
    import mpi4py

    mpi4py.rc.thread_level = "funneled"
    # A rank that exits early must not wait in MPI_Finalize for the others: without it the launcher ends the job.
    mpi4py.rc.finalize = False
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        say(f"no MPI library ({reason}): pip install mpich, or set MPI4PY_LIBMPI=/path/to/libmpi.so")
        _exit(EXIT_REQUEST)
    sys.excepthook = _abort
    world = MPI.COMM_WORLD
    problem = world_problem(os.environ, world.size, world.rank)
    if problem is not None:
        if problem:
            say(problem)
        else:
            # The first exit may end the others: let the one that speaks finish its line.
            time.sleep(DRAIN_S)
        _exit(EXIT_REQUEST)
    return world


def world_problem(environment: Mapping[str, str], size: int, rank: int) -> str | None:
    """Compare the world with what the launcher says: None where they agree, else the line to print.

    The line is empty for all ranks but the launcher's first, so that it is printed once. SLURM_STEP_NUM_TASKS counts
    only where no MPI launcher has spoken: mpiexec inside a SLURM job starts its daemons, not its ranks, as tasks.
    """
    claims = [(name, environment[name]) for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE") if name in environment]
    if not claims and "SLURM_STEP_NUM_TASKS" in environment:
        claims = [("SLURM_STEP_NUM_TASKS", environment["SLURM_STEP_NUM_TASKS"])]
    wrong = bool(claims) and str(size) not in (value for _, value in claims)
    pmix_rank = environment.get("PMIX_RANK", str(rank))
    if not wrong and pmix_rank == str(rank):
        return None

    # Let the first rank speak for all; where the launcher tells only ranks, the first that knows is number 1.
    ranks = [environment[name] for name in ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID") if name in environment]
    speaker = ranks[0] == "0" if wrong and ranks else wrong or pmix_rank == "1"
    if not speaker:
        return ""
    said = f"{claims[0][0]}={claims[0][1]}" if wrong else f"PMIX_RANK={pmix_rank}"
    return f"the launcher says {said} but MPI sees {size} rank(s): start with the mpiexec of the MPI that mpi4py loads"


def wait(request: Request) -> None:
    """Wait for a non-blocking operation without holding a core, and with signal handlers running."""
    pause_s = SHORTEST_WAIT_S
    while not request.Test():
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_WAIT_S)


def agree(comm: Intracomm, function: Callable[[], Value]) -> Value:
    """Run `function` on rank 0 and return its result, which is broadcast, on all ranks.

    A RequestError, or a file system that refuses, becomes one line on stderr; then every rank leaves with code 2.
    """
    outcome: tuple[Value | None, str | None] = (None, None)
    if comm.rank == 0:
        try:
            outcome = (function(), None)
        except (RequestError, OSError) as error:
            outcome = (None, _line_of(error))

    # Sleep until rank 0 is through; the broadcast itself is then short.
    wait(comm.Ibarrier())
    value, message = comm.bcast(outcome)
    if message is not None:
        refuse(comm, message)
    return value  # type: ignore[no-any-return]


def everywhere(comm: Intracomm, function: Callable[[], Value]) -> Value:
    """Run `function` on every rank and return each rank's own result.

    Where it raises RequestError or OSError on any rank, the first rank's line is printed once and every rank leaves
    with code 2.
    """
    value: Any = None
    message: str | None = None
    try:
        value = function()
    except (RequestError, OSError) as error:
        message = _line_of(error)
    wait(comm.Ibarrier())
    for found in comm.allgather(message):
        if found is not None:
            refuse(comm, found)
    return value  # type: ignore[no-any-return]


def refuse(comm: Intracomm, message: str) -> NoReturn:
    """End the job over a user's mistake that all ranks know of: one line from rank 0, code 2. Called by all ranks."""
    if comm.rank == 0:
        say(message)
    leave(comm, EXIT_REQUEST)


def leave(comm: Intracomm, code: int) -> NoReturn:
    """End this process with the largest code of all ranks. Called by all ranks; never returns.

    Logs and standard streams are flushed first, even where nobody reads them any more. After MPI_Finalize nothing
    runs but the farewell to the process manager: threads of libraries may abort in an orderly exit.
    """
    from mpi4py import MPI

    # Stay deaf to signals: the code is decided.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    _flush()
    mine, agreed = bytearray([code]), bytearray(1)
    wait(comm.Iallreduce([mine, MPI.UNSIGNED_CHAR], [agreed, MPI.UNSIGNED_CHAR], op=MPI.MAX))
    comm.Barrier()
    MPI.Finalize()
    take_leave(os.environ)
    os._exit(agreed[0])


def abandon(comm: Intracomm, code: int) -> NoReturn:
    """End the whole job from this rank alone, with this code: for ranks that can take part in nothing any more."""
    _flush()
    time.sleep(DRAIN_S)

    # The reason has been said; MPI would add a line of its own.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    comm.Abort(code)
    os._exit(code)


def announce(result: object) -> None:
    """Print the path made on stdout; that nobody reads it any more is no reason to fail."""
    with contextlib.suppress(OSError, ValueError):
        print(result, flush=True)


def say(message: str) -> None:
    """Print the one line that a user's mistake gets."""
    with contextlib.suppress(OSError, ValueError):
        print(f"horseshoe: {one_line(message)}", file=sys.stderr, flush=True)


def _line_of(error: RequestError | OSError) -> str:
    """What to say of a mistake, or of a file."""
    if isinstance(error, OSError):
        return f"{error.filename or 'the file system'}: {error.strerror or error}"
    return str(error)


def _flush() -> None:
    """Flush logs and standard streams; a closed pipe is no reason to lose the exit code."""
    for handler in logging.getLogger().handlers:
        with contextlib.suppress(OSError, ValueError):
            handler.flush()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _exit(code: int) -> NoReturn:
    """End a process that is no part of a job."""
    _flush()
    os._exit(code)


def _abort(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Excepthook: end the whole job with this traceback. Other ranks would wait for this one for ever."""
    from mpi4py import MPI

    with contextlib.suppress(OSError, ValueError):
        rank = MPI.COMM_WORLD.rank
        print(f"horseshoe: rank {rank} ends the job after this error:", file=sys.stderr)
        traceback.print_exception(kind, error, trace, file=sys.stderr)
    _flush()
    time.sleep(DRAIN_S)
    MPI.COMM_WORLD.Abort(EXIT_CRASH)
