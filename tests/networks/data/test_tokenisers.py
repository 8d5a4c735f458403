"""Tokenisers: round trips, frozen forms, unknown words, and files that are not to be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.errors import RequestError
from networks.data import byte_pairs, sources, tokenisers
from networks.data.tokenisers import END, PAD, UNKNOWN, Characters, Tokeniser, Words

TEXTS = (
    'Once upon a time there was a little cat. The cat said: "I\'m here!" (so it was)',
    "a cat, a dog; a bird\nand\tnaïve 日本 🙂",
)
KINDS = {
    "characters": lambda: Characters.train(TEXTS),
    "words": lambda: Words.train(TEXTS),
    "byte-pairs": lambda: byte_pairs.train(TEXTS, 300),
}
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(params=KINDS)
def tokeniser(request: pytest.FixtureRequest) -> Tokeniser:
    made: Tokeniser = KINDS[request.param]()
    return made


def test_known_text_comes_back(tokeniser: Tokeniser) -> None:
    for text in TEXTS:
        tokens = tokeniser.encode(text)
        assert tokens.dtype == np.int32
        assert tokeniser.decode(tokens) == tokeniser.normalise(text)
        assert not np.isin(tokens, (PAD, UNKNOWN, END)).any()
        assert tokens.max() < tokeniser.size
        assert tokens.size <= len(text.encode())


def test_specials_add_no_text(tokeniser: Tokeniser) -> None:
    tokens = tokeniser.encode("a cat")
    assert tokeniser.decode([PAD, *tokens, END, PAD]) == tokeniser.decode(tokens)
    assert tokeniser.encode("").size == 0
    assert tokeniser.decode([]) == ""


@pytest.mark.parametrize("token", [-1, 10**6])
def test_tokens_outside_are_refused(tokeniser: Tokeniser, token: int) -> None:
    with pytest.raises(ValueError, match="tokens are of 0"):
        tokeniser.decode([token])


def test_a_frozen_one_is_the_same(tokeniser: Tokeniser, tmp_path: Path) -> None:
    file = tmp_path / "tokeniser.json"
    file.write_bytes(tokenisers.freeze(tokeniser))
    loaded = tokenisers.load(file)
    assert loaded == tokeniser
    assert tokenisers.freeze(loaded) == file.read_bytes()
    assert tokenisers.digest(loaded) == tokenisers.digest(tokeniser)
    assert (loaded.encode(TEXTS[1]) == tokeniser.encode(TEXTS[1])).all()


def test_training_twice_gives_the_same_bytes() -> None:
    texts = (sources.generated("stories", 200) / "stories-train.txt").read_text().splitlines()
    frozen = {tokenisers.freeze(byte_pairs.train(texts, 400)) for _ in range(3)}
    assert len(frozen) == 1
    (data,) = frozen
    assert tokenisers.thaw(data).size == 400
    turned = byte_pairs.train(texts[::-1], 400)
    assert tokenisers.freeze(turned) == data


MADE = {kind: make() for kind, make in KINDS.items()}


@settings(max_examples=60, deadline=None)
@given(ANY_TEXT)
def test_byte_pairs_know_every_text(text: str) -> None:
    made = MADE["byte-pairs"]
    tokens = made.encode(text)
    assert made.decode(tokens) == text
    assert tokens.size <= len(text.encode())
    assert not np.isin(tokens, (PAD, UNKNOWN, END)).any()


@settings(max_examples=60, deadline=None)
@given(ANY_TEXT)
def test_characters_and_words_know_what_they_have_seen(text: str) -> None:
    for made in (Characters.train([text]), Words.train([text])):
        tokens = made.encode(text)
        if "<unk>" not in made.normalise(text):
            assert UNKNOWN not in tokens
            assert made.decode(tokens) == made.normalise(text)
        assert tokens.size <= len(text.encode())
        assert tokenisers.thaw(tokenisers.freeze(made)) == made


@settings(max_examples=60, deadline=None)
@given(ANY_TEXT)
def test_normal_text_stays_so(text: str) -> None:
    for made in MADE.values():
        once = made.normalise(text)
        assert made.normalise(once) == once


def test_new_characters_are_unknown() -> None:
    made = Characters.train(["abc"])
    assert made.encode("axc\ud800").tolist() == [3, UNKNOWN, 5, UNKNOWN]
    assert made.decode(made.encode("axc")) == "a\ufffdc"


def test_rare_words_are_unknown() -> None:
    texts = ["the cat the dog the cat a bird <unk>"]
    assert Words.train(texts).words == ("the", "cat", "a", "bird", "dog")
    assert Words.train(texts, minimum_count=2).words == ("the", "cat")
    limited = Words.train(texts, vocabulary_size=4)
    assert limited.size == 4
    assert limited.decode(limited.encode("the dog")) == "the <unk>"


def test_what_is_learnt_can_be_loaded() -> None:
    """Entries of a frozen tokeniser have a longest length, which training keeps to."""
    long = "a" * 5000
    for made in (Words.train([long, "b"]), byte_pairs.train([long] * 9, 2000)):
        assert tokenisers.thaw(tokenisers.freeze(made)) == made
    assert Words.train([long, "b"]).words == ("b",)


def test_words_are_basic_english() -> None:
    said = tokenisers.basic_english('You can\'t, "Mr. Smith"; ok:<br />yes (no)!?')
    assert said == ["you", "can", "'", "t", ",", "mr", ".", "smith", "ok", "yes", "(", "no", ")", "!", "?"]


@pytest.mark.parametrize("size", [258, (1 << 21) + 1])
def test_byte_pairs_need_room_for_bytes(size: int) -> None:
    with pytest.raises(RequestError, match=r"data\.vocabulary"):
        byte_pairs.train(TEXTS, size)


def form(**changes: object) -> bytes:
    return json.dumps({"format": 1, "kind": "words", "words": ["a"], **changes}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"nan",
        b"[" * 100_000,
        b'{"format": 1, "format": 1}',
        form(format=2),
        form(format=float("nan")),
        form(kind="pickle"),
        form(kind=["words"]),
        form(more=1),
        form(words={"a": 1}),
        form(words=["a", "a"]),
        form(words=["a b"]),
        form(words=[""]),
        form(words=["a" * 2000]),
        form(words=[1]),
        json.dumps({"format": 1, "kind": "characters", "characters": "aa"}).encode(),
        json.dumps({"format": 1, "kind": "characters", "characters": ["ab"]}).encode(),
        *(
            json.dumps({"format": 1, "kind": "byte-pairs", "merges": merges}).encode()
            for merges in (
                {},
                [["a"]],
                [["a", "bc"]],
                [["a", "b"], ["a", "b"]],
                [["a", 1]],
                [["", "a"]],
                ["ab"],
                [[[], []]],
            )
        ),
    ],
)
def test_hostile_files_are_refused_in_one_line(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "tokeniser.json"
    file.write_bytes(data)
    with pytest.raises(RequestError) as caught:
        tokenisers.load(file)
    said = str(caught.value)
    assert str(file) in said
    assert "\n" not in said


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "tokeniser.json"
    with file.open("wb") as out:
        out.truncate(tokenisers.LARGEST_FROZEN_BYTES + 1)
    with pytest.raises(RequestError, match="at most"):
        tokenisers.load(file)
