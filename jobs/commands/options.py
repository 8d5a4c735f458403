"""Options that several verbs share, described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

JobName = Annotated[str, Parameter(name="JOB", help="A gallery name (`horseshoe list`), or the path of a TOML file.")]
Store = Annotated[Path, Parameter(name="STORE", help="The folder that `horseshoe run` made.")]
Overrides = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        negative="",
        help="A key and its value, as in view.width=3 or 'view.resolution=[9, 9]'; may be given again. All keys: docs/job.md.",
    ),
]
Out = Annotated[Path | None, Parameter(name="--out")]
"""Each verb says where its result goes."""

Cluster = Annotated[
    Literal["none", "local", "slurm"],
    Parameter(name="--cluster", help="Where Dask works: threads (none, the default), processes, batch jobs."),
]
Value = Annotated[
    str | None,
    Parameter(
        name="--value",
        help="What to draw, a formula: short for --set picture.value=... Its range is auto unless given.",
    ),
]
Colormap = Annotated[
    str | None, Parameter(name="--colormap", help="Colours, such as cmr.ember: short for --set picture.colormap=...")
]
