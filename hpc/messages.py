"""What ranks tell each other while a stage runs, and the mailbox that carries it.

Owns the messages and the only point-to-point MPI calls. Never blocks, never decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm, Request

TAG = 7
COORDINATOR = 0
DEPUTY = 1


@dataclass(frozen=True)
class Stall:
    """A unit that computes, and the seconds since its kernel has last come back."""

    unit: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """From a rank to the coordinator (rank 0).

    `finished` lists (unit, seconds) since the last report; `wanted` is the number of units that the rank could use
    now, as seen after `num_orders` orders; `cost_in_flight` the finished part of the cost of units under way.
    `stall` is the unit whose kernel has not come back for longest. `stop` names a signal that arrived here, `refused`
    is the line of a RequestError raised by a unit, and `final` is set in the last report of a stage, when nothing is in
    flight any more.
    """

    finished: tuple[tuple[int, float], ...] = ()
    wanted: int = 0
    num_orders: int = 0
    cost_in_flight: float = 0.0
    stall: Stall | None = None
    stop: str | None = None
    refused: str | None = None
    final: bool = False


@dataclass(frozen=True)
class End:
    """Why a stage ends here: `code` 0 when all its units are durable, 75 when stopped, 2 when a unit was refused.

    Units in flight may go on for `grace_s`. With `lost` ranks, which take part in nothing any more, the job cannot be
    left together.
    """

    code: int
    reason: str
    grace_s: float = 0.0
    lost: tuple[int, ...] = ()


@dataclass(frozen=True)
class Orders:
    """From the coordinator to a rank: units to compute, in this order, or the end of the stage; empty, a sign of life."""

    units: tuple[int, ...] = ()
    end: End | None = None


class Mailbox:
    """Small messages on a communicator of their own. Main thread only."""

    def __init__(self, comm: Intracomm) -> None:
        from mpi4py import MPI

        self._comm = comm
        self.num_ranks = comm.size
        self._any_source = MPI.ANY_SOURCE
        self._status = MPI.Status()
        self._under_way: list[Request] = []

    def send(self, rank: int, message: Report | Orders) -> None:
        """Send without waiting; messages between two ranks arrive in order."""
        self._under_way = [request for request in self._under_way if not request.Test()]
        self._under_way.append(self._comm.isend(message, dest=rank, tag=TAG))

    def receive(self) -> Iterator[tuple[int, Any]]:
        """All (sender, message) that have arrived."""
        while self._comm.Iprobe(source=self._any_source, tag=TAG, status=self._status):
            sender = self._status.Get_source()
            yield sender, self._comm.recv(source=sender, tag=TAG)

    def is_empty(self) -> bool:
        """Whether all that was sent has left this process."""
        self._under_way = [request for request in self._under_way if not request.Test()]
        return not self._under_way
