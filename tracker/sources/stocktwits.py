"""StockTwits: short messages about securities, some with a stance that the author declared.

Terms: the terms of 2026-07-10 forbid to "scrape, harvest, … or otherwise extract data or content from the Service by
automated means" except through an approved API, and the API is closed to new developers. The source is off until the
operator writes ``acknowledge_terms = true``, having a permission of their own. Keep texts at most 30 days.

Access: no key. ``robots.txt`` disallows every address with a query string, so a poll asks for the first page of 30
messages and no more; where that page does not reach what is stored, the span between is recorded as a gap. With an
``access_token``, or with a ``base_url`` of the operator's own, it walks back by ``?max=``. Some hosts are answered
403 with HTML by the service's front: that is final, we never pretend to be a browser.

Limits: last published as 200 requests an hour and address; we use 120 at most.

Streams: ``symbol/BABA`` (also written ``BABA`` or ``$baba``), ``user/ID``, ``trending``.

Quirks: ids are integers, global and increasing. ``body`` is HTML-escaped once. ``likes`` and ``reshares`` are absent
on pages without a key. A ``reshare_message`` is a reshare only where the author added no words, else it is a quote.
The body's ``response.status`` repeats the HTTP status, and may contradict it. Deletions are not visible.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, Unavailable
from tracker.http import Client
from tracker.models import Cursor, Flaw, Item, Label, Message, Page, Stream, Stretch
from tracker.walk import Ask, Leaf, walk, walk_past
from tracker.wire import SAMPLE_BYTES, clean, count, from_iso, load_json, text_id, unescape

TERMS = "terms of 2026-07-10 forbid automated extraction without permission; needs acknowledge_terms = true"
KEY_ADDS = "a token that StockTwits gave you: more requests, and its leave to make them"
NEEDS_ACKNOWLEDGEMENT = True
DEFAULT_ON = False
BASE_URL = "https://api.stocktwits.com/api/2"
INTERVAL = 120.0
BUDGET = (120, 3600.0)
CREDENTIALS = ("access_token",)
KEEP = "all"
DELETIONS = "not announced, and nobody to ask without breaking its terms"

PAGE_SIZE = 30
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,19}")
_USER = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_LABELS: dict[str, Label] = {"bullish": "bullish", "bearish": "bearish"}
_FIRST_PAGE_ONLY = "first page only: older pages may not be asked for without a key"
_WINDOW_ENDS = "the service shows no older messages of this stream"


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """One stream for each symbol of the watch-list."""
    return tuple(f"symbol/{symbol}" for symbol in symbols)


def stream_name(given: str) -> str:
    """``symbol/BABA``, ``user/ID`` or ``trending``; a bare symbol or a cashtag means its stream."""
    kind, slash, rest = given.strip().partition("/")
    if not slash and kind.lower() == "trending":
        return "trending"
    if slash and kind.lower() == "user" and _USER.fullmatch(rest):
        return f"user/{rest}"
    if slash and kind.lower() != "symbol":
        rest = ""
    symbol = (rest if slash else kind).removeprefix("$").upper()
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError(f"expected symbol/BABA, user/ID or trending, found {given!r}")
    return f"symbol/{symbol}"


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """The newest page, and older ones where the access allows it; otherwise what lies between becomes a gap."""
    may_walk = _may_walk(client)
    return await walk(
        _asker(client, stream, (cursor or {}).get("validators") or None),
        cursor,
        overlap_s=client.access.overlap_s,
        pages=client.access.max_pages,
        dead_end=_WINDOW_ENDS if may_walk else _FIRST_PAGE_ONLY,
    )


def backfill(
    client: Client, stream: Stream, since: datetime, until: datetime, place: Cursor | None
) -> AsyncGenerator[Stretch, None]:
    """Back by ``?max=`` from the newest page, where the access allows it; without a key the first page is all."""
    dead_end = _WINDOW_ENDS if _may_walk(client) else _FIRST_PAGE_ONLY
    return walk_past(_asker(client, stream, None), since, until, place, dead_end=dead_end)


def _may_walk(client: Client) -> bool:
    return client.access.own_base_url or client.credential("access_token") is not None


def _asker(client: Client, stream: Stream, validators: dict[str, str] | None) -> Ask:
    """How the pages of a stream are asked for."""
    token, may_walk = client.credential("access_token"), _may_walk(client)
    path = f"/streams/{stream.name}.json"

    async def ask(older: str | None) -> Leaf:
        older = older if older is not None and older.isdecimal() else None
        params = {"max": older} if older is not None else {}
        if token is not None:
            params["access_token"] = token
        answer = await client.get(path, params=params or None, validators=validators if older is None else None)
        if answer.unchanged:
            return Leaf((), None, answer.served_at, unchanged=True)
        document = load_json(answer.body, stream.name)
        if (refusal := _refusal(document, stream.name, answer.body)) is not None:
            raise refusal
        items = tuple(_read(document, answer.body))
        more = _more(document)
        return Leaf(
            items=items,
            next_token=_older(items, older) if may_walk and more else None,
            served_at=answer.served_at,
            validators=answer.validators,
            # a stream that was spoken in and is empty now is not believed
            complete=older is None and not more and 0 < len(items) < PAGE_SIZE,
        )

    return ask


def parse(body: bytes) -> list[Item]:
    """All messages of a symbol's, a user's, a trending or a conversation's stream, newest first; else Malformed."""
    return _read(load_json(body, "stocktwits"), body)


