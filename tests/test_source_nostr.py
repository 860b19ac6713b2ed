"""Nostr: what is asked of a relay, what is believed of its answers, against a real WebSocket server on the loopback."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, Unavailable
from tracker.http import Access, Http
from tracker.models import Cursor, Deletion, Flaw, Message, Page, Stream
from tracker.sources import PushSource, load, nostr

SHARED = Path(os.environ.get("TRACKER_SHARED") or Path(__file__).parents[2] / "shared")
NVDA = Stream("nostr", "tag/nvda")
NOW = datetime(2026, 10, 1, 6, 0, tzinfo=UTC)
T0 = int(NOW.timestamp())
ADA, BO, CY = (hashlib.sha256(name).hexdigest() for name in (b"ada", b"bo", b"cy"))


def made(created_at: Any, content: Any = "words", *, kind: Any = 1, tags: Any = (), by: Any = ADA) -> dict[str, Any]:
    """An event with the id that its content leads to, and a signature of the right shape."""
    rest = [0, by, created_at, kind, [list(tag) for tag in tags], content]
    id_ = hashlib.sha256(json.dumps(rest, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
    names = ("pubkey", "created_at", "kind", "tags", "content")
    return {"id": id_, **dict(zip(names, rest[1:], strict=True)), "sig": id_ * 2}


def note(second: int, content: str = "words", *, by: str = ADA) -> dict[str, Any]:
    return made(T0 + second, content, tags=[["t", "nvda"]], by=by)


def gone(second: int, *events: dict[str, Any], by: str = ADA) -> dict[str, Any]:
    return made(T0 + second, "", kind=5, tags=[["e", event["id"]] for event in events], by=by)


def matches(event: dict[str, Any], filter_: dict[str, Any]) -> bool:
    def tagged(name: str) -> bool:
        wanted = filter_.get(f"#{name}")
        return wanted is None or any(tag[0] == name and tag[1] in wanted for tag in event["tags"])

    within = filter_.get("since", 0) <= event["created_at"] <= filter_.get("until", 10**12)
    return event["kind"] in filter_["kinds"] and tagged("t") and tagged("e") and within


@dataclass
class FakeRelay:
    """Keeps events, answers each REQ with the newest that match, then passes on what is published."""

    events: list[dict[str, Any]]
    first: list[list[Any]] = field(default_factory=list)  # frames on connecting
    closes: dict[str, str] = field(default_factory=dict)  # subscription -> its CLOSED message
    mute: bool = False  # takes everything, answers nothing
    most: int = 500  # events of one answer, whatever was asked for
    then: Callable[[ServerConnection], Awaitable[None]] | None = None  # after the first EOSE of the live subscription
    asked: list[list[Any]] = field(default_factory=list)
    live: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    url: str = ""

    def filters(self, sub: str) -> list[dict[str, Any]]:
        return [frame[2] for frame in self.asked if frame[:2] == ["REQ", sub]]

    async def talk(self, connection: ServerConnection) -> None:
        self.connections += 1
        with suppress(ConnectionClosed):
            for frame in self.first:
                await connection.send(json.dumps(frame))
            script: asyncio.Task[None] | None = None
            async for words in connection:
                asked = json.loads(words)
                self.asked.append(asked)
                if asked[0] != "REQ" or self.mute:
                    continue
                await self._answer(connection, *asked[1:])
                if asked[1] == "live":
                    self.live.set()
                    if self.then is not None and script is None:
                        script = asyncio.create_task(_quietly(self.then(connection)))
            if script is not None:
                script.cancel()

    async def _answer(self, connection: ServerConnection, sub: str, filter_: dict[str, Any]) -> None:
        if sub in self.closes:
            await connection.send(json.dumps(["CLOSED", sub, self.closes[sub]]))
            return
        found = sorted((event for event in self.events if matches(event, filter_)), key=lambda e: -e["created_at"])
        for event in found[: min(self.most, filter_["limit"])]:
            await connection.send(json.dumps(["EVENT", sub, event]))
        await connection.send(json.dumps(["EOSE", sub]))


async def _quietly(script: Awaitable[None]) -> None:
    with suppress(ConnectionClosed):
        await script


@asynccontextmanager
async def relay(*events: dict[str, Any], clock: datetime = NOW, **how: Any) -> AsyncIterator[FakeRelay]:
    told = FakeRelay(list(events), **how)

    def dated(connection: ServerConnection, request: Request, response: Response) -> Response:
        del response.headers["Date"]
        response.headers["Date"] = format_datetime(clock, usegmt=True)
        return response

    async with serve(told.talk, "127.0.0.1", 0, compression=None, process_response=dated) as listener:
        told.url = f"ws://127.0.0.1:{next(iter(listener.sockets)).getsockname()[1]}"
        yield told


def access(told: FakeRelay, **how: Any) -> Access:
    chosen = {"overlap_s": 60.0, "page_every_s": 5.0, "watchdog_s": 30.0, "deadline_s": 5.0, **how}
    return Access(source="nostr", base_url=told.url, own_base_url=True, user_agent="tests", **chosen)


async def fetched(told: FakeRelay, cursor: Cursor | None = None, name: str = "tag/nvda", **how: Any) -> Page:
    async with asyncio.timeout(20), Http().session(access(told, **how)) as client:
        page = await nostr.fetch(client, Stream("nostr", name), cursor)
    json.dumps(page.cursor)
    return page


async def heard(told: FakeRelay, cursor: Cursor | None, until: Callable[[Page], bool], **how: Any) -> list[Page]:
    """The pages of listening, up to the first one that is wanted."""
    found: list[Page] = []
    async with (
        asyncio.timeout(20),
        Http().session(access(told, **{"page_every_s": 0.1, **how})) as client,
        aclosing(nostr.listen(client, NVDA, cursor)) as pages,
    ):
        async for page in pages:
            found.append(page)
            if until(page):
                break
    return found


def texts(page: Page) -> list[str]:
    return [item.text for item in page.items if isinstance(item, Message)]


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


# --------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("#NVDA", "tag/nvda"),
        ("tag/stocks+NVDA+nvda", "tag/nvda+stocks"),
        (" tag/nvda@NOS.lol ", "tag/nvda@nos.lol"),
    ],
)
def test_a_stream_is_a_set_of_hashtags_at_a_relay(given: str, name: str) -> None:
    assert nostr.stream_name(given) == name


TOO_MANY = "tag/" + "+".join(f"tag{number}" for number in range(51))


@pytest.mark.parametrize("given", ["tag/", "tag/a b", "tag/nvda@other.example", "tag/nvda@", TOO_MANY])
def test_what_is_none_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected up to 50 hashtags"):
        nostr.stream_name(given)


def test_a_long_watch_list_becomes_several_streams() -> None:
    symbols = tuple(f"A{letter}{other}" for letter in "BCDEFGHI" for other in "JKLMNOPQR")
    found = nostr.streams(symbols)
    assert len(found) == 2
    assert sum(name.count("+") + 1 for name in found) == len(symbols) + 4


async def test_another_relay_can_not_be_asked_with_a_base_url_of_ones_own() -> None:
    async with relay() as told:
        with pytest.raises(NotFound, match="only that relay is asked"):
            await fetched(told, name="tag/nvda@nos.lol")
    assert told.connections == 0


def test_the_module_is_a_push_source() -> None:
    assert isinstance(load("nostr"), PushSource)


# ---------------------------------------------------------------------------------------------------------- asking


async def test_the_first_contact_asks_for_the_newest_and_for_their_deletions() -> None:
    first, second = note(-100, "a"), note(-50, "b")
    async with relay(first, second) as told:
        page = await fetched(told, name="tag/nvda+stocks")
    assert told.filters("live") == [{"kinds": [1, 6], "#t": ["nvda", "stocks"], "limit": 100}]
    assert told.filters("gone") == [{"kinds": [5], "#e": [second["id"], first["id"]], "limit": 500}]
    assert told.filters("back") == []
    assert sorted(texts(page)) == ["a", "b"]
    assert page.covers_from == at(-100)
    assert page.cursor is not None
    assert page.cursor["since"] == T0
    assert set(page.cursor["known"]) == {first["id"], second["id"]}
    assert ADA not in json.dumps(page.cursor)


async def test_a_reconnect_asks_again_for_the_overlap() -> None:
    async with relay(*(note(second, str(second)) for second in (-500, -350, -290, -10))) as told:
        page = await fetched(told, {"since": T0 - 300})
    assert told.filters("live")[0]["since"] == T0 - 360
    assert sorted(texts(page)) == ["-10", "-290", "-350"]
    assert page.covers_from == at(-300)
    assert page.gap is None


async def test_more_than_a_relay_gives_at_once_is_fetched_by_going_back() -> None:
    async with relay(*(note(second - 3000, str(second)) for second in range(300)), most=70) as told:
        page = await fetched(told, {"since": T0 - 5000})
    assert len(set(texts(page))) == len(texts(page)) == 300
    assert told.filters("back")[0]["until"] == T0 - 2770
    assert page.gap is None
    assert page.covers_from == at(-5000)
    assert ["CLOSE", "back"] in told.asked


async def test_more_than_the_pages_hold_leaves_a_gap() -> None:
    async with relay(*(note(second - 3000, str(second)) for second in range(300)), most=70) as told:
        page = await fetched(told, {"since": T0 - 5000}, max_pages=2)
    assert page.gap is not None
    assert (page.gap.from_at, page.gap.to_at) == (at(-5000), at(-2839))
    assert page.covers_from == at(-2839)
    assert page.cursor is not None
    assert page.cursor["since"] == T0


async def test_a_relay_that_does_not_go_back_leaves_a_gap_and_is_kept() -> None:
    async with relay(*(note(second - 300) for second in range(30)), most=10, closes={"back": "error: no"}) as told:
        page = await fetched(told, {"since": T0 - 1000})
    assert page.gap is not None
    assert page.gap.to_at == at(-280)


async def test_notes_that_share_a_second_do_not_keep_us_going_back_for_ever() -> None:
    async with relay(*(note(-100, str(number)) for number in range(50)), most=10) as told:
        page = await fetched(told, {"since": T0 - 500})
    assert len(page.items) == 10
    assert len(told.filters("back")) == 1


@pytest.mark.parametrize("since", [None, "x", True, 17, -1, float("nan"), [], {}])
async def test_an_unusable_cursor_begins_now(since: Any) -> None:
    async with relay(note(-5)) as told:
        await fetched(told, {"since": since, "known": since})
    assert "since" not in told.filters("live")[0]


# ---------------------------------------------------------------------------------------------------------- hearing


async def test_what_is_published_comes_in_the_next_page() -> None:
    fresh = note(1, "fresh")

    async def publish(connection: ServerConnection) -> None:
        await connection.send(json.dumps(["EVENT", "live", fresh]))

    async with relay(note(-9, "old"), then=publish) as told:
        pages = await heard(told, {"since": T0 - 60}, lambda page: "fresh" in texts(page))
    assert [text for page in pages for text in texts(page)] == ["old", "fresh"]
    assert pages[-1].covers_from is not None
    assert {"since": T0 - 120, "kinds": [1, 6], "#t": ["nvda"], "limit": 500} in told.filters("live")


async def test_silence_still_yields_pages_and_leaves_the_cursor_alone() -> None:
    async with relay(note(-9)) as told:
        pages = await heard(told, None, lambda page: not page.items)
    assert pages[0].cursor is not None
    assert pages[-1] == Page(items=(), cursor=None, covers_from=NOW)


async def test_before_the_end_of_the_stored_notes_nothing_is_claimed() -> None:
    async with relay(note(-9), mute=True) as told:
        (page,) = await heard(told, {"since": T0 - 60}, lambda page: True)
    assert page == Page(items=(), cursor=None)


async def test_the_position_stays_at_the_relays_clock_whatever_a_note_claims() -> None:
    async with relay(note(10**7, "from the future"), note(-9, "now")) as told:
        page = await fetched(told, {"since": T0 - 60})
    assert sorted(texts(page)) == ["from the future", "now"]
    assert page.cursor is not None
    assert page.cursor["since"] == T0


async def test_a_new_note_does_not_carry_the_position_away_either() -> None:
    async def publish(connection: ServerConnection) -> None:
        await connection.send(json.dumps(["EVENT", "live", note(10**7, "from the future")]))

    async with relay(then=publish) as told:
        pages = await heard(told, {"since": T0 - 60}, lambda page: bool(page.items))
    assert pages[-1].cursor is not None
    assert T0 <= pages[-1].cursor["since"] <= T0 + 60


async def test_a_position_of_the_future_comes_back_to_the_relays_clock() -> None:
    async with relay(note(-9, "now")) as told:
        page = await fetched(told, {"since": T0 + 10**7})
    assert texts(page) == ["now"]
    assert page.cursor is not None
    assert page.cursor["since"] == T0


async def test_the_same_note_comes_once_a_connection() -> None:
    again = note(-9, "again")

    async def publish(connection: ServerConnection) -> None:
        for event in (again, again, note(1, "last")):
            await connection.send(json.dumps(["EVENT", "live", event]))

    async with relay(again, then=publish) as told:
        pages = await heard(told, {"since": T0 - 60}, lambda page: "last" in texts(page))
    assert [text for page in pages for text in texts(page)] == ["again", "last"]


async def test_what_is_no_message_of_a_relay_is_a_flaw_and_the_stream_goes_on() -> None:
    forged = {**note(2), "content": "other words"}

    async def noise(connection: ServerConnection) -> None:
        frames = ("{", "[]", "[7]", "[" * 100_000, '["EVENT", "live"]', json.dumps(["EVENT", "live", forged]))
        for frame in frames:
            await connection.send(frame)
        await connection.send(b"\xff\xfe")
        await connection.send(json.dumps(["EVENT", "live", note(3, "x" * 70_000)]))
        for ignored in (["OK", "x", True, ""], ["EVENT", "other", note(4)], ["EOSE", []], ["COUNT", {}]):
            await connection.send(json.dumps(ignored))
        await connection.send(json.dumps(["EVENT", "live", note(5, "last")]))

    async with relay(then=noise) as told:
        pages = await heard(told, {"since": T0 - 60}, lambda page: "last" in texts(page))
    items = [item for page in pages for item in page.items]
    assert sum(isinstance(item, Flaw) for item in items) == 8
    assert [item.text for item in items if isinstance(item, Message)] == ["last"]


async def test_a_notice_is_passed_on_to_the_operator() -> None:
    async with relay(note(-9, "a"), first=[["AUTH", "challenge"], ["NOTICE", "closing\ud800 soon"]]) as told:
        page = await fetched(told)
    assert texts(page) == ["a"]
    assert page.note == "closing\ufffd soon"


# -------------------------------------------------------------------------------------------------------- deletions


async def test_a_deletion_by_the_author_is_honoured_and_a_strangers_is_not() -> None:
    mine, theirs = note(-20, "mine", by=ADA), note(-10, "theirs", by=BO)
    async with relay(mine, theirs, gone(-5, mine, by=ADA), gone(-4, theirs, mine, by=CY)) as told:
        page = await fetched(told)
    assert [item for item in page.items if isinstance(item, Deletion)] == [
        Deletion("nostr", id=mine["id"], author=ADA, deleted_at=at(-5))
    ]
    assert page.cursor is not None


async def test_a_note_of_an_earlier_connection_is_known_by_the_cursor() -> None:
    old, other = note(-500, "old"), note(-400, "other", by=BO)
    async with relay(old, other) as told:
        cursor = (await fetched(told)).cursor
    async with relay(gone(-5, old, other, by=ADA)) as told:
        page = await fetched(told, json.loads(json.dumps(cursor)))
    assert [item.id for item in page.items if isinstance(item, Deletion)] == [old["id"]]
    assert page.cursor is not None
    assert set(page.cursor["known"]) == {other["id"]}


async def test_deletions_of_what_comes_later_are_asked_for_too() -> None:
    fresh = note(1, "fresh")

    async def publish(connection: ServerConnection) -> None:
        await connection.send(json.dumps(["EVENT", "live", fresh]))

    async with relay(gone(2, fresh), then=publish) as told:
        pages = await heard(told, {"since": T0}, lambda page: any(isinstance(item, Deletion) for item in page.items))
    assert [item.id for item in pages[-1].items if isinstance(item, Deletion)] == [fresh["id"]]


async def test_only_the_newest_hundred_are_remembered() -> None:
    events = [note(second - 300, str(second)) for second in range(250)]
    async with relay(*events) as told:
        page = await fetched(told, {"since": T0 - 600})
    assert page.cursor is not None
    assert set(page.cursor["known"]) == {event["id"] for event in events[-100:]}


async def test_a_relay_without_deletions_is_kept() -> None:
    async with relay(note(-9, "a"), closes={"gone": "unsupported: too many tags"}) as told:
        page = await fetched(told)
    assert texts(page) == ["a"]
    assert page.note == "the relay tells no deletions: unsupported: too many tags"


# -------------------------------------------------------------------------------------------------------------- end


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("auth-required: who are you", AccessDenied),
        ("restricted: members only", AccessDenied),
        ("blocked: go away", AccessDenied),
        ("rate-limited: slow down there", RateLimited),
        ("error: shutting down", Unavailable),
        ("", Unavailable),
    ],
)
async def test_a_subscription_that_is_closed_is_told_as_what_it_is(words: str, kind: type[Exception]) -> None:
    async with relay(closes={"live": words}) as told:
        with pytest.raises(kind) as caught:
            await fetched(told)
    assert type(caught.value) is kind
    assert words in str(caught.value)


async def test_what_came_before_the_connection_broke_is_kept() -> None:
    async def hang_up(connection: ServerConnection) -> None:
        await connection.close(1011, "try later")

    async with relay(note(-9, "a"), then=hang_up) as told, Http().session(access(told)) as client:
        pages = nostr.listen(client, NVDA, None)
        assert texts(await anext(pages)) == ["a"]
        with pytest.raises(Unavailable, match="try later"):
            await anext(pages)


async def test_a_quiet_relay_is_asked_again_and_kept_while_it_answers() -> None:
    async with relay() as told:
        pages = await heard(
            told, {"since": T0}, lambda page: len(told.filters("live")) > 3, page_every_s=0.05, watchdog_s=0.3
        )
    assert told.connections == 1
    assert all(page.gap is None for page in pages)


async def test_a_relay_that_does_not_answer_is_gone() -> None:
    async with relay(mute=True, first=[["NOTICE", "overloaded"]]) as told:
        with pytest.raises(Unavailable, match=r"silent: nothing for 0\.2 s: nostr: overloaded"):
            await heard(told, None, lambda page: False, page_every_s=0.05, watchdog_s=0.2)


async def test_notices_alone_do_not_quieten_the_watchdog() -> None:
    async def chatter(connection: ServerConnection) -> None:
        told.mute = True
        while True:
            await connection.send(json.dumps(["NOTICE", "still here"]))
            await (await connection.ping())  # at the pace of the reader

    async with relay(then=chatter) as told:
        with pytest.raises(Unavailable, match="silent"):
            await heard(told, None, lambda page: False, page_every_s=0.05, watchdog_s=0.3)


async def test_a_relay_that_is_not_there_is_unavailable() -> None:
    async with relay() as told:
        pass
    with pytest.raises(Unavailable):
        await fetched(told)


# ---------------------------------------------------------------------------------------------------------- parsing


def lines(*frames: Any) -> bytes:
    return b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)


def test_a_deletion_counts_where_its_note_is_here_in_whatever_order() -> None:
    mine, theirs = note(0), note(1, by=BO)
    items = nostr.parse(lines(gone(2, mine, theirs), mine, theirs, gone(3, mine, by=CY)))
    assert [item.id for item in items if isinstance(item, Deletion)] == [mine["id"]]


@pytest.mark.parametrize(
    "content", ['a "quote" and \\', "tab\tline\nreturn\rback\bfeed\f", "\x00\x1f\x7f", "ö 🚀 </>", ""]
)
def test_the_hash_is_that_of_the_standard(content: str) -> None:
    """Control characters as JSON has them, which most programs write, or as they are, which the standard wants."""
    usual = made(T0, content, tags=[["t", content]])
    escaped = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    quoted = '"' + "".join(escaped.get(letter, letter) for letter in content) + '"'
    literal = f'[0,"{ADA}",{T0},1,[["t",{quoted}]],{quoted}]'
    strict = {**usual, "id": hashlib.sha256(literal.encode()).hexdigest()}
    for event in (usual, strict):
        items = nostr.parse(lines(["EVENT", "live", event]))
        assert not any(isinstance(item, Flaw) for item in items)
        assert len(items) == (1 if content else 0)


@pytest.mark.parametrize(
    ("tags", "parent"),
    [
        ([["e", "a" * 64, "", "root"], ["e", "b" * 64, "", "reply"]], "b" * 64),
        ([["e", "a" * 64, "", "root"]], "a" * 64),
        ([["e", "a" * 64, "", "mention"]], None),
        ([["e", "a" * 64], ["e", "b" * 64]], "b" * 64),
        ([["e", "short"], ["e"], ["q", "c" * 64]], None),
    ],
)
def test_the_parent_is_the_marked_or_the_last_one(tags: list[list[str]], parent: str | None) -> None:
    (item,) = nostr.parse(lines(made(T0, tags=tags)))
    assert isinstance(item, Message)
    assert item.reply_to == parent


def test_a_repost_says_what_it_passes_on_if_that_is_what_it_names() -> None:
    original = note(0, "said first", by=BO)
    good = made(T0 + 9, json.dumps(original), kind=6, tags=[["e", original["id"]]])
    (item,) = nostr.parse(lines(good))
    assert isinstance(item, Message)
    assert (item.text, item.author, item.reshare_of) == ("said first", ADA, original["id"])
    forged = json.dumps({**original, "content": "never said"})
    for content, tags in (
        (forged, [["e", original["id"]]]),
        (json.dumps(original), [["e", "a" * 64]]),
        ("", []),
        ("{", []),
    ):
        assert nostr.parse(lines(made(T0, content, kind=6, tags=tags))) == []


@pytest.mark.parametrize("created_at", [-(10**18), -1, 0, 10**11, 10**18, 2**63])
def test_a_time_that_is_none_is_left_to_the_reader(created_at: int) -> None:
    (item,) = nostr.parse(lines(made(created_at)))
    assert isinstance(item, Message)
    assert item.created_at is None or item.created_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\n \n", "empty body"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"[]", "no line is an event"),
        (b'["EVENT"]', "no line is an event"),
        (lines(note(0))[:-20], "the last line is cut"),
    ],
)
def test_what_is_no_recording_is_refused_by_name(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        nostr.parse(body)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(
    st.lists(
        st.lists(st.sampled_from(["e", "l", "t", "reply", "root", "a" * 64, "ISO-639-1", "en"]) | words, max_size=5),
        max_size=5,
    ),
    words | st.just(json.dumps(note(0))),
    st.integers(-(10**20), 10**20),
    st.sampled_from([0, 1, 5, 6, 7]),
)
def test_any_event_with_a_right_id_is_read(tags: list[list[str]], content: str, created_at: int, kind: int) -> None:
    items = nostr.parse(lines(made(created_at, content, kind=kind, tags=tags), note(0)))
    assert not any(isinstance(item, Flaw) for item in items)
    assert isinstance(items[-1], Message)


def test_a_key_is_written_as_people_pass_it_on() -> None:
    # the example of NIP-19
    key = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d"
    assert nostr._bech32("npub", key) == "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6"


def test_recorded_events_are_read() -> None:
    folder = SHARED / "samples" / "nostr"
    if not folder.exists():
        pytest.skip("no recorded events: set TRACKER_SHARED")
    found = {file.name: nostr.parse(file.read_bytes()) for file in folder.glob("*.ndjson")}
    assert not any(isinstance(item, Flaw) for items in found.values() for item in items)
    assert len(found["test_counts.ndjson"]) == 108
