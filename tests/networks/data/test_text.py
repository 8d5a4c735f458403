"""Texts in their layouts: splits, blocks, windows; generated files and a user's go the same way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.errors import RequestError
from networks.data import layouts, sources, text
from networks.data.layouts import SEPARATOR, Span
from networks.data.tokenisers import END, PAD, UNKNOWN, Characters

WIKI = " \n = One = \n \n first <unk> words . \n \n = = Part = = \n \n more @-@ words . \n \n = Two = \n \n second . \n"
STORIES = f"one.\n\ntwo lines.\n{SEPARATOR}\nsecond story.\n{SEPARATOR}\n{SEPARATOR}\nthird, no mark at its end.\n"


def documents(path: Path, split: str = "train") -> list[str]:
    found = layouts.find(path)
    span = found.splits[split]
    return [piece.text for piece in layouts.pieces(span, found.layout, span)]


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_DOT_", ".").replace("_DASH_", "-")).write_bytes(content.encode())
    return folder


def test_tinystories_layout(tmp_path: Path) -> None:
    train, valid = tmp_path / "TinyStoriesV2-GPT4-train.txt", tmp_path / "TinyStoriesV2-GPT4-valid.txt"
    train.write_text(STORIES)
    valid.write_text(STORIES[:60])
    for path in (tmp_path, train):
        found = layouts.find(path)
        assert found.layout == "stories"
        assert found.files == (train, valid)
    assert documents(train) == ["one.\n\ntwo lines.", "second story.", "third, no mark at its end."]


def test_wikitext_layout(tmp_path: Path) -> None:
    for name in layouts.WIKI_FILES.values():
        (tmp_path / name).write_text(WIKI)
    found = layouts.find(tmp_path)
    assert found.layout == "wiki"
    assert list(found.splits) == ["train", "valid", "test"]
    first, second = documents(tmp_path)
    assert first.startswith("= One =")
    assert first.endswith("more @-@ words .")
    assert second == "= Two = \n \n second ."
    assert layouts.find(tmp_path / "wiki.train.tokens").files[1].name == "wiki.valid.tokens"


def test_one_file_is_cut_where_a_document_ends(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text("".join(f"line {number}\n" for number in range(100)))
    found = layouts.find(file)
    assert found.layout == "plain"
    train, valid = found.splits["train"], found.splits["valid"]
    assert train.stop == valid.start
    assert 0.05 < valid.num_bytes / valid.stop < 0.15
    assert file.read_bytes()[train.stop - 1 : train.stop] == b"\n"
    stories = tmp_path / "tales.txt"
    stories.write_text(STORIES * 10)
    assert layouts.find(stories).layout == "stories"
    assert all(piece.startswith(("one", "second", "third")) for piece in documents(stories, "valid"))


def test_windows_line_ends_make_no_difference(tmp_path: Path) -> None:
    one, other = tmp_path / "a-train.txt", tmp_path / "b-train.txt"
    one.write_bytes(STORIES.encode())
    other.write_bytes(STORIES.replace("\n", "\r\n").encode())
    for file in (one, other):
        file.with_name(file.name.replace("train", "valid")).write_text(STORIES)
    assert documents(one) == documents(other)


def test_generated_and_own_files_go_the_same_way(tmp_path: Path) -> None:
    made = sources.generated("stories", 60)
    own = tmp_path / "own"
    own.mkdir()
    for file in made.glob("*.txt"):
        (own / f"my {file.name}").write_bytes(file.read_bytes())
    one, other = (text.load(text.Request(path), 32) for path in (made, own))
    assert (one.train.tokens == other.train.tokens).all()
    assert one.manifest["splits"]["train"]["tokens"] == other.manifest["splits"]["train"]["tokens"]
    assert one.manifest["licence"] == sources.GENERATED_LICENCE
    assert other.manifest["licence"] == sources.UNKNOWN_LICENCE
    assert text.load(text.Request(own), 32, licence="mine").manifest["licence"] == "mine"


@pytest.mark.parametrize("kind", ["characters", "words", "byte-pairs"])
@pytest.mark.parametrize("generator", ["stories", "articles"])
def test_blocks_join_to_the_whole(kind: str, generator: str) -> None:
    """However a text is cut for the ranks, the tokens are the same."""
    request = text.Request(sources.generated(generator, 30), kind, vocabulary=400)
    found = request.text()
    tokeniser = text.train_tokeniser(request, found)
    for split, span in found.splits.items():
        whole = text.tokenise(tokeniser, found, split)
        for block_bytes in (37, 500, 4096):
            count = layouts.num_blocks(span, block_bytes)
            blocks = [text.tokenise_block(tokeniser, found, split, block_bytes, number) for number in range(count)]
            assert (np.concatenate(blocks) == whole).all()
            for number, block in enumerate(blocks):
                assert block.size <= layouts.block(span, found.layout, block_bytes, number).num_bytes + 1


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.sampled_from("ab=\n \r<|é" + SEPARATOR), max_size=200),
    st.integers(1, 50),
    st.sampled_from(["plain", "wiki", "stories"]),
)
def test_any_text_is_covered_once(
    tmp_path_factory: pytest.TempPathFactory, content: str, size: int, layout: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.txt"
    file.write_bytes(content.replace("Z", f"\n{SEPARATOR}\n").encode())
    span = Span(file, 0, file.stat().st_size)
    parts = [layouts.block(span, layout, size, number) for number in range(layouts.num_blocks(span, size))]
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == span.stop
    whole = list(layouts.pieces(span, layout, span))
    cut = [piece for part in parts for piece in layouts.pieces(span, layout, part)]
    if layout == "plain":
        assert "".join(piece.text for piece in cut) == "".join(piece.text for piece in whole)
    else:
        assert cut == whole


def test_a_boundary_across_two_pieces_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "PIECE_BYTES", 64)
    monkeypatch.setattr(layouts, "LONGEST_MATCH", 32)
    file = tmp_path / "long-train.txt"
    for gap in range(30, 140):
        file.write_text("x" * gap + f"\n{SEPARATOR}\nrest")
        span = Span(file, 0, file.stat().st_size)
        assert layouts.next_boundary(span, "stories", 1) == gap + len(SEPARATOR) + 2


def test_stream_windows() -> None:
    tokens = np.array([5, 6, 7, END, 8, END, 9], dtype=np.int32)
    found = text.windows(tokens, 3)
    assert found.tokens.tolist() == [[5, 6, 7], [7, END, 8], [8, END, 9]]
    assert found.lengths.tolist() == [3, 3, 3]
    padded = text.windows(tokens, 5)
    assert padded.tokens.tolist() == [[5, 6, 7, END, 8], [8, END, 9, PAD, PAD]]
    assert padded.mask().tolist() == [[True] * 5, [True, True, True, False, False]]
    assert padded.num_targets == tokens.size - 1


def test_document_windows() -> None:
    tokens = np.array([5, 6, 7, 8, END, 9, END, 5, 5, END], dtype=np.int32)
    found = text.windows(tokens, 4, "documents")
    assert found.tokens.tolist() == [[5, 6, 7, 8], [8, END, PAD, PAD], [9, END, PAD, PAD], [5, 5, END, PAD]]
    assert found.lengths.tolist() == [4, 2, 2, 3]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), max_size=80), st.integers(2, 9), st.sampled_from(["stream", "documents"]))
def test_every_token_is_predicted_once(row: list[int], context: int, packing: text.Packing) -> None:
    """Nothing is lost where windows meet: all but the first token of the stream, or of a document, is a target once."""
    tokens = np.array(row, dtype=np.int32)
    found = text.windows(tokens, context, packing)
    assert (found.tokens[~found.mask()] == PAD).all()
    first = np.zeros(len(row), dtype=bool)
    first[:1] = True
    if packing == "documents":
        first[1:] = tokens[:-1] == END
    assert found.tokens[:, 1:][found.mask()[:, 1:]].tolist() == tokens[~first].tolist()
    assert found.num_targets == (~first).sum()

    # What a target follows is what it follows in the text.
    pairs = np.stack((found.tokens[:, :-1], found.tokens[:, 1:]), axis=-1)[found.mask()[:, 1:]]
    assert pairs.tolist() == [[row[i - 1], row[i]] for i in range(len(row)) if not first[i]]


def test_no_word_of_the_training_text_is_unknown() -> None:
    for kind in ("words", "characters", "byte-pairs"):
        found = text.load(text.Request(sources.generated("stories", 50), kind, vocabulary=500), 16)
        assert UNKNOWN not in found.train.tokens
        assert found.tokeniser.size == found.manifest["tokeniser"]["size"]
        assert {name: split["tokens"] for name, split in found.manifest["splits"].items()}.keys() == {"train", "valid"}


def test_a_frozen_tokeniser_is_used_again(tmp_path: Path) -> None:
    from networks.data import tokenisers

    file = tmp_path / "frozen.json"
    file.write_bytes(tokenisers.freeze(Characters.train(["abcdefgh .,"])))
    found = text.load(text.Request(sources.generated("stories", 20), str(file)), 16)
    assert found.tokeniser.size == 3 + 11
    assert UNKNOWN in found.train.tokens


def test_a_limit_keeps_whole_documents() -> None:
    made = sources.generated("stories", 60)
    whole = documents(made)
    found = text.Request(made, limit_bytes=1000).text()
    span = found.splits["train"]
    kept = [piece.text for piece in layouts.pieces(span, found.layout, span)]
    assert kept == whole[: len(kept)]
    assert 1000 <= span.num_bytes < 2000


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty-train.txt", b"", "empty"),
        ("a-train.txt", b"\xff" * 50 + b"\n", "UTF-8"),
        ("a.txt", b"one line without an end", "cannot be cut"),
        ("a.txt", b"", "cannot be cut"),
    ],
)
def test_impossible_texts_are_said(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    if "train" in name:
        file.with_name(name.replace("train", "valid")).write_text("some text\n")
    with pytest.raises(RequestError, match=said) as caught:
        text.load(text.Request(file), 8)
    assert str(file) in str(caught.value)


def test_impossible_paths_are_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, said in (("missing", "No such file"), ("pipe", "no regular file"), ("folder", "no file named")):
        with pytest.raises(RequestError, match=said):
            text.load(text.Request(tmp_path / path), 8)
    for name in ("a-train.txt", "b-train.txt", "a-valid.txt"):
        (tmp_path / "folder" / name).write_text("x\n")
    with pytest.raises(RequestError, match="more than one file"):
        layouts.find(tmp_path / "folder")
    with pytest.raises(RequestError, match="none of characters, words, byte-pairs"):
        text.load(text.Request(sources.generated("stories", 10), "bpe"), 8)
    with pytest.raises(RequestError, match=r"data\.context"):
        text.load(text.Request(sources.generated("stories", 10)), 1)


def test_large_texts_are_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "large-train.txt"
    with file.open("wb") as out:
        out.write(b"a b\n")
        out.truncate(text.IN_MEMORY_BYTES + 1)
    file.with_name("large-valid.txt").write_text("a\n")
    with pytest.raises(RequestError, match=r"data\.limit_bytes"):
        text.load(text.Request(file), 8)
