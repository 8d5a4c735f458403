"""Options that several verbs share, described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

JobName = Annotated[str, Parameter(name="JOB", help="A gallery name, or the path of a TOML file.")]
Store = Annotated[Path, Parameter(name="STORE", help="The folder that `horseshoe run` made.")]
Overrides = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set", negative="", help="key=value with a dotted key; the value is read as TOML, else as a string."
    ),
]
Out = Annotated[Path | None, Parameter(name="--out", help="Where the result goes.")]
Cluster = Annotated[
    Literal["none", "local", "slurm"], Parameter(name="--cluster", help="Where Dask works: none, local or slurm.")
]
Value = Annotated[str | None, Parameter(name="--value", help="Short for --set picture.value=...")]
Colormap = Annotated[str | None, Parameter(name="--colormap", help="Short for --set picture.colormap=...")]
