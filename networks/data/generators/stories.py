"""Stories of a small world in TinyStories' layout: who does what with which thing, told again and again.

Owns the grammar. A story's name, animal, thing and place come back in its later sentences, so that a model which looks
back tells better than one which does not.
"""

from __future__ import annotations

from collections.abc import Mapping

from networks.data.draws import Draws

SEPARATOR = "<|endoftext|>"
HELD_BACK = 10

NAMES = ("tim", "lily", "ben", "mia", "sam", "anna", "max", "sue", "tom", "lucy")
CREATURES = ("cat", "dog", "bird", "frog", "bear", "fox", "mouse", "rabbit")
QUALITIES = ("little", "big", "happy", "quick", "shy", "kind", "brave", "sleepy")
COLOURS = ("red", "blue", "green", "yellow", "black", "white")
THINGS = ("ball", "box", "hat", "kite", "cup", "boat", "drum", "key")
PLACES = ("park", "garden", "forest", "house", "river", "hill", "school", "zoo")
FEELINGS = ("sad", "angry", "afraid", "tired", "worried", "surprised")
HELPERS = ("mom", "dad", "grandma", "a friend", "the teacher", "an old man")

OPENINGS = (
    "once upon a time there was a {quality} {creature} named {name}.",
    "there once lived a {quality} {creature}. its name was {name}.",
    "one day a {quality} {creature} named {name} woke up early.",
)
FINDINGS = (
    "{name} loved to play in the {place}. in the {place} {name} found a {colour} {thing}.",
    "{name} went to the {place} and saw a {colour} {thing}.",
    "every day {name} took a {colour} {thing} to the {place}.",
)
TROUBLES = (
    "but the {thing} was lost. {name} was very {feeling}.",
    "then the {colour} {thing} broke, and the {quality} {creature} was {feeling}.",
    "but {helper} wanted the {thing} too. {name} felt {feeling}.",
)
TURNS = (
    "{helper} came to the {place} and said, do not be {feeling}, {name}.",
    "{name} looked for {helper} and asked for help.",
    "the {creature} sat down in the {place} and thought about the {thing}.",
)
ENDINGS = (
    "in the end {name} got the {colour} {thing} back and was happy.",
    "they played with the {thing} in the {place} until night. the end.",
    "{name} smiled and shared the {thing}. they all were friends.",
)


def story(draws: Draws) -> str:
    """One story of five to eight sentences."""
    words = {
        "name": draws.pick(NAMES),
        "creature": draws.pick(CREATURES),
        "quality": draws.pick(QUALITIES),
        "colour": draws.pick(COLOURS),
        "thing": draws.pick(THINGS),
        "place": draws.pick(PLACES),
        "feeling": draws.pick(FEELINGS),
        "helper": draws.pick(HELPERS),
    }
    parts = [draws.pick(choices) for choices in (OPENINGS, FINDINGS, TROUBLES, TURNS, ENDINGS)]
    return " ".join(part.format(**words) for part in parts)


def make(count: int, seed: int, parameters: Mapping[str, float]) -> dict[str, bytes]:
    """`count` different stories; the last tenth, at least one, are for validation."""
    del parameters  # the grammar has none
    draws = Draws("stories", seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found.setdefault(story(draws))
    stories = list(found)
    kept = count - max(1, count // HELD_BACK)
    return {"stories-train.txt": _file(stories[:kept]), "stories-valid.txt": _file(stories[kept:])}


def _file(stories: list[str]) -> bytes:
    return "".join(f"{one}\n{SEPARATOR}\n" for one in stories).encode()
