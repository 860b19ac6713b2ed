"""A process of its own that hands alerts to one receiver: ``python -m tracker.notify_send``, driven by ``notify_post``.

    stdin   {"url": …, "insecure": …, "private": …, "timeout_s": …}     stdout  {"refused": null}
            {"key": …, "title": …, "body": …}                                   {"ok": true, …}
            …one line each, until the end of the input

It is a process because a receiver that drips bytes can hold a request for ever, and because what is forbidden here is
forbidden to the libraries as well: an audit hook sees every connection with the address that it is really made to.
Redirects are not followed, proxies and other settings of the environment are not looked at, nothing is written, no
program is started.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import socket
import sys
import time
from importlib import import_module
from types import FrameType
from typing import IO, Any, Final

import apprise

from tracker.notify_address import refusal

LONGEST_LINE: Final = 1_000_000  # bytes of one line of the input
BODY_BYTES: Final = 65_536  # of an answer; what follows is not read
BODY_S: Final = 3.0  # that an answer may take after its head: it has said by then whether it took the message
_MEMORY: Final = 2**30
_LATE_EXIT: Final = 75  # as notify_post knows it
# kinds of apprise that tell it on this machine: a program, a bus, a log
_LOCAL: Final = frozenset(
    {"macosx", "dbus", "qt", "kde", "glib", "gio", "gnome", "windows", "syslog", "blink1", "growl", "file", "script"}
)
_ENCRYPTED: Final = frozenset({"amqps", "ircs", "mqtts", "xmpps"})  # that speak TLS themselves, not over the web
# what a request came to, in words; the texts of these errors hold the address
_WORDS: Final = {
    "ConnectionError": "it can't be reached, or it hung up",
    "ConnectTimeout": "it can't be reached in time",
    "ReadTimeout": "no answer in time",
    "SSLError": "its certificate is not accepted, or it speaks no TLS",
}
_WEB_HOOKS: Final = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})
_FORBIDDEN: Final = frozenset(
    {
        "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.spawn", "pty.spawn",
        "os.startfile", "syslog.openlog", "syslog.syslog",
    }
)  # fmt: skip


class Refused(PermissionError):
    """A connection, or something else, that is not allowed here; libraries take it for a failed connection."""


class _Late(Exception):
    """The body of an answer takes too long."""


class Watch:
    """What is allowed, and what has happened while one message was sent."""

    def __init__(self, *, insecure: bool, private: bool) -> None:
        self.insecure, self.private = insecure, private
        self.in_body = False
        self.begin()

    def begin(self) -> None:
        """A new message."""
        self.refused: str | None = None
        self.failed: str | None = None  # kind of the error that ended a request
        self.status: int | None = None  # of the last answer
        self.retry_after: str | None = None
        self.date: str | None = None
        self.smtp: str | None = None

    def forbid(self, why: str) -> Refused:
        self.refused = self.refused or why
        return Refused(why)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """The hook: raises where something is not allowed."""
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            if args[1] is not None:
                self._check(args[0], args[1])
        elif event in _FORBIDDEN:
            raise self.forbid(f"{event} is not allowed")

    def _check(self, connecting: socket.socket, address: object) -> None:
        if connecting.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            raise self.forbid("a connection within this machine is not allowed")
        host = address[0] if isinstance(address[0], str) else ""
        why = refusal(host, self.private)
        if why is not None:
            hint = "" if self.private else ' ("private = true" allows private ones)'
            raise self.forbid(f"an address that nobody may connect to: {why}{hint}")

    def error(self) -> str:
        """Why the message was not taken; no word of it comes from the receiver or from the address."""
        if self.refused is not None:
            return self.refused
        if self.status is not None and 300 <= self.status < 400:
            return f"HTTP {self.status}: a redirect, which is not followed"
        if self.status is not None and not 200 <= self.status < 300:
            return f"HTTP {self.status}"
        return self.smtp or self.failed or "the receiver did not take it"


# ------------------------------------------------------------------------------------------------ the one door to the web


def guard_web(watch: Watch) -> None:
    """Every request of every plugin goes through here. ``requests`` comes along with apprise: it is none of our packages."""
    adapters: Any = import_module("requests.adapters")
    sessions: Any = import_module("requests.sessions")
    plain_send = adapters.HTTPAdapter.send

    def send(adapter: Any, request: Any, **options: Any) -> Any:
        if not watch.insecure and not str(request.url).lower().startswith("https://"):
            raise watch.forbid('a request without encryption ("insecure = true" allows it)')
        if not watch.insecure and options.get("verify") is False:
            raise watch.forbid('a certificate that is not checked ("insecure = true" allows it)')
        request.headers["Accept-Encoding"] = "identity"  # nothing to unpack, so nothing that could burst
        try:
            response = plain_send(adapter, request, **{**options, "stream": True, "proxies": {}})
        except Exception as error:
            watch.failed = _WORDS.get(type(error).__name__, type(error).__name__)
            raise
        watch.status = response.status_code
        watch.retry_after, watch.date = response.headers.get("Retry-After"), response.headers.get("Date")
        response.headers.pop("Location", None)  # without it there is no redirect to follow, whoever asks for it
        response._content = _body(response.raw, watch)
        response._content_consumed = True
        response.close()
        return response

    adapters.HTTPAdapter.send = send
    sessions.DEFAULT_REDIRECT_LIMIT = 0


def _body(raw: Any, watch: Watch) -> bytes:
    """The beginning of a body: neither long nor late. What the head said stands in any case."""
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    found = bytearray()
    started = time.monotonic()
    watch.in_body = True
    signal.setitimer(signal.ITIMER_REAL, min(BODY_S, left) if left else BODY_S)
    try:
        while len(found) < BODY_BYTES and (byte := raw.read(1, decode_content=False)):
            found += byte
    except Exception:
        found += b""  # cut off, or too late
    finally:
        watch.in_body = False
        signal.setitimer(signal.ITIMER_REAL, max(1.0, left - (time.monotonic() - started)) if left else 0)
    return bytes(found)


class _Codes(logging.Handler):
    """Finds the code of a mail server in what apprise logs; everything else there may be secret and is dropped."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.DEBUG)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        code = re.search(r"\(([45]\d\d), b?['\"]", record.getMessage())
        if code is not None:
            self._watch.smtp = f"SMTP {code[1]}"


# ------------------------------------------------------------------------------------------------ the receiver


def open_channel(task: dict[str, Any], watch: Watch) -> tuple[Any, str | None]:
    """The receiver, and None; or why it can't be used."""
    schema = str(task["url"]).partition("://")[0].lower()
    if schema in _LOCAL:
        return None, f"{schema} tells it on this machine only, which no channel may"
    asset = apprise.AppriseAsset(
        app_id="tracker", app_desc="tracker", storage_mode="memory", http_redirects=False, async_mode=False,
        pgp_autogen=False, pem_autogen=False, allow_templates=False, service_timeout=0,
    )  # fmt: skip
    receiver: Any = apprise.Apprise.instantiate(task["url"], asset=asset)
    if receiver is None:
        return None, "apprise can't use this address: its kind is unknown, or a part of it is missing"
    receiver.redirects = False
    if "overflow=" not in task["url"]:
        receiver.overflow_mode = apprise.OverflowMode.SPLIT
    if "cto=" not in task["url"]:
        receiver.socket_connect_timeout = task["timeout_s"]
    if "rto=" not in task["url"]:
        receiver.socket_read_timeout = task["timeout_s"]
    return receiver, None if watch.insecure else _plain(receiver, schema)


def _plain(receiver: Any, schema: str) -> str | None:
    """What is not secure about a receiver; None where nothing is."""
    allow = '("insecure = true" allows it)'
    if not receiver.verify_certificate:
        return f"its certificate would not be checked {allow}"
    if getattr(receiver, "secure_mode", None) == "insecure":
        return f"mail without encryption: mailtos://, or mode=starttls {allow}"
    if getattr(receiver, "secure_mode", None) is not None and "email" in type(receiver).__module__:
        return None
    secure = receiver.secure_protocol or ()
    secure = (secure,) if isinstance(secure, str) else tuple(secure)
    over_the_web = any(hasattr(sys.modules.get(kind.__module__), "requests") for kind in type(receiver).__mro__)
    if over_the_web:
        return (
            f"{schema} sends without encryption: use {secure[0]} {allow}" if secure and schema not in secure else None
        )
    return None if schema in _ENCRYPTED else f"{schema} may send without encryption {allow}"


def deliver(receiver: Any, schema: str, message: dict[str, str], watch: Watch) -> dict[str, Any]:
    """Send one message; what came of it."""
    watch.begin()
    if schema in _WEB_HOOKS:
        receiver.headers["Idempotency-Key"] = message["key"]
    try:
        ok = bool(receiver.notify(title=message["title"], body=message["body"], body_format=apprise.NotifyFormat.TEXT))
    except Exception as error:
        ok, watch.failed = False, watch.failed or type(error).__name__
    if ok:
        return {"ok": True, "error": None, "retry_after": None, "date": None}
    return {"ok": False, "error": watch.error(), "retry_after": watch.retry_after, "date": watch.date}


# ------------------------------------------------------------------------------------------------ the process


def _answers() -> IO[str]:
    """Where answers go. Whatever else is printed in here, by whomever, goes nowhere: it may hold an address."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return answers


def _limit() -> None:
    """Little memory, no files, no image of the memory after a crash."""
    for what, most in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def main() -> int:
    """Read the task, then message after message, and answer each."""
    answers = _answers()
    _limit()
    task = json.loads(sys.stdin.buffer.readline(LONGEST_LINE))
    watch = Watch(insecure=task["insecure"], private=task["private"])

    def late(number: int, frame: FrameType | None) -> None:
        if watch.in_body:
            raise _Late
        os._exit(_LATE_EXIT)  # whoever started us may be gone: nobody else would end this

    signal.signal(signal.SIGALRM, late)
    sys.addaudithook(watch.audit)
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [_Codes(watch)], False
    logger.setLevel(logging.DEBUG)
    guard_web(watch)
    receiver, refused = open_channel(task, watch)
    print(json.dumps({"refused": refused}), file=answers, flush=True)
    if refused is not None:
        return 0
    schema = str(task["url"]).partition("://")[0].lower()
    while line := sys.stdin.buffer.readline(LONGEST_LINE):
        signal.setitimer(signal.ITIMER_REAL, task["timeout_s"])
        answer = deliver(receiver, schema, json.loads(line), watch)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
