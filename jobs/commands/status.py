"""`horseshoe status`: how far a store is, from its ledgers and the last status of its run. Starts no MPI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.commands.options import Store


def main(store: Store, /) -> int:
    """Print what is finished of a store and what its last run said."""
    from hpc.reading import open_for_reading
    from jobs.estimate import human_seconds

    reader = open_for_reading(store)
    print(f"job      {reader.attributes['job']['name']} ({reader.attributes['kind']}), {reader.attributes['job_hash']}")
    for stage in reader.stages():
        finished = reader.finished_units(stage)
        done = int(finished.sum())
        print(f"stage    {stage}: {done} of {finished.size} units, {100 * done / finished.size:.1f} %")
    last = read_status(store)
    if last:
        print(f"run      {last['run']}: {last['state']}, updated {last['updated']}, {last['ranks']} ranks")
    if last and last["state"] == "running" and last["eta_s"] is not None:
        print(f"left     about {human_seconds(last['eta_s'])}, {last['rate']:.3g} units a second")
    print(store)
    return 0


def read_status(store: Path) -> dict[str, Any]:
    """The last status that a run has left in the store; empty where there is none."""
    from hpc.progress import STATUS_FILE

    try:
        found = json.loads((store / STATUS_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
