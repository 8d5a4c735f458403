"""Progress: what is measured, and what people see on terminals and in logs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hpc import progress
from hpc.progress import Display, Meter, Snapshot, StageProgress
from hpc.views import Lines, choose_view

STAGES = (StageProgress("map", 0, 30), StageProgress("sum", 0, 10))
BAR = "━"


def snapshot(**changes: Any) -> Snapshot:
    values = {"run": "r-1", "state": "running", "ranks": 2, "stages": STAGES, "stage": "map", "percent": 12.5}
    return Snapshot(**{**values, "rate": 2.0, "eta_s": 75.0, **changes})


def test_the_meter_weighs_stages_and_costs() -> None:
    meter = Meter("r-1", 2, STAGES)
    # Of a cost of 100, 40 in 10 units were there at the start.
    meter.begin(0, done=10, cost_done=40.0, cost_total=100.0, now_s=100.0)
    first = meter.measure("running", num_done=4, cost_done=20.0, cost_in_flight=10.0, now_s=110.0)
    assert first.stages == (StageProgress("map", 14, 30), StageProgress("sum", 0, 10))
    assert first.percent == pytest.approx(100 * 30 * 0.7 / 40)
    assert first.rate == pytest.approx(0.4)
    assert first.eta_s == pytest.approx(10.0)

    meter.measure("running", num_done=20, cost_done=60.0, cost_in_flight=0.0, now_s=130.0)
    meter.begin(1, done=0, cost_done=0.0, cost_total=10.0, now_s=130.0)
    second = meter.measure("running", num_done=0, cost_done=0.0, cost_in_flight=0.0, now_s=131.0)
    assert second.stages == (StageProgress("map", 30, 30), StageProgress("sum", 0, 10))
    assert (second.stage, second.percent, second.rate, second.eta_s) == ("sum", 75.0, None, None)
    assert meter.finish("stopped").state == "stopped"


def test_lines_come_at_intervals_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lines = Lines(interval_s=0.05)
    for _ in range(3):
        lines.show(snapshot())
    assert not caplog.messages
    time.sleep(0.06)
    for _ in range(3):
        lines.show(snapshot())
    lines.close(snapshot(state="done", percent=100.0, eta_s=None))
    assert caplog.messages == [
        "running map: 12.5 %, 0 of 30 units, 2 units/s, 0:01:15 left",
        "done map: 100.0 %, 0 of 30 units, 2 units/s",
    ]


def test_the_display_survives_its_view(tmp_path: Path) -> None:
    """A terminal that goes away, or takes nothing, costs neither the job nor its status."""

    class Gone:
        def show(self, _: Snapshot) -> None:
            raise OSError("no terminal")

        close = show

    class Paused:
        def show(self, _: Snapshot) -> None:
            threading.Event().wait(5)

        close = show

    for number, view in enumerate((Gone(), Paused())):
        (tmp_path / str(number)).mkdir()
        display = Display(tmp_path / str(number), lambda view=view: view)
        display.publish(snapshot())
        time.sleep(progress.REFRESH_S + 0.2)
        display.publish(snapshot(state="stopped"))
        begun_s = time.monotonic()
        display.close()
        assert time.monotonic() - begun_s < 1.0
        status = json.loads((tmp_path / str(number) / "status.json").read_text())
        assert status.pop("updated")
        assert status == {
            "run": "r-1",
            "state": "stopped",
            "ranks": 2,
            "stages": [{"name": "map", "done": 0, "total": 30}, {"name": "sum", "done": 0, "total": 10}],
            "stage": "map",
            "percent": 12.5,
            "rate": 2.0,
            "eta_s": 75.0,
            "note": "",
        }


def test_none_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    display = Display(tmp_path, lambda: choose_view("none"))
    display.publish(snapshot())
    display.close()
    assert (tmp_path / "status.json").exists()
    assert capfd.readouterr() == ("", "")


class Terminal:
    """A pseudo-terminal and all that is written on it."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self.text = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while select.select([self.ours], [], [], 30)[0]:
            try:
                self.text += os.read(self.ours, 65536)
            except OSError:
                return

    def close(self) -> str:
        time.sleep(0.1)
        os.close(self.theirs)
        self._thread.join(5)
        os.close(self.ours)
        return self.text.decode()


def command(engine: Any, store: Path, num_ranks: int, *more: str) -> list[str]:
    job = [sys.executable, str(engine.toy_job), str(store), "--seconds", "0.2", "--progress", *more]
    return [str(Path(sys.executable).with_name("mpiexec")), "-n", str(num_ranks), *job]


@pytest.mark.mpi
def test_a_bar_on_the_terminal_of_mpiexec(tmp_path: Path, engine: Any) -> None:
    """Ranks have pipes; the bar goes to the terminal that mpiexec has, and to no other stream."""
    terminal = Terminal()
    process = subprocess.Popen(
        command(engine, tmp_path / "toy.zarr", 2, "auto"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal.theirs,
    )
    out, _ = process.communicate(timeout=engine.timeout_s)
    seen = terminal.close()
    assert process.returncode == 0
    assert out.decode() == f"{tmp_path / 'toy.zarr'}\n"
    assert BAR in seen
    percentages = [float(number) for number in re.findall(r"([\d.]+) %", seen)]
    assert percentages == sorted(percentages)
    assert len(set(percentages)) > 2
    assert percentages[-1] == 100.0
    assert "12/12" in seen or "2/2" in seen


@pytest.mark.mpi
def test_lines_where_mpiexec_writes_into_a_file(tmp_path: Path, engine: Any) -> None:
    """The shell that started mpiexec has a terminal, but that is not where its messages go."""
    terminal = Terminal()
    words = " ".join(command(engine, tmp_path / "toy.zarr", 2, "auto"))
    process = subprocess.Popen(
        ["sh", "-c", f"{words} 2> {tmp_path / 'log'}; exit $?"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal.theirs,
    )
    assert process.wait(engine.timeout_s) == 0
    assert terminal.close() == ""
    log = (tmp_path / "log").read_text()
    assert BAR not in log
    assert re.fullmatch(r"\d\d:\d\d:\d\d done sum: 100\.0 %, 2 of 2 units, .* units/s\n", log)


@pytest.mark.mpi
def test_a_terminal_that_is_paused_does_not_hold_up_the_job(tmp_path: Path, engine: Any) -> None:
    ours, theirs = pty.openpty()
    # Fill the terminal's buffer, which nobody reads: the next write blocks.
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(theirs, b"x" * 4096):
            pass
    os.set_blocking(theirs, True)
    process = subprocess.Popen(
        command(engine, tmp_path / "toy.zarr", 2, "bar"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    try:
        process.communicate(timeout=engine.timeout_s)
        assert process.returncode == 0
        assert json.loads((tmp_path / "toy.zarr" / "status.json").read_text())["state"] == "done"
    finally:
        process.kill()
        os.close(theirs)
        os.close(ours)
