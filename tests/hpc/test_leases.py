"""Leases without jobs: one holder a block, expiry by what the file server shows, taking over, leaving nothing behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpc import leases, runs
from hpc.leases import LeaseFolder, Mark, Pulses, Tempo

TEMPO = Tempo(renew_s=10.0, expire_s=50.0)
HOUR_NS = 3600 * 10**9
STAGE = "partial"


class Clock:
    """A process's own clock, in seconds."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def join(tmp_path: Path, clock: Clock) -> Callable[..., LeaseFolder]:
    """A run, on a host of its own unless it is this one, that begins to share the store."""

    def make(run_id: str, *, host: str = "elsewhere", pid: int = 1) -> LeaseFolder:
        if not runs.read_run(tmp_path, run_id):
            runs.begin(tmp_path, run_id)
            facts = {"host": host, "pid": pid} if host else {"pid": pid}
            runs.update(tmp_path, run_id, facts)
        folder = LeaseFolder(tmp_path, run_id, TEMPO, clock)
        folder.beat()
        return folder

    return make


def take_over(folder: LeaseFolder, block: int) -> bool:
    """Try to have a block, as seen now."""
    number = folder.list(STAGE).blocks.get(block)
    return folder.acquire(STAGE, block) if number is None else folder.take_over(STAGE, block, number)


def files(store: Path) -> list[str]:
    return sorted(path.name for path in (store / "leases").iterdir())


def test_a_block_has_one_holder(tmp_path: Path, join: Any) -> None:
    first, second = join("a-1"), join("b-2")
    assert first.acquire(STAGE, 3)
    assert not second.acquire(STAGE, 3)
    assert not first.acquire(STAGE, 3)
    assert second.acquire(STAGE, 4)
    assert second.acquire("sum", 3)
    assert first.list(STAGE) == leases.Listing(frozenset({"a-1", "b-2"}), {3: 0, 4: 0})
    second.release(STAGE, 3)
    assert not second.acquire(STAGE, 3)
    first.release(STAGE, 3)
    assert second.acquire(STAGE, 3)
    assert files(tmp_path) == ["a-1.beat", "b-2.beat", "partial.3.0.lease", "partial.4.0.lease", "sum.3.0.lease"]


def test_a_block_is_taken_from_who_is_silent(join: Any, clock: Clock) -> None:
    holder, other = join("a-1"), join("b-2")
    assert holder.acquire(STAGE, 0)
    for _ in range(20):
        clock.now_s += TEMPO.renew_s
        holder.beat()
        assert not take_over(other, 0)
    clock.now_s += TEMPO.expire_s - 1
    assert not take_over(other, 0)
    clock.now_s += 1
    assert take_over(other, 0)

    # Who wakes up again leaves the new holder alone.
    holder.release(STAGE, 0)
    holder.beat()
    assert not holder.acquire(STAGE, 0)
    assert not take_over(holder, 0)


def test_who_is_known_to_be_dead_is_not_waited_for(tmp_path: Path, join: Any) -> None:
    ended, gone, other = join("a-1"), join("b-2", host="", pid=2**22 + 1), join("c-3")
    assert ended.acquire(STAGE, 0)
    assert gone.acquire(STAGE, 1)
    assert take_over(other, 1)
    assert not take_over(other, 0)
    runs.update(tmp_path, "a-1", {"ended": "2026-08-01T18:00:00+00:00"})
    assert take_over(other, 0)


def test_who_has_been_silent_for_long_is_listened_to_for_two_renewals(tmp_path: Path, join: Any, clock: Clock) -> None:
    """As some file systems take times from their clients, the age of a file alone says too little."""
    holder, other = join("a-1"), join("b-2")
    assert holder.acquire(STAGE, 0)
    beat = tmp_path / "leases" / "a-1.beat"
    os.utime(beat, ns=(0, beat.stat().st_mtime_ns - HOUR_NS))
    assert not take_over(other, 0)
    clock.now_s += 2 * TEMPO.renew_s - 1
    assert not take_over(other, 0)
    clock.now_s += 1
    assert take_over(other, 0)


