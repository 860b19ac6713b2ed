"""Facts of invented symbols for tests of the brief: one lively day with everything known, and what may be missing."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date, datetime, timedelta
from typing import Any

from builders import utc

from tracker.brief import BriefFacts, Heard, Talk
from tracker.rows import (
    BallotOption,
    Coverage,
    Driver,
    Episode,
    GroupMember,
    Headline,
    LabelSpan,
    LabelVisit,
    PriceContext,
    Reading,
    Shared,
)

AT = utc("2026-11-17T11:00")  # six in the morning in New York, a Tuesday
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ZONE = "America/New_York"


def reading(**changes: Any) -> Reading:
    """A reading of a lively day; what is not given is as it was on that day."""
    values: dict[str, Any] = {field.name: None for field in fields(Reading)}
    values |= {
        "symbol": "BABA", "at": AT, "window_name": "24h", "messages": 1310, "organic": 1204, "authors": 873,
        "texts": 1190, "bullish": 640, "bearish": 118, "neutral": 446, "bullish_ratio": 0.8443,
        "bullish_ratio_low": 0.8168, "bullish_ratio_high": 0.8684, "sentiment_score": 81.6,
        "sentiment_label": "extremely bullish", "expected": 214.3, "volume_z": 9.1, "volume_score": 100.0,
        "volume_label": "extremely high", "previous_messages": 480, "volume_change": 1.7292, "sources_up": 2,
        "baseline": "own", "volume_baseline": "own", "computed_at": AT,
    }  # fmt: skip
    return Reading(**(values | changes))


def week(**changes: Any) -> Reading:
    """Its week: 2,645 messages after 472."""
    values = {"window_name": "7d", "messages": 2645, "previous_messages": 472, "volume_change": 2173 / 472}
    return reading(**(values | changes))


def episode(**changes: Any) -> Episode:
    """Monday, ten times as loud as expected."""
    values: dict[str, Any] = {
        "symbol": "BABA", "bucket_width": DAY, "kind": "organic", "start_at": utc("2026-11-16T00:00"),
        "end_at": utc("2026-11-17T00:00"), "over_at": utc("2026-11-19T00:00"), "buckets": 1, "messages": 1290,
        "organic": 1180, "authors": 861, "expected": 208.4, "peak_z": 9.0, "peak_start": utc("2026-11-16T00:00"),
        "severity": "extreme", "first_severity": "extreme", "rose_at": None, "top_terms": None,
        "found_at": utc("2026-11-17T00:00"),
    }  # fmt: skip
    return Episode(**(values | changes))


def ballot(question: str | None, *answers: tuple[str, int | None], **changes: Any) -> tuple[BallotOption, ...]:
    """A poll with its answers and their votes; None: the source hides them."""
    known = [votes for _, votes in answers if votes is not None]
    total = sum(known) if len(known) == len(answers) else None
    values: dict[str, Any] = {
        "source": "stocktwits", "message_id": "poll-1", "created_at": AT - DAY, "question": question, "voters": total,
        "closes_at": AT + DAY, "seen_at": AT - timedelta(minutes=10), "url": "https://example.test/poll-1",
    }  # fmt: skip
    return tuple(
        BallotOption(
            **(
                values
                | {"position": position, "option": option, "votes": votes}
                | {"share": votes / total if votes is not None and total else None}
                | changes
            )
        )
        for position, (option, votes) in enumerate(answers, 1)
    )


def driver(term: str, messages: int, of: int = 1180, z: float = 8.0) -> Driver:
    return Driver(term, z, 2.5, messages, messages / of, 3, 0.001)


def talk(**changes: Any) -> Talk:
    """What marked the day before the moment."""
    drivers = (driver("cloud", 312), driver("guidance", 188), driver("buyback", 120, z=6.0), driver("chips", 64))
    shared = Shared(
        "bluesky", "m1", AT - 9 * HOUR, 34, 120, "RT @ann.example: $BABA cloud revenue up, see https://example.test/x and ask @bob",
        "https://example.test/m1",
    )  # fmt: skip
    return replace(Talk(AT - DAY, AT, False, drivers, shared), **changes)


def price(**changes: Any) -> PriceContext:
    """A little down before the market opens, after a loud Monday."""
    values: dict[str, Any] = {
        "symbol": "BABA", "at": AT, "price": 84.1, "price_at": AT - timedelta(minutes=5), "session": "pre", "source": "bars",
        "previous_close": 85.29, "previous_close_date": date(2026, 11, 16), "change": -0.01395, "session_change": 0.1,
        "session_date": date(2026, 11, 16), "week_change": 0.0846, "month_change": 0.0501, "year_change": 0.135,
        "high": 95.8, "high_date": date(2026, 10, 2), "below_high": 0.1221, "first_date": date(2026, 1, 5), "bars": 4000,
    }  # fmt: skip
    return PriceContext(**(values | changes))


def peer(symbol: str, **changes: Any) -> GroupMember:
    values: dict[str, Any] = {
        "symbol": symbol, "at": AT, "messages": 96, "organic": 90, "expected": 71.0, "volume_change": 0.2, "volume_label": "normal",
        "bullish_ratio": 0.7, "opinions": 44, "sentiment_score": 66.0, "sentiment_label": "bullish", "price": 41.5,
        "price_at": AT - HOUR, "session_change": 0.021, "session_date": date(2026, 11, 16), "year_change": -0.1,
    }  # fmt: skip
    return GroupMember(**(values | changes))


def silent_peer(symbol: str) -> GroupMember:
    return peer(symbol, **{field.name: None for field in fields(GroupMember) if field.name != "symbol"})


def headline(title: str, at: datetime, publisher: str | None = "Example Wire") -> Headline:
    return Headline("rss", at, publisher, title, "https://example.test/news?id=1&x=(2)")


# ------------------------------------------------------------------------------------------------ cases


def rich() -> BriefFacts:
    """Everything is known."""
    loud = {"messages": 212, "authors": 180, "expected": 19.6, "severity": "high", "bucket_width": HOUR}
    pasted = {
        "messages": 61,
        "authors": 7,
        "expected": 8.24,
        "severity": "notable",
        "kind": "copied",
        "bucket_width": HOUR,
    }
    start = utc("2026-11-16T14:00")
    others = ballot("Which one is next?", ("JD", 9), ("BIDU", 11), message_id="poll-2")
    return BriefFacts(
        symbol="BABA",
        at=AT,
        zone=ZONE,
        mentioned=True,
        kind="stock",
        measured_at=AT,
        last_reading_at=AT,
        labelled=reading(),
        day=reading(),
        week=week(),
        span=LabelSpan("extremely bullish", "bullish", AT - DAY, None, DAY, AT - 3 * DAY),
        data_from=utc("2026-01-05T00:00"),
        month_from=utc("2026-11-01T04:00"),
        labels=(
            LabelVisit("bullish", 297, utc("2026-11-01T05:00"), AT - DAY),
            LabelVisit("extremely bullish", 95, utc("2026-11-04T05:00"), AT),
        ),
        ballots=(*others, *ballot("Will the momentum go on?", ("Yes, it will", 861), ("No", 369))),
        talk=talk(),
        headlines=(
            headline("Alibaba <b>beats</b> estimates & lifts guidance", AT - 2 * HOUR),
            headline("Chinese tech in demand again", AT - 20 * HOUR, None),
        ),
        price=price(),
        group="china_tech",
        peers=(
            peer(
                "BABA",
                messages=1310,
                volume_change=1.7292,
                opinions=758,
                sentiment_label="extremely bullish",
                session_change=0.1,
            ),
            peer("BIDU"),
            peer("JD", sentiment_label=None, opinions=2, messages=9, volume_change=None, session_change=-0.004),
            silent_peer("PDD"),
        ),
        episodes=(
            episode(),
            episode(start_at=start, end_at=start + 3 * HOUR, buckets=2, **loud),
            episode(start_at=utc("2026-11-14T19:00"), end_at=utc("2026-11-14T20:00"), **pasted),
            episode(start_at=utc("2026-11-12T15:00"), end_at=utc("2026-11-12T16:00"), **loud),
            episode(start_at=utc("2026-11-11T15:00"), end_at=utc("2026-11-11T16:00"), **loud),
        ),
        coverage=Coverage(3, 0.981, 0.62, 1, 2.5),
        heard=(Heard("bluesky", 1, 1.0), Heard("reddit", 2, 0.9975), Heard("stocktwits", 1, 0.4)),
    )


def first_time() -> BriefFacts:
    """A label not seen for three months, volume down, nothing else known."""
    now = reading(
        bullish=9, bearish=31, bullish_ratio=0.225, bullish_ratio_low=0.1232, bullish_ratio_high=0.375,
        sentiment_score=11.2, sentiment_label="extremely bearish", messages=64, organic=60, authors=52, expected=57.9,
        volume_label="normal",
    )  # fmt: skip
    gone = utc("2026-08-12T16:00")
    return BriefFacts(
        symbol="BABA",
        at=AT,
        zone=ZONE,
        mentioned=True,
        measured_at=AT,
        last_reading_at=AT,
        labelled=now,
        day=now,
        week=week(messages=395, previous_messages=472, volume_change=-0.1631),
        span=LabelSpan("extremely bearish", "bearish", AT - 2 * HOUR, None, 2 * HOUR, gone),
        data_from=utc("2026-01-05T00:00"),
        month_from=utc("2026-11-01T04:00"),
        labels=(
            LabelVisit("bearish", 300, utc("2026-11-01T05:00"), AT - 3 * HOUR),
            LabelVisit("neutral", 88, utc("2026-11-02T05:00"), AT - 6 * DAY),
            LabelVisit("extremely bearish", 3, AT - 2 * HOUR, AT),
        ),
        coverage=Coverage(2, 1.0, 1.0, 0, 0.0),
    )


def sparse() -> BriefFacts:
    """Two opinions in a week, a week without enough before it, nothing to expect anything from."""
    unknown = {
        "volume_label": None, "volume_z": None, "expected": None, "volume_baseline": "none", "volume_change": None,
        "sentiment_score": None, "sentiment_label": None, "sources_up": 1, "symbol": "TINY",
    }  # fmt: skip
    none = {"bullish_ratio": None, "bullish_ratio_low": None, "bullish_ratio_high": None, "bullish": 0, "bearish": 0}
    wide = {"bullish_ratio": 0.5, "bullish_ratio_low": 0.0945, "bullish_ratio_high": 0.9055, "bullish": 1, "bearish": 1}
    return BriefFacts(
        symbol="TINY",
        at=AT,
        zone=ZONE,
        mentioned=True,
        measured_at=AT,
        last_reading_at=AT,
        day=reading(**unknown, **none, messages=1, organic=1, authors=1, previous_messages=0),
        week=week(**unknown, **wide, messages=9, organic=8, authors=7, previous_messages=3),
        coverage=Coverage(1, None, None, 0, 0.0),
    )


def nothing() -> BriefFacts:
    return BriefFacts(symbol="ZZZZ", at=AT, zone=ZONE, mentioned=False)


def closed_poll() -> BriefFacts:
    """A poll whose last state was seen after its end, with more votes than voters."""
    answers = (("Up", 480), ("Down", 480), ("Sideways", 90))
    return replace(first_time(), ballots=ballot(None, *answers, closes_at=AT - DAY, seen_at=AT - HOUR, voters=700))


def coin() -> BriefFacts:
    """Traded around the clock: no session, an odd price, a move too small for a verb."""
    moves = {"price": 0.0821349, "previous_close": 0.0821, "change": 0.000425, "session_change": -0.0031}
    open_all_day = {
        "session": None,
        "session_date": date(2026, 11, 16),
        "year_change": 0.0,
        "below_high": 0.0,
        "high": 0.0821349,
    }
    values = moves | open_all_day | {"month_change": None, "high_date": date(2026, 11, 17)}
    return replace(first_time(), symbol="DOGE.X", kind="coin", price=price(symbol="DOGE.X", **values))


def stale_price() -> BriefFacts:
    return replace(first_time(), kind="stock", price=price(price_at=AT - 7 * DAY, session="regular"))


def copied_only() -> BriefFacts:
    """One advert, pasted by many: a message in its own words is nearly all that is left."""
    pasted = {"messages": 61, "organic": 1, "authors": 9, "texts": 2, "bullish": 0, "bearish": 0, "copied_ratio": 0.98}
    none = {
        "bullish_ratio": None,
        "bullish_ratio_low": None,
        "bullish_ratio_high": None,
        "sentiment_label": None,
        "sentiment_score": None,
    }
    day = reading(symbol="GTAT", expected=2.1, volume_label="low", **pasted, **none)
    return replace(
        first_time(),
        symbol="GTAT",
        labelled=None,
        day=day,
        week=week(**none, messages=63, organic=3, bullish=0, bearish=0, previous_messages=12, volume_change=4.25),
        span=None,
        labels=(),
        episodes=(episode(symbol="GTAT", kind="copied", messages=61, authors=9, expected=2.1, severity="high"),),
    )


def default_baseline() -> BriefFacts:
    young = reading(baseline="default", volume_baseline="pooled")
    return replace(first_time(), labelled=young, day=young, span=None, labels=())


CASES = {
    "rich": rich,
    "first_time": first_time,
    "sparse": sparse,
    "nothing": nothing,
    "closed_poll": closed_poll,
    "coin": coin,
    "stale_price": stale_price,
    "copied_only": copied_only,
    "default_baseline": default_baseline,
}
