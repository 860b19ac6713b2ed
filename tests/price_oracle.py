"""What the price metrics should say, in plain Python, bar by bar; and price bars made by chance to ask both about."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tracker.store.columns import insert_columns
from tracker.store.connect import Connection

ZONE = ZoneInfo("America/New_York")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WIDTHS = (timedelta(minutes=5), timedelta(minutes=30), HOUR, 2 * HOUR)
COLUMNS = {
    "symbol": "VARCHAR", "bucket_width": "INTERVAL", "bucket_start": "TIMESTAMP", "session": "VARCHAR", "high": "DOUBLE", "close": "DOUBLE",
    "source": "VARCHAR", "fetched_at": "TIMESTAMP",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PriceBar:
    """One bar of one source."""

    symbol: str
    width: timedelta
    start: datetime
    session: str | None  # as the source says
    high: float | None
    close: float
    source: str = "file"
    fetched_at: datetime = datetime(2026, 12, 31, tzinfo=UTC)

    @property
    def told_session(self) -> str | None:
        """By the clock of the market where the source says nothing and the symbol is a stock's."""
        if self.session is not None or self.width == DAY or self.symbol.endswith(".X"):
            return self.session
        begins, ends = (moment.astimezone(ZONE) for moment in (self.start, self.start + self.width))
        opening = datetime.combine(begins.date(), time(9, 30), ZONE)
        return "pre" if ends <= opening else "post" if begins.time() >= time(16) else "regular"

    @property
    def trading_date(self) -> date:
        never_closes = self.width == DAY or self.told_session is None
        return (self.start if never_closes else self.start.astimezone(ZONE)).date()

    @property
    def known_at(self) -> datetime:
        return end_of(self.trading_date, self.session) if self.width == DAY else self.start + self.width


def end_of(day: date, session: str | None) -> datetime:
    """When a trading date is over."""
    if session == "regular":
        return datetime.combine(day, time(16), ZONE).astimezone(UTC)
    return datetime.combine(day, time(), UTC) + DAY


def known(bars: Iterable[PriceBar], symbol: str, at: datetime) -> list[PriceBar]:
    """One bar for each width and start, of those that had ended by then."""
    best: dict[tuple[timedelta, datetime], PriceBar] = {}
    for bar in sorted(bars, key=lambda bar: bar.source, reverse=True):
        key = bar.width, bar.start
        if bar.symbol == symbol and (key not in best or bar.fetched_at >= best[key].fetched_at):
            best[key] = bar
    return [bar for bar in best.values() if bar.known_at <= at]


def latest(bars: Iterable[PriceBar]) -> PriceBar | None:
    return max(bars, key=lambda bar: (bar.known_at, bar.width, bar.start), default=None)


def closes(bars: Sequence[PriceBar], at: datetime) -> list[tuple[date, datetime, float]]:
    """(trading date, when it was known, close) of each regular session, oldest first."""
    found = {}
    for day in {bar.trading_date for bar in bars}:
        regular = [bar for bar in bars if bar.trading_date == day and bar.told_session in (None, "regular")]
        daily = next((bar for bar in regular if bar.width == DAY), None)
        last = daily or latest(bar for bar in regular if bar.width < DAY)
        if last is not None:
            moment = last.known_at if daily else max(last.known_at, end_of(day, last.told_session))
            if moment <= at:
                found[day] = (day, moment, last.close)
    return [found[day] for day in sorted(found)]


def context(bars: Iterable[PriceBar], symbol: str, at: datetime) -> dict[str, Any] | None:
    """The row of ``price_context``."""
    mine = known(bars, symbol, at)
    last = latest(mine)
    if last is None:
        return None
    ends = closes(mine, at)
    before = [
        end
        for end in ends
        if end[0] < last.trading_date or (last.told_session == "post" and end[0] == last.trading_date)
    ]
    tops = {
        bar.trading_date: max(bar.close, bar.high or bar.close)
        for bar in sorted(mine, key=lambda bar: max(bar.close, bar.high or bar.close))
    }
    high = max(tops.values())
    today = at.astimezone(ZONE).date()
    begins = {
        "week_change": today - timedelta(days=today.weekday()),
        "month_change": today.replace(day=1),
        "year_change": today.replace(month=1, day=1),
    }
    since = {}
    for name, day in begins.items():
        start = datetime.combine(day, time(), ZONE)
        base = [close for _, moment, close in ends if moment <= start]
        since[name] = last.close / base[-1] - 1 if base and last.known_at > start else None
    return {
        "price": last.close, "price_at": last.known_at, "session": last.told_session, "source": last.source,
        "previous_close": before[-1][2] if before else None, "previous_close_date": before[-1][0] if before else None,
        "change": last.close / before[-1][2] - 1 if before else None,
        "session_change": ends[-1][2] / ends[-2][2] - 1 if len(ends) > 1 else None, "session_date": ends[-1][0] if ends else None,
        **since, "high": high, "high_date": min(day for day, top in tops.items() if top == high), "below_high": 1 - last.close / high,
        "first_date": min(bar.trading_date for bar in mine), "bars": len(mine),
    }  # fmt: skip