@pytest.mark.parametrize("hours", [-50_000, -1, 1, 50_000])
def test_clocks_that_jump_take_nothing_away(
    tmp_path: Path, join: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Neither the wall clock of a host, nor that of a client whose file system takes its times for the server's."""
    holder, other = join("a-1"), join("b-2")
    assert holder.acquire(STAGE, 0)
    beat = tmp_path / "leases" / "a-1.beat"
    monkeypatch.setattr("time.time", lambda: 1e9 + hours * 3600.0)
    for look in range(40):
        clock.now_s += TEMPO.renew_s
        holder.beat()
        if look % 2:
            os.utime(beat, ns=(0, max(0, beat.stat().st_mtime_ns + hours * HOUR_NS)))
        other.beat()
        assert not take_over(other, 0)

    # Once it is silent it is dead, whatever the time of its file.
    clock.now_s += TEMPO.expire_s
    assert take_over(other, 0)


def test_age_is_a_difference_of_times_of_one_server() -> None:
    pulses = Pulses(TEMPO)
    assert not pulses.is_silent("same", Mark(7 * HOUR_NS, 1), 7 * HOUR_NS, 0.0)
    assert not pulses.is_silent("old", Mark(0, 1), 7 * HOUR_NS, 0.0)
    assert not pulses.is_silent("future", Mark(7 * HOUR_NS, 1), 0, 0.0)
    silent_s = {
        name: next(s for s in range(100) if pulses.is_silent(name, mark, 0, float(s)))
        for name, mark in {"same": Mark(7 * HOUR_NS, 1), "old": Mark(0, 1), "future": Mark(7 * HOUR_NS, 1)}.items()
    }
    assert silent_s == {"same": 50, "old": 20, "future": 50}
    assert not pulses.is_silent("same", Mark(7 * HOUR_NS, 2), 0, 60.0)
    assert not pulses.is_silent("same", Mark(7 * HOUR_NS, 2), 0, 109.0)
    assert pulses.is_silent("same", Mark(7 * HOUR_NS, 2), 0, 110.0)


@pytest.mark.parametrize("text", ["", "{", '{"run": "../../etc"}', '{"run": 1}', "[" * 5000])
def test_a_lease_that_names_nobody_expires_by_itself(tmp_path: Path, join: Any, clock: Clock, text: str) -> None:
    other = join("b-2")
    (tmp_path / "leases" / "partial.0.0.lease").write_text(text)
    assert not take_over(other, 0)
    clock.now_s += TEMPO.expire_s
    assert take_over(other, 0)


def test_neither_pipes_nor_links_are_waited_for(tmp_path: Path, join: Any) -> None:
    other = join("b-2")
    os.mkfifo(tmp_path / "leases" / "partial.0.0.lease")
    assert not take_over(other, 0)
    (tmp_path / "leases" / "partial.1.0.lease").symlink_to(tmp_path / "elsewhere")
    assert not other.acquire(STAGE, 1)
    with pytest.raises(OSError, match="symbolic links"):
        take_over(other, 1)
    assert not (tmp_path / "elsewhere").exists()


def test_one_of_many_takes_over(tmp_path: Path, join: Any) -> None:
    """At the same moment, from a dead run; and none of them loses it to one that looked before."""
    dead = join("a-1", host="", pid=2**22 + 1)
    takers = [join(f"t-{number}") for number in range(8)]
    for block in range(60):
        assert dead.acquire(STAGE, block)
        gate, won = threading.Barrier(len(takers)), []

        def take(taker: LeaseFolder, block: int = block, gate: Any = gate, won: list[Any] = won) -> None:
            gate.wait()
            if take_over(taker, block):
                won.append(taker)

        threads = [threading.Thread(target=take, args=(taker,)) for taker in takers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1, f"block {block}"
        won[0].release(STAGE, block)
    assert [name for name in files(tmp_path) if not name.endswith(".beat")] == []


def test_who_wakes_up_late_takes_nothing(join: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sees a dead holder, and sleeps while another takes over, ends the block, and a third begins it anew."""
    dead, fast, slow = join("a-1", host="", pid=2**22 + 1), join("b-2"), join("c-3")
    assert dead.acquire(STAGE, 0)
    is_dead = slow._is_dead

    def late(run_id: str, lease: Path) -> bool:
        found = is_dead(run_id, lease)
        assert take_over(fast, 0)
        fast.release(STAGE, 0)
        assert fast.acquire(STAGE, 0)
        return found

    monkeypatch.setattr(slow, "_is_dead", late)
    assert not take_over(slow, 0)
    assert fast.list(STAGE).blocks == {0: 0}
    fast.release(STAGE, 0)
    assert fast.list(STAGE).blocks == {}


def test_the_dead_of_the_dead(tmp_path: Path, join: Any) -> None:
    dead = [join(f"d-{number}", host="", pid=2**22 + 1) for number in range(3)]
    assert all(take_over(each, 0) for each in dead)
    assert dead[0].list(STAGE).blocks == {0: 2}
    for each in dead[:2]:
        each.release(STAGE, 0)
    living = join("z-9")
    assert take_over(living, 0)
    assert not any(take_over(each, 0) for each in dead)
    living.release(STAGE, 0)
    assert [name for name in files(tmp_path) if name.endswith(".lease")] == []


def test_the_last_to_leave_clears_the_folder(tmp_path: Path, join: Any) -> None:
    first, dead, last = join("a-1"), join("b-2", host="", pid=2**22 + 1), join("c-3")
    assert dead.acquire(STAGE, 7)
    first.leave()
    assert files(tmp_path) == ["b-2.beat", "c-3.beat", "partial.7.0.lease"]
    last.leave()
    assert not (tmp_path / "leases").exists()
    last.leave()

    # Who still works finds a place again.
    assert first.acquire(STAGE, 1)


def test_who_lives(tmp_path: Path, join: Any) -> None:
    assert leases.living_runs(tmp_path) == []
    join("a-1")
    join("b-2")
    join("c-3", host="", pid=2**22 + 1)
    beat = tmp_path / "leases" / "b-2.beat"
    assert leases.living_runs(tmp_path) == ["a-1", "b-2"]
    os.utime(beat, ns=(0, beat.stat().st_mtime_ns - HOUR_NS))
    assert leases.living_runs(tmp_path) == ["a-1"]
    beat.unlink()
    beat.symlink_to(tmp_path)
    assert leases.living_runs(tmp_path) == ["a-1"]
