"""What makes two jobs the same job: the resolved dictionary, its identity and the hash in every output.

Pure functions of a job. The hash must never change for a job whose meaning has not changed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from hpc.reading import FORMAT
from jobs.model import Job

PRESENTATION = ("name", "title", "description", "source", "picture", "check")
CIRCUMSTANCES = ("threads", "device", "grace_s", "deadline", "progress")


def resolved(job: Job) -> dict[str, Any]:
    """The job as JSON-like data: defaults filled, numbers normalised, formulas as text."""
    return dict(msgspec.json.decode(msgspec.json.encode(job)))


def identity(job: Job, device: str | None) -> dict[str, Any]:
    """The resolved job without what may change between two starts of the same job.

    `device` is part of it where results depend on the device: see `jobs.model.device`.
    """
    tree = {key: value for key, value in resolved(job).items() if key not in PRESENTATION}
    tree["run"] = {key: value for key, value in tree["run"].items() if key not in CIRCUMSTANCES}
    if device is not None:
        tree["device"] = device
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
