"""Published lists of securities as rows: one parser a format, from the bytes of a file to ``Listing``. Pure.

A list that is not whole is refused with ``Malformed`` rather than read in part: a page of HTML, half a file, a file
without rows. A single row that can't be read is left out and counted; too many of them, and the format has changed.
Spellings are canonical from here on: BRK.B for BRK-B, BAC.PR.B for BAC$B and BAC-PB, ACHR.WS for ACHR.W and ACHR-WT.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from tracker.errors import Malformed
from tracker.universe import Universe
from tracker.wire import clean, count, load_json, looks_like_html

Standing = Literal["listed", "retired"]

MOST_UNREADABLE: Final = 0.05  # share of the rows; beyond it the format has changed
_LONGEST: Final = 300  # characters of a name that are kept
_ZONE: Final = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Listing:
    """One row of one list."""

    symbol: str  # canonical
    name: str | None  # of the issuer, fund or coin, without what kind of paper it is
    exchange: str | None  # as the list calls it
    kind: str  # stock, etf, fund, preferred, warrant, unit, right, coin, index, future, currency
    status: Standing = "listed"  # retired: the list itself says that it is gone, or it is a list of the past
    issuer: str | None = None  # number in the register of the SEC, which stays when the symbol changes
    market_cap: float | None = None  # US dollars


@dataclass(frozen=True, slots=True)
class Parsed:
    """One whole list."""

    listings: tuple[Listing, ...]  # each symbol once, in the order of the file
    unreadable: int = 0  # rows without a usable symbol
    repeated: int = 0  # rows of a symbol that stood before
    made_at: datetime | None = None  # when the list was made, where it says so: aware UTC


Parser = Callable[[bytes], Parsed]

# ------------------------------------------------------------------------------------------------------- spelling

_PLAIN: Final = re.compile(r"[A-Z][A-Z0-9]{0,7}")
_PREFERRED: Final = re.compile(r"([A-Z]{1,6})(?:\$|[-.]PR?[-.]?)([A-Z])?")
_SUFFIXED: Final = re.compile(r"([A-Z]{1,6})[-.]([A-Z]{1,3})(?:[-.]([A-Z]))?")
_SUFFIXES: Final = {"W": "WS", "WT": "WS", "WTS": "WS", "UN": "U", "RI": "R", "RT": "R"}
_PAPERS: Final = {"WS": "warrant", "U": "unit", "R": "right"}


def american(text: str) -> str | None:
    """The canonical spelling of a symbol of a United States list, None for what is none."""
    found = text.strip().upper().replace("/", ".")
    if _PLAIN.fullmatch(found):
        return found
    if parts := _PREFERRED.fullmatch(found):
        return f"{parts[1]}.PR.{parts[2]}" if parts[2] else f"{parts[1]}.PR"
    if parts := _SUFFIXED.fullmatch(found):
        suffix = _SUFFIXES.get(parts[2], parts[2])
        return f"{parts[1]}.{suffix}.{parts[3]}" if parts[3] else f"{parts[1]}.{suffix}"
    return None


_HOME: Final = Universe(())
_FOREIGN: Final = re.compile(r"[A-Z0-9]{1,12}(?:-[A-Z0-9]{1,6})?\.[A-Z]{1,2}")
_COIN: Final = re.compile(r"(?=[0-9]*[A-Z])[A-Z0-9]{1,12}")


def foreign(text: str) -> str | None:
    """The canonical spelling of ``700.HK`` or ``RY.TO``: always with the market behind the dot."""
    found = text.strip().upper()
    return _HOME.canonical(found) if _FOREIGN.fullmatch(found) else None


def coin(text: str) -> str | None:
    """``btc`` as BTC.X; None for what no cashtag can spell."""
    found = text.strip().upper()
    return f"{found}.X" if _COIN.fullmatch(found) else None


# ------------------------------------------------------------------------------------------------- names and kinds

# what kind of paper it is, at the end of a name: the issuer stands before it
_PAPER: Final = re.compile(
    r"[\s,-]+(?:(?:(?:each|every)\s+(?:representing|whole)\b|representing\b|\(each\b).*"
    r"|(?:(?:class|series)\s+[a-z0-9]{1,2}\s+)?(?:(?:subordinate|subordinated|multiple|limited|voting|non-voting|new|registered|american|depositary|redeemable)\s+)*"
    r"(?:common|ordinary|capital|depositary|voting)\s+(?:stock|shares?|units?)(?:\s+of\s+beneficial\s+interests?)?(?:\s*\([^)]*\))?(?:,?\s+(?:no|\$?[0-9.]+)\s+par\s+value.*)?"
    r"|american\s+depositary\s+(?:shares?|receipts?).*"
    r"|(?:class|series)\s+[a-z0-9]{1,2}"
    r"|(?:redeemable\s+)?warrants?\b.*|units?,?\s+each\b.*|units?|(?:subscription\s+)?rights?\b.*"
    r"|(?:\(new\)|new|/[a-z]{2,3}/|\\[a-z]{2,3}\\))\s*$",
    re.IGNORECASE,
)
_PREFERRED_NAME: Final = re.compile(r"\bprefer(?:red|ence)\s+(?:stock|shares?|units?|securities)\b", re.IGNORECASE)
_FUND_NAME: Final = re.compile(r"\b(?:ETF|ETN|ETFs|ETNs)\b")
_WARRANT_NAME: Final = re.compile(r"\bwarrants?\b", re.IGNORECASE)
_RIGHT_NAME: Final = re.compile(r"\brights?\b", re.IGNORECASE)
_UNIT_NAME: Final = re.compile(r"\bunits?\b", re.IGNORECASE)


def issuer_name(text: str) -> str:
    """The issuer in the name of a security: "Acme Inc. - Class A Common Stock" is Acme Inc.; never empty if ``text`` is not."""
    name = " ".join(text.split())
    for _ in range(3):
        shorter = _PAPER.sub("", name).rstrip(" -,")
        if not shorter or shorter == name:
            break
        name = shorter
    return name


def kind_of(symbol: str, name: str) -> str:
    """The kind of paper by spelling and name, for lists that don't say it."""
    base, _, suffix = symbol.partition(".")
    if suffix.startswith("PR"):
        return "preferred"
    if paper := _PAPERS.get(suffix.partition(".")[0]):
        return paper
    if not suffix and len(base) == 5:  # the fifth letter tells on Nasdaq
        for letter, pattern, kind in (
            ("W", _WARRANT_NAME, "warrant"),
            ("R", _RIGHT_NAME, "right"),
            ("U", _UNIT_NAME, "unit"),
        ):
            if base.endswith(letter) and pattern.search(name):
                return kind
    if _PREFERRED_NAME.search(name) and (suffix or base[-1:] in "MNOPLGZ"):
        return "preferred"
    return "etf" if _FUND_NAME.search(name) else "stock"


