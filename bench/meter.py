"""What the meter costs when much is said: 2,000 symbols, 90 days, every eighth 5-minute bucket of them filled.

    python -m bench.meter [--symbols 2000] [--days 90] [--keep PATH]

Makes a file with invented mentions (a few loud symbols, many quiet ones, the week's clock, one in ten a copy), then
times a full rebuild of everything derived and single ticks of readings, each as the daemon does them: the file is opened,
rolled up, read, committed and closed. Prints the sizes and the times, and beside them the time of a plain
``SELECT count(*), sum(tone)`` over the same mentions, so that a slow machine can be told from a slow program.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import duckdb

from tracker.parts import load_config, meter_constants
from tracker.store import Opening, Store

FIRST = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
MEMORY = "512MB"  # as the daemon has it
CELLS_FILLED = 0.11  # of symbols x 5-minute slots, as measured in real streams
_MENTIONS = """
INSERT INTO mentions
    SELECT 'bench', 'm' || row_number() OVER (), symbol, 'cashtag', '$' || symbol, 1.0, moment, moment,
           'a' || (hash(seed, 3) % 200000)::VARCHAR,
           CASE WHEN hash(seed, 4) % 10 = 0 THEN hash(symbol, moment::DATE, hash(seed, 5) % 40) ELSE hash(seed, 6) END,
           CASE hash(seed, 7) % 10 WHEN 0 THEN -1 WHEN 1 THEN -1 WHEN 2 THEN 0 WHEN 3 THEN 0 WHEN 4 THEN 0 ELSE 1 END,
           (hash(seed, 8) % 2001)::DOUBLE / 1000 - 1, CASE WHEN hash(seed, 9) % 5 = 0 THEN 1 END, false, NULL
    FROM (SELECT 'S' || number AS symbol, seed, $first::TIMESTAMP + to_microseconds((hash(seed, 1) % ($days * 86400 * 1000000::UBIGINT))::BIGINT) AS moment
          FROM (SELECT number, unnest(range((1.6 * $scale * pow(number + 10, -0.8) * 288 * $days)::BIGINT)) * 4096 + number AS seed
                FROM (SELECT unnest(range($symbols)) AS number)))
    WHERE (hash(seed, 2) % 1000) < CASE WHEN isodow(moment) < 6 AND hour(moment) BETWEEN 13 AND 20 THEN 1000 ELSE 490 END
    ORDER BY moment
