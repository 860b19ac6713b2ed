"""Every recording of the shared folder, read by the source of its kind; a file that no rule knows fails.

What one file holds in detail is said by the tests of its source. Here nothing is left out: each is read, or is refused for
a reason that stands in the table.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Literal

import pytest

from tracker.answer import refusal
from tracker.errors import AccessDenied, NotFound, RateLimited, SourceError, Unavailable
from tracker.models import Flaw, Item
from tracker.pacing import reset_wait_s, used_up
from tracker.sources import archive_parsers, load, names

SHARED = Path(os.environ.get("TRACKER_SHARED") or Path(__file__).parents[2] / "shared")
SAMPLES = SHARED / "samples"
FILES = sorted(path.relative_to(SAMPLES).as_posix() for path in SAMPLES.rglob("*") if path.is_file())
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

needs_samples = pytest.mark.skipif(not FILES, reason="the recordings are not here: set TRACKER_SHARED")


def as_it_is(body: bytes) -> list[bytes]:
    return [body]


def lines(body: bytes) -> list[bytes]:
    return [line for line in body.splitlines() if line.strip()]


def body_of(body: bytes) -> list[bytes]:
    """What was answered, of a recording with its request and its headers."""
    document = json.loads(body)
    found = document["body"] if "body" in document else document["response"]["bodyJson"]
    return [found.encode() if isinstance(found, str) else json.dumps(found).encode()]


def whole_page(body: bytes) -> list[bytes]:
    """A page or a block of one that was cut out of its document, made whole again."""
    if body.startswith(b"<!DOCTYPE"):
        return [body + b"</section></html>"]
    return [b'<html><section class="tgme_channel_history">' + body + b"</section></html>"]


@dataclass(frozen=True, slots=True)
class Rule:
    """How the recordings of one kind are read."""

    source: str
    gives: Literal["items", "none", "refused"] = "items"
    parts: Callable[[bytes], list[bytes]] = as_it_is  # the answers or lines within
    archive: str = ""  # the format to read them as; "": as an answer
    why: str = ""  # there are none, or it is refused


RULES = {
    "aggregators/apewisdom_*": Rule("apewisdom"),
    "aggregators/tradestie_*": Rule("tradestie"),
    "bluesky/*.ndjson": Rule("bluesky"),
    "fourchan/docs_example_archive_*": Rule("fourchan", "refused", why="numbers of old threads, which are not asked for"),
    "fourchan/docs_example_threadlist_*": Rule("fourchan", "none", why="a list of threads: nobody speaks in it"),
    "fourchan/docs_example_threads_*": Rule("fourchan", "none", why="a pinned thread is the board's own"),
    "fourchan/*": Rule("fourchan"),
    "hackernews/algolia_2014_*": Rule("hackernews", archive="hackernews"),
    "hackernews/*": Rule("hackernews"),
    "mastodon/error_*": Rule("mastodon", "refused", body_of, why="an error in place of an answer"),
    "mastodon/instance_*": Rule("mastodon", "refused", body_of, why="settings, read on their own"),
    "mastodon/status_edit_history_*": Rule("mastodon", "none", body_of, why="old wordings have no address"),
    "mastodon/stream_*": Rule("mastodon", "refused", body_of, why="an account's stream, which is not read"),
    "mastodon/trends_*": Rule("mastodon", "none", body_of, why="links and tags, no statuses"),
    "mastodon/tag_timeline_page[45].json": Rule("mastodon", "none", body_of, why="pages behind the last one"),
    "mastodon/status_mastodon_social_2.json": Rule("mastodon", "none", body_of, why="its author has opted out"),
    "mastodon/status_mastodon_social_card.json": Rule("mastodon", "none", body_of, why="its author has opted out"),
    "mastodon/*": Rule("mastodon", parts=body_of),
    "nostr/old-new.ndjson": Rule("nostr", "none", why="profiles, no notes"),
    "nostr/profile-updates.ndjson": Rule("nostr", "none", why="profiles, no notes"),
    "nostr/*": Rule("nostr"),
    "prices/cboe_*": Rule("options_cboe"),
    "prices/nasdaq_historical_unknown_*": Rule("prices_nasdaq", "refused", why="no such symbol"),
    "prices/nasdaq_*": Rule("prices_nasdaq"),
    "prices/yahoo_*": Rule("prices_yahoo", parts=body_of),
    "reddit/_index.json": Rule("reddit", "refused", why="what the other recordings are"),
    "reddit/errors_*": Rule("reddit", "refused", why="many errors in one file, see below"),
    "reddit/ratelimit_*": Rule("reddit", "refused", why="headers, see below"),
    "reddit/poll_*_0[26].json": Rule("reddit", "none", why="empty answers to an anchor"),
    "reddit/*.csv": Rule("reddit", archive="reddit"),
    "reddit/*": Rule("reddit"),
    "rss/unrecognized.rss.xml": Rule("rss", "refused", why="a page"),
    "rss/*-fields.atom.xml": Rule("rss", "none", why="entries without any words"),
    "rss/*": Rule("rss"),
    "stocktwits/trending_*": Rule("stocktwits", "none", why="a ranking: nobody speaks in it"),
    "stocktwits/*.ndjson": Rule("stocktwits", parts=lines, archive="stocktwits"),
    "stocktwits/*": Rule("stocktwits"),
    "telegram/poll.html": Rule("telegram", "none", whole_page, why="the inside of a poll without its message"),
    "telegram/*": Rule("telegram", parts=whole_page),
    "x/*_count.json": Rule("x", "none", archive="x", why="counts: nobody speaks in them"),
    "x/*": Rule("x", archive="x"),
    "youtube/error_*": Rule("youtube", "refused", why="an error in place of an answer"),
    "youtube/search_*": Rule("youtube", "none", why="videos, no comments"),
    "youtube/videos_*": Rule("youtube", "none", why="videos, no comments"),
    "youtube/*": Rule("youtube"),
}  # fmt: skip
READ_BELOW = {
    "README.md",
    "errors/error_bodies_quoted.json",
}  # the list of the files, and what stands in a test of its own
# of these nothing was recorded: their shapes are from documents and from the code of others
UNRECORDED = {"arctic_shift", "lemmy", "stocktwits_firestream"}


def rule_of(name: str) -> Rule | None:
    """The first rule that fits."""
    return next((rule for pattern, rule in RULES.items() if PurePath(name).match(pattern)), None)


def read(name: str, rule: Rule) -> Iterator[list[Item]]:
    source = load(rule.source)
    parser = archive_parsers(rule.source)[rule.archive] if rule.archive else source.parse
    return (parser(part) for part in rule.parts((SAMPLES / name).read_bytes()))


@needs_samples
def test_no_recording_and_no_kind_is_left_out() -> None:
    known = {name: rule_of(name) for name in FILES if name not in READ_BELOW}
    assert [name for name, rule in known.items() if rule is None] == []
    assert set(RULES.values()) == set(known.values()), "a rule fits nothing"
    assert {rule.source for rule in known.values() if rule} == set(names()) - UNRECORDED


@needs_samples
@pytest.mark.parametrize("name", [name for name in FILES if name not in READ_BELOW])
def test_a_recording_is_read_by_the_source_of_its_kind(name: str) -> None:
    rule = rule_of(name)
    assert rule is not None
    if rule.gives == "refused":
        assert rule.why
        with pytest.raises(SourceError):
            list(read(name, rule))
        return
    items = [item for part in read(name, rule) for item in part]
    found = [item for item in items if not isinstance(item, Flaw)]
    assert bool(found) == (rule.gives == "items")
    if rule.gives == "items":
        assert len(found) == len(items), "something in it could not be read"
    else:
        assert rule.why


OURS = {"yahoo_chart": "prices_yahoo", "jetstream_v2": "bluesky"}  # as the file calls them


@needs_samples
def test_no_quoted_error_is_taken_for_an_answer() -> None:
    quoted = json.loads((SAMPLES / "errors" / "error_bodies_quoted.json").read_bytes())
    assert len(quoted) == 13
    for entry in quoted:
        words = entry["body"]
        body = words.encode() if isinstance(words, str) else json.dumps(words).encode()
        try:
            items = load(OURS.get(entry["source"], entry["source"])).parse(body)
        except SourceError:
            items = []
        assert not [item for item in items if not isinstance(item, Flaw)], entry["case"]
        if isinstance(entry["status"], int):
            assert isinstance(refusal(entry["status"], {}, body, "quoted", NOON), kind_of(entry["status"])), entry[
                "case"
            ]


@needs_samples
def test_recorded_refusals_of_reddit_are_named_for_what_to_do() -> None:
    recorded: list[dict[str, Any]] = json.loads((SAMPLES / "reddit" / "errors_oauth_api.json").read_bytes())
    assert len(recorded) == 23
    for entry in recorded:
        status, headers = (
            entry["status"]["code"],
            {name.lower(): str(value) for name, value in entry["headers"].items()},
        )
        error = refusal(status, headers, str(entry["body"]).encode(), entry["uri"], NOON)
        assert isinstance(error, kind_of(status)), entry["uri"]


@needs_samples
def test_recorded_reset_headers_are_seconds_and_windows_that_are_not_used_up() -> None:
    recorded = json.loads((SAMPLES / "reddit" / "ratelimit_headers_series.json").read_bytes())
    for entry in recorded:
        headers = {name: str(value) for name, value in entry.items()}
        assert reset_wait_s(headers, NOON) == float(entry["x-ratelimit-reset"])
        assert not used_up(headers)


def kind_of(status: int) -> type[SourceError]:
    named: dict[int, type[SourceError]] = {
        401: AccessDenied,
        403: AccessDenied,
        404: NotFound,
        410: NotFound,
        429: RateLimited,
    }
    return named.get(status, Unavailable)
