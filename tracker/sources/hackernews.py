"""Hacker News through Algolia's search: stories and comments of a technology forum, within seconds.

Terms: open to everybody, without a key; the operator asks for at most 10,000 requests an hour and address.

Access: ``search_by_date``, newest first. A search shows its first 1,000 hits at most, so the walk goes back by time:
the next page asks for ``created_at_i`` up to the oldest second seen, that second included, and only where a whole page
shares one second by page number. The index lags and hits arrive late, so each poll asks again for the overlap.

Streams: ``new`` (all stories and comments; only those with a mention are kept) and ``query/NVDA`` (a search).

Quirks: optional keys are null in old answers and absent in new ones. Texts are HTML. Dead and deleted messages are not
visible, they go missing. ``typoTolerance=false`` is a must, or near words match.

Re-check: the site's own interface (Firebase) tells of each message whether it is ``deleted`` or ``dead`` (taken away by
moderators or by votes); both are gone for everybody else. It is asked about one message at a time, has no published
limit, and shares our budget. ``null`` means that it knows nothing, which is no deletion. No terms ask for this.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any

from tracker.errors import Malformed
from tracker.http import Client
from tracker.models import Cursor, Deletion, Flaw, Item, Message, Page, Stream, Stretch
from tracker.walk import Ask, Leaf, known_at, walk, walk_past
from tracker.wire import SAMPLE_BYTES, clean, count, from_epoch, from_iso, html_to_text, load_json, text_id, unescape

TERMS = "open, no key; at most 10,000 requests an hour"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = True
BASE_URL = "https://hn.algolia.com/api/v1"
INTERVAL = 120.0
BUDGET = (1000, 3600.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "mentions"
ITEMS_URL = "https://hacker-news.firebaseio.com/v0"  # the site's own interface, by number
OTHER_URLS = (ITEMS_URL,)
DELETIONS = "not announced, found by asking the site itself"
RECHECK = 1
RECHECK_EVERY = 604_800.0  # nobody's terms ask for it
RECHECK_NEEDS: tuple[str, ...] = ()
RECHECK_ELSEWHERE = True  # a search does not tell what is deleted from what it has not indexed

PAGE_SIZE = 100
REACHABLE = 1000  # hits of one search that paging shows
_DEAD_END = f"more than {REACHABLE} hits in one second"


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Everything that is new, whatever the watch-list says: the finder decides what it is about."""
    return ("new",)


def stream_name(given: str) -> str:
    """``new`` or ``query/WORDS``, blanks as single ones."""
    kind, slash, rest = given.strip().partition("/")
    words = " ".join(rest.split())
    if not slash and kind.lower() == "new":
        return "new"
    if slash and kind.lower() == "query" and words:
        return f"query/{words}"
    raise ValueError(f"expected new or query/WORDS, found {given!r}")


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """What came since the last poll and during the overlap before it, walking back by time."""
    known = known_at(cursor)
    since = None if known is None else math.floor(known - client.access.overlap_s)
    ask = _asker(client, stream, since)
    return await walk(ask, cursor, overlap_s=client.access.overlap_s, pages=client.access.max_pages, dead_end=_DEAD_END)


def backfill(
    client: Client, stream: Stream, since: datetime, until: datetime, place: Cursor | None
) -> AsyncGenerator[Stretch, None]:
    """Everything of a span: a search can be entered at any second."""
    ask = _asker(client, stream, math.floor(since.timestamp()))
    return walk_past(ask, since, until, place, start=f"{math.ceil(until.timestamp())}:0", dead_end=_DEAD_END)


def recheckable(base_url: str, id_: str) -> bool:
    """True for a number."""
    return id_.isascii() and id_.isdecimal() and len(id_) < 16


async def recheck(client: Client, ids: Sequence[str]) -> list[Deletion]:
    """The message, if the site says that it is deleted or dead."""
    answer = await client.get(f"{ITEMS_URL}/item/{ids[0]}.json")
    document = load_json(answer.body, "hackernews")
    if document is None:
        return []
    if not isinstance(document, dict):
        raise Malformed("not a message", "hackernews", body=answer.body[:SAMPLE_BYTES])
    told = document.get("deleted") is True or document.get("dead") is True
    return [Deletion("hackernews", id=ids[0])] if told and text_id(document.get("id")) == ids[0] else []


def _asker(client: Client, stream: Stream, since: int | None) -> Ask:
    """How the pages of a stream are asked for, back to the second ``since``."""
    query = stream.name.partition("/")[2]

    async def ask(token: str | None) -> Leaf:
        until, number = _token(token)
        params: dict[str, str | int] = {"tags": "(story,comment)", "hitsPerPage": PAGE_SIZE}
        if number:
            params["page"] = number
        if query:
            params |= {"query": query, "typoTolerance": "false"}
        if bounds := _bounds(since, until):
            params["numericFilters"] = bounds
        answer = await client.get("/search_by_date", params=params)
        if answer.unchanged:
            return Leaf((), None, answer.served_at, unchanged=True)
        document = load_json(answer.body, stream.name)
        items = tuple(_read(document, answer.body))
        full = len(items) >= PAGE_SIZE
        return Leaf(
            items=items,
            next_token=_older(items, since, until, number) if full else None,
            served_at=answer.served_at,
            # the whole forum silent for an hour is not believed; a search may well find nothing
            complete=not full and (bool(items) or bool(query)),
        )

    return ask


