"""Checkpoints of a run: STORE/checkpoints/RUN/STEP with weights, optimiser, metrics and state, whole or not there.

Owns their files, their validity and which are kept. Reads safetensors and JSON alone: nothing in them is ever executed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hpc import runs
from hpc.durable import PARTIAL_SUFFIX, make_folder, partial_path, partial_run, sync_folder
from hpc.given import open_regular
from kernels.backends.base import Array

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "checkpoints"
MODEL_FILE = "model.safetensors"
OPTIMISER_FILE = "optimiser.safetensors"
METRICS_FILE = "metrics.safetensors"
STATE_FILE = "state.json"
VALID_FILE = "VALID"
FILES = (MODEL_FILE, OPTIMISER_FILE, METRICS_FILE, STATE_FILE)

MOST_JSON_BYTES = 1 << 16


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a run was: all that goes on from a checkpoint beside weights, optimiser and metrics.

    `seed` and `step` say every rank's random state, as random numbers are hashes of (seed, purpose, step, rank). `random`
    says whether training draws any; `mixes` whether the model looks at a batch as a whole, as batch norms do. `ended` is set
    where the budget of the run was spent at this step.
    """

    format: int = 1
    run: int
    step: int
    seed: int
    ranks: int
    random: bool
    mixes: bool
    weight: float
    seconds: float
    skipped: int
    skipped_in_a_row: int
    ended: bool
    precision: str
    device: str
    threads: int


@dataclass(frozen=True)
class Contents:
    """A checkpoint in memory: tensors by name on the CPU, metrics of the block that it lies in or ends."""

    state: State
    model: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]
    metrics: Mapping[str, Array]


class Checkpoints:
    """The checkpoints of one run of a store. One rank writes them, any may read."""

    def __init__(self, store: Path, run: int, keep: int, writer: str) -> None:
        self._folder = store / FOLDER / str(run)
        self._keep = keep
        self._writer = writer

    def save(self, contents: Contents) -> Path:
        """Put a checkpoint on the disk, durably, and remove those that are no longer kept. Raises OSError.

        Its files are whole before VALID is there, VALID before the checkpoint has its name.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file as save_arrays
        from safetensors.torch import save_file

        if self._folder.is_symlink():
            raise OSError(errno.ELOOP, "a link inside the store leads out of it", str(self._folder))
        place = self._folder / str(contents.state.step)
        partial = partial_path(place, self._writer)
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial)
        try:
            save_file(dict(contents.model), partial / MODEL_FILE)
            save_file(dict(contents.optimiser), partial / OPTIMISER_FILE)
            save_arrays(dict(contents.metrics), partial / METRICS_FILE)
            (partial / STATE_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(contents.state)) + b"\n")
            measured = {name: _measure(partial / name, sync=True) for name in FILES}
            with (partial / VALID_FILE).open("w") as file:
                file.write(json.dumps(measured, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            sync_folder(partial)
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
            sync_folder(self._folder)
        except SafetensorError as error:
            raise OSError(errno.EIO, str(error), str(place)) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self._remove_old(contents.state.step)
        return place

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, valid or not, the latest first; what is behind a link is none."""
        try:
            folders = [entry for entry in self._folder.iterdir() if not entry.is_symlink()]
            names = [entry.name for entry in folders if (entry / VALID_FILE).is_file()]
        except OSError:
            return []
        if self._folder.is_symlink():
            return []
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def state(self, step: int) -> State | None:
        """Where the run was at a checkpoint; None where it is not valid: a file is missing, cut, changed or foreign."""
        place = self._folder / str(step)
        try:
            stated = msgspec.json.decode(_bounded(place / VALID_FILE), type=dict[str, tuple[int, str]])
            if set(stated) != set(FILES):
                return None
            if any((place / name).stat().st_size != size for name, (size, _) in stated.items()):
                return None
            if any(_measure(place / name) != stated[name] for name in FILES):
                return None
            state = msgspec.json.decode(_bounded(place / STATE_FILE), type=State)
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            return None
        return state if state.step == step and state.format == 1 else None

    def load(self, step: int) -> Contents:
        """A checkpoint that `state` has found valid. Raises ValueError or OSError where its files are none."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file as load_arrays
        from safetensors.torch import load_file

        place = self._folder / str(step)
        state = msgspec.json.decode(_bounded(place / STATE_FILE), type=State)
        try:
            model, optimiser = load_file(place / MODEL_FILE), load_file(place / OPTIMISER_FILE)
            return Contents(state, model, optimiser, load_arrays(place / METRICS_FILE))
        except SafetensorError as error:
            raise ValueError(f"{place}: {error}") from None

    def strike(self, step: int) -> None:
        """Make a checkpoint none, so that a run goes on from the one before it. Raises OSError."""
        (self.place(step) / VALID_FILE).unlink(missing_ok=True)
        sync_folder(self.place(step))

    def weights_sha256(self, step: int) -> str:
        """What tells the weights of a checkpoint from others. Raises OSError."""
        return _measure(self.place(step) / MODEL_FILE)[1]

    def place(self, step: int) -> Path:
        """The folder of a checkpoint."""
        return self._folder / str(step)

    def sweep(self, store: Path) -> None:
        """Remove what dead runs of the command have left unfinished. Raises OSError."""
        records = runs.read_runs(store)
        for partial in self._partials():
            if runs.known_dead(records.get(partial_run(partial) or "", {})):
                shutil.rmtree(partial, ignore_errors=True)

    def _partials(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from self._folder.glob("*" + PARTIAL_SUFFIX)

    def _remove_old(self, latest: int) -> None:
        """Keep the latest checkpoints up to this one; later ones are of no use to a run that has come from here."""
        for step in [step for step in self.steps() if step <= latest][self._keep :]:
            # Without its marker first: half a checkpoint is none.
            self.strike(step)
            shutil.rmtree(self.place(step), ignore_errors=True)


def _bounded(path: Path) -> bytes:
    """A small file whole; ValueError for a large one, which is not ours."""
    with open_regular(path) as file:
        data = file.read(MOST_JSON_BYTES + 1)
    if len(data) > MOST_JSON_BYTES:
        raise ValueError(f"{path}: too large")
    return data


def _measure(path: Path, *, sync: bool = False) -> tuple[int, str]:
    """Size and sha256 of a file, on the disk before that where asked for."""
    with open_regular(path) as file:
        if sync:
            os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest
