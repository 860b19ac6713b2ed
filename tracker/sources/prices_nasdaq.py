"""Nasdaq's history pages: daily price bars of stocks and funds that trade in the United States.

Terms: an undocumented interface of Nasdaq's own site, whose terms allow personal, non-commercial use. It is off until
you have read them and written ``acknowledge_terms = true``. No browser is faked: a refusal stands.

Access: ``/api/quote/SYMBOL/historical``, one GET a symbol; about a month at first, then what came since.

Streams: ``daily/BABA`` (default: the watch-list, less its coins), ``etf/SPY`` for funds, which Nasdaq keeps apart.

Quirks: numbers are text (``$349.02``, ``3,170,573``), dates are ``MM/DD/YYYY``. An unknown symbol is answered with status 200
and an envelope that says 400.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tracker.bars import DAY_S, make_bar
from tracker.errors import Malformed, NotFound
from tracker.models import Cursor, Flaw, Item, Page, PriceBar, Stream
from tracker.wire import SAMPLE_BYTES, clean, from_epoch, load_json, symbol_text

if TYPE_CHECKING:
    from tracker.http import Client

TERMS = "undocumented interface; personal, non-commercial use: read Nasdaq's terms and acknowledge them"
NEEDS_ACKNOWLEDGEMENT = True
DEFAULT_ON = False
BASE_URL = "https://api.nasdaq.com"
INTERVAL = 3600.0
BUDGET = (1, 5.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "all"
BRINGS = "prices"

_SOURCE: Final = "prices_nasdaq"
_CLASSES: Final = {"daily": "stocks", "etf": "etf"}
_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})", re.ASCII)
_AGAIN: Final = timedelta(days=7)  # bars are corrected for some days


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """The watch-list, less its coins."""
    return tuple(f"daily/{symbol}" for symbol in symbols if not symbol.endswith(".X"))


def stream_name(given: str) -> str:
    """``daily/BABA`` or ``etf/SPY``; ValueError for anything else."""
    kind, slash, rest = given.strip().partition("/")
    symbol = symbol_text(rest)
    if slash and kind.lower() in _CLASSES and symbol and "/" not in symbol:
        return f"{kind.lower()}/{symbol}"
    raise ValueError("expected daily/SYMBOL or etf/SYMBOL")


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """The bars since a week before the newest that is known."""
    kind, _, symbol = stream.name.partition("/")
    params: dict[str, str | int] = {"assetclass": _CLASSES[kind], "limit": 9999}
    known = from_epoch((cursor or {}).get("known"))
    if known is not None:
        params["fromdate"] = (known - _AGAIN).strftime("%Y-%m-%d")
    answer = await client.get(f"/api/quote/{quote(symbol, safe='')}/historical", params=params)
    items = tuple(parse(answer.body))
    starts = [item.start_at.timestamp() for item in items if isinstance(item, PriceBar)]
    return Page(items, {"known": max(starts)} if starts else None, note=None if starts else "no bars")


def parse(body: bytes) -> list[Item]:
    """The bars of one answer; Malformed for anything else."""
    document = load_json(body, _SOURCE)
    status = document.get("status") if isinstance(document, dict) else None
    if isinstance(status, dict) and status.get("rCode") != 200:
        raise _refused(status, body)
    data = document.get("data") if isinstance(document, dict) else None
    table = data.get("tradesTable") if isinstance(data, dict) else None
    lines = table.get("rows") if isinstance(table, dict) else None
    if not isinstance(data, dict) or not isinstance(lines, list):
        raise Malformed("expected a table of trades", _SOURCE, body=body[:SAMPLE_BYTES])
    symbol = symbol_text(data.get("symbol"))
    if symbol is None:
        raise Malformed("a table without its symbol", _SOURCE, body=body[:SAMPLE_BYTES])
    return [_bar(line, symbol, f"data.tradesTable.rows[{number}]") for number, line in enumerate(lines)]


def _refused(status: dict[str, Any], body: bytes) -> Malformed | NotFound:
    codes = status.get("bCodeMessage")
    first = codes[0] if isinstance(codes, list) and codes else None
    said = (clean(first.get("errorMessage")) or "")[:200] if isinstance(first, dict) else None
    kind = NotFound if said and "symbol not exist" in said.lower() else Malformed
    return kind("Nasdaq answered an error", _SOURCE, said, body=body[:SAMPLE_BYTES])


def _bar(line: Any, symbol: str, place: str) -> Item:
    matched = _DATE.fullmatch((clean(line.get("date")) or "").strip()) if isinstance(line, dict) else None
    if matched is None:
        return Flaw("no date", place)
    try:
        start = datetime(int(matched[3]), int(matched[1]), int(matched[2]), tzinfo=UTC)
    except ValueError:
        return Flaw("a date that does not exist", f"{place}.date")
    values = (line.get("open"), line.get("high"), line.get("low"), line.get("close"))
    return make_bar(_SOURCE, symbol, DAY_S, start, values, line.get("volume"), session="regular", place=place)
