"""The formulas of the metrics once more: straight from the facts, one message at a time, in plain Python.

Slow and simple on purpose, and it shares nothing with ``queries/``: where the two agree, a mistake would have to have
been made twice. Hours and days are counted from 1970 in UTC; a window is the half-open span [at - width, at).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from statistics import fmean, median, stdev
from typing import Any
from zoneinfo import ZoneInfo

from worlds import DAY, HOUR, METER, MINUTE, Heard, Said, World

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WIDTHS = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY}
NEW_YORK = ZoneInfo(str(METER["zone"]))
K = 4.0
SENTIMENT = ("extremely bearish", "bearish", "neutral", "bullish", "extremely bullish")
VOLUME = ("extremely low", "low", "normal", "high", "extremely high")


def hour_number(moment: datetime) -> int:
    return (moment - EPOCH) // HOUR


def day_number(moment: datetime) -> int:
    return (moment - EPOCH) // DAY


@cache
def hour_of_week(hour: int) -> int:
    """0..167, Monday midnight in New York first."""
    local = (EPOCH + hour * HOUR).astimezone(NEW_YORK)
    return local.weekday() * 24 + local.hour


def anscombe(count: float) -> float:
    return 2 * math.sqrt(count + 3 / 8)


def phi(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def mad_scale(residuals: Iterable[float]) -> float:
    """1.4826 times the median absolute deviation."""
    values = list(residuals)
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def wilson(bulls: int, bears: int) -> tuple[float, float]:
    """The 95 % interval as the two roots of (p - ratio)^2 = z^2 p (1 - p) / m."""
    z, m = 1.959963984540054, bulls + bears
    a, b, c = 1 + z * z / m, -(2 * bulls / m + z * z / m), (bulls / m) ** 2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return max(0.0, (-b - root) / (2 * a)), min(1.0, (-b + root) / (2 * a))


def band(score: float, labels: tuple[str, ...]) -> str:
    if score < 25:
        return labels[0]
    if score < 45:
        return labels[1]
    if score <= 55:
        return labels[2]
    return labels[3] if score <= 75 else labels[4]


@dataclass(frozen=True, slots=True)
class Market:
    """What all readings of one day share."""

    p0: float
    s0: float
    stored: bool
    profile: tuple[float, ...]
    weeks: int


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the 28 days before say about one symbol."""

    rate: float
    scale: dict[str, float]  # window name -> scale of its residuals
    seen: bool  # the symbol had a listened day in which it was spoken of


