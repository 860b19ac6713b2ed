"""Tradestie: the fifty symbols that wallstreetbets comments on most, with a tone, as somebody else measures it.

Terms: free, without a key, confirmed by its operator in July 2026; no licence is published. Off by default: it covers one
subreddit and takes words such as YOU or ON for symbols. What it says goes into ``crosscheck``, never into any metric.

Access: one GET, a list of fifty, most comments first. The tone is a mean between -1 and 1, its label turns at 0.

Streams: ``wallstreetbets``.

Quirks: neither the moment nor the span that it speaks of is told; the moment is taken to be when it was fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tracker.errors import Malformed
from tracker.models import Cursor, Flaw, Item, Page, Rank, Stream
from tracker.wire import SAMPLE_BYTES, clean, load_json, quantity, symbol_text, tally

if TYPE_CHECKING:
    from tracker.http import Client

TERMS = "free, no key; no licence published"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = False
BASE_URL = "https://tradestie.com/api/v1/apps"
INTERVAL = 1800.0
BUDGET = (20, 3600.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "all"
BRINGS = "ranks"

_SOURCE: Final = "tradestie"


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    return ("wallstreetbets",)


def stream_name(given: str) -> str:
    if given.strip().lower() == "wallstreetbets":
        return "wallstreetbets"
    raise ValueError("expected wallstreetbets, there is no other")


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """The list as it stands."""
    answer = await client.get("/reddit")
    return Page(tuple(parse(answer.body)), None)


def parse(body: bytes) -> list[Item]:
    """The ranks of one answer; Malformed for anything else."""
    document = load_json(body, _SOURCE)
    if not isinstance(document, list):
        raise Malformed("expected a list", _SOURCE, body=body[:SAMPLE_BYTES])
    return [_rank(entry, number) for number, entry in enumerate(document)]


def _rank(entry: Any, number: int) -> Item:
    symbol = symbol_text(entry.get("ticker")) if isinstance(entry, dict) else None
    if symbol is None:
        return Flaw("no symbol", f"[{number}]")
    mentions = tally(entry.get("no_of_comments"))
    if mentions is None:
        return Flaw(f"no count for {symbol}", f"[{number}].no_of_comments")
    tone = quantity(entry.get("sentiment_score"))
    return Rank(
        _SOURCE, symbol, rank=number + 1, mentions=mentions, sentiment=tone if tone is not None and -1 <= tone <= 1 else None,
        sentiment_label=(clean(entry.get("sentiment")) or "").strip().lower()[:40] or None,
    )  # fmt: skip
