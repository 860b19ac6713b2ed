"""A small internet on 127.0.0.1 with known truth: the addresses of four services, offering invented posts over time.

    with World() as world:
        world.publish(posts)                     # each is offered from its own ``shown_at`` on
        world.fault("reddit", too_many(2.0))     # the next answer of that service
        …run a daemon against world.base_urls…
        assert stored == world.truth("reddit")   # id -> text, None where its author has deleted it
        assert world.early() == []               # requests before a time that the world had named

It runs in a thread of its own, on two free ports: one for HTTP, one for the WebSocket.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
import threading
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import world_posts as wire
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Upgrade
from websockets.http11 import Response as Refusal
from websockets.protocol import State
from world_posts import Post, Source

_LISTED = 3_000  # no service lists more than its newest messages
_STEP_S = 0.02  # how often an open stream looks for what has appeared
_HTML = b"<!DOCTYPE html><html><head><title>Pond</title></head><body>please log in</body></html>"
_SUBSCRIBE = "/subscribe"


@dataclass(frozen=True, slots=True)
class Fault:
    """What one answer is to be in place of the right one."""

    kind: Literal["too_many", "failing", "cut", "html", "refused"]
    wait_s: float | None = None  # what a 429 or a 503 names in Retry-After
    as_date: bool = False  # as a date (whole seconds) in place of a number


def too_many(wait_s: float | None, *, as_date: bool = False) -> Fault:
    return Fault("too_many", wait_s, as_date)


FAILING, CUT, HTML, REFUSED = Fault("failing"), Fault("cut"), Fault("html"), Fault("refused")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as the ledger has it."""

    at: float  # Unix seconds when it came
    source: str  # whom it asked, "" for an address that nobody has
    path: str
    query: str
    user_agent: str
    status: int  # of the answer
    not_before: float | None = None  # Unix seconds named in the answer: do not come back before


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False


