"""Telegram: the walk through a channel's preview, refusals, edits, and pages made to hurt a reader."""

from __future__ import annotations

import asyncio
import html
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from loopback import Asked, loopback, reply

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError
from tracker.http import Access, Http
from tracker.models import Ballot, BallotOption, Cursor, Flaw, Message, Page, Stream, newer
from tracker.sources import telegram

SHARED = Path(os.environ.get("TRACKER_SHARED") or Path(__file__).parents[2] / "shared")
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HTTP = Http()
NO_PREVIEW = b"<!DOCTYPE html><html><body><div class='tgme_page'>If you have Telegram, you can view</div></body></html>"


def block(number: int, inner: str, *, when: datetime | None = NOON, meta: str = "", kind: str = "") -> str:
    stamp = f'<time datetime="{when.isoformat()}" class="time">12:00</time>' if when else ""
    return (
        f'<div class="tgme_widget_message_wrap"><div class="tgme_widget_message {kind}" data-post="PondNews/{number}">'
        f'{inner}<span class="tgme_widget_message_meta">{meta}<a class="tgme_widget_message_date">{stamp}</a></span></div></div>'
    )


def said(words: str) -> str:
    return f'<div class="tgme_widget_message_text js-message_text" dir="auto">{words}</div>'


def page_of(*blocks: str) -> bytes:
    body = f'<section class="tgme_channel_history">{"".join(blocks)}</section>'
    return f"<!DOCTYPE html>\n<html><head><title>x</title></head><body>{body}</body>\n</html>".encode()


@dataclass
class Channel:
    """A channel with one message a minute up to noon, twenty a page."""

    last: int = 100
    now: datetime = NOON
    deleted: set[int] = field(default_factory=set)
    edited: dict[int, str] = field(default_factory=dict)
    pictures: set[int] = field(default_factory=set)
    refusal: bytes | None = None  # in place of every answer
    asked: list[Asked] = field(default_factory=list)

    def at(self, number: int) -> datetime:
        return NOON - timedelta(minutes=100 - number)

    def _block(self, number: int) -> str:
        if number in self.pictures:
            return block(number, '<a class="tgme_widget_message_photo_wrap"></a>', when=self.at(number))
        words = self.edited.get(number)
        if words is not None:
            return block(number, said(html.escape(words)), when=self.at(number), meta="edited &nbsp;")
        return block(number, said(f"ale {number}"), when=self.at(number))

    def answer(self, asked: Asked) -> bytes:
        self.asked.append(asked)
        if self.refusal is not None:
            return self.refusal
        address = urlsplit(asked.target)
        assert address.path == "/s/pondnews"
        before = int(parse_qs(address.query).get("before", ["1000000000"])[0])
        shown = [n for n in range(1, self.last + 1) if n not in self.deleted and n < before][-20:]
        return reply(200, page_of(*(self._block(n) for n in shown)), {"Date": format_datetime(self.now, usegmt=True)})

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]


async def poll(
    answer: Callable[[Asked], bytes], cursor: Cursor | None = None, *, pages: int = 10, overlap_s: float = 600.0
) -> Page:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(asked))
        await writer.drain()

    async with loopback(script) as server:
        access = Access(
            source="telegram",
            base_url=server.url,
            own_base_url=True,
            user_agent="tests",
            overlap_s=overlap_s,
            max_pages=pages,
        )
        async with HTTP.session(access) as client:
            page = await telegram.fetch(client, Stream("telegram", "pondnews"), cursor)
    json.dumps(page.cursor)
    return page


def numbers(page: Page) -> list[int]:
    return [int(item.id.partition("/")[2]) for item in page.items if isinstance(item, Message)]


# --------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    "given",
    ["pondnews", "@PondNews", "t.me/PondNews", "https://t.me/s/PondNews/", " PONDNEWS "],
)
def test_a_stream_is_a_channel_by_any_of_its_names(given: str) -> None:
    assert telegram.stream_name(given) == "pondnews"


