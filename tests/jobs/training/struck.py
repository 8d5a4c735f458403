"""The command line, with something that happens at a step of training: `struck.py WHAT:STEP:RANK run JOB ...`.

WHAT is `kill` (SIGKILL before the step), `term` (SIGTERM before it), `refuse`, `disk` or `bug` (a RequestError, an OSError
or another error of this rank alone), `vanish` (the same RequestError on all ranks), `write` (SIGKILL in the middle of the
checkpoint at that step), or `digest` (after the step each rank leaves a sum of its weights in the file digest-RANK).
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from jobs import cli
from jobs.training import checkpoint
from jobs.training.trainer import Trainer
from kernels.errors import RequestError

what, _, place = sys.argv[1].partition(":")
step_word, _, rank_word = place.partition(":")
step_struck, rank_struck = int(step_word or -1), int(rank_word or -1)

ERRORS: dict[str, Exception] = {
    "refuse": RequestError("data.path: stories.txt has changed"),
    "disk": OSError(errno.EIO, "Input/output error", "stories.txt"),
    "bug": ArithmeticError("a mistake of ours"),
}

take_step = Trainer.step
save = checkpoint.Checkpoints.save


def step(self: Trainer, number: int, **told: Any) -> Any:
    rank = self._group.rank
    if number == step_struck and rank == rank_struck and what in ("kill", "term"):
        os.kill(os.getpid(), signal.SIGKILL if what == "kill" else signal.SIGTERM)
    if number == step_struck and rank == rank_struck and what in ERRORS:
        raise ERRORS[what]
    if number == step_struck and what == "vanish":
        raise ERRORS["refuse"]
    found = take_step(self, number, **told)
    if what == "digest" and number == step_struck:
        data = b"".join(tensor.numpy().tobytes() for tensor in self.model_tensors().values())
        Path(f"digest-{rank}").write_text(hashlib.sha256(data).hexdigest())
    return found


def struck_save(self: checkpoint.Checkpoints, contents: checkpoint.Contents) -> Path:
    if what == "write" and contents.state.step == step_struck:

        def die(*_: Any, **__: Any) -> Any:
            os.kill(os.getpid(), signal.SIGKILL)

        checkpoint._measure = die
    return save(self, contents)


Trainer.step = step  # type: ignore[method-assign]
checkpoint.Checkpoints.save = struck_save  # type: ignore[method-assign]
cli.main(sys.argv[2:])
