"""Results appear whole or not at all, whatever happens on the way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.files import replacing
from kernels.errors import RequestError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "a.txt"
    out.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(out) as temporary:
        temporary.write_text(str(1 / 0))
    assert out.read_text() == "old"
    with replacing(out) as temporary:
        temporary.write_text("new")
        assert out.read_text() == "old"
    assert out.read_text() == "new"
    assert list(tmp_path.iterdir()) == [out]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    for out, reason in [
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "a.png", "make it first"),
        (tmp_path / "file" / "a.png", "is not a folder"),
        (tmp_path / "loop", "is not a file"),
        (tmp_path / "pipe", "is not a file"),
        (tmp_path / ("n" * 300), "cannot be written"),
    ]:
        with pytest.raises(RequestError, match=reason), replacing(out):
            pytest.fail("entered")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop", "pipe"]


@pytest.mark.parametrize("filename", [None, "a.txt"])
def test_a_full_disk_is_one_line(tmp_path: Path, filename: str | None) -> None:
    out = tmp_path / "a.txt"
    named = None if filename is None else str(tmp_path / filename)
    with pytest.raises(RequestError, match=r"a\.txt cannot be written \(No space left on device\)"), replacing(out):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), named)
    assert list(tmp_path.iterdir()) == []


def test_errors_elsewhere_are_not_blamed_on_the_result(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^.*/missing: No such file or directory$"), replacing(tmp_path / "a.txt"):
        (tmp_path / "missing").read_text()
    with pytest.raises(ConnectionError, match="lost"), replacing(tmp_path / "a.txt"):
        raise ConnectionError("lost")


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "a.txt"
    target.parent.mkdir()
    link = tmp_path / "link"
    link.symlink_to("folder/a.txt")
    for text in ("first", "second"):
        with replacing(link) as temporary:
            temporary.write_text(text)
        assert link.is_symlink()
        assert target.read_text() == text


def test_sigterm_leaves_no_partial_file(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom analysis.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n    print('begun', flush=True)\n    time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_a_handler_of_somebody_else_stays(tmp_path: Path) -> None:
    def handler(number: int, _frame: object) -> None:
        raise AssertionError(number)

    before: Callable[..., object] | int | None = signal.signal(signal.SIGTERM, handler)
    try:
        with replacing(tmp_path / "a.txt"):
            assert signal.getsignal(signal.SIGTERM) is handler
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)  # type: ignore[arg-type]
    with replacing(tmp_path / "b.txt"):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is before
