"""The one door to the network: everything that comes in is bounded in time and size, or is a ``SourceError``.

What the HTTP library leaves open is closed here. One deadline covers a request from connect to the last byte
(its own timeouts are per read: a byte now and then would last for ever). Bodies are decoded here under a cap (it
would inflate a whole chunk first: half a megabyte of gzip became 130). A gzip stream that was cut short is an
error (it would be accepted). Redirects stay on their host, so credentials never travel. No cookies, no proxies
from the environment, one honest user agent.
"""

from __future__ import annotations

import asyncio
import base64
import builtins
import logging
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from tracker.answer import (
    STEP,
    BodyReader,
    address,
    connection_host,
    hop_target,
    plain_reason,
    refusal,
    served_time,
    usable_validator,
    validators_of,
)
from tracker.errors import Malformed, RateLimited, SourceError, Unavailable
from tracker.mask import Mask
from tracker.pacing import MAX_NAMED_WAIT_S, reset_wait_s, used_up
from tracker.secret import Secret
from tracker.wire import SAMPLE_BYTES

MAX_HOPS = 5  # redirects of one request
SAMPLE_S = 2.0  # how long an error may take to tell its story
REFUSED_S = 1.0  # how long nobody asks after a rate limit that named no time: the poll's own wait comes after it
CLOSE_S = 1.0  # how long a peer may take to say goodbye

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Access:
    """How one source may be asked: from the configuration, fixed for one poll."""

    source: str
    base_url: str  # no trailing slash, with a path
    own_base_url: bool  # the operator's, not the source's own
    user_agent: str
    deadline_s: float = 20.0  # whole request, from connect to the last byte
    max_body: int = 16 * 1024 * 1024  # decoded bytes
    credentials: Mapping[str, Secret] = field(default_factory=dict)
    overlap_s: float = 3600.0
    max_pages: int = 10
    page_every_s: float = 3.0
    watchdog_s: float = 300.0
    other_urls: tuple[str, ...] = ()  # further hosts of the same service that may be asked


@dataclass(slots=True)
class Tally:
    """What one poll has used of the network; read by the caller after the poll, failed or not."""

    requests: int = 0
    bytes: int = 0  # decoded
    http_status: int | None = None  # of the last answer
    wait_s: float | None = None  # the longest wait that a reset header asked for on a good answer
    bodies: list[builtins.bytes] = field(default_factory=list)  # only while recording


@dataclass(frozen=True, slots=True)
class Response:
    """One whole answer: 2xx or 304, body complete and decoded. Everything else was raised as a SourceError."""

    status: int
    url: str  # where it came from, query values of secrets masked
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    served_at: datetime  # the server's Date header, else our clock: aware UTC
    validators: dict[str, str] = field(default_factory=dict)  # {"etag": …, "last_modified": …} for the next request

    @property
    def unchanged(self) -> bool:
        return self.status == 304


# --------------------------------------------------------------------------------------------- acting: one poll


