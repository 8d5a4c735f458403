"""The writing half of a store: creation, the checks before a resume, durable shards, ledger records, sweeping.

The only file that writes Zarr or the ledger. Never computes, never decides which unit is next.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.array_spec import ArrayConfigLike

from hpc import runs, shards
from hpc.durable import METADATA_NAME, make_folder, partial_path, sync_folder
from hpc.durable_store import DurableStore
from hpc.ledger import LEDGER_FOLDER, LEDGER_SUFFIX, LedgerFile, Record, Revocation
from hpc.plan import ArraySpec, Plan, Stage, Values, num_shards
from hpc.reading import CONSTANTS_ATTRIBUTE, IDENTITY_ATTRIBUTE, ROOT_ATTRIBUTE, STAGE_ATTRIBUTE, open_for_reading
from hpc.refusals import check_place, check_same_job, is_taken, resolved
from kernels.errors import RequestError

COMPRESSION_LEVEL = 1
NEW_STORE = "store"
WRITE_CONFIG: ArrayConfigLike = {"write_empty_chunks": True}


def check(path: Path | str, plan: Plan) -> None:
    """Refuse what cannot be run into `path`, without writing anything.

    Raises RequestError: a path that cannot be written, a folder that is something else, a store made by another job
    (naming the keys that differ) or by another version of the kernel. An absent or empty folder is fine.
    """
    place = resolved(path)
    try:
        check_place(place)
        if is_taken(place):
            check_same_job(open_for_reading(place), plan, runs.read_runs(place))
    except OSError as error:
        raise RequestError(f"{path}: cannot be used ({error.strerror or error}); choose another --out") from None


def prepare(path: Path | str, plan: Plan, *, run_id: str) -> None:
    """Create the store of a plan, or make ready the one that is there; to be called by one process of a run.

    Does `check` first, records the run in runs/ID.json, brings attributes up to date, mends damaged constants and
    sweeps partial files of dead runs. A new store appears whole: it is made under another name and renamed. Raises
    RequestError as `check` does, and where the disk refuses.
    """
    runs.check_id(run_id)
    check(path, plan)
    place = resolved(path)
    try:
        if not is_taken(place):
            _create(place, plan, run_id)
        runs.begin(place, run_id)
        _refresh(place, plan, run_id)
        runs.sweep(place, by=run_id)
    except OSError as error:
        raise RequestError(f"{path}: cannot be written ({error.strerror or error}); choose another --out") from None


def append_provenance(path: Path | str, run_id: str, record: Mapping[str, Any]) -> None:
    """Add facts to STORE/runs/ID.json, durably; `ended` (ISO 8601, UTC) says that the run writes no more."""
    runs.update(resolved(path), run_id, record)


def finished_units(path: Path | str, stage: Stage | str) -> NDArray[np.bool_]:
    """Bitmap of the finished units of a stage, shape (num_units,), from the ledgers."""
    return open_for_reading(path).finished_units(stage if isinstance(stage, str) else stage.name)


def revoke(path: Path | str, revocations: list[Revocation], name: str) -> None:
    """Append revocations to a ledger file of their own, STORE/ledger/`name`.jsonl, durably."""
    place = resolved(path)
    check_place(place)
    file = LedgerFile(place / LEDGER_FOLDER / (name + LEDGER_SUFFIX))
    try:
        for revocation in revocations:
            file.append(revocation)
    finally:
        file.close()


class Writer:
    """Writes the units that one rank of one run has finished: shards, then the record. For one thread at a time."""

    def __init__(self, path: Path | str, plan: Plan, run_id: str, rank: int) -> None:
        place = resolved(path)
        self._plan = plan
        self._run_id = run_id
        self._store = DurableStore(place, writer=f"{run_id}-{rank}")
        self._ledger_path = place / LEDGER_FOLDER / f"{run_id}-{rank}{LEDGER_SUFFIX}"
        self._ledger: LedgerFile | None = None
        self._arrays = {
            spec.name: _open_array(self._store, spec.name) for stage in plan.stages for spec in stage.arrays
        }

    def write(self, stage_index: int, unit: int, arrays: Mapping[str, NDArray[Any]], seconds: float) -> None:
        """Put one unit on the disk and record it as finished, having taken `seconds` of computing.

        `arrays` has one entry for each array of the stage, of the array's dtype and of the unit's shape (clipped at
        the edge of the array; dimensions of length one may be left out). Raises OSError (disk full, input/output
        error): the unit is then not recorded and can be written again. Raises ValueError where `arrays` does not fit
        the plan.
        """
        stage = self._plan.stages[stage_index]
        values = {spec.name: _fit(spec, unit, arrays[spec.name]) for spec in stage.arrays}

        # Write the shards, each whole.
        files = {}
        for spec in stage.arrays:
            self._store.take_written()
            self._arrays[spec.name][unit_region(spec, unit)] = values[spec.name]
            (files[spec.name],) = self._store.take_written().values()

        # Only then say so.
        if self._ledger is None:
            self._ledger = LedgerFile(self._ledger_path)
        self._ledger.append(Record(stage.name, unit, self._run_id, float(seconds), files))

    def close(self) -> None:
        """Close the ledger file; a second call does nothing."""
        if self._ledger is not None:
            self._ledger.close()


def unit_region(spec: ArraySpec, unit: int) -> tuple[slice, ...]:
    """The part of an array that a unit owns: shard `unravel_index(unit, grid)`, clipped at the edge."""
    index = np.unravel_index(unit, spec.grid())
    return tuple(
        slice(int(i) * shard, min((int(i) + 1) * shard, size))
        for i, shard, size in zip(index, spec.shard, spec.shape, strict=True)
    )


def _fit(spec: ArraySpec, unit: int, value: NDArray[Any]) -> NDArray[Any]:
    """The values of one shard in the array's number of dimensions; never cast, never broadcast."""
    shape = tuple(part.stop - part.start for part in unit_region(spec, unit))
    if value.dtype != np.dtype(spec.dtype):
        raise ValueError(f"{spec.name}: unit {unit} has dtype {value.dtype}, the plan says {spec.dtype}")
    if [size for size in value.shape if size != 1] != [size for size in shape if size != 1]:
        raise ValueError(f"{spec.name}: unit {unit} has shape {value.shape}, the plan says {shape}")
    return value.reshape(shape)


