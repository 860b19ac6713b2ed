"""Small worlds for tests of the store and the metrics: what was said, what was listened to, and a database that holds both.

    connection = fresh_database()
    tell(connection, World(said=(Said("1", START, ("AAA",)),), heard=(Heard("posts", START, START + DAY),)))
    rows(connection, "FROM buckets")

``Said`` and ``Heard`` are plain values, so the same world can be told to the SQL and to the oracle.
"""

from __future__ import annotations

import atexit
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import duckdb

from tracker.models import Batch, DeletionRow, Label, MentionRow, MessageRow, PollReport, Stance, ToneRow
from tracker.store import derive, migrate
from tracker.store.connect import Connection, transaction
from tracker.store.write import Applied, apply

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
METER: dict[str, float | int | str] = {
    "k": 4, "band_1": 25, "band_2": 45, "band_3": 55, "band_4": 75, "zone": "America/New_York", "baseline_days": 28,
    "spike_z": 3, "spike_messages": 10, "spike_authors": 5,
}  # fmt: skip
FACTS = (
    "messages",
    "mentions",
    "tones",
    "tombstones",
    "gone_authors",
    "streams",
    "polls",
    "gaps",
    "limits",
    "watchlist",
    "ballots",
    "prices",
    "headlines",
    "crosscheck",
    "options",
)
DERIVED = (
    "touched",
    "touched_coverage",
    "buckets",
    "coverage_hours",
    "market_days",
    "symbol_days",
    "hour_scales",
    "hour_scale_days",
    "spikes",
    "readings",
)


@dataclass(frozen=True, slots=True)
class Said:
    """One message with all its mentions."""

    id: str
    at: datetime
    symbols: tuple[str, ...]
    author: str | None = "ann"
    key: int | None = None  # text_key
    stance: Stance = 0
    tone: float = 0.0
    label: int | None = None  # -1, 1, None
    reshare_of: str | None = None
    source: str = "s"
    stream: str = "posts"
    known_at: datetime | None = None  # fetched_at; None: a minute after it was made
    revision: str | None = None
    time_flag: bool = False
    likes: int | None = None
    reshares: int | None = None
    replies: int | None = None
    text: str | None = "words"

    @property
    def fetched_at(self) -> datetime:
        return self.known_at or self.at + MINUTE


@dataclass(frozen=True, slots=True)
class Heard:
    """One good poll: everything that the stream carried in [from_at, to_at] is stored."""

    stream: str
    from_at: datetime
    to_at: datetime
    source: str = "s"


@dataclass(frozen=True, slots=True)
class World:
    """Everything that was said and listened to."""

    said: tuple[Said, ...] = ()
    heard: tuple[Heard, ...] = ()
    watchlist: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------------- the database


def new_database() -> Connection:
    """An empty database in memory, shaped and with the metrics defined, as the store makes it."""
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("SET TimeZone = 'UTC'")
    migrate.migrate(connection, START)
    migrate.define_metrics(connection)
    migrate.set_meter(connection, METER)
    return connection


@cache
def _shared_database() -> Connection:
    atexit.register(_let_go)
    return new_database()


def _let_go() -> None:
    _shared_database().close()
    _shared_database.cache_clear()


def fresh_database() -> Connection:
    """The one database of this process, emptied: making a new one takes longer than most tests."""
    connection = _shared_database()
    for table in (*FACTS, *DERIVED):
        connection.execute(f"DELETE FROM {table}")
    return connection


def rows(connection: Connection, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query, list(parameters)).fetchall()