def name_of(value: object) -> str | None:
    text = clean(value)
    return " ".join(text.split())[:_LONGEST] or None if text is not None else None


def amount(value: object) -> float | None:
    """A sum of money above zero, from a number or its digits; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,9})?", value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e18 else None


# ------------------------------------------------------------------------------------------------------- collecting


def collect(rows: Iterable[Listing | None], subject: str, made_at: datetime | None = None) -> Parsed:
    """Each symbol once: of several rows the first listed one, the rest are counted. Malformed for too few or too odd."""
    found: dict[str, Listing] = {}
    unreadable = repeated = total = 0
    for row in rows:
        total += 1
        if row is None:
            unreadable += 1
            continue
        if row.name is not None and len(row.name) > 1 and american(row.name) in (row.symbol, row.symbol.partition(".")[0]) and row.name.isupper():  # fmt: skip
            row = replace(row, name=None)  # only the symbol again
        before = found.get(row.symbol)
        if before is not None:
            repeated += 1
        if before is None or (before.status == "retired" and row.status == "listed"):
            found[row.symbol] = row
    if not found:
        raise Malformed("a list without a row", subject, f"{total} lines" if total else "empty")
    if unreadable > max(3, MOST_UNREADABLE * total):
        raise Malformed(
            "a list of another format", subject, f"{unreadable:,} of {total:,} rows have no symbol that is one"
        )
    return Parsed(tuple(found.values()), unreadable, repeated, made_at)


def text_of(body: bytes, subject: str) -> str:
    """The text of a list, in UTF-8 or the encoding of western Windows; Malformed for pages, and for anything wider."""
    if not body.strip():
        raise Malformed("an empty list", subject)
    if looks_like_html(body):
        raise Malformed("HTML where a list was expected", subject)
    if b"\0" in body:
        raise Malformed("bytes that are no text in UTF-8", subject)
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def rows_of(text: str, columns: Sequence[str], subject: str, delimiter: str = ",") -> Iterator[dict[str, str] | None]:
    """Rows of a delimited file by column, None for those with another number of cells.

    Malformed when a column is missing, or when the file ends in the middle of a row.
    """
    try:
        rows = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=delimiter,
            quoting=csv.QUOTE_NONE if delimiter != "," else csv.QUOTE_MINIMAL,
        )
        header = [name.strip() for name in next(rows, [])]
        if missing := [column for column in columns if column not in header]:
            raise Malformed("a list of another format", subject, f"no column {', '.join(missing)}")
        short = False
        for cells in rows:
            if not cells or cells == [""]:
                continue
            short = len(cells) < len(header)
            yield dict(zip(header, cells, strict=True)) if len(cells) == len(header) else None
    except csv.Error as error:
        raise Malformed("a list that can't be read", subject, error) from None
    if short:
        raise Malformed("a list that was cut short", subject, "its last row is not whole")


# ------------------------------------------------------------------------------------------------- the SEC's lists

NO_EXCHANGE: Final = "SEC"  # registered there, and on no exchange that it names


def sec_tickers(body: bytes) -> Parsed:
    """``company_tickers.json``: an object of {cik_str, ticker, title}, largest companies first."""
    subject = "company_tickers.json"
    data = load_json(body, subject)
    if not isinstance(data, dict):
        raise Malformed("a list of another format", subject, "no object")
    return collect((_sec_row(row.get("ticker"), row.get("title"), row.get("cik_str"), None) if isinstance(row, dict) else None for row in data.values()), subject)  # fmt: skip


def sec_exchanges(body: bytes) -> Parsed:
    """``company_tickers_exchange.json``: {fields, data}, with the exchange."""
    subject = "company_tickers_exchange.json"
    rows = _sec_table(body, ("cik", "name", "ticker", "exchange"), subject)
    return collect((_sec_row(row["ticker"], row["name"], row["cik"], row["exchange"]) if row else None for row in rows), subject)  # fmt: skip


def sec_funds(body: bytes) -> Parsed:
    """``company_tickers_mf.json``: {fields, data}, one row a class of shares of a mutual fund; without names."""
    subject = "company_tickers_mf.json"
    rows = _sec_table(body, ("cik", "symbol"), subject)
    return collect((_sec_row(row["symbol"], None, row["cik"], None, "fund") if row else None for row in rows), subject)


def sec_csv(body: bytes) -> Parsed:
    """The SEC's table with exchanges as a CSV file: cik, ticker, exchange, name."""
    subject = "the SEC's symbols as csv"
    rows = rows_of(text_of(body, subject), ("cik", "ticker", "exchange", "name"), subject)
    return collect((_sec_row(row["ticker"], row["name"], row["cik"], row["exchange"]) if row else None for row in rows), subject)  # fmt: skip


