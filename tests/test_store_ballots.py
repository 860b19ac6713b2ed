"""What a commit leaves of the polls that messages carry: each state once, for the symbols that the stored message names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fakes import NOON, make_batch, message
from worlds import DAY, HOUR, commit, fresh_database, rows

from tracker import metrics
from tracker.models import Ballot, BallotOption, Batch, Deletion
from tracker.store.connect import Connection, naive_utc

ENDS = NOON + 3 * DAY


def empty() -> Connection:
    connection = fresh_database()
    connection.execute("DELETE FROM ballots")
    return connection


def poll(
    *votes: int | None,
    at: datetime,
    text: str = "$GME up?",
    voters: int | None = None,
    revision: str | None = None,
    created_at: datetime = NOON,
) -> Batch:
    """What a poll of ours that ended at ``at`` brings: one message whose people's poll has these votes."""
    options = tuple(BallotOption(chr(ord("a") + place), number) for place, number in enumerate(votes))
    ballot = Ballot(options, "Up or down?", voters, ENDS)
    return make_batch(message(text, "7", author="ann", at=created_at, ballot=ballot, revision=revision), at=at)


def states(connection: Connection) -> list[tuple[object, ...]]:
    return rows(connection, "SELECT symbol, position, votes, seen_at FROM ballots ORDER BY seen_at, symbol, position")


def hidden(symbol: str, at: datetime) -> list[tuple[object, ...]]:
    return [(symbol, 1, None, naive_utc(at)), (symbol, 2, None, naive_utc(at))]


def test_a_state_is_stored_with_everything_that_is_known_of_it() -> None:
    connection = empty()
    commit(connection, poll(3, 1, at=NOON + HOUR, voters=5))
    columns = (
        "source, message_id, symbol, question, option, position, votes, share, voters, closes_at, created_at, seen_at"
    )
    place = ("pond", "7", "GME", "Up or down?")
    times = (5, naive_utc(ENDS), naive_utc(NOON), naive_utc(NOON + HOUR))
    assert rows(connection, f"SELECT {columns} FROM ballots ORDER BY position") == [
        (*place, "a", 1, 3, 0.75, *times),
        (*place, "b", 2, 1, 0.25, *times),
    ]


def test_results_come_with_the_address_of_their_message_where_it_is_stored() -> None:
    connection = empty()
    for id_, url in (("7", "https://pond.example/7"), ("8", None)):
        ballot = Ballot((BallotOption("a"),))
        commit(connection, make_batch(message("$GME?", id_, url=url, ballot=ballot), at=NOON))
    (seven, eight) = metrics.ballot_results(connection, "GME", NOON - DAY, NOON + DAY)
    assert (seven.message_id, seven.url, seven.votes) == ("7", "https://pond.example/7", None)
    assert (eight.message_id, eight.url, eight.seen_at) == ("8", None, NOON)


@pytest.mark.parametrize("together", [True, False], ids=["one flush", "a flush each"])
def test_a_state_that_is_as_the_one_before_adds_nothing_and_one_that_returns_does(together: bool) -> None:
    connection = empty()
    seen: Sequence[tuple[int | None, int | None]] = [(None, None), (None, None), (3, 1), (3, 1), (None, None)]
    batches = [poll(*votes, at=NOON + hour * HOUR) for hour, votes in enumerate(seen)]
    for flush in [batches] if together else [[batch] for batch in batches]:
        commit(connection, *flush)
    changed = [("GME", 1, 3, naive_utc(NOON + 2 * HOUR)), ("GME", 2, 1, naive_utc(NOON + 2 * HOUR))]
    assert states(connection) == [*hidden("GME", NOON), *changed, *hidden("GME", NOON + 4 * HOUR)]


def test_more_voters_are_a_new_state_though_the_votes_are_hidden() -> None:
    connection = empty()
    for hour, voters in enumerate([4, 4, 9]):
        commit(connection, poll(None, at=NOON + hour * HOUR, voters=voters))
    assert rows(connection, "SELECT voters, seen_at FROM ballots ORDER BY seen_at") == [
        (4, naive_utc(NOON)),
        (9, naive_utc(NOON + 2 * HOUR)),
    ]


def test_an_older_state_that_comes_late_stands_before_the_newer_and_twice_the_same_is_once() -> None:
    connection = empty()
    early, late = poll(None, None, at=NOON), poll(3, 1, at=NOON + DAY)
    for batch in (late, early, early, late):
        commit(connection, batch)
    changed = [("GME", 1, 3, naive_utc(NOON + DAY)), ("GME", 2, 1, naive_utc(NOON + DAY))]
    assert states(connection) == [*hidden("GME", NOON), *changed]


def test_of_two_states_at_the_same_moment_the_first_stays() -> None:
    """Two archives may hold different results; both were known when voting ended."""
    connection = empty()
    commit(connection, poll(3, 1, at=NOON))
    commit(connection, poll(4, 1, at=NOON))
    assert rows(connection, "SELECT position, votes FROM ballots ORDER BY position") == [(1, 3), (2, 1)]


def test_a_state_stands_at_the_time_with_which_its_message_is_stored() -> None:
    connection = empty()
    commit(connection, poll(None, None, at=NOON))
    commit(connection, poll(3, 1, at=NOON + HOUR, created_at=NOON + timedelta(minutes=7)))
    assert rows(connection, "SELECT DISTINCT created_at FROM ballots") == [(naive_utc(NOON),)]


def test_an_edit_takes_the_polls_of_symbols_along_that_are_not_named_any_more() -> None:
    connection = empty()
    commit(connection, poll(None, at=NOON, text="$GME and $BABA up?", revision="a"))
    commit(connection, poll(3, at=NOON + HOUR, text="$BABA up?", revision="b"))
    assert states(connection) == [
        ("BABA", 1, None, naive_utc(NOON)),
        ("BABA", 1, 3, naive_utc(NOON + HOUR)),
    ]


def test_a_symbol_that_the_stored_message_does_not_name_has_no_poll() -> None:
    """The finder may know more names by now; the mentions of what is stored stay as they are."""
    connection = empty()
    commit(connection, poll(None, at=NOON))
    again = poll(3, at=NOON + HOUR)
    commit(connection, replace(again, ballots=tuple(replace(row, symbol="BABA") for row in again.ballots)))
    assert states(connection) == [("GME", 1, None, naive_utc(NOON))]


@pytest.mark.parametrize("together", [True, False], ids=["one flush", "a flush each"])
@pytest.mark.parametrize("deletion", [Deletion("pond", id="7"), Deletion("pond", author="ann")], ids=["id", "author"])
def test_a_deletion_takes_the_poll_along_and_a_replay_does_not_bring_it_back(
    deletion: Deletion, together: bool
) -> None:
    connection = empty()
    asked = poll(3, 1, at=NOON)
    other = message("$GME?", "8", author="bob", ballot=Ballot((BallotOption("a", 1),)))
    flushes = [asked, make_batch(other, at=NOON), make_batch(deletion, at=NOON + HOUR)]
    for flush in [flushes] if together else [[batch] for batch in flushes]:
        commit(connection, *flush)
    assert rows(connection, "SELECT message_id FROM ballots") == [("8",)]
    commit(connection, poll(4, 1, at=NOON + DAY))
    assert rows(connection, "SELECT message_id FROM ballots") == [("8",)]
