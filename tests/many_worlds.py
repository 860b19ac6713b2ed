"""Many small worlds in one database, so far apart in time that none can see another: what a law costs is shared by all of them.

Nearly all that a law costs is planning SQL, not reading rows. So hypothesis draws a list of worlds, each of its own recipe;
they are settled in one database, told in one flush and asked about in one call, and the law is checked for each world.

World n lives in the season of the year 2010 + 2n, with symbols, sources, streams, ids, authors and text keys of its own (all
named ``Wn.…``). Seasons are two years apart; the meter looks back at most 97 days (from the start of a week's window the 90
days of the market's habit) and a world lasts 60 at most. A season is moved by whole weeks onto the same distance from the
change to summer time, so its clock of the week is the one that the recipe asked for.

One thing in the meter looks back for ever: the clock of the week counts only weeks since the first message of all. So
``Settled.known`` is what is known about a world in its database: what was said in it and, where that was said elsewhere, the
first message of all. In each batch the first world is the one that sees where the data begin.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from worlds import DAY, MINUTE, START, Heard, Recipe, Said, World, make, rows

from tracker.models import DeletionRow
from tracker.store import derive
from tracker.store.connect import Connection, aware_utc
from tracker.store.sqlfiles import script

EXAMPLES = int(os.environ.get("TRACKER_EXAMPLES", "100"))
LAWS = int(os.environ.get("TRACKER_LAWS", "0"))
AT_ONCE = 20  # worlds in one database: more of them cost more than they save
FIRST_SEASON, YEARS_APART = 2010, 2
T = TypeVar("T", bound=Callable[..., None])
Rows = list[tuple[Any, ...]]

SEEDS = st.integers(0, 2**32)
FRACTIONS = st.lists(st.floats(0, 1), min_size=3, max_size=3)
SPARSE = st.builds(
    Recipe,
    seed=SEEDS,
    days=st.sampled_from([1, 3, 12, 20, 35, 60]),
    symbols=st.sampled_from([1, 2, 5]),
    messages=st.sampled_from([0, 5, 40, 150, 400]),
    wordings=st.sampled_from([3, 40, 2000]),
    authors=st.sampled_from([2, 30]),
    bursts=st.sampled_from([0, 1, 3]),
    opinionated=st.sampled_from([0.2, 0.9]),
    deaf=st.sampled_from([0.0, 0.1, 0.6]),
    own_streams=st.sampled_from([0, 1, 2]),
    # the second runs into summer time, the third out of it
    start=st.sampled_from([START, datetime(2026, 2, 20, tzinfo=UTC), datetime(2025, 10, 15, tzinfo=UTC)]),
)
SMALL = st.builds(
    Recipe,
    seed=SEEDS,
    days=st.sampled_from([2, 16]),
    messages=st.sampled_from([30, 150]),
    wordings=st.sampled_from([5, 60]),
    opinionated=st.just(0.9),
)
DENSE = st.builds(
    Recipe,
    seed=SEEDS,
    days=st.sampled_from([12, 20]),
    symbols=st.just(25),
    messages=st.just(1800),
    wordings=st.just(3000),
    opinionated=st.just(0.95),
)


# ---------------------------------------------------------------------------------------------- how many are tried


def tried(examples: int, *, shrink: bool = False) -> Callable[[T], T]:
    """No deadline. A failing recipe is told as it is, unless shrinking it is cheap: otherwise that takes minutes."""
    phases = [phase for phase in Phase if shrink or phase not in (Phase.shrink, Phase.explain)]
    return settings(
        max_examples=LAWS or max(1, examples),
        deadline=None,
        phases=phases,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


@contextmanager
def in_one_go() -> Iterator[None]:
    """The rollup takes everything in one statement: as it stands it takes days that lie apart, and the words of the spikes of
    a month, one after the other. What comes out is the same, which is a law of its own (test_rollup)."""

    def whole_span(connection: Connection) -> list[tuple[Any, ...]]:
        span = "SELECT min(bucket_start), max(bucket_start) FROM untold_spikes HAVING count(*) > 0"
        return connection.execute(span).fetchall()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derive, "_FEW_DAYS", 10**6)
        patch.setattr(derive, "_month_by_month", whole_span)
        yield


def tried_on_worlds(
    worlds: int, *drawn: SearchStrategy[Any], at_once: int = AT_ONCE, as_shipped: bool = False
) -> Callable[[T], Any]:
    """Try a law on so many worlds (TRACKER_LAWS, where that is set): it takes a list of what is drawn for each, as tuples.

    The first batch that hypothesis makes is the same simple world many times over: it comes on top and is not counted.
    """
    wanted = LAWS or max(1, worlds)
    size = min(at_once, wanted)

    def decorate(law: T) -> Any:
        @wraps(law)
        def cheaply(*args: Any, **named: Any) -> None:
            with nullcontext() if as_shipped else in_one_go():
                law(*args, **named)

        batches = given(st.lists(st.tuples(*drawn), min_size=size, max_size=size))(cheaply)
        return settings(tried(1), max_examples=math.ceil(wanted / size) + 1)(batches)

    return decorate


# ---------------------------------------------------------------------------------------------- a place for each


def _sunday(year: int, month: int, number: int) -> datetime:
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + (6 - first.weekday()) % 7 * DAY + (number - 1) * 7 * DAY


def _season(day: date) -> int:
    """The year in whose January the season lies: it lasts from July to June."""
    return day.year + (day.month >= 7)


def _change_of_clocks(season: int, *, autumn: bool) -> datetime:
    """The first Sunday of November, when New York's summer time ends, or the second of March, when it begins."""
    return _sunday(season - 1, 11, 1) if autumn else _sunday(season, 3, 2)


