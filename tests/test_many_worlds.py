"""The worlds of a batch don't see each other: what a law finds there it would have found with each of them alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from many_worlds import (
    EXAMPLES,
    FRACTIONS,
    SPARSE,
    Settled,
    dump_of,
    name_at,
    readings_of,
    settle,
    shift_to,
    together,
    tried_on_worlds,
)
from oracle import hour_number, hour_of_week
from worlds import DAY, HOUR, START, Recipe, fresh_database, rows, tell

from tracker.store.connect import Connection

TABLES = ("buckets", "coverage_hours", "spikes", "symbol_days", "mentions_marked")
LONGEST = 60  # days of a world
LOOK_BACK = 97 * DAY
STARTS = (START, datetime(2026, 2, 20, tzinfo=UTC), datetime(2025, 10, 15, tzinfo=UTC))


def seen_of(connection: Connection, worlds: Sequence[Settled], moments: dict[str, list[datetime]]) -> dict[str, object]:
    """By the name of the world: all that is derived of it, and what its market shares on the days of its moments."""
    read, dumped = readings_of(connection, moments), dump_of(connection, *TABLES)
    shared = rows(connection, "SELECT * FROM market_days ORDER BY ALL") + rows(
        connection, "SELECT day, symbol_days.* FROM symbol_days WHERE symbol = '*' ORDER BY ALL"
    )
    return {
        one.name: (read[one.name], dumped.get(one.name), [row for row in shared if name_at(row[0]) == one.name])
        for one in worlds
    }


def check(drawn: Sequence[tuple[Recipe, list[float]]]) -> None:
    worlds = settle(recipe for recipe, _ in drawn)
    moments = {one.name: one.moments(fractions) for one, (_, fractions) in zip(worlds, drawn, strict=True)}
    connection = fresh_database()
    tell(connection, together(one.world for one in worlds))
    in_the_batch = seen_of(connection, worlds, moments)
    for one in worlds:
        connection = fresh_database()
        tell(connection, one.known)
        alone = seen_of(connection, [one], {one.name: moments[one.name]})
        assert alone[one.name] == in_the_batch[one.name], f"{one.name}, {one.recipe}, at {moments[one.name]}"


@tried_on_worlds(EXAMPLES // 25, SPARSE, FRACTIONS)
def test_a_world_is_the_same_alone_and_in_a_batch(drawn: list[tuple[Recipe, list[float]]]) -> None:
    check(drawn)


def test_a_loud_world_with_a_habit_of_its_own_is_not_heard_next_door() -> None:
    """Worlds with many symbols and opinions, and between them long ones with few."""
    loud = Recipe(3, days=20, symbols=25, messages=2200, wordings=3000, opinionated=0.95, bursts=3)
    quiet = Recipe(4, days=LONGEST, symbols=5, messages=150, bursts=3, start=STARTS[2])
    late = Recipe(5, days=20, symbols=25, messages=2200, wordings=3000, opinionated=0.95, start=STARTS[1])
    drawn = [(loud, [0.3, 0.6, 0.9]), (quiet, [0.0, 0.1, 0.9]), (late, [0.3, 0.6, 0.9]), (quiet, [0.0, 0.1, 0.9])]
    check(drawn)
    worlds = settle(recipe for recipe, _ in drawn)
    connection = fresh_database()
    tell(connection, together(one.world for one in worlds))
    found = readings_of(connection, {one.name: [one.end] for one in worlds})
    habits = [{reading["baseline"] for reading in found[one.name].values()} for one in worlds]
    assert ["own" in habit for habit in habits] == [True, False, True, False]
    assert habits[1] == habits[3] == {"default"}


def test_places_are_farther_apart_than_the_meter_looks_back() -> None:
    for number in range(49):
        last = max(start + shift_to(number, start) + (LONGEST + 5) * DAY for start in STARTS)
        following = min(start + shift_to(number + 1, start) for start in STARTS)
        assert following - LOOK_BACK > last
        assert {name_at((start + shift_to(number, start) - 8 * DAY).date()) for start in STARTS} == {f"W{number}"}
        assert name_at(last.date()) == f"W{number}"


@pytest.mark.parametrize("number", [0, 1, 8, 24, 49])
@pytest.mark.parametrize("start", STARTS)
def test_a_place_keeps_the_clock_of_the_week(number: int, start: datetime) -> None:
    """Also where it changes to summer time and back."""
    first = hour_number(start)
    there = hour_number(start + shift_to(number, start))
    assert [hour_of_week(there + n) for n in range(24 * LONGEST)] == [
        hour_of_week(first + n) for n in range(24 * LONGEST)
    ]
    assert shift_to(number, start) % (7 * 24 * HOUR) == 0 * HOUR