@pytest.mark.parametrize("given", ["ab", "1pond", "pond news", "t.me/+Abc_invite", "https://pond.example/s/x", "a/b"])
def test_what_is_no_channel_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected the name of a public channel"):
        telegram.stream_name(given)


# ------------------------------------------------------------------------------------------------------ the walk


async def test_the_first_poll_takes_the_newest_page() -> None:
    channel = Channel()
    page = await poll(channel.answer)
    assert numbers(page) == list(range(100, 80, -1))
    assert channel.targets == ["/s/pondnews"]
    assert page.covers_from == channel.at(81)
    assert not page.more


async def test_later_polls_walk_back_by_number_to_known_ground() -> None:
    channel = Channel()
    page = await poll(channel.answer, {"known": channel.at(50).timestamp()})
    assert channel.targets == ["/s/pondnews", "/s/pondnews?before=81", "/s/pondnews?before=61", "/s/pondnews?before=41"]
    assert set(numbers(page)) >= set(range(40, 101))
    assert (page.gap, page.more) == (None, False)


async def test_a_walk_goes_on_in_the_next_poll() -> None:
    channel = Channel()
    cursor: Cursor | None = {"known": channel.at(30).timestamp()}
    seen: set[int] = set()
    more = True
    polls = 0
    while more:
        page = await poll(channel.answer, cursor, pages=1)
        seen |= set(numbers(page))
        cursor, more, polls = page.cursor, page.more, polls + 1
    assert seen >= set(range(20, 101))
    assert polls == 5
    assert page.gap is None


async def test_a_walk_needs_no_message_that_was_deleted_meanwhile() -> None:
    channel = Channel()
    first = await poll(channel.answer, {"known": channel.at(50).timestamp()}, pages=1)
    channel.deleted |= set(range(75, 90))
    page = await poll(channel.answer, first.cursor)
    assert set(numbers(page)) | set(numbers(first)) >= set(range(40, 101)) - channel.deleted
    assert page.gap is None


async def test_the_beginning_of_a_channel_is_no_gap() -> None:
    channel = Channel(deleted={1, 2, 3})
    page = await poll(channel.answer, {"known": channel.at(-500).timestamp()})
    assert numbers(page) == list(range(100, 3, -1))
    assert (page.gap, page.more) == (None, True), "one blank answer is no end"
    page = await poll(channel.answer, page.cursor)
    assert (numbers(page), page.gap, page.more) == ([], None, False)


async def test_a_page_of_pictures_does_not_end_the_walk() -> None:
    channel = Channel(pictures=set(range(61, 101)))
    page = await poll(channel.answer, {"known": channel.at(55).timestamp()})
    assert numbers(page)[0] == 60
    assert page.gap is None


async def test_a_channel_that_shows_nothing_is_not_believed() -> None:
    page = await poll(Channel(last=0).answer, {"known": NOON.timestamp()})
    assert (page.items, page.cursor, page.note) == ((), None, "the listing is empty")


# ----------------------------------------------------------------------------------------------------- edits


def found(page: Page, number: int) -> Message:
    return next(item for item in page.items if isinstance(item, Message) and item.id == f"pondnews/{number}")


async def test_other_words_are_a_newer_revision_and_the_same_words_are_none() -> None:
    channel = Channel()
    first = await poll(channel.answer)
    assert found(first, 95).revision is None
    channel.edited[95], channel.now = "changed", NOON + timedelta(minutes=5)
    second = await poll(channel.answer, first.cursor)
    channel.now += timedelta(minutes=5)
    third = await poll(channel.answer, second.cursor)
    channel.edited[95], channel.now = "changed again", channel.now + timedelta(minutes=5)
    fourth = await poll(channel.answer, third.cursor)
    revisions = [found(page, 95).revision for page in (second, third, fourth)]
    assert revisions[0] == revisions[1] == "2026-11-02T12:05:00+00:00"
    assert newer(revisions[0], None)
    assert newer(revisions[2], revisions[1])


async def test_the_words_of_so_many_edited_messages_are_remembered() -> None:
    channel = Channel(last=400, edited=dict.fromkeys(range(1, 401), "x"))
    page = await poll(channel.answer, {"known": channel.at(-500).timestamp()}, pages=50)
    assert page.cursor is not None
    assert set(page.cursor["edits"]) == {f"pondnews/{number}" for number in range(201, 401)}


