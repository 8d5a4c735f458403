"""`horseshoe verify`: every shard of a store against the checksum in its ledger, checkpoints against their own."""

from __future__ import annotations

from jobs.commands.options import Store
from kernels.errors import one_line

EXIT_SOUND = 0
EXIT_RUN_AGAIN = 75


def main(store: Store, /) -> int:
    """Check every shard of a store against the ledger; name what is missing or damaged.

    Bad units are struck from the ledger, so that `horseshoe run` computes exactly them: then the exit code is 75.
    Checkpoints of models are named too where they are damaged; units do not depend on them.
    """
    from hpc.verify import verify
    from jobs.training.checkpoint import damaged

    faults = verify(store)
    for fault in faults:
        print(one_line(fault))
    for place in damaged(store):
        print(one_line(f"{place.relative_to(store).as_posix()}: damaged: a run goes on from the checkpoint before it"))
    bad = [fault for fault in faults if fault.kind != "unrecorded"]
    if bad:
        print(f"{len(bad)} bad file{'s' * (len(bad) > 1)}: `horseshoe run` with the same job mends what is bad")
    print(store)
    return EXIT_RUN_AGAIN if bad else EXIT_SOUND
