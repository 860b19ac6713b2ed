"""Yahoo's chart pages: daily and intraday price bars of stocks, funds, indices and coins.

Terms: an undocumented interface. Yahoo's terms allow personal use of its pages and forbid passing their data on; it
refuses clients that it does not like (429 on the first request), and may close at any time. So it is off until you have
read the terms and written ``acknowledge_terms = true``. No browser is faked: a refusal stands.

Access: ``/v8/finance/chart/SYMBOL``, one GET a symbol. The first poll asks for a year of daily or a few days of shorter
bars, the later ones for the last days; after a longer absence they reach back as far as the first did.

Streams: ``daily/BABA`` (default: the watch-list), ``1h/BABA``, ``5m/BABA`` (with the hours before and after the session).

Quirks: class shares have a dash (BRK-B), coins end in -USD. Arrays hold nulls and may differ in length. The newest bar may
be the last trade at an odd second: it is no bar yet. ``close`` is less later splits, ``adjclose`` less dividends as well.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tracker.bars import DAY_S, make_bar
from tracker.errors import Malformed, NotFound
from tracker.models import Cursor, Flaw, Item, Page, PriceBar, Session, Stream
from tracker.wire import SAMPLE_BYTES, clean, from_epoch, load_json, symbol_text, tally, to_yahoo

if TYPE_CHECKING:
    from tracker.http import Client

TERMS = "undocumented interface; personal use, not to be passed on: read Yahoo's terms and acknowledge them"
NEEDS_ACKNOWLEDGEMENT = True
DEFAULT_ON = False
BASE_URL = "https://query1.finance.yahoo.com"
INTERVAL = 1800.0
BUDGET = (1, 2.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "all"
BRINGS = "prices"
MAX_PAGES = 1

_SOURCE: Final = "prices_yahoo"
_WIDTHS: Final = {"daily": ("1d", DAY_S, "1y", "1mo"), "1h": ("1h", 3600, "1mo", "5d"), "5m": ("5m", 300, "1mo", "1d")}
_SECONDS: Final = {
    "1m": 60, "2m": 120, "5m": 300, "15m": 900, "30m": 1800, "60m": 3600, "90m": 5400, "1h": 3600, "1d": DAY_S
}  # fmt: skip
_NEVER_CLOSE: Final = frozenset({"CRYPTOCURRENCY", "CURRENCY", "FUTURE"})  # kinds of securities without a session
_SESSIONS: Final[tuple[Session, ...]] = ("pre", "regular", "post")


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """The daily bars of the watch-list."""
    return tuple(f"daily/{symbol}" for symbol in symbols)


def stream_name(given: str) -> str:
    """``daily/BABA``, ``1h/BABA`` or ``5m/BABA``; ValueError for anything else."""
    kind, slash, rest = given.strip().partition("/")
    symbol = symbol_text(rest)
    if slash and kind.lower() in _WIDTHS and symbol and "/" not in symbol:
        return f"{kind.lower()}/{symbol}"
    raise ValueError("expected daily/SYMBOL, 1h/SYMBOL or 5m/SYMBOL")


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """The newest bars; all that can be had where the last poll is longer ago than they reach."""
    kind, _, symbol = stream.name.partition("/")
    interval, _, longest, usual = _WIDTHS[kind]
    known = (cursor or {}).get("known")
    is_known = isinstance(known, int | float) and not isinstance(known, bool)
    span = usual if is_known and not (cursor or {}).get("behind") else longest
    params: dict[str, str | int] = {
        "interval": interval,
        "range": span,
        "includePrePost": "true",
        "events": "div,split",
    }
    answer = await client.get(f"/v8/finance/chart/{to_yahoo(symbol)}", params=params)
    # under the symbol that was asked for: a name that Yahoo has changed stays ours
    items = tuple(_read(load_json(answer.body, stream.name), answer.body, symbol))
    starts = [item.start_at.timestamp() for item in items if isinstance(item, PriceBar)]
    if not starts:
        return Page(items, None, note="no bars")
    behind = is_known and span == usual and min(starts) > float(known or 0)
    moved = {"known": known if behind else max(starts), "behind": behind}
    return Page(items, moved, more=behind)


def parse(body: bytes) -> list[Item]:
    """The bars of one chart; Malformed for anything else."""
    return _read(load_json(body, _SOURCE), body, None)


def _read(document: Any, body: bytes, symbol: str | None) -> list[Item]:
    chart = document.get("chart") if isinstance(document, dict) else None
    if not isinstance(chart, dict):
        raise Malformed("expected a chart", _SOURCE, body=body[:SAMPLE_BYTES])
    results = chart.get("result")
    if not isinstance(results, list) or not results:
        error = chart.get("error")
        said = clean(error.get("description")) if isinstance(error, dict) else None
        kind = NotFound if isinstance(error, dict) and error.get("code") == "Not Found" else Malformed
        raise kind("a chart without a result", _SOURCE, said, body=body[:SAMPLE_BYTES])
    found: list[Item] = []
    for number, result in enumerate(results):
        found += _bars(result, f"chart.result[{number}]", symbol)
    return found


def _bars(result: Any, place: str, symbol: str | None) -> list[Item]:
    meta = result.get("meta") if isinstance(result, dict) else None
    if not isinstance(meta, dict):
        return [Flaw("no meta", place)]
    symbol = symbol or symbol_text(meta.get("symbol"))
    width = _SECONDS.get(clean(meta.get("dataGranularity")) or "")
    if symbol is None or width is None:
        return [Flaw("neither symbol nor width are told", f"{place}.meta")]
    never_closes = symbol.endswith((".X", "-USD")) or clean(meta.get("instrumentType")) in _NEVER_CLOSE
    periods = _periods(meta)
    offset = meta.get("gmtoffset")
    shift = timedelta(seconds=offset if isinstance(offset, int) and abs(offset) < DAY_S else 0)
    indicators = result.get("indicators")
    quote = _first(indicators, "quote")
    columns = [_list(quote, name) for name in ("open", "high", "low", "close", "volume")]
    adjusted = _list(_first(indicators, "adjclose"), "adjclose")
    items: list[Item] = []
    for number, stamp in enumerate(_list(result, "timestamp")):
        start = from_epoch(stamp) if tally(stamp, 1) is not None else None
        if start is None:
            items.append(Flaw("no time", f"{place}.timestamp[{number}]"))
            continue
        first, high, low, close, volume = (column[number] if number < len(column) else None for column in columns)
        if close is None or (width < DAY_S and int(start.timestamp()) % min(width, 1800)):
            continue  # nothing was traded, or it is the last trade and no bar yet
        session: Session | None = None if never_closes else "regular"
        if width == DAY_S:
            local = _shifted(start, shift)
            start = datetime(local.year, local.month, local.day, tzinfo=UTC)
        elif not never_closes:
            session = next((name for name, begins, ends in periods if begins <= start.timestamp() < ends), None)
        items.append(
            make_bar(
                _SOURCE, symbol, width, start, (first, high, low, close), volume, session=session,
                adj_close=adjusted[number] if number < len(adjusted) else None, place=f"{place}.timestamp[{number}]",
            )
        )  # fmt: skip
    return items


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return moment


def _periods(meta: dict[str, Any]) -> list[tuple[Session, float, float]]:
    """The sessions of the days that the bars are of, as (session, start, end); shorter days are told as such."""
    told = meta.get("tradingPeriods")
    by_session = told if isinstance(told, dict) else {"regular": told}
    current = meta.get("currentTradingPeriod")
    found: list[tuple[Session, float, float]] = []
    for session in _SESSIONS:
        waiting = [by_session.get(session), current.get(session) if isinstance(current, dict) else None]
        while waiting:
            part = waiting.pop()
            if isinstance(part, list):
                waiting += part
            elif isinstance(part, dict):
                begins, ends = tally(part.get("start")), tally(part.get("end"))
                if begins is not None and ends is not None and begins < ends:
                    found.append((session, begins, ends))
    return found


def _first(node: Any, name: str) -> Any:
    found = node.get(name) if isinstance(node, dict) else None
    return found[0] if isinstance(found, list) and found else None


def _list(node: Any, name: str) -> list[Any]:
    found = node.get(name) if isinstance(node, dict) else None
    return found if isinstance(found, list) else []
