"""Hands a batch script to sbatch, without a shell.

Owns the call and its errors. Never composes the script: see slurm/script.py.
"""

from __future__ import annotations

import shutil
import subprocess

from kernels.errors import RequestError


def submit(script: str) -> str:
    """Send a script to SLURM from this folder and return the job's number.

    Raises RequestError where sbatch is missing or refuses.
    """
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise RequestError("sbatch: not found; submit from a machine of the cluster, or look at --dry-run")
    done = subprocess.run([sbatch, "--parsable"], input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise RequestError(f"sbatch: {reason[-1] if reason else 'refused without a reason'}")
    return done.stdout.strip().partition(";")[0]
