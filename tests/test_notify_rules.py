"""Rules over a real database into the outbox; rehearsals and digests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import MIDNIGHT, build, crowd, make_batch, say
from desk import (
    DAY,
    HOUR,
    Desk,
    channels_of,
    config_of,
    rule_of,
    store_at,
    stored,
)

from tracker.config import Config
from tracker.notify_dry import growing, rehearse
from tracker.notify_rules import evaluate, ground_of
from tracker.rows import Spike
from tracker.store import Connection, Store, derive
from tracker.store import alerts as outbox


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables and metrics and nothing in them."""
    return build(tmp_path_factory.mktemp("empty")).path


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Store:
    return store_at(tmp_path, empty)


# ------------------------------------------------------------------------------------------------ rules over a database


def burst(start: datetime, many: int = 40) -> list[Any]:
    return crowd(start, "BABA", bulls=many // 2, bears=many // 4, others=many // 4, every=timedelta(seconds=60))


def talk() -> list[Any]:
    """Five weeks of a message every few hours about two symbols, by many."""
    start = MIDNIGHT - timedelta(days=35)
    return [
        say(
            start + number * timedelta(hours=4),
            "BABA" if number % 2 else "JD",
            author=f"frog {number % 17}",
            stance=number % 3 - 1,
        )  # type: ignore[arg-type]
        for number in range(35 * 6)
    ]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with weeks of quiet talk, an hour in which everybody speaks of BABA, and two moods about JD."""
    folder = tmp_path_factory.mktemp("spoken")
    moods = [*crowd(MIDNIGHT + 8 * HOUR, "JD", bulls=5), *crowd(MIDNIGHT + 14 * HOUR, "JD", bears=5)]
    said = [*talk(), *moods, *burst(MIDNIGHT + 10 * HOUR)]
    fetched = [make_batch([one], fetched_at=one.at, prefix=f"m{number}") for number, one in enumerate(said)]
    cover = make_batch(fetched_at=MIDNIGHT + DAY, covers_from=MIDNIGHT - timedelta(days=36), prefix="cover")
    return build(folder, [*fetched, cover], watchlist=["BABA", "JD"]).path


SPIKES = rule_of("spike", 'width = "1h"', name="spikes")
MOODS = rule_of("label_change", 'window = "1h"', 'cool_down = "0s"', name="moods")
HERE = channels_of({"desk": "json://127.0.0.1:9/x", "wire": "json://127.0.0.1:9/y"})
WATCH = '[watchlist]\nsymbols = ["BABA", "JD"]\n'


def look(store: Store, config: Config, *moments: datetime) -> list[int]:
    """Take the readings of these moments one by one, the rules with them, as the daemon does."""
    counts: list[int] = []
    ground = ground_of(config)
    for moment in moments:

        def then(connection: Connection, at: datetime = moment) -> None:
            counts.append(evaluate(connection, ground, at, at + timedelta(seconds=2)))

        store.take_readings(moment, moment + timedelta(seconds=2), 5.0, then)
    return counts


def test_a_spike_is_told_at_its_start_and_its_end_in_one_row_for_each_channel(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    both = rule_of("spike", 'width = "1h"', name="spikes", channels='["desk", "wire"]')
    config = config_of(tmp_path, HERE + both, WATCH)
    times = [
        MIDNIGHT + 9 * HOUR,
        MIDNIGHT + 11 * HOUR,
        MIDNIGHT + 11.5 * HOUR,
        MIDNIGHT + 13 * HOUR,
        MIDNIGHT + 14 * HOUR,
    ]
    assert look(store, config, *times) == [0, 1, 0, 1, 0]
    rows = stored(store)
    assert [(one.kind, one.channel) for one in rows] == [
        ("spike_started", "desk"), ("spike_started", "wire"), ("spike_ended", "desk"), ("spike_ended", "wire"),
    ]  # fmt: skip
    first = rows[0]
    assert (first.at, first.created_at, first.next_try_at) == (
        times[1],
        times[1] + timedelta(seconds=2),
        times[1] + timedelta(seconds=2),
    )
    assert (first.status, first.attempts, first.symbol, first.rule) == ("waiting", 0, "BABA", "spikes")
    assert first.title.startswith("BABA: message volume spike (")
    sentence, lead, link, ref = first.body.split("\n\n")
    assert sentence.startswith("Message volume of BABA has spiked since 2026-11-17 10:00 UTC: 40 messages")
    assert "BABA" in lead
    assert link == first.link == "https://stocktwits.com/symbol/BABA"
    assert ref == f"ref {first.event_key}"
    assert rows[1].event_key == first.event_key != rows[2].event_key


def test_readings_alerts_and_states_are_stored_together_or_not_at_all(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + SPIKES, WATCH)
    look(store, config, MIDNIGHT + 9 * HOUR)
    at = MIDNIGHT + 11 * HOUR

    def fails_late(connection: Connection) -> None:
        assert evaluate(connection, ground_of(config), at, at) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.take_readings(at, at, 5.0, fails_late)
    with store.reading() as connection:
        assert connection.execute(
            'SELECT count(*) FROM readings WHERE "at" = $1', [at.replace(tzinfo=None)]
        ).fetchone() == (0,)
        assert outbox.recent(connection, 9) == []
        assert {one.at for one in outbox.states(connection).values()} == {MIDNIGHT + 9 * HOUR}
    assert look(store, config, at) == [1]


def test_the_same_moment_twice_tells_nothing_twice(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + SPIKES + MOODS, WATCH)
    times = [MIDNIGHT + 9 * HOUR, MIDNIGHT + 11 * HOUR]
    assert sum(look(store, config, *times)) > 0
    assert look(store, config, times[1]) == [0]


def test_a_first_start_into_the_middle_of_a_storm_is_silent(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + SPIKES + MOODS, WATCH)
    assert look(store, config, MIDNIGHT + 10.9 * HOUR, MIDNIGHT + 11 * HOUR) == [0, 0]
    assert look(store, config, MIDNIGHT + 13 * HOUR) == [0], "its start was not told, so its end is not"


def test_a_rule_that_was_changed_begins_anew(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    look(store, config_of(tmp_path, HERE + rule_of("spike", 'width = "1d"', name="spikes"), WATCH), MIDNIGHT + 9 * HOUR)
    assert look(store, config_of(tmp_path, HERE + SPIKES, WATCH), MIDNIGHT + 11 * HOUR) == [0]


def test_a_rule_is_about_its_symbols_or_the_watch_list_or_all(tmp_path: Path, spoken: Path) -> None:
    times = [MIDNIGHT + 9 * HOUR, MIDNIGHT + 11 * HOUR]
    for lines, above, many in (
        ('symbols = ["BABA"]', WATCH, 1), ('symbols = ["JD"]', WATCH, 0), ('group = "pond"', WATCH + 'groups = { pond = ["JD"] }\n', 0),
        ("", '[watchlist]\nsymbols = ["JD"]\n', 0), ("", WATCH, 1), ("", "", 1),
    ):  # fmt: skip
        folder = tmp_path / f"{many}{abs(hash((lines, above)))}"
        folder.mkdir()
        config = config_of(folder, HERE + rule_of("spike", 'width = "1h"', lines, name="spikes"), above)
        assert look(store_at(folder, spoken), config, *times) == [0, many], (lines, above)


def test_labels_crossings_and_sources_are_read_from_what_is_stored(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    rules = (
        rule_of("messages > 20", 'window = "1h"', name="loud") + rule_of("source_down", name="sources")
        + rule_of("quiet", name="quiet")
    )  # fmt: skip
    config = config_of(tmp_path, HERE + rules, WATCH)
    assert look(store, config, MIDNIGHT + 9 * HOUR) == [0]
    failed = [
        make_batch(source="hackernews", stream="new", status="unavailable", error="no", fetched_at=MIDNIGHT + 10 * HOUR + number * timedelta(minutes=2), prefix=f"f{number}")
        for number in range(4)
    ]  # fmt: skip
    with store.writing() as connection:
        store.load(failed, connection)
        worked = "INSERT INTO streams VALUES ('hackernews', 'new', NULL, true, $1, NULL, $2, NULL, NULL)"
        connection.execute(worked, [0, (MIDNIGHT + 9 * HOUR).replace(tzinfo=None)])
    assert look(store, config, MIDNIGHT + 10 * HOUR) == [0]
    with store.writing() as connection:
        connection.execute("UPDATE streams SET failures = 4")
    assert look(store, config, MIDNIGHT + 11 * HOUR) == [2]
    rows = {one.kind: one for one in stored(store)}
    assert rows.keys() == {"crossed", "source_down"}
    assert rows["crossed"].title == "BABA: messages 40 (messages > 20)"
    assert (rows["source_down"].symbol, rows["source_down"].link) == ("hackernews", None)
    assert "stocktwits.com" not in rows["source_down"].body


# ------------------------------------------------------------------------------------------------ rehearsals


def hours(first: int, last: int) -> list[datetime]:
    return [MIDNIGHT + number * HOUR for number in range(first, last + 1)]


def dry(store: Store, config: Config) -> list[tuple[Any, ...]]:
    with store.writing() as connection:
        rehearse(connection, ground_of(config), MIDNIGHT + timedelta(days=99))
        return connection.execute(
            'SELECT * EXCLUDE (created_at) FROM alerts ORDER BY "at", rule, symbol, channel'
        ).fetchall()


def test_a_rehearsal_tells_what_the_daemon_would_have_told_and_sends_nothing(tmp_path: Path, spoken: Path) -> None:
    config = config_of(tmp_path, HERE + SPIKES + MOODS, WATCH)
    (tmp_path / "live").mkdir()
    live, replayed = store_at(tmp_path / "live", spoken), store_at(tmp_path, spoken)
    look(live, config, *hours(6, 16))
    with replayed.writing() as connection:
        derive.take_readings(connection, hours(6, 16), None)
    dry(replayed, config)
    told, rehearsed = stored(live), stored(replayed)
    assert [(a.rule, a.symbol, a.at, a.kind, a.title, a.event_key) for a in told] == [
        (a.rule, a.symbol, a.at, a.kind, a.title, a.event_key) for a in rehearsed
    ]
    assert {"spike_started", "spike_ended", "label_changed"} == {one.kind for one in rehearsed}
    assert {(one.status, one.next_try_at, one.attempts) for one in rehearsed} == {("dry", None, 0)}


@pytest.mark.parametrize("cut", [8, 11, 12])
def test_a_rehearsal_in_pieces_is_the_same_as_in_one_run(tmp_path: Path, spoken: Path, cut: int) -> None:
    config = config_of(tmp_path, HERE + SPIKES + MOODS, WATCH)
    (tmp_path / "pieces").mkdir()
    whole, pieces = store_at(tmp_path, spoken), store_at(tmp_path / "pieces", spoken)
    with whole.writing() as connection:
        derive.take_readings(connection, hours(6, 16), None)
    for part in (hours(cut + 1, 16), hours(6, cut)):  # the later one first
        with pieces.writing() as connection:
            derive.take_readings(connection, part, None)
        dry(pieces, config)
    found = dry(whole, config)
    assert found
    assert dry(pieces, config) == found == dry(whole, config)


def test_a_rehearsal_never_touches_what_was_meant_to_be_sent(tmp_path: Path, spoken: Path) -> None:
    config = config_of(tmp_path, HERE + SPIKES, WATCH)
    store = store_at(tmp_path, spoken)
    with store.writing() as connection:
        derive.take_readings(connection, hours(6, 16), None)
    dry(store, config)
    (first, *_) = stored(store)
    with store.writing() as connection:
        connection.execute(
            "UPDATE alerts SET status = 'sent', attempts = 1, title = 'as it was' WHERE event_key = $1",
            [first.event_key],
        )
    dry(store, config)
    dry(store, config_of(tmp_path, HERE, WATCH))  # without rules nothing dry is left
    assert [(one.status, one.title) for one in stored(store)] == [("sent", "as it was")]


def test_an_episode_grows_bucket_by_bucket_to_what_it_is_in_the_end(tmp_path: Path, spoken: Path) -> None:
    from test_alerts import at, episode

    severities = [("notable", 3.5, 0), ("high", 6.0, 60), ("notable", 4.0, 180)]
    spikes = [
        Spike(
            "BABA",
            HOUR,
            at(minutes),
            20,
            15,
            10 + number,
            20,
            2.0,
            z,
            0.001,
            severity,
            "organic",
            None,
            None,
            at(minutes),
        )
        for number, (severity, z, minutes) in enumerate(severities)
    ]
    other = [replace(spikes[0], kind="copied"), replace(spikes[0], bucket_width=timedelta(minutes=5))]
    whole = episode(0, 4, "high", first_severity="notable", rose_at=at(120), peak_z=6.0, peak_start=at(60), messages=60, organic=45,
                    authors=12, expected=6.0)  # fmt: skip
    parts = list(growing(whole, [*other, *spikes]))
    assert [(p.end_at, p.severity, p.rose_at, p.messages) for p in parts] == [
        (at(60), "notable", None, 20), (at(120), "high", at(120), 40), (at(240), "high", at(120), 60),
    ]  # fmt: skip
    assert parts[-1] == replace(whole, buckets=3)
    assert [p.over_at for p in parts] == [at(180), at(240), at(360)]


# ------------------------------------------------------------------------------------------------ digests


def noon(crontab: str, zone: str, after: datetime) -> datetime | None:
    """Noon of every day, whatever is asked for."""
    today = after.replace(hour=12, minute=0, second=0, microsecond=0)
    return today if today > after else today + DAY


DIGEST = rule_of("digest", 'cron = "0 12 * * *"', name="noon")


async def test_a_digest_is_told_once_a_day_most_talked_about_first(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + DIGEST, '[watchlist]\nsymbols = ["JD", "BABA", "FROG"]\n')
    teller = Desk(config, store, MIDNIGHT + 11.9 * HOUR)
    config_alerts = teller.teller
    for _ in range(2):
        await config_alerts._write_digests(noon)
    assert stored(store) == [], "nothing that was due before the first start"
    teller.clock.advance(360 + 4)  # four seconds after noon, its readings are not there yet
    await config_alerts._write_digests(noon)
    assert stored(store) == []
    store.take_readings(MIDNIGHT + 12 * HOUR, teller.clock.now())
    for _ in range(3):
        await config_alerts._write_digests(noon)
        teller.clock.advance(60)
    (row,) = stored(store)
    assert (row.kind, row.symbol, row.at, row.link) == ("digest", "*", MIDNIGHT + 12 * HOUR, None)
    assert row.title == "Retail sentiment of 3 symbols, 2026-11-17 12:00 UTC"
    places = [row.body.index(symbol) for symbol in ("BABA", "JD", "FROG")]
    assert places == sorted(places)
    again = Desk(config, store, teller.clock.now())  # after a restart
    await again.teller._write_digests(noon)
    assert len(stored(store)) == 1


@pytest.mark.parametrize(("hours_late", "many"), [(0.01, 1), (5.9, 1), (6.1, 0)])
async def test_a_digest_that_was_missed_is_told_once_if_it_is_not_far_too_late(
    tmp_path: Path, spoken: Path, hours_late: float, many: int
) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + DIGEST, WATCH)
    await Desk(config, store, MIDNIGHT + 11 * HOUR).teller._write_digests(noon)
    back = Desk(config, store, MIDNIGHT + (36 + hours_late) * HOUR)  # noon of the first day is past telling
    for _ in range(3):
        await back.teller._write_digests(noon)
        back.clock.advance(121)
    assert len(stored(store)) == many
    assert {one.at for one in stored(store)} <= {MIDNIGHT + 36 * HOUR}