def _sec_table(body: bytes, columns: Sequence[str], subject: str) -> Iterator[dict[str, Any] | None]:
    data = load_json(body, subject)
    fields, rows = (data.get("fields"), data.get("data")) if isinstance(data, dict) else (None, None)
    if not isinstance(fields, list) or not isinstance(rows, list):
        raise Malformed("a list of another format", subject, "no fields and data")
    if missing := [column for column in columns if column not in fields]:
        raise Malformed("a list of another format", subject, f"no column {', '.join(missing)}")
    for row in rows:
        yield dict(zip(fields, row, strict=True)) if isinstance(row, list) and len(row) == len(fields) else None


def _sec_row(ticker: object, title: object, cik: object, exchange: object, kind: str | None = None) -> Listing | None:
    symbol = american(ticker) if isinstance(ticker, str) else None
    if symbol is None:
        return None
    name = name_of(title)
    found = count(int(cik) if isinstance(cik, str) and cik.isascii() and cik.isdigit() and len(cik) < 18 else cik)
    return Listing(symbol, issuer_name(name) if name else None, name_of(exchange) or NO_EXCHANGE, kind or kind_of(symbol, name or ""), issuer=None if found is None else str(found))  # fmt: skip


# ---------------------------------------------------------------------------------------------------- Nasdaq Trader

_MADE: Final = re.compile(r"File Creation Time: ?(\d{2})(\d{2})(\d{4})(\d{2}):(\d{2})\|*\s*")
_MARKETS: Final = {"A": "NYSE American", "N": "NYSE", "P": "NYSE Arca", "Z": "Cboe BZX", "V": "IEX", "M": "Chicago"}


def nasdaq_listed(body: bytes) -> Parsed:
    """``nasdaqlisted.txt``: what is listed on Nasdaq."""
    subject = "nasdaqlisted.txt"
    rows, made_at = _nasdaq(body, ("Symbol", "Security Name", "Test Issue", "ETF"), subject)
    return collect((_nasdaq_row(row, row["Symbol"], "Nasdaq") if row else None for row in rows), subject, made_at)


def nasdaq_other(body: bytes) -> Parsed:
    """``otherlisted.txt``: what is listed on NYSE, Arca, American, Cboe and IEX."""
    subject = "otherlisted.txt"
    rows, made_at = _nasdaq(body, ("ACT Symbol", "Security Name", "Exchange", "Test Issue", "ETF"), subject)
    return collect((_nasdaq_row(row, row["ACT Symbol"], _MARKETS.get(row["Exchange"], row["Exchange"])) if row else None for row in rows), subject, made_at)  # fmt: skip


