"""Training: the trainer against a bare loop of PyTorch, more ranks against one, mixers against transformers.

    python -m benchmarks.training [ROUNDS]

prints its section of benchmarks/RESULTS.md alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import rounds, training_steps
from benchmarks.rounds import Score
from hpc.reading import open_for_reading
from jobs import model

BIN = Path(sys.executable).parent
SMALL, LARGE = "ddp-scaling-small", "ddp-scaling"
NUM_ROUNDS = 5
LEFT_OUT = 5
"""Steps at the beginning that are not counted."""

MOST_RANKS = 4
TEXT_EFFICIENCY = {1: 1.0, 2: 1.003, 3: 0.994, 4: 0.981}
"""Of GPUs, in the text."""

BARE = "bare loop of PyTorch"

Busy = dict[int, list[float]]
"""Share of a core that each rank kept busy, over all runs with a number of ranks."""


def section(num_rounds: int = NUM_ROUNDS) -> list[str]:
    """The section `Training` as lines of Markdown."""
    cuda = num_gpus()
    job = LARGE if cuda else SMALL
    device = "cuda" if cuda else "host"
    counts = range(1, min(MOST_RANKS, cuda or len(os.sched_getaffinity(0))) + 1)
    busy: Busy = {}
    contestants: dict[str, Callable[[], float]] = {BARE: partial(bare, SMALL), "trainer": partial(ranks, SMALL, 1)}
    contestants |= {_name(count): partial(ranks, job, count, device, busy) for count in counts}
    if not cuda:
        # The trainer on one rank is the first line of the table as well.
        contestants["trainer"] = contestants.pop(_name(1))
    scores = rounds.alternate(contestants, num_rounds)
    if not cuda:
        scores[_name(1)] = scores["trainer"]
    ratio = rounds.ratio(scores, "trainer", BARE)
    return [
        *("", "## Training", "", "| ratio | measured | required |", "|---|---|---|"),
        f"| trainer on 1 rank / {BARE}, tokens a second | {ratio:.3f} | 0.97 |",
        "",
        f"One thread each: trainer {_speed(scores['trainer'])}, {BARE} {_speed(scores[BARE])}.",
        "",
        *scaling(job, "GPU" if cuda else "core", scores, busy),
        *training_steps.section(num_rounds),
    ]


def scaling(job: str, device: str, scores: dict[str, Score], busy: Busy) -> list[str]:
    """The table of efficiencies, beside the text's."""
    one = _name(1)
    lines = [
        f"The same samples of `{job}` on several ranks, a {device} each:",
        "",
        "| ranks | tokens/s | efficiency | the text's, on GPUs | cores busy, a rank |",
        "|---|---|---|---|---|",
    ]
    for count, shares in busy.items():
        efficiency = rounds.ratio(scores, _name(count), one) / count
        cells = f"{efficiency:.3f} | {TEXT_EFFICIENCY[count]:.3f} | {statistics.median(shares):.2f}"
        lines.append(f"| {count} | {_speed(scores[_name(count)])} | {cells} |")
    return lines


def bare(job: str) -> float:
    """Tokens a second of the bare loop, in a process of its own that is started as a rank is."""
    loaded: Any = model.load(job)
    sizes = {
        **{name: getattr(loaded.data, name) for name in ("count", "context")},
        **{name: getattr(loaded.model, name) for name in ("mixing", "width", "depth")},
        **{name: getattr(loaded.train, name) for name in ("batch", "steps")},
        "left_out": LEFT_OUT,
    }
    command = [sys.executable, "-m", "benchmarks.baselines.training_loop", json.dumps(sizes)]
    return float(_start(command, 1).split()[-1])


def ranks(job: str, num_ranks: int, device: str = "host", busy: Busy | None = None) -> float:
    """Tokens a second of the trainer, by its own clock; notes in `busy` how much of a core each rank used."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.zarr"
        settings = ("run.threads=1", "run.progress='none'", f"run.device='{device}'")
        sets = [word for setting in settings for word in ("--set", setting)]
        _start([str(BIN / "horseshoe"), "run", job, "--out", str(store), *sets], num_ranks)
        reader = open_for_reading(store)
        tokens, seconds = (reader.read(name)[0] for name in ("weight", "seconds"))
        if busy is not None:
            busy.setdefault(num_ranks, []).extend(_shares(store))
    return float((tokens[-1] - tokens[LEFT_OUT - 1]) / (seconds[-1] - seconds[LEFT_OUT - 1]))


def _shares(store: Path) -> list[float]:
    """What each rank's log says of its processor time in training."""
    entries = [json.loads(line) for path in (store / "logs").glob("*.jsonl") for line in path.read_text().splitlines()]
    return [entry["cpu_share"] for entry in entries if entry["message"] == "run ends" and entry["stage"] == "train"]


def _start(command: list[str], num_ranks: int) -> str:
    """What ranks with one thread each print."""
    launcher = [str(BIN / "mpiexec"), "-n", str(num_ranks)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*launcher, *command], stdout=subprocess.PIPE, text=True, env=environment, check=True).stdout


def num_gpus() -> int:
    """GPUs that torch can use."""
    import torch

    return int(torch.cuda.device_count())


def _name(num_ranks: int) -> str:
    return f"{num_ranks} rank{'s' * (num_ranks != 1)}"


def _speed(score: Score) -> str:
    return f"{score.median:,.0f} (spread {score.spread:.2f})"


if __name__ == "__main__":
    print("\n".join(section(int(sys.argv[1]) if len(sys.argv) > 1 else NUM_ROUNDS)))
