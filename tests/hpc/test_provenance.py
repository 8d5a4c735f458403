"""Facts about a start of a job."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from hpc import provenance


def test_run_ids_sort_by_time_and_differ() -> None:
    first = provenance.new_run_id()
    time.sleep(0.001)
    assert first < provenance.new_run_id()
    assert re.fullmatch(r"\d{8}T\d{12}Z-[0-9a-f]{6}", first)


def test_facts_are_json_and_only_of_slurm_what_is_listed(toy: Any) -> None:
    ranks = [provenance.rank_facts(0, toy.ToyBackend())]
    environment = {"SLURM_JOB_ID": "12", "SLURM_RESTART_COUNT": "1", "SECRET_TOKEN": "x", "SLURM_UNKNOWN": "y"}
    facts = json.loads(json.dumps(provenance.job_facts(ranks, environment, "MPICH 5.0")))
    assert facts["slurm"] == {"SLURM_JOB_ID": "12", "SLURM_RESTART_COUNT": "1"}
    assert facts["ranks"][0]["device"] == "toy"
    assert facts["mpi"] == "MPICH 5.0"
    assert facts["versions"]["horseshoe"]


def test_the_compiler_is_named_where_a_rank_computes_on_the_host(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_compiler", lambda: "g++ 12")
    ranks = [provenance.rank_facts(0, toy.ToyBackend())]
    assert provenance.job_facts(ranks, {}, "")["compiler"] is None
    ranks.append({**ranks[0], "device": "host, 2 threads, 8 lanes"})
    assert provenance.job_facts(ranks, {}, "")["compiler"] == "g++ 12"


def test_commit_of_a_checkout(tmp_path: Path) -> None:
    assert provenance.commit(tmp_path) is None

    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first")
    clean = provenance.commit(tmp_path)
    assert clean is not None
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    (tmp_path / "a").write_text("2")
    assert provenance.commit(tmp_path) == clean + "+"
