"""Readings beside what the price did next, one row a symbol and day, with a statement of what they rest on.

The rows are those of ``backtest_rows``. The statement says what was listened to and what was lost, how many readings were
replayed, which prices stand behind the returns, and what such a table can't show.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from tracker import __version__, metrics
from tracker.errors import BadInput
from tracker.render import plain
from tracker.reports import canonical, from_database
from tracker.store import Connection, aware_utc, naive_utc
from tracker.store.prices import save_parquet

EVERY: Final = {"day": timedelta(days=1), "hour": timedelta(hours=1)}
_AT_ONCE: Final = 5000
_NAMED: Final = 20  # symbols and streams that are named one by one
FORMULAS: Final = (
    "bullish_ratio, sentiment_z, sentiment_score, sentiment_label, expected, volume_z, volume_score, volume_label, buzz, volume_change (readings_at)",
    "price, before_1d, before_5d, forward_1h, forward_1d, forward_5d (priced_readings)",
    "heard, gaps, gap_hours, taken (backtest_rows)",
)
CAVEATS: Final = (
    "Forward returns are for study. They were never fed back: no reading, baseline or label uses a price.",
    "Survivorship: the symbols are those that were asked for or spoken of. Names that left the market before prices were recorded are missing and so are their returns; a row without a return is not a return of 0.",
    "Look-ahead: a replayed reading rests on messages that were made before its moment and fetched later, often years later. Messages deleted in between are missing, and the scorer of tone is younger than what it scores. A live reading rests on what was fetched by then.",
    "Prices are closes as their files give them, without dividends. A file that is adjusted for splits knew of the later ones; one that is not shows each as a move. Where two sources hold one bar the one fetched last counts.",
    "Returns are taken from prices as printed: no spread, no fee, no tax, and no certainty that anybody could have traded there.",
    "Windows and returns overlap from row to row, and many symbols are looked at together: rows are not independent observations.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """What the table is about: readings with since < at <= until, the newest of each interval."""

    symbols: tuple[str, ...]
    since: datetime
    until: datetime
    window: str
    every: timedelta


@dataclass(frozen=True, slots=True)
class StreamGaps:
    """What one stream is known to have lost in the span."""

    source: str
    stream: str
    gaps: int
    hours: float


@dataclass(frozen=True, slots=True)
class PriceSource:
    """Price bars of one source and width that stand behind the table."""

    source: str
    bucket_width: timedelta
    symbols: int
    bars: int
    first_at: datetime
    last_at: datetime  # start of the last bar


@dataclass(frozen=True, slots=True)
class About:
    """What the rows rest on."""

    version: str  # of the tracker
    queries: str | None  # hash of the formulas as the file holds them
    ask: Ask
    rows: int
    symbols: int  # with at least one row
    silent: tuple[str, ...]  # asked for, without any row
    first_at: datetime | None
    last_at: datetime | None
    missing: int  # intervals of symbols without a reading, of `intervals`
    intervals: int
    heard: float | None  # mean share of the windows that polls covered; None: nothing is known of any stream
    unheard: int  # rows of which it is not known
    replayed: int
    default_baseline: int  # rows whose habit of the market was not known yet
    priced: int  # rows with a price
    forward_1h: int  # rows with a return
    forward_1d: int
    forward_5d: int
    unpriced: tuple[str, ...]  # symbols with rows and without any price
    gaps: tuple[StreamGaps, ...]
    prices: tuple[PriceSource, ...]
    scorers: tuple[str, ...]


# ------------------------------------------------------------------------------------------------ what is asked


def ask(
    connection: Connection,
    *,
    symbols: Sequence[str] = (),
    group: str | None = None,
    everything: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    window: str = "24h",
    every: str = "day",
) -> Ask:
    """The question in full: who is meant, and for what is not given the whole of what is stored. BadInput for what does not fit."""
    if sum((bool(symbols), group is not None, everything)) != 1:
        raise BadInput("whose readings?", None, "expected symbols, --group NAME or --all, one of the three")
    windows = metrics.windows(connection)
    if window not in windows:
        raise BadInput("there is no such window", window, f"expected one of {', '.join(windows)}")
    first, last = _span(connection, window)
    start, end = since or first, until or last
    if start is None or end is None:
        raise BadInput(
            "there are no readings of this window yet", window, "start `tracker run`, or `tracker replay` an archive"
        )
    if start >= end:
        raise BadInput(
            "the span is empty", f"{start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}", "expected --since before --until"
        )
    if everything:
        found = _spoken_of(connection, start, end, window)
    else:
        found = _members(connection, group) if group is not None else [canonical(symbol) for symbol in symbols]
    return Ask(tuple(dict.fromkeys(found)), start, end, window, EVERY[every])


def _span(connection: Connection, window: str) -> tuple[datetime | None, datetime | None]:
    """From the day before the first reading of a window to the last one."""
    row = connection.execute(
        """SELECT date_trunc('day', min("at") - INTERVAL 1 MICROSECOND), max("at") FROM readings WHERE window_name = $1""",
        [window],
    ).fetchone()
    return (aware_utc(row[0]), aware_utc(row[1])) if row else (None, None)


def _spoken_of(connection: Connection, since: datetime, until: datetime, window: str) -> list[str]:
    found = connection.execute(
        """SELECT DISTINCT symbol FROM readings WHERE window_name = $1 AND "at" > $2 AND "at" <= $3 ORDER BY symbol""",
        [window, naive_utc(since), naive_utc(until)],
    ).fetchall()
    return [symbol for (symbol,) in found]


def _members(connection: Connection, group: str) -> list[str]:
    known = metrics.groups(connection)
    if group not in known:
        raise BadInput("there is no such group", group, f"known are {', '.join(known) or 'none is configured'}")
    return known[group]


# ------------------------------------------------------------------------------------------------ rows


def take(connection: Connection, asked: Ask) -> list[str]:
    """Make the rows, for the connection that lasts, and give their columns; ``rows``, ``about`` and ``to_parquet`` read them."""
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE backtest AS
           FROM backtest_rows($symbols, $since, $until, $window, $every) ORDER BY symbol, "at" """,
        {
            "symbols": list(asked.symbols), "since": naive_utc(asked.since), "until": naive_utc(asked.until),
            "window": asked.window, "every": asked.every,
        },
    )  # fmt: skip
    return [row[0] for row in connection.execute("DESCRIBE backtest").fetchall()]