def _nasdaq(body: bytes, columns: Sequence[str], subject: str) -> tuple[Iterator[dict[str, str] | None], datetime]:
    """Rows but for test issues, and when the file was made: its last line says that, so without it it is not whole."""
    lines = text_of(body, subject).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    made = _MADE.fullmatch(lines[-1]) if lines else None
    if made is None:
        raise Malformed("a list that was cut short", subject, "no line File Creation Time at its end")
    month, day, year, hour, minute = map(int, made.groups())
    try:
        made_at = datetime(year, month, day, hour, minute, tzinfo=_ZONE).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed("a list of another format", subject, lines[-1][:60]) from None
    rows = rows_of("\n".join(lines[:-1]), columns, subject, "|")
    return (row for row in rows if row is None or row["Test Issue"] != "Y"), made_at


def _nasdaq_row(row: Mapping[str, str], ticker: str, exchange: str) -> Listing | None:
    symbol = american(ticker)
    if symbol is None:
        return None
    name = name_of(row["Security Name"]) or ""
    kind = kind_of(symbol, name)
    kind = "etf" if row["ETF"] == "Y" else kind
    return Listing(symbol, (name if kind == "etf" else issuer_name(name)) or None, exchange, kind)


# ------------------------------------------------------------------------------------------------------------ coins

_COPIES: Final = re.compile(
    r"\b(?:bridged|wrapped|pegged|peg|wormhole|axelar|binance-peg|staked|tokenized|xstock|inu)\b"
)


def coins(body: bytes) -> Parsed:
    """A JSON array of coins {id, symbol, name}, with or without ``market_cap_rank``.

    Letters of coins are not unique. The largest by market has them; without ranks the one that is no copy of another,
    whose id is its name, and is shortest.
    """
    subject = "coins"
    data = load_json(body, subject)
    if not isinstance(data, list):
        raise Malformed("a list of another format", subject, "no array")
    best: dict[str, tuple[tuple[Any, ...], Listing]] = {}
    unreadable = 0
    for row in data:
        symbol = coin(row["symbol"]) if isinstance(row, dict) and isinstance(row.get("symbol"), str) else None
        if symbol is None:
            unreadable += 1
            continue
        name, own_id = name_of(row.get("name")) or "", clean(row.get("id")) or ""
        rank, cap = count(row.get("market_cap_rank")), amount(row.get("market_cap"))
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        order = (rank is None, rank or 0, bool(_COPIES.search(f"{own_id} {name}".lower())), own_id != plain, len(own_id), own_id)  # fmt: skip
        listing = Listing(symbol, name or None, None, "coin", market_cap=cap)
        if symbol not in best or order < best[symbol][0]:
            best[symbol] = order, listing
    rows: list[Listing | None] = [listing for _, listing in best.values()]
    # letters outside the alphabet are common among coins, and no sign of another format
    found = collect(rows, subject)
    return replace(found, unreadable=unreadable, repeated=len(data) - unreadable - len(rows))


def coin_names(body: bytes) -> Parsed:
    """A CSV file of coins: symbol, name."""
    subject = "coins as csv"
    rows = rows_of(text_of(body, subject), ("symbol", "name"), subject)
    return collect((_coin_row(row["symbol"], row["name"]) if row else None for row in rows), subject)


def _coin_row(letters: str, name: str) -> Listing | None:
    symbol = coin(letters)
    return Listing(symbol, name_of(name), None, "coin") if symbol else None


# ----------------------------------------------------------------------------------------------- markets elsewhere


def equities(body: bytes) -> Parsed:
    """A CSV file of the shares of one or more markets: symbol, name, exchange, delisted and more columns."""
    subject = "equities"
    rows = rows_of(text_of(body, subject), ("symbol", "name", "exchange", "delisted"), subject)
    return collect((_equity(row) if row else None for row in rows if row is None or "." in row["symbol"]), subject)


def _equity(row: Mapping[str, str]) -> Listing | None:
    symbol = foreign(row["symbol"])
    if symbol is None:
        return None
    gone: Standing = "retired" if row["delisted"].strip().lower() == "true" else "listed"
    return Listing(symbol, name_of(row["name"]), name_of(row["exchange"]), "stock", gone)


def of_the_past(parsed: Parsed) -> Parsed:
    """The same rows as known and gone: a list of an earlier year says what there was, not what there is."""
    return replace(parsed, listings=tuple(replace(listing, status="retired") for listing in parsed.listings))
