"""X: short messages, found by a search of the last seven days; paid by the message read.

Terms: paid API, about $0.005 a message read, no free reads for new developers. Deletions have to be honoured, texts
may not be passed on. Off unless switched on, and nothing is asked without a ``bearer_token``. The default budget of
20 requests a day reads 2,000 messages at most: some ten dollars. Lower it before raising it.

Access: ``GET /tweets/search/recent``, newest first, 100 a page, ``Authorization: Bearer``. A poll asks from a little
before what is stored (``start_time``, the overlap) and not by ``since_id``, which would miss what the index shows late.
A message read twice within a UTC day is billed once. The search goes seven days back: an older ``start_time`` is
refused, then the walk goes on without one and records a gap where it ends.

Streams: ``search/QUERY`` in X's own query language; a bare ``$NVDA`` means ``search/$NVDA``. By default the symbols of
the watch-list, joined with OR, as many streams as the length of a query makes necessary, reshares left out.

Quirks: ``text`` is HTML-escaped once. Without ``tweet.fields`` there is no time. Counts hold no messages. Archives come
as classic v1.1 objects, one a line, as v2 answers, and as recordings ``[{request, status, headers, body}]``.

Re-check: ``GET /tweets?ids=`` tells of a hundred stored messages at a time which can't be found. X bills each message
that it shows, so this is off unless ``recheck`` is configured; whoever keeps texts for long has to. Messages that are not
shown to us (``not-authorized-for-resource``: a protected or suspended account) stay: that may end, a deletion does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tracker.errors import AccessDenied, Malformed, SourceError
from tracker.http import Client
from tracker.models import Cursor, Deletion, Flaw, Item, Message, Page, Stream
from tracker.walk import Leaf, known_at, walk
from tracker.wire import SAMPLE_BYTES, clean, count, from_epoch, from_iso, load_json, text_id, unescape

TERMS = "paid API, about $0.005 a message read; deletions must be honoured; needs a bearer_token"
KEY_ADDS = "bearer_token of a paid account: without it there is nothing"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = False
BASE_URL = "https://api.x.com/2"
INTERVAL = 7200.0
BUDGET = (20, 86400.0)
CREDENTIALS = ("bearer_token",)
KEEP = "all"
DELETIONS = "not announced, found by asking; what X shows of that is billed"
RECHECK = 100
RECHECK_EVERY = 0.0  # each message that is still there costs as much as a new one
RECHECK_NEEDS = ("bearer_token",)
RECHECK_ELSEWHERE = False

QUERY_LENGTH = 512  # characters that the self-serve tiers allow in one query
_FIELDS = "created_at,public_metrics,entities,lang,author_id,referenced_tweets,in_reply_to_user_id"
_BOUNDED, _UNBOUNDED = "since", "all"  # what a walk's token begins with
_DEAD_END = "the search reaches seven days back"
_MONTHS = {name: number for number, name in enumerate(re.findall("...", "JanFebMarAprMayJunJulAugSepOctNovDec"), 1)}
_NO_LANGUAGE = frozenset({"und", "zxx", "art", "qam", "qct", "qht", "qme", "qst"})  # mentions, links, tags only
_OLD_LANGUAGES = {"in": "id", "iw": "he"}


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """As few searches as hold all cashtags of the watch-list."""
    found: list[str] = []
    tags: list[str] = []
    for symbol in symbols:
        if tags and len(_query([*tags, f"${symbol}"])) > QUERY_LENGTH:
            found.append(_query(tags))
            tags = []
        tags.append(f"${symbol}")
    if tags:
        found.append(_query(tags))
    return tuple(f"search/{query}" for query in found)


def _query(tags: list[str]) -> str:
    return f"({' OR '.join(tags)}) -is:retweet"


def stream_name(given: str) -> str:
    """``search/QUERY``, blanks as single ones; ``$NVDA`` means ``search/$NVDA``."""
    kind, slash, rest = given.strip().partition("/")
    query = " ".join((rest if slash else kind).split())
    if (slash and kind.lower() == "search" and query) or (not slash and query.startswith("$") and len(query) > 1):
        return f"search/{query}"
    raise ValueError(f"expected search/QUERY or $SYMBOL, found {given!r}")


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """What the search finds since the last poll and during the overlap before it."""
    bearer = client.credential("bearer_token")
    if not bearer:
        raise AccessDenied("a credential is missing", "x", "set bearer_token, the API can't be read without one")
    known = known_at(cursor)
    bounded, fresh = known is not None, True

    async def ask(token: str | None) -> Leaf:
        nonlocal bounded, fresh
        resumed, fresh = fresh and token is not None, False
        if token is not None:  # a token belongs to the request that it came from, with start_time or without
            kind, _, token = token.partition(":")
            bounded = kind == _BOUNDED
        params: dict[str, str | int] = {
            "query": stream.name.partition("/")[2],
            "max_results": 100,
            "tweet.fields": _FIELDS,
        }
        if token is not None:
            params["next_token"] = token
        if bounded and known is not None:
            start = datetime.fromtimestamp(known, tz=UTC) - timedelta(seconds=client.access.overlap_s)
            params["start_time"] = start.strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            answer = await client.get(
                "/tweets/search/recent", params=params, headers={"Authorization": f"Bearer {bearer}"}
            )
        except SourceError as error:
            if error.http_status != 400 or known is None:
                raise
            if resumed:  # the token of an earlier poll has run out: the walk begins again from the newest
                return Leaf((), None, datetime.fromtimestamp(known, tz=UTC))
            if token is not None or not bounded:
                raise
            bounded = False  # what is stored is more than seven days old
            return await ask(None)
        if answer.unchanged:
            return Leaf((), None, answer.served_at, unchanged=True)
        document = load_json(answer.body, stream.name)
        items = tuple(_read(document, answer.body))
        found = _next_token(document)
        following = f"{_BOUNDED if bounded else _UNBOUNDED}:{found}" if found else None
        return Leaf(items, following, answer.served_at, complete=bounded and following is None)

    return await walk(ask, cursor, overlap_s=client.access.overlap_s, pages=client.access.max_pages, dead_end=_DEAD_END)


def recheckable(base_url: str, id_: str) -> bool:
    """True for a number."""
    return id_.isascii() and id_.isdecimal() and len(id_) < 20


async def recheck(client: Client, ids: Sequence[str]) -> list[Deletion]:
    """Those of the messages that X can't find."""
    bearer = client.credential("bearer_token")
    if not bearer:
        raise AccessDenied("a credential is missing", "x", "set bearer_token, the API can't be read without one")
    answer = await client.get("/tweets", params={"ids": ",".join(ids)}, headers={"Authorization": f"Bearer {bearer}"})
    document = load_json(answer.body, "x")
    if not isinstance(document, dict) or not ("data" in document or "errors" in document):
        raise Malformed("expected an object with data or errors", "x", body=answer.body[:SAMPLE_BYTES])
    errors, data = document.get("errors", []), document.get("data", [])
    if not isinstance(errors, list) or not isinstance(data, list):
        raise Malformed("data and errors are no lists", "x", body=answer.body[:SAMPLE_BYTES])
    shown = {text_id(raw.get("id")) for raw in data if isinstance(raw, dict)}
    missing = {text_id(error.get("resource_id")) for error in errors if isinstance(error, dict) and _is_missing(error)}
    return [Deletion("x", id=id_) for id_ in ids if id_ in missing - shown]


