"""No message takes long: the work for a text grows with its length at most, up to a bound. Counted in calls, not in time."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import cache

import pytest

from tracker.ingest import Analysis, digest
from tracker.mentions import make_finder
from tracker.mentions.finder import LONGEST, MOST_TAGS, MOST_WORDS
from tracker.models import Message
from tracker.tone import make_scorer

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PARTS = {
    "letters with dots": "A.B.C. ", "cashtags": "$GME $AMC ", "symbols and words": "$GME puts, $AMC calls; ", "emoji": "🚀👨‍👩‍👧‍👦", "zalgo": "b\u0315\u0328u\u0330\u0349y ",
    "bidi": "\u202e$BABA\u202c\u200b calls ", "names": "Bank of America Apple Alibaba ", "not not": "not good but ", "links": "https://example.org/?a=$BABA ",
    "marks": "!?.", "dollars": "$", "one word": "a", "numbers": "1,234.56% $12k ", "shouted": "BUY THE DIP ON IT ", "lines": "$GME up\n\n",
}  # fmt: skip


@cache
def analysis() -> Analysis:
    return Analysis(
        finder=make_finder(("GME", "AMC", "BABA")), scorer=make_scorer("learned", 0.1), author_key=b"k" * 32
    )


def calls(text: str) -> int:
    """How many functions are called and generators resumed on the way from a message to its rows, once its words are known."""
    message = Message("pond", "m", NOW, text, "newt")
    digest([message], analysis(), stream="s", fetched_at=NOW)
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        digest([message], analysis(), stream="s", fetched_at=NOW)
    finally:
        sys.setprofile(None)
    return count


def of_length(part: str, length: int) -> str:
    return (part * (length // len(part) + 1))[:length]


@pytest.mark.parametrize("kind", sorted(PARTS))
def test_twice_the_text_is_at_most_twice_the_work(kind: str) -> None:
    short, long = calls(of_length(PARTS[kind], 6_000)), calls(of_length(PARTS[kind], 12_000))
    assert long <= 2.2 * short + 500


@pytest.mark.parametrize("kind", sorted(PARTS))
def test_beyond_the_longest_post_nothing_is_read(kind: str) -> None:
    assert calls(of_length(PARTS[kind], 400_000)) <= calls(of_length(PARTS[kind], LONGEST)) + 10


def found(text: str) -> list[str]:
    return [mention.symbol for mention in analysis().finder.find(text)]


def test_what_is_read_ends_at_so_many_characters_words_and_tags() -> None:
    assert found("x" * (LONGEST - 4) + " $GME") == []
    assert found("x" * (LONGEST - 5) + " $GME") == ["GME"]
    assert found("x " * MOST_WORDS + "GME calls") == []
    assert found("x " * (MOST_WORDS - 2) + "GME calls") == ["GME"]
    behind = "x " * (MOST_WORDS + 9) + "GME calls, $AMC puts."
    (mention,) = analysis().finder.find(behind)  # words without a dollar sign are not looked at there
    assert (mention.symbol, mention.start) == ("AMC", behind.index("$AMC"))
    assert found("$AMC " * MOST_TAGS + "$GME") == ["AMC"]
    assert found("$AMC " * (MOST_TAGS - 1) + "$GME") == ["AMC", "GME"]
