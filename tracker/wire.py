"""From the bytes of an answer to JSON, text and times: pure, total, shared by all sources.

Hostile input is ordinary here: HTML where JSON was promised, JSON nested a hundred thousand deep, lone
surrogates, the year 10000. Each function either returns a usable value, returns None where "unknown" is an
honest answer, or raises ``Malformed``.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from tracker.errors import Malformed

EARLIEST = datetime(2005, 1, 1, tzinfo=UTC)  # before any of our sources existed
FUTURE_SLACK = timedelta(minutes=10)  # clocks differ; beyond this a claimed time is not believed
SAMPLE_BYTES = 2048  # how much of a bad body an error carries along

_SURROGATES = re.compile("[\ud800-\udfff]")
_LONG_NUMBER = re.compile(r"&#[0-9]{30,};?")  # Python refuses to read thousands of digits; no character has thirty
_ISO_FRACTION = re.compile(r"\.(\d{6})\d+")


def looks_like_html(body: bytes) -> bool:
    """True where a page came in place of data: login walls, challenges, "whoa there, pardner"."""
    head = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script"))


def load_json(body: bytes, subject: str) -> Any:
    """The JSON document in ``body``; Malformed for anything else, by name. Lone surrogates become U+FFFD."""
    if not body.strip():
        raise Malformed("empty body where JSON was expected", subject, body=body[:SAMPLE_BYTES])
    if looks_like_html(body):
        raise Malformed("HTML where JSON was expected", subject, body=body[:SAMPLE_BYTES])
    try:
        return json.loads(decode_text(body))
    except RecursionError:
        raise Malformed("JSON is nested too deeply", subject, body=body[:SAMPLE_BYTES]) from None
    except ValueError as error:
        raise Malformed("not a whole JSON document", subject, error, body=body[:SAMPLE_BYTES]) from None


def decode_text(body: bytes) -> str:
    """UTF-8, with or without a mark; what is not UTF-8 is replaced, never dropped."""
    return body.decode("utf-8-sig", errors="replace")


def clean(value: object) -> str | None:
    """``value`` as storable text: strings keep everything but lone surrogates; None and non-strings are None."""
    if not isinstance(value, str):
        return None
    return _SURROGATES.sub("\ufffd", value)


def text_id(value: object) -> str | None:
    """An id as text: 64-bit and longer integers keep every digit; booleans, floats, objects and blanks are None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        try:
            return str(value)
        except ValueError:  # more digits than Python converts
            return None
    found = clean(value)
    return found.strip() or None if found is not None else None


def count(value: object) -> int | None:
    """A counter: a whole number that fits a BIGINT, else None (never 0 for unknown)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return None


_QUANTITY = re.compile(r"([+-]?)\$?([0-9]{1,18}|[0-9]{1,3}(?:,[0-9]{3}){1,6})(\.[0-9]{1,18})?", re.ASCII)


def quantity(value: object) -> float | None:
    """A finite number, also where it comes as text: ``3``, ``"3"``, ``"$1,234.50"``; None for anything else."""
    if isinstance(value, str):
        matched = _QUANTITY.fullmatch(value.strip())
        return float(matched[1] + matched[2].replace(",", "") + (matched[3] or "")) if matched else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer of more than 300 digits
        return None


def tally(value: object, least: int = 0) -> int | None:
    """How many there are, number or text: a whole number from ``least`` on that fits a BIGINT, else None."""
    found = count(value) if isinstance(value, int) else count(quantity(value))
    return found if found is not None and found >= least else None


_SYMBOL = re.compile(r"(?=[.\-_=^/]*[A-Z0-9])[A-Z0-9.\-_=^/]{1,15}", re.ASCII)


def symbol_text(value: object) -> str | None:
    """A symbol as a service writes it, in capitals and without its ``$``; None for what can't be one."""
    found = (clean(value) or "").strip().lstrip("$").upper()
    return found if _SYMBOL.fullmatch(found) else None


