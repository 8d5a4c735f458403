"""Articles of an encyclopaedia that nobody wrote, in WikiText's layout and its three files.

Owns the phrases. Like the real files these have headings between equals signs, tokens between spaces, ` @-@ ` and ` @,@ `
for marks inside words and numbers, and `<unk>` for a rare word now and then.
"""

from __future__ import annotations

from collections.abc import Mapping

from networks.data.draws import Draws
from networks.data.layouts import WIKI_FILES

HELD_BACK = 10

FIRST = (
    "Ard",
    "Bel",
    "Cor",
    "Dun",
    "Esk",
    "Fal",
    "Glen",
    "Har",
    "Kil",
    "Lan",
    "Mor",
    "Nor",
    "Pen",
    "Ros",
    "Strath",
    "Tor",
)
LAST = (
    "bury",
    "cester",
    "dale",
    "field",
    "ford",
    "ham",
    "hurst",
    "ley",
    "mouth",
    "ness",
    "stead",
    "ton",
    "wick",
    "worth",
)
KINDS = ("town", "village", "river", "castle", "railway station", "battle", "ship", "lake", "bridge", "newspaper")
REGIONS = ("northern", "southern", "eastern", "western", "central")
SECTIONS = ("History", "Geography", "Description", "Economy", "Legacy", "Etymology")
PEOPLE = ("the king", "the council", "a local farmer", "the navy", "an <unk> engineer", "the bishop", "its first owner")
VERBS = ("founded", "destroyed", "rebuilt", "sold", "described", "closed", "restored", "named")
QUALITIES = ("well @-@ known", "small", "important", "<unk>", "nineteenth @-@ century", "long", "ruined", "large")

SENTENCES = (
    "It was {verb} by {person} in {year} .",
    "In {year} , {person} {verb} the {quality} {kind} .",
    "The {kind} is about {number} metres from {other} .",
    "More than {number} people visited {title} in {year} .",
    "According to {person} , it was a {quality} place , and it was later {verb} .",
    "{other} and {title} were {verb} in the same year .",
    "The name {title} is first found in {year} .",
)


def make(count: int, seed: int, parameters: Mapping[str, float]) -> dict[str, bytes]:
    """`count` articles: a tenth each, at least one, for validation and for the test."""
    del parameters  # there are none
    draws = Draws("articles", seed)
    articles = [article(draws) for _ in range(count)]
    held = max(1, count // HELD_BACK)
    parts = {
        "train": articles[: count - 2 * held],
        "valid": articles[count - 2 * held : count - held],
        "test": articles[count - held :],
    }
    return {WIKI_FILES[split]: "".join(found).encode() for split, found in parts.items()}


def article(draws: Draws) -> str:
    """One article: a heading, a paragraph, and one to three sections with one or two paragraphs."""
    title, kind = _name(draws), draws.pick(KINDS)
    opening = f"{title} is a {draws.pick(QUALITIES)} {kind} in the {draws.pick(REGIONS)} part of {_name(draws)} ."
    lines = [" ", f" = {title} = ", " ", f" {opening} {_paragraph(draws, title, kind)} "]
    for _ in range(1 + draws.below(3)):
        lines += [" ", f" = = {draws.pick(SECTIONS)} = = ", " "]
        lines += [f" {_paragraph(draws, title, kind)} " for _ in range(1 + draws.below(2))]
    return "".join(f"{line}\n" for line in lines)


def _paragraph(draws: Draws, title: str, kind: str) -> str:
    return " ".join(
        draws.pick(SENTENCES).format(
            title=title,
            kind=kind,
            verb=draws.pick(VERBS),
            person=draws.pick(PEOPLE),
            quality=draws.pick(QUALITIES),
            other=_name(draws),
            year=1400 + draws.below(600),
            number=f"{1 + draws.below(98)} @,@ {100 + draws.below(900)}",
        )
        for _ in range(2 + draws.below(4))
    )


def _name(draws: Draws) -> str:
    return draws.pick(FIRST) + draws.pick(LAST)
