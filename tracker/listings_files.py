"""Lists of securities that only a folder holds: screens, older tables, a merged one. One parser a format, as in ``listings``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tracker.errors import Malformed
from tracker.listings import (
    Listing,
    Parsed,
    american,
    amount,
    collect,
    foreign,
    issuer_name,
    kind_of,
    name_of,
    rows_of,
    text_of,
)
from tracker.wire import load_json

_TYPES: Final = {"ETF": "etf", "FUND": "fund", "Fund": "fund", "Mutual Fund": "fund", "Preferred Share": "preferred", "Preferred Stock": "preferred"}  # fmt: skip
_KINDS: Final = {"crypto": "coin", "fx": "currency", "intl": "stock"}


def screener(body: bytes) -> Parsed:
    """A JSON array of a stock screener: symbol, name, marketCap."""
    subject = "screener"
    data = load_json(body, subject)
    if not isinstance(data, list):
        raise Malformed("a list of another format", subject, "no array")
    return collect((_screener_row(row) if isinstance(row, dict) else None for row in data), subject)


def _screener_row(row: Mapping[str, Any]) -> Listing | None:
    ticker, cap = row.get("symbol"), row.get("marketCap")
    symbol = american(ticker.replace("^", "$")) if isinstance(ticker, str) else None
    if symbol is None:
        return None
    name = name_of(row.get("name")) or ""
    return Listing(symbol, issuer_name(name) or None, None, kind_of(symbol, name), market_cap=amount(cap))


def codes(body: bytes) -> Parsed:
    """A CSV file of United States codes: Code, Name, Exchange, Type."""
    subject = "codes"
    rows = rows_of(text_of(body, subject), ("Code", "Name", "Exchange", "Type"), subject)
    return collect((_code(row) if row else None for row in rows), subject)


def _code(row: Mapping[str, str]) -> Listing | None:
    symbol = american(row["Code"].replace("-P-", "-P"))
    if symbol is None:
        return None
    name = name_of(row["Name"])
    kind = _TYPES.get(row["Type"]) or kind_of(symbol, name or "")
    return Listing(symbol, issuer_name(name) if name and kind != "etf" else name, name_of(row["Exchange"]), kind)


def table(body: bytes) -> Parsed:
    """A merged table with tabs: symbol, kind, status, venue, mcap, name."""
    subject = "merged table"
    rows = rows_of(text_of(body, subject), ("symbol", "kind", "status", "venue", "mcap", "name"), subject, "\t")
    return collect((_merged(row) if row else None for row in rows), subject)


def _merged(row: Mapping[str, str]) -> Listing | None:
    kind, text = _KINDS.get(row["kind"], row["kind"]), row["symbol"].strip().upper()
    symbol = foreign(text) or text if row["kind"] == "intl" else text if kind in ("coin", "future", "index", "currency") else american(text)  # fmt: skip
    if not symbol:
        return None
    name, gone = name_of(row["name"]), row["status"] != "active"
    if name and kind not in ("etf", "coin", "future", "index", "currency"):
        name = issuer_name(name)
    return Listing(symbol, name, name_of(row["venue"]), kind, "retired" if gone else "listed", market_cap=amount(row["mcap"]))  # fmt: skip
