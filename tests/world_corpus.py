"""Invented posts by the hundred, from a seed: ties, late arrivals, equal texts, strange characters, deletions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from world_posts import Post, Source

_WORDS = (
    "calls", "puts", "the quarter looks strong", "margins are thin", "I am out", "buying the dip", "who sold at the open",
    "guidance cut again", "breakout soon", "this is going to zero", "long and patient", "overvalued", "to the moon 🚀",
    "nobody talks about cash flow", "the chart is ugly", "great numbers", "terrible numbers", "waiting for the filing",
)  # fmt: skip
_STRANGE = ("a < b & c > d", "zwölf Boxkämpfer", "千里の道", "tab\there", 'she said "no"', "café ☕️", "back\\slash")
_SAME = ("up", "told you so", "lol")  # said by many in the same words: must not be merged


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 (the same seed has to give the same world)


def invent(
    seed: int,
    begin: float,
    seconds: float,
    counts: dict[Source, int],
    *,
    symbols: Sequence[str] = ("BABA", "JD"),
    places: Sequence[str] = ("stocks", "pondtalk"),
    first_number: int = 1_000_000,
    late_share: float = 0.1,
    removal_share: float = 0.2,
) -> list[Post]:
    """Posts that appear between ``begin`` (Unix seconds) and ``seconds`` later, so many of each source.

    ``late_share`` of them (never Bluesky's) appear up to two seconds after newer ones; ``removal_share`` of Bluesky's
    are deleted by their authors, before the end.
    """
    dice = seeded(seed)
    posts: list[Post] = []
    for source, count in counts.items():
        moments = sorted(begin + dice.random() * seconds for _ in range(count))
        for place, moment in enumerate(moments):
            posts.append(_post(dice, source, first_number + place, moment, symbols, places, late_share))
        if source == "bluesky":
            posts += _removals(dice, [p for p in posts if p.source == source], begin + seconds, removal_share)
    return posts


KINDS = 10  # of numbers, each with its own last digit: what is published by one never has the id of another's


def in_order(posts: Sequence[Post], kind: int = 0) -> list[Post]:
    """The same posts with ids that grow with the moment of their appearing, whatever else is published later."""
    numbers: dict[tuple[Source, int], int] = {}
    newest = 0
    for post in sorted(posts, key=lambda post: (post.shown_at, post.number)):
        newest = max(newest + KINDS, moment_number(post.shown_at, kind))
        numbers[post.source, post.number] = newest
    return [
        replace(
            post,
            number=numbers[post.source, post.number],
            removes=None if post.removes is None else numbers[post.source, post.removes],
        )
        for post in posts
    ]


def moment_number(shown_at: float, kind: int = 0) -> int:
    """Microseconds since 2023, and a last digit."""
    return round((shown_at - 1_672_531_200) * 1_000_000) * KINDS + kind


def _post(
    dice: random.Random,
    source: Source,
    number: int,
    moment: float,
    symbols: Sequence[str],
    places: Sequence[str],
    late_share: float,
) -> Post:
    symbol = dice.choice(symbols)
    about = (symbol, *(other for other in symbols if other != symbol and dice.random() < 0.2))
    author = f"{dice.choice(('frog', 'newt', 'heron', 'carp'))}{dice.randrange(40)}"
    text = f"${symbol} {dice.choice(_WORDS)} {source}-{number}"
    if dice.random() < 0.1:
        text = f"${symbol} {dice.choice(_SAME)}"
    elif dice.random() < 0.1:
        text += f" {dice.choice(_STRANGE)}".replace("\t", " " if source in ("reddit", "hackernews") else "\t")
    late = dice.random() * 2 if source != "bluesky" and dice.random() < late_share else 0.0
    created = datetime.fromtimestamp(moment - late, tz=UTC)
    if source != "bluesky":
        created = created.replace(microsecond=0)  # whole seconds on the wire, so there are ties
    body = f"{text} in more words" if source == "reddit" else text
    titled = source in ("stocktwits", "bluesky", "reddit")
    return Post(
        source=source, number=number, created_at=created, shown_at=moment, author=author,
        text=text if titled else "", body="" if source in ("stocktwits", "bluesky") else body,
        place=dice.choice(places) if source == "reddit" else "",
        label=dice.choice(("Bullish", "Bearish", None)) if source == "stocktwits" else None,
        symbols=about if source == "stocktwits" else (symbol,),
    )  # fmt: skip


def _removals(dice: random.Random, posts: list[Post], end: float, share: float) -> list[Post]:
    removals = []
    for place, post in enumerate(posts):
        if dice.random() < share:
            moment = post.shown_at + 0.05 + dice.random() * max(0.0, end - post.shown_at - 0.05)
            created = datetime.fromtimestamp(moment, tz=UTC)
            removals.append(
                Post("bluesky", posts[-1].number + 1 + place, created, moment, post.author, "", removes=post.number)
            )
    return removals
