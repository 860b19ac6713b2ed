"""One symbol over time as plain series: what a picture of it shows, read once and drawn by others.

``read_picture`` asks the database; ``plot_static`` (PNG, SVG) and ``plot_page`` (HTML) only draw what it found, in the
words and colours of ``plot_words``. None is a gap: nobody listened, nobody had an opinion, too little is known. A gap is never drawn as 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from tracker import metrics
from tracker.errors import BadInput
from tracker.metrics import Spike
from tracker.render import plain
from tracker.reports import from_database
from tracker.store import Connection, naive_utc

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WIDTHS = {"1d": DAY, "1h": HOUR}

_MOST_BUCKETS = 2_400  # more are neither readable nor quick to draw
_ZONE = "America/New_York"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One interval of the time axis: how much was said in it, how much was expected, and who was bullish."""

    start: datetime
    end: datetime
    messages: int | None  # None: nobody listened
    organic: int | None
    copied: int | None
    authors: int | None
    up: float  # share of it that was listened to, 0..1
    expected: float | None  # organic messages, from the reading of just this interval; None without one
    bullish: int | None
    bearish: int | None
    ratio: float | None  # None: nobody had an opinion
    ratio_low: float | None
    ratio_high: float | None
    habit: float | None  # p0: bullish share of all opinions in the market when it ended

    @property
    def middle(self) -> datetime:
        return self.start + (self.end - self.start) / 2

    @property
    def opinions(self) -> int:
        return (self.bullish or 0) + (self.bearish or 0)


@dataclass(frozen=True, slots=True)
class Score:
    """What the meter showed at one moment."""

    at: datetime
    score: float | None  # 0..100; None: fewer than 3 opinions
    label: str | None
    opinions: int
    messages: int


