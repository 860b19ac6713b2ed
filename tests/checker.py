"""The guarantee, checked from outside: the real process against a world of faults, killed, healed, compared with the truth.

    report = torment(seed, folder)          # seeded: the same seed repeats the run
    assert report.failures() == []

What is compared: every message by id and text (lost, foreign, wrong, doubled), announced deletions in every place where
words may lie, buckets recomputed from the truth, the ledger of requests (nobody too early, one honest name, no other
host), and the plan itself: a fault that did not fire, or a trouble that was never handed over, proves nothing.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from click.testing import CliRunner
from world import World
from world_corpus import in_order, invent, seeded
from world_daemon import (
    Daemon,
    ask,
    database,
    differences,
    stored,
    until,
    wait_for_truth,
    wait_until_asked,
    write_config,
)
from world_faults import HTTP_KINDS, LYING_304, SOCKET_KINDS, kinds_of, plan, too_many
from world_posts import Post, Source
from world_trouble import BURST, burst, troubles

from tracker.cli import main

ALL: tuple[Source, ...] = ("stocktwits", "reddit", "hackernews", "bluesky")
SYMBOLS = ("BABA", "JD")
RATE: dict[Source, float] = {"stocktwits": 8.0, "reddit": 5.0, "hackernews": 3.0, "bluesky": 6.0}  # posts a second
SECONDS = 14.0  # of talk in a run, shared by the daemons of one after the other
TOLD_S = 0.4  # a daemon that is killed sooner after an answer can't have put away what it said
NAMED_S = 5.0  # what a service names just before a kill
MOST_MEMORY = 300 * 1024 * 1024  # resident, whatever is sent
HARD = {
    "http": {"deadline": "1s", "max_body": "2MB", "max_backoff": "500ms", "breaker": "500ms", "watchdog": "2s"},
    "sources.reddit": {"max_pages": 20},
    "sources.stocktwits": {"max_pages": 2},  # a burst takes more than one poll
}
_MARK = re.compile(r"(?:stocktwits|reddit|hackernews|bluesky)-\d+[a-z]?")
_AGENT = re.compile(r"tracker/[0-9.]+ \(\+.*tests@pond\.example\)")


@dataclass(slots=True)
class Report:
    """What one run has shown; each list is empty where the promise was kept."""

    seed: int
    broken: dict[str, list[Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def failures(self) -> list[str]:
        return [f"seed {self.seed}: {name}: {len(found)}: {found[:5]}" for name, found in self.broken.items() if found]

    def line(self) -> str:
        return f"seed {self.seed}: " + ", ".join(f"{number} {name}" for name, number in self.counts.items())


def torment(
    seed: int,
    folder: Path,
    *,
    overlap: bool = True,
    kills: int = 3,
    faults: bool = True,
    seconds: float = SECONDS,
    share: float | None = None,
) -> Report:
    """One run: talk, faults, kills, then peace and quiet, then the comparison.

    ``share`` of the answers are wrong for as long as the talk goes on; without it each kind is wrong once, close together.
    """
    changed: dict[str, dict[str, Any]] = {name: dict(table) for name, table in HARD.items()}
    if not overlap:
        for source in ALL:
            changed.setdefault(f"sources.{source}", {})["overlap"] = "0s"
    report = Report(seed)
    with World(broken_items=True) as world:
        config = write_config(folder, world.base_urls, changed=changed)
        drawn = plan(seed, ALL, share=share, seconds=seconds) if faults else {}
        if not overlap:  # a page from the past hides what came since: only an overlap finds that again
            drawn = {source: [f for f in some if f is None or f.kind != "stale"] for source, some in drawn.items()}
        memory = run(world, config, seed, drawn, overlap=overlap, kills=kills, part_s=seconds / (kills + 1))
        compare(report, world, config)
        planned = kinds_of(drawn)
        report.broken["planned faults that did not fire"] = sorted(planned - set(world.fired))
        expected = {f"{post.source}: {post.trouble}" for source in ALL for post in world.shown(source) if post.trouble}
        report.broken["troubles that nobody was handed"] = sorted(expected - world.met)
        report.broken["memory"] = [f"{memory >> 20} MiB"] if memory > MOST_MEMORY else []
        report.counts |= {
            "faults": sum(world.fired.values()), "kinds of faults": len({kind for _, kind in world.fired}), "troubles": len(world.met),
            "kills": kills, "requests": len(world.asked), "named times": len(world.named()), "MiB at most": memory >> 20,
        }  # fmt: skip
    return report


def whole_plan() -> set[str]:
    """Every kind that a plan has to hold."""
    return {*HTTP_KINDS, *SOCKET_KINDS, LYING_304}


# --------------------------------------------------------------------------------------------------------- the run


def run(
    world: World, config: Path, seed: int, drawn: dict[Source, Any], *, overlap: bool, kills: int, part_s: float
) -> int:
    """Returns the most memory that any of the processes had, in bytes."""
    dice, memory = seeded(seed), 0
    with Daemon(config) as daemon:
        wait_until_asked(daemon, world, ALL)
        world.publish(part(seed, 0, time.time() + 0.1, part_s, late=overlap))
        until(  # before its first message a stream has no place to come back to, and takes the newest page alone
            lambda: ask(database(config), "SELECT count(*) = 6 FROM streams WHERE enabled AND cursor IS NOT NULL") == [(True,)],
            30.0, "every stream has a position", hint=lambda: daemon.log[-3000:],
        )  # fmt: skip
        world.publish(troubles(seed, time.time() + 0.2, part_s + 2, late=overlap))
        if drawn:
            with world.closed():
                until(
                    # the log tells of the first failure alone, and that may be a connection that was cut by the closing
                    lambda: ask(
                        database(config), "SELECT 1 FROM polls WHERE error LIKE '%Connection refused%' LIMIT 1"
                    ),
                    20.0,
                    "a connection was refused",
                    0.1,
                    lambda: daemon.log[-3000:],
                )
        for source, faults in drawn.items():
            world.fault(source, *faults)
        for number in range(kills):
            begin = time.time() + 0.1
            kill_at = begin + part_s * (0.3 + 0.7 * dice.random())
            world.publish(part(seed, number + 1, begin, part_s, late=overlap))
            source = list(BURST)[(seed + number) % len(BURST)]
            world.publish(burst(source, seed * 100 + number + 50, kill_at + TOLD_S + 0.2))
            wait_to_kill(world, kill_at, source if drawn else None)
            assert daemon.running, daemon.log[-3000:]
            memory = max(memory, peak_memory(daemon))
            daemon.kill()
            daemon.start()
        until(
            lambda: world.pending_faults() == 0 or not daemon.running,
            60.0 + 4 * part_s,
            "every fault has fired",
            hint=lambda: tale(world, daemon),
        )
        assert daemon.running, daemon.log[-3000:]
        world.heal()
        wait_for_truth(daemon, world, 60.0)
        memory = max(memory, peak_memory(daemon))
        assert daemon.stop(10.0) == 0, daemon.log[-3000:]
    return memory


def part(seed: int, number: int, begin: float, seconds: float, *, late: bool) -> list[Post]:
    """Some seconds of ordinary talk."""
    counts: dict[Source, int] = {source: round(rate * seconds) for source, rate in RATE.items()}
    said = invent(
        seed * 1000 + number, begin, seconds, counts, late_share=0.1 if late else 0.0, first_number=(seed * 100 + number) * 10_000,
    )  # fmt: skip
    return in_order(said)


def wait_to_kill(world: World, moment: float, source: Source | None) -> None:
    """The moment; then ``source`` names a time that outlasts the restart, and until that can have been written down."""
    until(lambda: time.time() >= moment, 30.0, "the moment to be killed has come", 0.01)
    if source is not None:
        before = len(world.named(source))
        world.fault(source, too_many(NAMED_S), first=True)
        until(lambda: len(world.named(source)) > before, 20.0, "it named a time before the kill", 0.01)
    until(
        lambda: all(time.time() - asked.at > TOLD_S for asked in world.named()[-4:]), 10.0, "the last named time is old enough", 0.01,
    )  # fmt: skip


def peak_memory(daemon: Daemon) -> int:
    """The most that the process ever held in memory, in bytes; 0 where the system does not tell."""
    path = Path(f"/proc/{daemon.process.pid}/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", path.read_text()) if path.exists() else None
    return int(found[1]) * 1024 if found else 0


def tale(world: World, daemon: Daemon) -> str:
    left = {source: [fault.kind for fault in faults if fault] for source, faults in world._faults.items()}
    return f"left: {left}\n{world.story()[-3000:]}\n{daemon.log[-3000:]}"


# -------------------------------------------------------------------------------------------------- the comparison


def compare(report: Report, world: World, config: Path) -> None:
    """Everything that can be said of the file and the ledger once the daemon has stopped."""
    file, broken = database(config), report.broken
    truth = world.truth()
    broken |= differences(stored(file), truth)
    broken["gaps, where nothing was lost"] = ask(file, "FROM gaps")
    broken["words or people of deleted messages"] = ask(
        file,
        "SELECT source, id FROM messages WHERE deleted_at IS NOT NULL AND (text IS NOT NULL OR author IS NOT NULL)",
    )
    broken["messages whose deletion is not known"] = sorted(
        {key for key, text in truth.items() if text is None}
        - set(ask(file, "SELECT source, id FROM messages WHERE deleted_at IS NOT NULL"))
    )
    for arguments in (("once", "rollup"), ("check", "--deep")):
        broken[f"tracker {arguments[0]}"] = failed(config, *arguments)
    broken["buckets"] = wrong_buckets(file, world)
    broken["left of deleted messages"] = residue(config, world)
    broken["requests before a named time"] = world.early()
    broken["requests under another name"] = sorted(
        {a.user_agent for a in world.asked if not _AGENT.fullmatch(a.user_agent)}
    )
    broken["requests of nobody's address"] = [asked.path for asked in world.asked if not asked.source]
    broken["visits at another host"] = [world.canary_visits] if world.canary_visits else []
    gone = sum(text is None for text in truth.values())
    report.counts |= {"messages": len(truth), "deleted": gone}
    broken["deletions in the truth"] = [] if gone >= 5 else ["too few to prove anything"]


def failed(config: Path, *arguments: str) -> list[str]:
    """What a command said where it failed; in this process: a fifth of the time of one of its own."""
    found = CliRunner().invoke(main, ["--config", str(config), *arguments])
    return [] if found.exit_code == 0 else [f"tracker {arguments[0]}: {found.output} {found.exception!r}"]


def wrong_buckets(file: Path, world: World) -> list[Any]:
    """(symbol, source, width, start) whose numbers differ from those made of the truth."""
    # where a claimed time is impossible nobody but the tracker can say what it took in its place
    clamped = {
        (source, id_): at
        for source, id_, at in ask(file, "SELECT source, id, created_at FROM messages WHERE time_flag")
    }
    expected = expected_buckets(world, clamped)
    rows = ask(
        file,
        """SELECT symbol, source, epoch(bucket_width)::BIGINT, bucket_start, messages, authors, labelled_bullish, labelled_bearish FROM buckets
           WHERE symbol IN ('BABA', 'JD') AND messages > 0""",
    )
    found = {(symbol, source, width, start): tuple(numbers) for symbol, source, width, start, *numbers in rows}
    return sorted(
        (
            (key, found.get(key), expected.get(key))
            for key in found.keys() | expected.keys()
            if found.get(key) != expected.get(key)
        ),
        key=str,
    )


def expected_buckets(
    world: World, clamped: dict[tuple[str, str], datetime]
) -> dict[tuple[str, str, int, datetime], tuple[int, ...]]:
    """Messages, people and labels of each symbol and source, of what stands."""
    said: dict[tuple[str, str, int, datetime], list[tuple[str, str | None]]] = {}
    for source in ALL:
        shown, standing = world.shown(source), world.truth(source)
        first: dict[str, Post] = {}
        for post in sorted(shown, key=lambda post: post.created_at):
            if post.kind == "create":
                first.setdefault(post.id, post)
        for post in first.values():
            if standing[source, post.id] is None:
                continue
            at = post.created_at.astimezone(UTC).replace(tzinfo=None)
            if post.claim is not None:
                at = clamped[source, post.id]
            for symbol in post.symbols:
                for width in (300, 3600, 86400):
                    start = datetime(1970, 1, 1) + timedelta(
                        seconds=(at - datetime(1970, 1, 1)) // timedelta(seconds=width) * width
                    )
                    for name in (source, "*"):
                        said.setdefault((symbol, name, width, start), []).append(
                            (f"{source} {post.author}", post.label)
                        )
    return {key: (len(voices), len({author for author, _ in voices}), *_labels(voices)) for key, voices in said.items()}


def _labels(voices: list[tuple[str, str | None]]) -> tuple[int, int]:
    heard = Counter(label for _, label in voices)
    return heard["Bullish"], heard["Bearish"]


# ------------------------------------------------------------------------------------------- what must not be left


def residue(config: Path, world: World) -> list[str]:
    """Places where a marker of a deleted text still stands; a search that finds no living one proves nothing.

    The database is read table by table, for its words may be compressed; and byte by byte, once it was rewritten.
    """
    folder = config.parent
    living = {mark for text in world.truth().values() if text is not None for mark in _MARK.findall(text)}
    dead = {mark for source in ALL for post in world.shown(source) for mark in _MARK.findall(post.stored_text)} - living
    copy = folder / "copy.duckdb"
    places: dict[str, str] = {}
    for arguments in (
        ("once", "scrub"),
        ("publish", str(copy)),
        *(("export", "messages", "--output", str(folder / f"out.{form}")) for form in ("csv", "jsonl")),
    ):
        if wrong := failed(config, *arguments):
            return wrong
    for path in (database(config), copy):
        places[path.name] = words_of(path)
    for path in folder.rglob("*"):
        if path.is_file():
            places[path.name + (" as bytes" if path.suffix == ".duckdb" else "")] = path.read_bytes().decode(
                "utf-8", "replace"
            )
    left = [f"{name}: {mark}" for name, text in places.items() for mark in sorted(set(_MARK.findall(text)) & dead)]
    searched = [
        name
        for name in ("tracker.duckdb", "copy.duckdb", "out.csv", "out.jsonl")
        if not living & set(_MARK.findall(places[name]))
    ]
    return (
        left
        + [f"{name}: not even a living message is found" for name in searched]
        + ([] if dead else ["nothing was deleted"])
    )


def words_of(file: Path) -> str:
    """Every text in every table of a database file."""
    with duckdb.connect(str(file), read_only=True) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND data_type IN ('VARCHAR', 'VARCHAR[]', 'JSON')"
        ).fetchall()
        tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        found = [
            str(value)
            for table, column in columns
            if table in tables
            for (value,) in connection.execute(
                f'SELECT DISTINCT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'
            ).fetchall()
        ]
    return "\n".join(found)
