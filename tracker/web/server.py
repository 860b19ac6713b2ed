"""The HTTP server in the loop of the daemon: what is answered where, and how much of it at a time."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from tracker import __version__
from tracker import config as configuration
from tracker.app import App
from tracker.log import Masker, event
from tracker.vitals import judge
from tracker.web.board import Board
from tracker.web.guard import LOOPBACK, Guard, error, names
from tracker.web.health import document, status_code
from tracker.web.metrics import MEDIA_TYPE, exposition

log = logging.getLogger(__name__)

CONNECTIONS = 64  # at a time; whoever comes then is let go at once: the database needs descriptors too
HEAD_S = 5.0  # a connection that has not asked anything by then is closed
ANSWER_S = 30.0  # and so is one that has not taken its answer by then
HEAD_BYTES = 16_384  # of one request
INDEX = f"tracker {__version__}: /health /metrics\n"


def application(app: App) -> ASGIApp:
    """All that can be asked, behind its guard."""
    board, mask = Board(app), Masker(configuration.secrets(app.config))

    async def index(request: Request) -> Response:
        return _tagged(request, INDEX, "text/plain; charset=utf-8")

    async def health(request: Request) -> Response:
        vitals = await board.vitals()
        found = judge(vitals)
        body = mask(json.dumps(document(vitals, found), ensure_ascii=True, indent=1))
        return Response(body + "\n", status_code(found), media_type="application/json")

    async def metrics(request: Request) -> Response:
        vitals = await board.vitals()
        return Response(mask(exposition(vitals, judge(vitals), board.counts())), media_type=MEDIA_TYPE)

    routes = [Route("/", index), Route("/health", health), Route("/metrics", metrics)]
    handlers = {HTTPException: _refused, Exception: _failed}
    inner = Starlette(routes=routes, exception_handlers=handlers)
    inner.router.redirect_slashes = False
    return Guard(inner, names(app.config.web.host, app.config.web.allowed_hosts))


def _tagged(request: Request, body: str, media_type: str) -> Response:
    """An answer that changes rarely, by its tag; 304 for who has it already."""
    tag = '"' + blake2b(body.encode(), digest_size=8).hexdigest() + '"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


async def _refused(request: Request, found: Exception) -> Response:
    code = found.status_code if isinstance(found, HTTPException) else 500
    status, headers, body = error(code, "there is nothing here" if code == 404 else "this can't be answered")
    return Response(body, status, headers)


async def _failed(request: Request, found: Exception) -> Response:
    status, headers, body = error(500, "an error of ours; the log has it")
    return Response(body, status, headers)


class _Impatient(H11Protocol):
    """One connection that can't be kept open by saying nothing, asking slowly or never reading."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= CONNECTIONS:
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._within(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._within(ANSWER_S)

    def on_response_complete(self) -> None:
        self._within(HEAD_S)
        super().on_response_complete()

    def _within(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.transport.abort)


class _Server(uvicorn.Server):
    """Signals belong to the daemon."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: App) -> None:
    """Answer until the tracker stops. A port that can't be had is said loudly, and everything else goes on."""
    settings = app.config.web
    try:
        listener = await asyncio.to_thread(_listen, settings.host, settings.port)
    except OSError as failed:
        event(
            log, "error", "nothing is shown over HTTP, all else goes on: the address can't be had", key="web.host, web.port",
            host=settings.host, port=settings.port, reason=failed.strerror or str(failed),
        )  # fmt: skip
        return
    with listener:
        host, port = listener.getsockname()[:2]
        event(log, "info", "answers over HTTP", url=f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        if settings.host not in LOOPBACK:
            event(log, "warning", "other machines can read /health and /metrics without a password", key="web.host")
        server = _Server(_configured(application(app)))
        ending = asyncio.create_task(_end(server, app.stopping.wait))
        try:
            await server.serve([listener])
        finally:
            ending.cancel()


async def _end(server: uvicorn.Server, stopping: Callable[[], Awaitable[object]]) -> None:
    await stopping()
    server.should_exit = True


def _configured(application: ASGIApp) -> uvicorn.Config:
    found = uvicorn.Config(
        application, http=_Impatient, ws="none", lifespan="off", loop="none", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, backlog=CONNECTIONS, timeout_keep_alive=5,
        timeout_graceful_shutdown=1, h11_max_incomplete_event_size=HEAD_BYTES,
    )  # fmt: skip
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # every nonsense that somebody sends would be a line
        logging.getLogger(name).setLevel(logging.ERROR)
    return found


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; OSError when the name or the port can't be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(CONNECTIONS)
        found.setblocking(False)
    except OSError:
        found.close()
        raise
    return found
