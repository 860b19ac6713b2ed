"""Messages per second from an archive on the disk into the tables, and what the simulated clock adds.

    python -m bench.replay PATH [--as x] [--readings daily|hourly] [--rounds 1]

Everything happens in a data folder of its own that is thrown away. A path that is missing is said so and is no
failure, so that the bench runs where the recordings are not.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from tracker.clock import SystemClock
from tracker.config import Config
from tracker.parts import load_config, prepare_store, store_of, universe_of
from tracker.replay import Progress, Readings, ReplayReport, replay
from tracker.store import Store


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Messages per second from an archive into the tables.")
    parser.add_argument("path", type=Path, help="file or folder")
    parser.add_argument("--as", dest="fmt", default="x", help="format of the archive")
    parser.add_argument("--readings", choices=["daily", "hourly"], help="also roll up and take readings")
    parser.add_argument("--rounds", type=int, default=1, help="rounds, each in a new database")
    options = parser.parse_args(arguments)
    if not options.path.exists():
        print(f"skipped: {options.path} is missing")
        return 0
    print(
        f"python {platform.python_version()}, duckdb {version('duckdb')}, {platform.machine()}, {os.cpu_count()} cores"
    )
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            one_round(options.path, options.fmt, options.readings, folder)
    return 0


def one_round(path: Path, fmt: str, readings: Readings | None, folder: str) -> None:
    """Into an empty database, then the same again, then the simulated clock."""
    config = load_config(None, {}, folder)
    store = store_of(config)
    prepare_store(config, store, universe_of(config), SystemClock().now())
    for name in ("first run", "second run"):
        started, used = time.perf_counter(), cpu_seconds()
        report = replay([path], fmt, config=config, store=store, clock=False)
        seconds, cpu = time.perf_counter() - started, cpu_seconds() - used
        rate, cost = report.messages_read / seconds, 1e6 * cpu / max(report.messages_read, 1)
        print(
            f"{name:12s} {report.messages_read:8,} read {report.added:8,} added {seconds:7.1f} s {rate:8,.0f}/s {cost:6.0f} us CPU each"
        )
    print(
        f"{'on the disk':12s} {config.store.path.stat().st_size / max(report.messages_read, 1):8,.0f} bytes a message"
    )
    if readings is not None:
        clock(path, fmt, readings, config, store)


def clock(path: Path, fmt: str, readings: Readings, config: Config, store: Store) -> ReplayReport:
    began: dict[str, float] = {}

    def note(progress: Progress) -> None:
        began.setdefault(progress.stage, time.perf_counter())

    report = replay([path], fmt, config=config, store=store, readings=readings, progress=note)
    ended = time.perf_counter()
    print(f"{'rollup':12s} {report.spikes:8,} spikes {began['readings'] - began['rollup']:25.1f} s")
    print(f"{readings:12s} {report.readings:8,} readings {ended - began['readings']:23.1f} s")
    return report


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    kinds = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(kind.ru_utime + kind.ru_stime for kind in kinds)


if __name__ == "__main__":
    raise SystemExit(main())
