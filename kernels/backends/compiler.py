"""The host C++ compiler: which one, what this CPU offers, and device source -> shared library, cached by digest."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kernels.backends.cache import cache_folder, check_private, one_process_at_a_time
from kernels.errors import RequestError

DEVICE_FOLDER = Path(__file__).parent.parent / "device"

INCLUDE = re.compile(r'^\s*#\s*include\s*"(\w+\.hpp)"', re.MULTILINE)

# What drivers of GCC and Clang say of the compiler proper.
KILLED = re.compile(
    r"signal terminated program|frontend command failed due to signal|unable to execute command: Killed"
)

# Never -ffast-math and its kin: linked into a library, they flush subnormals for the whole Python process.
FLAGS = (
    *("-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    *("-fPIC", "-shared", "-Wall", "-Wno-psabi", "-Wno-unknown-pragmas"),
)


@functools.cache
def find_compiler() -> tuple[str, ...]:
    """The command of the first C++ compiler found: `$CXX`, g++, clang++, then the ziglang wheel.

    Raises RequestError where there is none.
    """
    chosen = os.environ.get("CXX")
    if chosen:
        try:
            command = shlex.split(chosen)
        except ValueError:
            command = []
        if not command or shutil.which(command[0]) is None:
            raise RequestError(f"CXX={chosen}: no such compiler; set CXX to a C++ compiler or unset it")
        return tuple(command)
    for name in ("g++", "clang++"):
        path = shutil.which(name)
        if path:
            return (path,)
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "c++")
    raise RequestError("no C++ compiler found; install g++ or clang++, or `pip install ziglang`, or set CXX to one")


def describe_compiler() -> str:
    """Compiler path and first line of its version."""
    command = find_compiler()
    return f"{' '.join(command)}: {_run([*command, '--version']).splitlines()[0]}"


@functools.cache
def target_macros() -> str:
    """Every macro predefined for this compiler and this CPU: names the instruction sets and the compiler's version."""
    command = find_compiler()
    try:
        return _run([*command, "-march=native", "-dM", "-E", "-x", "c++", os.devnull])
    except RuntimeError as error:
        reason = str(error).splitlines()[-1]
        raise RequestError(
            f"compiler {shlex.join(command)} does not work ({reason}); set CXX to one that does"
        ) from None


@functools.cache
def vector_bytes() -> int:
    """Bytes of the widest vector with a fused multiply-add; 0 where there is none."""
    macros = target_macros()
    if "__AVX512F__" in macros:
        return 64
    if "__FMA__" in macros and "__AVX2__" in macros:
        return 32
    return 16 if "__aarch64__" in macros else 0


def source_digest(rendered: str) -> str:
    """Digest of rendered source and of the files of `device/` that it includes; the same on every machine."""
    text = hashlib.sha256(rendered.encode())
    for name in sorted(_included(rendered)):
        text.update(name.encode() + b"\0" + (DEVICE_FOLDER / name).read_bytes())
    return text.hexdigest()


def _included(source: str) -> set[str]:
    """Names of all files of `device/` that a source includes, through any number of others."""
    found: set[str] = set()
    waiting = set(INCLUDE.findall(source))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting |= set(INCLUDE.findall((DEVICE_FOLDER / name).read_text()))
    return found


@functools.cache
def load_library(rendered: str) -> ctypes.CDLL:
    """Compile rendered source for this CPU, unless the cache has it, and load it.

    Raises RequestError where no compiler is found, it was killed or the cache folder is unsafe, RuntimeError with the
    compiler's output where the source does not compile.
    """
    facts = "\0".join([source_digest(rendered), *find_compiler(), *FLAGS, target_macros()])
    name = hashlib.sha256(facts.encode()).hexdigest()[:32]
    folder = cache_folder()
    library = folder / f"{name}.so"
    with contextlib.suppress(OSError):
        return _open(library)

    # It is not there, or was cut short by a crash.
    with one_process_at_a_time(folder, name):
        with contextlib.suppress(OSError):
            return _open(library)
        _compile(rendered, library)
    return _open(library)


def _open(library: Path) -> ctypes.CDLL:
    check_private(library)
    return ctypes.CDLL(str(library))


def _compile(rendered: str, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        source = Path(scratch) / "kernel.cpp"
        source.write_text(rendered)
        output = Path(scratch) / library.name
        command = [*find_compiler(), "-march=native", *FLAGS, f"-I{DEVICE_FOLDER}", str(source), "-o", str(output)]
        _run(command)
        output.chmod(0o700)
        with output.open("rb") as written:
            os.fsync(written.fileno())
        output.replace(library)


def _run(command: list[str]) -> str:
    """The output of a compiler. RequestError where it was killed, RuntimeError with what it said where it refuses."""
    # A session of its own: Ctrl-C is for us, who let it finish and then stop as we are told to.
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    if result.returncode < 0 or (result.returncode and KILLED.search(result.stderr)):
        raise RequestError(f"compiler {command[0]} was killed; is there enough memory? The same command tries again")
    if result.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{result.stderr}")
    return result.stdout
