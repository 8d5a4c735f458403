"""`horseshoe verify`: every shard of a store against the checksum in its ledger."""

from __future__ import annotations

from jobs.commands.options import Store
from kernels.errors import one_line

EXIT_SOUND = 0
EXIT_RUN_AGAIN = 75


def main(store: Store, /) -> int:
    """Check every shard of a store against the ledger; name what is missing or damaged.

    Bad units are struck from the ledger, so that `horseshoe run` computes exactly them: then the exit code is 75.
    """
    from hpc.verify import verify

    faults = verify(store)
    for fault in faults:
        print(one_line(fault))
    bad = [fault for fault in faults if fault.kind != "unrecorded"]
    if bad:
        print(f"{len(bad)} bad file{'s' * (len(bad) > 1)}: `horseshoe run` with the same job mends what is bad")
    print(store)
    return EXIT_RUN_AGAIN if bad else EXIT_SOUND