def parse_archive(body: bytes) -> list[Item]:
    """A line or a document of an archive: one message, a list of messages, or a whole answer."""
    document = load_json(body, "stocktwits archive")
    if isinstance(document, list):
        return _messages(document)
    if isinstance(document, dict) and "messages" not in document and {"id", "body"} & document.keys():
        return [_message(document, "message")]
    return _read(document, body)


ARCHIVE = {"stocktwits": parse_archive}


# ------------------------------------------------------------------------------------------------- the envelope


def _refusal(document: Any, subject: str, body: bytes) -> SourceError | None:
    """The error that an envelope tells of, whatever the HTTP status was; None where it tells of none."""
    if not isinstance(document, dict):
        return None
    response = document.get("response")
    status = count(response.get("status")) if isinstance(response, dict) else None
    if "messages" in document and status in (None, 200):
        return None
    told = _told(document)
    if status in (None, 200) and told is None:
        return None
    about: dict[str, Any] = {"http_status": status, "body": body[:SAMPLE_BYTES]}
    if status == 404 or (told is not None and "not found" in told.lower()):
        return NotFound("the stream does not exist", subject, told, **about)
    if status == 429:
        return RateLimited("asked too often", subject, told, **about)
    if status in (401, 403):
        return AccessDenied("the service refuses", subject, told, **about)
    if status is not None and status >= 500:
        return Unavailable("the service has a problem", subject, told, **about)
    return Malformed("an error in place of messages", subject, told, **about)


def _told(document: dict[str, Any]) -> str | None:
    """What the list of errors says, on one line."""
    errors = document.get("errors")
    if not isinstance(errors, list) or not errors:
        return None
    lines = [clean(error.get("message")) if isinstance(error, dict) else clean(error) for error in errors[:5]]
    return "; ".join(line for line in lines if line) or "an error without a message"


def _read(document: Any, body: bytes) -> list[Item]:
    if not isinstance(document, dict):
        raise Malformed("expected an object with messages", "stocktwits", body=body[:SAMPLE_BYTES])
    if (refusal := _refusal(document, "stocktwits", body)) is not None:
        raise Malformed(refusal.message, "stocktwits", refusal.cause, body=body[:SAMPLE_BYTES])
    if "messages" not in document and isinstance(document.get("symbols"), list):
        return []  # trending/symbols: a ranking, nobody speaks in it
    messages = document.get("messages")
    if not isinstance(messages, list):
        raise Malformed("messages is not a list", "stocktwits", body=body[:SAMPLE_BYTES])
    items = _messages(messages)
    parent = document.get("parent")  # what a conversation began with: the oldest, so it comes last
    if isinstance(parent, dict) and {"id", "body", "created_at"} <= parent.keys():
        items.append(_message(parent, "parent"))
    return items


