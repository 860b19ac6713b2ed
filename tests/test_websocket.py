"""WebSockets through the same door: refusals, broken frames and silence on real sockets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import struct
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from loopback import Answer, Asked, Script, flood, loopback, reply, then_close, then_silence
from websockets.asyncio.server import Request, Response, ServerConnection, serve

from tracker.errors import AccessDenied, NotFound, RateLimited, SourceError, Unavailable
from tracker.http import Access, Http, Socket
from tracker.secret import Secret

HTTP = Http()
SOON = 5.0  # seconds within which a frame must come


def access(base_url: str, **changed: Any) -> Access:
    return Access(
        **{
            "source": "pond",
            "base_url": base_url,
            "own_base_url": True,
            "user_agent": "tracker/0.1 (+mailto:frog@pond.example)",
            "deadline_s": 5.0,
            **changed,
        }
    )


async def with_peer(
    talk: Callable[[ServerConnection], Awaitable[None]], use: Callable[[Access], Awaitable[None]]
) -> None:
    """Runs ``use`` against a well-behaved WebSocket server that talks as ``talk`` says."""
    async with serve(talk, "127.0.0.1", 0, compression="deflate") as server:
        await use(access(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/pond"))


# ------------------------------------------------------------------------------------------------ a good peer


async def test_frames_are_sent_and_the_peers_clock_is_known() -> None:
    async def talk(peer: ServerConnection) -> None:
        await peer.send(f"heard {await peer.recv()}")
        await peer.wait_closed()

    def dated(peer: ServerConnection, request: Request, response: Response) -> Response:
        del response.headers["Date"]
        response.headers["Date"] = "Thu, 01 Oct 2026 06:00:00 GMT"
        return response

    async with serve(talk, "127.0.0.1", 0, process_response=dated) as server:
        at = access(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with HTTP.session(at) as client, client.connect("") as socket:
            assert socket.served_at == datetime(2026, 10, 1, 6, tzinfo=UTC)
            await socket.send("kväk", SOON)
            assert await socket.receive(SOON) == "heard kväk"


async def test_sending_to_a_peer_that_is_gone_is_unavailable() -> None:
    async def talk(peer: ServerConnection) -> None:
        await peer.close(1001, "going home")

    async def use(at: Access) -> None:
        async with HTTP.session(at) as client, client.connect("/subscribe") as socket:
            with pytest.raises(Unavailable):
                await socket.receive(SOON)
            with pytest.raises(Unavailable, match="1001 going home"):
                await socket.send("anybody?", SOON)

    await with_peer(talk, use)


async def test_frames_come_in_order_as_text_and_bytes_and_are_counted() -> None:
    async def talk(peer: ServerConnection) -> None:
        await peer.send('{"frog": "kväk"}')
        await peer.send(b"\0\1")
        await peer.wait_closed()

    async def use(at: Access) -> None:
        async with HTTP.session(at) as client, client.connect("/subscribe") as socket:
            assert await socket.receive(SOON) == '{"frog": "kväk"}'
            assert await socket.receive(SOON) == b"\0\1"
            assert (client.tally.requests, client.tally.bytes, client.tally.http_status) == (1, 19, 101)

    await with_peer(talk, use)


async def test_the_handshake_says_who_we_are_and_what_we_want() -> None:
    seen: dict[str, str] = {}

    async def talk(peer: ServerConnection) -> None:
        assert peer.request is not None
        seen.update(path=peer.request.path, agent=peer.request.headers["User-Agent"])

    async def use(at: Access) -> None:
        params = [("wantedCollections", "app.pond.post"), ("wantedCollections", "app.pond.like"), ("cursor", "17")]
        async with HTTP.session(at) as client, client.connect("subscribe", params=params):
            pass

    await with_peer(talk, use)
    assert seen["agent"] == "tracker/0.1 (+mailto:frog@pond.example)"
    assert seen["path"] == ("/pond/subscribe?wantedCollections=app.pond.post&wantedCollections=app.pond.like&cursor=17")


async def test_silence_is_none_and_loses_nothing() -> None:
    speak = asyncio.Event()

    async def talk(peer: ServerConnection) -> None:
        await speak.wait()
        await peer.send("croak")
        await peer.wait_closed()

    async def use(at: Access) -> None:
        async with HTTP.session(at) as client, client.connect("/") as socket:
            assert await socket.receive(0.02) is None
            assert await socket.receive(0) is None
            speak.set()
            assert await socket.receive(SOON) == "croak"

    await with_peer(talk, use)


async def test_a_close_says_its_code_and_reason_after_all_frames() -> None:
    async def talk(peer: ServerConnection) -> None:
        await peer.send("last words")
        await peer.close(1013, "try again later")

    async def use(at: Access) -> None:
        async with HTTP.session(at) as client, client.connect("/") as socket:
            assert await socket.receive(SOON) == "last words"
            for _ in range(2):  # and it stays so
                with pytest.raises(Unavailable, match=r"the connection was closed: 127.*: 1013 try again later"):
                    await socket.receive(SOON)

    await with_peer(talk, use)


async def test_errors_of_the_caller_pass_through_unchanged() -> None:
    async def use(at: Access) -> None:
        with pytest.raises(KeyError, match="frog"):
            async with HTTP.session(at) as client, client.connect("/"):
                raise KeyError("frog")

    await with_peer(lambda peer: peer.wait_closed(), use)


async def test_a_compressed_bomb_closes_the_connection_at_the_cap() -> None:
    async def talk(peer: ServerConnection) -> None:
        await peer.send("a" * 5_000_000)  # about 5 kB on the wire
        await peer.wait_closed()

    async def use(at: Access) -> None:
        small = access(at.base_url, max_body=100_000)
        async with HTTP.session(small) as client, client.connect("/") as socket:
            with pytest.raises(Unavailable, match="1009"):
                await socket.receive(SOON)
            assert client.tally.bytes == 0

    await with_peer(talk, use)


# ------------------------------------------------------------------------------------------------- broken frames


def frame(opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0) -> bytes:
    """One unmasked frame, as a server sends it."""
    first = (0x80 if fin else 0) | reserved | opcode
    if len(payload) < 126:
        return struct.pack("!BB", first, len(payload)) + payload
    return struct.pack("!BBH", first, 126, len(payload)) + payload


TEXT, BINARY, PING = 1, 2, 9
CLOSE = b"\x88"  # how a close frame begins
CROAK = frame(TEXT, b"croak")


def accepted(asked: Asked) -> bytes:
    """What accepts a handshake."""
    key = asked.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()  # noqa: S324 - RFC 6455 wants it
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}
    return reply(101, b"", upgrade, length=False)


def upgraded(*frames: bytes, goodbye: bool = True) -> Script:
    """Accepts the handshake and sends ``frames`` as they are; hangs up when asked to, without ``goodbye`` never."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(accepted(asked) + b"".join(frames))
        await writer.drain()
        while heard := await asked.reader.read(1000):
            if goodbye and CLOSE in heard:
                break
        writer.close()

    return script


