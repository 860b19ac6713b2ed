"""ApeWisdom: how often each symbol was named on Reddit and 4chan in the last 24 hours, as somebody else counts it.

Terms: free, without a key; no licence and no limit is published, so it is asked twice an hour, which is how often its
numbers change. They are a check on ours: they go into ``crosscheck``, never into any metric.

Access: ``/filter/NAME/page/N``, a hundred symbols a page, ranked. It counts a symbol once a post or comment.

Streams: ``filter/all-stocks`` (the default), ``filter/wallstreetbets``, ``filter/all-crypto``, ``filter/4chan``, …

Quirks: numbers come as text now and then; those of a day before are null for what is new in the list. The moment that
it speaks of is not told: it is taken to be when it was fetched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tracker.errors import Malformed
from tracker.models import Cursor, Flaw, Item, Page, Rank, Stream
from tracker.wire import SAMPLE_BYTES, load_json, symbol_text, tally

if TYPE_CHECKING:
    from tracker.http import Client

TERMS = "free, no key; no licence and no limit published: asked twice an hour"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = True
BASE_URL = "https://apewisdom.io/api/v1.0"
INTERVAL = 1800.0
BUDGET = (20, 3600.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "all"
BRINGS = "ranks"
MAX_PAGES = 2  # the first two hundred

_SOURCE: Final = "apewisdom"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    return ("filter/all-stocks",)


def stream_name(given: str) -> str:
    """``filter/NAME``; ValueError for anything else."""
    kind, slash, name = given.strip().lower().partition("/")
    if slash and kind == "filter" and _NAME.fullmatch(name):
        return f"filter/{name}"
    raise ValueError("expected filter/NAME, such as filter/all-stocks or filter/wallstreetbets")


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """The list as it stands, from its top down."""
    items: list[Item] = []
    for number in range(1, max(1, client.access.max_pages) + 1):
        answer = await client.get(f"/{stream.name}/page/{number}")
        document = load_json(answer.body, _SOURCE)
        items += _read(document, answer.body)
        if number >= (tally(document.get("pages")) or 1):
            break
    return Page(tuple(items), None, note=None if items else "the list is empty")


def parse(body: bytes) -> list[Item]:
    """The ranks of one page; Malformed for anything else."""
    return _read(load_json(body, _SOURCE), body)


def _read(document: Any, body: bytes) -> list[Item]:
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(results, list):
        raise Malformed("expected a list of results", _SOURCE, body=body[:SAMPLE_BYTES])
    return [_rank(entry, f"results[{number}]") for number, entry in enumerate(results)]


def _rank(entry: Any, place: str) -> Item:
    symbol = symbol_text(entry.get("ticker")) if isinstance(entry, dict) else None
    if symbol is None:
        return Flaw("no symbol", place)
    mentions = tally(entry.get("mentions"))
    if mentions is None:
        return Flaw(f"no count for {symbol}", f"{place}.mentions")
    return Rank(
        _SOURCE, symbol, window_name="24h", rank=tally(entry.get("rank"), 1), mentions=mentions,
        rank_before=tally(entry.get("rank_24h_ago"), 1), mentions_before=tally(entry.get("mentions_24h_ago")),
        upvotes=tally(entry.get("upvotes")),
    )  # fmt: skip