# ----------------------------------------------------------------------------------------------------- refusals


async def test_a_channel_without_a_preview_leads_elsewhere_and_is_not_found() -> None:
    def answer(asked: Asked) -> bytes:
        if asked.target.startswith("/s/"):
            return reply(302, b"", {"Location": "/pondnews"})
        return reply(200, NO_PREVIEW)

    with pytest.raises(NotFound, match="no public preview") as caught:
        await poll(answer)
    assert "t.me/pondnews" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(200, b"<!DOCTYPE html><html><body><div class='g-Captcha'></div></body></html>"), AccessDenied),
        (reply(200, b"<!DOCTYPE html><html><body>something else</body></html>"), Malformed),
        (reply(200, page_of(block(1, said("cut")))[:-3]), Malformed),
        (reply(200, b'{"ok": true}'), Malformed),
        (reply(200, b""), Malformed),
        (reply(429, b"slow", {"Retry-After": "7"}), RateLimited),
        (reply(403, b"<html>Just a moment</html>"), AccessDenied),
    ],
)
async def test_what_comes_in_place_of_a_preview_is_an_error_by_its_name(answer: bytes, kind: type[SourceError]) -> None:
    with pytest.raises(SourceError) as caught:
        await poll(Channel(refusal=answer).answer)
    assert type(caught.value) is kind


async def test_a_refusal_amid_a_walk_keeps_what_came_before_it() -> None:
    channel = Channel()

    def answer(asked: Asked) -> bytes:
        return reply(429) if "before" in asked.target else channel.answer(asked)

    page = await poll(answer, {"known": channel.at(30).timestamp()})
    assert numbers(page) == list(range(100, 80, -1))
    assert isinstance(page.cut_short, RateLimited)
    assert page.more


# ---------------------------------------------------------------------------------------------------------- fields


def only(inner: str, **more: str) -> Message | Flaw | None:
    items = telegram.parse(page_of(block(7, inner, **more)))  # type: ignore[arg-type]
    assert len(items) <= 1
    return items[0] if items else None  # type: ignore[return-value]


def test_words_are_what_people_see() -> None:
    item = only(said("<b>one</b><br/>two &amp; &lt;b&gt;<blockquote>three</blockquote><pre>x &lt; y</pre>four\n five"))
    assert isinstance(item, Message)
    assert item.text == "one\ntwo & <b>\nthree\n\nx < y\nfour five"


def test_a_text_within_a_text_is_said_once() -> None:
    item = only(said(said("once")))
    assert isinstance(item, Message)
    assert item.text == "once"


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://t.me/HeronDesk/12", "herondesk/12"),
        ("https://t.me/HeronDesk/12?single", "herondesk/12"),
        ("https://t.me/HeronDesk", None),
        ("https://t.me/c/12345/12", None),
        ("https://pond.example/HeronDesk/12", None),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_a_message_passed_on_names_its_original_where_that_is_public(address: str, origin: str | None) -> None:
    link = f'<a class="tgme_widget_message_forwarded_from_name" href="{address}">Heron</a>'
    item = only(f'<div class="tgme_widget_message_forwarded_from">Forwarded from {link}</div>{said("ale")}')
    assert isinstance(item, Message)
    assert (item.text, item.reshare_of) == ("ale", origin)


