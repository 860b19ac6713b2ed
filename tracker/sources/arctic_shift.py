"""Arctic Shift: what a volunteer's archive holds of Reddit, by subreddit and time; for the years before we listened.

Terms: a private service without key, licence or promise: days of downtime occur. A couple of requests a second is fine
with its operator; we make one. Reddit's terms hold for what is in it: non-commercial, and what was deleted there, which
the archive tells (``_meta``), is deleted here.

Its messages are Reddit's, with Reddit's ids, and are stored as such: what is read here and what is read live are the
same rows. So this source is made for `tracker backfill arctic_shift r/stocks`. It may be polled too, with some delay;
hours that it was polled in do not count as listened to, because Reddit's own streams say that.

Access: ``/api/posts/search`` and ``/api/comments/search``, 100 at a time, newest first, entered at any second. Whether
``before`` and ``after`` include their second is documented nowhere, so both are asked a second wider and repeats fall
away by id. Searches for words are unreliable and are not used.

Streams: ``r/stocks`` (posts) and ``r/stocks/comments``, one subreddit each.

Quirks: a slow search is refused with 422; a smaller one may pass. Errors may come with 200. Scores are 0 or 1 for the first
36 hours, until the archive looks again: unknown until then. What is younger than an hour may be missing.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tracker.errors import Malformed, SourceError, Unavailable
from tracker.models import Cursor, Flaw, Item, Page, Stream, Stretch
from tracker.reddit_json import from_dump, subreddits
from tracker.walk import Ask, Leaf, known_at, walk, walk_past
from tracker.wire import EARLIEST, SAMPLE_BYTES, clean, from_epoch, load_json

if TYPE_CHECKING:
    from datetime import datetime

    from tracker.http import Client, Response

TERMS = "a private archive without key or promise: one request a second; Reddit's own terms hold for what it gives"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = False
SERVICE = "reddit"  # whose messages these are
BASE_URL = "https://arctic-shift.photon-reddit.com"
INTERVAL = 900.0
BUDGET = (60, 60.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "all"
DELETIONS = "told by the archive as far as it knew; what went later is found where reddit is asked"

_SOURCE: Final = "arctic_shift"
_LIMITS: Final = (100, 50, 25)  # what to ask for when more is too slow
_LAG_S: Final = 3600.0
_DEAD_END: Final = "the archive shows nothing more"
_SLOW: Final = 422


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Posts and comments of one large stock subreddit; the others are named by the operator."""
    return ("r/stocks", "r/stocks/comments")


def stream_name(given: str) -> str:
    """``Stocks``, ``/r/stocks/`` or ``r/stocks/comments`` as ``r/stocks[/comments]``; ValueError for anything else."""
    found = subreddits(given)
    if found is None or "+" in found[0]:
        raise ValueError("expected one subreddit, such as r/stocks or r/stocks/comments")
    name, comments = found
    return f"{name}/comments" if comments else name


# ------------------------------------------------------------------------------------------------------- fetching


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """One poll: newest first, back to known ground. What it covers is not claimed: see above."""
    known = known_at(cursor)
    ask = _asker(client, stream.name, None if known is None else math.floor(known - client.access.overlap_s))
    page = await walk(ask, cursor, overlap_s=client.access.overlap_s, pages=client.access.max_pages, dead_end=_DEAD_END)
    return replace(page, covers_from=None)


def backfill(
    client: Client, stream: Stream, since: datetime, until: datetime, place: Cursor | None
) -> AsyncGenerator[Stretch, None]:
    """Everything of a span, from its end to its beginning."""
    start = str(math.ceil(until.timestamp()))
    ask = _asker(client, stream.name, math.floor(since.timestamp()), start)
    return walk_past(ask, since, until, place, start=start, dead_end=_DEAD_END, lag_s=_LAG_S)


def _asker(client: Client, name: str, since: int | None, start: str | None = None) -> Ask:
    """How the pages of a stream are asked for, the first of them at ``start``; a token is the second that a page ends with."""
    subreddit, comments = name.removesuffix("/comments").removeprefix("r/"), name.endswith("/comments")
    path = f"/api/{'comments' if comments else 'posts'}/search"

    async def ask(token: str | None) -> Leaf:
        before = int(token) if token is not None and token.isdecimal() else None
        params: dict[str, str | int] = {"subreddit": subreddit, "sort": "desc"}
        if since is not None:
            params["after"] = since - 1
        if before is not None:
            params["before"] = before + 1
        response, limit = await _get(client, path, params)
        entries = _entries(load_json(response.body, _SOURCE), response.body)
        is_full = len(entries) >= limit
        return Leaf(
            items=tuple(_items(entries, response.body)),
            next_token=_older(entries, before) if is_full else None,
            served_at=response.served_at,
            # a subreddit that shows nothing at all is not believed
            complete=not is_full and (bool(entries) or token != start) and since is not None,
        )

    return ask


async def _get(client: Client, path: str, params: dict[str, str | int]) -> tuple[Response, int]:
    """One answer and how much was asked for: less and less while the service finds it too much."""
    for limit in _LIMITS[:-1]:
        try:
            return await client.get(path, params={**params, "limit": limit}), limit
        except SourceError as error:
            if error.http_status != _SLOW:
                raise
    return await client.get(path, params={**params, "limit": _LIMITS[-1]}), _LIMITS[-1]


def _older(entries: list[Any], before: int | None) -> str | None:
    """The token of the page that follows a full one: it ends with the second of this one's oldest, removed or not."""
    times = [from_epoch(entry.get("created_utc")) for entry in entries if isinstance(entry, dict)]
    stamps = [int(time.timestamp()) for time in times if time is not None and time >= EARLIEST]
    if not stamps:
        return None
    oldest = min(stamps)
    # a hundred in one second: what else that second holds can't be asked for
    return str(oldest if before is None or oldest < before else before - 1)


# -------------------------------------------------------------------------------------------------------- parsing


def parse(body: bytes) -> list[Item]:
    """All posts or comments of an answer; Unavailable's words as Malformed where an error came in their place."""
    try:
        return _items(_entries(load_json(body, _SOURCE), body), body)
    except Unavailable as error:
        raise Malformed(error.message, _SOURCE, error.cause, body=body[:SAMPLE_BYTES]) from None


def _entries(document: Any, body: bytes) -> list[Any]:
    """The objects of an answer; Unavailable where the service says that it can't answer."""
    if isinstance(document, dict) and document.get("error"):
        told = (clean(document["error"]) or "an error without words")[:200]
        raise Unavailable("the archive can't answer", _SOURCE, told, body=body[:SAMPLE_BYTES])
    entries = document.get("data") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise Malformed("an answer without a list of data", _SOURCE, body=body[:SAMPLE_BYTES])
    return entries


def _items(entries: list[Any], body: bytes) -> list[Item]:
    return [
        from_dump(entry, f"data[{index}]", body)
        if isinstance(entry, dict)
        else Flaw("neither a post nor a comment", f"data[{index}]")
        for index, entry in enumerate(entries)
    ]
