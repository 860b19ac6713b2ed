"""Facts -> buckets -> baselines -> readings and spikes. Runs the SQL of ``queries/``; there is no formula in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

from tracker.store.connect import Connection, aware_utc, naive_utc, transaction
from tracker.store.sqlfiles import run_script

_DAYS_AT_ONCE = 40  # baselines of this many days in one statement: memory stays small
_MOMENTS_AT_ONCE = 240
_BUSY_AT_ONCE = 2_500  # symbol-days whose 672 hours are looked at in one statement
_HOURLY_UP_TO = timedelta(hours=6)  # windows up to here are measured by the scale of hours (readings_at says the same)
_FEW_DAYS = 3  # touched days that are rolled up at once without counting first
_MENTIONS_AT_ONCE = 400_000  # rolled up in one statement: some 300 MB of memory
T = TypeVar("T")


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def touch_everything(connection: Connection) -> None:
    """Make the next rollup start from nothing but the facts."""
    with transaction(connection):
        for table in (
            "buckets",
            "coverage_hours",
            "market_days",
            "symbol_days",
            "hour_scales",
            "hour_scale_days",
            "touched",
            "touched_coverage",
        ):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("INSERT INTO touched SELECT DISTINCT symbol, created_at::DATE FROM mentions")
        connection.execute(
            "INSERT INTO touched_coverage SELECT source, stream, min(covers_from) FROM polls WHERE up = 1 AND covers_from IS NOT NULL GROUP BY ALL"
        )


def derived_lost(connection: Connection) -> bool:
    """True when facts are there and what was derived from them is not: somebody threw it away."""
    row = connection.execute("""
        SELECT NOT EXISTS (SELECT 1 FROM buckets) AND EXISTS (SELECT 1 FROM mentions) AND NOT EXISTS (SELECT 1 FROM touched)""").fetchone()
    return bool(row and row[0])


def rollup(connection: Connection) -> int:
    """Roll up what was touched; the number of symbol-days. Spikes of the days concerned are looked for again."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM touched), (SELECT count(*) FROM touched_coverage)"
    ).fetchone()
    assert row is not None
    symbol_days, covered = row
    if not symbol_days and not covered:
        return 0
    spans = _spans(connection)
    with transaction(connection):
        run_script(connection, "rollup/1_coverage.sql")
        for span in spans[:1]:
            _roll_up_span(connection, *span)
    for span in spans[1:]:
        with transaction(connection):
            _roll_up_span(connection, *span)
    since = connection.execute("SELECT from_at FROM relisten_from").fetchone()
    assert since is not None
    find_spikes(connection, since[0].date())
    with transaction(connection):  # last of all: after a kill before this point everything is done again
        connection.execute("DELETE FROM touched")
        connection.execute("DELETE FROM touched_coverage")
    return int(symbol_days)


def _spans(connection: Connection) -> list[tuple[date, date]]:
    """The touched days in spans (first, last) of so many mentions that one fits into memory; at least a day each."""
    counted: list[tuple[date, int]] = [
        (day, 0) for (day,) in connection.execute("SELECT DISTINCT day FROM touched ORDER BY day").fetchall()
    ]
    if len(counted) > _FEW_DAYS:
        counted = connection.execute(
            """SELECT day, count(mentions.symbol) FROM (SELECT DISTINCT day FROM touched) AS days
               LEFT JOIN mentions ON mentions.created_at::DATE = days.day GROUP BY day ORDER BY day"""
        ).fetchall()
    spans: list[tuple[date, date]] = []
    size = 0
    for day, mentions in counted:
        size += mentions
        if not spans or size > _MENTIONS_AT_ONCE or (day - spans[-1][1]).days > _FEW_DAYS:
            spans.append((day, day))
            size = mentions
        spans[-1] = (spans[-1][0], day)
    return spans


