"""What makes two jobs the same job: the resolved dictionary, its identity and the hash in every output.

Pure functions of a job. The hash must never change for a job whose meaning has not changed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from jobs.model import Job
from kernels.backends.base import Backend

FORMAT = 1
PRESENTATION = ("name", "title", "description", "source", "picture", "check")
CIRCUMSTANCES = ("threads", "device", "grace_s", "deadline", "progress")


def resolved(job: Job) -> dict[str, Any]:
    """The job as JSON-like data: defaults filled, numbers normalised, formulas as text."""
    return dict(msgspec.to_builtins(job))


def identity(job: Job, backend: Backend) -> dict[str, Any]:
    """The resolved job without what may change between two starts of the same job.

    `fast` arithmetic promises equal bytes on one kind of device only, so that the device is part of it.
    """
    tree = {key: value for key, value in resolved(job).items() if key not in PRESENTATION}
    tree["run"] = {key: value for key, value in tree["run"].items() if key not in CIRCUMSTANCES}
    if job.numerics.arithmetic == "fast":
        tree["device"] = {"kind": backend.kind, "num_lanes_float64": backend.num_lanes_float64}
    return tree


def digest(tree: dict[str, Any]) -> str:
    """sha256 of canonical JSON: sorted keys, no spaces, floats by their shortest exact text."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def attributes(job: Job, own: dict[str, Any], kernel_digest: str) -> dict[str, Any]:
    """The root attribute `horseshoe` of a store; `own` is the job's identity."""
    tree = resolved(job)
    return {
        "format": FORMAT,
        "kind": job.kind,
        "job": tree,
        "job_hash": digest(own),
        "pictures": tree["picture"],
        "kernel_digest": kernel_digest,
    }
