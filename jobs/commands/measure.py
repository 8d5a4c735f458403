"""`horseshoe measure`: numbers from a store as CSV."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from jobs.commands.options import Cluster, Colormap, Out, Overrides, Store, Value
from jobs.commands.pictures import picture_overrides, result_path


def main(
    name: Annotated[str, Parameter(name="NAME")],
    store: Store,
    /,
    *,
    out: Out = None,
    cluster: Cluster = "none",
    value: Value = None,
    colormap: Colormap = None,
    overrides: Overrides = (),
) -> int:
    """Measure a store.

    Parameters
    ----------
    name:
        Which measure: summary (of every array: extremes, mean, sum, checksum), divergence (of counts: the share that
        ended, and when on average), picture (range of the picture's formula), area (of what never ended), basin-fraction
        (share of every root and outcome), boundary-dimension (by counting boxes), runs (of training: a row for each run),
        completions (what language models wrote behind their prompts), estimates (a table with its linear estimates).
    out:
        The .csv, a row for each frame and array; STORE.csv in this folder unless given.
    """
    picture = picture_overrides(overrides, value, colormap)
    path = result_path(store, out, (".csv",))

    from analysis import measures
    from analysis.clusters import connect

    with connect(cluster) as client:
        print(measures.measure(name, store, path, picture=picture, client=client))
    return 0
