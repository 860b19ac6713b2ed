"""Bluesky: every public post as it is written, from Jetstream, the network's JSON stream (a WebSocket, v1 or v2).

Terms: open, no account; using the stream is encouraged by its operator. What its author deletes has to be deleted
here too, so deletions and deleted accounts are taken from the stream along with the posts.

One stream, ``posts``: some fifty messages a second, of which only those that mention a symbol are kept. The four
public servers are wss://jetstream{1,2}.us-{east,west}.bsky.network; a cursor is valid on all of them. They look
back 36 hours and silently start later when asked for more: that is recorded as a gap.

The servers speak v1 below ``/subscribe``, which is asked unless ``base_url`` ends with v2's
``/xrpc/network.bsky.jetstream.subscribeEvents``; frames are read as what they are. v2 counts its events: there we go on
at the number of the last one, exactly, and by time on another host, whose numbers are its own. A number that it no longer
offers is refused (``CursorTooOld``): then we go on by time, from the oldest event that there is, and record the gap.

A message's time is the server's own (``time_us``): the one in the post is the author's claim. ``overlap`` is five
seconds unless configured: events are stamped as they pass, so nothing can become visible late, and each
reconnect gets again what the overlap holds.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import TYPE_CHECKING, Any, Final

from tracker.errors import Malformed, SourceError, Unavailable
from tracker.models import Cursor, Deletion, Flaw, Gap, Item, Message, Page, Stream, Stretch
from tracker.wire import SAMPLE_BYTES, clean, decode_text, from_iso, looks_like_html, text_id

if TYPE_CHECKING:
    from tracker.http import Client, Socket

TERMS = "open, no account; deletions must be honoured, and are"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = True
BASE_URL = "wss://jetstream2.us-east.bsky.network"
INTERVAL = 5.0
BUDGET = (60, 60.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "mentions"
DELETIONS = "announced by the stream, and kept to within a minute"
OVERLAP = 5.0  # seconds; the default of this source in place of the general one

_SOURCE: Final = "bluesky"
_POSTS: Final = "app.bsky.feed.post"
_PAGE_EVENTS: Final = 2_000
_READ_AHEAD: Final = 10_000  # events held while a page is being stored: a server drops those who read slowly
_MAX_EVENT: Final = 65_536  # characters; a post has 3,000 at most, and thousands of events are held at a time
_IDLE_S: Final = 0.5  # a drain is over when nothing came for so long after something did
_CLAMP_US: Final = 5_000_000  # servers stamp the same event a little differently
_JUMP_US: Final = 86_400_000_000  # a stamp a day ahead of its page's middle, or of the clock, is not believed
_EARLIEST_US: Final = 1_000_000_000_000_000  # below this Jetstream takes a cursor for a sequence number
_LATEST_US: Final = 10_000_000_000_000_000  # the year 2286
_GONE: Final = ("deleted", "takendown")  # suspended and deactivated accounts may come back as they were
_CLAMPED: Final = "the server no longer offers what lies before"
_V2: Final = "/xrpc/network.bsky.jetstream.subscribeEvents"
_V2_TYPE: Final = _V2.removeprefix("/xrpc/")

_DID = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]{1,256}")
_RKEY = re.compile(r"[A-Za-z0-9._:~-]{1,512}")
_LANG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
_CASHTAG = re.compile(r"\$([A-Z][A-Z0-9]{0,4})")


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """All posts of the network: symbols can't be asked for."""
    return ("posts",)


def stream_name(given: str) -> str:
    """``posts``; ValueError for anything else."""
    if given.strip().lower() != "posts":
        raise ValueError('expected "posts", the only stream of this source')
    return "posts"


# ------------------------------------------------------------------------------------------------------- listening


