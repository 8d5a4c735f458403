"""`horseshoe status`: how far a store is, from its ledgers and the last status of its run. Starts no MPI."""

from __future__ import annotations

from pathlib import Path

import msgspec

from jobs.commands.options import Store
from kernels.errors import one_line

UNDER_WAY = ("running", "stopping")


def main(store: Store, /) -> int:
    """Print what is finished of a store and what its last run said."""
    from hpc.reading import open_for_reading

    # A store may be a stranger's: what its texts do to a terminal is left out.
    reader = open_for_reading(store)
    told = reader.attributes
    name, kind, job_hash = map(one_line, (told["job"].get("name"), told["kind"], told["job_hash"]))
    print(f"job      {name} ({kind}), {job_hash}")
    for stage in reader.stages():
        finished = reader.finished_units(stage)
        done = int(finished.sum())
        share = 100 * done / finished.size if finished.size else 100.0
        print(f"stage    {one_line(stage)}: {done} of {finished.size} units, {share:.1f} %")
    for line in (*_last_run(store), *_living_runs(store)):
        print(line)
    print(store)
    return 0


class LastWords(msgspec.Struct):
    """What `status` reads of the file that a run keeps up to date."""

    run: str
    state: str
    updated: str
    ranks: int
    eta_s: float | None = None
    rate: float | None = None


def _living_runs(store: Path) -> list[str]:
    """How many runs share the store now, where there are several."""
    from hpc.leases import living_runs

    found = living_runs(store)
    return [f"sharing  {len(found)} runs are at work: {', '.join(found)}"] if len(found) > 1 else []


def read_status(store: Path) -> LastWords | None:
    """The last status that a run has left in the store; None where there is none."""
    from hpc.given import read_json
    from hpc.progress import STATUS_FILE

    try:
        return msgspec.convert(read_json(store / STATUS_FILE), LastWords)
    except (OSError, ValueError):
        return None


def _last_run(store: Path) -> list[str]:
    """What the last run said, and whether it can still say anything: a killed one has left `running` behind."""
    from hpc import runs
    from jobs.estimate import human_seconds

    last = read_status(store)
    if last is None:
        return []
    is_under_way = last.state in UNDER_WAY
    dead = is_under_way and runs.known_dead(runs.read_run(store, last.run))
    state = "ended without a word" if dead else last.state
    ranks = f"{last.ranks} rank{'s' * (last.ranks != 1)}"
    lines = [f"run      {one_line(last.run)}: {one_line(state)}, updated {one_line(last.updated)}, {ranks}"]
    if is_under_way and not dead and last.eta_s is not None:
        # Before the first unit has ended there is a part of it to go by, but no rate of units.
        rate = "" if last.rate is None else f", {last.rate:.3g} units a second"
        lines.append(f"left     about {human_seconds(last.eta_s)}{rate}")
    return lines
