"""What one message between ranks costs each of them: a program for `mpiexec -n 2`, through the engine's own mailbox."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpc.messages import Mailbox

NUM_ROUNDS = 50
IN_A_ROUND = 32
SETTLE_S = 0.002


def main() -> None:
    """Send reports to rank 0 and orders back, a few at a time; print rank 0's processor seconds a message as JSON."""
    from hpc import launch
    from hpc.messages import COORDINATOR, Mailbox, Orders, Report

    comm = launch.start()
    mailbox = Mailbox(comm.Dup())
    received_s = sent_s = 0.0
    for _ in range(NUM_ROUNDS):
        if comm.rank != COORDINATOR:
            for unit in range(IN_A_ROUND):
                mailbox.send(COORDINATOR, Report(finished=((unit, 1.0),), wanted=1, num_orders=unit))
            collect(mailbox)
        else:
            taken_s, reports = collect(mailbox)
            received_s += taken_s
            begun_s = time.thread_time()
            for sender, report in reports:
                mailbox.send(sender, Orders((report.num_orders,)))
            sent_s += time.thread_time() - begun_s
    if comm.rank == COORDINATOR:
        number = NUM_ROUNDS * IN_A_ROUND
        print(json.dumps({"receive_s": received_s / number, "send_s": sent_s / number}), flush=True)
    launch.leave(comm, 0)


def collect(mailbox: Mailbox) -> tuple[float, list[tuple[int, Any]]]:
    """All messages of a round, and the processor seconds that receiving them took."""
    taken_s, found = 0.0, list[tuple[int, Any]]()
    while len(found) < IN_A_ROUND:
        time.sleep(SETTLE_S)
        begun_s = time.thread_time()
        found += list(mailbox.receive())
        taken_s += time.thread_time() - begun_s
    return taken_s, found


if __name__ == "__main__":
    main()