def to_yahoo(symbol: str) -> str:
    """A canonical symbol as Yahoo writes it: BRK.B is BRK-B, BTC.X is BTC-USD, ES_F is ES=F, RY.CA is RY.TO; 9988.HK stays."""
    if symbol.endswith(".X"):
        return f"{symbol[:-2]}-USD"
    if symbol.endswith("_F"):
        return f"{symbol[:-2]}=F"
    stem, dot, share = symbol.rpartition(".")
    if dot and share == "CA":
        return f"{stem}.TO"
    return f"{stem}-{share}" if dot and len(share) == 1 and stem.isalpha() else symbol


def link(value: object) -> str | None:
    """An http(s) address, else None: ``javascript:`` and friends never reach the store."""
    found = clean(value)
    if found and found[:8].lower().startswith(("http://", "https://")):
        return found
    return None


def unescape(text: str) -> str:
    """HTML entities resolved once, as the sources escape once. Total: a number too long for one is U+FFFD."""
    return html.unescape(_LONG_NUMBER.sub("\ufffd", text) if "&#" in text else text)


_BLOCKS = frozenset({"p", "br", "div", "li", "tr", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6"})
_SILENT = frozenset({"script", "style", "template"})
_TAG_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)")


def html_tokens(markup: str) -> Iterator[tuple[str, bool]]:
    """(text, False) and (what stands between < and >, True), in one pass: linear for any input, unlike html.parser."""
    place, size = 0, len(markup)
    while place < size:
        opening = markup.find("<", place)
        if opening < 0:
            yield markup[place:], False
            return
        yield markup[place:opening], False
        if markup.startswith("<!--", opening):
            closing = markup.find("-->", opening + 4)
            if closing < 0:
                return
            place = closing + 3
        elif opening + 1 < size and (markup[opening + 1].isalpha() or markup[opening + 1] in "/!?"):
            closing = markup.find(">", opening)
            if closing < 0:
                yield markup[opening:], False
                return
            yield markup[opening + 1 : closing], True
            place = closing + 1
        else:  # a < that opens nothing: "a < b"
            yield "<", False
            place = opening + 1


def html_to_text(markup: str) -> str:
    """Plain text of an HTML fragment: tags dropped, blocks on their own lines, entities resolved once. Total and linear."""
    parts: list[str] = []
    silent = 0
    for token, is_tag in html_tokens(markup):
        if not is_tag:
            if not silent:
                parts.append(token)
            continue
        matched = _TAG_NAME.match(token)
        name = matched.group(1).lower() if matched else ""
        if name in _SILENT:
            silent = max(0, silent - 1) if token.startswith("/") else silent + 1
        elif name in _BLOCKS:
            parts.append("\n")
    plain = unescape("".join(parts))
    lines = (re.sub(r"[ \t\f\v\xa0]+", " ", line).strip() for line in plain.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def from_epoch(seconds: object) -> datetime | None:
    """Unix seconds (whole or fractional, number or digits) as aware UTC; None when it is no time."""
    if isinstance(seconds, str):
        try:
            seconds = float(seconds)
        except ValueError:
            return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


def from_iso(text: object) -> datetime | None:
    """An ISO 8601 time as aware UTC (no offset means UTC); None when it is no time."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(_ISO_FRACTION.sub(r".\1", text.strip()))
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def from_mail_date(text: object) -> datetime | None:
    """A time as mails and RSS have it (``Tue, 06 Oct 2026 14:30:00 EDT``) as aware UTC; None when it is no time."""
    if not isinstance(text, str) or len(text) > 100:
        return None
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def believable(claimed: datetime | None, fetched_at: datetime) -> tuple[datetime, bool]:
    """(the time to store, was it changed): a claim outside [2005, fetched_at + 10 min] or none gives way to ours.

    One stamp in the future once stopped a whole time series database (prometheus/prometheus#13573).
    """
    if claimed is None:
        return fetched_at, True
    if claimed < EARLIEST:
        return EARLIEST, True
    if claimed - fetched_at > FUTURE_SLACK:
        return fetched_at, True
    return claimed, False
