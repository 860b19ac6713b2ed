"""What a brief may say: everything that is known about one symbol at one moment, asked of the database once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tracker import metrics
from tracker.errors import BadInput
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
from tracker.store import Connection, naive_utc

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
_NEWS: Final = timedelta(days=3)  # how old a headline may be
_HEADLINES: Final = 3
_WORDS: Final = 5  # drivers that are kept
_ZONE: Final = "America/New_York"


@dataclass(frozen=True, slots=True)
class Heard:
    """A row of ``heard_between``: how much of the past week one source was listened to."""

    source: str
    streams: int  # that may carry the symbol
    up: float  # 0..1


@dataclass(frozen=True, slots=True)
class Talk:
    """What people said in one span: the past day, or the strongest spike of the week where nothing marks the day."""

    from_at: datetime
    until_at: datetime
    spike: bool  # the span is that of a spike
    drivers: tuple[Driver, ...] = ()  # strongest first
    shared: Shared | None = None  # the message that was passed on most


@dataclass(frozen=True, slots=True)
class BriefFacts:
    """All that a brief may say about one symbol at one moment; None where it is unknown."""

    symbol: str
    at: datetime | None  # the moment asked for; None: no reading of anything exists yet
    zone: str  # the market's zone, for weekdays and months
    mentioned: bool  # some stored message before the moment names the symbol
    kind: str | None = None  # stock, etf, coin, …; None: not in the universe
    measured_at: datetime | None = None  # when readings of any symbol were last taken, at or before the moment
    last_reading_at: datetime | None = None  # its newest reading of any window at or before the moment, however old
    labelled: Reading | None = None  # newest 24-hour reading with a label, at most seven days old
    day: Reading | None = None  # newest 24-hour reading, at most seven days old
    week: Reading | None = None  # newest 7-day reading, at most seven days old
    span: LabelSpan | None = None  # the stay in the label of ``labelled``
    data_from: datetime | None = None  # first 24-hour reading with a label
    month_from: datetime | None = None  # start of the month in the market's zone
    labels: tuple[LabelVisit, ...] = ()  # labels shown since then, most frequent first
    ballots: tuple[BallotOption, ...] = ()  # polls that messages of the past week carried
    talk: Talk | None = None
    headlines: tuple[Headline, ...] = ()  # newest first
    price: PriceContext | None = None
    group: str | None = None  # the group to stand beside
    peers: tuple[GroupMember, ...] = ()  # its members, the symbol itself among them where it is one
    episodes: tuple[
        Episode, ...
    ] = ()  # daily and hourly ones of the seven days before, longest bucket and strongest first
    coverage: Coverage | None = None
    heard: tuple[Heard, ...] = ()  # by source, best heard first


def read_facts(
    connection: Connection, symbol: str, at: datetime | None = None, against: str | None = None
) -> BriefFacts:
    """What is known about ``symbol`` at ``at`` (aware; None: when the newest readings were taken).

    ``against``: a configured group; BadInput where the file knows none of that name.
    """
    group = None if against is None else _known_group(connection, against)
    facts = replace(read_lead(connection, symbol, at), group=group)
    name, moment = facts.symbol, facts.at
    if moment is None:
        return facts
    episodes = _strongest(metrics.episodes(connection, moment - WEEK, moment, name, limit=10_000))
    day_ends = facts.day.at if facts.day else moment
    return replace(
        facts,
        kind=_kind(connection, name),
        measured_at=metrics.newest_moment(connection, moment),
        ballots=tuple(metrics.ballot_results(connection, name, moment - WEEK, moment)),
        talk=talk_of(connection, name, day_ends, moment, episodes) if facts.mentioned else None,
        headlines=tuple(metrics.headlines(connection, name, moment - _NEWS, moment, _HEADLINES)),
        price=metrics.price_context(connection, name, moment),
        peers=tuple(metrics.group_readings(connection, group, moment)) if group else (),
        episodes=episodes,
        coverage=metrics.coverage(connection, name, moment),
        heard=_heard(connection, name, moment),
    )


def read_lead(connection: Connection, symbol: str, at: datetime | None = None) -> BriefFacts:
    """Only what ``lead_sentence`` tells, a tenth of the work: all that an alert has time for."""
    name = metrics.canonical(symbol)
    moment = at or metrics.newest_moment(connection)
    zone = metrics.market_zone(connection) or _ZONE
    facts = BriefFacts(name, moment, zone, metrics.mentioned(connection, name, moment))
    if moment is None:
        return facts
    day = metrics.reading(connection, name, moment, "24h")
    labelled = day if day and day.sentiment_label else metrics.reading(connection, name, moment, "24h", labelled=True)
    spans = metrics.label_spans(connection, name, labelled.at, labelled.at) if labelled else []
    first_at, last_at = metrics.reading_bounds(connection, name, moment)
    month = metrics.month_start(connection, moment)
    return replace(
        facts,
        last_reading_at=last_at,
        labelled=labelled,
        day=day,
        week=metrics.reading(connection, name, moment, "7d"),
        span=spans[-1] if spans else None,
        data_from=first_at,
        month_from=month,
        labels=tuple(metrics.labels_between(connection, name, month, moment)) if month else (),
    )


def _strongest(found: Sequence[Episode]) -> tuple[Episode, ...]:
    """Daily and hourly episodes, days first, then by how far above its expectation each one's peak was."""
    long = [episode for episode in found if episode.bucket_width >= HOUR]
    return tuple(sorted(long, key=lambda episode: (episode.bucket_width, episode.peak_z), reverse=True))


def talk_of(
    connection: Connection, symbol: str, day_ends: datetime, moment: datetime, episodes: Sequence[Episode]
) -> Talk | None:
    """What marks the day; where no word does, what marked the strongest spike of the week."""
    spans = [(day_ends - DAY, day_ends, False)]
    if episodes:
        loudest = max(episodes, key=lambda episode: (episode.kind == "organic", episode.peak_z))
        spans.append((loudest.start_at, min(loudest.end_at, moment), True))
    told = []
    for from_at, until_at, spike in spans:
        words = tuple(metrics.drivers(connection, symbol, from_at, until_at, _WORDS))
        passed_on = metrics.most_reshared(connection, symbol, from_at, until_at)
        talk = Talk(from_at, until_at, spike, words, passed_on[0] if passed_on else None)
        if words:
            return talk
        told.append(talk)
    return next((talk for talk in told if talk.shared), None)


def _heard(connection: Connection, symbol: str, moment: datetime) -> tuple[Heard, ...]:
    rows = connection.execute(
        """SELECT source, streams, up FROM heard_between($symbol, $since, $until)
           WHERE source <> '*' ORDER BY up DESC, source""",
        {"symbol": symbol, "since": naive_utc(moment - WEEK), "until": naive_utc(moment)},
    ).fetchall()
    return tuple(Heard(*row) for row in rows)


def _kind(connection: Connection, symbol: str) -> str | None:
    """What the symbol stands for, as the universe has it."""
    row = connection.execute("SELECT max(kind) FROM symbols WHERE symbol = $symbol", {"symbol": symbol}).fetchone()
    return row[0] if row else None


def _known_group(connection: Connection, group: str) -> str:
    known = metrics.groups(connection)
    if group not in known:
        expected = f"expected one of {', '.join(known)}" if known else "no group is known"
        expected = f"{expected}; [watchlist.groups] is read when the daemon starts"
        raise BadInput("there is no such group", group, expected)
    return group