def parse(body: bytes) -> list[Item]:
    """All messages of a search or of an item with its replies; none for an author's page; else Malformed."""
    return _read(load_json(body, "hackernews"), body)


def parse_archive(body: bytes) -> list[Item]:
    """A line or a document of an archive: one hit, an answer, or a list of ``{url, reply}`` as recorded."""
    document = load_json(body, "hackernews archive")
    if isinstance(document, dict) and "objectID" in document and not _is_author(document):
        return [_message(document, "hit")]
    if not isinstance(document, list):
        return _read(document, body)
    items: list[Item] = []
    for number, entry in enumerate(document):
        try:
            items.extend(_read(entry.get("reply") if isinstance(entry, dict) else None, b""))
        except Malformed as error:
            items.append(Flaw(str(error), f"[{number}].reply"))
    return items


ARCHIVE = {"hackernews": parse_archive}


# ------------------------------------------------------------------------------------------------------ the walk


def _token(token: str | None) -> tuple[int | None, int]:
    """(newest second asked for, page number) from ``1790000000:2``; the newest page for anything else."""
    until, _, number = (token or "").partition(":")
    if until.isdecimal() and number.isdecimal():
        return int(until), int(number)
    return None, 0


def _bounds(since: int | None, until: int | None) -> str:
    bounds = []
    if since is not None:
        bounds.append(f"created_at_i>={since}")
    if until is not None:
        bounds.append(f"created_at_i<={until}")
    return ",".join(bounds)


def _older(items: tuple[Item, ...], since: int | None, until: int | None, number: int) -> str | None:
    """The token of the page that follows a full one; None where paging shows no more."""
    stamps = [int(item.created_at.timestamp()) for item in items if isinstance(item, Message) and item.created_at]
    # an answer is sorted by time and within the bounds; a stamp outside is not the item's place in it
    oldest = min((stamp for stamp in stamps if since is None or stamp >= since), default=until)
    if oldest is None or (until is not None and oldest > until):
        return None
    if oldest != until:
        return f"{oldest}:0"
    return f"{until}:{number + 1}" if (number + 2) * PAGE_SIZE <= REACHABLE else None


# ----------------------------------------------------------------------------------------------------- documents


def _is_author(document: dict[str, Any]) -> bool:
    return "karma" in document and "username" in document


def _read(document: Any, body: bytes) -> list[Item]:
    if isinstance(document, dict):
        if "hits" in document:
            hits = document["hits"]
            if not isinstance(hits, list):
                raise Malformed("hits is not a list", "hackernews", body=body[:SAMPLE_BYTES])
            return [_message(hit, f"hits[{number}]") for number, hit in enumerate(hits)]
        if _is_author(document):
            return []
        if "id" in document and "type" in document:
            return _tree(document)
        if isinstance(document.get("message"), str):
            raise Malformed("an error in place of hits", "hackernews", clean(document["message"]))
    raise Malformed("expected hits or an item", "hackernews", body=body[:SAMPLE_BYTES])


def _tree(root: dict[str, Any]) -> list[Item]:
    """An item and its replies, parents first. Not recursive: threads are deep."""
    items: list[Item] = []
    waiting: list[tuple[Any, str]] = [(root, "item")]
    while waiting:
        node, place = waiting.pop()
        items.append(_message(node, place))
        children = node.get("children") if isinstance(node, dict) else None
        if isinstance(children, list):
            found = [(child, f"{place}.children[{number}]") for number, child in enumerate(children)]
            waiting.extend(reversed(found))
    return items


def _message(raw: Any, place: str) -> Message | Flaw:
    if not isinstance(raw, dict):
        return Flaw("not an object", place)
    native = text_id(raw.get("objectID")) or text_id(raw.get("id"))
    if native is None or not (native.isascii() and native.isalnum()):
        return Flaw("no usable id", place)
    text = _text(raw)
    if not text:
        return Flaw(f"message {native} has no text", place)
    return Message(
        source="hackernews",
        id=native,
        created_at=from_epoch(raw.get("created_at_i")) or from_iso(raw.get("created_at")),
        text=text,
        author=clean(raw.get("author")) or None,
        url=f"https://news.ycombinator.com/item?id={native}",
        reply_to=text_id(raw.get("parent_id")),
        likes=count(raw.get("points")),
        replies=count(raw.get("num_comments")),
    )


def _text(raw: dict[str, Any]) -> str:
    """The title, then what the author wrote below it; a comment has no title."""
    title = clean(raw.get("title")) or ""
    written = (clean(raw.get(key)) for key in ("story_text", "comment_text", "text"))
    markup = next((found for found in written if found), "")
    # "<![" opens a section of SGML, on which the HTML reader of some Python versions gives up
    words = html_to_text(markup.replace("<![", "&lt;![")) if markup else ""
    return "\n".join(part for part in (unescape(title).strip(), words) if part)