class _Connect(open_websocket):
    """Opens a WebSocket and follows no redirect: a handshake has no reason to move."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class Socket:
    """An open WebSocket. It is never opened again behind one's back: a new connection starts at a cursor."""

    def __init__(self, connection: ClientConnection, host: str, tally: Tally, served_at: datetime) -> None:
        self._connection = connection
        self._host = host
        self._tally = tally
        self.served_at = served_at  # the server's Date header at the handshake, else our clock: aware UTC

    async def receive(self, timeout_s: float) -> str | bytes | None:
        """The next frame, None when none came in time; Unavailable when the connection is gone."""
        deadline = asyncio.timeout(timeout_s)
        try:
            async with deadline:
                frame = await self._connection.recv()
        except TimeoutError:
            if deadline.expired():
                return None
            raise
        except ConnectionClosed as error:
            raise Unavailable("the connection was closed", self._host, closing_words(error)) from None
        self._tally.bytes += len(frame.encode()) if isinstance(frame, str) else len(frame)
        return frame

    async def send(self, frame: str, timeout_s: float) -> None:
        """One text frame; Unavailable when the connection is gone or the peer takes nothing for so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._connection.send(frame)
        except TimeoutError:
            raise Unavailable("the peer takes no frames", self._host, f"none in {timeout_s:g} s") from None
        except ConnectionClosed as error:
            raise Unavailable("the connection was closed", self._host, closing_words(error)) from None


def closing_words(error: ConnectionClosed) -> str:
    """Code and reason of the close frame, theirs before ours: ``1009 message too big``."""
    frame = error.rcvd or error.sent
    if frame is None:
        return "no close frame, " + (plain_reason(error) or "the peer is gone")
    who = "" if error.rcvd else "ended by us: "
    return f"{who}{frame.code} {frame.reason}".strip()[:300]


class Gate:
    """Shut for everybody in its scope while a server wants to be left alone, from the moment that it says so.

    Polls of one source run side by side: the page after the next of one must not be asked for when the answer to
    another has just named a time. Counts on the steady clock of the process; what is stored is the caller's business.
    """

    def __init__(self) -> None:
        self._until = 0.0

    def shut(self, seconds: float) -> None:
        """Nobody passes for so long; a longer time that was named before stands."""
        self._until = max(self._until, time.monotonic() + seconds)

    def check(self, subject: str) -> None:
        """RateLimited with the time that is left, while it is shut."""
        left = self._until - time.monotonic()
        if left > 0:
            raise RateLimited("not before the time that the server named", subject, retry_after_s=left)


class Client:
    """What a source sees of the network during one poll."""

    access: Access
    tally: Tally

    def __init__(
        self,
        access: Access,
        client: httpx.AsyncClient,
        *,
        clock: Callable[[], datetime],
        tls: Callable[[], ssl.SSLContext],
        record: bool = False,
        gate: Gate,
    ) -> None:
        self.access = access
        self._gate = gate
        self.tally = Tally()
        self._client = client
        self._clock = clock
        self._tls = tls
        self._record = record
        self._mask = Mask(access.credentials)

    def credential(self, name: str) -> str | None:
        """The configured secret of that name, None where there is none."""
        found = self.access.credentials.get(name)
        return found.reveal() if found else None

    async def get(
        self,
        path: str,  # below base_url, or an absolute address of the same host
        *,
        params: Mapping[str, str | int] | list[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        validators: Mapping[str, str] | None = None,
    ) -> Response:
        """One answer, conditional when ``validators`` of an earlier one are given; SourceError for anything else.

        ValueError for an absolute address on another host than base_url's.
        """
        sent = {
            name: value
            for name in ("etag", "last_modified")
            if (value := usable_validator((validators or {}).get(name)))
        }
        conditions = {"etag": "If-None-Match", "last_modified": "If-Modified-Since"}
        return await self._ask(
            "GET",
            path,
            params,
            {**(headers or {}), **{conditions[name]: value for name, value in sent.items()}},
            sent=sent,
        )

    async def post_form(
        self,
        path: str,
        form: Mapping[str, str],
        *,
        basic: tuple[str, str] | None = None,  # user and password
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Sends a form, as ``get`` otherwise. The answer is never recorded: it is most likely a token."""
        sending = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded"}
        if basic is not None:
            sending["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        return await self._ask("POST", path, None, sending, content=urlencode(form).encode())

    @asynccontextmanager
    async def connect(self, path: str, *, params: list[tuple[str, str]] | None = None) -> AsyncIterator[Socket]:
        """A WebSocket below base_url (http stands for ws, https for wss); SourceError when it can't be opened.

        A transport given to ``Http`` has no part in it: this always opens a real connection.
        """
        connection = await self._open(path, params)
        answer = connection.response
        headers = {name.lower(): value for name, value in answer.headers.raw_items()} if answer is not None else {}
        try:
            yield Socket(connection, self._host(path), self.tally, served_time(headers, self._clock()))
        finally:
            try:
                async with asyncio.timeout(2 * CLOSE_S):
                    await connection.close()
            except TimeoutError:  # its close_timeout does not count while the peer takes nothing
                connection.transport.abort()

    # ------------------------------------------------------------------------------------------- underneath

    async def _ask(
        self,
        method: str,
        path: str,
        params: Any,
        headers: Mapping[str, str],
        *,
        content: bytes | None = None,
        sent: Mapping[str, str] | None = None,
    ) -> Response:
        deadline = asyncio.timeout(self.access.deadline_s)
        host = connection_host(self.access.base_url)
        self._gate.check(self.access.source)
        try:
            url = address(self.access.base_url, path, params, self.access.other_urls)
            async with deadline:
                return await self._follow(method, url, headers, content, sent or {})
        except SourceError as error:
            raise self._mask.error(error) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            if deadline.expired():
                raise Unavailable("deadline passed", host, f"no whole answer in {self.access.deadline_s:g} s") from None
            raise Unavailable("can't be reached", host, self._mask.text(plain_reason(error))) from None

    async def _follow(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None, sent: Mapping[str, str]
    ) -> Response:
        self._mask.keep(headers.get("Authorization"))
        for _ in range(MAX_HOPS + 1):
            self.tally.requests += 1
            # what was asked for decides what is decoded: a source can't widen it
            sending = {**headers, "Accept-Encoding": "gzip"}
            async with self._client.stream(method, url, headers=sending, content=content) as answer:
                self.tally.http_status = answer.status_code
                location = answer.headers.get("location")
                moved = answer.status_code in _REDIRECTS and (method == "GET" or answer.status_code in (307, 308))
                if not moved or location is None:
                    return await self._read(answer, method, url, sent)
            url = hop_target(url, location)
        raise Unavailable("too many redirects", self._shown(url), f"more than {MAX_HOPS}")

    async def _read(self, answer: httpx.Response, method: str, url: httpx.URL, sent: Mapping[str, str]) -> Response:
        status = answer.status_code
        headers = {name.lower(): value for name, value in answer.headers.items()}
        shown, now = self._shown(url), self._clock()
        served_at = served_time(headers, now)
        if status == 304 and not sent:
            raise Malformed("304 without having been asked for changes", shown, http_status=status)
        if status == 206:
            raise Malformed("a part of an answer where the whole was asked for", shown, http_status=status)
        if status != 304 and not 200 <= status < 300:
            refused = refusal(status, headers, b"", shown, now)
            self._heed(refused.retry_after_s, isinstance(refused, RateLimited))
            raise refusal(status, headers, await self._sample(answer), shown, now)
        body = b"" if status in (204, 304) else await self._whole(answer, shown)
        wait = reset_wait_s(headers, served_at) if used_up(headers) else None
        if wait is not None:
            self._heed(wait, False)
            self.tally.wait_s = max(wait, self.tally.wait_s or 0.0)
        if self._record and method == "GET" and body:
            self.tally.bodies.append(self._mask.body(body))
        kept = dict(sent) if status == 304 else {}
        return Response(status, shown, headers, body, served_at, {**kept, **validators_of(headers)})

    def _heed(self, wish_s: float | None, refused: bool) -> None:
        """Shut the gate for as long as the server named; for a moment where it refused without naming a time."""
        if wish_s is not None and wish_s <= MAX_NAMED_WAIT_S:
            self._gate.shut(wish_s)
        elif refused:
            self._gate.shut(REFUSED_S)

    async def _whole(self, answer: httpx.Response, shown: str) -> bytes:
        """The decoded body, to its last byte."""
        reader: BodyReader | None = None
        try:
            reader = BodyReader(answer.headers.get("content-encoding", ""), self.access.max_body)
            async with aclosing(raw_bytes(answer)) as raw:
                async for chunk in raw:
                    reader.feed(chunk)
            return reader.finish()
        except Malformed as error:
            start = bytes(reader.body[:SAMPLE_BYTES]) if reader else None
            raise Malformed(
                error.message, shown, error.cause, http_status=answer.status_code, body=start or None
            ) from None
        finally:
            self.tally.bytes += len(reader.body) if reader else 0

    async def _sample(self, answer: httpx.Response) -> bytes:
        """The start of an error's body, as far as it comes quickly: the status has said what matters."""
        reader: BodyReader | None = None
        try:
            reader = BodyReader(answer.headers.get("content-encoding", ""), STEP)
            async with asyncio.timeout(min(SAMPLE_S, self.access.deadline_s / 2)), aclosing(raw_bytes(answer)) as raw:
                async for chunk in raw:
                    reader.feed(chunk)
                    if len(reader.body) >= SAMPLE_BYTES:
                        break
        except (Malformed, httpx.HTTPError, OSError):
            pass  # what came so far will do
        if reader is None:
            return b""
        self.tally.bytes += len(reader.body)
        return bytes(reader.body[:SAMPLE_BYTES])

    async def _open(self, path: str, params: list[tuple[str, str]] | None) -> ClientConnection:
        host = self._host(path)
        self._gate.check(self.access.source)
        try:
            url = address(self.access.base_url, path, params, self.access.other_urls)
            secure = url.scheme in ("https", "wss")
            self.tally.requests += 1
            connection = await _Connect(
                str(url.copy_with(scheme="wss" if secure else "ws")),
                ssl=self._tls() if secure else None,
                user_agent_header=self.access.user_agent,
                max_size=self.access.max_body,
                open_timeout=self.access.deadline_s,
                close_timeout=CLOSE_S,
                proxy=None,
            )
            self.tally.http_status = 101
            return connection
        except InvalidStatus as error:
            status = error.response.status_code
            self.tally.http_status = status
            headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
            body = bytes(error.response.body or b"")[:SAMPLE_BYTES]
            refused = refusal(status, headers, body, self._shown(url), self._clock())
            self._heed(refused.retry_after_s, isinstance(refused, RateLimited))
            raise self._mask.error(refused) from None
        except TimeoutError as error:
            raise Unavailable("deadline passed", host, self._mask.text(str(error))) from None
        except (WebSocketException, httpx.InvalidURL, OSError, EOFError, UnicodeError) as error:
            raise Unavailable("can't be reached", host, self._mask.text(plain_reason(error))) from None

    def _host(self, path: str) -> str:
        """Whom a path is asked of, for messages: an absolute one names its host itself."""
        return connection_host(path if "://" in path else self.access.base_url)

    def _shown(self, url: httpx.URL) -> str:
        return self._mask.text(str(url.copy_with(userinfo=b"")))


class Http:
    """Makes clients; the network itself is a constructor argument.

    ``transport``: a fake in place of the network. ``record``: keep the bodies in ``client.tally.bodies``.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        record: bool = False,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._record = record
        self._context: ssl.SSLContext | None = None
        for library in ("httpx", "httpcore", "websockets"):  # they log whole addresses and headers, secrets included
            logging.getLogger(library).setLevel(logging.WARNING)

    def _tls(self) -> ssl.SSLContext:
        """Made once and shared: reading the certificates takes tens of milliseconds."""
        if self._context is None:
            self._context = httpx.create_ssl_context(trust_env=False)
        return self._context

    @asynccontextmanager
    async def session(self, access: Access, gate: Gate | None = None) -> AsyncIterator[Client]:
        """A client for one poll. It shares nothing with the next one, so a request that was given up can't poison it.

        A request cancelled at the wrong moment keeps its place in the library's connection pool for ever
        (encode/httpcore#1093), and a deadline is a cancellation. With a pool per poll the damage ends with the poll.
        """
        client = httpx.AsyncClient(
            transport=self._transport,
            verify=self._tls() if self._transport is None else True,
            headers={"User-Agent": access.user_agent, "Accept-Encoding": "gzip"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # keeps none
            timeout=httpx.Timeout(None),  # theirs are per read; the deadline of the whole request stands above
            follow_redirects=False,
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=30.0),
            trust_env=False,
        )
        async with client:
            yield Client(access, client, clock=self._clock, tls=self._tls, record=self._record, gate=gate or Gate())


# ----------------------------------------------------------------------------------------------------- helpers


async def raw_bytes(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it comes over the wire, before any decoding.

    The stream is read itself, not through ``aiter_raw``, which refuses the answers of httpx's own fake transport.
    """
    stream = answer.stream
    assert isinstance(stream, AsyncIterable)
    async for chunk in stream:
        yield chunk
