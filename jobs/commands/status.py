"""`horseshoe status`: how far a store is, from its ledgers and the last status of its run. Starts no MPI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.commands.options import Store

UNDER_WAY = ("running", "stopping")


def main(store: Store, /) -> int:
    """Print what is finished of a store and what its last run said."""
    from hpc.reading import open_for_reading

    reader = open_for_reading(store)
    print(f"job      {reader.attributes['job']['name']} ({reader.attributes['kind']}), {reader.attributes['job_hash']}")
    for stage in reader.stages():
        finished = reader.finished_units(stage)
        done = int(finished.sum())
        print(f"stage    {stage}: {done} of {finished.size} units, {100 * done / finished.size:.1f} %")
    for line in _last_run(store):
        print(line)
    print(store)
    return 0


def read_status(store: Path) -> dict[str, Any]:
    """The last status that a run has left in the store; empty where there is none."""
    from hpc.progress import STATUS_FILE

    try:
        found = json.loads((store / STATUS_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.keys() >= {"run", "state", "updated", "ranks"} else {}


def _last_run(store: Path) -> list[str]:
    """What the last run said, and whether it can still say anything: a killed one has left `running` behind."""
    from hpc import runs
    from jobs.estimate import human_seconds

    last = read_status(store)
    if not last:
        return []
    dead = last["state"] in UNDER_WAY and runs.known_dead(runs.read_runs(store).get(str(last["run"]), {}))
    state = "ended without a word" if dead else last["state"]
    ranks = f"{last['ranks']} rank{'s' * (last['ranks'] != 1)}"
    lines = [f"run      {last['run']}: {state}, updated {last['updated']}, {ranks}"]
    if last["state"] in UNDER_WAY and not dead and last.get("eta_s") is not None:
        # Before the first unit has ended there is a part of it to go by, but no rate of units.
        rate = "" if last.get("rate") is None else f", {last['rate']:.3g} units a second"
        lines.append(f"left     about {human_seconds(last['eta_s'])}{rate}")
    return lines
