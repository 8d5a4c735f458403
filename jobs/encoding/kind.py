"""Job kind `encoding`: the rows of a CSV table become one-hot vectors once, by many ranks (H5-84).

Owns the kind's type, its checks and its plan. How rows are read and encoded is in networks/data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from hpc.plan import ArraySpec, Plan
from jobs.encoding.sections import Data
from jobs.encoding.stage import RowsStage
from jobs.identity import attributes, digest, identity
from jobs.model import Job
from jobs.plotting import Plot, check_plot
from kernels.errors import RequestError
from networks.data import fixed_width, sources, table_blocks
from networks.data.fixed_width import ALPHABETS, Field, FixedWidth
from networks.data.generators import catalogue
from networks.data.tables import DELIVERIES

DEFAULTS: dict[str, Any] = {
    "picture": {"figure": "matrix", "value": "missing_count", "labels": ["field", "block"]},
}
VERSION = 1
"""Of the way rows are encoded."""

MOST_BLOCK_BYTES = 1 << 30

NAMES = frozenset(
    {"codes", "one_hot", "numbers", "missing_count", "cut_count", "decoded_count", "encoding"}
    | {"row", "character", "input", "column", "block", "field", "byte"}
)


class Encoding(Job, frozen=True, kw_only=True):
    """The rows of a table become characters at fixed places and one-hot vectors. See docs/data.md."""

    kind: Literal["encoding"]
    data: Data
    picture: Plot


MODEL = Encoding


def resolve(job: Job) -> Encoding:
    """The job; RequestError for a table or an encoding that cannot be. The table is looked at by `plan`."""
    job = cast(Encoding, job)
    data = job.data
    if job.outputs:
        raise RequestError("outputs: an encoding job stores all it makes; leave it out")
    if (data.path is None) == (data.generator is None):
        raise RequestError("data.path: give this or data.generator, and not both")
    if data.generator is not None:
        if data.count is None:
            raise RequestError("data.count: is missing; say how many rows the generator writes")
        catalogue.check(data.generator, data.count, data.seed, _parameters(data))
    elif data.missing is not None:
        raise RequestError("data.missing: is for a generator; a file has what it has")
    if data.frozen is None:
        _encoding(data)
    elif data.fields or (data.alphabet, data.too_long) != (Data().alphabet, Data().too_long):
        raise RequestError("data.frozen: has its own fields, alphabet and too_long; leave these out")
    check_plot(job.picture, names=NAMES)
    return job


def overview(job: Job, plan: Plan) -> list[tuple[str, str]]:
    """Rows and inputs."""
    del job
    table = cast(RowsStage, plan.stages[0]).table
    encoding = table.encoding
    size = f"{encoding.num_characters} characters x {len(encoding.alphabet)} = {encoding.dimension} inputs"
    return [("table", f"{table.num_rows} rows of {table.file}"), ("encoding", size)]


def plan(job: Job, device: str | None) -> Plan:
    """The stage `rows`, after the whole table was looked through. A generator writes its file here, once.

    The table and the frozen encoding are part of the identity, where they lie is not.
    """
    data = cast(Encoding, job).data
    encoding = _encoding(data)
    if data.block_rows * encoding.dimension > MOST_BLOCK_BYTES:
        raise RequestError(
            f"data.block_rows: {data.block_rows} rows of {encoding.dimension} inputs are more than "
            f"{MOST_BLOCK_BYTES} bytes; give {MOST_BLOCK_BYTES // encoding.dimension} or fewer"
        )
    place = sources.locate(data.path, data.generator, data.count, data.seed, _parameters(data))
    table = table_blocks.look_through(place, encoding, data.block_rows, data.count)

    frozen = encoding.freeze()
    own = identity(job, device)
    for key in ("path", "frozen", "licence"):
        del own["data"][key]
    beside = sources.licence_beside(table.file.parent)
    own["manifest"] = {**sources.describe_files([table.file], data.licence or beside), "encoding": frozen.decode()}
    told = attributes(job, own, digest({"encoding": VERSION}))

    size = (len(frozen),)
    about = {"units": "1", "long_name": "frozen encoding: JSON"}
    constant = ArraySpec("encoding", size, "|u1", size, size, ("byte",), 255, about)
    values = np.frombuffer(frozen, dtype=np.uint8)
    return Plan((RowsStage(table),), ((constant, values),), {**told, "manifest": own["manifest"]}, own)


def _encoding(data: Data) -> FixedWidth:
    if data.frozen is not None:
        return fixed_width.load(Path(sources.locate(data.frozen)))
    fields = tuple(Field(name, width) for name, width in data.fields.items()) or DELIVERIES
    return FixedWidth(fields, ALPHABETS.get(data.alphabet, data.alphabet), data.too_long)


def _parameters(data: Data) -> dict[str, float]:
    return {} if data.missing is None else {"missing": data.missing}
