"""One line of a CSV file of prices as a bar, or what is wrong with it. Every cell is read strictly; nothing is stored here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from tracker.errors import BadInput
from tracker.universe import Universe

DAY: Final = timedelta(days=1)

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ROUNDING: Final = 1e-6  # how far, relatively, a close may lie outside of its bar: files hold rounded numbers
_PRICES: Final = (1e-15, 1e15)  # what can be a price: below and above the ratios would lose their meaning
_REMEMBERED: Final = 50_000  # times
_TIMES: Final = ("date", "time", "timestamp")
_USED: Final = (
    "symbol", *_TIMES, "width", "session", "open", "high", "low", "close", "adj_close", "volume",
)  # fmt: skip
_SESSIONS: Final = ("pre", "regular", "post")
_WIDTH: Final = re.compile(r"([0-9]{1,4})(m|h|d)", re.ASCII)
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": DAY}
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_SYMBOL: Final = re.compile(r"(?=[.\-_=^]*[A-Z0-9])[A-Z0-9.\-_=^]{1,15}", re.ASCII)
_SOURCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}", re.ASCII)


class Bar(NamedTuple):
    """One price bar, a row of ``prices`` in the order of ``store.prices.BAR``."""

    symbol: str
    bucket_width: timedelta
    bucket_start: datetime  # aware UTC; of a daily bar midnight of its trading date
    session: str | None
    open: float | None
    high: float | None
    low: float | None
    close: float
    adj_close: float | None
    volume: float | None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that can't be used: where, what was found, what was expected."""

    file: str
    line: int
    column: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file} line {self.line}, {self.column}: found {self.found}, expected {self.expected}"


class _Bad(ValueError):
    """A cell that can't be used: column, what was found, what was expected."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the person says about the files."""

    universe: Universe  # how symbols are spelled
    source: str = "import"
    symbol: str | None = None  # for files without a column of that name
    width: timedelta | None = None  # of bars whose line says none
    zone: tzinfo = UTC  # of times without an offset


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns of one file stand."""

    file: str
    places: Mapping[str, int]  # column -> place; only those that are used
    cells: int  # columns in the file
    time: str  # name of the column that holds the date or the time
    width: timedelta | None  # of bars whose line says none
    symbol: str | None  # of all lines; None: each says its own
    unused: tuple[str, ...]  # columns that nothing is made of


# ------------------------------------------------------------------------------------------------ what a person says


def read_width(text: str) -> timedelta:
    """``5m``, ``1h``, ``1d`` as a span of at most a day; BadInput for anything else."""
    found = _width(text)
    if found is None:
        raise BadInput("not a width of price bars", text, "expected minutes, hours or 1d, such as 5m or 1h")
    return found


def _width(text: str) -> timedelta | None:
    matched = _WIDTH.fullmatch(text.strip().lower())
    span = int(matched[1]) * _UNITS[matched[2]] if matched else timedelta(0)
    return span if timedelta(0) < span <= DAY else None


def read_options(universe: Universe, *, source: str, symbol: str | None, width: str | None, timezone: str) -> Options:
    """The options of ``tracker prices import``; BadInput names the one that can't be used."""
    if not _SOURCE.fullmatch(source):
        raise BadInput("not a name of a source", source, "expected up to 40 letters, digits, dots, dashes, blanks")
    canonical = None if symbol is None else universe.resolve(symbol)
    if canonical is not None and not _SYMBOL.fullmatch(canonical):
        raise BadInput("not a symbol", symbol, "expected one such as BABA, BRK.B or BTC.X")
    try:
        zone = ZoneInfo(timezone)
    except (ValueError, OSError, LookupError):
        raise BadInput("not a time zone", timezone, "expected a name such as UTC or America/New_York") from None
    return Options(universe, source, canonical, None if width is None else read_width(width), zone)


# ------------------------------------------------------------------------------------------------ header and cells


def read_layout(file: str, header: Sequence[str], options: Options) -> Layout:
    """Where the columns stand; BadInput with everything that is wrong with the header."""
    names = [name.strip().lower().replace(" ", "_") for name in header]
    places = {name: place for place, name in enumerate(names) if name in _USED}
    problems = [f"two columns {name}" for name in places if names.count(name) > 1]
    if "close" not in places:
        problems.append("no column close")
    times = [name for name in _TIMES if name in places]
    if len(times) != 1:
        problems.append(f"{' and '.join(times) or 'no column'} for the time, expected one of date, time, timestamp")
    if "symbol" not in places and options.symbol is None:
        problems.append("no column symbol, name it with --symbol")
    if "symbol" in places and options.symbol is not None:
        problems.append("a column symbol, --symbol is for files without one")
    width = options.width or (DAY if times == ["date"] else None)
    if times and width is None and "width" not in places:
        problems.append(f"a column {times[0]} and no width of the bars, expected --width such as 1h or a column width")
    if problems:
        shown = ", ".join(name.strip()[:40] for name in header[:20]) or "nothing"
        raise BadInput("the header can't be used", file, f"found {'; '.join(problems)} (columns: {shown})")
    unused = tuple(raw.strip() for raw, name in zip(header, names, strict=True) if name not in _USED)
    return Layout(file, places, len(names), times[0], width, options.symbol, unused)


