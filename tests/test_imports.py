"""Importing any of our modules starts neither MPI, CUDA nor torch; `horseshoe list` stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ["kernels", "hpc", "analysis", "slurm", "jobs"]
ROOT = Path(__file__).parents[1]
HEAVY = {"cupy", "torch", "mpi4py.MPI"}

IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
assert names
for name in names:
    importlib.import_module(name)
print(*sys.modules)
"""

LIST = """
import sys
from jobs.cli import dispatch
assert dispatch(["list"]) == 0
print(*sys.modules)
"""


def modules_after(code: str, *arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_starts_nothing(package: str) -> None:
    loaded = modules_after(IMPORT_ALL, package)
    assert package in loaded
    # Zarr itself imports cupy where it is installed, which starts no CUDA.
    assert loaded.isdisjoint(HEAVY if package == "kernels" else HEAVY - {"cupy"})


def test_no_module_imports_a_device_at_its_top() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = {(path, name) for path in files for name in imports_at_the_top(ast.parse(path.read_text()).body)}
    assert (ROOT / "kernels" / "threebody.py", "numpy") in found
    assert not [(path, name) for path, name in found if name in HEAVY or name.split(".")[0] in HEAVY]


def imports_at_the_top(body: list[ast.stmt]) -> Iterator[str]:
    """Modules imported when a file is imported: outside functions, and not for type checkers only."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Try):
            yield from imports_at_the_top([*node.body, *(one for handler in node.handlers for one in handler.body)])
        elif isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
            yield from imports_at_the_top([*node.body, *node.orelse])
        elif isinstance(node, ast.ClassDef):
            yield from imports_at_the_top(node.body)


def test_list_is_light() -> None:
    loaded = modules_after(LIST)
    assert "jobs.commands.list" in loaded
    assert loaded.isdisjoint({"mpi4py", "cupy", "torch", "dask", "distributed", "matplotlib", "zarr", "numpy"})


RUN = """
import sys
from hpc import launch
from jobs.cli import dispatch
def leave(comm, code):
    print(code, *sys.modules)
    sys.exit(0)
launch.leave = leave
dispatch(["run", "mandelbrot", "--set", "view.resolution=[8, 8]", "--set", "run.progress='none'", "--out", sys.argv[1]])
"""


def test_a_run_on_the_host_starts_without_cupy_and_matplotlib(tmp_path: Path) -> None:
    loaded = modules_after(RUN, str(tmp_path / "a.zarr"))
    assert {"0", "mpi4py.MPI", "zarr"} <= loaded
    assert loaded.isdisjoint({"cupy", "torch", "dask", "matplotlib"})