@dataclass(frozen=True, slots=True)
class PriceBar:
    """A price bar; all in a picture are equally wide."""

    start: datetime
    end: datetime
    high: float | None
    low: float | None
    close: float

    @property
    def middle(self) -> datetime:
        return self.start + (self.end - self.start) / 2


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that a picture of one symbol shows, in the order of time."""

    symbol: str
    since: datetime  # first edge of a bucket
    until: datetime  # last edge of a bucket
    known_until: datetime  # what comes after it was not over when the data ends
    width: timedelta
    window: str  # of the readings in the panel of the score
    window_width: timedelta
    zone: str  # of the market: labels of times are in it
    buckets: tuple[Bucket, ...]
    spikes: tuple[Spike, ...]  # of buckets of this width
    unheard: tuple[tuple[datetime, datetime], ...]  # spans in which nobody listened, to the hour
    scores: tuple[Score, ...]
    bands: tuple[float, float, float, float]  # scores that part the five labels
    prices: tuple[PriceBar, ...]
    price_sources: str | None
    sources: tuple[tuple[str, int], ...]  # (source, messages), most first
    heard: float | None  # share of the known span that was listened to, 0..1
    spoken: tuple[datetime, datetime] | None  # first and last day with a message, in all of the data
    notes: tuple[str, ...]  # what is left out, and why

    @property
    def messages(self) -> int:
        return sum(bucket.messages or 0 for bucket in self.buckets)

    @property
    def organic(self) -> int:
        return sum(bucket.organic or 0 for bucket in self.buckets)

    @property
    def empty(self) -> bool:
        return not (self.messages or self.scores or self.prices)


# ------------------------------------------------------------------------------------------------ reading


def read_picture(
    connection: Connection,
    symbol: str,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    days: int = 30,
    window: str = "24h",
    width: timedelta = DAY,
) -> Picture:
    """The series of ``symbol`` in [since, until), widened to whole buckets.

    Without ``until`` to the end of the data, without ``since`` the ``days`` before ``until``.
    """
    name = metrics.canonical(symbol)
    newest = newest_known(connection)
    if newest is None:
        raise BadInput("nothing is stored yet", name, "start `tracker run`, or `tracker replay` an archive")
    windows = metrics.windows(connection)
    if window not in windows:
        raise BadInput("unknown window", window, f"expected one of {', '.join(windows)}")
    first, last = _edges(since, until or newest, days, width)
    span = {"symbol": name, "since": first, "until": last}
    # the window whose readings know what is expected of one bar
    same = next((known for known, length in windows.items() if length == width), None)
    known_until = min(last, newest)
    heard = {"symbol": name, "since": first, "until": max(first, known_until)}
    prices, price_sources = _prices(connection, name, first, last, width)
    spoken = _ask(connection, _SPOKEN, {"symbol": name})[0]
    notes = [
        "" if prices else "no prices are stored for the span",
        "" if same else "no expectation, as no readings are taken of windows as wide as the bars",
    ]
    return Picture(
        symbol=name,
        since=first,
        until=last,
        known_until=known_until,
        width=width,
        window=window,
        window_width=windows[window],
        zone=metrics.market_zone(connection) or _ZONE,
        buckets=tuple(Bucket(*row) for row in _ask(connection, _BUCKETS, {**span, "width": width, "window": same})),
        spikes=tuple(_spikes(connection, name, first, last, width)),
        unheard=tuple((row[0], row[1]) for row in _ask(connection, _UNHEARD, heard)),
        scores=tuple(Score(*row) for row in _ask(connection, _SCORES, {**span, "window": window, "grain": _grain(last - first)})),
        bands=_bands(connection),
        prices=prices,
        price_sources=price_sources,
        sources=tuple((row[0], row[1]) for row in _ask(connection, _SOURCES, {**span, "width": width})),
        heard=_heard(connection, heard) if known_until - first >= HOUR else None,
        spoken=(spoken[0], spoken[1]) if spoken[0] else None,
        notes=tuple(note for note in notes if note),
    )  # fmt: skip


def newest_known(connection: Connection) -> datetime | None:
    """The end of the data: the newest reading of anything, or the end of the newest bucket; None without data."""
    found: datetime | None = _ask(connection, _NEWEST, {})[0][0]
    return found


def _edges(since: datetime | None, until: datetime, days: int, width: timedelta) -> tuple[datetime, datetime]:
    """The span widened to the edges of buckets; BadInput where it is none, or holds too many of them."""
    try:
        first = floor(since or until - timedelta(days=days), width)
        last = floor(until, width)
        last = last if last == until else last + width
    except OverflowError:
        raise BadInput("this span leaves the calendar", None, f"expected fewer days than {days}") from None
    if first >= last:
        raise BadInput(
            "the span is empty", f"{first:%Y-%m-%dT%H:%MZ} to {until:%Y-%m-%dT%H:%MZ}", "expected since before until"
        )
    if (last - first) / width > _MOST_BUCKETS:
        wider = "wider bars (--width 1d) or " if width < DAY else ""
        raise BadInput("too many bars to be read", f"{(last - first) // width:,}", f"expected {wider}a span of at most {_MOST_BUCKETS:,} bars")  # fmt: skip
    return first, last


def floor(moment: datetime, width: timedelta) -> datetime:
    """The last edge of a UTC hour or day at or before it."""
    return moment - timedelta(seconds=moment.timestamp() % width.total_seconds())


def _grain(span: timedelta) -> timedelta:
    """How close readings may stand before they only hide each other."""
    return timedelta(minutes=5) if span <= 35 * DAY else HOUR if span <= 400 * DAY else DAY


def _ask(connection: Connection, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    bound = {key: naive_utc(value) if isinstance(value, datetime) else value for key, value in values.items()}
    return [tuple(from_database(value) for value in row) for row in connection.execute(query, bound).fetchall()]


def _spikes(connection: Connection, symbol: str, since: datetime, until: datetime, width: timedelta) -> Iterable[Spike]:
    found = metrics.spikes(connection, since, until, symbol, limit=100_000)
    return (spike for spike in reversed(found) if spike.bucket_width == width)


def _bands(connection: Connection) -> tuple[float, float, float, float]:
    found = _ask(connection, "SELECT band_1, band_2, band_3, band_4 FROM meter_settings", {})
    return (found[0][0], found[0][1], found[0][2], found[0][3]) if found else (25.0, 45.0, 55.0, 75.0)


def _heard(connection: Connection, values: dict[str, Any]) -> float | None:
    """None: nothing is known of any stream that carries the symbol."""
    found = _ask(connection, _HEARD, values)
    return float(found[0][0]) if found else None


def _prices(
    connection: Connection, symbol: str, since: datetime, until: datetime, width: timedelta
) -> tuple[tuple[PriceBar, ...], str | None]:
    """Bars of one width: as wide as the picture's, else daily, else those of which there are most; and who they are from."""
    found = _ask(connection, _PRICES, {"symbol": symbol, "since": since, "until": until, "width": width})
    return tuple(PriceBar(*row[:5]) for row in found), found[0][5] if found else None


