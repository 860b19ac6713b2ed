"""Posts that are hard to take in, from a seed, each named by what is hard about it (``Post.trouble``).

They come on top of the ordinary posts of ``world_corpus``: what a collector may lose, store twice, mix up or bring back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from world_corpus import KINDS, in_order, invent, moment_number, seeded
from world_posts import Post, Source

TROUBLE, OF_A_BURST = 1, 2  # last digits of their numbers; ordinary talk has 0
HALF_A_PAIR = "half a pair \ud83d here"
CONTROLS = "nul \x00 escape \x1b[31m red \u202e turned \u200b nothing"
BIDI = "turned \u202e round \u200b nothing"
LONG = "good but 🚀 " * 3_000
TIMES: tuple[object, ...] = (
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-02-30T10:00:00Z", "2026-01-01T00:00:00+99:99", "", 1_790_000_000_000, [],
)  # fmt: skip
EPOCHS: tuple[object, ...] = ("soon", 10**12, -5, 1e300, {})
HALVES: dict[Source, int] = {"stocktwits": 40, "reddit": 110}  # each more than a page
LATE_S = 2.0  # how much later than a newer post one appears
BURST: dict[Source, int] = {"stocktwits": 75, "reddit": 130, "hackernews": 115}  # each more than a page


class _Maker:
    """Makes posts of one source with numbers that grow with the moment of their appearing."""

    def __init__(self, source: Source, mark: str) -> None:
        self.source, self.mark = source, mark
        self.made: list[Post] = []
        self._last = 0

    def say(self, shown_at: float, words: str, trouble: str = "", **more: Any) -> Post:
        place = len(self.made)
        self._last = max(self._last + KINDS, moment_number(shown_at, TROUBLE))
        created = datetime.fromtimestamp(more.pop("created", shown_at), tz=UTC)
        if self.source != "bluesky":
            created = created.replace(microsecond=0)
        plain = bool(more.pop("plain", False))  # the very words and nothing else
        symbol = more.get("symbols", ("BABA",))[0]
        text = words if plain else f"${symbol} {words} {self.source}-{self.mark}{place}"
        commented = self.source == "hackernews"
        values: dict[str, Any] = {
            "source": self.source, "number": self._last, "created_at": created, "shown_at": shown_at, "author": f"{self.source}frog{place}",
            "text": "" if commented else text, "body": text if commented else "", "place": "stocks" if self.source == "reddit" else "",
            "symbols": ("BABA",), "trouble": trouble,
        }  # fmt: skip
        post = Post(**{**values, **more})
        self.made.append(post)
        return post

    def then(self, post: Post, shown_at: float, trouble: str, **more: Any) -> Post:
        """Something that happens to an earlier post of the stream."""
        created = datetime.fromtimestamp(shown_at, tz=UTC)
        made = replace(post, created_at=created, shown_at=shown_at, trouble=trouble, **more)
        self.made.append(made)
        return made


def troubles(seed: int, begin: float, seconds: float, *, late: bool) -> list[Post]:
    """One of each kind and source, somewhere in the ``seconds`` after ``begin``; ``late`` ones where an overlap covers them."""
    dice = seeded(seed)
    posts: list[Post] = []
    for source in ("stocktwits", "reddit", "hackernews", "bluesky"):
        maker = _Maker(source, f"{seed}0")  # type: ignore[arg-type]

        def soon(least: float = 0.0) -> float:
            return begin + least + dice.random() * max(0.0, seconds - 2.5 - least)

        if source != "reddit":  # no XML parser takes them
            maker.say(soon(), HALF_A_PAIR, "half a surrogate pair")
            maker.say(soon(), CONTROLS, "control characters")
        maker.say(soon(), BIDI, "bidi and invisible characters")
        for author in ("newt", "carp", "heron"):
            maker.say(soon(), "$BABA told you so", "equal text", plain=True, author=f"{author}{seed}")
        if source == "bluesky":
            _of_a_stream(maker, soon())
        else:
            _of_a_listing(maker, soon(), late=late)
        # ids grow with the moment of appearing, as those of the services do: a page is a stretch of time
        posts += maker.made if source == "bluesky" else in_order(maker.made, TROUBLE)
    return posts


def _of_a_listing(maker: _Maker, at: float, *, late: bool) -> None:
    second = float(int(at)) + 0.05
    maker.say(second, "first of a tie")
    maker.say(
        second + 0.9, "last of a tie", "tie", created=second
    )  # the second is the same, and an answer may lie between
    for half, moment in enumerate((second, second + 0.9)):  # one page ends within the second at which the next begins
        for number in range(HALVES.get(maker.source, 0)):
            maker.say(moment, f"half {half}", "" if number else f"half {half} of a second", created=second)
    if late:
        maker.say(at + LATE_S, "shown late", "late", created=at)
    if late and maker.source == "reddit":
        for moment in (at, at + 1.5):
            for _ in range(BURST["reddit"]):
                maker.say(moment, "one of many")
        maker.say(at + 3.0, "shown late below many", "late, pages down", created=at - 1.0)
    if maker.source == "stocktwits":
        for number, time in enumerate(TIMES):
            maker.say(at + number / 100, "at no time", f"time {time!r}", claim=time, symbols=("JD",))
        maker.say(at, "no number", "id beyond 63 bits", native=str(2**70 + maker.made[0].number))
        maker.say(at, LONG, "long")
    elif maker.source == "hackernews":
        for number, time in enumerate(EPOCHS):
            maker.say(at + number / 100, "at no time", f"time {time!r}", claim=time, symbols=("JD",))
        maker.say(at, "no number", "id of letters", native=f"abc{maker.made[0].number}")


def _of_a_stream(maker: _Maker, at: float) -> None:
    """Edits, deletions, what is made again, an account that ends, and two events of one microsecond."""
    edited, gone, both = (
        maker.say(at, "first words"),
        maker.say(at, "to be deleted"),
        maker.say(at, "edited and deleted"),
    )
    again, brief = maker.say(at, "deleted and made again"), maker.say(at, "deleted at once")
    tie = maker.say(at + 0.1, "first of a tie")
    maker.say(at + 0.1, "last of a tie", "tie", created=tie.created_at.timestamp())
    maker.then(brief, at + 0.001, "deleted at once", removes=brief.number, text="")
    maker.then(edited, at + 0.8, "edit", edits=True, text=f"$BABA other words bluesky-{maker.mark}e")
    maker.then(gone, at + 0.9, "deletion", removes=gone.number, text="")
    maker.then(both, at + 0.8, "edit before a deletion", edits=True, text=f"$BABA other words bluesky-{maker.mark}f")
    maker.then(both, at + 1.2, "deletion after an edit", removes=both.number, text="")
    maker.then(again, at + 0.9, "deletion before it is made again", removes=again.number, text="")
    maker.then(again, at + 1.5, "made again", text=f"$BABA made again bluesky-{maker.mark}g")
    unknown = maker.say(at, "never shown")
    maker.made.remove(unknown)
    maker.then(unknown, at + 1.0, "deletion of something unknown", removes=unknown.number, text="")
    for number in range(3):
        maker.say(at + number / 10, "by somebody who leaves", author=f"leaver{maker.mark}")
    leaver = maker.made[-1]
    maker.then(leaver, at + 1.4, "account deleted", ends=True, text="", symbols=())


def burst(source: Source, number: int, begin: float) -> list[Post]:
    """More than a page of a polled stream at once: it takes a walk to get them all. The oldest one is the trouble."""
    said = invent(
        number, begin, 0.2, {source: BURST[source]}, late_share=0.0, symbols=("BABA",), places=("stocks",), first_number=number * 10_000,
    )  # fmt: skip
    posts = sorted(said, key=lambda post: post.shown_at)
    posts = [
        replace(post, number=moment_number(post.shown_at, OF_A_BURST) + KINDS * place)
        for place, post in enumerate(posts)
    ]
    return [replace(posts[0], trouble="burst"), *posts[1:]]
