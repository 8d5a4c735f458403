"""Profiles: what a cluster wants every job to say, as small TOML files of the user.

Owns their place and keys. Never submits anything.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import msgspec

from kernels.errors import RequestError


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults of `horseshoe submit`; `setup` are lines of shell before the command."""

    nodes: int | None = None
    time: str | None = None
    partition: str | None = None
    setup: tuple[str, ...] = ()


def load(name: str | None) -> Profile:
    """The profile in a TOML file, or of a name in `~/.config/horseshoe`; without a name an empty one.

    Raises RequestError that names the file and what is wrong.
    """
    if name is None:
        return Profile()
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = Path(name) if name.endswith(".toml") else home / "horseshoe" / f"{name}.toml"
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Profile)
    except OSError as error:
        raise RequestError(f"--profile {name}: {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"--profile {name}: {path}: {' '.join(str(error).split())}") from None
