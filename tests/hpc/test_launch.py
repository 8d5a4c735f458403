"""The beginning and the end of a job: world size, agreement, one line for mistakes, exit codes, no hangs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpc.launch import say, world_problem
from kernels.errors import LONGEST_MESSAGE

TIMEOUT_S = 60.0

PREAMBLE = """
import os, sys, time
from hpc import launch
from kernels.errors import RequestError
comm = launch.start()
"""


@pytest.fixture
def run_code(start_program: Any) -> Callable[..., tuple[int, str, str]]:
    def run(num_ranks: int, code: str, **options: Any) -> tuple[int, str, str]:
        process = start_program(num_ranks, "-c", PREAMBLE + code, **options)
        out, err = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, out, err

    return run


@pytest.mark.parametrize(
    ("environment", "size", "rank", "agrees"),
    [
        ({}, 1, 0, True),
        ({"PMI_SIZE": "4", "PMI_RANK": "0"}, 4, 0, True),
        ({"PMI_SIZE": "4", "PMI_RANK": "0"}, 1, 0, False),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, 1, 0, False),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, 2, 1, True),
        ({"SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "0"}, 1, 0, False),
        # A batch script that starts one process outside any step.
        ({"SLURM_NTASKS": "3", "SLURM_PROCID": "0"}, 1, 0, True),
        # mpiexec inside a SLURM job: its daemons are the tasks of the step.
        ({"SLURM_STEP_NUM_TASKS": "2", "PMI_SIZE": "8", "PMI_RANK": "5"}, 8, 5, True),
        ({"PMIX_RANK": "1"}, 1, 0, False),
        ({"PMIX_RANK": "1"}, 2, 1, True),
    ],
)
def test_the_world_is_compared_with_the_launcher(
    environment: dict[str, str], size: int, rank: int, agrees: bool
) -> None:
    problem = world_problem(environment, size, rank)
    assert (problem is None) == agrees
    if not agrees:
        assert problem
        assert "mpiexec" in problem
        assert "\n" not in problem


def test_only_one_of_many_singletons_speaks() -> None:
    spoken = [world_problem({"PMI_SIZE": "3", "PMI_RANK": str(rank)}, 1, 0) for rank in range(3)]
    assert [bool(problem) for problem in spoken] == [True, False, False]
    spoken = [world_problem({"PMIX_RANK": str(rank)}, 1, 0) for rank in range(3)]
    assert [bool(problem) for problem in spoken] == [False, True, False]


def test_what_is_said_is_one_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a job file holds: its key stays at the beginning, the fix at the end."""
    say("bodies.\x1b[2Jmass\n\u202e: " + "x" * 5000 + "; use a number")
    said = capsys.readouterr().err
    assert said.startswith("horseshoe: bodies. [2Jmass : xxx")
    assert said.endswith("xxx; use a number\n")
    assert said[:-1].isprintable()
    assert len(said) <= len("horseshoe: \n") + LONGEST_MESSAGE


@pytest.mark.parametrize("num_ranks", [1, 3])
@pytest.mark.mpi
def test_agreement_and_the_largest_code(run_code: Any, num_ranks: int) -> None:
    code, out, err = run_code(
        num_ranks,
        """
value = launch.agree(comm, lambda: {"rank": comm.rank})
assert value == {"rank": 0}
assert launch.everywhere(comm, lambda: comm.rank) == comm.rank
launch.announce("done") if comm.rank == 0 else None
launch.leave(comm, 70 + comm.rank)
""",
    )
    assert (code, out, err) == (70 + num_ranks - 1, "done\n", "")


@pytest.mark.mpi
def test_a_slow_leaver_is_not_killed(run_code: Any, tmp_path: Path) -> None:
    """The last rank to go gets as far as its exit although the first went long before."""
    code, _, err = run_code(
        3,
        f"""
def slowly(code, leave=os._exit):
    time.sleep(0.3 * comm_rank)
    open(f"{tmp_path}/{{comm_rank}}", "w").close()
    leave(code)
comm_rank = comm.rank
os._exit = slowly
launch.leave(comm, 75)
""",
    )
    assert (code, err) == (75, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]


@pytest.mark.parametrize("function", ["agree", "everywhere"])
@pytest.mark.mpi
def test_a_refusal_is_one_line_and_code_2(run_code: Any, function: str) -> None:
    code, out, err = run_code(
        3,
        f"""
def refuse():
    if comm.rank in (0, 2):
        raise RequestError(f"run.device: not on rank {{comm.rank}}")
launch.{function}(comm, refuse)
print("not reached")
""",
    )
    assert (code, out, err) == (2, "", "horseshoe: run.device: not on rank 0\n")


@pytest.mark.parametrize("function", ["agree", "everywhere"])
@pytest.mark.mpi
def test_a_file_system_that_refuses_is_one_line(run_code: Any, function: str, tmp_path: Path) -> None:
    code, _, err = run_code(2, f"launch.{function}(comm, lambda: open('{tmp_path}/nowhere/file'))")
    assert (code, err) == (2, f"horseshoe: {tmp_path}/nowhere/file: No such file or directory\n")


@pytest.mark.mpi
def test_waiting_for_rank_0_costs_no_core(run_code: Any) -> None:
    code, out, _ = run_code(
        2,
        """
before = time.process_time()
launch.agree(comm, lambda: time.sleep(1.0))
if comm.rank == 1:
    print(time.process_time() - before)
launch.leave(comm, 0)
""",
    )
    assert code == 0
    assert float(out) < 0.3


@pytest.mark.mpi
@pytest.mark.parametrize("end", ["raise ZeroDivisionError('of one rank')", "sys.exit(3)", "os._exit(4)"])
def test_a_rank_that_goes_ends_the_job(run_code: Any, end: str) -> None:
    begun_s = time.monotonic()
    code, _, err = run_code(
        3,
        f"""
if comm.rank == 1:
    {end}
comm.recv(source=1)
""",
    )
    assert code != 0
    assert time.monotonic() - begun_s < 20
    if "raise" in end:
        assert "ZeroDivisionError: of one rank" in err
        assert "rank 1 ends the job" in err


@pytest.mark.mpi
def test_ranks_that_are_all_alone_refuse(start_program: Any) -> None:
    """What the wrong launcher does: N processes that each see a world of one."""
    code = "import os; os.environ.pop('PMI_FD', None); os.environ.pop('PMI_PORT', None)\n" + PREAMBLE
    process = start_program(3, "-c", code)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert err.count("horseshoe: the launcher says PMI_SIZE=3 but MPI sees 1 rank(s)") == 1
    assert err.count("\n") == 1


def test_an_mpi_library_that_is_not_there_is_one_line() -> None:
    code = "import os; os.environ['MPI4PY_LIBMPI'] = '/nowhere/libmpi.so.0'\n" + PREAMBLE
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert found.returncode == 2
    assert found.stderr.startswith("horseshoe: no MPI library (")
    assert found.stderr.count("\n") == 1


def test_importing_the_engine_starts_nothing() -> None:
    code = """
import importlib, pkgutil, sys, hpc
for module in pkgutil.iter_modules(hpc.__path__):
    importlib.import_module(f"hpc.{module.name}")
print([name for name in ("mpi4py.MPI", "torch", "rich") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert found.stdout == "[]\n"