def _messages(messages: list[Any]) -> list[Item]:
    return [_message(raw, f"messages[{number}]") for number, raw in enumerate(messages)]


def _more(document: Any) -> bool:
    """False only where the service says that nothing older follows."""
    cursor = document.get("cursor")
    return not (isinstance(cursor, dict) and cursor.get("more") is False) and bool(document.get("messages"))


def _older(items: tuple[Item, ...], asked: str | None) -> str | None:
    """What to ask ``max`` for next: the oldest id itself, as it is not certain that ``max`` includes it."""
    ids = (item.id for item in items if isinstance(item, Message))
    numbers = [int(native) for native in ids if native.isdecimal() and len(native) < 20]
    if not numbers or (asked is not None and max(numbers) > int(asked)):  # nothing, or ``max`` was ignored
        return None
    oldest = min(numbers)
    return str(oldest) if str(oldest) != asked else str(oldest - 1)


# -------------------------------------------------------------------------------------------------- one message


def _message(raw: Any, place: str) -> Message | Flaw:
    if not isinstance(raw, dict):
        return Flaw("not an object", place)
    native = text_id(raw.get("id"))
    if native is None:
        return Flaw("no usable id", f"{place}.id")
    body = clean(raw.get("body"))
    if body is None:
        return Flaw(f"message {native} has no text", f"{place}.body")
    user = _object(raw, "user")
    thread = _object(raw, "conversation")
    text, reshare_of = _reshared(raw, unescape(body))
    return Message(
        source="stocktwits",
        id=native,
        created_at=from_iso(raw.get("created_at")),
        text=text,
        author=text_id(user.get("id")),
        url=_permalink(native),
        label=_label(raw),
        reply_to=_parent(thread, native),
        reshare_of=reshare_of,
        likes=count(_object(raw, "likes").get("total")),
        reshares=count(_object(raw, "reshares").get("reshared_count")),
        # a reply's own number is that of its whole conversation
        replies=count(thread.get("replies")) if thread.get("parent") is True else None,
        symbols=_symbols(raw.get("symbols")),
    )


def _object(raw: dict[str, Any], key: str) -> dict[str, Any]:
    found = raw.get(key)
    return found if isinstance(found, dict) else {}


def _label(raw: dict[str, Any]) -> Label | None:
    basic = _object(_object(raw, "entities"), "sentiment").get("basic")
    return _LABELS.get(basic.lower()) if isinstance(basic, str) else None


def _reshared(raw: dict[str, Any], text: str) -> tuple[str, str | None]:
    """(text, id of the original): only a reshare without words of its own is one."""
    original = _object(_object(raw, "reshare_message"), "message")
    source_text = clean(original.get("body"))
    if source_text is None:
        return text, None
    source_text = unescape(source_text)
    if text.strip() and text.strip() != source_text.strip():
        return text, None
    return source_text, text_id(original.get("id"))


def _parent(thread: dict[str, Any], native: str) -> str | None:
    found = text_id(thread.get("in_reply_to_message_id")) or text_id(thread.get("parent_message_id"))
    return found if found != native else None


def _permalink(native: str) -> str | None:
    """The short form, which names nobody: who wrote it is kept as a hash alone."""
    return f"https://stocktwits.com/message/{native}" if native.isascii() and native.isalnum() else None


def _symbols(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    found = (clean(entry.get("symbol")) for entry in value if isinstance(entry, dict))
    return tuple(dict.fromkeys(symbol.strip().upper() for symbol in found if symbol and symbol.strip()))