def _is_missing(error: dict[str, Any]) -> bool:
    """True for the error that says that there is no message of that id."""
    kind = error.get("type")
    named = error.get("resource_type") == "tweet" and error.get("parameter") == "ids"
    return named and isinstance(kind, str) and kind.endswith("/problems/resource-not-found")


def parse(body: bytes) -> list[Item]:
    """All messages of a v2 answer (or a v1.1 search); none for counts; else Malformed."""
    return _read(load_json(body, "x"), body)


def parse_archive(body: bytes) -> list[Item]:
    """A line or a document of an archive: one v1.1 or v2 message, a list of them, an answer, or a recording."""
    document = load_json(body, "x archive")
    if isinstance(document, dict) and _is_message(document):
        return [_message(document, "message")]
    if isinstance(document, list):
        return [item for number, entry in enumerate(document) for item in _entry(entry, f"[{number}]")]
    return _read(document, body)


ARCHIVE = {"x": parse_archive}


# ----------------------------------------------------------------------------------------------------- documents


def _is_message(document: dict[str, Any]) -> bool:
    return "id_str" in document or ("id" in document and ("text" in document or "full_text" in document))


def _next_token(document: Any) -> str | None:
    meta = document.get("meta")
    return clean(meta.get("next_token")) or None if isinstance(meta, dict) else None


def _entry(entry: Any, place: str) -> Iterator[Item]:
    """One entry of an archived list: a message, an answer, or a recorded request with its answer."""
    if isinstance(entry, dict) and _is_message(entry):
        yield _message(entry, place)
        return
    recorded = isinstance(entry, dict) and "body" in entry and "request" in entry
    try:
        yield from _read(entry["body"] if recorded else entry, b"")
    except Malformed as error:
        yield Flaw(str(error), f"{place}.body" if recorded else place)


def _read(document: Any, body: bytes) -> list[Item]:
    if isinstance(document, dict):
        if isinstance(deleted := document.get("delete"), dict):
            return [_deletion(deleted)]
        data = document.get("data", document.get("statuses"))
        if isinstance(data, dict):
            data = [data]
        meta = document.get("meta")
        if data is None and isinstance(meta, dict) and count(meta.get("result_count")) == 0:
            return []
        if isinstance(data, list):
            return [
                _message(raw, f"data[{number}]")
                for number, raw in enumerate(data)
                if not (isinstance(raw, dict) and "tweet_count" in raw)  # counts: nobody speaks in them
            ]
        told = clean(document.get("detail")) or clean(document.get("title"))
        if told or "errors" in document:
            raise Malformed("an error in place of messages", "x", told, body=body[:SAMPLE_BYTES])
    raise Malformed("expected an object with data", "x", body=body[:SAMPLE_BYTES])


