"""Words, colours and broken lines that every drawing of a picture shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from math import log10
from typing import TypeVar
from zoneinfo import ZoneInfo

from tracker.log import escape
from tracker.metrics import Spike
from tracker.plot import DAY, Picture, PriceBar, Score, floor

T = TypeVar("T")

# Okabe and Ito's colours and tones of them, told apart by every kind of eye
INK, FAINT, ORGANIC, COPIED, SPIKE, RATIO, INTERVAL, RANGE = (
    "#222222", "#767676", "#0072B2", "#A9D2EE", "#D55E00", "#7A3B73", "#E3D0E0", "#BBBBBB",
)  # fmt: skip
# label and its colour, the lowest scores first
LABELS = (
    ("extremely bearish", "#F6C9A0"),
    ("bearish", "#FCEBDB"),
    ("neutral", "#F4F4F4"),
    ("bullish", "#DFEDF7"),
    ("extremely bullish", "#B4D6EC"),
)
HEIGHTS = (3.0, 2.0, 2.3, 1.9)  # of the panels, in proportion
SEVERITIES = ("notable", "high", "extreme")
AXES = ("messages", "bullish share", "score, 0 to 100", "price")
NO_OPINION = "no message had an opinion"
NO_SCORE = "no reading with at least 3 opinions: no score"

_NO_TRADE = timedelta(days=5)  # bars further apart than any weekend with holidays are not joined by a line


def title(picture: Picture) -> str:
    """The symbol and the span; a hostile name on one printable line."""
    form = "%Y-%m-%d" if picture.width >= DAY else "%Y-%m-%d %H:%M"
    return f"{escape(picture.symbol)}, {picture.since:{form}} to {picture.until:{form}} UTC"


def made_from(picture: Picture) -> str:
    """What it was computed from: messages, sources, the share of the time that was listened to."""
    named = [f"{escape(source)} {count:,}" for source, count in picture.sources]
    told = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "") or "none"
    heard = "an unknown share" if picture.heard is None else f"{percent(picture.heard)}"
    return (
        f"{picture.messages:,} messages, {picture.organic:,} of them organic; sources: {told}; "
        f"{heard} of the time was listened to"
    )


def footer(picture: Picture) -> tuple[str, ...]:
    """How to read the times, and on a second line what is left out."""
    bars = "Daily bars are UTC days." if picture.width >= DAY else "Hourly bars are UTC hours."
    end = f" The data end at {picture.known_until:%Y-%m-%d %H:%M} UTC." if picture.known_until < picture.until else ""
    times = f"Times on the axis: {picture.zone}. {bars}{end}"
    return (times, f"Left out: {'; '.join(picture.notes)}.") if picture.notes else (times,)


def panels(picture: Picture) -> tuple[str, ...]:
    """Titles of the panels, top down; the one of the price only where there is any."""
    each = "day" if picture.width >= DAY else "hour"
    upper = (f"Message volume per {each}", f"Bullish ratio per {each}", f"Sentiment score of the last {picture.window}")
    return (*upper, f"Price ({escape(picture.price_sources or '')})") if picture.prices else upper


def when(picture: Picture, start: datetime, end: datetime | None = None) -> str:
    """A moment or an interval in the zone of the market, with UTC beside it; of UTC days only the dates."""
    if end is not None and (end - start) % DAY == timedelta(0) and floor(start, DAY) == start:
        return f"{start:%a %d %b %Y} (UTC day)" if end - start == DAY else f"{start:%d %b} to {end:%d %b %Y} (UTC)"
    zone = ZoneInfo(picture.zone)
    local = f"{start.astimezone(zone):%a %d %b %Y %H:%M %Z}"
    until = f" to {end.astimezone(zone):%a %H:%M}" if end is not None else ""
    return f"{local}{until} ({start:%H:%M} UTC)"


def percent(share: float) -> str:
    """Rounded, but never to all or nothing: 99.96 % is not 100 %."""
    if not 1e-9 < share < 1 - 1e-9:
        return f"{share:.0%}"
    return f"{min(max(share, 0.001), 0.999):.1%}"


def bands_of(picture: Picture) -> list[tuple[str, str, float, float]]:
    """(label, colour, from, to) on the scale of the score, lowest first."""
    edges = (0.0, *picture.bands, 100.0)
    return [
        (label, colour, low, high) for (label, colour), low, high in zip(LABELS, edges[:-1], edges[1:], strict=True)
    ]


def spike_name(spike: Spike) -> str:
    return f"{spike.severity} spike" if spike.kind == "organic" else f"{spike.severity} burst of copies"


def dot(opinions: int, buckets: int) -> float:
    """How wide the dot of a ratio is, in points: 2.5, 5.5, 8.5 for 1, 10, 100 opinions, less where there are many dots."""
    return crowding(buckets) * (2.5 + 3 * log10(max(opinions, 1)))


def crowding(buckets: int) -> float:
    """What lines and dots are scaled by, so that many of them do not hide each other."""
    return min(1.0, max(0.45, 160 / buckets))


def lines_of_scores(picture: Picture) -> list[Score | None]:
    """The readings with None where the line breaks because their windows do not touch."""
    return _broken(picture.scores, lambda score: score.at, picture.window_width)


def lines_of_prices(picture: Picture) -> list[PriceBar | None]:
    """The bars with None where the line breaks."""
    return _broken(picture.prices, lambda bar: bar.start, _NO_TRADE)


def _broken(points: Sequence[T], at: Callable[[T], datetime], reach: timedelta) -> list[T | None]:
    """The points with None between those that are further apart than ``reach``."""
    found: list[T | None] = []
    for before, point in zip((None, *points), points, strict=False):
        if before is not None and at(point) - at(before) > reach:
            found.append(None)
        found.append(point)
    return found
