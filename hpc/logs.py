"""One JSON-lines log a rank, STORE/logs/RUN-RANK.jsonl.

Owns the form of a line. Never writes to a terminal; what people should see goes elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

LOGS_FOLDER = "logs"

# What a log record has by itself; all else was given as `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, rank, message, then what was given as `extra`."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank = rank

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "rank": self._rank,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class _File(logging.FileHandler):
    """A log file that may fill up: that shows itself where results are written, not in a traceback a line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Lose the line."""

    def close(self) -> None:
        """Lose the rest where it cannot be written; the file is closed all the same."""
        with contextlib.suppress(OSError):
            super().close()


class RankLog:
    """Context in which everything that is logged in this process goes to the rank's file. Raises OSError at first."""

    def __init__(self, store: Path, run_id: str, rank: int) -> None:
        folder = store / LOGS_FOLDER
        folder.mkdir(exist_ok=True)
        self._handler = _File(folder / f"{run_id}-{rank}.jsonl", encoding="utf-8")
        self._handler.setFormatter(JsonFormatter(rank))
        self._former_level = logging.getLogger().level

    def __enter__(self) -> RankLog:
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(logging.INFO)
        return self

    def __exit__(self, *exception: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self._handler)
        root.setLevel(self._former_level)
        self._handler.close()