def series(picture: Picture) -> dict[str, Any]:
    """The picture as JSON knows it, for those who draw it themselves."""
    found = {key: plain(value) for key, value in asdict(picture).items() if key not in ("width", "window_width")}
    return {**found, "width_seconds": picture.width.total_seconds()}


_NEWEST = """
SELECT greatest((SELECT max("at") FROM readings),
                (SELECT max(bucket_start) + INTERVAL 5 MINUTE FROM buckets WHERE source = '*' AND bucket_width = INTERVAL 5 MINUTE))"""

_SPOKEN = """
SELECT min(bucket_start), max(bucket_start) FROM buckets
WHERE symbol = $symbol AND source = '*' AND bucket_width = INTERVAL 1 DAY AND messages > 0"""

_BUCKETS = """
SELECT volume.bucket_start, volume.bucket_start + $width::INTERVAL AS bucket_end, volume.messages, volume.organic,
       volume.messages - volume.organic AS copied, volume.authors, volume.up, foreseen.expected, opinions.bullish, opinions.bearish,
       opinions.bullish_ratio, opinions.bullish_ratio_low, opinions.bullish_ratio_high, market_days.p0
FROM message_volume($symbol, $since::TIMESTAMP, $until::TIMESTAMP, $width::INTERVAL) AS volume
LEFT JOIN bullish_ratios($symbol, $since::TIMESTAMP, $until::TIMESTAMP, $width::INTERVAL) AS opinions USING (bucket_start)
LEFT JOIN sentiment_history($symbol, $since::TIMESTAMP, $until::TIMESTAMP, $window::VARCHAR) AS foreseen ON foreseen."at" = volume.bucket_start + $width::INTERVAL
LEFT JOIN market_days ON market_days.day = (volume.bucket_start + $width::INTERVAL)::DATE
ORDER BY volume.bucket_start"""

_UNHEARD = """
WITH deaf AS (
    SELECT bucket_start, bucket_start - to_hours(row_number() OVER (ORDER BY bucket_start)) AS island
    FROM message_volume($symbol, $since::TIMESTAMP, $until::TIMESTAMP, INTERVAL 1 HOUR) WHERE up = 0
)
SELECT min(bucket_start), least(max(bucket_start) + INTERVAL 1 HOUR, $until::TIMESTAMP) FROM deaf GROUP BY island ORDER BY 1"""

_HEARD = "SELECT up FROM heard_between($symbol, $since::TIMESTAMP, $until::TIMESTAMP) WHERE source = '*'"

_SCORES = """
SELECT DISTINCT ON (time_bucket($grain::INTERVAL, "at", TIMESTAMP '2000-01-01')) "at", sentiment_score, sentiment_label, bullish + bearish, messages
FROM sentiment_history($symbol, $since::TIMESTAMP, $until::TIMESTAMP, $window)
WHERE "at" > $since::TIMESTAMP
ORDER BY time_bucket($grain::INTERVAL, "at", TIMESTAMP '2000-01-01'), "at\""""

_SOURCES = """
SELECT source, sum(messages)::BIGINT AS said FROM buckets
WHERE symbol = $symbol AND source <> '*' AND bucket_width = $width::INTERVAL AND bucket_start >= $since::TIMESTAMP AND bucket_start < $until::TIMESTAMP
GROUP BY source ORDER BY said DESC, source"""

_PRICES = """
WITH bars AS MATERIALIZED (
    SELECT * FROM price_bars($symbol, $until::TIMESTAMP)
    WHERE bucket_start >= $since::TIMESTAMP AND (bucket_width < INTERVAL 1 DAY OR coalesce(session, 'regular') = 'regular')
), widths AS (
    SELECT bucket_width, string_agg(DISTINCT source, ', ' ORDER BY source) AS sources FROM bars GROUP BY bucket_width
    ORDER BY bucket_width = $width::INTERVAL DESC, bucket_width = INTERVAL 1 DAY DESC, count(*) DESC, bucket_width LIMIT 1
)
SELECT bucket_start, bucket_start + bucket_width, high, low, close, sources FROM bars JOIN widths USING (bucket_width)
ORDER BY bucket_start"""
