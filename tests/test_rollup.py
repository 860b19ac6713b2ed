"""Facts to buckets and spikes: neither the order of arrival, nor batches, nor repeats, nor a rebuild changes a digit."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from many_worlds import (
    EXAMPLES,
    FRACTIONS,
    SEEDS,
    SMALL,
    SPARSE,
    Place,
    by_world,
    dump_of,
    in_one_go,
    readings_of,
    roll_up_each,
    settle,
    shift_to,
    together,
    tried_on_worlds,
)
from worlds import (
    DAY,
    FACTS,
    HOUR,
    MINUTE,
    START,
    Heard,
    Recipe,
    Said,
    World,
    batch_of,
    commit,
    dump,
    fresh_database,
    gone,
    rows,
    tell,
)

from tracker.models import Batch
from tracker.store import derive
from tracker.store.connect import Connection

TABLES = ("buckets", "coverage_hours", "spikes")
ADDITIVE = (
    "messages",
    "organic",
    "bullish",
    "bearish",
    "neutral",
    "labelled_bullish",
    "labelled_bearish",
    "tone_sum",
    "tone_sq_sum",
    "reshares",
)
ARRIVING = st.builds(
    Recipe,
    seed=SEEDS,
    days=st.sampled_from([2, 5, 20]),
    symbols=st.sampled_from([1, 4]),
    messages=st.sampled_from([10, 60, 150]),
    wordings=st.sampled_from([3, 40, 2000]),
    bursts=st.sampled_from([1, 3]),
    deaf=st.sampled_from([0.1, 0.6]),
    own_streams=st.sampled_from([0, 1, 2]),
)


def in_pieces(world: World, dice: random.Random) -> list[Batch]:
    """The world as it might have arrived: any order, any split, some of it twice and on two streams."""
    said = list(world.said)
    dice.shuffle(said)
    pieces = []
    while said:
        size = dice.randrange(1, max(2, len(world.said) // 3))
        piece, said = said[:size], said[size:]
        again = dice.sample(piece, dice.randrange(len(piece) + 1)) if dice.random() < 0.5 else []
        pieces.append(batch_of(piece + again))
        if again:
            pieces.append(batch_of(replace(one, stream="another") for one in again))
    pieces += [batch_of((), heard) for heard in world.heard]
    dice.shuffle(pieces)
    return pieces


def rebuild(connection: Connection) -> None:
    derive.touch_everything(connection)
    derive.rollup(connection)


def some_of(pieces: list[Batch], dice: random.Random, up_to_a_word: bool) -> list[Batch]:
    """The next of them, which are taken away; at least so many that something has been said, where that is asked for."""
    size = dice.randrange(1, 1 + len(pieces))
    if up_to_a_word:
        size = max(size, 1 + next(number for number, piece in enumerate(pieces) if piece.messages))
    taken, pieces[:size] = pieces[:size], []
    return taken


@tried_on_worlds(EXAMPLES // 16, ARRIVING, SEEDS)
def test_order_of_arrival_and_batches_change_nothing(drawn: list[tuple[Recipe, int]]) -> None:
    """Rolled up after any flush, or once at the end, or again from the facts: the same rows to the last digit."""
    worlds = settle(recipe for recipe, _ in drawn)
    dice = [random.Random(seed) for _, seed in drawn]  # noqa: S311 (an order, not a secret)
    common = random.Random(str(drawn))  # noqa: S311
    everything = together(one.world for one in worlds)
    moments = {one.name: (one.start + 20 * HOUR, one.end) for one in worlds}
    connection = fresh_database()
    tell(connection, everything)
    at_once, at_once_read = dump_of(connection, *TABLES), readings_of(connection, moments)

    connection = fresh_database()
    arriving = [in_pieces(one.world, own) for one, own in zip(worlds, dice, strict=True)]
    # where the data begin is known to the other worlds from the start
    commit(connection, *some_of(arriving[0], dice[0], up_to_a_word=True))
    healed = []
    while any(arriving):
        talking = [(pieces, own) for pieces, own in zip(arriving, dice, strict=True) if pieces and own.random() < 0.8]
        flush = [piece for pieces, own in talking for piece in some_of(pieces, own, up_to_a_word=False)]
        if flush:
            commit(connection, *flush)
        if common.random() < 0.6:
            healed += roll_up_each(connection)
        elif common.random() < 0.5:
            # makes baselines that must not stay
            derive.take_readings(connection, [one.start + one.recipe.days * DAY / 2 for one in worlds], None)
    connection.execute("INSERT INTO watchlist SELECT unnest(?), NULL", [list(everything.watchlist)])
    healed += roll_up_each(connection)
    bit_by_bit, bit_by_bit_read = dump_of(connection, *TABLES), readings_of(connection, moments)
    assert healed == [], f"{drawn}"
    rebuild(connection)
    again = dump_of(connection, *TABLES)
    for one, (_, seed) in zip(worlds, drawn, strict=True):
        told = f"{one.name}, {one.recipe}, {seed}"
        assert bit_by_bit[one.name] == at_once[one.name], told
        assert bit_by_bit_read[one.name] == at_once_read[one.name], told
        assert again[one.name] == at_once[one.name], told
    assert rows(connection, "SELECT count(*) FROM touched") == [(0,)]


@tried_on_worlds(EXAMPLES // 33, SPARSE, FRACTIONS, as_shipped=True)
def test_what_is_taken_in_one_statement_changes_nothing(drawn: list[tuple[Recipe, list[float]]]) -> None:
    """Days that lie apart and the words of the spikes of each month one after the other, or all of them in one go."""
    worlds = settle(recipe for recipe, _ in drawn)
    everything = together(one.world for one in worlds)
    moments = {one.name: one.moments(fractions) for one, (_, fractions) in zip(worlds, drawn, strict=True)}
    connection = fresh_database()
    tell(connection, everything)
    as_shipped, as_shipped_read = dump_of(connection, *TABLES), readings_of(connection, moments)
    connection = fresh_database()
    with in_one_go():
        tell(connection, everything)
    whole, whole_read = dump_of(connection, *TABLES), readings_of(connection, moments)
    for one in worlds:
        told = f"{one.name}, {one.recipe}, at {moments[one.name]}"
        assert whole.get(one.name) == as_shipped.get(one.name), told
        assert whole_read[one.name] == as_shipped_read[one.name], told


@tried_on_worlds(EXAMPLES // 33, SMALL)
def test_replaying_everything_adds_nothing(drawn: list[tuple[Recipe]]) -> None:
    worlds = settle(recipe for (recipe,) in drawn)
    everything = together(one.world for one in worlds)
    connection = fresh_database()
    tell(connection, everything)
    facts = [table for table in FACTS if table != "polls"]  # an attempt is an attempt
    before = dump_of(connection, *facts, *TABLES)
    for _ in range(2):
        again = commit(connection, batch_of(everything.said), *(batch_of((), heard) for heard in everything.heard))
        assert again.added == 0, f"{drawn}"
        derive.rollup(connection)
    after = dump_of(connection, *facts, *TABLES)
    for one in worlds:
        assert after[one.name] == before[one.name], f"{one.name}, {one.recipe}"
    assert after.keys() == before.keys()


@tried_on_worlds(EXAMPLES // 33, SMALL)
def test_five_minutes_add_up_to_hours_and_hours_to_days(drawn: list[tuple[Recipe]]) -> None:
    worlds = settle(recipe for (recipe,) in drawn)
    connection = fresh_database()
    tell(connection, together(one.world for one in worlds))
    sums = ", ".join(f"sum({name})" for name in ADDITIVE)
    query = f"SELECT symbol, source, date_trunc('{{}}', bucket_start) AS start, {sums} FROM buckets WHERE bucket_width = INTERVAL {{}} GROUP BY ALL ORDER BY ALL"
    by_source = f"SELECT symbol, bucket_width, bucket_start, {sums} FROM buckets WHERE source {{}} '*' GROUP BY ALL ORDER BY ALL"
    for small, large in (
        (query.format("hour", "5 MINUTE"), query.format("hour", "1 HOUR")),
        (query.format("day", "1 HOUR"), query.format("day", "1 DAY")),
        (by_source.format("<>"), by_source.format("=")),
    ):
        parts, wholes = by_world(rows(connection, small)), by_world(rows(connection, large))
        for one in worlds:
            assert parts[one.name] == wholes[one.name], f"{one.name}, {one.recipe}"
    assert (
        rows(
            connection,
            "FROM buckets WHERE bullish + bearish + neutral <> organic OR authors > messages OR texts > messages",
        )
        == []
    ), f"{drawn}"


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["say", "edit", "delete", "like"]), st.integers(0, 11), st.integers(0, 2), st.integers(1, 4)
    ),
    max_size=14,
)
Change = tuple[str, int, int, int]
CROWD = tuple(
    Said(f"c{n}", START + 24 * HOUR + n * MINUTE, ("AAA",), f"a{n}", key=100 + n, likes=n % 3) for n in range(30)
)
EARLY_ALERT = World(CROWD, (Heard("posts", START - 9 * DAY, START + 3 * DAY),))


def change_in(place: Place, change: Change, dice: random.Random) -> Batch:
    """A message that is said or edited, deleted, or liked more."""
    kind, who, key, revision = change
    at = START + timedelta(hours=7 * who)
    if kind == "delete":
        row = gone(str(who) if key else f"c{who}", at=at, revision=f"{revision}")
        return batch_of(deletions=[place.gone(row)])
    if kind == "like":
        return batch_of([place.said(replace(CROWD[who], likes=10 * revision))])
    reshare = str(dice.randrange(12)) if key == 2 else None
    symbols = ("AAA", "BBB") if kind == "say" else ("AAA",)
    said = Said(str(who), at, symbols, key=key, revision=f"{revision}", reshare_of=reshare)
    return batch_of([place.said(said)])


@tried_on_worlds(EXAMPLES // 16, CHANGES, SEEDS, at_once=50)
def test_what_a_change_touches_is_all_that_it_changes(drawn: list[tuple[list[Change], int]]) -> None:
    """Edits, deletions and counts over two days, many of them copies and reshares of each other: rolled up change by
    change as from the facts at the end. A symbol with a spike is among them."""
    places = [Place(number, shift_to(number, START)) for number in range(len(drawn))]
    dice = [random.Random(seed) for _, seed in drawn]  # noqa: S311 (who reshares whom, not a secret)
    connection = fresh_database()
    tell(connection, together(place.world(EARLY_ALERT) for place in places))
    for number in range(max(len(changes) for changes, _ in drawn)):
        flush = [
            change_in(place, changes[number], own)
            for place, own, (changes, _) in zip(places, dice, drawn, strict=True)
            if number < len(changes)
        ]
        commit(connection, *flush)
        assert roll_up_each(connection) == [], f"{drawn}"
    incremental = dump_of(connection, *TABLES)
    rebuild(connection)
    again = dump_of(connection, *TABLES)
    for place, (changes, seed) in zip(places, drawn, strict=True):
        assert again[place.name] == incremental[place.name], f"{place.name}, {changes}, {seed}"


# ---------------------------------------------------------------------------------------------- what is touched


def test_late_original_before_midnight_turns_the_copy_after_it() -> None:
    connection = fresh_database()
    copy = Said("copy", START + DAY + HOUR, ("AAA",), key=7)
    tell(connection, World((copy,)))
    commit(connection, batch_of([Said("original", START + 2 * HOUR, ("AAA",), key=7)]))
    assert rows(connection, "SELECT DISTINCT symbol, day::VARCHAR FROM touched ORDER BY ALL") == [
        ("AAA", "2026-01-05"),
        ("AAA", "2026-01-06"),
    ]
    derive.rollup(connection)
    assert rows(
        connection,
        "SELECT organic FROM buckets WHERE source = '*' AND bucket_width = INTERVAL 1 DAY ORDER BY bucket_start",
    ) == [(1,), (0,)]
    commit(connection, batch_of(deletions=[gone("original")]))
    derive.rollup(connection)
    assert rows(
        connection,
        "SELECT bucket_start::DATE::VARCHAR, organic FROM buckets WHERE source = '*' AND bucket_width = INTERVAL 1 DAY",
    ) == [("2026-01-06", 1)]


def test_late_original_turns_its_reshares_of_later_days() -> None:
    connection = fresh_database()
    tell(connection, World((Said("reshare", START + 3 * DAY, ("AAA",), key=1, reshare_of="original"),)))
    commit(connection, batch_of([Said("original", START, ("AAA",), key=2)]))
    derive.rollup(connection)
    assert rows(
        connection,
        "SELECT organic FROM buckets WHERE source = '*' AND bucket_width = INTERVAL 1 DAY ORDER BY bucket_start",
    ) == [(1,), (0,)]


def test_spike_names_the_message_that_is_liked_most_now() -> None:
    connection = fresh_database()
    crowd = tuple(
        Said(f"c{n}", START + 12 * DAY + n * MINUTE, ("AAA",), f"a{n}", key=100 + n, likes=n) for n in range(30)
    )
    quiet = tuple(Said(f"q{n}", START + n * DAY, ("AAA",), key=n) for n in range(12))
    tell(connection, World(crowd + quiet, (Heard("posts", START, START + 13 * DAY),)))
    query = "SELECT top_message_id FROM spikes WHERE bucket_width = INTERVAL 1 DAY"
    assert rows(connection, query) == [("c29",)]
    commit(connection, batch_of([replace(crowd[3], likes=99)]))
    derive.rollup(connection)
    assert rows(connection, query) == [("c3",)]
    commit(connection, batch_of([replace(crowd[3], likes=99), replace(quiet[3], likes=99)]))
    assert rows(connection, "SELECT count(*) FROM touched") == [(0,)]


def test_outage_becomes_known_when_the_stream_comes_back() -> None:
    """Between its last poll and its next one a stream was deaf: buckets of that span, heard on another stream, say so."""
    connection = fresh_database()
    heard = (Heard("posts", START, START + DAY), Heard("r/x", START, START + 5 * DAY))
    tell(connection, World((Said("1", START + 2 * DAY, ("AAA",)),), heard))
    query = "SELECT up FROM buckets WHERE source = '*' AND bucket_width = INTERVAL 1 DAY"
    assert rows(connection, query) == [(1.0,)]
    commit(connection, batch_of((), Heard("posts", START + 4 * DAY, START + 5 * DAY)))
    derive.rollup(connection)
    assert rows(connection, query) == [(0.5,)]
    once = dump(connection, *TABLES)
    rebuild(connection)
    assert dump(connection, *TABLES) == once


def test_poll_that_covers_nothing_leaves_no_hours() -> None:
    connection = fresh_database()
    tell(
        connection,
        World((), (Heard("posts", START, START), Heard("r/x", START + HOUR, START), Heard("r/y", START, START + HOUR))),
    )
    assert rows(connection, "SELECT stream, up FROM coverage_hours") == [("r/y", 1.0)]


def test_rollup_with_nothing_touched_does_nothing() -> None:
    connection = fresh_database()
    assert derive.rollup(connection) == 0
    tell(connection, World((Said("1", START, ("AAA",)),)))
    assert derive.rollup(connection) == 0


def test_lost_derived_tables_are_noticed() -> None:
    connection = fresh_database()
    assert not derive.derived_lost(connection)
    tell(connection, World((Said("1", START, ("AAA",)),)))
    assert not derive.derived_lost(connection)
    connection.execute("DELETE FROM buckets")
    assert derive.derived_lost(connection)


@pytest.mark.parametrize("together", [True, False])
def test_baselines_do_not_depend_on_the_days_asked_for_together(together: bool) -> None:
    """A symbol that gets a stream of its own later is heard on the open ones before."""
    connection = fresh_database()
    heard = (Heard("posts", START, START + 40 * DAY), Heard("symbol/AAA", START + 20 * DAY, START + 40 * DAY))
    tell(connection, World(tuple(Said(str(n), START + n * DAY, ("AAA",)) for n in range(30)), heard))
    days = [(START + 10 * DAY).date(), (START + 30 * DAY).date()]
    for part in [days] if together else [[day] for day in days]:
        derive.ensure_baselines(connection, part)
    assert rows(connection, "SELECT hours, organic FROM symbol_days WHERE symbol = 'AAA' ORDER BY day") == [
        (pytest.approx(168), 10),
        (pytest.approx(168), 10),
    ]


def test_a_window_of_the_operators_own_has_its_expectation_too() -> None:
    """Baselines are those of the day on which a window starts, also where it is none of the usual three widths."""
    connection = fresh_database()
    said = [Said(str(n), START + n * HOUR, ("GME",), key=n) for n in range(24 * 10)]
    end = said[-1].at
    heard = Heard("posts", START, end)
    commit(connection, batch_of(said, heard))
    derive.rollup(connection)
    try:
        connection.execute("INSERT INTO meter_windows VALUES ('48h', 172800)")
        derive.take_readings(connection, [START + 9 * DAY], None)
        found = connection.execute(
            "SELECT organic, expected FROM readings WHERE window_name = '48h' AND symbol = 'GME'"
        ).fetchall()
    finally:
        connection.execute("DELETE FROM meter_windows WHERE window_name = '48h'")
    ((organic, expected),) = found
    assert organic == 48
    assert 20 < expected < 60
