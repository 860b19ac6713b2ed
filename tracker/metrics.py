"""Named SQL as typed rows: what the screens, the brief and the API read; reports and data dictionary beside it.

Nothing is computed here. Each function calls an object of the file by the name that a person would type, and gives
its rows a type. Times that go in are aware, times that come out are aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tracker.dictionary import dictionary
from tracker.reports import Parameter, Report, bind, canonical, from_database, load_report, reports, run, to_database
from tracker.rows import (
    BallotOption,
    Coverage,
    Driver,
    Episode,
    GroupMember,
    Headline,
    LabelSpan,
    LabelVisit,
    Leader,
    PriceContext,
    Reading,
    Shared,
    Spike,
    StreamHealth,
    Volume,
)
from tracker.store import Connection, aware_utc, naive_utc

__all__ = [
    "BallotOption", "Coverage", "Driver", "Episode", "GroupMember", "Headline", "LabelSpan", "LabelVisit", "Leader",
    "Parameter", "PriceContext", "Reading", "Report", "Shared", "Spike", "StreamHealth", "Volume", "ballot_results", "bind",
    "canonical", "coverage", "dictionary", "drivers", "episodes", "group_readings", "groups", "headlines", "history", "label_spans",
    "labels_between", "leaderboard", "load_report", "market_zone", "mentioned", "month_start", "most_reshared", "newest_moment",
    "price_context", "reading", "reading_bounds", "reports", "run", "spikes", "stream_health", "volume", "windows",
]  # fmt: skip

T = TypeVar("T")


def _typed(connection: Connection, kind: type[T], source: str, values: Mapping[str, Any]) -> list[T]:
    names = ", ".join(f'"{field.name}"' for field in fields(kind))  # type: ignore[arg-type]
    rows = connection.execute(
        f"SELECT {names} FROM {source}", {name: to_database(value) for name, value in values.items()}
    ).fetchall()
    return [kind(*(from_database(value) for value in row)) for row in rows]


def newest_moment(connection: Connection, at: datetime | None = None, window: str = "24h") -> datetime | None:
    """When the newest readings of a window were taken, at or before ``at`` where one is given; None without any."""
    row = connection.execute(
        """SELECT max("at") FROM readings
           WHERE window_name = $window AND ($at::TIMESTAMP IS NULL OR "at" <= $at::TIMESTAMP)""",
        {"window": window, "at": naive_utc(at)},
    ).fetchone()
    return aware_utc(row[0]) if row else None


def leaderboard(
    connection: Connection, at: datetime | None = None, window: str = "24h", limit: int = 20
) -> list[Leader]:
    """The most talked about symbols of the newest readings at or before ``at`` (at most a day older)."""
    moment = at or newest_moment(connection, None, window)
    return (
        _typed(
            connection,
            Leader,
            "leaderboard($at, $window) ORDER BY place LIMIT $limit",
            {"at": moment, "window": window, "limit": limit},
        )
        if moment
        else []
    )


def reading(
    connection: Connection, symbol: str, at: datetime, window: str = "24h", labelled: bool = False
) -> Reading | None:
    """The newest reading of a symbol at or before ``at``, at most seven days older.

    With ``labelled`` the newest of them that has a sentiment label.
    """
    where = """readings WHERE symbol = $symbol AND window_name = $window AND "at" <= $at AND "at" > $at - INTERVAL 7 DAY
               AND (NOT $labelled OR sentiment_label IS NOT NULL) ORDER BY "at" DESC LIMIT 1"""
    found = _typed(connection, Reading, where, {"symbol": symbol, "at": at, "window": window, "labelled": labelled})
    return found[0] if found else None


def history(
    connection: Connection, symbol: str, since: datetime, until: datetime, window: str = "24h"
) -> list[Reading]:
    """The readings of one symbol with ``since <= at <= until``, oldest first."""
    source = 'sentiment_history($symbol, $since, $until, $window) ORDER BY "at"'
    return _typed(connection, Reading, source, {"symbol": symbol, "since": since, "until": until, "window": window})


def label_spans(
    connection: Connection, symbol: str, since: datetime, until: datetime, window: str = "24h"
) -> list[LabelSpan]:
    """The stays in a label that reach into the span, oldest first."""
    source = "label_changes($symbol, $since, $until, $window) ORDER BY entered_at"
    return _typed(connection, LabelSpan, source, {"symbol": symbol, "since": since, "until": until, "window": window})


def labels_between(connection: Connection, symbol: str, since: datetime, until: datetime) -> list[LabelVisit]:
    """The labels that the 24-hour reading visited, most frequent first."""
    source = "labels_between($symbol, $since, $until) ORDER BY readings DESC, label"
    return _typed(connection, LabelVisit, source, {"symbol": symbol, "since": since, "until": until})


def spikes(
    connection: Connection, since: datetime, until: datetime, symbol: str | None = None, limit: int = 50
) -> list[Spike]:
    """Spikes whose bucket starts in [since, until) and was over or wholly known by ``until``, newest first.

    ``symbol`` None means all of them.
    """
    where = """spikes WHERE bucket_start >= $since AND bucket_start < $until
               AND (bucket_start + bucket_width <= $until OR found_at <= $until)
               AND ($symbol::VARCHAR IS NULL OR symbol = $symbol::VARCHAR)
               ORDER BY bucket_start DESC, bucket_width DESC, z DESC, symbol LIMIT $limit"""
    return _typed(connection, Spike, where, {"since": since, "until": until, "symbol": symbol, "limit": limit})


def episodes(
    connection: Connection, since: datetime, until: datetime, symbol: str | None = None, limit: int = 50
) -> list[Episode]:
    """Spike episodes that reach into [since, until), of what was known by ``until``, newest first; ``symbol`` None means all."""
    where = """spike_episodes($since, $until) WHERE $symbol::VARCHAR IS NULL OR symbol = $symbol::VARCHAR
               ORDER BY start_at DESC, bucket_width DESC, peak_z DESC, symbol LIMIT $limit"""
    return _typed(connection, Episode, where, {"since": since, "until": until, "symbol": symbol, "limit": limit})


def drivers(connection: Connection, symbol: str, since: datetime, until: datetime, limit: int = 10) -> list[Driver]:
    """The words that set [since, until) apart from the 14 days before, strongest first."""
    source = "drivers($symbol, $since, $until) ORDER BY z DESC, term LIMIT $limit"
    return _typed(connection, Driver, source, {"symbol": symbol, "since": since, "until": until, "limit": limit})


def most_reshared(
    connection: Connection, symbol: str, since: datetime, until: datetime, limit: int = 1
) -> list[Shared]:
    """The messages of [since, until) that were passed on most; none where nothing was."""
    source = "most_reshared($symbol, $since, $until) ORDER BY reshares DESC, likes DESC NULLS LAST, source, message_id LIMIT $limit"
    return _typed(connection, Shared, source, {"symbol": symbol, "since": since, "until": until, "limit": limit})


def headlines(connection: Connection, symbol: str, since: datetime, until: datetime, limit: int = 3) -> list[Headline]:
    """News of [since, until) that names the symbol, newest first."""
    source = "headlines_between($symbol, $since, $until) ORDER BY created_at DESC, source, title LIMIT $limit"
    return _typed(connection, Headline, source, {"symbol": symbol, "since": since, "until": until, "limit": limit})


def ballot_results(connection: Connection, symbol: str, since: datetime, until: datetime) -> list[BallotOption]:
    """The polls of messages made in [since, until), as seen by ``until``; newest poll first, options in their order."""
    source = "ballot_results($symbol, $since, $until) ORDER BY created_at DESC, source, message_id, position"
    return _typed(connection, BallotOption, source, {"symbol": symbol, "since": since, "until": until})


def price_context(connection: Connection, symbol: str, at: datetime) -> PriceContext | None:
    """Where the price stands at ``at``; None where no price is known by then."""
    found = _typed(connection, PriceContext, "price_context($symbol, $at)", {"symbol": symbol, "at": at})
    return found[0] if found else None


def group_readings(connection: Connection, group: str, at: datetime, window: str = "24h") -> list[GroupMember]:
    """The symbols of a configured group side by side, by name."""
    source = "group_readings($group, $at, $window) ORDER BY symbol"
    return _typed(connection, GroupMember, source, {"group": group, "at": at, "window": window})


def volume(connection: Connection, symbol: str, since: datetime, until: datetime, width: timedelta) -> list[Volume]:
    """Messages per interval of 5 minutes, 1 hour or 1 day, oldest first, gaps told from silence."""
    source = "message_volume($symbol, $since, $until, $width) ORDER BY bucket_start"
    return _typed(connection, Volume, source, {"symbol": symbol, "since": since, "until": until, "width": width})


def stream_health(connection: Connection) -> list[StreamHealth]:
    """How each stream does, by source and name."""
    return _typed(connection, StreamHealth, "source_health ORDER BY source, stream", {})


def coverage(connection: Connection, symbol: str, at: datetime) -> Coverage:
    """How well a symbol was listened to in the seven days before the hour of ``at`` and in the seven before those."""
    values = {"symbol": symbol, "at": naive_utc(at)}
    row = connection.execute(_COVERAGE, values).fetchone()
    return Coverage(*row) if row else Coverage(0, None, None, 0, 0.0)


_COVERAGE = """
WITH edges AS (
    SELECT $at::TIMESTAMP AS ends, ends - INTERVAL 7 DAY AS starts, date_trunc('hour', ends) AS hour_ends
), heard AS (
    SELECT hour_start >= (SELECT hour_ends FROM edges) - INTERVAL 7 DAY AS recent,
           sum(up) / nullif(sum(streams), 0) * count(DISTINCT hour_start) / 168 AS share
    FROM listening((SELECT hour_ends FROM edges) - INTERVAL 14 DAY, (SELECT hour_ends FROM edges))
    WHERE source = '*' AND (symbol IS NULL OR symbol = $symbol) GROUP BY recent
), lost AS (
    SELECT count(*) AS gaps, coalesce(sum(epoch(least(to_at, ends) - greatest(from_at, starts))) / 3600, 0) AS hours
    FROM gaps CROSS JOIN edges
    WHERE to_at > starts AND from_at < ends
      AND (NOT starts_with(stream, 'symbol/') OR upper(substr(stream, 8)) = $symbol)
), asked AS (
    SELECT source FROM coverage_hours CROSS JOIN edges WHERE hour_start >= starts AND hour_start < ends
    UNION SELECT source FROM polls CROSS JOIN edges WHERE started_at >= starts AND started_at < ends AND brings = 'talk'
)
SELECT (SELECT count(*) FROM asked), (SELECT any_value(share) FROM heard WHERE recent),
       (SELECT any_value(share) FROM heard WHERE NOT recent), lost.gaps, lost.hours
