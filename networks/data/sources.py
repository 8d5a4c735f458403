"""Where data comes from: a path that the user gives, or a generator that writes small files in the same layout.

Owns the choice between the two, and the manifest: sizes, sums, splits and the licence line of what is read. Generated files
and a user's go through the same loaders afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kernels.errors import RequestError
from networks.data import cache
from networks.data.files import canonical_json, regular_file, sha256_of
from networks.data.generators.catalogue import GENERATORS, check

GENERATED_LICENCE = "CC0-1.0 (generated)"
UNKNOWN_LICENCE = "not stated"
LONGEST_LICENCE = 200
LARGEST_COUNT = max(one.largest for one in GENERATORS.values())


def generated(generator: str, count: int, seed: int = 0, parameters: Mapping[str, float] | None = None) -> Path:
    """The folder of a generator's files in the cache, made where it is missing or damaged."""
    description = describe_generated(generator, count, seed, parameters)
    make = GENERATORS[generator].make()
    short = hashlib.sha256(canonical_json(description)).hexdigest()[:16]
    full = description["parameters"]
    return cache.entry(f"{generator}-{count}-{seed}-{short}", description, lambda: make(count, seed, full))


def describe_generated(
    generator: str, count: int, seed: int = 0, parameters: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """What says all of a generator's files without making them: for the identity of a job."""
    full = check(generator, count, seed, parameters or {})
    return {
        "generator": generator,
        "count": count,
        "seed": seed,
        "parameters": full,
        "version": GENERATORS[generator].version,
        "licence": GENERATED_LICENCE,
    }


def describe_files(files: Iterable[Path], licence: str | None = None) -> dict[str, Any]:
    """What says all of a user's files, wherever they lie: names, sizes and sums, and the licence line as given."""
    found = {path.name: {"bytes": regular_file(path).st_size, "sha256": sha256_of(path)} for path in files}
    return {"files": found, "licence": licence or UNKNOWN_LICENCE}


def licence_beside(path: Path) -> str | None:
    """The licence line of a folder with a manifest, such as a generator's; None where there is none."""
    manifest = path / cache.MANIFEST_NAME
    found = cache.read_manifest(path).get("licence") if manifest.is_file() else None
    return found[:LONGEST_LICENCE] if isinstance(found, str) else None


def locate(
    path: str | None,
    generator: str | None = None,
    count: int | None = None,
    seed: int = 0,
    parameters: Mapping[str, float] | None = None,
) -> Path:
    """The file or folder that a `[data]` section names: its path, or the folder that its generator fills.

    Raises RequestError unless exactly one of the two is given.
    """
    if (path is None) == (generator is None):
        raise RequestError("data.path and data.generator: give exactly one of them")
    if path is not None:
        if "\0" in path or not path.strip():
            raise RequestError("data.path is no path; give the path of a file or folder")
        return Path(path).expanduser()
    assert generator is not None
    if count is None:
        raise RequestError(f"data.count is missing: how much the generator {generator} makes")
    return generated(generator, count, seed, parameters)
