"""What can be wrong with one answer: faults by kind, the bytes that they put on the wire, and seeded plans of them.

Each kind names the row of the fault catalogue in ``docs/reliability.md`` that it plays. A fault is counted when its
answer goes out, not when it is planned: a plan that did not fire proves nothing.
"""

from __future__ import annotations

import gzip
import json
import random
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from http import HTTPStatus
from typing import Any, Literal

import world_posts as wire
from world_posts import Source

HTML_PAGE = b"<!DOCTYPE html><html><head><title>Pond</title></head><body>please log in</body></html>"
CHALLENGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>whoa there</body></html>"
BOMB_BYTES = 128 * 1024 * 1024

# kind -> row of the catalogue. Those of a plan; further kinds are for single tests.
HTTP_KINDS: dict[str, int] = {
    "reset_first": 2, "reset_body": 3, "cut": 3, "silence": 4, "silence_body": 4, "drip": 5, "endless_body": 6, "endless_head": 6,
    "not_http": 7, "too_many": 11, "too_many_date": 12, "too_many_nonsense": 13, "too_many_bare": 14, "too_many_service": 14,
    "refused": 15, "html": 16, "empty_body": 16, "failing": 18, "not_found": 18, "moved": 19, "unasked_304": 20, "gzip_cut": 23,
    "gzip_crc": 23, "gzip_bomb": 23, "stacked": 23, "brotli": 23, "malformed_item": 25, "no_list": 26, "deep": 27, "stale": 33,
    "empty_list": 38,
}  # fmt: skip
SOCKET_KINDS: dict[str, int] = {
    "failing": 18, "too_many": 11, "silent_socket": 44, "cut_frame": 44, "binary": 44, "garbage": 44, "oversize": 44, "reserved": 44,
    "bad_utf8": 44, "half_replay": 45, "dropped": 44,
}  # fmt: skip
LYING_304 = "lying_304"  # of Reddit alone: the only one here that is asked with a condition

