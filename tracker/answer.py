"""One answer of a server, read without acting: its body under a cap, its validators, its refusal, where it sends us.

What the HTTP library leaves open is decided here: a body is inflated step by step under a cap (the library would
inflate a whole chunk first: half a megabyte of gzip became 130), and a gzip stream that was cut short is an error (it
would be accepted). ``http.py`` does the asking.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, Unavailable
from tracker.pacing import http_date, parse_retry_after, reset_wait_s, used_up
from tracker.wire import looks_like_html

STEP = 64 * 1024  # how much is inflated at a time
MAX_VALIDATOR = 1024  # characters of an ETag that are kept

_CHALLENGE = (b"whoa there", b"just a moment", b"challenge-platform", b"cf-chl")  # on an HTML page
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class BodyReader:
    """Collects one body under a cap, inflating ``gzip`` a step at a time; Malformed as soon as it can't be one.

    ``encoding`` is the Content-Encoding header. Only none and a single gzip are read: that is what was asked for,
    and stacked encodings turn seven kilobytes into eight gigabytes.
    """

    def __init__(self, encoding: str, max_body: int) -> None:
        self._gzip = encoding.strip().lower() in ("gzip", "x-gzip")
        if not self._gzip and encoding.strip().lower() not in ("", "identity"):
            raise Malformed("a body encoding that was not asked for", cause=encoding[:80])
        self._max = max_body
        self._wire = 0
        self._member: Any = zlib.decompressobj(31)
        self.body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes as they came over the wire."""
        self._wire += len(chunk)
        if self._wire > self._max + STEP:  # empty gzip blocks add up to nothing, for ever
            raise self._too_large()
        if not self._gzip:
            self._add(chunk)
            return
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(31)
            try:
                self._add(self._member.decompress(chunk, STEP))
            except zlib.error as error:
                raise Malformed("a broken gzip body", cause=error) from None
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def finish(self) -> bytes:
        """The whole body; Malformed when a gzip stream has not come to its end."""
        if self._gzip and not self._member.eof:
            raise Malformed("a gzip body that was cut short", cause=f"after {self._wire} bytes")
        return bytes(self.body)

    def _add(self, data: bytes) -> None:
        if len(self.body) + len(data) > self._max:
            raise self._too_large()
        self.body += data

    def _too_large(self) -> Malformed:
        return Malformed("the answer is too large", cause=f"more than {self._max} bytes")


def served_time(headers: Mapping[str, str], now: datetime) -> datetime:
    """The server's own clock where it tells it, else ours."""
    return http_date(headers.get("date")) or now


def usable_validator(value: str | None) -> str | None:
    """A validator that can be sent back; others would break every later request of the stream."""
    fits = value is not None and 0 < len(value) <= MAX_VALIDATOR and value.isascii() and value.isprintable()
    return value if fits else None


def validators_of(headers: Mapping[str, str]) -> dict[str, str]:
    """What makes the next request conditional.

    Last-Modified counts whole seconds: where the answer is younger than two of them, a second change within the
    same second would stay unseen for ever (RFC 9110, 8.8.2.2), so it is left out.
    """
    found: dict[str, str] = {}
    if etag := usable_validator(headers.get("etag")):
        found["etag"] = etag
    stamp = usable_validator(headers.get("last-modified"))
    modified, served = http_date(stamp), http_date(headers.get("date"))
    if stamp and modified and served and served - modified >= timedelta(seconds=2):
        found["last_modified"] = stamp
    return found


def hop_target(url: httpx.URL, location: str) -> httpx.URL:
    """Where a redirect leads, if it stays on scheme, host and port (or moves from http to https there).

    Unavailable for anything else: another host never sees a request, so nothing secret can reach it.
    """
    target = url.join(location)
    same = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
    upgrade = (url.scheme, target.scheme, url.host) == ("http", "https", target.host) and not (url.port or target.port)
    if not same and not upgrade:
        raise Unavailable(f"redirect to another host refused: {target.host or target.scheme or 'nowhere'}"[:200])
    return target.copy_with(userinfo=url.userinfo)


def refusal(status: int, headers: Mapping[str, str], body: bytes, url: str, now: datetime) -> SourceError:
    """The error for an answer that is none, named for what the caller should do about it.

    ``body`` is the start of what came, ``url`` is for a person, ``now`` stands in where the server tells no time.
    """
    served_at = served_time(headers, now)
    named = parse_retry_after(headers.get("retry-after"), served_at)
    wait = named
    if wait is None and (status == 429 or used_up(headers)):
        wait = reset_wait_s(headers, served_at)
    page = looks_like_html(body)
    challenge = "cf-mitigated" in headers or (page and any(word in body.lower() for word in _CHALLENGE))
    cause = f"HTTP {status}"
    if challenge:
        cause += ", a challenge page that only a browser passes"
    elif page:
        cause += ", an HTML page"
    if wait is not None:
        cause += f", asks to wait {wait:g} s"
    kind, message = _kind(status, challenge, named)
    return kind(message, url, cause, http_status=status, retry_after_s=wait, body=body, served_at=served_at)


def _kind(status: int, challenge: bool, named_wait_s: float | None) -> tuple[type[SourceError], str]:
    if status == 429 or (status == 503 and named_wait_s is not None and not challenge):
        return RateLimited, "too many requests"
    if status in (401, 403) or (status == 503 and challenge):
        return AccessDenied, "access denied"
    if status in (404, 410):
        return NotFound, "not found"
    return Unavailable, "the server failed" if status >= 500 else "unexpected status"


def plain_reason(error: BaseException) -> str:
    """What lies at the bottom of a network error, in the words of the system: ``Connection refused``."""
    found: BaseException | None = error
    words = str(error)
    for _ in range(20):
        if isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if isinstance(found, ConnectionError) and found.errno:
            words = os.strerror(found.errno)  # asyncio puts a sentence with a tuple in its place
        elif isinstance(found, OSError) and (found.strerror or str(found)):
            words = found.strerror or str(found)
        following = (found.__cause__ or found.__context__) if found is not None else None
        if following is None:
            break
        found = following
    return words or type(error).__name__


def connection_host(base_url: str) -> str:
    """Host (and port, where it is given) of an address, for messages."""
    try:
        return httpx.URL(base_url).netloc.decode("ascii", "replace") or base_url
    except httpx.InvalidURL:
        return base_url


def address(base_url: str, path: str, params: Any = None, other_urls: Iterable[str] = ()) -> httpx.URL:
    """The address of ``path`` below ``base_url``, or ``path`` itself where it is absolute and on that host or one of ``other_urls``.

    ValueError for an absolute address elsewhere; ``params`` are added to what the path has.
    """
    base = httpx.URL(base_url)
    if _ABSOLUTE.match(path):
        url = httpx.URL(path)
        hosts = [base, *map(httpx.URL, other_urls)]
        if (url.scheme, url.host, url.port) not in [(known.scheme, known.host, known.port) for known in hosts]:
            raise ValueError(f"{url.host or path[:80]} is not the host of {base.host}: only its own host is asked")
        if url.host == base.host:
            url = url.copy_with(userinfo=base.userinfo)
    else:
        below = path.lstrip("/")
        url = httpx.URL(f"{base_url.rstrip('/')}/{below}" if below else base_url)
    return url.copy_merge_params(params) if params else url