def _create(place: Path, plan: Plan, run_id: str) -> None:
    """Make a whole store under another name, then put it in its place. Another run that was faster wins.

    A folder that is there already stays: it may be where the user works, or a disk of its own.
    """
    inside = place.is_dir()
    partial = partial_path(place / NEW_STORE if inside else place, f"{run_id}-store")
    try:
        make_folder(partial)
        runs.begin(partial, run_id)
        make_folder(partial / LEDGER_FOLDER)
        store = DurableStore(partial, writer=f"{run_id}-store")
        zarr.create_group(store, zarr_format=3, attributes=_root_attributes(plan))
        for stage in plan.stages:
            for spec in stage.arrays:
                if num_shards(spec) != stage.num_units:
                    raise ValueError(
                        f"{spec.name}: {num_shards(spec)} shards, stage {stage.name} has {stage.num_units} units"
                    )
                _create_array(store, spec, stage.name)
        for spec, values in plan.constants:
            _mend_constant(_create_array(store, spec, None), values)
        try:
            if inside:
                _move_contents(partial, place)
            else:
                partial.rename(place)
        except OSError:
            if not is_taken(place):
                raise
        sync_folder(place if inside else place.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    check(place, plan)


def _move_contents(partial: Path, place: Path) -> None:
    """Put a store into an empty folder: the runs first, which it takes from one store alone, its metadata last."""
    names = [file.name for file in partial.iterdir()]
    for name in sorted(names, key=lambda name: (name != runs.RUNS_FOLDER, name == METADATA_NAME)):
        (partial / name).rename(place / name)
        sync_folder(place)


def _root_attributes(plan: Plan) -> dict[str, Any]:
    """The root attributes as they come back from a store: tuples as lists."""
    root = {
        ROOT_ATTRIBUTE: dict(plan.attributes),
        IDENTITY_ATTRIBUTE: dict(plan.identity),
        CONSTANTS_ATTRIBUTE: sorted(spec.name for spec, _ in plan.constants),
    }
    return dict(json.loads(json.dumps(root)))


def _create_array(store: DurableStore, spec: ArraySpec, stage: str | None) -> zarr.Array[Any]:
    """Write the metadata of one array; constants belong to no stage."""
    attributes = dict(spec.attributes) if stage is None else {**spec.attributes, STAGE_ATTRIBUTE: stage}
    return zarr.create_array(
        store,
        name=spec.name,
        shape=spec.shape,
        dtype=spec.dtype,
        chunks=spec.chunk,
        shards=spec.shard,
        compressors=(ZstdCodec(level=COMPRESSION_LEVEL), Crc32cCodec()),
        fill_value=np.dtype(spec.dtype).type(spec.fill_value),
        dimension_names=spec.dimensions,
        attributes=attributes,
        zarr_format=3,
        overwrite=False,
        config=WRITE_CONFIG,
    )


def _open_array(store: DurableStore, name: str) -> zarr.Array[Any]:
    """Open an array to write; a shard that equals the fill value gets its file all the same."""
    return zarr.open_array(store, path=name, mode="r+", zarr_format=3).with_config(WRITE_CONFIG)


def _refresh(place: Path, plan: Plan, run_id: str) -> None:
    """Write again what is no result and not as the plan says: root attributes, lost array metadata, constants.

    What is outside the identity, pictures and titles, is that of the latest run.
    """
    reader = open_for_reading(place)
    store = DurableStore(place, writer=f"{run_id}-store")
    root = _root_attributes(plan)
    present = {
        ROOT_ATTRIBUTE: reader.attributes,
        IDENTITY_ATTRIBUTE: reader.identity,
        CONSTANTS_ATTRIBUTE: list(reader.stated_constants),
    }
    if root != present:
        zarr.open_group(store, mode="r+", zarr_format=3).update_attributes(root)
    for stage in plan.stages:
        for spec in stage.arrays:
            if spec.name not in reader.arrays():
                _create_array(store, spec, stage.name)
    for spec, values in plan.constants:
        if spec.name in reader.constants():
            _mend_constant(_open_array(store, spec.name), values, reader.array(spec.name))
        else:
            _mend_constant(_create_array(store, spec, None), values)


def _mend_constant(array: zarr.Array[Any], values: Values, present: zarr.Array[Any] | None = None) -> None:
    """Write the shards of a constant, one in memory at a time, but for those that `present` has as they should be."""
    for position in np.ndindex(shards.grid(array)):
        region = shards.region(array, position)
        expected = np.ascontiguousarray(values[region], dtype=array.dtype)
        if present is None or not _holds(present, region, expected):
            array[region] = expected


def _holds(array: zarr.Array[Any], region: tuple[slice, ...], expected: NDArray[Any]) -> bool:
    """Whether these very bytes are in the store; not where a file is missing or damaged."""
    try:
        return shards.read(array, region).tobytes() == expected.tobytes()
    except RequestError:
        return False