"""


def loudness(symbols: int) -> float:
    """The factor for which symbols of rate ``factor * (number + 10) ** -0.8`` fill CELLS_FILLED of all their slots."""
    low, high = 0.0, 1000.0
    for _ in range(80):
        middle = (low + high) / 2
        filled = sum(1 - 2.718281828459045 ** -(middle * (number + 10) ** -0.8) for number in range(symbols)) / symbols
        low, high = (middle, high) if filled < CELLS_FILLED else (low, middle)
    return low


def build(path: Path, symbols: int, days: int) -> Store:
    """A file with facts and nothing derived."""
    store = Store(Opening(path, MEMORY, 2))
    store.prepare(FIRST, meter_constants(load_config(None, {}, str(path.parent))), [], [], {}, [])
    with store.writing() as connection:
        connection.execute(
            _MENTIONS,
            {"first": FIRST.replace(tzinfo=None), "days": days, "symbols": symbols, "scale": loudness(symbols)},
        )
        connection.execute(
            """INSERT INTO polls SELECT 'bench', 'posts', hour + INTERVAL 1 HOUR, 100, 1, 'ok', 200, 0, 0, 0, 0, 0, 1, NULL, NULL, hour
               FROM (SELECT unnest(generate_series($1::TIMESTAMP, $1::TIMESTAMP + to_days($2) - INTERVAL 1 HOUR, INTERVAL 1 HOUR)) AS hour)""",
            [FIRST.replace(tzinfo=None), days],
        )
        connection.execute("CHECKPOINT")
    return store


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What the meter costs when much is said.")
    parser.add_argument("--symbols", type=int, default=2000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument(
        "--ticks", type=int, default=5, help="ticks of readings, each five minutes after the one before"
    )
    parser.add_argument("--keep", type=Path, help="folder in which the file stays (and is used again)")
    options = parser.parse_args(arguments)
    print(
        f"python {platform.python_version()}, duckdb {duckdb.__version__}, {platform.machine()}, {os.cpu_count()} cores"
    )
    with tempfile.TemporaryDirectory() as folder:
        place = options.keep or Path(folder)
        measure(place / "tracker.duckdb", options.symbols, options.days, options.ticks)
    return 0


def arrive(store: Store, at: datetime, seed: int) -> int:
    """What five minutes bring: mentions of some 300 symbols and the poll that brought them; the number of mentions."""
    first = (at - timedelta(minutes=5)).replace(tzinfo=None)
    with store.writing() as connection:
        connection.execute(
            """INSERT INTO mentions SELECT source, 'n' || $2 || message_id, symbol, match, surface, confidence,
                   $1::TIMESTAMP + to_milliseconds((hash(message_id, $2) % 300000)::BIGINT) AS moment, moment, author, hash(text_key, $2), stance, tone, label, reshare, NULL
               FROM (SELECT * FROM mentions WHERE hash(message_id) % 20000 = $2)""",
            [first, seed],
        )
        connection.execute(
            "INSERT INTO touched SELECT DISTINCT symbol, created_at::DATE FROM mentions WHERE created_at >= $1", [first]
        )
        connection.execute(
            "INSERT INTO polls VALUES ('bench', 'posts', $1, 100, 1, 'ok', 200, 0, 0, 0, 0, 0, 1, NULL, NULL, $2)",
            [at.replace(tzinfo=None), first],
        )
        connection.execute("INSERT INTO touched_coverage VALUES ('bench', 'posts', $1)", [first])
        ((mentions,),) = connection.execute("SELECT count(*) FROM mentions WHERE created_at >= $1", [first]).fetchall()
    return int(mentions)


def measure(path: Path, symbols: int, days: int, ticks: int) -> None:
    """Print what one file of this size costs."""
    store = Store(Opening(path, MEMORY, 2)) if path.exists() else build(path, symbols, days)
    last = FIRST + timedelta(days=days)
    with store.reading() as connection:
        ((mentions,),) = connection.execute("SELECT count(*) FROM mentions").fetchall()
        scan = min(
            timed(lambda: connection.execute("SELECT count(*), sum(tone) FROM mentions").fetchall()) for _ in range(3)
        )
    size = path.stat().st_size / 1e6
    print(f"{symbols:,} symbols, {days} days, {mentions:,} mentions; {size:,.0f} MB with facts alone")
    rebuilt = timed(lambda: store.rebuild())
    with store.reading() as connection:
        ((fine, rows),) = connection.execute(
            "SELECT count(*) FILTER (bucket_width = INTERVAL 5 MINUTE AND source = '*'), count(*) FROM buckets"
        ).fetchall()
    filled = f"{fine:,} filled 5-minute buckets, {fine / (symbols * days * 288):.1%} of all"
    print(f"full rebuild            {rebuilt:8.2f} s   {filled}; {rows:,} rows; {path.stat().st_size / 1e6:,.0f} MB")
    first = timed(lambda: store.take_readings(last, last))
    print(f"first tick of a day     {first:8.2f} s   with the baselines of its day")
    quiet = [
        timed(partial(store.take_readings, last - timedelta(minutes=5 * back), last)) for back in range(1, ticks + 1)
    ]
    print(
        f"a tick of readings      {median(quiet):8.2f} s   three windows of {symbols:,} symbols; slowest of {ticks} {max(quiet):.2f} s"
    )
    arrived, rolled, live = [], [], []
    for number in range(1, ticks + 1):
        at = last + timedelta(minutes=5 * number)
        arrived.append(arrive(store, at, number))
        rolled.append(timed(store.rollup))
        live.append(timed(partial(store.take_readings, at, at)))
    print(
        f"a rollup in between     {median(rolled):8.2f} s   of what five minutes brought, some {median(arrived):,.0f} mentions; slowest {max(rolled):.2f} s"
    )
    print(f"a tick after it         {median(live):8.2f} s   slowest {max(live):.2f} s")
    print(f"beside: one scan        {scan:8.2f} s   SELECT count(*), sum(tone) FROM mentions")


if __name__ == "__main__":
    raise SystemExit(main())