def shift_to(number: int, start: datetime) -> timedelta:
    """How far a world that starts then has to be moved to its place: whole weeks."""
    season, autumn = _season(start.date()), start.month >= 7
    there = FIRST_SEASON + YEARS_APART * number
    return _change_of_clocks(there, autumn=autumn) - _change_of_clocks(season, autumn=autumn)


def name_at(day: date) -> str:
    """The name of the world that lives around this day."""
    return f"W{(_season(day) - FIRST_SEASON) // YEARS_APART}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a world of a batch lives: nothing that is moved here can be seen from another place."""

    number: int
    shift: timedelta

    @property
    def name(self) -> str:
        return f"W{self.number}"

    def own(self, name: str) -> str:
        """Names of a world are in the same order as before: ties are broken by them."""
        return f"{self.name}.{name}"

    def stream(self, name: str) -> str:
        symbol = name.removeprefix("symbol/")
        return self.own(name) if symbol == name else f"symbol/{self.own(symbol)}"

    def said(self, one: Said) -> Said:
        return replace(
            one,
            id=self.own(one.id),
            at=one.at + self.shift,
            symbols=tuple(map(self.own, one.symbols)),
            author=one.author and self.own(one.author),
            key=None if one.key is None else one.key + self.number * 10**9,
            reshare_of=one.reshare_of and self.own(one.reshare_of),
            source=self.own(one.source),
            stream=self.stream(one.stream),
            known_at=one.known_at and one.known_at + self.shift,
        )

    def heard(self, poll: Heard) -> Heard:
        return Heard(
            self.stream(poll.stream), poll.from_at + self.shift, poll.to_at + self.shift, self.own(poll.source)
        )

    def gone(self, row: DeletionRow) -> DeletionRow:
        return replace(
            row,
            source=self.own(row.source),
            id=row.id and self.own(row.id),
            author=row.author and self.own(row.author),
            deleted_at=row.deleted_at + self.shift,
        )

    def world(self, world: World) -> World:
        return World(
            tuple(map(self.said, world.said)),
            tuple(map(self.heard, world.heard)),
            tuple(map(self.own, world.watchlist)),
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """One world of a batch, moved to its place."""

    place: Place
    recipe: Recipe  # as it was drawn
    world: World  # everything in it, by the names of its place
    first: tuple[Said, ...] = ()  # the first message of all, where it was said in another world

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def start(self) -> datetime:
        return self.recipe.start + self.place.shift

    @property
    def end(self) -> datetime:
        return self.recipe.end + self.place.shift

    @property
    def known(self) -> World:
        """What the database knows that has a bearing on this world."""
        return replace(self.world, said=self.first + self.world.said)

    def moments(self, fractions: Sequence[float]) -> list[datetime]:
        """Within the world and at its end, on midnights, on hours and on five minutes."""
        slots = [int(fraction * self.recipe.days * 288) for fraction in fractions]
        aligned = (slots[0] // 288 * 288, slots[1] // 12 * 12, slots[2])
        return [*(self.start + 5 * MINUTE * slot for slot in aligned), self.end]


def settle(recipes: Iterable[Recipe]) -> list[Settled]:
    """A world of each recipe, each in its own place, in the order of time."""
    settled = []
    for number, recipe in enumerate(recipes):
        place = Place(number, shift_to(number, recipe.start))
        settled.append(Settled(place, recipe, place.world(make(recipe))))
    everything = [one for each in settled for one in each.world.said]
    first = min(everything, key=lambda one: one.at, default=None)
    return [
        replace(each, first=(first,)) if first is not None and first not in each.world.said else each
        for each in settled
    ]


def long_ago() -> World:
    """A first message of all, before the first place."""
    return World((Place(-1, shift_to(-1, START)).said(Said("first", START, ("FIRST",))),))


def together(worlds: Iterable[World]) -> World:
    """All of them as what they are in the database: one."""
    every = list(worlds)
    return World(
        tuple(one for world in every for one in world.said),
        tuple(poll for world in every for poll in world.heard),
        tuple(symbol for world in every for symbol in world.watchlist),
    )


# ---------------------------------------------------------------------------------------------- asked world by world

Reading = dict[str, Any]
Readings = dict[tuple[datetime | None, str, str], Reading]  # (at, symbol, window name) -> the other columns


def take(connection: Connection, moments: Iterable[datetime]) -> Readings:
    """Freshly taken, in one call."""
    connection.execute("DELETE FROM readings")
    derive.take_readings(connection, list(moments), None)
    names = [row[0] for row in rows(connection, "DESCRIBE readings")]
    found = {}
    for row in rows(connection, "FROM readings"):
        reading = dict(zip(names, row, strict=True))
        del reading["computed_at"], reading["scorer"]
        found[aware_utc(reading.pop("at")), reading.pop("symbol"), reading.pop("window_name")] = reading
    return found


def readings_of(connection: Connection, moments: dict[str, Sequence[datetime]]) -> dict[str, Readings]:
    """By the name of the world, each at its own moments: taken at once. (Who is on the watch-list of one world is shown
    at the moments of all.)"""
    found: dict[str, Readings] = {name: {} for name in moments}
    for key, reading in take(connection, [at for each in moments.values() for at in each]).items():
        name = key[1].partition(".")[0]
        if name in moments and key[0] in moments[name]:
            found[name][key] = reading
    return found


def by_world(found: Iterable[tuple[Any, ...]]) -> dict[str, Rows]:
    """Rows by the name of the world, which stands at the start of their first column."""
    shared: dict[str, Rows] = {}
    for row in found:
        shared.setdefault(str(row[0]).partition(".")[0], []).append(row)
    return shared


def dump_of(connection: Connection, *tables: str) -> dict[str, dict[str, Rows]]:
    """By the name of the world: every row of these tables, sorted. A world without any row has no name here."""
    found: dict[str, dict[str, Rows]] = {}
    for table in tables:
        for name, its in by_world(rows(connection, f"SELECT * FROM {table} ORDER BY ALL")).items():
            found.setdefault(name, {})[table] = its
    return found


# ---------------------------------------------------------------------------------------------- rolled up, each as if alone

_BY_DAY = ("market_days", "symbol_days", "hour_scales", "hour_scale_days")
_BY_BUCKET = ("buckets", "spikes")


def roll_up_each(connection: Connection) -> list[str]:
    """One rollup for all worlds, as good as one for each alone; what would not have been the same, named by its world.

    A rollup looks again at everything since the first day on which anything changed: spikes, listened shares, baselines. For all
    worlds but the first that is more than their own rollup would look at, and could heal what theirs would miss. So whatever
    lies before a world's own first change, and would have stayed as it is, has to come out as it was. That a rollup does look
    at everything since then is seen on the first world of each batch. (The words of spikes are in question nowhere: in these
    worlds all say the same.)
    """
    reach = _own_reach(connection)
    if not reach:
        assert derive.rollup(connection) == 0
        return []
    connection.execute("CREATE OR REPLACE TEMP TABLE reach (world VARCHAR, from_at TIMESTAMP)")
    connection.executemany("INSERT INTO reach VALUES (?, ?)", [list(pair) for pair in reach.items()])
    for table in (*_BY_DAY, *_BY_BUCKET):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {table}_before AS FROM {table}")
    kept = {
        table: [
            day for (day,) in rows(connection, f"SELECT DISTINCT day FROM {table} ORDER BY day") if _stays(day, reach)
        ]
        for table in ("market_days", "hour_scale_days")
    }
    derive.rollup(connection)
    assert rows(connection, "SELECT from_at FROM relisten_from") == [(min(reach.values()),)]
    derive.ensure_baselines(connection, kept["market_days"])
    derive.ensure_hour_scales(connection, kept["hour_scale_days"])
    changed = []
    for table in _BY_BUCKET:
        changed += rows(
            connection,
            f"""SELECT '{table}', each.* FROM (
                    (FROM {table}_before EXCEPT ALL FROM {table}) UNION ALL (FROM {table} EXCEPT ALL FROM {table}_before)) AS each
                LEFT JOIN reach ON reach.world = split_part(each.symbol, '.', 1)
                WHERE each.bucket_start < coalesce(reach.from_at, TIMESTAMP '2200-01-01') ORDER BY ALL LIMIT 5""",
        )
    for table in _BY_DAY:
        of = "hour_scale_days" if table.startswith("hour") else "market_days"
        changed += rows(
            connection,
            f"""SELECT '{table}', each.* FROM (
                    (FROM {table}_before EXCEPT ALL FROM {table}) UNION ALL (FROM {table} EXCEPT ALL FROM {table}_before)) AS each
                WHERE each.day IN (SELECT unnest($1::DATE[])) ORDER BY ALL LIMIT 5""",
            kept[of],
        )
    return [f"would have stayed, and is wrong: {row}" for row in changed]


def _own_reach(connection: Connection) -> dict[str, datetime]:
    """By the name of the world: since when its rollup would look at everything again, if it were alone. The rollup says so
    itself, where only what was touched in that world is shown to it."""
    steps = connection.extract_statements(script("rollup/1_coverage.sql"))
    (look_again,) = [step for step in steps if "TEMP TABLE relisten_from" in step.query]
    touched = rows(connection, "SELECT symbol FROM touched UNION SELECT source FROM touched_coverage")
    reach = {}
    for name in by_world(touched):
        for table, name_column in (("touched", "symbol"), ("touched_coverage", "source")):  # stand before the real ones
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {table} AS FROM memory.{table} WHERE {name_column} LIKE '{name}.%'"
            )
        connection.execute("CREATE OR REPLACE TEMP TABLE touched_days AS SELECT DISTINCT symbol, day FROM touched")
        connection.execute(look_again)
        ((reach[name],),) = rows(connection, "SELECT from_at FROM relisten_from")
        connection.execute("DROP TABLE temp.touched; DROP TABLE temp.touched_coverage")
    return reach


def _stays(day: date, reach: dict[str, datetime]) -> bool:
    """Whether the baselines of this day outlive the rollup of the world that lives around it."""
    from_at = reach.get(name_at(day))
    return from_at is None or day <= from_at.date()
