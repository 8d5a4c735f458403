"""What a machine does to a job: each time nothing is lost, nothing is wrong, and the same command finishes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpc.verify import verify

pytestmark = pytest.mark.mpi

FAULTY_JOB = Path(__file__).with_name("faulty_job.py")
EXIT_REQUEST = 2
DISK_BYTES = 4 << 20
PAGE_BYTES = 4096


@pytest.fixture
def run_faulty(start_program: Any, engine: Any) -> Callable[..., tuple[int, str]]:
    """Run the toy job under a fault of rank 1, or of the ranks given, to its end: (exit code, stderr)."""

    def run(fault: str, store: Path, *arguments: object, ranks: str = "1", number: int = 2) -> tuple[int, str]:
        process = start_program(2, FAULTY_JOB, fault, ranks, number, store, "--seconds", 0.1, *arguments)
        _, err = process.communicate(timeout=engine.timeout_s)
        return process.returncode, err

    return run


def assert_finishes(engine: Any, store: Path, reference: dict[str, bytes]) -> None:
    """What was recorded is sound and not computed again; the same command ends with the bytes of a job without faults."""
    before = engine.ledger(store).units("partial")
    assert {fault.kind for fault in verify(store)} <= {"unrecorded"}
    assert engine.run(2, store, "--seconds", 0.001)[0] == 0
    after = engine.ledger(store).units("partial")
    assert set(after) == set(range(12))
    assert all(after[unit] == before[unit] == 1 for unit in before)
    assert engine.shard_bytes(store) == reference
    assert not list(store.rglob("*.partial"))


@pytest.mark.parametrize("moment", ["computing", "shard", "between", "record"])
def test_kill_9_of_a_rank(
    tmp_path: Path, engine: Any, run_faulty: Any, reference: dict[str, bytes], moment: str
) -> None:
    """While it computes, in the middle of a shard, between shard and record, and in the middle of the record."""
    store = tmp_path / "toy.zarr"
    code, _ = run_faulty(moment, store)
    assert code not in (0, EXIT_REQUEST)
    # Whatever else was being written when all were killed.
    assert moment != "shard" or list((store / "partial").rglob("*-1.partial"))
    (torn,) = [path.read_bytes() for path in (store / "ledger").glob("*-1.jsonl")] or [b""]
    assert (not torn or torn.endswith(b"\n")) == (moment != "record")
    unrecorded = [fault for fault in verify(store) if fault.kind == "unrecorded"]
    assert (len(unrecorded) > 0) or moment in ("computing", "shard")
    assert_finishes(engine, store, reference)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("read-only", "Read-only file system"), ("full", "File too large"), ("full ledger", "File too large")],
)
def test_a_disk_that_refuses_in_the_middle(
    tmp_path: Path, engine: Any, run_faulty: Any, reference: dict[str, bytes], fault: str, reason: str
) -> None:
    store = tmp_path / "toy.zarr"
    line = f"horseshoe: {store}: cannot be written ({reason}); mend that, the same command goes on\n"
    assert run_faulty(fault, store) == (EXIT_REQUEST, line)
    assert engine.ledger(store).units("partial")
    assert_finishes(engine, store, reference)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own. Where none may be mounted the tests above have to do."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_full(disk: Path, engine: Any, reference: dict[str, bytes]) -> None:
    store = disk / "toy.zarr"
    assert engine.run(1, store, env={**os.environ, "SLURM_JOB_END_TIME": "1"})[0] == 75

    # Leave room for the logs of another start and for a few units.
    room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler = disk / "filler"
    filler.write_bytes(bytes(room - 14 * PAGE_BYTES))
    code, _, err = engine.run(2, store)
    assert (code, err.count("\n")) == (EXIT_REQUEST, 1)
    assert err.startswith(f"horseshoe: {store}")
    assert "cannot be written (No space left on device)" in err

    filler.unlink()
    assert_finishes(engine, store, reference)


def test_a_store_that_was_made_read_only(disk: Path, engine: Any, reference: dict[str, bytes]) -> None:
    store = disk / "toy.zarr"
    assert engine.run(1, store, env={**os.environ, "SLURM_JOB_END_TIME": "1"})[0] == 75
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    before = sorted(store.rglob("*"))
    code, _, err = engine.run(2, store)
    assert (code, err.count("\n")) == (EXIT_REQUEST, 1)
    assert err.startswith(f"horseshoe: {store}: cannot be ")
    assert "Read-only file system" in err
    assert sorted(store.rglob("*")) == before

    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert_finishes(engine, store, reference)


def test_a_truncated_shard_is_named_and_computed_again(
    tmp_path: Path, engine: Any, reference: dict[str, bytes]
) -> None:
    """A later stage does not sum what is damaged."""
    store = tmp_path / "toy.zarr"
    process = engine.start(2, store, "--seconds", 0.001, "--pause", 60)
    engine.ledger(store).wait_for("partial", 12)
    pids = engine.rank_pids(store)
    process.kill()
    end_s = time.monotonic() + engine.timeout_s
    while any(engine.is_alive(pid) for pid in pids):
        assert time.monotonic() < end_s, "ranks outlive the job"
        time.sleep(0.01)
    shard = store / "partial" / "c" / "5" / "0"
    shard.write_bytes(shard.read_bytes()[:-3])
    damaged = f"horseshoe: {shard}: damaged; run `horseshoe verify`, then the job again\n"
    assert engine.run(2, store)[::2] == (EXIT_REQUEST, damaged)

    assert [(fault.kind, fault.unit) for fault in verify(store)] == [("damaged", 5)]
    assert engine.run(2, store)[0] == 0
    assert engine.shard_bytes(store) == reference
    assert verify(store) == []


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_jumps(
    tmp_path: Path, engine: Any, run_faulty: Any, reference: dict[str, bytes], years: int
) -> None:
    """Neither the deadline nor anything else of a run depends on the clock on the wall once it has begun."""
    store = tmp_path / "toy.zarr"
    assert run_faulty("clock", store, "--deadline", "1h", ranks="0,1", number=years) == (0, "")
    assert engine.shard_bytes(store) == reference
    status = json.loads((store / "status.json").read_text())
    assert status["state"] == "done"


CLOSED = "import os, sys; os.closerange(1, 3); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


@pytest.mark.parametrize("how", ["closed", "reader gone"])
def test_streams_that_are_closed(
    tmp_path: Path, engine: Any, start_program: Any, reference: dict[str, bytes], how: str
) -> None:
    """Where the reader has gone, mpiexec itself dies of it."""
    store = tmp_path / "toy.zarr"
    arguments = [engine.toy_job, store, "--progress", "lines", "--seconds", 0.02]
    if how == "closed":
        process = start_program(2, "-c", CLOSED, *arguments)
    else:
        process = start_program(2, *arguments)
        process.stdout.close()
        process.stderr.close()
    process.wait(engine.timeout_s)
    assert process.returncode == 0 or how == "reader gone"
    assert_finishes(engine, store, reference)
