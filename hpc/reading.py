"""The reading half of a store: arrays, constants, attributes, and what is finished according to the ledgers.

Owns the read-only view that later stages, analysis and `status` use. Never writes, never takes a file for a result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from hpc import ledger, shards
from hpc.durable import METADATA_NAME, PARTIAL_SUFFIX
from hpc.given import read_json
from hpc.metadata import check_array
from kernels.errors import RequestError, one_line

FORMAT = 1
ROOT_ATTRIBUTE = "horseshoe"
IDENTITY_ATTRIBUTE = "identity"
CONSTANTS_ATTRIBUTE = "constants"
STAGE_ATTRIBUTE = "stage"
STATED = {"kind": str, "job": dict, "job_hash": str, "pictures": dict, "kernel_digest": str}
"""What the root attribute holds beside its format."""


class Reader:
    """A read-only view of one store; use `open_for_reading`.

    `path` is the store's folder, `attributes` the root attribute `horseshoe` (format, kind, job, job_hash, pictures,
    kernel_digest), `identity` the resolved job without what may change between starts, `stated_constants` the constants that
    there should be. What is finished is asked of the ledgers at each call, so that a reader can follow a store that is being
    computed.
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        root: dict[str, Any] = group.attrs.asdict()
        # Zarr's own listing warns of ledger/, runs/ and logs/, which are no part of its hierarchy.
        members = {file.parent.name: _open_array(group, file) for file in _metadata_files(path)}
        self.path = path
        self.attributes: Mapping[str, Any] = root[ROOT_ATTRIBUTE]
        self.identity: Mapping[str, Any] = root[IDENTITY_ATTRIBUTE]
        self.stated_constants: tuple[str, ...] = tuple(root.get(CONSTANTS_ATTRIBUTE, ()))
        self._arrays = {name: member for name, member in members.items() if STAGE_ATTRIBUTE in member.attrs}
        self._constants = {name: member for name, member in members.items() if STAGE_ATTRIBUTE not in member.attrs}
        self._complete: set[str] = set()

    def arrays(self) -> tuple[str, ...]:
        """Names of the computed arrays, sorted."""
        return tuple(sorted(self._arrays))

    def constants(self) -> tuple[str, ...]:
        """Names of the arrays known before the run (coordinates, per-frame parameters), sorted."""
        return tuple(sorted(self._constants))

    def stages(self) -> tuple[str, ...]:
        """Names of the stages, sorted."""
        return tuple(sorted({self.stage(name) for name in self._arrays}))

    def array(self, name: str) -> zarr.Array[Any]:
        """One computed array or constant, read-only. What is not finished may hold anything: ask `finished`, and read
        the rest with `hpc.shards.read`, lest lost files be taken for values.

        Raises RequestError where the store has no such array.
        """
        found = self._arrays.get(name, self._constants.get(name))
        if found is None:
            known = ", ".join((*self.arrays(), *self.constants()))
            raise RequestError(f"{self.path}: no array {name!r}; it has {known}")
        return found

    def constant(self, name: str) -> NDArray[Any]:
        """The values of one constant. Raises RequestError where it is not there, or not whole."""
        if name not in self._constants:
            raise RequestError(f"{self.path}: no constant {name!r}; it has {', '.join(self.constants())}")
        return shards.read(self._constants[name])

    def stage(self, name: str) -> str:
        """The stage that computes an array."""
        return str(self.array(name).attrs[STAGE_ATTRIBUTE])

    def grid(self, name: str) -> tuple[int, ...]:
        """Number of shards of an array along each dimension."""
        return shards.grid(self.array(name))

    def shard_file(self, name: str, unit: int) -> Path:
        """The file that holds a unit's shard of an array, whether it is there or not."""
        index = np.unravel_index(unit, self.grid(name))
        return shards.shard_file(self.array(name), [int(i) for i in index])

    def num_units(self, stage: str) -> int:
        """Number of units of a stage. Raises RequestError where the store has no such stage, or its arrays disagree."""
        sizes = {math.prod(self.grid(name)): name for name in self._arrays if self.stage(name) == stage}
        if not sizes:
            raise RequestError(f"{self.path}: no stage {stage!r}; it has {', '.join(self.stages())}")
        if len(sizes) > 1:
            told = ", ".join(f"{size} in {name}" for size, name in sorted(sizes.items()))
            raise RequestError(
                f"{self.path}: damaged: stage {stage} has {told} units; restore their {METADATA_NAME} from a copy"
            )
        return next(iter(sizes))

    def finished_units(self, stage: str) -> NDArray[np.bool_]:
        """Bitmap of the finished units of a stage, shape (num_units,), from the ledgers."""
        return ledger.tally(self.path, {stage: self.num_units(stage)})[stage].finished

    def finished(self, name: str) -> NDArray[np.bool_]:
        """Bitmap over the shard grid of an array, or over the units of a stage, from the ledgers.

        True where the shard is computed. Constants are always finished. An array's name goes before a stage's.
        """
        if name in self._constants:
            return np.ones(self.grid(name), dtype=np.bool_)
        if name in self._arrays:
            return self.finished_units(self.stage(name)).reshape(self.grid(name))
        return self.finished_units(name)

    def trust(self, stage: str) -> None:
        """Take a stage as complete from now on: for ranks that were told so by the one that reads the ledgers."""
        self._complete.add(stage)

    def read(self, name: str) -> NDArray[Any]:
        """All values of a finished array or of a constant (the `Finished` protocol of plans).

        Raises RuntimeError where units of the array are not finished: a stage may only read what is. Raises RequestError
        naming the file where a finished shard is missing or damaged.
        """
        if name in self._constants:
            return self.constant(name)
        array, stage = self.array(name), self.stage(name)
        if stage not in self._complete:
            missing = int(np.count_nonzero(~self.finished_units(stage)))
            if missing:
                raise RuntimeError(
                    f"{self.path}: {missing} units of stage {stage!r} are not finished; cannot read {name}"
                )
            self.trust(stage)
        return shards.read(array)