async def frames_of(answer: Answer, count: int, **changed: Any) -> list[str | bytes | None]:
    async with (
        loopback(answer) as server,
        HTTP.session(access(server.url, **changed)) as client,
        client.connect("/") as socket,
    ):
        return [await socket.receive(SOON) for _ in range(count)]


async def test_fragments_are_one_frame() -> None:
    parts = [frame(TEXT, b"cro", fin=False), frame(PING, b""), frame(0, b"ak")]
    assert await frames_of(upgraded(*parts), 1) == ["croak"]


async def test_a_storm_of_pings_hides_no_frame() -> None:
    assert await frames_of(upgraded(frame(PING, b"?") * 2000, CROAK), 1) == ["croak"]


async def test_an_empty_frame_is_a_frame() -> None:
    assert await frames_of(upgraded(frame(TEXT, b""), frame(BINARY, b"")), 2) == ["", b""]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(TEXT, b"\xff\xfe"), "1007"),
        (frame(3, b"reserved"), "1002"),
        (frame(TEXT, b"squeezed?", reserved=0x20), "1002"),
        (frame(0, b"goes on with nothing"), "1002"),
        (frame(TEXT, b"a" * 2000), "1009"),
        (frame(TEXT, b"a" * 600, fin=False) + frame(0, b"b" * 600), "1009"),
    ],
    ids=["bad-utf8", "reserved-opcode", "reserved-bit", "lone-continuation", "oversize", "oversize-in-parts"],
)
async def test_a_bad_frame_ends_the_connection_by_name_and_good_ones_before_it_are_kept(bad: bytes, code: str) -> None:
    async with (
        loopback(upgraded(CROAK, bad)) as server,
        HTTP.session(access(server.url, max_body=1000)) as client,
        client.connect("/") as socket,
    ):
        assert await socket.receive(SOON) == "croak"
        with pytest.raises(Unavailable, match=f"the connection was closed: 127.*ended by us: {code}"):
            await socket.receive(SOON)


def vanishing(part: bytes) -> Script:
    """Accepts the handshake, sends a part of a frame and is gone."""
    accepted = upgraded(part)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        asked.reader.feed_data(CLOSE)
        await accepted(asked, writer)

    return script


async def test_a_frame_that_was_cut_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="the connection was closed"):
        await frames_of(vanishing(CROAK[:4]), 1)


