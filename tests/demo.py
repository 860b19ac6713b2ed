"""The main job without any network: a small invented day, played in seconds to the real daemon.

    .venv/bin/python tests/demo.py            # or: make demo

A world on loopback stands in for StockTwits, Reddit, Hacker News and Bluesky and says what ``demo_messages.tsv`` holds:
a quiet day with a noisy evening for BABA. ``tracker run`` polls it as it would the real services. When everything is
stored the readings are taken and shown. Exit code 0, or 1 with a line that says what is missing.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from world import World
from world_daemon import Daemon, command, database, environment, stored, tracker, until, wait_until_asked, write_config
from world_posts import Post, Source

MESSAGES = Path(__file__).with_name("demo_messages.tsv")
DAY_MINUTES = 1440
BEGINS_BEFORE = timedelta(hours=23, minutes=50)  # the whole day has to fit into the last 24 hours
PLAYED_S = 8.0  # how long the day takes here
GRID_S = 300  # readings are taken at multiples of five minutes
SOURCES: tuple[Source, ...] = ("stocktwits", "reddit", "hackernews", "bluesky")
WATCHED = ["AAPL", "AMD", "BABA", "BIDU", "COIN", "GME", "HOOD", "JD", "MSFT", "NVDA", "PDD", "PLTR", "SPY", "TSLA"]
STREAMS = ["BABA", "NVDA", "AMD", "TSLA", "AAPL", "GME", "PLTR", "JD", "BIDU"]
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "watchlist": {"symbols": WATCHED},
    "watchlist.groups": {"china_tech": ["BABA", "BIDU", "JD", "PDD"]},
    "http": {"overlap": "1h"},
    "sources.stocktwits": {"streams": [f"symbol/{symbol}" for symbol in STREAMS]},
    "sources.reddit": {"streams": ["r/stocks", "r/stocks/comments", "r/pondtalk", "r/pondtalk/comments"]},
    "sources.hackernews": {"keep": "all"},  # names without a market word are no mentions there
    "sources.bluesky": {"keep": "mentions"},
}
QUESTION = """SELECT time_bucket(INTERVAL 1 HOUR, created_at) AS hour, count(*) AS messages, count(DISTINCT author) AS authors, avg(stance) AS stance
FROM mentions WHERE symbol = 'BABA' GROUP BY hour ORDER BY hour"""


def load(begins_at: datetime, shown_from: float) -> list[Post]:
    """The messages of the file, made on a day that begins at ``begins_at`` and shown from ``shown_from`` (Unix seconds) on."""

    def made(minute: float) -> datetime:
        at = begins_at + BEGINS_BEFORE * (minute / DAY_MINUTES)
        return at.replace(microsecond=at.microsecond // 1000 * 1000)

    posts: list[Post] = []
    with MESSAGES.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 1_000):
            minute = float(row["minute"])
            post = Post(
                source=cast(Source, row["source"]), number=number * 10, created_at=made(minute), shown_at=shown_from + PLAYED_S * minute / DAY_MINUTES,
                author=row["author"], text=row["text"], body=row["body"] or "", place=row["place"], label=cast(Any, row["label"] or None),
                symbols=tuple(row["symbols"].split()),
            )  # fmt: skip
            posts.append(post)
            if row["gone"]:
                gone = float(row["gone"])
                posts.append(
                    Post(
                        "bluesky",
                        post.number + 1,
                        made(gone),
                        shown_from + PLAYED_S * gone / DAY_MINUTES,
                        post.author,
                        "",
                        removes=post.number,
                    )
                )
    return posts


def expected(posts: list[Post]) -> set[tuple[str, str]]:
    """What has to be stored: from the firehose of Bluesky only what is about a symbol, and StockTwits and Reddit whole."""
    return {(p.source, p.id) for p in posts if p.removes is None and (p.source != "bluesky" or p.symbols)}


def play(world: World, daemon: Daemon) -> list[Post]:
    """Let the day pass and wait until all of it is stored."""
    wait_until_asked(daemon, world, SOURCES)
    posts = load(datetime.now(UTC) - BEGINS_BEFORE, time.time() + 0.2)
    world.publish(posts)
    wanted = expected(posts)
    file = database(daemon.config)

    def missing() -> str:
        left = Counter(source for source, _ in wanted - stored(file).keys())
        return f"still missing: {dict(left)}\n{daemon.log[-1500:]}"

    until(lambda: wanted <= stored(file).keys() or not daemon.running, 25.0, "the whole day is stored", 0.25, missing)
    gone = {(p.source, p.id) for p in posts if p.removes is None and any(q.removes == p.number for q in posts)}
    until(
        lambda: all(text is None for key, text in stored(file).items() if key in gone),
        10.0,
        "what was deleted is gone",
        0.25,
    )
    return posts


def take_readings(config: Path) -> None:
    """Readings at the next full five minutes, so that the whole day counts; AssertionError unless BABA leads."""
    mark = datetime.fromtimestamp((time.time() // GRID_S + 1) * GRID_S, tz=UTC)
    taken = tracker(config, "once", "rollup", "readings", "--now", mark.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if taken.returncode != 0:
        raise AssertionError(f"the readings could not be taken: {taken.stderr.strip()}")
    asked = tracker(
        config,
        "sql",
        "--json",
        "SELECT symbol, sentiment_label FROM leaderboard((SELECT max(\"at\") FROM readings), '24h') LIMIT 1",
    )
    leader = json.loads(asked.stdout or "[]")
    if leader != [{"symbol": "BABA", "sentiment_label": "bullish"}]:
        raise AssertionError(f"BABA has to lead and to be bullish, found {leader} {asked.stderr.strip()}")


def shown(config: Path, *arguments: str) -> None:
    """A command as a person would type it, and what it answers."""
    typed = " ".join(f'"{part}"' if " " in part else part for part in arguments)
    print(f"\n$ tracker {typed}\n", flush=True)
    code = subprocess.run(command(config, *arguments), cwd=config.parent, env=environment(), timeout=30).returncode
    if code != 0:
        raise AssertionError(f"tracker {arguments[0]} ended with code {code}")


def main() -> int:
    """Play the day, show what came of it; the exit code."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="tracker-demo-"))
    try:
        with World() as world:
            config = write_config(folder, world.base_urls, changed=SETTINGS)
            with Daemon(config) as daemon:
                print("a day of invented messages is played to `tracker run` …", flush=True)
                posts = play(world, daemon)
                code = daemon.stop()
                if code != 0:
                    raise AssertionError(f"the daemon ended with code {code}, see {daemon.log_path}")
        kept = Counter(source for source, _ in stored(database(config)))
        told = ", ".join(f"{count} {source}" for source, count in sorted(kept.items()))
        print(
            f"{sum(kept.values())} of {sum(post.removes is None for post in posts)} messages are about a symbol and stored ({told}), one was deleted by its author and is gone"
        )
        take_readings(config)
        shown(config, "top")
        shown(config, "brief", "BABA")
        shown(config, "sql", QUESTION)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    print(
        f"\nthe database  {database(config)}\nask it        .venv/bin/tracker --config {config} sql 'FROM spikes'\n"
        f"throw it away rm -r {folder}\ntook          {time.monotonic() - started:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