class World:
    """The server with its posts, its faults and its ledger. Use it as a context manager."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.fired: Counter[tuple[str, str]] = Counter()  # (source, kind of fault)
        self._posts: dict[str, list[Post]] = {source: [] for source in wire.SOURCES}
        self._faults: dict[str, deque[Fault]] = {source: deque() for source in wire.SOURCES}
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._open: set[ServerConnection] = set()
        self._talks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="world", daemon=True)
        self.http_url = self.ws_url = ""

    def __enter__(self) -> World:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the world did not come up within 10 s")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    # ------------------------------------------------------------------------------------- what a test says and asks

    @property
    def base_urls(self) -> dict[str, str]:
        """What to write into ``base_url`` of each source."""
        return {
            "stocktwits": f"{self.http_url}/api/2",
            "reddit": self.http_url,
            "hackernews": f"{self.http_url}/api/v1",
            "bluesky": self.ws_url,
        }

    def publish(self, posts: Iterable[Post]) -> None:
        """Offer these posts, each from its ``shown_at`` on."""
        with self._lock:
            for post in posts:
                self._posts[post.source].append(post)
            for listed in self._posts.values():
                listed.sort(key=_appears)

    def fault(self, source: Source, *faults: Fault) -> None:
        """The next answers of that service, one each."""
        self._faults[source].extend(faults)

    def pending_faults(self) -> int:
        return sum(map(len, self._faults.values()))

    def heal(self) -> None:
        """No more faults."""
        for faults in self._faults.values():
            faults.clear()

    def drop_streams(self) -> None:
        """Cut every open WebSocket without a goodbye."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for peer in tuple(self._open):
            peer.transport.abort()

    def shown(self, source: str, most: int | None = None) -> list[Post]:
        """What the service has offered so far, removals included, in the order of its appearing; the last ``most``."""
        with self._lock:
            listed = self._posts[source]
            end = bisect_right(listed, time.time(), key=_appears)
            return listed[0 if most is None else max(0, end - most) : end]

    def all_shown(self) -> bool:
        """True once nothing more is to come."""
        now = time.time()
        with self._lock:
            return all(post.shown_at <= now for posts in self._posts.values() for post in posts)

    def truth(self, *sources: str) -> dict[tuple[str, str], str | None]:
        """(source, id) -> text of everything offered so far; None where its author has deleted it."""
        found: dict[tuple[str, str], str | None] = {}
        for source in sources or wire.SOURCES:
            shown = self.shown(source)
            gone = {post.removes for post in shown if post.removes is not None}
            for post in shown:
                if post.removes is None:
                    found[source, post.id] = None if post.number in gone else post.stored_text
        return found

    def asked_of(self, source: str) -> list[Asked]:
        return [asked for asked in tuple(self.asked) if asked.source == source]

    def named(self) -> list[Asked]:
        """Answers that named a time."""
        return [asked for asked in tuple(self.asked) if asked.not_before is not None]

    def early(self, in_transit_s: float = 0.25) -> list[tuple[Asked, Asked]]:
        """(request, the answer it disregards): asked again before the time that the same service had named.

        What arrives within ``in_transit_s`` after that answer was already under way and could not know.
        """
        ledger = tuple(self.asked)
        return [
            (asked, answer)
            for answer in ledger
            if answer.not_before is not None
            for asked in ledger
            if asked.source == answer.source and answer.at + in_transit_s < asked.at < answer.not_before
        ]

    def story(self) -> str:
        """The ledger for a person, oldest first, times in seconds."""
        return "\n".join(
            f"{asked.at % 1000:7.2f} {asked.status} {asked.source} {asked.path}?{asked.query}"
            + ("" if asked.not_before is None else f" not before {asked.not_before % 1000:.2f}")
            for asked in tuple(self.asked)
        )

    # ------------------------------------------------------------------------------------------------------- serving

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listener = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        async with serve(self._stream, "127.0.0.1", 0, process_request=self._handshake, close_timeout=0.5) as sockets:
            self.http_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            self.ws_url = f"ws://127.0.0.1:{next(iter(sockets.sockets)).getsockname()[1]}"
            self._ready.set()
            await self._stop.wait()
            listener.close()
            for task in tuple(self._talks):
                task.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.rstrip("\r\n").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                target = first.split(" ")[1]
                answer = self._answer(target, headers)
                writer.write(_bytes(answer, "gzip" in headers.get("accept-encoding", "")))
                await writer.drain()
                if answer.cut:
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            self._talks.discard(task)
            writer.close()

    def _answer(self, target: str, headers: dict[str, str]) -> _Answer:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        source = _source_of(parts.path)
        fault = self._next_fault(source)
        not_before = None
        if source is None:
            answer = _Answer(404, b"nobody lives here", "text/plain")
        elif fault is not None and fault.kind != "cut":
            answer, not_before = _faulty(fault, source)
        else:
            answer = self._right(source, parts.path, query)
            tag = '"' + hashlib.blake2b(answer.body, digest_size=8).hexdigest() + '"'
            if source == "reddit" and headers.get("if-none-match") == tag:
                answer = _Answer(304, b"")
            answer = _Answer(
                answer.status,
                answer.body,
                answer.kind,
                (("ETag", tag),) if source == "reddit" else (),
                fault is not None,
            )
        self.asked.append(
            Asked(
                time.time(),
                source or "",
                parts.path,
                parts.query,
                headers.get("user-agent", ""),
                answer.status,
                not_before,
            )
        )
        return answer

    def _next_fault(self, source: Source | None) -> Fault | None:
        if source is None or not self._faults[source]:
            return None
        fault = self._faults[source].popleft()
        self.fired[source, fault.kind] += 1
        return fault

    def _right(self, source: Source, path: str, query: dict[str, str]) -> _Answer:
        posts = self.shown(source, _LISTED)
        if source == "stocktwits":
            symbol = path.rpartition("/")[2].removesuffix(".json")
            return _Answer(200, wire.stocktwits_page(posts, symbol, int(query["max"]) if "max" in query else None))
        if source == "reddit":
            _, _, names, kind, *_ = path.split("/")
            body = wire.reddit_feed(
                posts, names.split("+"), kind == "comments", int(query.get("limit", 25)), query.get("after")
            )
            return _Answer(200, body, "application/atom+xml; charset=UTF-8")
        since, until = _bounds(query.get("numericFilters", ""))
        size, page = int(query.get("hitsPerPage", 20)), int(query.get("page", 0))
        return _Answer(200, wire.hackernews_hits(posts, since, until, query.get("query", ""), size, page))

    # ------------------------------------------------------------------------------------------------- the WebSocket

    def _handshake(self, peer: ServerConnection, request: Upgrade) -> Refusal | None:
        parts = urlsplit(request.path)
        agent = request.headers.get("User-Agent", "")
        fault = self._next_fault("bluesky") if parts.path == _SUBSCRIBE else None
        answer, not_before = _Answer(101 if parts.path == _SUBSCRIBE else 404, b""), None
        if fault is not None:
            answer, not_before = _faulty(fault, "bluesky")
        self.asked.append(Asked(time.time(), "bluesky", parts.path, parts.query, agent, answer.status, not_before))
        if answer.status == 101:
            return None
        refusal = peer.respond(HTTPStatus(answer.status), answer.body.decode())
        for name, value in answer.headers:
            refusal.headers[name] = value
        return refusal

    async def _stream(self, peer: ServerConnection) -> None:
        """Replay from the cursor on, that event included, then what appears; without a cursor only the latter."""
        assert peer.request is not None
        cursor = parse_qs(urlsplit(peer.request.path).query).get("cursor", [""])[0]
        sent = set() if cursor else {p.number for p in self.shown("bluesky")}
        since = int(cursor) if cursor else 0
        self._open.add(peer)
        most = None  # the whole look-back once, then what is new
        try:
            while peer.state is State.OPEN:
                for post in self.shown("bluesky", most):
                    if post.number not in sent:
                        sent.add(post.number)
                        if wire.time_us(post) >= since:
                            await peer.send(wire.jetstream_frame(post))
                most = _LISTED
                await asyncio.sleep(_STEP_S)
        except ConnectionClosed:
            pass
        finally:
            self._open.discard(peer)


