"""`horseshoe video`: the frames of a store as MP4."""

from __future__ import annotations

from jobs.commands.options import Cluster, Colormap, Out, Overrides, Store, Value
from jobs.commands.pictures import picture_overrides, result_path


def main(
    store: Store,
    /,
    *,
    out: Out = None,
    cluster: Cluster = "none",
    value: Value = None,
    colormap: Colormap = None,
    overrides: Overrides = (),
) -> int:
    """Draw the frames of a store as a video.

    Parameters
    ----------
    out:
        The .mp4 (H.264) or .mkv (FFV1, lossless); STORE.mp4 in this folder unless given.
    """
    picture = picture_overrides(overrides, value, colormap)
    path = result_path(store, out, (".mp4", ".mkv"))

    from analysis import video
    from analysis.clusters import connect

    with connect(cluster) as client:
        print(video.video(store, path, picture=picture, client=client))
    return 0
