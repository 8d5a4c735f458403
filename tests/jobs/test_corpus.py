"""Corpus jobs: the tokens of a text made by ranks together are those made in memory, and training reads them so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.reading import open_for_reading
from jobs import model
from jobs.corpus import reading
from kernels.errors import RequestError
from networks.data import sources, text, tokenisers

from .conftest import compute_store, horseshoe

GENERATED = {"generator": "stories", "count": 60, "block_bytes": 8192, "vocabulary": 300}


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORSESHOE_DATA", str(tmp_path / "data"))


def job(**data: Any) -> model.Job:
    return model.from_tree({"kind": "corpus", "name": "corpus", "data": {**GENERATED, **data}})


@pytest.mark.parametrize("kind", ["characters", "words", "byte-pairs"])
@pytest.mark.parametrize("generator", ["stories", "articles"])
def test_a_store_gives_what_the_text_gives(kind: str, generator: str, tmp_path: Path) -> None:
    store = compute_store(job(tokeniser=kind, generator=generator), tmp_path / "corpus.zarr")
    request = text.Request(sources.generated(generator, 60), kind, 300)
    for packing in ("stream", "documents"):
        direct, read = text.load(request, 16, packing), reading.load(store, 16, packing)
        assert read.tokeniser == direct.tokeniser
        assert read.splits.keys() == direct.splits.keys()
        for name, windows in direct.splits.items():
            assert (read.splits[name].tokens == windows.tokens).all()
            assert (read.splits[name].lengths == windows.lengths).all()
    stored = reading.describe(store)["manifest"]
    assert stored["files"] == direct.manifest["files"]
    assert stored["licence"] == sources.GENERATED_LICENCE


def test_what_a_store_holds(tmp_path: Path) -> None:
    store = compute_store(job(), tmp_path / "corpus.zarr")
    reader = open_for_reading(store)
    split, documents, counts = reader.constant("split"), reader.read("document_count"), reader.read("token_count")
    assert reader.array("split").attrs["values"] == ["train", "valid", "test"]
    assert [documents[split == number].sum() for number in (0, 1)] == [54, 6]
    rows = reader.read("tokens")
    assert len(counts) == 3
    for row, count in zip(rows, counts, strict=True):
        assert (row[:count] >= 0).all()
        assert (row[count:] == -1).all()
    frozen = reader.read("tokeniser").tobytes().rstrip(b"\0")
    assert tokenisers.freeze(tokenisers.thaw(frozen)) == frozen


@pytest.mark.mpi
def test_same_bytes_on_any_ranks(tmp_path: Path) -> None:
    def shards(ranks: int) -> dict[str, bytes]:
        store = tmp_path / f"corpus{ranks}.zarr"
        sets = ("--set", "data.count=200", "--set", "data.block_bytes=8192")
        done = horseshoe("run", "stories-corpus", *sets, "--out", str(store), ranks=ranks)
        assert done.returncode == 0, done.stderr
        names = ("tokeniser", "tokens", "token_count", "document_count", "split")
        files = [path for name in names for path in (store / name).rglob("*") if path.is_file()]
        return {str(path.relative_to(store)): path.read_bytes() for path in files}

    one, two = shards(1), shards(2)
    assert len(one) > 25
    assert one == two


def test_a_changed_text_is_another_job(tmp_path: Path) -> None:
    file = tmp_path / "tales.txt"
    file.write_text("one line\n" * 200)
    own = {"path": str(file)}
    before = model.plan(job(**own)).attributes["job_hash"]
    file.with_name("moved.txt").write_bytes(file.read_bytes())
    file.write_text("one line\n" * 199 + "two line\n")
    assert model.plan(job(**own)).attributes["job_hash"] != before
    assert model.plan(job(**own, licence="mine")).attributes["manifest"]["licence"] == "mine"


def test_a_frozen_tokeniser_enters_the_identity(tmp_path: Path) -> None:
    file = tmp_path / "frozen.json"
    hashes = []
    for characters in ("abc", "abcd"):
        file.write_bytes(tokenisers.freeze(tokenisers.Characters(characters)))
        hashes.append(model.plan(job(tokeniser=str(file))).attributes["job_hash"])
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"count": None}, "data.count"),
        ({"generator": None, "count": None}, "data.path"),
        ({"count": 1}, "data.count"),
        ({"tokeniser": "bpe"}, "data.tokeniser"),
        ({"block_bytes": 10}, "data.block_bytes"),
        ({"generator": "blocks"}, "data.generator"),
        ({"vocabularies": 3}, "nearest: data.vocabulary"),
    ],
)
def test_impossible_values_are_said(data: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        job(**data)


def test_a_tokeniser_that_is_too_large_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.corpus import stage

    monkeypatch.setattr(stage, "MOST_FROZEN_BYTES", 1 << 8)
    monkeypatch.setattr(stage, "CHUNK", 1 << 8)
    with pytest.raises(RequestError, match=r"data\.vocabulary"):
        compute_store(job(), tmp_path / "corpus.zarr")


def test_only_a_finished_corpus_is_read(tmp_path: Path) -> None:
    store = compute_store(job(), tmp_path / "corpus.zarr")
    for ledger in (store / "ledger").glob("*.jsonl"):
        lines = ledger.read_bytes().splitlines(keepends=True)
        ledger.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(RequestError, match="is not finished"):
        reading.load(store, 16)
    other = compute_store(model.load("circle-points", ["parametrised.count=10"]), tmp_path / "circle.zarr")
    with pytest.raises(RequestError, match="kind geometry"):
        reading.load(other, 16)


def test_windows_are_of_the_right_type(tmp_path: Path) -> None:
    found = reading.load(compute_store(job(), tmp_path / "corpus.zarr"), 16)
    assert found.train.tokens.dtype == np.int32
    assert found.manifest["tokens"]["train"] == found.train.num_targets + 1


def test_training_reads_a_store_as_it_reads_the_text(tmp_path: Path) -> None:
    from jobs.training.tasks import language

    store = compute_store(job(tokeniser="words"), tmp_path / "corpus.zarr")
    generated = language.Data(generator="stories", count=60, tokeniser="words", vocabulary=300, context=16)
    stored = language.Data(path=str(store), context=16)
    assert (language.load(stored).train.tokens == language.load(generated).train.tokens).all()
    assert language.manifest(stored)["corpus"] == open_for_reading(store).attributes["job_hash"]


def test_a_plan_says_which_stage_it_knows_no_time_of(capsys: pytest.CaptureFixture[str]) -> None:
    from jobs.commands import plan

    assert plan.main("stories-corpus", overrides=["data.count=200", "data.block_bytes=8192"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # The tokeniser is tried; the blocks wait for it.
    assert not any("too long to tell" in line for line in lines)
    assert sum(line.startswith("time ") for line in lines) == 1
    (told,) = (line for line in lines if line.startswith("besides"))
    assert told.startswith("besides  stage tokens, ")