def beside(bars: Iterable[PriceBar], symbol: str, at: datetime) -> dict[str, Any]:
    """Price and returns of ``priced_readings`` for a reading of a moment."""
    everything = list(bars)
    last = latest(known(everything, symbol, at))
    price = last.close if last is not None and last.known_at >= at - timedelta(days=5) else None
    later = known(everything, symbol, datetime(2200, 1, 1, tzinfo=UTC))
    reached = max((bar.known_at for bar in everything if bar.symbol == symbol), default=at)
    ends = closes(later, reached)
    past, coming = [end for end in ends if end[1] <= at], [end for end in ends if end[1] > at]
    hour = latest(bar for bar in later if at < bar.known_at <= at + HOUR and bar.width <= HOUR)
    fresh = bool(past) and past[-1][1] >= at - timedelta(days=5)

    def ahead(number: int, limit: timedelta) -> float | None:
        there = price is not None and len(coming) >= number and coming[number - 1][1] <= at + limit
        return coming[number - 1][2] / price - 1 if there and price else None

    def behind(number: int, limit: timedelta) -> float | None:
        there = fresh and len(past) > number and past[-1][1] <= past[-1 - number][1] + limit
        return past[-1][2] / past[-1 - number][2] - 1 if there else None

    week, fortnight = timedelta(days=7), timedelta(days=14)
    return {
        "price": price, "price_at": last.known_at if last is not None and price is not None else None, "close_date": past[-1][0] if fresh else None,
        "before_1d": behind(1, week), "before_5d": behind(5, fortnight),
        "forward_1h": hour.close / price - 1 if hour is not None and price else None,
        "forward_1d": ahead(1, week), "forward_5d": ahead(5, fortnight),
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- bars by chance

STARTS = (date(2025, 12, 22), date(2026, 2, 25), date(2026, 10, 21))  # the turn of a year, into and out of summer time


def chance_bars(seed: int, symbol: str, days: int = 20) -> list[PriceBar]:
    """Daily bars with holes, bars of hours and minutes in and around the session, from one source or two."""
    dice = random.Random(f"{seed} {symbol}")  # noqa: S311 (a market, not a secret)
    coin = symbol.endswith(".X")
    first = STARTS[seed % len(STARTS)]
    share = dice.choice([0.0, 0.5, 1.0])
    bars: dict[tuple[Any, ...], PriceBar] = {}
    for number in range(days):
        day = first + timedelta(days=number)
        if (day.isoweekday() > 5 and not coin) or dice.random() < 0.15:
            continue
        midnight = datetime.combine(day, time(), UTC)
        if dice.random() < share:
            session = None if coin or dice.random() < 0.1 else "regular"
            _add(bars, dice, symbol, DAY, midnight, session)
        for _ in range(dice.choice([0, 0, 3, 8])):
            width = dice.choice(WIDTHS)
            start = midnight + timedelta(minutes=5 * dice.randrange(95, 310))
            _add(
                bars, dice, symbol, width, start, None if coin or dice.random() < 0.6 else _clock_session(start, width)
            )
    return list(bars.values())


def _clock_session(start: datetime, width: timedelta) -> str:
    return PriceBar("AAA", width, start, None, None, 1.0).told_session or "regular"


def _add(
    bars: dict[tuple[Any, ...], PriceBar],
    dice: random.Random,
    symbol: str,
    width: timedelta,
    start: datetime,
    session: str | None,
) -> None:
    for source in dice.choice([("a",), ("b",), ("a", "b")]):
        close = dice.randrange(200, 800) / 4
        high = None if dice.random() < 0.3 else close + dice.choice([0, 0, 5, 40]) / 4
        fetched = datetime(2026, 12, dice.randrange(1, 4), tzinfo=UTC)
        bars[width, start, source] = PriceBar(symbol, width, start, session, high, close, source, fetched)


def put(connection: Connection, bars: Iterable[PriceBar]) -> None:
    """These bars and no others."""
    connection.execute("DELETE FROM prices")
    add(connection, bars)


def add(connection: Connection, bars: Iterable[PriceBar]) -> None:
    insert_columns(
        connection, "prices", COLUMNS, [(b.symbol, b.width, b.start, b.session, b.high, b.close, b.source, b.fetched_at) for b in bars]
    )  # fmt: skip