def _roll_up_span(connection: Connection, first: date, last: date) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE fresh_days AS SELECT symbol, day FROM touched_days WHERE day BETWEEN $1 AND $2",
        [first, last],
    )
    run_script(connection, "rollup/2_buckets.sql")


def ensure_baselines(connection: Connection, days: Sequence[date]) -> None:
    """Make the baselines of these days, where they are missing."""
    stored = {row[0] for row in connection.execute("SELECT day FROM market_days").fetchall()}
    missing = sorted(set(days) - stored)
    for part in _chunks(missing, _DAYS_AT_ONCE):
        with transaction(connection):
            connection.execute(
                "INSERT INTO market_days SELECT day, p0, s0, symbol_days, habit, profile, profile_weeks FROM market_baseline($1)",
                [list(part)],
            )
            connection.execute("INSERT INTO symbol_days SELECT * FROM symbol_baseline($1)", [list(part)])


def ensure_hour_scales(connection: Connection, days: Sequence[date]) -> None:
    """Make the scales of hourly residuals of these days, where they are missing; their baselines are there."""
    stored = {row[0] for row in connection.execute("SELECT day FROM hour_scale_days").fetchall()}
    busy = dict(
        connection.execute("SELECT day, count(*) FROM symbol_days WHERE 2 * organic >= slots GROUP BY day").fetchall()
    )
    parts: list[list[date]] = []
    size = 0
    for day in sorted(set(days) - stored):
        size += busy.get(day, 0)
        if not parts or size > _BUSY_AT_ONCE or len(parts[-1]) >= _DAYS_AT_ONCE:
            parts.append([])
            size = busy.get(day, 0)
        parts[-1].append(day)
    for part in parts:
        with transaction(connection):
            connection.execute(
                """INSERT INTO hour_scales SELECT * FROM residual_scales(
                       (SELECT list({symbol: symbol, day: day}) FROM symbol_days WHERE day IN (SELECT unnest($1::DATE[]))), 3600)""",
                [part],
            )
            connection.execute("INSERT INTO hour_scale_days SELECT unnest($1::DATE[])", [part])


def baseline_days(connection: Connection) -> tuple[list[date], list[date]]:
    """The days for which baselines are stored, and those for which the scales of hours are."""
    days, hours = (
        [row[0] for row in connection.execute(f"SELECT day FROM {table} ORDER BY day").fetchall()]
        for table in ("market_days", "hour_scale_days")
    )
    return days, hours


def forget_replayed_readings(connection: Connection) -> list[datetime]:
    """Take away the readings of the simulated clock; their moments (aware UTC), to take them again."""
    with transaction(connection):
        rows = connection.execute('SELECT DISTINCT "at" FROM readings WHERE computed_at = "at" ORDER BY 1').fetchall()
        connection.execute('DELETE FROM readings WHERE computed_at = "at"')
    return [moment for moment in (aware_utc(row[0]) for row in rows) if moment is not None]


def replayed_moments(connection: Connection, since: datetime) -> list[datetime]:
    """The moments of the simulated clock (aware UTC) that looked back on ``since`` (naive UTC, as stored)."""
    rows = connection.execute(
        'SELECT DISTINCT "at" FROM readings WHERE computed_at = "at" AND "at" > $1 ORDER BY 1', [since]
    ).fetchall()
    return [moment for moment in (aware_utc(row[0]) for row in rows) if moment is not None]