class Oracle:
    """Answers for one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.market = cache(self._market)
        self.expectation = cache(self._expectation)
        self.pool_rate = cache(self._pool_rate)
        self.listened_hours = cache(self._listened_hours)
        self.days = cache(self._days)

    # -------------------------------------------------------------------------------------------- facts

    @cached_property
    def by_symbol(self) -> dict[str, list[Said]]:
        found: dict[str, list[Said]] = defaultdict(list)
        for one in sorted(self.world.said, key=lambda said: (said.at, said.source, said.id)):
            for symbol in one.symbols:
                found[symbol].append(one)
        return found

    @cached_property
    def copied(self) -> set[tuple[str, str, str]]:
        """(source, id, symbol) of what somebody had said before."""
        found = set()
        for symbol, talk in self.by_symbol.items():
            stored = {(one.source, one.id): one for one in talk}
            for number, one in enumerate(talk):
                echo = one.key is not None and any(
                    other.key == one.key and one.at - other.at < DAY for other in talk[:number]
                )
                original = stored.get((one.source, one.reshare_of or ""))
                if echo or (original is not None and original.at <= one.at):
                    found.add((one.source, one.id, symbol))
        return found

    def between(self, symbol: str, from_at: datetime, to_at: datetime) -> list[Said]:
        return [one for one in self.by_symbol.get(symbol, ()) if from_at <= one.at < to_at]

    def organic(self, symbol: str, talk: Iterable[Said]) -> list[Said]:
        return [one for one in talk if (one.source, one.id, symbol) not in self.copied]

    @cached_property
    def counts(self) -> dict[tuple[str, timedelta, int], int]:
        """Organic messages by (symbol, width, number of the interval since 1970)."""
        found: dict[tuple[str, timedelta, int], int] = defaultdict(int)
        for symbol, talk in self.by_symbol.items():
            for one in self.organic(symbol, talk):
                for width in (5 * MINUTE, HOUR, DAY):
                    found[symbol, width, (one.at - EPOCH) // width] += 1
        return found

    @cached_property
    def opinions(self) -> dict[tuple[str, int], tuple[int, int]]:
        """(bulls, bears) of the organic messages by (symbol, day)."""
        found: dict[tuple[str, int], tuple[int, int]] = {}
        for symbol, talk in self.by_symbol.items():
            for one in self.organic(symbol, talk):
                bulls, bears = found.get((symbol, day_number(one.at)), (0, 0))
                found[symbol, day_number(one.at)] = (bulls + (one.stance == 1), bears + (one.stance == -1))
        return found

    # -------------------------------------------------------------------------------------------- listening

    @cached_property
    def covered(self) -> dict[tuple[str, str], dict[int, float]]:
        """Per stream: the share of each hour that its polls cover, from its first covered hour to its last."""
        spans: dict[tuple[str, str], list[Heard]] = defaultdict(list)
        for heard in self.world.heard:
            if heard.from_at < heard.to_at:
                spans[heard.source, heard.stream].append(heard)
        found = {}
        for stream, polls in spans.items():
            first, last = (
                min(hour_number(p.from_at) for p in polls),
                max(hour_number(p.to_at - timedelta(microseconds=1)) for p in polls),
            )
            found[stream] = {hour: _share(hour, polls) for hour in range(first, last + 1)}
        return found

    def ears(self, hour: int, symbol: str | None, source: str | None = None) -> list[float]:
        """Shares of the hour, one for each stream that existed then: those of a symbol, or (None) those open to any."""
        wanted = None if symbol is None else f"symbol/{symbol}"
        return [
            shares[hour]
            for (of_source, stream), shares in self.covered.items()
            if hour in shares
            and source in (None, of_source)
            and (stream == wanted if wanted else not stream.startswith("symbol/"))
        ]

    def all_ears(self, hour: int, source: str | None = None) -> list[float]:
        return [
            shares[hour]
            for (of_source, _), shares in self.covered.items()
            if hour in shares and source in (None, of_source)
        ]

    def _listened_hours(self, symbol: str, day: int) -> dict[int, float]:
        """hour -> share, over the 28 days before ``day``: those in which the symbol could be heard."""
        hours = range((day - 28) * 24, day * 24)
        streams = {stream for _, stream in self.covered}
        own = {hour: self.ears(hour, symbol) for hour in hours} if f"symbol/{symbol}" in streams else {}
        if any(own.values()):
            return {hour: fmean(ears + self.ears(hour, None)) for hour, ears in own.items() if ears}
        return {hour: fmean(ears) for hour in hours if (ears := self.ears(hour, None) or self.all_ears(hour))}

    # -------------------------------------------------------------------------------------------- baselines

    def _market(self, day: int) -> Market:
        before = {key: value for key, value in self.opinions.items() if day - 90 <= key[1] < day}
        bulls, bears = sum(b for b, _ in before.values()), sum(s for _, s in before.values())
        much = [(b, s) for b, s in before.values() if b + s >= 5]
        profile, weeks = self._profile(day)
        if len(much) < 200 or not bulls or not bears:
            return Market(0.70, 0.90, False, profile, weeks)
        p0 = bulls / (bulls + bears)
        return Market(p0, max(0.5, mad_scale(_log_odds(b, s, p0) for b, s in much)), True, profile, weeks)

    def _profile(self, day: int) -> tuple[tuple[float, ...], int]:
        flat = (1.0,) * 168
        everything = [hour // 24 for (_, width, hour) in self.counts if width == HOUR]
        talk = [day_number(one.at) for one in self.world.said if one.symbols]
        shares = []
        for back in range(1, 9):
            first = day - 7 * back
            if not everything or first < min(talk):
                continue
            slots = [0] * 168
            for (_, width, hour), organic in self.counts.items():
                if width == HOUR and first <= hour // 24 < first + 7:
                    slots[hour_of_week(hour)] += organic
            if sum(slots):
                shares.append([count / sum(slots) for count in slots])
        if len(shares) < 2:
            return flat, len(shares)
        middle = [median(share[slot] for share in shares) for slot in range(168)]
        return (tuple(share / fmean(middle) for share in middle) if any(middle) else flat), len(shares)

    def _days(self, symbol: str, day: int) -> list[tuple[int, int, float]]:
        """(day, organic, adjusted hours) of the listened days among the 28 before."""
        profile = self.market(day).profile
        hours: dict[int, float] = defaultdict(float)
        for hour, share in self.listened_hours(symbol, day).items():
            hours[hour // 24] += profile[hour_of_week(hour)] * share
        return [
            (one, self.counts.get((symbol, DAY, one), 0), adjusted)
            for one, adjusted in sorted(hours.items())
            if adjusted > 0
        ]

    def spoken_of(self, symbol: str, day: int) -> bool:
        return any(day - 28 <= day_number(one.at) < day for one in self.by_symbol.get(symbol, ()))

    def _pool_rate(self, day: int) -> float | None:
        rates = []
        for symbol in self.by_symbol:
            days = self.days(symbol, day) if self.spoken_of(symbol, day) else []
            if days:
                rates.append(sum(organic for _, organic, _ in days) / sum(hours for _, _, hours in days))
        return median(rates) if rates else None

    def _expectation(self, symbol: str, day: int) -> Expectation | None:
        pool = self.pool_rate(day)
        if pool is None:
            return None
        known = self.spoken_of(symbol, day) and bool(self.days(symbol, day))
        name = symbol if known else "*"
        days = self.days(name, day)
        kept = sorted(days, key=lambda one: (-one[1], -one[0]))[3:]
        rate = (sum(organic for _, organic, _ in kept) + 168 * pool) / (sum(hours for _, _, hours in kept) + 168)
        blocks: dict[int, list[float]] = defaultdict(lambda: [0, 0.0])
        for one, organic, hours in days:
            blocks[(day - one - 1) // 7][0] += organic
            blocks[(day - one - 1) // 7][1] += hours
        profile = self.market(day).profile
        by_hour = [
            anscombe(self.counts.get((name, HOUR, hour), 0)) - anscombe(rate * profile[hour_of_week(hour)] * share)
            for hour, share in self.listened_hours(name, day).items()
            if share > 0
        ]
        scale = {
            "1h": max(1.0, mad_scale(by_hour)) if by_hour else 1.0,
            "24h": max(1.0, mad_scale(anscombe(organic) - anscombe(rate * hours) for _, organic, hours in days))
            if days
            else 1.0,
            "7d": max(1.0, mad_scale(anscombe(organic) - anscombe(rate * hours) for organic, hours in blocks.values()))
            if blocks
            else 1.0,
        }
        return Expectation(rate, scale, known and any(organic for _, organic, _ in days))

    def five_minute_scale(self, symbol: str, day: int, rate: float) -> float:
        name = symbol if self.spoken_of(symbol, day) and self.days(symbol, day) else "*"
        profile = self.market(day).profile
        residuals = [
            anscombe(self.counts.get((name, 5 * MINUTE, 12 * hour + slot), 0))
            - anscombe(rate * profile[hour_of_week(hour)] * share / 12)
            for hour, share in self.listened_hours(name, day).items()
            if share > 0
            for slot in range(12)
        ]
        return max(1.0, mad_scale(residuals)) if residuals else 1.0

    def expected(self, rate: float, from_at: datetime, to_at: datetime) -> float:
        """r times the sum of f(h) over the hours of a window, by the clock of the day on which it starts."""
        profile = self.market(day_number(from_at)).profile
        total = 0.0
        for hour in range(hour_number(from_at), hour_number(to_at - timedelta(microseconds=1)) + 1):
            begin = EPOCH + hour * HOUR
            total += profile[hour_of_week(hour)] * ((min(begin + HOUR, to_at) - max(begin, from_at)) / HOUR)
        return rate * total

    # -------------------------------------------------------------------------------------------- answers

    def readings(self, at: datetime) -> dict[tuple[str, str], dict[str, Any]]:
        """(symbol, window name) -> every column of the reading but its key and computed_at."""
        found = {}
        for window, width in WIDTHS.items():
            talk = {symbol: self.between(symbol, at - width, at) for symbol in self.by_symbol}
            before = {symbol: self.between(symbol, at - 2 * width, at - width) for symbol in self.by_symbol}
            ranks, earlier = self._ranks(talk), self._ranks(before) if window == "24h" else {}
            voices = sum(map(len, talk.values()))
            for symbol in {symbol for symbol, said in talk.items() if said} | set(self.world.watchlist):
                reading = self._sentiment(symbol, at, talk.get(symbol, []))
                reading |= self._volume(symbol, window, at, talk.get(symbol, []), before.get(symbol, []))
                reading |= {
                    "buzz_rank": ranks.get(symbol), "buzz_rank_before": earlier.get(symbol),
                    "share_of_voice": reading["messages"] / voices if reading["messages"] else (0.0 if voices and symbol in talk and talk[symbol] else None),
                    "sources_up": self._sources_up(at - width, at),
                }  # fmt: skip
                market = self.market(day_number(at))
                reading["baseline"] = reading["volume_baseline"] if market.stored else "default"
                found[symbol, window] = reading
                if not reading["messages"] and voices:
                    reading["share_of_voice"] = 0.0
        return found

    def _ranks(self, talk: dict[str, list[Said]]) -> dict[str, int]:
        organic = {symbol: len(self.organic(symbol, said)) for symbol, said in talk.items() if said}
        return {symbol: 1 + sum(other > count for other in organic.values()) for symbol, count in organic.items()}

    def _sources_up(self, from_at: datetime, to_at: datetime) -> int:
        hours = range(hour_number(from_at), hour_number(to_at - timedelta(microseconds=1)) + 1)
        up = 0
        for source in {source for source, _ in self.covered}:
            ears = [self.all_ears(hour, source) for hour in hours]
            alive = [one for one in ears if one]
            shares = [share for one in alive for share in one]
            up += bool(shares) and fmean(shares) * len(alive) / ((to_at - from_at) / HOUR) >= 0.5 - 1e-9
        return up

    def _sentiment(self, symbol: str, at: datetime, talk: list[Said]) -> dict[str, Any]:
        organic, market = self.organic(symbol, talk), self.market(day_number(at))
        bulls, bears = sum(one.stance == 1 for one in organic), sum(one.stance == -1 for one in organic)
        m, tones = bulls + bears, [one.tone for one in organic]
        z = (_log_odds(bulls, bears, market.p0) - math.log(market.p0 / (1 - market.p0))) / market.s0 if m >= 3 else None
        low, high = wilson(bulls, bears) if m else (None, None)
        return {
            "bullish": bulls, "bearish": bears, "neutral": len(organic) - m,
            "bullish_ratio": bulls / m if m else None, "bullish_ratio_low": low, "bullish_ratio_high": high,
            "bullishness": math.log((1 + bulls) / (1 + bears)) if m else None,
            "agreement": 1 - math.sqrt(1 - ((bulls - bears) / m) ** 2) if m else None,
            "tone_mean": fmean(tones) if tones else None, "tone_sd": stdev(tones) if len(tones) > 1 else None,
            "labelled_ratio": sum(one.label is not None for one in talk) / len(talk) if talk else None,
            "sentiment_z": z, "sentiment_z_own": self._own_z(symbol, at, bulls, bears),
            "sentiment_score": None if z is None else 100 * phi(z),
            "sentiment_label": None if z is None else band(100 * phi(z), SENTIMENT),
        }  # fmt: skip

    def _own_z(self, symbol: str, at: datetime, bulls: int, bears: int) -> float | None:
        """NULL too where the volume baseline has no row of its own: nobody could hear the symbol in the 28 days before."""
        day = day_number(at)
        known = self.spoken_of(symbol, day) and self.days(symbol, day)
        p0 = self.market(day).p0
        own = [
            _log_odds(b, s, p0)
            for (name, on), (b, s) in self.opinions.items()
            if name == symbol and day - 30 <= on < day and b + s >= 3
        ]
        if bulls + bears < 3 or len(own) < 10 or not known or stdev(own) == 0:
            return None
        return (_log_odds(bulls, bears, p0) - fmean(own)) / stdev(own)

    def _volume(self, symbol: str, window: str, at: datetime, talk: list[Said], before: list[Said]) -> dict[str, Any]:
        from_at, n, o, p = at - WIDTHS[window], len(talk), len(self.organic(symbol, talk)), len(before)
        basis = self.expectation(symbol, day_number(from_at))
        expected = None if basis is None else self.expected(basis.rate, from_at, at)
        z = None if basis is None or expected is None else (anscombe(o) - anscombe(expected)) / basis.scale[window]
        authors = len({one.author for one in talk} - {None})
        return {
            "messages": n, "organic": o, "authors": authors, "texts": len({one.key for one in talk} - {None}),
            "expected": expected, "volume_z": z, "volume_score": None if z is None else 100 * phi(z),
            "volume_label": None if z is None else band(100 * phi(z), VOLUME),
            "previous_messages": p, "volume_change": (n - p) / p if p >= 10 else None, "buzz": o / expected if expected else None,
            "dispersion": authors / n if n else None, "copied_ratio": (n - o) / n if n else None,
            "volume_baseline": "none" if basis is None else "own" if basis.seen else "pooled",
        }  # fmt: skip

    def spikes(self) -> dict[tuple[str, timedelta, datetime], dict[str, Any]]:
        """(symbol, width, bucket start) -> columns of the spike."""
        found = {}
        for width, window in ((5 * MINUTE, ""), (HOUR, "1h"), (DAY, "24h")):
            for symbol in self.by_symbol:
                for number in sorted({(one.at - EPOCH) // width for one in self.by_symbol[symbol]}):
                    start = EPOCH + number * width
                    spike = self._spike(symbol, width, window, start)
                    if spike is not None:
                        found[symbol, width, start] = spike
        return found

    def _spike(self, symbol: str, width: timedelta, window: str, start: datetime) -> dict[str, Any] | None:
        talk, day = self.between(symbol, start, start + width), day_number(start)
        o, authors, texts = (
            len(self.organic(symbol, talk)),
            len({one.author for one in talk} - {None}),
            len({one.key for one in talk} - {None}),
        )
        basis = self.expectation(symbol, day) if o >= 10 and authors >= 5 else None
        if basis is None:
            return None
        expected = self.expected(basis.rate, start, start + width)
        scale = basis.scale[window] if window else self.five_minute_scale(symbol, day, basis.rate)
        z = (anscombe(o) - anscombe(expected)) / scale
        if z < 3:
            return None
        loved = [((one.reshares or 0) + (one.likes or 0), one.id) for one in talk]
        return {
            "messages": len(talk), "organic": o, "authors": authors, "texts": texts, "expected": expected, "z": z,
            "p_value": 0.5 * math.erfc(z / math.sqrt(2)), "severity": "extreme" if z >= 8 else "high" if z >= 5 else "notable",
            "kind": "organic" if texts / len(talk) >= 0.5 else "copied",
            "top_message_id": max(loved)[1] if max(loved)[0] > 0 else None, "found_at": max(one.fetched_at for one in talk),
        }  # fmt: skip

    def message_volume(
        self, symbol: str, since: datetime, until: datetime, width: timedelta
    ) -> dict[datetime, int | None]:
        """Interval start -> messages; 0 where people were listened to and silent, None where nobody listened."""
        found: dict[datetime, int | None] = {}
        number = (since - EPOCH) // width
        while EPOCH + number * width < until:
            start = EPOCH + number * width
            hours = range(hour_number(start), hour_number(start + width - timedelta(microseconds=1)) + 1)
            listened = any(share > 0 for hour in hours for share in self.ears(hour, symbol) + self.ears(hour, None))
            said = len(self.between(symbol, start, start + width))
            found[start] = said if said or listened else None
            number += 1
        return found


def _log_odds(bulls: int, bears: int, p0: float) -> float:
    return math.log((bulls + K * p0) / (bears + K * (1 - p0)))


def _share(hour: int, polls: list[Heard]) -> float:
    begin, end = EPOCH + hour * HOUR, EPOCH + (hour + 1) * HOUR
    reached, covered = begin, timedelta(0)
    for poll in sorted(polls, key=lambda one: one.from_at):
        from_at, to_at = max(poll.from_at, reached), min(poll.to_at, end)
        if from_at < to_at:
            covered, reached = covered + (to_at - from_at), to_at
    return covered / HOUR