Ending = Literal["keep", "close", "reset", "silence", "drip", "flood"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What one answer is to be in place of the right one."""

    kind: str
    wait_s: float | None = None  # what a 429 or a 503 names in Retry-After
    as_date: bool = False  # as a date (whole seconds) in place of a number


def too_many(wait_s: float | None, *, as_date: bool = False) -> Fault:
    return Fault("too_many", wait_s, as_date)


FAILING, CUT, HTML, REFUSED = Fault("failing"), Fault("cut"), Fault("html"), Fault("refused")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer before it is bytes."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    ending: Ending = "keep"
    encoded: bool = False  # the body is as it goes over the wire, Content-Encoding stands in the headers
    raw: bytes | None = None  # all of it, in place of everything above
    whole: bool = True  # the right answer, to its last byte

    def wire(self, may_zip: bool) -> bytes:
        if self.raw is not None:
            return self.raw
        body, headers = self.body, [*self.headers, ("Content-Type", self.kind)]
        if may_zip and body and not self.encoded:
            body = gzip.compress(body, 1)
            headers.append(("Content-Encoding", "gzip"))
        length = [] if self.ending == "flood" else [("Content-Length", str(len(body)))]
        headers += [("Date", format_datetime(datetime.now(UTC), usegmt=True)), *length]
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        whole = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return whole + (body if self.ending in ("keep", "flood") else body[: len(body) // 2])


# --------------------------------------------------------------------------------------------------------- plans


ANSWERS_S = 1.2  # answers a second of one source, waits after failures included: how long a plan has to be
CONNECTIONS_S = 0.25  # connections a second of a stream that is disturbed again and again


def plan(
    seed: int, sources: Sequence[Source], *, pause_share: float = 0.4, share: float | None = None, seconds: float = 0.0
) -> dict[Source, list[Fault | None]]:
    """Every kind at least once, spread over the sources in a seeded order; None is an answer that is left alone.

    With ``share`` that part of the answers is wrong, for about ``seconds``.
    """
    dice = random.Random(seed)  # noqa: S311 (the same seed has to give the same plan)
    asked = [source for source in sources if source != "bluesky"]
    found: dict[Source, list[Fault | None]] = {source: [] for source in sources}
    for kind in dice.sample(sorted(HTTP_KINDS), len(HTTP_KINDS)):
        able = [source for source in asked if not (source == "reddit" and kind == "no_list")]
        source = min(able, key=lambda source: (len([f for f in found[source] if f is not None]), dice.random()))
        found[source].append(drawn(kind, dice))
    if "reddit" in found:
        found["reddit"].insert(dice.randrange(len(found["reddit"])), Fault(LYING_304))
    if "bluesky" in found:
        found["bluesky"] = [drawn(kind, dice) for kind in dice.sample(sorted(SOCKET_KINDS), len(SOCKET_KINDS))]
    for source in asked:
        if share is None:
            found[source] = _spread(found[source], dice, pause_share)
        else:
            found[source] = _filled(found[source], dice, share, round(seconds * ANSWERS_S), able=source)
    if share is not None and "bluesky" in found:  # a connection that is left alone lasts: each one is disturbed
        more = round(seconds * CONNECTIONS_S) - len(found["bluesky"])
        found["bluesky"] += [drawn(dice.choice(sorted(SOCKET_KINDS)), dice) for _ in range(more)]
    return found


def _spread(faults: Sequence[Fault | None], dice: random.Random, pause_share: float) -> list[Fault | None]:
    spread: list[Fault | None] = []
    for fault in faults:
        spread += [*([None] if dice.random() < pause_share else []), fault]
    return spread


def _filled(
    faults: list[Fault | None], dice: random.Random, share: float, length: int, able: Source
) -> list[Fault | None]:
    """``length`` answers (more where ``faults`` need them), ``share`` of them wrong, each of ``faults`` among them."""
    wanted = max(len(faults), round(length * share))
    kinds = sorted(kind for kind in HTTP_KINDS if not (able == "reddit" and kind == "no_list"))
    all_wrong = [*faults, *(drawn(dice.choice(kinds), dice) for _ in range(wanted - len(faults)))]
    answers: list[Fault | None] = [*all_wrong, *[None] * (max(length, round(wanted / share)) - wanted)]
    dice.shuffle(answers)
    return answers


def drawn(kind: str, dice: random.Random) -> Fault:
    if kind in ("too_many", "too_many_service"):
        return Fault(kind, 1.0 + dice.random())
    if kind == "too_many_date":
        return Fault(kind, 2.0 + dice.random(), as_date=True)
    return Fault(kind)


def kinds_of(faults: Mapping[Source, Iterable[Fault | None]]) -> set[tuple[str, str]]:
    return {(source, fault.kind) for source, drawn in faults.items() for fault in drawn if fault is not None}


# ------------------------------------------------------------------------------------------------ one wrong answer


def spoil(fault: Fault, source: Source, right: Answer, canary_url: str) -> tuple[Answer, float | None]:
    """The answer of a fault in place of the right one, and the time that it names."""
    if fault.kind.startswith("too_many") or fault.kind == "failing":
        return _named(fault, source)
    wrong = replace(right, whole=False)
    bodies: dict[str, tuple[int, bytes, str]] = {
        "refused": (403, CHALLENGE, "text/html"), "html": (200, HTML_PAGE, "application/json"), "empty_body": (200, b"", "application/json"),
        "not_found": (404, b"nothing here", "text/plain"), "unasked_304": (304, b"", "text/plain"), LYING_304: (304, b"", "text/plain"),
    }  # fmt: skip
    if fault.kind in bodies:
        return Answer(*bodies[fault.kind], whole=False), None
    endings: dict[str, Ending] = {"cut": "close", "reset_body": "reset", "silence_body": "silence"}
    if fault.kind in endings:
        return replace(wrong, ending=endings[fault.kind]), None
    bare: dict[str, tuple[bytes, Ending]] = {
        "reset_first": (b"", "reset"), "silence": (b"", "silence"), "drip": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", "drip"),
        "endless_head": (b"HTTP/1.1 200 OK\r\n" + b"X-Frog: croak croak croak\r\n" * 20_000, "close"),
        "not_http": (b"220 pond.example ESMTP\r\n", "close"),
    }  # fmt: skip
    if fault.kind in bare:
        raw, ending = bare[fault.kind]
        return replace(wrong, raw=raw, ending=ending), None
    if fault.kind == "endless_body":
        return Answer(200, b"[" + b" " * 10_000, encoded=True, ending="flood", whole=False), None
    if fault.kind == "moved":
        return Answer(302, b"", headers=(("Location", f"{canary_url}/elsewhere"),), whole=False), None
    if fault.kind in ("gzip_cut", "gzip_crc", "gzip_bomb", "stacked", "brotli"):
        body, encoding = _squeezed(fault.kind, right.body)
        return replace(wrong, body=body, headers=(*right.headers, ("Content-Encoding", encoding)), encoded=True), None
    if fault.kind == "malformed_item":  # everything else on the page is right
        return replace(right, body=with_a_broken_item(source, right.body)), None
    changed = {"no_list": _no_list, "deep": _deep, "empty_list": _empty_list}[fault.kind](source)
    return replace(wrong, body=changed, headers=()), None


def _named(fault: Fault, source: Source) -> tuple[Answer, float | None]:
    now = time.time()
    headers: tuple[tuple[str, str], ...] = ()
    not_before = None
    if fault.kind == "too_many_nonsense":
        headers = (("Retry-After", "soon"),)
    elif fault.kind == "too_many_service" and fault.wait_s is not None:
        # seconds from now, or a Unix time: each service has its own way
        reset = f"{fault.wait_s:.1f}" if source == "reddit" else str(int(now + fault.wait_s))
        not_before = now + fault.wait_s if source == "reddit" else float(reset)
        headers = (("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", reset))
    elif fault.wait_s is not None:
        not_before = now + fault.wait_s
        if fault.as_date:
            not_before = float(int(not_before))
            named = format_datetime(datetime.fromtimestamp(not_before, tz=UTC), usegmt=True)
        else:
            named = f"{fault.wait_s:g}"
            not_before = now + float(named)
        headers = (("Retry-After", named),)
    if fault.kind == "failing":
        return Answer(503, b"down for a moment", "text/plain", headers, whole=False), not_before
    body = wire.stocktwits_error(429, "Rate limit exceeded.") if source == "stocktwits" else b"Too Many Requests"
    return Answer(429, body, "text/plain", headers, whole=False), not_before


def _squeezed(kind: str, body: bytes) -> tuple[bytes, str]:
    if kind == "gzip_bomb":
        return bomb(), "gzip"
    if kind == "brotli":
        return body, "br"
    once = gzip.compress(body, 1)
    if kind == "stacked":
        return gzip.compress(once, 1), "gzip, gzip"
    if kind == "gzip_cut":
        return once[: -len(once) // 3], "gzip"
    return once[:-8] + bytes([once[-8] ^ 0xFF]) + once[-7:], "gzip"


@cache
def bomb() -> bytes:
    """Nothing but blanks, many of them, in a few hundred kilobytes."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
    blanks = b" " * (1024 * 1024)
    return b"".join([*(squeeze.compress(blanks) for _ in range(BOMB_BYTES // len(blanks))), squeeze.flush()])


def with_a_broken_item(source: Source, body: bytes) -> bytes:
    if source == "reddit":
        return body.replace(b"<entry>", b"<entry><title>no id, no time</title></entry><entry>", 1)
    document: Any = json.loads(body)
    items = document["messages" if source == "stocktwits" else "hits"]
    items.insert(min(1, len(items)), {"id": {"not": "an id"}, "body": None, "created_at": []})
    return json.dumps(document).encode()


def _no_list(source: Source) -> bytes:
    name = "messages" if source == "stocktwits" else "hits"
    return json.dumps({"response": {"status": 200}, name: None}).encode()


def _deep(source: Source) -> bytes:
    if source == "reddit":
        return b'<feed xmlns="http://www.w3.org/2005/Atom">' + b"<entry>" * 20_000
    return b'{"messages":' + b"[" * 100_000


def _empty_list(source: Source) -> bytes:
    if source == "reddit":
        return b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><id>/r/pond</id><title>newest</title></feed>'
    if source == "stocktwits":
        return wire.stocktwits_page([], "BABA", None)
    return wire.hackernews_hits([], None, None, "", 100, 0)
