"""`make bench`: measure everything and write benchmarks/RESULTS.md, ratios first."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import gpu, maps, ranks, rounds, threebody, training
from benchmarks.machine import ROOT, processor
from benchmarks.rounds import Score
from kernels.backends.compiler import describe_compiler
from kernels.backends.host import vector_width
from kernels.errors import RequestError

RESULTS = Path(__file__).parent / "RESULTS.md"

LARGE_ROUNDS = 3
"""How long the last rank waits for the other's last unit differs from run to run."""


def main() -> None:
    """Measure, print and write."""
    kernels = [*kernel_section(), *maps_section()]
    text = "\n".join([*heading(), *kernels, *application_section(), *training.section(), *gpu_section()]) + "\n"
    RESULTS.write_text(text)
    print(text)
    print(RESULTS)


def heading() -> list[str]:
    """Where and when."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [
        "# Results of `make bench`",
        "",
        f"- processor: {processor()}, {vector_width()} lanes of float64",
        f"- compiler: {describe_compiler().rpartition(': ')[2]}",
        f"- commit: {commit.stdout.strip() or 'unknown'}, {datetime.now(UTC):%Y-%m-%d}",
        f"- {rounds.NUM_ROUNDS} rounds ({training.NUM_ROUNDS} of training), contestants alternating within each; speeds are",
        "  medians, spread is (fastest - slowest) / median, ratios are medians of the ratios within a round",
        "- a step-pair is one step of both systems: 231 flops (fma 2, / and sqrt 1)",
    ]


def kernel_section() -> list[str]:
    """Kernel and baselines."""
    scores = rounds.alternate(threebody.contestants())
    lanes = vector_width()
    vector, peak = f"kernel, {lanes} lanes", "fma loop (flop/s)"
    flops = [score * threebody.FLOPS_PER_STEP_PAIR for score in scores[vector].speeds]
    share = Score(tuple(a / b for a, b in zip(flops, scores[peak].speeds, strict=True)))
    wanted = [
        (f"{lanes} lanes / scalar", rounds.ratio(scores, vector, "kernel, scalar"), "6 with 8 lanes, 3 with 4"),
        ("scalar / plain C loop", rounds.ratio(scores, "kernel, scalar", "plain C loop"), "0.8"),
        (f"{lanes} lanes / Numba", rounds.ratio(scores, vector, "Numba"), ""),
        (f"{lanes} lanes / torch 1000x1000", rounds.ratio(scores, vector, "torch as in the texts, 1000x1000"), "50"),
        (f"{lanes} lanes / torch 300x300", rounds.ratio(scores, vector, "torch as in the texts, 300x300"), ""),
        ("share of the fma loop", share.median, "0.45 (goal)"),
        ("2 threads / 1 thread", rounds.ratio(scores, f"{vector}, 2 threads", vector), ""),
    ]
    differing = threebody.differing_share()
    return [
        *("", "## Three-body kernel", "", "| ratio | measured | required |", "|---|---|---|"),
        *(f"| {name} | {value:.2f} | {required} |" for name, value, required in wanted),
        *("", "| contestant | million step-pairs/s | spread |", "|---|---|---|"),
        *(
            f"| {name} | {score.median / 1e6:.1f} | {score.spread:.2f} |"
            for name, score in scores.items()
            if name != peak
        ),
        "",
        f"Bare fma loop on one core: {scores[peak].median / 1e9:.1f} GFLOP/s (spread {scores[peak].spread:.2f}).",
        "Share of pixels whose time differs from `reproducible` float64 (64x64, 50,000 steps): "
        + ", ".join(f"{name} {value:.4f}" for name, value in differing.items())
        + ".",
    ]


def maps_section() -> list[str]:
    """The map kernel and Numba."""
    scores = rounds.alternate(maps.contestants())
    ratios = [
        (name, rounds.ratio(scores, f"{name}, kernel", f"{name}, Numba"), contest.required)
        for name, contest in maps.CONTESTS.items()
    ]
    detection = rounds.ratio(scores, "interior, with detection", "interior, without detection")
    scalar = rounds.ratio(scores, "Mandelbrot, kernel", "Mandelbrot, scalar kernel")
    return [
        *("", "## Maps", "", "| ratio | measured | required |", "|---|---|---|"),
        *(f"| {name}: kernel / Numba | {value:.2f} | {required:g} with 8 lanes |" for name, value, required in ratios),
        f"| Mandelbrot: {vector_width()} lanes / scalar kernel | {scalar:.2f} | |",
        f"| Mandelbrot interior: with / without detection of cycles | {detection:.2f} | 1 |",
        *("", "| contestant | thousand million updates/s | spread |", "|---|---|---|"),
        *(f"| {name} | {score.median / 1e9:.3f} | {score.spread:.2f} |" for name, score in scores.items()),
    ]


def application_section() -> list[str]:
    """The whole application."""
    scores = rounds.alternate(ranks.contestants())
    two = rounds.ratio(scores, "application, 2 ranks", "application, 1 rank")
    every = sorted((ranks.run(1000, 2) for _ in range(LARGE_ROUNDS)), key=lambda one: one.outside)
    large = every[LARGE_ROUNDS // 2]
    return [
        *("", "## Application", "", "| quantity | measured | required |", "|---|---|---|"),
        f"| speed of 2 ranks / twice that of 1 | {two / 2:.3f} | 0.95 |",
        f"| 1000x1000x50000 on 2 ranks: wall time outside kernels | {large.outside:.2%} | 2 % |",
        f"| the same: memory of a rank, resident, at most | {large.peak_bytes / 1e6:.0f} MB | 200 MB |",
        "",
        *(
            f"{name}: {score.median / 1e6:.1f} million step-pairs/s, spread {score.spread:.2f}.  "
            for name, score in scores.items()
        ),
        f"1000x1000x50000 on 2 ranks: {large.speed / 1e6:.1f} million step-pairs/s, {large.wall_s:.1f} s; the median of "
        f"{LARGE_ROUNDS} runs, outside kernels {', '.join(f'{one.outside:.2%}' for one in every)}.",
    ]


def gpu_section() -> list[str]:
    """The GPU, where there is one."""
    try:
        numbers = gpu.measure()
    except RequestError as error:
        return ["", "## GPU", "", f"Not measured: {error}."]
    rows = (f"| {name} | {value if isinstance(value, str) else f'{value:.4g}'} |" for name, value in numbers.items())
    return ["", "## GPU", "", "| quantity | measured |", "|---|---|", *rows]


if __name__ == "__main__":
    main()
