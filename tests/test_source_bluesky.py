"""Bluesky: listening at a cursor, against a real WebSocket server on the loopback interface."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tracker.errors import Malformed, Unavailable
from tracker.http import Access, Http
from tracker.models import Cursor, Deletion, Flaw, Message, Page, Stream
from tracker.sources import PushSource, bluesky, load

SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).parents[1] / ".." / "shared"))
POSTS = Stream("bluesky", "posts")
T0 = 1_790_865_062_000_000  # microseconds: 2026-10-01 14:31:02 UTC
SECOND = 1_000_000


def post(time_us: int, text: str = "words", **record: Any) -> dict[str, Any]:
    commit = {
        "rev": f"3m{time_us}",
        "operation": "create",
        "collection": "app.bsky.feed.post",
        "rkey": f"3k{time_us}",
        "record": {"$type": "app.bsky.feed.post", "text": text, **record},
    }
    return {"did": "did:plc:invented", "time_us": time_us, "kind": "commit", "commit": commit}


def identity(time_us: int) -> dict[str, Any]:
    return {"did": "did:plc:invented", "time_us": time_us, "kind": "identity", "identity": {"seq": 1}}


def at(time_us: int) -> datetime:
    return datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=time_us)


@dataclass
class FakeJetstream:
    """Replays its events from the cursor on, inclusively, then does what it is told (stays, or hangs up)."""

    events: list[dict[str, Any]]
    then: Callable[[ServerConnection], Awaitable[None]] | None = None
    oldest: int = 0  # events before this are no longer offered; a cursor before it is silently moved
    binary: bool = False
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    url: str = ""

    async def talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        target = urlsplit(connection.request.path)
        params = parse_qs(target.query)
        self.asked.append((target.path, params))
        cursor = max(int(params.get("cursor", ["0"])[0]), self.oldest)
        for event in self.events:
            if event["time_us"] >= cursor:
                frame = json.dumps(event)
                await connection.send(frame.encode() if self.binary else frame)
        closed = asyncio.ensure_future(connection.wait_closed())
        script = asyncio.ensure_future(self.then(connection)) if self.then is not None else closed
        await asyncio.wait({closed, script}, return_when=asyncio.FIRST_COMPLETED)
        for task in (closed, script):
            task.cancel()
        await asyncio.gather(closed, script, return_exceptions=True)


@asynccontextmanager
async def jetstream(*events: dict[str, Any], **how: Any) -> AsyncIterator[FakeJetstream]:
    server = FakeJetstream(list(events), **how)
    async with serve(server.talk, "127.0.0.1", 0, compression=None) as listener:
        port = next(iter(listener.sockets)).getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}"
        yield server


def access(server: FakeJetstream, **how: Any) -> Access:
    chosen = {"base_url": server.url, "overlap_s": bluesky.OVERLAP, "page_every_s": 0.3, "watchdog_s": 30.0, **how}
    return Access(source="bluesky", own_base_url=True, user_agent="tests", **chosen)


async def fetched(server: FakeJetstream, cursor: Cursor | None = None, **how: Any) -> Page:
    async with Http().session(access(server, **how)) as client:
        return await bluesky.fetch(client, POSTS, cursor)


async def heard(server: FakeJetstream, cursor: Cursor | None, pages: int, **how: Any) -> list[Page]:
    """The first pages of listening."""
    found: list[Page] = []
    async with (
        Http().session(access(server, **how)) as client,
        aclosing(bluesky.listen(client, POSTS, cursor)) as listening,
    ):
        async for page in listening:
            found.append(page)
            if len(found) == pages:
                break
    return found


def texts(page: Page) -> list[str]:
    return [item.text for item in page.items if isinstance(item, Message)]


# ---------------------------------------------------------------------------------------------------- connecting


async def test_the_first_connection_asks_for_posts_from_now_on() -> None:
    async with jetstream(post(T0, "a"), post(T0 + 1, "b")) as server:
        page = await fetched(server)
    assert server.asked == [("/subscribe", {"wantedCollections": ["app.bsky.feed.post"]})]
    assert texts(page) == ["a", "b"]
    assert page.cursor == {"time_us": T0 + 1}
    assert page.covers_from == at(T0)
    assert page.gap is None


async def test_a_configured_address_with_subscribe_is_used_as_it_is() -> None:
    async with jetstream(post(T0)) as server:
        await fetched(server, base_url=server.url + "/mirror/subscribe")
    assert server.asked[0][0] == "/mirror/subscribe"


async def test_a_reconnect_asks_again_for_the_overlap() -> None:
    events = [post(T0 + second * SECOND, str(second)) for second in range(-20, 3)]
    async with jetstream(*events) as server:
        page = await fetched(server, {"time_us": T0}, overlap_s=5.0)
    assert server.asked[0][1]["cursor"] == [str(T0 - 5 * SECOND)]
    assert texts(page) == [str(second) for second in range(-5, 3)]
    assert page.cursor == {"time_us": T0 + 2 * SECOND}
    assert page.covers_from == at(T0)
    assert page.gap is None


@pytest.mark.parametrize("cursor", [None, {}, {"time_us": "x"}, {"time_us": 17}, {"time_us": True}])
async def test_an_unusable_cursor_begins_now(cursor: Cursor | None) -> None:
    async with jetstream(post(T0)) as server:
        await fetched(server, cursor)
    assert "cursor" not in server.asked[0][1]


async def test_binary_frames_are_read() -> None:
    async with jetstream(post(T0, "a"), binary=True) as server:
        assert texts(await fetched(server)) == ["a"]


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with jetstream() as server:
        pass
    with pytest.raises(Unavailable):
        await fetched(server)


# --------------------------------------------------------------------------------------------------------- pages


async def test_pages_follow_each_other_without_holes() -> None:
    wanted: asyncio.Queue[int] = asyncio.Queue()

    async def more(connection: ServerConnection) -> None:
        while True:
            number = await wanted.get()
            await connection.send(json.dumps(post(T0 + number * SECOND, str(number))))

    found: list[Page] = []
    async with (
        jetstream(post(T0, "0"), then=more) as server,
        Http().session(access(server, page_every_s=0.05)) as client,
        aclosing(bluesky.listen(client, POSTS, None)) as pages,
        asyncio.timeout(20),
    ):
        async for page in pages:
            if not texts(page):
                continue
            found.append(page)
            if len(found) == 4:
                break
            wanted.put_nowait(len(found))
    assert [texts(page) for page in found] == [["0"], ["1"], ["2"], ["3"]]
    assert [page.covers_from for page in found] == [at(T0 + number * SECOND) for number in (0, 0, 1, 2)]
    assert [page.cursor for page in found] == [{"time_us": T0 + number * SECOND} for number in range(4)]


async def test_a_page_is_full_at_2000_events() -> None:
    async with jetstream(*(post(T0 + number) for number in range(2500))) as server:
        first = await fetched(server, page_every_s=30.0)
        second = await fetched(server, first.cursor, page_every_s=30.0, overlap_s=0.0)
    assert (len(first.items), first.more, first.cursor) == (2000, True, {"time_us": T0 + 1999})
    assert (len(second.items), second.more, second.cursor) == (501, False, {"time_us": T0 + 2499})


async def test_silence_still_yields_a_page_that_tells_so() -> None:
    async with jetstream(post(T0, "a")) as server:
        first, second = await heard(server, None, 2, page_every_s=0.1)
    assert texts(first) == ["a"]
    assert second == Page(items=(), cursor={"time_us": T0}, covers_from=at(T0))


async def test_before_the_first_event_nothing_is_claimed() -> None:
    async with jetstream() as server:
        (fresh,) = await heard(server, None, 1, page_every_s=0.05)
        (known,) = await heard(server, {"time_us": T0}, 1, page_every_s=0.05)
    assert fresh == Page(items=(), cursor=None)
    assert known == Page(items=(), cursor={"time_us": T0})


async def test_news_of_accounts_alone_are_not_listening() -> None:
    """A stream has been seen to carry them for hours and no post: until one comes nothing is claimed, then all of it."""
    wanted: asyncio.Queue[int] = asyncio.Queue()

    async def more(connection: ServerConnection) -> None:
        await wanted.get()
        await connection.send(json.dumps(post(T0 + SECOND, "at last")))
        await connection.wait_closed()

    found: list[Page] = []
    async with (
        jetstream(identity(T0), then=more) as server,
        Http().session(access(server, page_every_s=0.05)) as client,
        aclosing(bluesky.listen(client, POSTS, {"time_us": T0})) as pages,
        asyncio.timeout(20),
    ):
        async for page in pages:
            found.append(page)
            if texts(page):
                break
            wanted.put_nowait(1)
    assert [page.covers_from for page in found[:-1]] == [None] * (len(found) - 1)
    assert found[-1].covers_from == at(T0)


async def test_other_kinds_and_collections_move_the_cursor_only() -> None:
    like = post(T0 + 1)
    like["commit"]["collection"] = "app.bsky.feed.like"
    async with jetstream(post(T0, "a"), like, identity(T0 + 2)) as server:
        page = await fetched(server)
    assert texts(page) == ["a"]
    assert len(page.items) == 1
    assert page.cursor == {"time_us": T0 + 2}


async def test_the_cursor_never_goes_back() -> None:
    async with jetstream(post(T0 - 3 * SECOND, "late")) as server:
        page = await fetched(server, {"time_us": T0})
    assert texts(page) == ["late"]
    assert page.cursor == {"time_us": T0}


async def test_one_stamp_in_the_future_does_not_carry_the_cursor_away() -> None:
    wrong = post(T0 + 400 * 86_400 * SECOND, "wrong")
    for events in ([wrong, post(T0), post(T0 + 1)], [post(T0), post(T0 + 1), wrong]):
        async with jetstream(*events) as server:
            page = await fetched(server)
        assert "wrong" in texts(page)
        assert page.cursor == {"time_us": T0 + 1}
        assert page.covers_from == at(T0)


@pytest.mark.parametrize("ahead_s", [60, 12 * 3600, 400 * 86_400])
async def test_a_page_of_one_stamp_in_the_future_stays_at_the_servers_clock(ahead_s: int) -> None:
    """There is no other event to tell that it is wrong; what comes until then must not be passed over."""
    now = time.time_ns() // 1000
    async with jetstream(post(now + ahead_s * SECOND, "wrong")) as server:
        page = await fetched(server, {"time_us": now - 20 * SECOND})
    assert texts(page) == ["wrong"]
    assert page.cursor is not None
    assert now - 20 * SECOND <= page.cursor["time_us"] <= time.time_ns() // 1000


async def test_one_stamp_a_year_ahead_is_no_first_position() -> None:
    async with jetstream(post(time.time_ns() // 1000 + 400 * 86_400 * SECOND, "wrong")) as server:
        page = await fetched(server)
    assert texts(page) == ["wrong"]
    assert (page.cursor, page.gap) == (None, None)


async def test_a_cursor_of_the_future_comes_back_to_the_servers_clock() -> None:
    now = time.time_ns() // 1000
    async with jetstream(post(now + 400 * 86_400 * SECOND)) as server:
        page = await fetched(server, {"time_us": now + 300 * 86_400 * SECOND})
    assert page.cursor is not None
    assert now - 2 * SECOND <= page.cursor["time_us"] <= time.time_ns() // 1000


async def test_a_broken_frame_is_a_flaw_and_the_stream_goes_on() -> None:
    async def more(connection: ServerConnection) -> None:
        for frame in ("{", "[]", b"\xff\xfe", json.dumps({"kind": "commit"}), "[" * 100_000, json.dumps(post(T0, "b"))):
            await connection.send(frame)
        await connection.wait_closed()

    async with jetstream(post(T0, "a"), then=more) as server:
        page = await fetched(server)
    assert texts(page) == ["a", "b"]
    assert [type(item) for item in page.items[1:-1]] == [Flaw] * 5


# ---------------------------------------------------------------------------------------------------------- gaps


async def test_a_server_that_no_longer_offers_the_cursor_leaves_a_gap() -> None:
    events = [post(T0), post(T0 + 900 * SECOND, "a"), post(T0 + 901 * SECOND, "b")]
    async with jetstream(*events, oldest=T0 + 800 * SECOND) as server:
        first, second = await heard(server, {"time_us": T0}, 2, page_every_s=0.1)
    assert first.gap is not None
    assert (first.gap.from_at, first.gap.to_at) == (at(T0), at(T0 + 900 * SECOND))
    assert "no longer offers" in first.gap.reason
    assert first.covers_from == at(T0 + 900 * SECOND)
    assert second.gap is None


async def test_a_quiet_hour_after_the_cursor_is_no_gap() -> None:
    async with jetstream(post(T0, "known"), post(T0 + 3600 * SECOND, "new")) as server:
        page = await fetched(server, {"time_us": T0})
    assert texts(page) == ["known", "new"]
    assert page.gap is None
    assert page.covers_from == at(T0)


async def test_another_servers_stamp_of_the_same_event_is_no_gap() -> None:
    async with jetstream(post(T0 + 2 * SECOND)) as server:
        page = await fetched(server, {"time_us": T0})
    assert page.gap is None


# ----------------------------------------------------------------------------------------------------------- end


async def test_what_came_before_the_connection_broke_is_kept() -> None:
    async def hang_up(connection: ServerConnection) -> None:
        await connection.close()

    async with jetstream(post(T0, "a"), then=hang_up) as server, Http().session(access(server)) as client:
        pages = bluesky.listen(client, POSTS, None)
        assert texts(await anext(pages)) == ["a"]
        with pytest.raises(Unavailable, match="closed"):
            await anext(pages)


async def test_a_drain_ends_when_the_stream_runs_dry() -> None:
    async with jetstream(post(T0, "a")) as server, asyncio.timeout(20):
        assert texts(await fetched(server, page_every_s=60.0)) == ["a"]


async def test_a_connection_that_breaks_before_anything_came_is_unavailable() -> None:
    async def hang_up(connection: ServerConnection) -> None:
        await connection.close(1011, "try later")

    async with jetstream(then=hang_up) as server:
        with pytest.raises(Unavailable, match="try later"):
            await fetched(server)


async def test_silence_beyond_the_watchdog_is_unavailable() -> None:
    found: list[Page] = []

    async def listen_on(server: FakeJetstream) -> None:
        async with Http().session(access(server, watchdog_s=0.2, page_every_s=0.05)) as client:
            async for page in bluesky.listen(client, POSTS, None):
                found.append(page)  # noqa: PERF401 - what came before the error is wanted

    async with jetstream(post(T0, "a")) as server, asyncio.timeout(20):
        with pytest.raises(Unavailable, match="silent"):
            await listen_on(server)
    assert [text for page in found for text in texts(page)] == ["a"]


async def test_news_of_accounts_alone_do_not_quieten_the_watchdog() -> None:
    async def chatter(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await connection.send(json.dumps(identity(T0)))
                await (await connection.ping())  # at the pace of the reader

    async with jetstream(then=chatter) as server, asyncio.timeout(20):
        with pytest.raises(Unavailable, match="silent"):
            await heard(server, None, 1_000, watchdog_s=0.2)


async def test_the_stream_is_read_on_while_a_page_is_being_stored() -> None:
    storing, sent = asyncio.Event(), asyncio.Event()

    async def more(connection: ServerConnection) -> None:
        await storing.wait()
        for number in range(1, 1_500):
            await connection.send(json.dumps(post(T0 + number, "x" * 20_000)))
        sent.set()
        await connection.wait_closed()

    async with (
        jetstream(post(T0), then=more) as server,
        Http().session(access(server)) as client,
        aclosing(bluesky.listen(client, POSTS, None)) as pages,
        asyncio.timeout(20),
    ):
        await anext(pages)
        storing.set()
        await sent.wait()  # thirty megabytes, more than sockets hold, and nobody asked for the next page


async def test_an_oversized_event_is_a_flaw() -> None:
    async with jetstream(post(T0, "x" * 70_000), post(T0 + 1, "a")) as server:
        page = await fetched(server)
    assert [type(item) for item in page.items] == [Flaw, Message]


# ------------------------------------------------------------------------------------------------------- parsing


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


@pytest.mark.parametrize("operation", ["create", "update"])
def test_the_servers_time_counts_and_not_the_authors(operation: str) -> None:
    event = post(T0, "a", createdAt="2099-01-01T00:00:00Z")
    event["commit"]["operation"] = operation
    (item,) = bluesky.parse(lines(event))
    assert isinstance(item, Message)
    assert item.created_at == at(T0)
    assert item.id == f"at://did:plc:invented/app.bsky.feed.post/3k{T0}"


@pytest.mark.parametrize(
    ("tag", "symbols"),
    [
        ("$TSLA", ("TSLA",)),
        ("$F", ("F",)),
        ("$B3K4", ("B3K4",)),
        ("$tsla", ()),
        ("TSLA", ()),
        ("$TOOLONG", ()),
        ("$1A", ()),
        ("$TSLA\n", ()),
        (None, ()),
    ],
)
def test_a_cashtag_is_a_tag_of_a_certain_shape(tag: object, symbols: tuple[str, ...]) -> None:
    (item,) = bluesky.parse(lines(post(T0, "a", facets=[{"features": [{"tag": tag}]}])))
    assert isinstance(item, Message)
    assert item.symbols == symbols


@pytest.mark.parametrize(
    ("active", "status", "gone"),
    [
        (False, "deleted", True),
        (False, "takendown", True),
        (False, "suspended", False),
        (False, "deactivated", False),
        (False, None, False),
        (True, "deleted", False),
    ],
)
def test_only_accounts_that_are_gone_for_good_are_deletions(active: bool, status: str | None, gone: bool) -> None:
    event = {"did": "did:plc:x", "time_us": T0, "kind": "account", "account": {"active": active, "status": status}}
    expected = [Deletion("bluesky", author="did:plc:x", deleted_at=at(T0))]
    assert bluesky.parse(lines(event)) == (expected if gone else [])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty body"),
        (b"\n \n", "empty body"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"{}", "no line is an event"),
        (b'{"error": "CursorTooOld"}', "no line is an event"),
        (lines(post(T0))[:-20], "the last event is cut"),
        (lines(post(T0), post(T0 + 1))[:-20], "the last event is cut"),
    ],
)
def test_what_is_no_recording_is_refused_by_name(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        bluesky.parse(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["did", "time_us", "kind", "commit"]),
    st.sampled_from([None, "rev", "operation", "collection", "rkey", "record"]),
)
def test_any_value_in_any_place_is_an_item_or_a_flaw(value: Any, outer: str, inner: str | None) -> None:
    event = post(T0)
    if inner is not None and outer == "commit":
        event["commit"][inner] = value
    else:
        event[outer] = value
    items = bluesky.parse(lines(event, post(T0 + 1)))
    assert isinstance(items[-1], Message)


@pytest.mark.parametrize("name", ["jetstream", "bluesky"])
def test_archives_are_read_a_line_at_a_time(name: str) -> None:
    (item,) = bluesky.ARCHIVE[name](lines(post(T0, "a")))
    assert isinstance(item, Message)


def test_there_is_one_stream() -> None:
    assert bluesky.stream_name(" Posts ") == "posts"
    assert bluesky.streams(("TSLA",)) == ("posts",)
    with pytest.raises(ValueError, match='expected "posts"'):
        bluesky.stream_name("likes")


def test_the_module_is_a_push_source() -> None:
    assert isinstance(load("bluesky"), PushSource)


@pytest.mark.parametrize(
    ("name", "messages", "deletions"),
    [("jetstream_v1_golden_20260525.ndjson", 1, 0), ("jetstream_v1_prod_20260704.ndjson", 17, 1)],
)
def test_recordings_are_read_whole(name: str, messages: int, deletions: int) -> None:
    path = SHARED / "samples" / "bluesky" / name
    if not path.exists():
        pytest.skip("the recordings are not here (TRACKER_SHARED)")
    items = bluesky.parse(path.read_bytes())
    assert sum(isinstance(item, Message) for item in items) == messages
    assert sum(isinstance(item, Deletion) for item in items) == deletions
    assert len(items) == messages + deletions


# -------------------------------------------------------------------------------------------------- the second wire

V2 = "/xrpc/network.bsky.jetstream.subscribeEvents"
EVENT_TYPE = "network.bsky.jetstream.subscribeEvents"


def framed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"$type": "message", "payload": {"$type": f"{EVENT_TYPE}#{kind}", **fields}}


def counted(seq: int, time_us: int, text: str = "words") -> dict[str, Any]:
    """A post as v2 sends it."""
    return framed(
        "commit", seq=seq, did="did:plc:invented", time=at(time_us).isoformat(), rev=f"3m{time_us}", operation="create",
        collection="app.bsky.feed.post", rkey=f"3k{time_us}", record={"text": text},
    )  # fmt: skip


@dataclass
class FakeV2:
    """Events by number; below its floor numbers are refused and times are moved up, as the lexicon says."""

    events: list[tuple[int, int, str]]  # number, time, text
    floor: int = 0  # the oldest number that is still offered
    then: dict[str, Any] | None = None  # the last frame
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    url: str = ""

    def refuse(self, connection: ServerConnection, request: Any) -> Any:
        target = urlsplit(request.path)
        assert target.path == V2
        params = parse_qs(target.query)
        self.asked.append(params)
        cursor = int(params.get("cursor", ["0"])[0])
        if 0 < cursor < min(self.floor, 10**15):
            words = json.dumps({"error": "CursorTooOld", "message": f"the oldest is {self.floor}"})
            return connection.respond(400, words)
        return None

    async def talk(self, connection: ServerConnection) -> None:
        cursor = int(self.asked[-1].get("cursor", ["0"])[0])
        offered = [event for event in self.events if event[0] >= self.floor]
        if cursor >= 10**15:
            if offered and cursor < offered[0][1]:
                await connection.send(json.dumps(framed("info", name="OutdatedCursor", message="moved")))
            offered = [event for event in offered if event[1] >= cursor]
        elif cursor > max(seq for seq, _, _ in self.events) + 1:
            await connection.send(json.dumps(framed("info", name="FutureCursor", message="from now on")))
            offered = offered[-1:]
        else:
            offered = [event for event in offered if event[0] >= cursor]
        for event in offered:
            await connection.send(json.dumps(counted(*event)))
        if self.then is not None:
            await connection.send(json.dumps(self.then))
        with suppress(ConnectionClosed):
            await connection.wait_closed()


@asynccontextmanager
async def second_wire(*events: tuple[int, int, str], **how: Any) -> AsyncIterator[FakeV2]:
    server = FakeV2(list(events), **how)
    async with serve(server.talk, "127.0.0.1", 0, compression=None, process_request=server.refuse) as listener:
        server.url = f"ws://127.0.0.1:{next(iter(listener.sockets)).getsockname()[1]}{V2}"
        yield server


EVENTS = [(100 + n, T0 + n * 10 * SECOND, str(n)) for n in range(6)]


async def test_the_second_wire_is_asked_in_its_own_words() -> None:
    async with second_wire(*EVENTS) as server:
        page = await fetched(server)  # type: ignore[arg-type]
    assert server.asked == [{"kinds": ["commit", "account"], "collections": ["app.bsky.feed.post"]}]
    assert texts(page) == [str(n) for n in range(6)]
    assert page.cursor == {"time_us": T0 + 50 * SECOND, "seq": 105, "host": server.url}
    assert (page.covers_from, page.gap) == (at(T0), None)


async def test_it_goes_on_at_the_number_of_the_last_event() -> None:
    async with second_wire(*EVENTS) as server:
        page = await fetched(server, {"time_us": T0 + 30 * SECOND, "seq": 103, "host": server.url})  # type: ignore[arg-type]
    assert [asked["cursor"] for asked in server.asked] == [["103"]]
    assert texts(page) == ["3", "4", "5"]
    assert (page.covers_from, page.gap) == (at(T0 + 30 * SECOND), None)


@pytest.mark.parametrize("cursor", [{"seq": 103, "host": "ws://another.example"}, {"seq": 103}, {"seq": "x"}, {}])
async def test_a_number_of_another_host_means_nothing_here(cursor: Cursor) -> None:
    async with second_wire(*EVENTS) as server:
        page = await fetched(server, {"time_us": T0 + 30 * SECOND, **cursor})  # type: ignore[arg-type]
    assert [asked["cursor"] for asked in server.asked] == [[str(T0 + 25 * SECOND)]]
    assert texts(page) == ["3", "4", "5"]
    assert page.gap is None


async def test_a_number_that_is_too_old_is_a_gap_up_to_the_oldest_event() -> None:
    async with second_wire(*EVENTS, floor=104) as server:
        page = await fetched(server, {"time_us": T0, "seq": 100, "host": server.url})  # type: ignore[arg-type]
    assert [asked["cursor"] for asked in server.asked] == [["100"], [str(T0 - 5 * SECOND)]]
    assert texts(page) == ["4", "5"]
    assert page.gap is not None
    assert (page.gap.from_at, page.gap.to_at) == (at(T0), at(T0 + 40 * SECOND))
    assert page.covers_from == at(T0 + 40 * SECOND)
    assert page.cursor == {"time_us": T0 + 50 * SECOND, "seq": 105, "host": server.url}


async def test_a_number_from_the_future_is_not_taken_for_now() -> None:
    async with second_wire(*EVENTS) as server:
        page = await fetched(server, {"time_us": T0 + 20 * SECOND, "seq": 9_000, "host": server.url})  # type: ignore[arg-type]
    assert [asked["cursor"] for asked in server.asked] == [["9000"], [str(T0 + 15 * SECOND)]]
    assert texts(page) == ["2", "3", "4", "5"]
    assert page.gap is None


async def test_why_the_server_ends_the_stream_is_told_after_what_came() -> None:
    ending = {"$type": "error", "error": "ConsumerTooSlow", "message": "read faster"}
    pages: list[Page] = []

    async def listen(server: Any) -> None:
        async with (
            Http().session(access(server)) as client,
            aclosing(bluesky.listen(client, POSTS, None)) as listening,
        ):
            async for page in listening:
                pages.append(page)  # noqa: PERF401 - those before the error count

    async with second_wire(*EVENTS, then=ending) as server:
        with pytest.raises(Unavailable, match="the server ended the stream: bluesky: ConsumerTooSlow: read faster"):
            await listen(server)
    assert [text for page in pages for text in texts(page)] == [str(n) for n in range(6)]


async def test_another_refusal_is_no_misplaced_cursor() -> None:
    class Refusing(FakeV2):
        def refuse(self, connection: ServerConnection, request: Any) -> Any:
            return connection.respond(400, '{"error": "InvalidRequest"}')

    server = Refusing([])
    async with serve(server.talk, "127.0.0.1", 0, process_request=server.refuse) as listener:
        server.url = f"ws://127.0.0.1:{next(iter(listener.sockets)).getsockname()[1]}{V2}"
        with pytest.raises(Unavailable) as caught:
            await fetched(server, {"time_us": T0, "seq": 100, "host": server.url})  # type: ignore[arg-type]
    assert caught.value.http_status == 400


# ------------------------------------------------------------------------------------------------------- going back


async def went_back(server: Any, since: int, until: int, place: Cursor | None = None, most: int = 99) -> list[Any]:
    found = []
    async with (
        Http().session(access(server)) as client,
        aclosing(bluesky.backfill(client, POSTS, at(since), at(until), place)) as stretches,
    ):
        async for stretch in stretches:
            found.append(stretch)
            if len(found) == most:
                break
    return found


@pytest.mark.parametrize("wire", ["first", "second"])
async def test_a_span_is_replayed_up_to_its_end(wire: str) -> None:
    since, until = T0 + 10 * SECOND, T0 + 40 * SECOND
    first = jetstream(*(post(time_us, text) for _, time_us, text in EVENTS))
    async with first if wire == "first" else second_wire(*EVENTS) as server:
        (stretch,) = await went_back(server, since, until)
    assert texts(stretch) == [str(n) for n in range(1, 6)]
    assert (stretch.place, stretch.covers, stretch.gap) == (None, (at(since), at(until)), None)


async def test_what_is_no_longer_offered_of_a_span_is_a_gap() -> None:
    since, until = T0, T0 + 50 * SECOND
    async with jetstream(*(post(time_us, text) for _, time_us, text in EVENTS), oldest=T0 + 30 * SECOND) as server:
        (stretch,) = await went_back(server, since, until)
        (too_late,) = await went_back(server, T0, T0 + 20 * SECOND)
    assert (stretch.gap.from_at, stretch.gap.to_at) == (at(since), at(T0 + 30 * SECOND))
    assert stretch.covers == (at(T0 + 30 * SECOND), at(until))
    assert (too_late.gap.from_at, too_late.gap.to_at) == (at(T0), at(T0 + 20 * SECOND))
    assert (too_late.covers, too_late.place) == (None, None)


async def test_a_span_is_gone_on_with_at_its_place() -> None:
    async with second_wire(*EVENTS[:3]) as server:
        (stretch,) = await went_back(server, T0, T0 + 50 * SECOND, most=1)
        assert stretch.place == {"time_us": T0 + 20 * SECOND, "seq": 102, "host": server.url}
        assert stretch.covers == (at(T0), at(T0 + 20 * SECOND))
        server.events = list(EVENTS)
        (rest,) = await went_back(server, T0, T0 + 50 * SECOND, json.loads(json.dumps(stretch.place)))
    assert server.asked[-1]["cursor"] == ["102"]
    assert texts(rest) == ["2", "3", "4", "5"]
    assert rest.covers == (at(T0 + 20 * SECOND), at(T0 + 50 * SECOND))
