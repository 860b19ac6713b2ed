"""A tiny real server on 127.0.0.1 that answers with exactly the bytes it is told to, faults included.

    async with loopback(reply(200, b"{}"), cut(reply(200, b"{}"), 20)) as server:
        …ask server.url…
        assert server.asked[0].target == "/"

The n-th request gets the n-th answer, later ones the last. An answer is bytes, sent as they are, or a function
that may do what it likes with the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]  # lower-case names
    body: bytes
    reader: asyncio.StreamReader = field(repr=False)  # what comes after it on the same connection


Script = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]
Answer = bytes | Script


@dataclass(slots=True)
class Server:
    """Where it listens and what it has been asked."""

    url: str
    host: str
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def loopback(*answers: Answer, greeting: bytes = b"") -> AsyncIterator[Server]:
    """A server that gives ``answers`` in turn; it is gone, with all its connections, at the end of the block.

    ``greeting`` is sent before anything was asked, as no HTTP server does.
    """
    tasks: set[asyncio.Task[None]] = set()
    found: Server | None = None

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert found is not None
        tasks.add(task)
        found.connections += 1
        try:
            writer.write(greeting)
            while (asked := await _read(reader)) is not None:
                found.asked.append(asked)
                answer = answers[min(len(found.asked), len(answers)) - 1]
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(asked, writer)
                if writer.is_closing():
                    break
        except (OSError, asyncio.CancelledError):  # the client has gone, or the test is over
            pass
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    found = Server(url=f"http://127.0.0.1:{port}", host=f"127.0.0.1:{port}")
    try:
        yield found
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listener.wait_closed(), 5)


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body, reader)


# ---------------------------------------------------------------------------------------------------- answers


def reply(status: int, body: bytes = b"", headers: dict[str, str] | None = None, *, length: bool = True) -> bytes:
    """A whole HTTP/1.1 answer; ``length=False`` leaves Content-Length to ``headers``."""
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def then_close(data: bytes) -> Script:
    """``data``, then FIN: a body without length ends like this, and so does one that was cut."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return script


def cut(data: bytes, at: int) -> Script:
    """The first ``at`` bytes of ``data``, then FIN."""
    return then_close(data[:at])


def reset(data: bytes = b"") -> Script:
    """``data``, then RST: what a crashing server or an angry firewall sends."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return script


def then_silence(data: bytes = b"") -> Script:
    """``data``, then nothing more while the connection stays open."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        await asyncio.Event().wait()

    return script


def drip(data: bytes, every_s: float, what: bytes = b" ") -> Script:
    """``data``, then ``what`` every ``every_s`` seconds for ever: no read ever times out."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        while True:
            await writer.drain()
            await asyncio.sleep(every_s)
            writer.write(what)

    return script


def flood(data: bytes, what: bytes) -> Script:
    """``data``, then ``what`` over and over, as fast as it is taken."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        while not writer.is_closing():
            writer.write(what)
            await writer.drain()

    return script
