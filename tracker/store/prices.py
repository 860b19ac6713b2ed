"""Price bars into the table ``prices``, and a table of the moment out into a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from tracker.errors import BadInput
from tracker.store.columns import stage
from tracker.store.connect import Connection, describe, naive_utc, transaction

BAR = {
    "symbol": "VARCHAR", "bucket_width": "INTERVAL", "bucket_start": "TIMESTAMP", "session": "VARCHAR", "open": "DOUBLE",
    "high": "DOUBLE", "low": "DOUBLE", "close": "DOUBLE", "adj_close": "DOUBLE", "volume": "DOUBLE",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of some bars, counted as if they had come one after the other."""

    added: int
    updated: int  # a value differs from the one stored
    unchanged: int
    unfinished: tuple[int, ...]  # places (from 0) of bars that were not over yet: none of them is stored


def merge_bars(connection: Connection, bars: Sequence[Sequence[Any]], source: str, now: datetime) -> Merged:
    """Store bars of one source in one transaction, see ``put_bars``."""
    with transaction(connection):
        return put_bars(connection, bars, source, now)


def put_bars(connection: Connection, bars: Sequence[Sequence[Any]], source: str, now: datetime) -> Merged:
    """Store bars of one source (rows in the order of ``BAR``, starts aware UTC); the caller holds the transaction.

    A stored bar is replaced only if a value differs, and keeps its ``fetched_at`` otherwise; of several bars with one
    key the last one counts. A bar whose end lies after ``now`` is left out: its close is none yet.
    """
    moment = {"source": source, "moment": naive_utc(now)}
    stage(connection, "staged_bars", {"place": "BIGINT", **BAR}, [(n, *bar) for n, bar in enumerate(bars)])
    unfinished = connection.execute(_UNFINISHED, {"moment": moment["moment"]}).fetchall()
    connection.execute(_STEPS, moment)
    counted = connection.execute(_COUNTS).fetchone()
    connection.execute(_UPDATE, moment)
    connection.execute(_INSERT, moment)
    added, updated, unchanged = counted or (0, 0, 0)
    return Merged(added, updated, unchanged, tuple(place for (place,) in unfinished))


_KNOWN_AT = "bar_known_at(bucket_start, bucket_width, session, (SELECT zone FROM meter_settings))"
_UNFINISHED = f"SELECT place FROM staged_bars WHERE {_KNOWN_AT} > $moment ORDER BY place"
_VALUES = "struct_pack(session := session, a := open, b := high, c := low, d := close, e := adj_close, f := volume)"
# each bar beside the one with its key that came before it, else the stored one
_STEPS = f"""
    CREATE OR REPLACE TEMP TABLE steps AS
    WITH span AS (SELECT min(bucket_start) AS from_at, max(bucket_start) AS to_at FROM staged_bars),
    stored AS (
        SELECT symbol, bucket_width, bucket_start, {_VALUES} AS bar FROM prices
        WHERE source = $source AND bucket_start BETWEEN (SELECT from_at FROM span) AND (SELECT to_at FROM span)
          AND symbol IN (SELECT symbol FROM staged_bars)
    ), fresh AS (SELECT *, {_VALUES} AS bar FROM staged_bars WHERE {_KNOWN_AT} <= $moment)
    SELECT fresh.*, stored.bar AS stored_bar, lag(fresh.bar, 1, stored.bar) OVER same AS bar_before,
           lead(fresh.place) OVER same IS NULL AS is_last
    FROM fresh LEFT JOIN stored USING (symbol, bucket_width, bucket_start)
    WINDOW same AS (PARTITION BY fresh.symbol, fresh.bucket_width, fresh.bucket_start ORDER BY fresh.place)"""
_COUNTS = """
    SELECT count(*) FILTER (bar_before IS NULL), count(*) FILTER (bar_before IS NOT NULL AND bar IS DISTINCT FROM bar_before),
           count(*) FILTER (bar_before IS NOT NULL AND bar IS NOT DISTINCT FROM bar_before) FROM steps"""
_UPDATE = """
    UPDATE prices SET session = s.session, open = s.open, high = s.high, low = s.low, close = s.close, adj_close = s.adj_close,
           volume = s.volume, fetched_at = $moment
    FROM steps AS s WHERE s.is_last AND s.stored_bar IS NOT NULL AND s.bar IS DISTINCT FROM s.stored_bar
      AND prices.symbol = s.symbol AND prices.bucket_width = s.bucket_width AND prices.bucket_start = s.bucket_start AND prices.source = $source"""
_INSERT = f"""
    INSERT INTO prices ({", ".join(BAR)}, source, fetched_at)
    SELECT {", ".join(BAR)}, $source, $moment FROM steps WHERE is_last AND stored_bar IS NULL
    ORDER BY symbol, bucket_width, bucket_start"""


def save_parquet(connection: Connection, table: str, output: str) -> None:
    """A table, also a temporary one, as a Parquet file; BadInput when that can't be written."""
    place = output.replace("'", "''")
    try:
        connection.execute(f"COPY {table} TO '{place}' (FORMAT parquet)")
    except duckdb.IOException as error:
        raise BadInput("the file can't be written", output, describe(error)) from None