class RowReader:
    """Reads the lines of one file; remembers symbols and times that it has seen, since they come again and again."""

    def __init__(self, layout: Layout, options: Options, now: datetime) -> None:
        self._layout = layout
        self._options = options
        self._now = now
        self._symbols: dict[str, str] = {}
        self._starts: dict[tuple[str, bool], datetime] = {}

    def read(self, cells: Sequence[str], line: int) -> Bar | BadRow:
        """The bar of a line, or what is wrong with it."""
        try:
            return self._bar(cells)
        except _Bad as bad:
            column, found, expected = bad.args
            return BadRow(self._layout.file, line, column, found, expected)

    def _bar(self, cells: Sequence[str]) -> Bar:
        layout = self._layout
        if len(cells) != layout.cells:
            raise _Bad("line", f"{len(cells)} cells", f"{layout.cells} as in the header")
        symbol = layout.symbol or self._symbol(self._cell(cells, "symbol"))
        width = self._width(self._cell(cells, "width"))
        start = self._start(self._cell(cells, layout.time), width == DAY)
        session = self._session(self._cell(cells, "session").lower(), symbol, width)
        first, high, low, close, adjusted = (
            self._price(cells, name) for name in ("open", "high", "low", "close", "adj_close")
        )
        if close is None:
            raise _Bad("close", "an empty cell", "a price")
        if high is not None and low is not None and high < low:
            raise _Bad("high", f"{high:g} below the low of {low:g}", "the highest price of the bar")
        if low is not None and close < low * (1 - _ROUNDING):
            raise _Bad("close", f"{close:g} below the low of {low:g}", "a price between low and high")
        if high is not None and close > high * (1 + _ROUNDING):
            raise _Bad("close", f"{close:g} above the high of {high:g}", "a price between low and high")
        return Bar(symbol, width, start, session, first, high, low, close, adjusted, self._volume(cells))

    def _cell(self, cells: Sequence[str], name: str) -> str:
        place = self._layout.places.get(name)
        return "" if place is None else cells[place].strip()

    def _symbol(self, text: str) -> str:
        known = self._symbols.get(text)
        if known is None:
            known = self._options.universe.resolve(text)
            if not _SYMBOL.fullmatch(known):
                raise _Bad("symbol", _found(text), "a symbol such as BABA, BRK.B or BTC.X")
            self._symbols[text] = known
        return known

    def _width(self, text: str) -> timedelta:
        width = _width(text) if text else self._layout.width
        if width is None:
            raise _Bad("width", _found(text), "minutes, hours or 1d, such as 5m or 1h")
        return width

    def _start(self, text: str, daily: bool) -> datetime:
        known = self._starts.get((text, daily))
        if known is None:
            known = self._time(text, daily)
            if len(self._starts) >= _REMEMBERED:
                self._starts.clear()
            self._starts[text, daily] = known
        return known

    def _time(self, text: str, daily: bool) -> datetime:
        """The start of a bar; a daily one starts at midnight UTC of the date that is written there."""
        expected = "a date such as 2026-11-20" if daily else "a time such as 2026-11-20T14:30 or 2026-11-20 09:30-05:00"
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise _Bad(self._layout.time, _found(text), expected) from None
        if daily:
            if (found.hour, found.minute, found.second, found.microsecond) != (0, 0, 0, 0):
                raise _Bad(self._layout.time, _found(text), f"{expected}, or midnight: the bars are daily")
            start = found.replace(tzinfo=UTC)
        elif ":" not in text and "T" not in text.upper():
            raise _Bad(self._layout.time, _found(text), expected)
        elif found.tzinfo is None:
            start = self._local(found, text)
        else:
            start = found
        try:
            start = start.astimezone(UTC)
        except OverflowError:
            raise _Bad(self._layout.time, _found(text), expected) from None
        if not _EARLIEST <= start <= self._now:
            raise _Bad(self._layout.time, _found(text), f"a time from 1970 to {self._now:%Y-%m-%dT%H:%MZ}")
        return start

    def _local(self, found: datetime, text: str) -> datetime:
        """A time of the zone that was named; where the clocks change some are skipped and some come twice."""
        first, second = (found.replace(tzinfo=self._options.zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() != second.utcoffset():
            raise _Bad(
                self._layout.time,
                f"{_found(text)}, which the clocks of {self._options.zone} skip or show twice",
                "a time with its offset, such as 01:30-05:00",
            )
        return first

    def _session(self, text: str, symbol: str, width: timedelta) -> str | None:
        if text and text not in _SESSIONS:
            raise _Bad("session", _found(text), "pre, regular, post or an empty cell")
        if symbol.endswith(".X"):  # its market never closes: a whole day of it is known at midnight only
            return None
        if width < DAY:
            return text or None
        if text not in ("", "regular"):
            raise _Bad("session", _found(text), "regular or an empty cell: the bar is daily")
        return "regular"

    def _price(self, cells: Sequence[str], name: str) -> float | None:
        text = self._cell(cells, name)
        if not text:
            return None
        found = _number(text)
        if found is None or not _PRICES[0] <= found <= _PRICES[1]:
            raise _Bad(name, _found(text), "a price above 0")
        return found

    def _volume(self, cells: Sequence[str]) -> float | None:
        text = self._cell(cells, "volume")
        if not text:
            return None
        found = _number(text)
        if found is None or found < 0:
            raise _Bad("volume", _found(text), "a number from 0 on")
        return found


def _number(text: str) -> float | None:
    """A plain decimal number; None for anything else, NaN and what is too large to hold among it."""
    found = float(text) if _NUMBER.fullmatch(text) else math.nan
    return found if math.isfinite(found) else None


def _found(text: str) -> str:
    return repr(text[:60]) if text else "an empty cell"


def span_text(width: timedelta) -> str:
    """A width for a person: 5 min, 1 h, 1 day."""
    minutes = round(width.total_seconds() / 60)
    return "1 day" if width == DAY else f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
