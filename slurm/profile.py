"""Profiles: what a cluster wants every job to say, as small TOML files, some of them ready in slurm/profiles.

Owns their places and keys. Never submits anything, never looks at a job.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from kernels.errors import RequestError

READY = Path(__file__).parent / "profiles"
DEFAULT = "cpu"
DEEPEST = 8

Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What jobs of one kind ask of a cluster.

    Nodes and time follow from the plan: as few nodes as end a job within `goal_time`, at most `max_nodes` for
    `max_time` (texts of SLURM). `base` names the profile that this one changes. `options` are more options of sbatch
    without their dashes ("account=physics", "exclusive"), `setup` lines of shell before the command ("module load
    gcc"). `launcher` starts the ranks, with `mpi` as srun's --mpi. A job that stops early queues itself again up to
    `restarts` times.
    """

    base: str | None = None
    partition: str | None = None
    max_nodes: Count = 1
    max_time: str = "24:00:00"
    goal_time: str = "1:00:00"
    ranks_per_node: Count = 1
    cpus_per_rank: Count = 1
    gpus_per_node: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0
    launcher: Literal["srun", "mpiexec"] = "srun"
    mpi: str = "pmi2"
    restarts: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 10
    options: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()


def load(name: str | None) -> Profile:
    """The profile in a TOML file, or of a name in `~/.config/horseshoe`, else among the ready ones; None is "cpu".

    Raises RequestError that names the file and what is wrong.
    """
    name = DEFAULT if name is None else name
    tree: dict[str, Any] = {}
    seen: list[Path] = []
    while name is not None:
        path = _locate(name, seen)
        own = _read(name, path)
        tree = {**own, **tree}
        seen.append(path)
        if len(seen) > DEEPEST:
            raise RequestError(f"--profile {name}: {path}: base: more than {DEEPEST} profiles on each other")
        name = own.get("base")
    return _convert(tree, seen[0])


def _locate(name: str, users: list[Path]) -> Path:
    """The file of a profile. Files of the user go before the ready ones, but for one that builds on its namesake."""
    if name.endswith(".toml"):
        return users[-1].parent / name if users else Path(name)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "horseshoe"
    places = [folder / f"{name}.toml" for folder in (home, READY)]
    found = [path for path in places if path.is_file() and path not in users]
    if Path(name).name != name or not found:
        ready = ", ".join(sorted(path.stem for path in READY.glob("*.toml")))
        raise RequestError(f"--profile {name}: no such profile; ready: {ready}; yours go to {places[0].parent}")
    return found[0]


def _read(name: str, path: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text())
    except OSError as error:
        raise RequestError(f"--profile {name}: {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"--profile {name}: {path}: {' '.join(str(error).split())}") from None
    _convert(tree, path)
    return tree


def _convert(tree: dict[str, Any], path: Path) -> Profile:
    try:
        return msgspec.convert(tree, Profile)
    except msgspec.ValidationError as error:
        raise RequestError(f"--profile: {path}: {' '.join(str(error).split())}") from None
