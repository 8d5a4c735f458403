"""What our own source may not do: no file of a package evaluates text, unpickles, or calls a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("kernels", "networks", "hpc", "analysis", "slurm", "jobs")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

BUILT_IN = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "yaml", "pty", "code", "commands"}
CALLS = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "numpy.lib.format.read_array"),
    *(
        "asyncio.create_subprocess_shell",
        "sympy.sympify",
        "sympy.parse_expr",
        "sympy.S",
        "torch.hub.load",
        "runpy.run_path",
    ),
    *("tempfile.mktemp", "tarfile.open", "shutil.unpack_archive", "zipfile.ZipFile.extractall", "torch.jit.load"),
    *("numpy.memmap", "pandas.read_pickle", "torch.package.PackageImporter"),
}


def faults(tree: ast.AST) -> Iterator[str]:
    """What a file does that it may not."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0]
                for alias in node.names
            }
            yield from (f"imports {alias.name}" for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            if node.module.split(".")[0] in MODULES:
                yield f"imports from {node.module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from faults_of_call(node, dotted(node.func, names))


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The full name of what is called, such as os.system; empty where it has none."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    return ""


def faults_of_call(node: ast.Call, name: str) -> Iterator[str]:
    given = {keyword.arg: keyword.value for keyword in node.keywords}

    def is_constant(key: str, value: object) -> bool:
        found = given.get(key)
        return isinstance(found, ast.Constant) and found.value is value

    if name in BUILT_IN | CALLS:
        yield f"calls {name}"
    if "shell" in given and not is_constant("shell", False):
        yield f"calls {name} with a shell"
    if name == "torch.load" and not is_constant("weights_only", True):
        yield "calls torch.load without weights_only=True"
    if name == "numpy.load" and not is_constant("allow_pickle", False):
        yield "calls numpy.load without allow_pickle=False"
    if "trust_remote_code" in given and not is_constant("trust_remote_code", False):
        yield f"calls {name} with somebody's code"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_does_what_it_may_not(path: Path) -> None:
    assert not list(faults(ast.parse(path.read_text())))


@pytest.mark.parametrize(
    "source",
    [
        *(
            "eval('1')",
            "exec('1')",
            "compile('1', '', 'eval')",
            "__import__('os')",
            "import pickle",
            "from dill import loads",
        ),
        *(
            "import os\nos.system('x')",
            "from os import system as s\ns('x')",
            "import os as o\no.popen('x')",
            "import yaml",
        ),
        *("import subprocess as s\ns.run('x', shell=True)", "import subprocess\nsubprocess.run('x', shell=flag)"),
        *("import torch\ntorch.load('x')",),
        *("import numpy as np\nnp.load('x')", "import numpy as np\nnp.load('x', allow_pickle=True)"),
        *(
            "from sympy import sympify\nsympify('x')",
            "load('x', trust_remote_code=True)",
        ),
    ],
)
def test_the_walk_sees_each_of_them(source: str) -> None:
    assert list(faults(ast.parse(source)))


def test_the_walk_lets_others_be() -> None:
    harmless = (
        "import re, numpy as np\nre.compile('x')\nmodel.eval()\nnp.load('x', allow_pickle=False)\nbackend.compile('x')"
    )
    assert not list(faults(ast.parse(harmless)))