async def listen(client: Client, stream: Stream, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
    """Connect once, at the cursor, and yield a page every ``page_every_s`` seconds or when one is full.

    Ends with Unavailable when the connection is gone or no post came for ``watchdog_s`` seconds: connect again.
    Close the iterator (``contextlib.aclosing``) when leaving it early.
    """
    async with aclosing(_pages(client, cursor, idle_s=None)) as pages:
        async for page in pages:
            yield page


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """Connect at the cursor and drain: one page of what comes in ``page_every_s`` seconds or until it runs dry."""
    async with aclosing(_pages(client, cursor, idle_s=_IDLE_S)) as pages:
        return await anext(pages)


async def backfill(
    client: Client, stream: Stream, since: datetime, until: datetime, place: Cursor | None
) -> AsyncGenerator[Stretch, None]:
    """Forward from ``since``, as fast as the server replays it; what it no longer offers is a gap."""
    async with aclosing(_pages(client, place or {"time_us": _micros(since)}, idle_s=None)) as pages:
        async for page in pages:
            reached = _known(page.cursor)
            newest = since if reached is None else min(until, _at(reached))
            is_over = newest >= until
            heard = page.covers_from
            gap = page.gap
            yield Stretch(
                page.items,
                None if is_over else page.cursor,
                (max(since, heard), newest) if heard is not None and max(since, heard) < newest else None,
                Gap(gap.from_at, min(gap.to_at, until), gap.reason) if gap is not None else None,
            )
            if is_over:
                return


@dataclass(frozen=True, slots=True)
class _Event:
    """One frame, read: its items (none for what is of no interest) and its time."""

    items: tuple[Item, ...]
    time_us: int | None = None  # None: unreadable
    post: bool = False  # from the collection that was asked for
    seq: int | None = None  # its number, v2 only
    notice: str | None = None  # what the server has to say of the stream, v2 only
    ended: str | None = None  # why the server ends the stream, v2 only


class _Misplaced(Exception):
    """The server can't go on at the number that it was given."""


async def _pages(client: Client, cursor: Cursor | None, *, idle_s: float | None) -> AsyncGenerator[Page, None]:
    base = client.access.base_url.rstrip("/")
    v2 = base.endswith(_V2)
    path = "" if v2 or base.endswith("/subscribe") else "/subscribe"
    params = (
        [("kinds", "commit"), ("kinds", "account"), ("collections", _POSTS)] if v2 else [("wantedCollections", _POSTS)]
    )
    known, seq = _known(cursor), _seq(cursor, base) if v2 else None
    if seq is not None:
        try:
            async with aclosing(_connected(client, path, [*params, ("cursor", str(seq))], known, idle_s)) as pages:
                async for page in pages:
                    yield page
        except _Misplaced:
            pass  # by time, which means the same everywhere
    if known is not None:
        params.append(("cursor", str(max(_EARLIEST_US, known - round(client.access.overlap_s * 1e6)))))
    async with aclosing(_connected(client, path, params, known, idle_s)) as pages:
        async for page in pages:
            yield page


async def _connected(
    client: Client, path: str, params: list[tuple[str, str]], known: int | None, idle_s: float | None
) -> AsyncGenerator[Page, None]:
    """The pages of one connection; _Misplaced where it can't begin at the number that it was given."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[_Event | Exception] = asyncio.Queue(_READ_AHEAD)
    async with _opened(client, path, params) as socket:
        opened, served_us = loop.time(), _micros(socket.served_at)
        track = _Track(known, client.access.base_url.rstrip("/"), served_us)
        reading = asyncio.create_task(_read_ahead(socket, events, client.access.watchdog_s))
        try:
            while True:
                batch, failure = await _collect(events, client.access.page_every_s, idle_s)
                if batch or failure is None:
                    yield track.page(batch, served_us + round((loop.time() - opened) * 1e6))
                if failure is not None:
                    raise failure
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading


@asynccontextmanager
async def _opened(client: Client, path: str, params: list[tuple[str, str]]) -> AsyncIterator[Socket]:
    async with AsyncExitStack() as stack:
        try:
            socket = await stack.enter_async_context(client.connect(path, params=params))
        except SourceError as error:
            if error.http_status == 400 and b"CursorTooOld" in (error.body or b""):
                raise _Misplaced from None
            raise
        yield socket


async def _read_ahead(socket: Socket, events: asyncio.Queue[_Event | Exception], watchdog_s: float) -> None:
    """Reads for as long as the connection holds; the error that ends it comes last.

    The watchdog waits for posts, not for frames: news of accounts always arrive, and a stream has been seen to
    carry those for ten hours and nothing else.
    """
    loop = asyncio.get_running_loop()
    bites_at = loop.time() + watchdog_s
    try:
        while True:
            frame = await socket.receive(max(0.0, bites_at - loop.time()))
            if frame is not None:
                event = _from_frame(frame)
                if event.ended is not None:
                    raise Unavailable("the server ended the stream", _SOURCE, event.ended)
                if event.notice == "FutureCursor":  # a number of another archive: it would begin now
                    raise _Misplaced
                await events.put(event)
                if event.post:
                    bites_at = loop.time() + watchdog_s
            if loop.time() >= bites_at:
                raise Unavailable(f"silent: no post for {watchdog_s:g} s", _SOURCE)
    except Exception as error:  # whatever it is, it is raised where the pages are taken
        await events.put(error)


async def _collect(
    events: asyncio.Queue[_Event | Exception], page_every_s: float, idle_s: float | None
) -> tuple[list[_Event], Exception | None]:
    """The events of one page, and the error where the connection has ended behind them."""
    loop = asyncio.get_running_loop()
    closes_at = loop.time() + page_every_s
    batch: list[_Event] = []
    while len(batch) < _PAGE_EVENTS:
        left = closes_at - loop.time()
        try:
            if events.empty():
                async with asyncio.timeout(left if idle_s is None or not batch else min(left, idle_s)):
                    found = await events.get()
            else:
                found = events.get_nowait()
        except TimeoutError:
            break
        if isinstance(found, Exception):
            return batch, found
        batch.append(found)
    return batch, None


class _Track:
    """What one connection has shown so far: decides on the cursor, the coverage and whether something was lost."""

    def __init__(self, known: int | None, host: str, now_us: int) -> None:
        # newest time of the stored cursor: everything up to it is in the store; one that ran ahead comes back to now
        self.known = None if known is None else min(known, now_us)
        self._newest = self.known  # never goes back, and never beyond the server's clock
        self._seq: int | None = None  # number of the last event, where the server counts them
        self._host = host  # whose number that is
        self._heard = False
        self._since: int | None = None  # from where on the pages count as listened to, once a post has come
        self._posts = False  # news of accounts alone are no sign that posts would come: the watchdog says the same

    def page(self, batch: list[_Event], now_us: int) -> Page:
        """One page; ``now_us`` is the server's clock where it tells it, else ours."""
        times = _believed([event.time_us for event in batch if event.time_us is not None], now_us)
        gap = None
        # until the first event nobody can tell whether the server went back as far as it was asked to
        since = self._newest if self._posts else self._since
        if times and not self._heard:
            # The replay is inclusive: the event at the cursor comes again, or the server has dropped it.
            if self.known is not None and min(times) > self.known + _CLAMP_US:
                gap = Gap(_at(self.known), _at(times[0]), _CLAMPED)
            since = self._since = times[0] if self.known is None or gap else self.known
        self._posts = self._posts or any(event.post for event in batch)
        covers = since if self._posts else None
        if times:
            self._heard = True
            self._newest = max(times) if self._newest is None else max(self._newest, *times)
        self._seq = max((event.seq for event in batch if event.seq is not None), default=self._seq)
        counted = {"seq": self._seq, "host": self._host} if self._seq is not None else {}
        return Page(
            items=tuple(item for event in batch for item in event.items),
            cursor={"time_us": self._newest, **counted} if self._newest is not None else None,
            covers_from=_at(covers) if covers is not None else None,
            gap=gap,
            more=len(batch) >= _PAGE_EVENTS,
        )


def _believed(times: list[int], now_us: int) -> list[int]:
    """The times without those far ahead of the rest or of the clock, none of them later than now.

    One wrong stamp must not carry the cursor into the future, where everything until then would be passed over.
    """
    if not times:
        return []
    latest = min(median_low(times), now_us) + _JUMP_US
    return [min(time_us, now_us) for time_us in times if time_us <= latest]


def _known(cursor: Cursor | None) -> int | None:
    return _stamp((cursor or {}).get("time_us"))


def _seq(cursor: Cursor | None, host: str) -> int | None:
    """The number to go on at, where it is one of this host."""
    state = cursor or {}
    return _number(state.get("seq")) if state.get("host") == host else None


def _number(value: object) -> int | None:
    """A number of an event: below those that are taken for times."""
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 < value < _EARLIEST_US
    return value if usable and isinstance(value, int) else None


def _stamp(value: object) -> int | None:
    """Microseconds since 1970 that can be a time of this stream."""
    usable = isinstance(value, int) and not isinstance(value, bool) and _EARLIEST_US <= value < _LATEST_US
    return value if usable and isinstance(value, int) else None


def _at(time_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


# --------------------------------------------------------------------------------------------------------- parsing


def parse(body: bytes) -> list[Item]:
    """Items of a recording, one event per line; Malformed when it is none or its last line was cut."""
    if looks_like_html(body):
        raise Malformed("HTML where events were expected", _SOURCE, body=body[:SAMPLE_BYTES])
    lines = [line for line in body.splitlines() if line.strip()]
    if not lines:
        raise Malformed("empty body where events were expected", _SOURCE)
    if _load(lines[-1]) is None:
        raise Malformed("the last event is cut", _SOURCE, body=lines[-1][:SAMPLE_BYTES])
    events = [_from_frame(line, f"line {index + 1}") for index, line in enumerate(lines)]
    if all(event.time_us is None for event in events):
        raise Malformed("no line is an event", _SOURCE, body=body[:SAMPLE_BYTES])
    return [item for event in events for item in event.items]


def _load(frame: str | bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(frame if isinstance(frame, str) else decode_text(frame))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _from_frame(frame: str | bytes, place: str = "") -> _Event:
    """One event; kinds and collections that we don't read have no items, but their time counts."""
    if len(frame) > _MAX_EVENT:
        return _Event((Flaw(f"an event of more than {_MAX_EVENT} characters", place),))
    event = _load(frame)
    if event is None:
        return _Event((Flaw("not a JSON object", place),))
    kind = event.get("$type")
    if kind == "error":
        told = (clean(event.get(key)) for key in ("error", "message"))
        return _Event((), ended=": ".join(word for word in told if word)[:200] or "without a word")
    if kind == "message":
        payload = event.get("payload")
        name = clean(payload.get("$type")) if isinstance(payload, dict) else None
        if not isinstance(payload, dict) or name is None or not name.startswith(f"{_V2_TYPE}#"):
            return _Event((Flaw("a message of an unknown type", place),))
        if name.endswith("#info"):
            return _Event((), notice=clean(payload.get("name")) or "")
        return replace(_from_event(_as_v1(payload, name.partition("#")[2]), place), seq=_number(payload.get("seq")))
    return _from_event(event, place)


def _as_v1(payload: dict[str, Any], kind: str) -> dict[str, Any]:
    """An event of v2 in the shape that v1 has: only the envelope differs."""
    seen = from_iso(payload.get("witnessedAt")) or from_iso(payload.get("time"))
    part = payload if kind == "commit" else payload.get(kind)
    return {"kind": kind, "did": payload.get("did"), "time_us": None if seen is None else _micros(seen), kind: part}


def _from_event(event: dict[str, Any], place: str) -> _Event:
    kind = event.get("kind")
    if not isinstance(kind, str):
        return _Event((Flaw("an event without a kind", place),))
    time_us = _stamp(event.get("time_us"))
    did = event.get("did")
    if time_us is None or not isinstance(did, str) or not _DID.fullmatch(did):
        return _Event((Flaw("an event without a usable time or author", place),), time_us)
    part = event.get(kind)
    if kind == "commit" and isinstance(part, dict):
        post = part.get("collection") == _POSTS
        item = _from_commit(did, time_us, part, place) if post else None
        return _Event((item,) if item is not None else (), time_us, post)
    if kind == "account" and isinstance(part, dict):
        gone = part.get("active") is False and part.get("status") in _GONE
        return _Event((Deletion(_SOURCE, author=did, deleted_at=_at(time_us)),) if gone else (), time_us)
    broken = kind in ("commit", "account")
    return _Event((Flaw(f"a broken {kind} of {did}", place),) if broken else (), time_us)


def _from_commit(did: str, time_us: int, commit: dict[str, Any], place: str) -> Item | None:
    rkey, rev, operation = commit.get("rkey"), commit.get("rev"), commit.get("operation")
    if not isinstance(rkey, str) or not _RKEY.fullmatch(rkey):
        return Flaw(f"a post of {did} without a usable key", place)
    uri = f"at://{did}/{_POSTS}/{rkey}"
    revision = text_id(rev)  # a clock reading in base 32: sorts by age
    if operation == "delete":
        return Deletion(_SOURCE, id=uri, revision=revision, deleted_at=_at(time_us))
    if operation not in ("create", "update"):
        return None
    record = commit.get("record")
    text = clean(record.get("text")) if isinstance(record, dict) else None
    if not isinstance(record, dict) or text is None:
        return Flaw(f"no text in {uri}", place)
    return Message(
        source=_SOURCE,
        id=uri,
        created_at=_at(time_us),
        text=text,
        author=did,
        lang=_lang(record.get("langs")),
        url=f"https://bsky.app/profile/{did}/post/{rkey}",
        reply_to=_parent(record.get("reply")),
        symbols=_symbols(record.get("facets")),
        revision=revision,
        edited=operation == "update",
    )


def _lang(langs: object) -> str | None:
    first = langs[0] if isinstance(langs, list) and langs else None
    return first if isinstance(first, str) and _LANG.fullmatch(first) else None


def _parent(reply: object) -> str | None:
    parent = reply.get("parent") if isinstance(reply, dict) else None
    uri = clean(parent.get("uri")) if isinstance(parent, dict) else None
    return uri if uri and uri.startswith("at://") else None


def _symbols(facets: object) -> tuple[str, ...]:
    """Cashtags that the author's client marked as such: tags that begin with ``$``, in their order, once each."""
    features = [
        feature
        for facet in (facets if isinstance(facets, list) else [])
        if isinstance(facet, dict) and isinstance(facet.get("features"), list)
        for feature in facet["features"]
    ]
    tags = [feature.get("tag") for feature in features if isinstance(feature, dict)]
    found = [match[1] for tag in tags if isinstance(tag, str) and (match := _CASHTAG.fullmatch(tag))]
    return tuple(dict.fromkeys(found))


ARCHIVE: dict[str, Callable[[bytes], list[Item]]] = {"jetstream": parse, "bluesky": parse}