def _deletion(raw: dict[str, Any]) -> Deletion | Flaw:
    """A v1.1 deletion notice, as streams and archives of them carry it."""
    status = raw.get("status")
    native = (text_id(status.get("id_str")) or text_id(status.get("id"))) if isinstance(status, dict) else None
    if native is None:
        return Flaw("a deletion without an id", "delete.status")
    stamp = raw.get("timestamp_ms")
    seconds = int(stamp) / 1000 if isinstance(stamp, str) and stamp.isdecimal() and len(stamp) < 16 else None
    return Deletion("x", id=native, deleted_at=from_epoch(seconds))


# --------------------------------------------------------------------------------------------------- one message


def _message(raw: Any, place: str) -> Message | Flaw:
    """A message in either form: their keys do not collide."""
    if not isinstance(raw, dict):
        return Flaw("not an object", place)
    native = text_id(raw.get("id_str") or raw.get("id"))
    if native is None:
        return Flaw("no usable id", f"{place}.id")
    whole = raw.get("extended_tweet")
    whole = whole if isinstance(whole, dict) else raw
    text = clean(whole.get("full_text") or raw.get("full_text") or raw.get("text"))
    if text is None:
        return Flaw(f"message {native} has no text", f"{place}.text")
    metrics = raw.get("public_metrics")
    metrics = metrics if isinstance(metrics, dict) else raw
    reply_to, reshare_of = _references(raw)
    return Message(
        source="x",
        id=native,
        created_at=_time(raw["created_at"]) if "created_at" in raw else _made_at(native),
        text=unescape(text),
        author=_author(raw),
        lang=_language(raw.get("lang")),
        url=f"https://x.com/i/web/status/{native}" if native.isascii() and native.isdecimal() else None,
        reply_to=reply_to,
        reshare_of=reshare_of,
        likes=count(metrics.get("like_count", metrics.get("favorite_count"))),
        reshares=count(metrics.get("retweet_count")),
        replies=count(metrics.get("reply_count")),
        symbols=_symbols(whole.get("entities")),
    )


def _author(raw: dict[str, Any]) -> str | None:
    user = raw.get("user")
    if isinstance(user, dict):
        return text_id(user.get("id_str") or user.get("id"))
    return text_id(raw.get("author_id"))


def _references(raw: dict[str, Any]) -> tuple[str | None, str | None]:
    """(parent, original of a reshare); a quote has words of its own and is neither."""
    reply_to = text_id(raw.get("in_reply_to_status_id_str") or raw.get("in_reply_to_status_id"))
    reshare_of = None
    if isinstance(original := raw.get("retweeted_status"), dict):
        reshare_of = text_id(original.get("id_str") or original.get("id"))
    if isinstance(references := raw.get("referenced_tweets"), list):
        for reference in references:
            kind = reference.get("type") if isinstance(reference, dict) else None
            if kind == "replied_to":
                reply_to = text_id(reference.get("id"))
            elif kind == "retweeted":
                reshare_of = text_id(reference.get("id"))
    return reply_to, reshare_of


def _time(value: object) -> datetime | None:
    """``Tue Dec 31 23:10:08 +0000 2013`` (v1.1) or ISO 8601 (v2) as aware UTC; None when it is neither."""
    # strptime takes ten times as long, and archives are large
    if isinstance(value, str) and len(value) == 30 and value[19:26] == " +0000 ":
        try:
            return datetime(
                int(value[26:30]),
                _MONTHS[value[4:7]],
                int(value[8:10]),
                int(value[11:13]),
                int(value[14:16]),
                int(value[17:19]),
                tzinfo=UTC,
            )
        except (ValueError, KeyError):
            return None
    return from_iso(value)


def _made_at(native: str) -> datetime | None:
    """The time that an id carries: since November 2010 ids are made of the millisecond (snowflake), 41 bits from 2010-11-04."""
    if not (native.isascii() and native.isdecimal() and 11 < len(native) < 20):
        return None
    return from_epoch(((int(native) >> 22) + 1_288_834_974_657) / 1000)


def _language(value: object) -> str | None:
    if not isinstance(value, str) or value in _NO_LANGUAGE:
        return None
    return _OLD_LANGUAGES.get(value) or (value if value.isascii() else None) or None


def _symbols(entities: object) -> tuple[str, ...]:
    """The cashtags that the service found, in the order of the text: ``cashtags`` in v2, ``symbols`` in v1.1."""
    found = entities.get("cashtags") or entities.get("symbols") if isinstance(entities, dict) else None
    if not found or not isinstance(found, list):
        return ()
    tags: dict[str, None] = {}
    for entry in found:
        tag = (entry.get("tag") or entry.get("text")) if isinstance(entry, dict) else None
        if isinstance(tag, str) and (symbol := tag.strip().upper()):
            tags[symbol if symbol.isascii() else clean(symbol) or symbol] = None
    return tuple(tags)
