"""Facts -> buckets -> baselines -> readings and spikes. Runs the SQL of ``queries/``; there is no formula in here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

from tracker.store.connect import Connection, aware_utc, naive_utc, transaction
from tracker.store.sqlfiles import run_script

_DAYS_AT_ONCE = 40  # baselines of this many days in one statement: memory stays small
_MOMENTS_AT_ONCE = 240
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
            "spikes",
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
    with transaction(connection):
        run_script(connection, "rollup.sql")
    since = connection.execute("SELECT from_at FROM relisten_from").fetchone()
    assert since is not None
    find_spikes(connection, since[0].date())
    with transaction(connection):  # last of all: after a kill before this point everything is done again
        connection.execute("DELETE FROM touched")
        connection.execute("DELETE FROM touched_coverage")
    return int(symbol_days)


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


def baseline_days(connection: Connection) -> list[date]:
    """The days for which baselines are stored."""
    return [row[0] for row in connection.execute("SELECT day FROM market_days ORDER BY day").fetchall()]


def forget_replayed_readings(connection: Connection) -> list[datetime]:
    """Take away the readings of the simulated clock; their moments (aware UTC), to take them again."""
    with transaction(connection):
        rows = connection.execute('SELECT DISTINCT "at" FROM readings WHERE computed_at = "at" ORDER BY 1').fetchall()
        connection.execute('DELETE FROM readings WHERE computed_at = "at"')
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
        connection.execute("DELETE FROM spikes WHERE bucket_start >= $1", [start])
        connection.execute(
            "INSERT INTO spikes SELECT * FROM volume_spikes($1, TIMESTAMP '2200-01-01') ORDER BY bucket_start, symbol, bucket_width",
            [start],
        )
        row = connection.execute("SELECT count(*) FROM spikes WHERE bucket_start >= $1", [start]).fetchone()
    return int(row[0]) if row else 0


def take_readings(connection: Connection, moments: Sequence[datetime], computed_at: datetime | None) -> int:
    """Append the readings of these moments (aware UTC, aligned to 5 minutes); those that exist stay. The number added.

    ``computed_at`` None means the simulated clock: each reading was computed at its own moment.
    """
    naive = sorted({moment for moment in (naive_utc(m) for m in moments) if moment is not None})
    widths = connection.execute("SELECT seconds FROM meter_windows").fetchall()
    backs = [timedelta(0), *(timedelta(seconds=seconds) for (seconds,) in widths)]
    days = {(moment - back).date() for moment in naive for back in backs}
    ensure_baselines(connection, sorted(days))
    added = 0
    for part in _chunks(naive, _MOMENTS_AT_ONCE):
        with transaction(connection):
            row = connection.execute(
                """INSERT INTO readings SELECT fresh.*, coalesce($2::TIMESTAMP, fresh."at") FROM readings_at($1) AS fresh
                   ANTI JOIN (SELECT symbol, window_name, "at" FROM readings WHERE "at" BETWEEN $3 AND $4) AS there USING (symbol, window_name, "at")
                   ORDER BY fresh."at", fresh.window_name, fresh.symbol""",
                [list(part), naive_utc(computed_at), part[0], part[-1]],
            ).fetchone()
        added += int(row[0]) if row else 0
    return added
