"""What stands before every answer: who may be asked under which name, with which method, and what a browser may do with it.

A page of a stranger can make a browser on this machine ask 127.0.0.1, and can give its own name that address (DNS
rebinding). So a request has to name one of our names, no answer may be framed or read across origins, and nothing
changes by a request.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - not listened on, but nobody's name
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def names(host: str, allowed: Iterable[str]) -> frozenset[str]:
    """Under which names we may be asked: those of this machine, where we listen, and what the operator adds."""
    return frozenset({*LOOPBACK, *allowed, *(() if host in EVERYWHERE else (host,))})


def named(host: str) -> str:
    """The name in a ``Host`` header, without port and brackets, as ``names`` has it."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def error(status: int, says: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    body = json.dumps({"error": says}).encode()
    return status, {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}, body


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, guarded)
            return
        status, headers, body = refusal
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await guarded({"type": "http.response.start", "status": status, "headers": raw})
        await guarded({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope) -> tuple[int, dict[str, str], bytes] | None:
        if named(Headers(scope=scope).get("host", "")) not in self._allowed:
            return error(421, "this is not a name of ours: see allowed_hosts in [web]")
        if scope["method"] not in METHODS:
            return error(405, "only GET and HEAD: nothing changes by a request", Allow=", ".join(METHODS))
        return None