def dump(connection: Connection, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of these tables, sorted: equal when the tables hold exactly the same."""
    return {table: rows(connection, f"SELECT * FROM {table} ORDER BY ALL") for table in tables}


# ---------------------------------------------------------------------------------------------- facts as batches

_LABELS: dict[int, Label] = {1: "bullish", -1: "bearish"}


def message_row(said: Said) -> MessageRow:
    return MessageRow(
        source=said.source, id=said.id, stream=said.stream, created_at=said.at, fetched_at=said.fetched_at, time_flag=said.time_flag,
        author=said.author, text=said.text, lang=None, url=None, label=None if said.label is None else _LABELS[said.label],
        reply_to=None, reshare_of=said.reshare_of, likes=said.likes, reshares=said.reshares, replies=said.replies,
        text_key=said.key, revision=said.revision,
    )  # fmt: skip


def mention_rows(said: Said) -> tuple[MentionRow, ...]:
    return tuple(
        MentionRow(
            source=said.source, message_id=said.id, symbol=symbol, match="cashtag", surface=f"${symbol}", confidence=1.0,
            created_at=said.at, fetched_at=said.fetched_at, author=said.author, text_key=said.key, stance=said.stance, tone=said.tone,
            label=said.label, reshare=said.reshare_of is not None,
        )
        for symbol in said.symbols
    )  # fmt: skip


def tone_row(said: Said) -> ToneRow:
    return ToneRow(said.source, said.id, "test-1", said.tone, 0.5, said.stance)


def batch_of(
    said: Iterable[Said] = (),
    heard: Heard | None = None,
    deletions: Sequence[DeletionRow] = (),
    at: datetime | None = None,
) -> Batch:
    """What one poll brings. Without ``heard`` it covers no span of time."""
    messages = tuple(said)
    moment = at or max([one.fetched_at for one in messages], default=START)
    source, stream = (heard.source, heard.stream) if heard else ("s", "posts")
    report = PollReport(
        source,
        stream,
        heard.to_at if heard else moment,
        duration_ms=1,
        status="ok",
        fetched=len(messages),
        covers_from=heard.from_at if heard else None,
    )
    mentions = tuple(mention for one in messages for mention in mention_rows(one))
    return Batch(
        report,
        None,
        tuple(map(message_row, messages)),
        mentions,
        tuple(map(tone_row, messages)),
        tuple(deletions),
        fetched_at=moment,
    )


def gone(
    id_: str | None = None, author: str | None = None, at: datetime = START, revision: str | None = None
) -> DeletionRow:
    return DeletionRow("s", id_, author, revision, at)


def commit(connection: Connection, *batches: Batch) -> Applied:
    """One flush."""
    with transaction(connection):
        return apply(connection, batches)


def tell(connection: Connection, world: World) -> None:
    """The whole world in one flush, rolled up."""
    commit(connection, batch_of(world.said), *(batch_of((), heard) for heard in world.heard))
    for symbol in world.watchlist:
        connection.execute("INSERT INTO watchlist VALUES (?, NULL)", [symbol])
    derive.rollup(connection)


# ---------------------------------------------------------------------------------------------- worlds by chance


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a random world is made of; the same recipe makes the same world."""

    seed: int
    days: int = 20
    symbols: int = 4
    messages: int = 200
    wordings: int = 60  # few: many copies
    authors: int = 30
    bursts: int = 1
    opinionated: float = 0.7
    reshared: float = 0.1
    deaf: float = 0.1  # share of the polls that failed
    own_streams: int = 1
    start: datetime = START

    @property
    def end(self) -> datetime:
        return self.start + timedelta(days=self.days)


def make(recipe: Recipe) -> World:
    """A world with quiet and loud symbols, copies, reshares, bursts, overlapping streams and deaf hours."""
    dice = random.Random(recipe.seed)  # noqa: S311 (a world, not a secret)
    said = [
        _utterance(dice, recipe, number, recipe.start + _moment(dice, timedelta(days=recipe.days)))
        for number in range(recipe.messages)
    ]
    for burst in range(recipe.bursts):
        begin = recipe.start + _moment(dice, timedelta(days=recipe.days))
        span = dice.choice([5 * MINUTE, HOUR, 12 * HOUR])
        symbol, wordings = f"S{dice.randrange(recipe.symbols)}", dice.choice([2, 1000])
        for number in range(dice.choice([12, 25, 60])):
            one = _utterance(dice, recipe, len(said), begin + _moment(dice, span))
            said.append(
                replace(
                    one,
                    id=f"b{burst}-{number}",
                    symbols=(symbol,),
                    author=f"b{dice.randrange(40)}",
                    key=10**6 + dice.randrange(wordings),
                )
            )
    return World(tuple(said), tuple(_polls(dice, recipe)), tuple(dice.sample(["S0", "NEVER"], dice.randrange(3))))


def _moment(dice: random.Random, span: timedelta) -> timedelta:
    """Anywhere in the span; often exactly on an edge of a bucket."""
    seconds = int(span.total_seconds())
    grain = dice.choice([1, 1, 300, 3600])
    return timedelta(seconds=dice.randrange(seconds) // grain * grain, microseconds=dice.choice([0, 0, 1, 999_999]))


def _utterance(dice: random.Random, recipe: Recipe, number: int, at: datetime) -> Said:
    names = [
        f"S{min(dice.randrange(recipe.symbols), dice.randrange(recipe.symbols))}"
        for _ in range(dice.choice([1, 1, 1, 2]))
    ]
    stances: list[Stance] = [1, 1, 1, -1] if dice.random() < recipe.opinionated else [0]
    stance = dice.choice(stances)
    source = dice.choice(["s", "s", "t"])
    return Said(
        id=str(number), at=at, symbols=tuple(dict.fromkeys(names)), author=dice.choice([None, *(f"a{n}" for n in range(recipe.authors))]),
        key=None if dice.random() < 0.05 else dice.randrange(recipe.wordings), stance=stance, tone=dice.randrange(-8, 9) / 8,
        label=stance if stance and dice.random() < 0.3 else None,
        reshare_of=str(dice.randrange(recipe.messages + 5)) if dice.random() < recipe.reshared else None,
        source=source, known_at=at + dice.choice([MINUTE, HOUR, 30 * HOUR]), likes=dice.choice([None, None, 0, 3]), reshares=dice.choice([None, 1]),
    )  # fmt: skip


def _polls(dice: random.Random, recipe: Recipe) -> list[Heard]:
    """Streams that are polled every few hours, some from late on, some with failures in between."""
    streams = [("s", "posts"), ("t", "posts"), *(("s", f"symbol/S{n}") for n in range(recipe.own_streams))]
    if dice.random() < 0.3:
        streams = streams[2:]  # nobody listens to everything
    polls = []
    for source, stream in streams:
        at = recipe.start + _moment(dice, timedelta(days=max(1, recipe.days // 2))) * dice.choice([0, 0, 1])
        while at < recipe.end:
            upto = at + dice.choice([2 * HOUR, 9 * HOUR + 7 * MINUTE, DAY, 3 * DAY + timedelta(microseconds=1)])
            if dice.random() >= recipe.deaf:
                polls.append(Heard(stream, at - dice.choice([0, 0, 1]) * 20 * MINUTE, upto, source))
            at = upto
    return polls