def find_spikes(connection: Connection, since: date) -> int:
    """Look for spikes in the buckets since a day, all widths; what stood there is replaced. The number found."""
    days = [
        row[0]
        for row in connection.execute(
            """SELECT DISTINCT bucket_start::DATE FROM buckets WHERE source = '*' AND bucket_start >= $1
               AND organic >= (SELECT spike_messages FROM meter_settings) AND authors >= (SELECT spike_authors FROM meter_settings)""",
            [datetime(since.year, since.month, since.day)],  # noqa: DTZ001 (TIMESTAMP columns are naive UTC)
        ).fetchall()
    ]
    ensure_baselines(connection, days)
    start = datetime(since.year, since.month, since.day)  # noqa: DTZ001
    with transaction(connection):
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE told_spikes AS SELECT * FROM spikes WHERE bucket_start >= $1", [start]
        )
        connection.execute("DELETE FROM spikes WHERE bucket_start >= $1", [start])
        connection.execute(
            "INSERT INTO spikes SELECT * FROM volume_spikes($1, TIMESTAMP '2200-01-01') ORDER BY bucket_start, symbol, bucket_width",
            [start],
        )
        row = connection.execute("SELECT count(*) FROM spikes WHERE bucket_start >= $1", [start]).fetchone()
        found = int(row[0]) if row else 0
        if found:
            run_script(connection, "rollup/3_spike_terms.sql")
        for first, last in _month_by_month(connection) if found else []:
            connection.execute(
                """UPDATE spikes SET top_terms = told.terms
                   FROM terms_of((SELECT list({symbol: symbol, starts_at: bucket_start, ends_at: bucket_start + bucket_width})
                                  FROM untold_spikes WHERE bucket_start BETWEEN $1 AND $2)) AS told
                   WHERE spikes.symbol = told.symbol AND spikes.bucket_start = told.starts_at AND spikes.bucket_start + spikes.bucket_width = told.ends_at""",
                [first, last],
            )
    return found


def _month_by_month(connection: Connection) -> list[tuple[datetime, datetime]]:
    """The spikes without terms, in spans that fit into memory: (first, last) start of each."""
    return connection.execute(
        """SELECT min(bucket_start), max(bucket_start) FROM untold_spikes
           GROUP BY date_trunc('month', bucket_start) ORDER BY 1"""
    ).fetchall()


def take_readings(
    connection: Connection,
    moments: Sequence[datetime],
    computed_at: datetime | None,
    then: Callable[[Connection], None] | None = None,
    scorer: str | None = None,
    anew: bool = False,
) -> int:
    """Append the readings of these moments (aware UTC, aligned to 5 minutes); those that exist stay. The number added.

    ``computed_at`` None means the simulated clock: each reading was computed at its own moment. ``then`` runs in the
    transaction of the last of them: what follows from a reading is stored with it or not at all. ``scorer`` is the
    name of the one in force, None where nobody knows. ``anew`` puts them in place of those of the simulated clock.
    """
    naive = sorted({moment for moment in (naive_utc(m) for m in moments) if moment is not None})
    widths = [
        timedelta(seconds=seconds) for (seconds,) in connection.execute("SELECT seconds FROM meter_windows").fetchall()
    ]
    days = {(moment - back).date() for moment in naive for back in (timedelta(0), *widths)}
    ensure_baselines(connection, sorted(days))
    short = {(moment - back).date() for moment in naive for back in widths if back <= _HOURLY_UP_TO}
    ensure_hour_scales(connection, sorted(short))
    added = 0
    for part in _chunks(naive, _MOMENTS_AT_ONCE):
        with transaction(connection):
            if anew:
                connection.execute(
                    'DELETE FROM readings WHERE computed_at = "at" AND "at" IN (SELECT unnest($1::TIMESTAMP[]))',
                    [list(part)],
                )
            row = connection.execute(
                """INSERT INTO readings SELECT fresh.*, coalesce($2::TIMESTAMP, fresh."at"), $5::VARCHAR FROM readings_at($1) AS fresh
                   ANTI JOIN (SELECT symbol, window_name, "at" FROM readings WHERE "at" BETWEEN $3 AND $4) AS there USING (symbol, window_name, "at")
                   ORDER BY fresh."at", fresh.window_name, fresh.symbol""",
                [list(part), naive_utc(computed_at), part[0], part[-1], scorer],
            ).fetchone()
            if then is not None and part[-1] == naive[-1]:
                then(connection)
        added += int(row[0]) if row else 0
    return added