def test_a_poll_has_options_shares_and_voters_but_no_votes() -> None:
    def option(words: str, share: int) -> str:
        percent = f'<div class="tgme_widget_message_poll_option_percent">{share}%</div>'
        return f'{percent}<div class="tgme_widget_message_poll_option_text">{words}</div>'

    head = '<div class="tgme_widget_message_poll_question">up &amp; away?</div>'
    voters = '<span class="tgme_widget_message_voters">41</span>'
    item = only(
        f'<div class="tgme_widget_message_poll">{head}{option("yes &lt;3", 61)}{option("no", 39)}</div>{voters}'
    )
    assert isinstance(item, Message)
    assert item.text == "up & away?"
    assert item.ballot == Ballot((BallotOption("yes <3", share=0.61), BallotOption("no", share=0.39)), "up & away?", 41)
    bare = '<div class="tgme_widget_message_poll_option_text">none</div>'
    unsure = only(f"{head}{option('yes', 100)}{bare}")
    assert isinstance(unsure, Message)
    assert unsure.ballot is not None
    assert [one.share for one in unsure.ballot.options] == [None, None]  # which of them has 100 % can't be said
    rounded = only(f"{head}{option('yes', 100)}{voters.replace('41', '1.2K')}")
    assert isinstance(rounded, Message)
    assert rounded.ballot is not None
    assert rounded.ballot.voters is None


def test_views_are_no_likes() -> None:
    item = only(said("ale") + '<span class="tgme_widget_message_views">37.2K</span>')
    assert isinstance(item, Message)
    assert (item.likes, item.reshares, item.replies) == (None, None, None)


@pytest.mark.parametrize(
    ("inner", "kind", "items"),
    [
        ('<a class="tgme_widget_message_photo_wrap"></a>', "", 0),
        (said("Pond pinned a message"), "service_message", 0),
        ('<div class="message_media_not_supported">Please open Telegram to view this post</div>', "", 1),
        ("", "", 1),
    ],
)
def test_what_holds_no_words_is_passed_over_and_what_hides_them_is_a_flaw(inner: str, kind: str, items: int) -> None:
    found = telegram.parse(page_of(block(7, inner, kind=kind)))
    assert len(found) == items
    assert all(isinstance(item, Flaw) for item in found)


# --------------------------------------------------------------------------------------------------- hostile pages


@pytest.mark.parametrize(
    "unit",
    [
        "<a ",
        "<!--",
        "<![",
        "<div>",
        "</div>",
        "<b></i>",
        '<a href="',
        "<a a='",
        'a="',
        "&#",
        "<",
        "<br>",
        '<div class="tgme_widget_message_text">',
        '<div class="tgme_widget_message_reply">',
        '<div class="tgme_widget_message_poll_option_text">',
        '<div class="tgme_widget_message" data-post="a/1">',
    ],
)
def test_reading_takes_time_in_proportion_to_the_page(unit: str) -> None:
    """Ten times the page in forty times the time at most: a quadratic reader would take a hundred."""

    def seconds(repeats: int) -> float:
        body = page_of(block(7, said("ale") + unit * repeats))
        started = time.process_time()
        telegram.parse(body)
        return time.process_time() - started

    size = 20_000 // len(unit)
    small = max(min(seconds(size) for _ in range(3)), 0.0005)
    assert min(seconds(10 * size) for _ in range(3)) < 40 * small


def test_nothing_in_a_message_can_pass_for_another() -> None:
    forged = html.escape('<div class="tgme_widget_message" data-post="pond/9">') + "words"
    items = telegram.parse(page_of(block(7, said(forged))))
    assert [item.id for item in items if isinstance(item, Message)] == ["pondnews/7"]


def test_recorded_pages_are_read() -> None:
    folder = SHARED / "samples" / "telegram"
    if not folder.exists():
        pytest.skip("no recorded pages: set TRACKER_SHARED")
    history, whole = b'<section class="tgme_channel_history">', b"</section></html>"
    read: dict[str, list[Message]] = {}
    for file in sorted(folder.glob("*.html")):
        body = file.read_bytes()
        page = body + whole if body.startswith(b"<!DOCTYPE") else b"<html>" + history + body + whole
        items = telegram.parse(page)
        assert not [item for item in items if isinstance(item, Flaw)], file.name
        read[file.name] = [item for item in items if isinstance(item, Message)]
        assert all(item.created_at and item.text and item.author for item in read[file.name])
    assert len(read["full_trimmed.html"]) == 10
    assert sum(item.reshare_of is not None for item in read["full_trimmed.html"]) == 4
    (poll_,) = read["message_poll.html"]
    assert poll_.ballot is not None
    assert (len(poll_.ballot.options), poll_.ballot.voters) == (3, 222)
