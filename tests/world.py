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
import contextlib
import hashlib
import re
import socket
import struct
import threading
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import world_posts as wire
import world_sockets
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request as Upgrade
from websockets.http11 import Response as Refusal
from world_faults import (
    CUT,
    FAILING,
    HTML,
    LYING_304,
    REFUSED,
    Answer,
    Fault,
    bomb,
    spoil,
    too_many,
    with_a_broken_item,
)
from world_posts import Post, Source
from world_sockets import LISTED

__all__ = ["CUT", "FAILING", "HTML", "REFUSED", "Asked", "Fault", "World", "too_many"]

_STALE_S = 1.5  # how old a page is that a cache has kept for too long
_SUBSCRIBE = "/subscribe"
_HANDSHAKE = frozenset({"failing", "too_many"})  # faults of a WebSocket that refuse it; the others come later


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


class World:
    """The server with its posts, its faults and its ledger. Use it as a context manager."""

    def __init__(self, *, broken_items: bool = False) -> None:
        self._broken_items = broken_items  # each page of the two JSON services has one item that nobody can read
        self.asked: list[Asked] = []
        self.fired: Counter[tuple[str, str]] = Counter()  # (source, kind of fault)
        self._posts: dict[str, list[Post]] = {source: [] for source in wire.SOURCES}
        self.met: set[str] = set()  # kinds of trouble in the posts themselves that were handed over
        self.canary_visits = 0  # connections to the host to which redirects lead
        self._faults: dict[str, deque[Fault | None]] = {source: deque() for source in wire.SOURCES}
        self._troubles: list[Post] = []  # posts with a trouble that nobody has been handed yet
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._open: set[ServerConnection] = set()
        self._bad: dict[ServerConnection, Fault] = {}  # accepted, and about to misbehave
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}  # one a connection, from its first moment on
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="world", daemon=True)
        self.http_url = self.ws_url = self.canary_url = ""

    def __enter__(self) -> World:
        bomb()  # made beforehand: it takes a while, in which nobody would be answered
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
                if post.trouble:
                    self._troubles.append(post)
            for listed in self._posts.values():
                listed.sort(key=_appears)

    def fault(self, source: Source, *faults: Fault | None, first: bool = False) -> None:
        """The next answers of that service, one each, ``first`` before those that wait; None leaves one as it is."""
        if first:
            self._faults[source].extendleft(reversed(faults))
        else:
            self._faults[source].extend(faults)

    def pending_faults(self, *sources: str) -> int:
        """Planned and not fired yet, of these sources or of all."""
        return sum(fault is not None for source in sources or self._faults for fault in self._faults[source])

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

    def shown(self, source: str, most: int | None = None, now: float | None = None) -> list[Post]:
        """What the service has offered so far, removals included, in the order of its appearing; the last ``most``."""
        with self._lock:
            listed = self._posts[source]
            end = bisect_right(listed, time.time() if now is None else now, key=_appears)
            return listed[0 if most is None else max(0, end - most) : end]

    def all_shown(self) -> bool:
        """True once nothing more is to come."""
        now = time.time()
        with self._lock:
            return all(post.shown_at <= now for posts in self._posts.values() for post in posts)

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody listens at the address of the three polled services meanwhile: connections are refused."""
        loop = self._loop
        assert loop is not None
        asyncio.run_coroutine_threadsafe(_close(self._listener), loop).result(10)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._listen(), loop).result(10)

    def truth(self, *sources: str) -> dict[tuple[str, str], str | None]:
        """(source, id) -> text of everything offered so far; None where its author has deleted it."""
        found: dict[tuple[str, str], str | None] = {}
        for source in sources or wire.SOURCES:
            found |= {(source, id_): text for id_, text in wire.standing(self.shown(source)).items()}
        return found

    def asked_of(self, source: str) -> list[Asked]:
        return [asked for asked in tuple(self.asked) if asked.source == source]

    def named(self, source: str = "") -> list[Asked]:
        """Answers that named a time, of one source or of all."""
        return [asked for asked in tuple(self.asked) if asked.not_before is not None and source in ("", asked.source)]

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
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        canary = await asyncio.start_server(self._visit, "127.0.0.1", 0)
        async with serve(self._stream, "127.0.0.1", 0, process_request=self._handshake, close_timeout=0.5) as sockets:
            self._port = self._listener.sockets[0].getsockname()[1]
            self.http_url = f"http://127.0.0.1:{self._port}"
            self.canary_url = f"http://127.0.0.1:{canary.sockets[0].getsockname()[1]}"
            self.ws_url = f"ws://127.0.0.1:{next(iter(sockets.sockets)).getsockname()[1]}"
            self._ready.set()
            await self._stop.wait()
            await _close(self._listener)
            await _close(canary)
            while self._talks:
                talks = dict(self._talks)
                for task, writer in talks.items():
                    task.cancel()
                    writer.transport.abort()
                await asyncio.gather(*talks, return_exceptions=True)
                await asyncio.sleep(0)  # in which whoever was just accepted comes up, and whoever has left goes

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.canary_visits += 1
        writer.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """No coroutine: a task that is cancelled before its first step would close nothing."""
        assert self._loop is not None
        task = self._loop.create_task(self._talk(reader, writer))
        self._talks[task] = writer
        task.add_done_callback(self._talks.pop)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.rstrip("\r\n").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                target = first.split(" ")[1]
                answer = self._answer(target, headers)
                writer.write(answer.wire("gzip" in headers.get("accept-encoding", "")))
                await writer.drain()
                if answer.ending != "keep":
                    await _end(answer, writer)
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            writer.close()

    def _answer(self, target: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        source = _source_of(parts.path)
        condition = headers.get("if-none-match")
        fault = self._next_fault(source, conditional=condition is not None)
        not_before = None
        if source is None:
            answer = Answer(404, b"nobody lives here", "text/plain")
        else:
            stale = fault is not None and fault.kind == "stale"
            answer = self._right(source, parts.path, query, time.time() - (_STALE_S if stale else 0.0))
            tag = '"' + hashlib.blake2b(answer.body, digest_size=8).hexdigest() + '"'
            if self._broken_items and source != "reddit":
                answer = replace(answer, body=with_a_broken_item(source, answer.body))
            if source == "reddit":
                unchanged = condition == tag and fault is None
                answer = Answer(304, b"") if unchanged else replace(answer, headers=(("ETag", tag),))
            if fault is not None and not stale:
                answer, not_before = spoil(fault, source, answer, self.canary_url)
            if answer.whole:
                self._hand_over(source, answer.body)
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

    def _hand_over(self, source: Source, body: bytes) -> None:
        """Take note of the troubles that a whole answer holds."""
        with self._lock:
            here = [post for post in self._troubles if post.source == source and wire.stands_in(post, body)]
        self._delivered(here)

    def _delivered(self, posts: Sequence[Post]) -> None:
        found = [post for post in posts if post.trouble]
        if found:
            with self._lock:
                self.met |= {f"{post.source}: {post.trouble}" for post in found}
                self._troubles = [post for post in self._troubles if post not in found]

    def _next_fault(self, source: Source | None, *, conditional: bool = False) -> Fault | None:
        if source is None or not self._faults[source]:
            return None
        fault = self._faults[source][0]
        if fault is not None and fault.kind == LYING_304 and not conditional:
            return None  # it waits for a request that can be lied to
        self._faults[source].popleft()
        if fault is not None:
            self.fired[source, fault.kind] += 1
        return fault

    def _right(self, source: Source, path: str, query: dict[str, str], now: float) -> Answer:
        posts = self.shown(source, LISTED, now)
        if source == "stocktwits":
            symbol = path.rpartition("/")[2].removesuffix(".json")
            return Answer(200, wire.stocktwits_page(posts, symbol, int(query["max"]) if "max" in query else None))
        if source == "reddit":
            _, _, names, kind, *_ = path.split("/")
            body = wire.reddit_feed(
                posts, names.split("+"), kind == "comments", int(query.get("limit", 25)), query.get("after")
            )
            return Answer(200, body, "application/atom+xml; charset=UTF-8")
        since, until = _bounds(query.get("numericFilters", ""))
        size, page = int(query.get("hitsPerPage", 20)), int(query.get("page", 0))
        return Answer(200, wire.hackernews_hits(posts, since, until, query.get("query", ""), size, page))

    # ------------------------------------------------------------------------------------------------- the WebSocket

    def _handshake(self, peer: ServerConnection, request: Upgrade) -> Refusal | None:
        parts = urlsplit(request.path)
        agent = request.headers.get("User-Agent", "")
        fault = self._next_fault("bluesky") if parts.path == _SUBSCRIBE else None
        answer, not_before = Answer(101 if parts.path == _SUBSCRIBE else 404, b""), None
        if fault is not None and fault.kind in _HANDSHAKE:
            answer, not_before = spoil(fault, "bluesky", answer, self.canary_url)
        elif fault is not None:
            self._bad[peer] = fault
        self.asked.append(Asked(time.time(), "bluesky", parts.path, parts.query, agent, answer.status, not_before))
        if answer.status == 101:
            return None
        refusal = peer.respond(HTTPStatus(answer.status), answer.body.decode())
        for name, value in answer.headers:
            refusal.headers[name] = value
        return refusal

    async def _stream(self, peer: ServerConnection) -> None:
        assert peer.request is not None
        asked = parse_qs(urlsplit(peer.request.path).query).get("cursor", [""])[0]
        fault = self._bad.pop(peer, None)
        self._open.add(peer)
        try:
            cursor = int(asked) if asked else None
            await world_sockets.stream(peer, cursor, lambda most: self.shown("bluesky", most), self._delivered, fault)
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
    """The first and the last second that were asked for."""
    asked = {operator: int(second) for operator, second in re.findall(r"created_at_i([<>]=?)(\d+)", filters)}
    low = asked[">"] + 1 if ">" in asked else asked.get(">=")
    high = asked["<"] - 1 if "<" in asked else asked.get("<=")
    return low, high


async def _close(server: asyncio.Server) -> None:
    """Hear nobody any more. Whom it has just accepted it takes in first: a closed server drops them, and nobody closes them."""
    for listening in server.sockets:
        asyncio.get_running_loop().remove_reader(listening.fileno())
    for _ in range(5):
        await asyncio.sleep(0)
    server.close()


async def _end(answer: Answer, writer: asyncio.StreamWriter) -> None:
    """How an answer that does not end well goes on, for as long as anybody listens."""
    if answer.ending == "reset":
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif answer.ending == "silence":
        await asyncio.Event().wait()
    elif answer.ending in ("drip", "flood"):
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" " if answer.ending == "drip" else b" " * 10_000)
                await writer.drain()
                await asyncio.sleep(0.1 if answer.ending == "drip" else 0)
