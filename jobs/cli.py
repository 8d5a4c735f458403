"""The command line: wires one function of `jobs.commands` to each verb, and turns errors into one line.

Owns parsing, and exit codes of bad requests and of what is interrupted. Computes nothing; the parser is imported when
signals are heard, a verb's module when the verb is called.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpc.stops import Stops
from jobs.commands.examples import EXAMPLES
from kernels.errors import RequestError, one_line

if TYPE_CHECKING:
    from cyclopts import App

PACKAGES = ("kernels", "hpc", "analysis", "slurm", "jobs")
VERBS = {
    "list": "Names and titles of the ready jobs.",
    "plan": "Units, files, bytes, memory and time of a job, before anything is allocated.",
    "run": "Compute a job into a store, or resume one; start it under mpiexec or srun for several ranks.",
    "status": "How far a store is.",
    "verify": "Check every shard of a store against its checksum.",
    "image": "Draw one frame of a store as PNG.",
    "video": "Draw the frames of a store as MP4.",
    "measure": "Measure a store.",
    "submit": "Send a job to SLURM.",
    "doctor": "What this machine offers.",
}
RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")

EXIT_DONE = 0
EXIT_REQUEST = 2
EXIT_STOPPED = 75


def build() -> App:
    """The command line's parser; a verb V is `main` of jobs/commands/V.py."""
    from cyclopts import App, Parameter

    app = App(
        name="horseshoe",
        help="Compute jobs of nonlinear dynamics over MPI ranks into Zarr stores, and draw and measure them.",
        help_format="plaintext",
        version_flags=["--version"],
        default_parameter=Parameter(show_default=False),
        result_action="return_value",
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
    )
    for verb, summary in VERBS.items():
        app.command(f"jobs.commands.{verb}:main", name=verb, help=summary, help_epilogue=f"Example: {EXAMPLES[verb]}")
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `horseshoe` and `python -m jobs`; leaves with 0, 2 (bad request) or 75 (run again)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # A job is told to stop from its first moment on, while the rest is imported; other verbs are interrupted.
        with Stops() if words[:1] == ["run"] else contextlib.nullcontext():
            code = dispatch(words)
    except KeyboardInterrupt:
        refuse("interrupted; the same command does it again")
        code = EXIT_STOPPED
    sys.exit(code)


def dispatch(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; what the user did wrong is one line on stderr."""
    from cyclopts import CycloptsError, UnusedCliTokensError

    try:
        check_packages()
        code = build()(list(arguments))
    except UnusedCliTokensError as error:
        words = " ".join(map(str, error.unused_tokens or ()))
        refuse(
            f"{words}: is left over; put a value that has blanks between quotes, as in --set 'view.resolution=[9, 9]'"
        )
        return EXIT_REQUEST
    except (RequestError, CycloptsError) as error:
        refuse(str(error))
        return EXIT_REQUEST
    except BrokenPipeError:
        # The reader of stdout has gone (`horseshoe list | head`): nothing is left to say, nor at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:
        # Once MPI has begun, an error on one rank has to end them all: that is done where it began.
        if "run" in arguments[:1] and "mpi4py.MPI" in sys.modules:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        refuse(f"{place}{error.strerror or error}")
        return EXIT_REQUEST
    return code if isinstance(code, int) else EXIT_DONE


def refuse(message: str) -> None:
    """Print the one line of a refused request, from the launcher's first rank only."""
    ranks = [os.environ[name] for name in RANK_VARIABLES if name in os.environ]
    if not ranks or ranks[0] == "0":
        print(f"horseshoe: {one_line(message)}", file=sys.stderr)


def check_packages() -> None:
    """Refuse to start where one of our package names belongs to another project on the path."""
    ours = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec else []
        if [Path(place).resolve() for place in places] != [ours / name]:
            found = places[0] if places else "nowhere"
            raise RequestError(
                f"package {name} is found at {found}, not beside {ours}: give Horseshoe its own environment"
            )
