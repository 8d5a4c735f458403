"""`horseshoe verify`: every shard of a store against the checksum in its ledger, checkpoints against their own."""

from __future__ import annotations

from jobs.commands.options import Store
from kernels.errors import one_line

EXIT_SOUND = 0
EXIT_RUN_AGAIN = 75


def main(store: Store, /) -> int:
    """Check every shard of a store against the ledger; name what is missing or damaged.

    Bad units are struck from the ledger, so that `horseshoe run` computes exactly them: then the exit code is 75.
    Damaged checkpoints are struck too; the same code says that the next run has to make the last one again.
    """
    from hpc.verify import verify
    from jobs.training.mending import strike

    faults = verify(store)
    for fault in faults:
        print(one_line(fault))
    struck = strike(store)
    for one in struck:
        print(one_line(one))
    bad = [fault for fault in faults if fault.kind != "unrecorded"]
    num_bad = len(bad) + sum(one.is_needed for one in struck)
    if num_bad:
        print(f"{num_bad} bad file{'s' * (num_bad > 1)}: `horseshoe run` with the same job mends what is bad")
    print(store)
    return EXIT_RUN_AGAIN if num_bad else EXIT_SOUND
