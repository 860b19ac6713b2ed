"""Shops that stay open, over a WebSocket: bluesky and nostr."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fakes import FakeClock
from loopback import Asked
from shops import HTML, Named, Note, Reply, Shop, Sick, asks_to_wait, json_of
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

_POSTS = "app.bsky.feed.post"


def _is_sick(*frames: str) -> dict[str, Sick]:
    """What a WebSocket can send in place of what it should; ``frames``: messages of the wrong shape."""
    return {
        "403 page": Sick(Reply(403, HTML), "denied"),
        "200 page": Sick(Reply(200, HTML), "unavailable"),
        "empty": Sick(Reply(101, frames=()), "unavailable"),
        "a frame that was cut": Sick(Reply(101, frames=(b"\x81\x7e\x01\x90{",)), "unavailable"),
        # one bad message costs itself alone: it is counted, and nothing moves
        "wrong shape": Sick(Reply(101, frames=frames), "ok"),
    }


class _Open(Shop):
    """A service behind a WebSocket. Its requests are handshakes."""

    NO_CONDITION = "a WebSocket has no validators"

    async def talk(self, peer: ServerConnection) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        def handshake(peer: ServerConnection, request: Request) -> Response | None:
            headers = {name.lower(): value for name, value in request.headers.raw_items()}
            self.asked.append(Asked("GET", request.path, headers, b"", asyncio.StreamReader()))
            if self.fault is None or self.fault.frames is not None or self.fault.status == 101:
                return None
            said = {"Content-Length": str(len(self.fault.body)), "Connection": "close", **self.fault.headers}
            return Response(self.fault.status, "Said", Headers(said), self.fault.body)

        def dated(peer: ServerConnection, request: Request, response: Response) -> Response:
            if "Date" in response.headers:
                del response.headers["Date"]
            response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True)
            return response

        async def serve_one(peer: ServerConnection) -> None:
            with suppress(ConnectionClosed):
                if self.fault is not None and self.fault.frames is not None:
                    await self._misbehave(peer, self.fault.frames)
                else:
                    await self.talk(peer)

        async with serve(
            serve_one,
            "127.0.0.1",
            0,
            compression=None,
            process_request=handshake,
            process_response=dated,
            close_timeout=0.5,
        ) as listener:
            yield f"ws://127.0.0.1:{next(iter(listener.sockets)).getsockname()[1]}"

    async def _misbehave(self, peer: ServerConnection, frames: tuple[str | bytes, ...]) -> None:
        for frame in frames:
            if isinstance(frame, bytes):
                peer.transport.write(frame)
            else:
                await peer.send(frame)
        if frames and isinstance(frames[0], str):
            await peer.wait_closed()
        else:
            await asyncio.sleep(0)
            peer.transport.abort()


class Bluesky(_Open):
    SOURCE, STREAM, PAGE = "bluesky", "posts", 2000
    sick = _is_sick('{"weather": "fine"}', "[]", '{"kind": "commit"}')

    def time_us(self, note: Note) -> int:
        return note.at * 1_000_000

    def native(self, note: Note) -> str:
        return f"at://did:plc:newt/{_POSTS}/3k{note.number}"

    async def talk(self, peer: ServerConnection) -> None:
        cursor = int(parse_qs(urlsplit(self.asked[-1].target).query).get("cursor", ["0"])[0])
        for note in sorted(self.notes, key=lambda note: note.number):
            if self.time_us(note) >= cursor:
                commit = {
                    "rev": f"3m{note.number}", "operation": "create", "collection": _POSTS, "rkey": f"3k{note.number}",
                    "record": {"$type": _POSTS, "text": note.text},
                }  # fmt: skip
                event = {"did": "did:plc:newt", "time_us": self.time_us(note), "kind": "commit", "commit": commit}
                await peer.send(json.dumps(event))
        await peer.wait_closed()


class Nostr(_Open):
    """A relay that shows forty notes at a time. Each REQ is a request, too."""

    SOURCE, STREAM, PAGE, PAGES_A_POLL = "nostr", "tag/gme", 40, 12
    sick = _is_sick('{"weather": "fine"}', "[]", '["EVENT", "live", {"id": 7}]')
    named = asks_to_wait(
        {
            # it names no time of its own: ours is the interval, doubled
            "CLOSED rate-limited": Named(
                120, lambda now: Reply(101, frames=('["CLOSED", "live", "rate-limited: slow down there"]',))
            ),
        }
    )

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self._made: dict[int, dict[str, Any]] = {}

    def event(self, note: Note) -> dict[str, Any]:
        if note.place not in self._made:
            key = hashlib.sha256(b"newt").hexdigest()
            rest = [0, key, note.at, 1, [["t", "gme"]], note.text]
            id_ = hashlib.sha256(json.dumps(rest, separators=(",", ":")).encode()).hexdigest()
            names = ("pubkey", "created_at", "kind", "tags", "content")
            self._made[note.place] = {"id": id_, **dict(zip(names, rest[1:], strict=True)), "sig": id_ * 2}
        return self._made[note.place]

    def native(self, note: Note) -> str:
        return str(self.event(note)["id"])

    async def talk(self, peer: ServerConnection) -> None:
        async for words in peer:
            kind, sub, *filters = json.loads(words)
            if kind != "REQ":
                continue
            self.asked.append(Asked("REQ", words if isinstance(words, str) else "", {}, b"", asyncio.StreamReader()))
            wanted = filters[0]
            low, high = wanted.get("since", 0), wanted.get("until", 10**12)
            found = [note for note in self.newest_first if low <= note.at <= high] if 1 in wanted["kinds"] else []
            for note in found[: min(self.PAGE, wanted["limit"])]:
                await peer.send(json_of(["EVENT", sub, self.event(note)]).decode())
            await peer.send(json_of(["EOSE", sub]).decode())
