"""What drives a window: the SQL says what an independent oracle says, and keeps its laws.

The oracle is the definition once more in plain Python, one message at a time.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_worlds import EXAMPLES, SEEDS, tried
from oracle import Oracle
from test_episodes import EVERYTHING, spike, store_spikes
from worlds import DAY, HOUR, MINUTE, START, Recipe, Said, World, batch_of, commit, fresh_database, gone, make, rows

from tracker import metrics
from tracker.rows import Driver
from tracker.store.connect import Connection, naive_utc
from tracker.text import text_key

SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).resolve().parents[1] / ".." / "shared"))
PRIOR, PIECE, SURE = 1000, 1333, 1.645  # uses of words; messages that are read of each day; least z
VOCABULARY = [f"{first}{second}o" for first in "bdfgklmn" for second in "aeiu"]


# ------------------------------------------------------------------------------------------- what drives, by hand


def midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def words(one: Said) -> set[str]:
    return set((one.text or "").split())


def drivers_by_hand(world: World, symbol: str, since: datetime, until: datetime) -> dict[str, Driver]:
    """Every word that a window could be driven by -> its row, whatever its z."""
    oracle = Oracle(world)
    begin = midnight(since) - 14 * DAY
    pieces = [(begin + number * DAY, begin + (number + 1) * DAY) for number in range(14)]
    own = [one for one in oracle.organic(symbol, oracle.by_symbol.get(symbol, [])) if one.text is not None]
    inside = [one for one in own if since <= one.at < until]
    before = [one for one in own if begin <= one.at < midnight(since)]
    around: Counter[str] = Counter()
    for from_at, to_at in pieces:
        mentions = [
            one
            for talk in oracle.by_symbol.values()
            for one in talk
            if from_at <= one.at < to_at and one.key is not None
        ]
        read = {}
        for one in sorted(mentions, key=lambda one: (one.at, one.source, one.id)):
            if one.key is not None and one.key * len(mentions) < PIECE * 2**64:
                read.setdefault(one.key, one)
        around.update(word for one in read.values() for word in words(one))
    uses = Counter(word for one in inside for word in words(one))
    uses_before = Counter(word for one in before for word in words(one))
    authors = defaultdict(set)
    for one in inside:
        for word in words(one):
            authors[word].add((one.source, one.author))
    found = {}
    for word, number in uses.items():
        known = {author for _, author in authors[word] if author is not None}
        if number < 3 or len(known) < 2 or word == symbol.lower() or around.total() < PRIOR:
            continue
        prior = 0.5 + PRIOR * (around[word] / around.total() if around.total() else 0)
        now = (number + prior) / (uses.total() - number + PRIOR + 1 - prior)
        then = (uses_before[word] + prior) / (uses_before.total() - uses_before[word] + PRIOR + 1 - prior)
        log_odds = math.log(now / then)
        z = log_odds / math.sqrt(1 / (number + prior) + 1 / (uses_before[word] + prior))
        found[word] = Driver(
            word, z, log_odds, number, number / len(inside), uses_before[word], uses_before[word] / len(before) if before else None
        )  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class Window:
    """A span within a world, as shares and steps, so that it fits every recipe."""

    start: float  # share of the world's time
    grain: timedelta  # its start is a multiple of this
    width: timedelta

    def edges(self, recipe: Recipe) -> tuple[datetime, datetime]:
        steps = int(self.start * (recipe.end - recipe.start) / self.grain)
        return recipe.start + steps * self.grain, recipe.start + steps * self.grain + self.width


WINDOWS = st.builds(
    Window,
    st.floats(0.3, 1),
    st.sampled_from([5 * MINUTE, HOUR, DAY, 7 * timedelta(seconds=11)]),
    st.sampled_from([5 * MINUTE, HOUR, 6 * HOUR, DAY, DAY, 7 * DAY]),
)
TALK = st.builds(
    Recipe,
    seed=SEEDS,
    days=st.sampled_from([2, 10, 25]),
    symbols=st.sampled_from([1, 3]),
    messages=st.sampled_from([20, 150, 400]),
    wordings=st.sampled_from([30, 5000]),
    authors=st.sampled_from([2, 30]),
    bursts=st.sampled_from([0, 2]),
)


def talk(recipe: Recipe) -> World:
    """A world in which each day has its word, each burst another, and some texts are past their time."""
    dice = random.Random(recipe.seed)  # noqa: S311 (a world, not a secret)
    said = []
    for one in make(recipe).said:
        topic = one.id.split("-")[0] if one.id.startswith("b") else str((one.at - recipe.start) // DAY)
        spoken = [*dice.choices(VOCABULARY, range(len(VOCABULARY), 0, -1), k=dice.randrange(6)), one.symbols[0].lower()]
        spoken += [f"topic{topic}"] * dice.choice([0, 0, 2])
        said.append(replace(one, text=None if dice.random() < 0.05 else " ".join(spoken)))
    return World(tuple(said))


def told(*worlds: World) -> Connection:
    """A fresh database in which these were said, one flush each; nothing is rolled up, drivers don't need it."""
    connection = fresh_database()
    for world in worlds:
        commit(connection, batch_of(world.said))
    return connection


