"""How often the meter cries wolf: spikes where, by construction, nothing happened.

    python -m bench.false_alarms PATH [--as x] [--seeds 3]

Loads an archive, then gives every message the time of another one of the same hour of the week (a null: the same messages,
the same clock, no bursts), rolls up and counts what is called a spike, per 1,000 symbol-days on which the symbol was named
at all. The real order of the same messages stands beside it. A path that is missing is said so and is no failure.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from tracker.clock import SystemClock
from tracker.parts import load_config, prepare_store, store_of, universe_of
from tracker.replay import replay
from tracker.store import Connection, Store, derive

_SHUFFLE = """
CREATE OR REPLACE TEMP TABLE shuffled AS
    WITH said AS (
        SELECT source, message_id, created_at, hour_of_week(created_at, (SELECT zone FROM meter_settings)) AS h
        FROM (SELECT DISTINCT source, message_id, created_at FROM mentions)
    ), people AS (
        SELECT source, message_id, h, row_number() OVER (PARTITION BY h ORDER BY hash(message_id, $seed), source, message_id) AS place FROM said
    ), times AS (
        SELECT created_at, h, row_number() OVER (PARTITION BY h ORDER BY created_at, source, message_id) AS place FROM said
    )
    SELECT source, message_id, times.created_at FROM people JOIN times USING (h, place)"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Spikes where nothing happened.")
    parser.add_argument("path", type=Path, help="file or folder")
    parser.add_argument("--as", dest="fmt", default="x", help="format of the archive")
    parser.add_argument("--seeds", type=int, default=3, help="how many shuffles")
    options = parser.parse_args(arguments)
    if not options.path.exists():
        print(f"skipped: {options.path} is missing")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(None, {}, folder)
        store = store_of(config)
        prepare_store(config, store, universe_of(config), SystemClock().now())
        replay([options.path], options.fmt, config=config, store=store, clock=False)
        store.rollup()
        tell("as it was", store)
        for seed in range(options.seeds):
            with store.writing() as connection:
                shuffle(connection, seed)
                derive.touch_everything(connection)
            store.rollup()
            tell(f"shuffled, seed {seed}", store)
    return 0


def shuffle(connection: Connection, seed: int) -> None:
    """Every message gets the time of another one of the same hour of the week."""
    connection.execute(_SHUFFLE, {"seed": seed})
    for table, key in (("mentions", "message_id"), ("messages", "id")):
        connection.execute(
            f"""UPDATE {table} SET created_at = shuffled.created_at, fetched_at = shuffled.created_at FROM shuffled
                WHERE {table}.source = shuffled.source AND {table}.{key} = shuffled.message_id"""
        )


def tell(name: str, store: Store) -> None:
    """Print how many spikes of each width and severity there are, and the rate of the high and extreme ones."""
    with store.reading() as connection:
        ((days,),) = connection.execute(
            "SELECT count(*) FROM buckets WHERE source = '*' AND bucket_width = INTERVAL 1 DAY"
        ).fetchall()
        found = Counter(
            connection.execute(
                """SELECT CASE bucket_width WHEN INTERVAL 1 DAY THEN 'day' WHEN INTERVAL 1 HOUR THEN 'hour' ELSE '5 minutes' END, severity
                   FROM spikes"""
            ).fetchall()
        )
    print(f"{name}: {days:,} symbol-days")
    for width in ("day", "hour", "5 minutes"):
        counts = {severity: found[(width, severity)] for severity in ("notable", "high", "extreme")}
        rate = 1000 * (counts["high"] + counts["extreme"]) / days
        told = ", ".join(f"{count:,} {severity}" for severity, count in counts.items())
        print(f"  {width:10s} {told}; {rate:.2f} high or extreme per 1,000 symbol-days")


if __name__ == "__main__":
    raise SystemExit(main())