# ----------------------------------------------------------------------------------------------------- one answer


def _appears(post: Post) -> float:
    return post.shown_at


def _source_of(path: str) -> Source | None:
    if path.startswith("/api/2/streams/symbol/"):
        return "stocktwits"
    if re.fullmatch(r"/r/[A-Za-z0-9_+]+/(new|comments)/\.rss", path):
        return "reddit"
    return "hackernews" if path == "/api/v1/search_by_date" else None


def _bounds(filters: str) -> tuple[int | None, int | None]:
    low = re.search(r"created_at_i>=(\d+)", filters)
    high = re.search(r"created_at_i<=(\d+)", filters)
    return int(low[1]) if low else None, int(high[1]) if high else None


def _faulty(fault: Fault, source: Source) -> tuple[_Answer, float | None]:
    """The answer of a fault, and the time that it names."""
    now = time.time()
    headers: tuple[tuple[str, str], ...] = ()
    not_before = None
    if fault.wait_s is not None:
        not_before = now + fault.wait_s
        if fault.as_date:
            not_before = float(int(not_before))
        named = (
            format_datetime(datetime.fromtimestamp(not_before, tz=UTC), usegmt=True)
            if fault.as_date
            else f"{fault.wait_s:g}"
        )
        headers = (("Retry-After", named),)
    if fault.kind == "too_many":
        body = wire.stocktwits_error(429, "Rate limit exceeded.") if source == "stocktwits" else b"Too Many Requests"
        return _Answer(429, body, "text/plain", headers), not_before
    if fault.kind == "failing":
        return _Answer(503, b"down for a moment", "text/plain", headers), not_before
    if fault.kind == "refused":
        return _Answer(403, _HTML, "text/html"), None
    return _Answer(200, _HTML, "text/html"), None


def _bytes(answer: _Answer, may_zip: bool) -> bytes:
    body, headers = answer.body, [*answer.headers, ("Content-Type", answer.kind)]
    if may_zip and body:
        body = gzip.compress(body, 1)
        headers.append(("Content-Encoding", "gzip"))
    headers += [("Date", format_datetime(datetime.now(UTC), usegmt=True)), ("Content-Length", str(len(body)))]
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    whole = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return whole + (body[: len(body) // 2] if answer.cut else body)