def drivers(connection: Connection, symbol: str, since: datetime, until: datetime) -> list[Driver]:
    return metrics.drivers(connection, symbol, since, until, EVERYTHING)


def check_by_hand(world: World, found: Sequence[Driver], symbol: str, since: datetime, until: datetime) -> int:
    """Compare with the oracle; how many words both found."""
    wanted = drivers_by_hand(world, symbol, since, until)
    sure = {word for word, row in wanted.items() if row.z >= SURE + 1e-9}
    there = {row.term for row in found}
    assert sure <= there <= {word for word, row in wanted.items() if row.z >= SURE - 1e-9}
    for row in found:
        hand = wanted[row.term]
        assert (row.messages, row.messages_before) == (hand.messages, hand.messages_before)
        assert [row.z, row.log_odds, row.share] == pytest.approx([hand.z, hand.log_odds, hand.share], rel=1e-9)
        assert row.share_before == (None if hand.share_before is None else pytest.approx(hand.share_before, rel=1e-9))
    assert [row.term for row in found] == [row.term for row in sorted(found, key=lambda row: (-row.z, row.term))], (
        "strongest first, then by name"
    )
    return len(found)


@tried(EXAMPLES // 4)
@given(TALK, WINDOWS)
def test_drivers_are_what_an_oracle_says(recipe: Recipe, window: Window) -> None:
    world = talk(recipe)
    connection, (since, until) = told(world), window.edges(recipe)
    for symbol in ("S0", "S1"):
        check_by_hand(world, drivers(connection, symbol, since, until), symbol, since, until)


def test_the_oracle_is_asked_about_something() -> None:
    recipe = Recipe(seed=5, days=25, symbols=2, messages=1500, wordings=5000, bursts=3)
    world = talk(recipe)
    connection = told(world)
    days = [recipe.start + number * DAY for number in range(16, 25)]
    assert (
        sum(check_by_hand(world, drivers(connection, "S0", day, day + DAY), "S0", day, day + DAY) for day in days) > 5
    )


def test_of_a_loud_day_a_sample_is_read_for_the_prior_and_all_of_the_symbols_own() -> None:
    """4,000 mentions on one day: the prior hears a third of them, by the key of their wording."""
    dice = random.Random(3)  # noqa: S311
    since = START + 5 * DAY
    said = [
        Said(str(number), START + 3 * DAY + number * timedelta(seconds=20), ("S0",) if number % 10 == 0 else ("S1",), f"a{number % 50}",
             key=dice.randrange(2**64), text=f"{dice.choice(VOCABULARY)} {dice.choice(VOCABULARY)}")
        for number in range(4000)
    ]  # fmt: skip
    said += [
        Said(f"w{number}", since + number * MINUTE, ("S0",), f"a{number}", key=dice.randrange(2**64), text="merger")
        for number in range(30)
    ]
    world = World(tuple(said))
    found = drivers(told(world), "S0", since, since + DAY)
    assert check_by_hand(world, found, "S0", since, since + DAY) >= 1
    assert (found[0].term, found[0].messages, found[0].messages_before) == ("merger", 30, 0)


@tried(EXAMPLES // 10)
@given(TALK, WINDOWS)
def test_what_is_said_later_changes_no_driver(recipe: Recipe, window: Window) -> None:
    world, (since, until) = talk(recipe), window.edges(recipe)
    past = World(tuple(one for one in world.said if one.at < until))
    future = World(tuple(one for one in world.said if one.at >= until))
    connection = told(past)
    found = drivers(connection, "S0", since, until)
    commit(connection, batch_of(future.said))
    assert drivers(connection, "S0", since, until) == found


@tried(EXAMPLES // 10)
@given(TALK, WINDOWS, st.integers(0, 2**16), st.integers(1, 40))
def test_copies_change_no_driver(recipe: Recipe, window: Window, which: int, times: int) -> None:
    world, (since, until) = talk(recipe), window.edges(recipe)
    spread = Counter(one.key for one in world.said)
    once = [one for one in world.said if one.key is not None and spread[one.key] == 1 and one.reshare_of is None]
    connection = told(world)
    found = drivers(connection, "S0", since, until)
    if not once:
        return
    original = once[which % len(once)]
    copies = [
        replace(original, id=f"copy {n}", author=f"paster {n}", at=original.at + (n + 1) * MINUTE, known_at=None)
        for n in range(times)
    ]
    commit(connection, batch_of(copies))
    assert drivers(connection, "S0", since, until) == found


@tried(EXAMPLES // 20)
@given(TALK, WINDOWS, SEEDS)
def test_the_order_of_arrival_changes_no_driver(recipe: Recipe, window: Window, seed: int) -> None:
    world, (since, until) = talk(recipe), window.edges(recipe)
    found = drivers(told(world), "S0", since, until)
    shuffled = list(world.said)
    random.Random(seed).shuffle(shuffled)  # noqa: S311
    half = len(shuffled) // 2
    assert drivers(told(World(tuple(shuffled[:half])), World(tuple(shuffled[half:]))), "S0", since, until) == found


@tried(EXAMPLES // 10)
@given(TALK, st.lists(st.tuples(st.sampled_from(["S0", "S1"]), WINDOWS), min_size=1, max_size=5))
def test_spikes_are_told_by_their_five_strongest_drivers(recipe: Recipe, windows: list[tuple[str, Window]]) -> None:
    connection = told(talk(recipe))
    places = {(symbol, window.width, window.edges(recipe)[0]) for symbol, window in windows}
    store_spikes(connection, [spike(*place) for place in places])
    found = rows(connection, "FROM spike_terms($1, $2)", naive_utc(recipe.start), naive_utc(recipe.end + DAY))
    assert {(symbol, width, start) for symbol, width, start, _ in found} == {
        (s, w, naive_utc(at)) for s, w, at in places
    }
    assert len(found) == len(places)
    for symbol, width, start, terms in found:
        since = start.replace(tzinfo=UTC)
        alone = [row.term for row in metrics.drivers(connection, symbol, since, since + width, 5)]
        assert terms == (alone or None)


def test_deleted_words_and_words_past_their_time_drive_nothing() -> None:
    connection = told(talk(Recipe(seed=5, days=25, symbols=1, messages=900, wordings=5000)))
    since = START + 20 * DAY
    said = [Said(f"w{n}", since + n * MINUTE, ("S0",), f"a{n}", key=n, text="merger") for n in range(60)]
    commit(connection, batch_of(said))
    assert [row.messages for row in drivers(connection, "S0", since, since + DAY) if row.term == "merger"] == [60]
    commit(connection, batch_of(deletions=[gone(f"w{n}") for n in range(20)]))
    assert [row.messages for row in drivers(connection, "S0", since, since + DAY) if row.term == "merger"] == [40]
    connection.execute("UPDATE messages SET text = NULL WHERE created_at >= $1", [naive_utc(since)])
    assert drivers(connection, "S0", since, since + DAY) == []


@contextmanager
def known_symbol(connection: Connection, symbol: str, name: str, aliases: list[str]) -> Iterator[None]:
    connection.execute(
        "INSERT INTO symbols (symbol, name, kind, aliases, status) VALUES ($1, $2, 'stock', $3, 'listed')",
        [symbol, name, aliases],
    )
    try:
        yield
    finally:
        connection.execute("DELETE FROM symbols")


def test_a_name_never_drives_itself() -> None:
    connection = told(talk(Recipe(seed=5, days=25, symbols=1, messages=900, wordings=5000)))
    since = START + 20 * DAY
    text = "tin meadow corp buys brass, says tinny and s0"
    commit(
        connection, batch_of(Said(f"w{n}", since + n * MINUTE, ("S0",), f"a{n}", key=n, text=text) for n in range(90))
    )
    with known_symbol(connection, "S0", "Tin Meadow Corp.", ["Tinny"]):
        found = {row.term for row in drivers(connection, "S0", since, since + DAY)}
    assert {"buys", "brass", "says"} <= found
    assert not found & {"tin", "meadow", "corp", "tinny", "s0"}


# ------------------------------------------------------------------------------------------------ real messages


def test_a_real_day_is_driven_by_what_happened_on_it() -> None:
    """On 23 April 2014 Apple told its results, a share split and a larger buyback."""
    path = SHARED / "real" / "stocknet" / "tweets_2014h1.ndjson.gz"
    if not path.is_file():
        pytest.skip(f"TRACKER_SHARED names no folder with recorded messages: {path} is missing")
    day = datetime(2014, 4, 23, tzinfo=UTC)
    said = [one for one in recorded(path) if day - 15 * DAY <= one.at < day + DAY]
    found = drivers(told(World(tuple(said))), "AAPL", day, day + DAY)
    assert {"split", "buyback"} <= {row.term for row in found[:5]}
    assert not {"rt", "via", "amp", "http", "https", "co", "aapl"} & {row.term for row in found}


def recorded(path: Path) -> Iterator[Said]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            tweet = json.loads(line)
            symbols = tuple(dict.fromkeys(tag["text"].upper() for tag in tweet["entities"]["symbols"]))
            if symbols:
                yield Said(
                    tweet["id_str"], datetime.strptime(tweet["created_at"], "%a %b %d %H:%M:%S %z %Y").astimezone(UTC), symbols,
                    tweet["user"]["id_str"], text_key(tweet["text"]), text=tweet["text"],
                    reshare_of=tweet.get("retweeted_status", {}).get("id_str"),
                )  # fmt: skip