FROM lost"""


def windows(connection: Connection) -> dict[str, timedelta]:
    """The windows that readings are taken of: name -> width, shortest first."""
    rows = connection.execute("SELECT window_name, seconds FROM meter_windows ORDER BY seconds").fetchall()
    return {name: timedelta(seconds=seconds) for name, seconds in rows}


def groups(connection: Connection) -> dict[str, list[str]]:
    """The groups of the watch-list with their symbols, by name."""
    found: dict[str, list[str]] = {}
    for name, symbol in connection.execute(
        "SELECT DISTINCT group_name, symbol FROM watchlist WHERE group_name IS NOT NULL ORDER BY ALL"
    ).fetchall():
        found.setdefault(name, []).append(symbol)
    return found


def market_zone(connection: Connection) -> str | None:
    """The time zone of the market that the meter goes by; None before the meter has been set."""
    row = connection.execute("SELECT any_value(zone) FROM meter_settings").fetchone()
    return row[0] if row else None


def month_start(connection: Connection, at: datetime) -> datetime | None:
    """When the month of ``at`` began in the market's zone; None before the meter has been set."""
    row = connection.execute(
        """WITH local AS (
               SELECT zone, timezone(zone, timezone('UTC', $at::TIMESTAMP)) AS clock FROM meter_settings
           )
           SELECT any_value(timezone('UTC', timezone(zone, date_trunc('month', clock)))) FROM local""",
        {"at": naive_utc(at)},
    ).fetchone()
    return aware_utc(row[0]) if row else None


def reading_bounds(connection: Connection, symbol: str, at: datetime) -> tuple[datetime | None, datetime | None]:
    """The first labelled 24-hour reading of a symbol and its newest reading of any window, both at or before ``at``."""
    row = connection.execute(
        """SELECT min("at") FILTER (window_name = '24h' AND sentiment_label IS NOT NULL), max("at")
           FROM readings WHERE symbol = $symbol AND "at" <= $at""",
        {"symbol": symbol, "at": naive_utc(at)},
    ).fetchone()
    return (aware_utc(row[0]), aware_utc(row[1])) if row else (None, None)


def mentioned(connection: Connection, symbol: str, before: datetime | None = None) -> bool:
    """Whether any stored message before a moment names the symbol."""
    row = connection.execute(
        """SELECT EXISTS (SELECT 1 FROM mentions WHERE symbol = $symbol
                          AND ($before::TIMESTAMP IS NULL OR created_at < $before::TIMESTAMP))""",
        {"symbol": symbol, "before": naive_utc(before)},
    ).fetchone()
    return bool(row and row[0])
