"""`horseshoe image`: one frame of a store as PNG."""

from __future__ import annotations

from jobs.commands.options import Cluster, Colormap, Out, Overrides, Store, Value
from jobs.commands.pictures import num_frames, picture_overrides, result_path


def main(
    store: Store,
    /,
    *,
    frame: int = 0,
    out: Out = None,
    cluster: Cluster = "none",
    value: Value = None,
    colormap: Colormap = None,
    overrides: Overrides = (),
) -> int:
    """Draw one frame of a store; what is not computed yet is grey.

    Parameters
    ----------
    frame:
        Which frame, counted from 0; 0 unless given.
    out:
        The .png; STORE.png in this folder unless given, or STORE-FRAME.png of several frames.
    """
    picture = picture_overrides(overrides, value, colormap)
    label = f"-{frame}" if out is None and num_frames(store, picture) > 1 else ""
    path = result_path(store, out, (".png",), label)

    from analysis import images
    from analysis.clusters import connect

    with connect(cluster) as client:
        print(images.image(store, path, frame=frame, picture=picture, client=client))
    return 0