def rows(connection: Connection) -> Iterator[list[tuple[Any, ...]]]:
    """The rows that ``take`` has made, a page at a time."""
    result = connection.execute('FROM backtest ORDER BY symbol, "at"')
    while page := result.fetchmany(_AT_ONCE):
        yield page


def to_parquet(connection: Connection, output: str) -> None:
    """The rows as a Parquet file."""
    save_parquet(connection, "backtest", output)


# ------------------------------------------------------------------------------------------------ what they rest on


def about(connection: Connection, asked: Ask) -> About:
    """The statement about the rows that ``take`` has made."""
    result = connection.execute(_TOTALS)
    names = [column[0] for column in result.description or []]
    totals: dict[str, Any] = dict(zip(names, map(from_database, result.fetchone() or ()), strict=True))
    with_rows = _column(connection, "SELECT DISTINCT symbol FROM backtest ORDER BY symbol")
    with_price = _column(connection, "SELECT DISTINCT symbol FROM backtest WHERE price IS NOT NULL")
    intervals = _intervals(asked) * len(asked.symbols)
    edges = {"symbols": list(asked.symbols), "since": naive_utc(asked.since), "until": naive_utc(asked.until)}
    gaps = connection.execute(_GAPS, {**edges, "window": asked.window}).fetchall()
    prices = connection.execute(_PRICES, edges).fetchall()
    marks = _column(connection, "SELECT arg_max(value, since) FROM settings WHERE key = 'queries.mark'")
    return About(
        version=__version__,
        queries=marks[0],
        ask=asked,
        symbols=len(with_rows),
        silent=tuple(symbol for symbol in asked.symbols if symbol not in with_rows),
        missing=intervals - totals["rows"],
        intervals=intervals,
        unpriced=tuple(symbol for symbol in with_rows if symbol not in with_price),
        gaps=tuple(StreamGaps(*row) for row in gaps),
        prices=tuple(PriceSource(*map(from_database, row)) for row in prices),
        scorers=tuple(_column(connection, "SELECT DISTINCT scorer FROM tones ORDER BY scorer")),
        **totals,
    )


def _column(connection: Connection, query: str) -> list[Any]:
    return [value for (value,) in connection.execute(query).fetchall()]


