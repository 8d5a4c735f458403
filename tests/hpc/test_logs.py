"""The log of a rank: one JSON object a line."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path

import pytest

from hpc.logs import RankLog


def test_a_line_is_an_object(tmp_path: Path) -> None:
    log = logging.getLogger("hpc.test")
    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    with RankLog(tmp_path, "20260101T000000Z-ab", 3):
        log.info("unit %d\ndone", 7, extra={"stage": "map", "seconds": 0.5, "path": tmp_path})
        try:
            raise ZeroDivisionError("in a test")
        except ZeroDivisionError:
            log.exception("failed")
    log.warning("after the end")
    assert (logging.getLogger().level, logging.getLogger().handlers) == (level, handlers)

    lines = (tmp_path / "logs" / "20260101T000000Z-ab-3.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "INFO",
        "logger": "hpc.test",
        "rank": 3,
        "message": "unit 7\ndone",
        "stage": "map",
        "seconds": 0.5,
        "path": str(tmp_path),
    }
    assert second["exception"].endswith("ZeroDivisionError: in a test")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_full_disk_loses_lines_and_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "run-0.jsonl").symlink_to("/dev/full")
    with suppress(OSError), RankLog(tmp_path, "run", 0):
        logging.getLogger("hpc.test").info("lost")
    assert capfd.readouterr().err == ""