def is_store(path: Path) -> bool:
    """Whether a folder holds a Horseshoe store of any format."""
    try:
        root = _root(path)
    except OSError:
        return False
    return ROOT_ATTRIBUTE in root and IDENTITY_ATTRIBUTE in root


def open_for_reading(path: Path | str) -> Reader:
    """Open a store to read.

    Raises RequestError where there is none, where it cannot be read, or of a format this version does not know.
    """
    path = Path(path)
    try:
        path.stat()
        root = _root(path)
    except FileNotFoundError:
        named = Path(f"{path}.zarr")
        remedy = f"did you mean {named}?" if named.is_dir() else f"`horseshoe run JOB --out {path}` makes one"
        raise RequestError(f"{path}: no such store; {remedy}") from None
    except OSError as error:
        raise RequestError(f"{error.filename or path}: cannot be read ({error.strerror})") from None
    if ROOT_ATTRIBUTE not in root or IDENTITY_ATTRIBUTE not in root:
        raise RequestError(f"{path}: not a Horseshoe store; name the folder that `horseshoe run` made")

    # Look at the format before all else: what follows holds for ours.
    stated = root[ROOT_ATTRIBUTE]
    if not isinstance(stated, dict) or stated.get("format") != FORMAT:
        found = stated.get("format") if isinstance(stated, dict) else None
        raise RequestError(f"{path}: store format {found!r}, this version reads {FORMAT}; use the version that made it")
    for key, kind in STATED.items():
        if not isinstance(stated.get(key), kind):
            raise RequestError(
                f"{path / METADATA_NAME}: damaged: no {ROOT_ATTRIBUTE}.{key}; restore the file from a copy"
            )
    if (fault := _fault_of(stated["job"])) is not None:
        raise RequestError(f"{path / METADATA_NAME}: damaged: {fault}; restore the file from a copy")
    constants = root.get(CONSTANTS_ATTRIBUTE, [])
    has_names = isinstance(constants, list) and all(isinstance(name, str) for name in constants)
    if not isinstance(root[IDENTITY_ATTRIBUTE], dict) or not has_names:
        lacking = CONSTANTS_ATTRIBUTE if not has_names else IDENTITY_ATTRIBUTE
        raise RequestError(f"{path / METADATA_NAME}: damaged: no {lacking}; restore the file from a copy")
    try:
        return Reader(path, zarr.open_group(LocalStore(path, read_only=True), mode="r", zarr_format=3))
    except OSError as error:
        raise RequestError(f"{error.filename or path}: cannot be read ({error.strerror or one_line(error)})") from None
    except (TypeError, KeyError):
        raise RequestError(f"{path / METADATA_NAME}: damaged; restore the file from a copy") from None


class _Axes(msgspec.Struct):
    axes: tuple[str, str] = ("x", "y")


class _Frames(msgspec.Struct):
    count: int = 1


class _Job(msgspec.Struct):
    """What readers ask of a stored job without knowing its kind, where it is stated."""

    name: str = ""
    title: str = ""
    view: _Axes | None = None
    frames: _Frames | None = None


def _fault_of(job: dict[str, Any]) -> str | None:
    """What is wrong with a stored job, if anything."""
    try:
        msgspec.convert(job, _Job)
    except msgspec.ValidationError as error:
        return f"{ROOT_ATTRIBUTE}.job: {one_line(error)}"
    return None


def _root(path: Path) -> dict[str, Any]:
    """The root attributes of a Zarr group; empty where there is none. Raises OSError where the disk refuses."""
    try:
        metadata = read_json(path / METADATA_NAME)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    is_group = isinstance(metadata, dict) and (metadata.get("zarr_format"), metadata.get("node_type")) == (3, "group")
    attributes = metadata.get("attributes") if is_group else None
    return attributes if isinstance(attributes, dict) else {}


def _metadata_files(path: Path) -> list[Path]:
    """The metadata of the arrays of a store. Raises OSError where a folder cannot be read."""
    folders = [folder for folder in path.iterdir() if not folder.name.endswith(PARTIAL_SUFFIX)]
    return [folder / METADATA_NAME for folder in folders if (folder / METADATA_NAME).is_file()]


def _open_array(group: zarr.Group, metadata: Path) -> zarr.Array[Any]:
    try:
        check_array(metadata)
        return zarr.open_array(group.store, path=metadata.parent.name, mode="r", zarr_format=3)
    except RequestError:
        raise
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        raise RequestError(f"{metadata}: damaged; delete it and run the job again, which writes it anew") from None