async def test_a_peer_that_never_says_goodbye_does_not_hold_us() -> None:
    started = time.monotonic()
    assert await frames_of(upgraded(CROAK, goodbye=False), 1) == ["croak"]
    assert time.monotonic() - started < 4.0


async def test_a_peer_that_takes_nothing_is_unavailable_and_does_not_hold_us() -> None:
    async def accept_and_read_no_more(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(accepted(asked))
        await asyncio.Event().wait()

    async def send_on(socket: Socket) -> None:
        while True:
            await socket.send("kväk" * 100_000, 0.2)

    async with (
        asyncio.timeout(10),
        loopback(accept_and_read_no_more) as server,
        HTTP.session(access(server.url)) as client,
        client.connect("/") as socket,
    ):
        with pytest.raises(Unavailable, match="takes no frames"):
            await send_on(socket)


# ---------------------------------------------------------------------------------------------- refused handshakes


async def refused(answer: Answer, path: str = "/", **changed: Any) -> SourceError:
    async with loopback(answer) as server, HTTP.session(access(server.url, **changed)) as client:
        with pytest.raises(SourceError) as raised:
            async with client.connect(path):
                pytest.fail("it was opened")
    return raised.value


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (reply(401, b"{}"), AccessDenied, "HTTP 401"),
        (reply(403, b"<html>Just a moment..."), AccessDenied, "challenge page"),
        (reply(404), NotFound, "HTTP 404"),
        (reply(429, b"slow", {"Retry-After": "30"}), RateLimited, "asks to wait 30 s"),
        (reply(503, b"", {"Retry-After": "30"}), RateLimited, "asks to wait 30 s"),
        (reply(502), Unavailable, "the server failed"),
        (reply(200, b"{}"), Unavailable, "unexpected status"),
        (then_close(b""), Unavailable, "can't be reached"),
        (then_close(b"220 pond.example ESMTP\r\n"), Unavailable, "can't be reached"),
        (reply(101, b"", {"Upgrade": "websocket", "Connection": "Upgrade"}, length=False), Unavailable, "can't be"),
    ],
    ids=["401", "challenge", "404", "429", "503", "502", "200", "closed", "not-http", "no-accept"],
)
async def test_a_refused_handshake_is_translated_like_any_answer(
    answer: Answer, kind: type[SourceError], says: str
) -> None:
    error = await refused(answer)
    assert type(error) is kind
    assert says in str(error)
    if kind is RateLimited:
        assert error.retry_after_s == 30.0


@pytest.mark.parametrize("answer", [then_silence(), flood(b"HTTP/1.1 101 Go\r\n", b"X-Frog: croak\r\n" * 50)])
async def test_a_silent_or_endless_handshake_ends_with_the_deadline(answer: Answer) -> None:
    error = await refused(answer, deadline_s=0.2)
    assert isinstance(error, Unavailable)
    assert error.message == "deadline passed"


async def test_a_handshake_is_never_redirected() -> None:
    async with loopback(reply(200)) as canary:
        error = await refused(reply(302, b"", {"Location": canary.url.replace("http", "ws")}))
        assert canary.connections == 0
    assert isinstance(error, Unavailable)


async def test_a_closed_port_is_unavailable() -> None:
    async with loopback(reply(200)) as server:
        url = server.url
    async with HTTP.session(access(url)) as client:
        with pytest.raises(Unavailable, match="Connection refused"):
            async with client.connect("/"):
                pytest.fail("it was opened")


async def test_an_address_elsewhere_is_a_mistake_of_the_caller() -> None:
    async with HTTP.session(access("https://pond.example")) as client:
        with pytest.raises(ValueError, match="only its own host is asked"):
            async with client.connect("https://other.example/"):
                pytest.fail("it was opened")


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with loopback(reply(502)) as canary:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, canary.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert await frames_of(upgraded(CROAK), 1) == ["croak"]
        assert canary.connections == 0


async def test_secrets_of_an_address_are_neither_shown_nor_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = {"token": Secret("hunter2")}
    error = await refused(reply(401), path="/?token=hunter2", credentials=keys)
    assert "token=***" in str(error)
    assert "hunter2" not in str(error) + caplog.text


async def test_json_of_a_real_peer_reads_back() -> None:
    async def talk(peer: ServerConnection) -> None:
        await peer.send(json.dumps({"kind": "commit", "text": "🐸" * 10_000}))
        await peer.wait_closed()

    async def use(at: Access) -> None:
        async with HTTP.session(at) as client, client.connect("/") as socket:
            found = await socket.receive(SOON)
            assert found is not None
            assert json.loads(found)["text"] == "🐸" * 10_000

    await with_peer(talk, use)