def _intervals(asked: Ask) -> int:
    """How many intervals (start, start + every] the span since < at <= until touches."""
    origin = datetime(2000, 1, 1, tzinfo=asked.since.tzinfo)
    return -((origin - asked.until) // asked.every) - (asked.since - origin) // asked.every


_TOTALS = """
    SELECT count(*) AS rows, min("at") AS first_at, max("at") AS last_at, avg(heard) AS heard, count(*) FILTER (heard IS NULL) AS unheard,
           count(*) FILTER (taken = 'replayed') AS replayed, count(*) FILTER (baseline = 'default') AS default_baseline, count(price) AS priced,
           count(forward_1h) AS forward_1h, count(forward_1d) AS forward_1d, count(forward_5d) AS forward_5d
    FROM backtest"""
_GAPS = """
    WITH span AS (SELECT $since::TIMESTAMP - to_seconds(any_value(seconds)) AS from_at, $until::TIMESTAMP AS to_at FROM meter_windows WHERE window_name = $window)
    SELECT gaps.source, gaps.stream, count(*), sum(epoch(least(gaps.to_at, span.to_at) - greatest(gaps.from_at, span.from_at))) / 3600 AS hours
    FROM gaps CROSS JOIN span
    WHERE gaps.to_at > span.from_at AND gaps.from_at < span.to_at
      AND (NOT starts_with(gaps.stream, 'symbol/') OR upper(substr(gaps.stream, 8)) IN (SELECT unnest($symbols::VARCHAR[])))
    GROUP BY gaps.source, gaps.stream ORDER BY hours DESC, gaps.source, gaps.stream"""
_PRICES = """
    SELECT source, bucket_width, count(DISTINCT symbol), count(*), min(bucket_start), max(bucket_start) FROM prices
    WHERE symbol IN (SELECT unnest($symbols::VARCHAR[])) AND bucket_start >= $since::TIMESTAMP - INTERVAL 30 DAY
      AND bucket_start <= $until::TIMESTAMP + INTERVAL 15 DAY
    GROUP BY source, bucket_width ORDER BY source, bucket_width DESC"""


def as_json(stated: About) -> dict[str, Any]:
    """The statement as JSON, with the formulas and what the table can't show."""
    found = {str(name): plain(value) for name, value in dataclasses.asdict(stated).items()}
    return {**found, "formulas": list(FORMULAS), "caveats": list(CAVEATS)}


def as_text(stated: About) -> str:
    """The statement as Markdown that also reads well bare."""
    asked = stated.ask
    step = next(name for name, span in EVERY.items() if span == asked.every)
    lines = [
        "# About this table",
        "",
        f"Readings of the last {asked.window}, the newest of each UTC {step} with {_time(asked.since)} < at <= {_time(asked.until)}, beside the price then and what it did next.",
        f"Made by `backtest_rows` of tracker {stated.version}, formulas {stated.queries or 'not marked'}.",
        "",
        "## Coverage",
        "",
        f"- {stated.rows:,} rows of {stated.symbols:,} symbols, from {_time(stated.first_at)} to {_time(stated.last_at)}.",
        f"- {stated.missing:,} of {stated.intervals:,} {step}s of symbols have no reading{_percent(stated.missing, stated.intervals)}: nobody spoke of them, or nobody listened.",
        f"- Asked for, without any reading: {_names(stated.silent)}." if stated.silent else "- Every symbol that was asked for has readings.",
        _heard(stated),
        f"- {stated.replayed:,} rows{_percent(stated.replayed, stated.rows)} were replayed, {stated.rows - stated.replayed:,} taken live.",
        f"- {stated.default_baseline:,} rows{_percent(stated.default_baseline, stated.rows)} were taken before the habit of the market was known: their sentiment rests on its defaults.",
        f"- Tone was scored by {_names(stated.scorers) if stated.scorers else 'nobody'}.",
        "",
        "## Gaps",
        "",
        *([f"- {gap.source} {gap.stream}: {gap.gaps:,} gaps, {gap.hours:,.1f} h" for gap in stated.gaps[:_NAMED]] or ["- None is known."]),
        *([f"- {len(stated.gaps) - _NAMED:,} more streams"] if len(stated.gaps) > _NAMED else []),
        "",
        "## Prices",
        "",
        *([_price_line(price) for price in stated.prices] or ["- There are none: every return is empty."]),
        f"- {stated.priced:,} rows have a price, {stated.forward_1h:,} a return over 1 h, {stated.forward_1d:,} to the next close, {stated.forward_5d:,} to the fifth.",
        *([f"- Without any price: {_names(stated.unpriced)}."] if stated.unpriced else []),
        "",
        "## Formulas",
        "",
        *(f"- {formula}" for formula in FORMULAS),
        "",
        "## What it can't show",
        "",
        *(f"- {caveat}" for caveat in CAVEATS),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _heard(stated: About) -> str:
    if stated.heard is None:
        return "- What share of the windows was listened to is not known."
    unknown = f"; of {stated.unheard:,} rows it is not known" if stated.unheard else ""
    return f"- Polls covered {stated.heard:.1%} of the windows on average{unknown}."


def _price_line(price: PriceSource) -> str:
    width = plain(price.bucket_width)
    return (
        f"- {price.source}, bars of {width / 3600:g} h: {price.bars:,} of {price.symbols:,} symbols,"
        f" from {_time(price.first_at)} to {_time(price.last_at)}"
    )


def _time(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _percent(part: int, whole: int) -> str:
    return f" ({part / whole:.0%})" if whole else ""


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
