"""What a commit leaves in the tables: unique, at its newest revision, and gone when it was deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_metric_laws import EXAMPLES, tried
from worlds import DAY, FACTS, HOUR, MINUTE, START, Heard, Said, batch_of, commit, dump, fresh_database, gone, rows

from tracker.errors import TrackerError
from tracker.models import Batch, GapRow, Limit, PollReport, Stream, newer
from tracker.store import state
from tracker.store.connect import Connection, naive_utc, transaction
from tracker.store.write import apply

ONE = Said("1", START, ("AAA",), key=1, text="first words", revision="1")


def edit(
    revision: str, symbols: Sequence[str] = ("BBB",), at: datetime = START, text: str = "second words", **changes: Any
) -> Said:
    return replace(
        ONE,
        revision=revision,
        symbols=tuple(symbols),
        at=at,
        text=text,
        key=2,
        stance=1,
        tone=0.5,
        known_at=START + DAY,
        **changes,
    )


def texts(connection: Connection) -> list[tuple[str, str | None]]:
    return rows(connection, "SELECT id, text FROM messages ORDER BY id")


def mentioned(connection: Connection) -> list[tuple[str, str]]:
    return rows(connection, "SELECT message_id, symbol FROM mentions ORDER BY ALL")


# ---------------------------------------------------------------------------------------------- unique


def test_message_that_two_streams_bring_is_stored_once_where_it_was_first_seen() -> None:
    connection = fresh_database()
    again = replace(ONE, stream="r/other", known_at=START + 5 * HOUR)
    assert commit(connection, batch_of([ONE]), batch_of([again, again])).added == 1
    assert commit(connection, batch_of([again])).added == 0
    assert rows(connection, "SELECT stream, fetched_at FROM messages") == [("posts", naive_utc(START + MINUTE))]
    assert mentioned(connection) == [("1", "AAA")]
    assert rows(connection, "SELECT count(*) FROM tones") == [(1,)]


def test_same_id_of_two_sources_is_two_messages() -> None:
    connection = fresh_database()
    assert commit(connection, batch_of([ONE, replace(ONE, source="t")])).added == 2
    assert commit(connection, batch_of([replace(ONE, source="u")])).added == 1
    assert rows(connection, "SELECT count(*) FROM mentions") == [(3,)]


def test_added_is_counted_where_a_message_came_first() -> None:
    connection = fresh_database()
    two = replace(ONE, id="2")
    done = commit(
        connection,
        batch_of([ONE], Heard("posts", START, START + HOUR)),
        batch_of([ONE, two], Heard("r/x", START, START + HOUR)),
    )
    assert done.added == 2
    assert rows(connection, "SELECT stream, added, updated FROM polls ORDER BY stream") == [
        ("posts", 1, 0),
        ("r/x", 1, 0),
    ]


def test_old_message_among_new_ones_is_found_again() -> None:
    connection = fresh_database()
    old = replace(ONE, id="old", at=START - 300 * DAY)
    commit(connection, batch_of([old]))
    assert commit(connection, batch_of([old, ONE])).added == 1
    assert rows(connection, "SELECT count(*) FROM messages") == [(2,)]


def test_claim_that_moves_by_less_than_an_hour_is_the_same_message() -> None:
    connection = fresh_database()
    commit(connection, batch_of([ONE]))
    assert commit(connection, batch_of([replace(ONE, at=START + timedelta(minutes=59))])).added == 0


@pytest.mark.parametrize("second_flag", [True, False])
def test_impossible_time_is_not_doubled_though_the_clamped_time_differs(second_flag: bool) -> None:
    """A claim from the future is stored at the time of its fetch: another one each time, until it has become possible."""
    connection = fresh_database()
    commit(connection, batch_of([replace(ONE, time_flag=True)]))
    later = replace(ONE, at=START + 9 * DAY, time_flag=second_flag, known_at=START + 9 * DAY)
    assert commit(connection, batch_of([later])).added == 0
    assert commit(connection, batch_of([later, replace(ONE, id="2", at=START + 9 * DAY)])).added == 1
    assert rows(connection, "SELECT id, created_at FROM messages ORDER BY id") == [
        ("1", naive_utc(START)),
        ("2", naive_utc(START + 9 * DAY)),
    ]


def test_impossible_times_within_one_flush_are_one_message_and_its_mentions_stand_at_its_time() -> None:
    connection = fresh_database()
    first = replace(ONE, time_flag=True)
    later = edit("2", ("BBB",), at=START + DAY, time_flag=True)
    commit(connection, batch_of([first]), batch_of([later]))
    assert rows(
        connection,
        "SELECT m.created_at = n.created_at, n.symbol FROM messages m JOIN mentions n ON n.message_id = m.id",
    ) == [(True, "BBB")]
    commit(connection, batch_of(deletions=[gone("1", revision="3")]))
    assert mentioned(connection) == []


# ---------------------------------------------------------------------------------------------- edits and counts


@pytest.mark.parametrize("together", [True, False], ids=["one flush", "two flushes"])
def test_edit_replaces_text_mentions_and_tone(together: bool) -> None:
    connection = fresh_database()
    batches = [batch_of([ONE]), batch_of([edit("2", ("BBB", "CCC"))])]
    if together:
        assert commit(connection, *batches).added == 1
    else:
        commit(connection, batches[0])
        assert commit(connection, batches[1]).updated == 1
    assert rows(connection, "SELECT text, text_key, revision, stream, fetched_at, created_at FROM messages") == [
        ("second words", 2, "2", "posts", naive_utc(START + MINUTE), naive_utc(START))
    ]
    assert rows(connection, "SELECT symbol, stance, tone, text_key FROM mentions ORDER BY symbol") == [
        ("BBB", 1, 0.5, 2),
        ("CCC", 1, 0.5, 2),
    ]
    assert rows(connection, "SELECT tone FROM tones") == [(0.5,)]
    touched = {symbol for (symbol,) in rows(connection, "SELECT symbol FROM touched")}
    assert touched == ({"BBB", "CCC"} if together else {"AAA", "BBB", "CCC"})


@pytest.mark.parametrize("stale", ["2", "1", None])
def test_revision_that_is_not_newer_is_ignored(stale: str | None) -> None:
    connection = fresh_database()
    commit(connection, batch_of([edit("2")]))
    for flush in (
        [batch_of([replace(ONE, revision=stale)])],
        [batch_of([edit("2")]), batch_of([replace(ONE, revision=stale)])],
    ):
        assert commit(connection, *flush).updated == 0
    assert texts(connection) == [("1", "second words")]
    assert mentioned(connection) == [("1", "BBB")]


def test_edit_that_names_nothing_any_more_leaves_no_mention() -> None:
    connection = fresh_database()
    commit(connection, batch_of([ONE]))
    commit(connection, batch_of([edit("2", ())]))
    assert mentioned(connection) == []
    assert rows(connection, "SELECT symbol FROM touched") == [("AAA",)]


def test_counts_are_refreshed_and_silence_leaves_them_alone() -> None:
    connection = fresh_database()
    commit(connection, batch_of([replace(ONE, likes=1, reshares=5)]))
    connection.execute("DELETE FROM touched")
    commit(connection, batch_of([replace(ONE, likes=3)]), batch_of([replace(ONE, replies=2)]))
    commit(connection, batch_of([ONE]))
    commit(connection, batch_of([replace(ONE, likes=0)]))
    assert rows(connection, "SELECT likes, reshares, replies, text FROM messages") == [(0, 5, 2, "first words")]
    assert rows(connection, "SELECT count(*) FROM touched") == [(0,)]  # no bucket counts likes


def test_counts_of_a_deleted_message_are_left_alone() -> None:
    connection = fresh_database()
    commit(connection, batch_of([replace(ONE, likes=1)]), batch_of(deletions=[gone("1")]))
    commit(connection, batch_of([replace(ONE, likes=9)]))
    assert rows(connection, "SELECT likes FROM messages") == [(1,)]


def test_unknown_revision_is_never_newer() -> None:
    assert [newer(None, None), newer(None, "1"), newer("1", None), newer("2", "1"), newer("1", "1")] == [
        False,
        False,
        True,
        True,
        False,
    ]


# ---------------------------------------------------------------------------------------------- deletions


@pytest.mark.parametrize("flushes", [1, 2])
def test_deletion_takes_text_author_mentions_and_tone_and_leaves_a_tombstone(flushes: int) -> None:
    connection = fresh_database()
    batches = [batch_of([replace(ONE, label=1)]), batch_of(deletions=[gone("1", at=START + HOUR)])]
    for flush in [batches] if flushes == 1 else [[batch] for batch in batches]:
        done = commit(connection, *flush)
    assert done.updated == 1
    assert rows(connection, "SELECT text, author, text_key, label, deleted_at FROM messages") == [
        (None, None, None, None, naive_utc(START + HOUR))
    ]
    assert (mentioned(connection), rows(connection, "SELECT count(*) FROM tones")) == ([], [(0,)])
    assert rows(connection, "SELECT source, id, revision FROM tombstones") == [("s", "1", None)]
    assert rows(connection, "SELECT symbol FROM touched") == [("AAA",)]


def test_deletion_that_comes_before_its_message_keeps_it_out() -> None:
    connection = fresh_database()
    commit(connection, batch_of(deletions=[gone("1")]))
    assert commit(connection, batch_of([ONE, replace(ONE, id="2")])).added == 1
    assert mentioned(connection) == [("2", "AAA")]


def test_replayed_creation_does_not_bring_back_what_was_deleted() -> None:
    connection = fresh_database()
    commit(connection, batch_of([ONE]), batch_of(deletions=[gone("1")]))
    for flush in ([batch_of([ONE])], [batch_of([edit("9")])], [batch_of([ONE]), batch_of(deletions=[gone("1")])]):
        done = commit(connection, *flush)
        assert (done.added, done.updated) == (0, 0)
    assert texts(connection) == [("1", None)]
    assert mentioned(connection) == []
    assert rows(connection, "SELECT count(*) FROM tombstones") == [(1,)]


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2)], ids=str)
def test_message_made_again_after_its_deletion_is_stored_once(cuts: tuple[int, ...]) -> None:
    """Created, deleted, created anew two days later under the same id: however the three are cut into flushes."""
    connection = fresh_database()
    events = [batch_of([ONE]), batch_of(deletions=[gone("1", revision="2")]), batch_of([edit("3", at=START + 2 * DAY)])]
    edges = [0, *cuts, 3]
    for begin, end in pairwise(edges):
        commit(connection, *events[begin:end])
    for event in events:
        commit(connection, event)  # and a replay of it all
    assert texts(connection) == [("1", "second words")]
    assert mentioned(connection) == [("1", "BBB")]
    assert rows(connection, "SELECT deleted_at, revision, author FROM messages") == [(None, "3", "ann")]
    assert rows(
        connection, "SELECT m.created_at = n.created_at FROM messages m JOIN mentions n ON n.message_id = m.id"
    ) == [(True,)]


def test_deletion_without_a_revision_outweighs_one_with() -> None:
    for flush in ([gone("1", revision="2"), gone("1")], [gone("1"), gone("1", revision="2")]):
        for together in (True, False):
            connection = fresh_database()
            for part in [flush] if together else [[one] for one in flush]:
                commit(connection, batch_of(deletions=part))
            commit(connection, batch_of([edit("9")]))
            assert texts(connection) == []


def test_deleted_author_is_forgotten_and_earlier_words_stay_out() -> None:
    connection = fresh_database()
    mine, other, after = (
        replace(ONE, author="ann"),
        replace(ONE, id="2", author="bob"),
        replace(ONE, id="3", at=START + 2 * DAY),
    )
    commit(connection, batch_of([mine, other]))
    done = commit(connection, batch_of(deletions=[gone(author="ann", at=START + DAY)]))
    assert done.updated == 1
    assert rows(connection, "SELECT id, text, author, deleted_at FROM messages ORDER BY id") == [
        ("1", None, None, naive_utc(START + DAY)),
        ("2", "first words", "bob", None),
    ]
    # a replay, an edit and an earlier message do not come back; what was written after the account returned is kept
    commit(connection, batch_of([mine, edit("9"), replace(ONE, id="4", at=START - DAY), after]))
    assert mentioned(connection) == [("2", "AAA"), ("3", "AAA")]
    assert texts(connection) == [("1", None), ("2", "first words"), ("3", "first words")]
    commit(connection, batch_of(deletions=[gone(author="ann", at=START + DAY), gone(author="ann", at=START)]))
    assert mentioned(connection) == [("2", "AAA"), ("3", "AAA")]
    assert rows(connection, "SELECT count(*) FROM gone_authors") == [(1,)]


def test_author_deleted_in_the_flush_that_brings_the_message() -> None:
    connection = fresh_database()
    commit(
        connection,
        batch_of([ONE]),
        batch_of(deletions=[gone(author="ann", at=START + DAY), gone("1", at=START + HOUR)]),
    )
    assert rows(connection, "SELECT text, deleted_at FROM messages") == [(None, naive_utc(START + HOUR))]


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    revision: int
    delete: bool

    def batch(self) -> Batch:
        if self.delete:
            return batch_of(deletions=[gone(self.id, revision=f"{self.revision}")])
        symbols = ("AAA", f"R{self.revision}")
        return batch_of(
            [
                Said(
                    self.id,
                    START + int(self.id) * DAY,
                    symbols,
                    key=self.revision,
                    text=f"revision {self.revision}",
                    revision=f"{self.revision}",
                )
            ]
        )


EVENTS = st.lists(
    st.builds(Event, st.sampled_from(["0", "1"]), st.integers(1, 6), st.booleans()),
    max_size=9,
    unique_by=lambda e: (e.id, e.revision),
)


@tried(EXAMPLES // 4, shrink=True)
@given(EVENTS, st.randoms(use_true_random=False))
def test_newest_revision_wins_in_any_order_and_any_split(events: list[Event], dice: Any) -> None:
    """Creations, edits and deletions that know their revision: the newest one stands, whenever it came, repeats included."""
    connection = fresh_database()
    arriving = events + dice.sample(events, len(events) // 2)
    dice.shuffle(arriving)
    while arriving:
        size = dice.randrange(1, len(arriving) + 1)
        commit(connection, *(event.batch() for event in arriving[:size]))
        arriving = arriving[size:]
    newest = {event.id: event for event in sorted(events, key=lambda event: event.revision)}
    alive = {id_: event for id_, event in newest.items() if not event.delete}
    expected = sorted((id_, symbol) for id_, event in alive.items() for symbol in ("AAA", f"R{event.revision}"))
    assert mentioned(connection) == expected
    assert rows(connection, "SELECT id, text FROM messages WHERE deleted_at IS NULL ORDER BY id") == [
        (id_, f"revision {event.revision}") for id_, event in sorted(alive.items())
    ]
    assert rows(connection, "SELECT count(*) - count(DISTINCT (source, id)) FROM messages") == [(0,)]
    assert rows(connection, "SELECT count(*) FROM tones") == [(len(alive),)]
    assert rows(
        connection,
        "SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL AND (text IS NOT NULL OR author IS NOT NULL)",
    ) == [(0,)]


# ---------------------------------------------------------------------------------------------- beside the messages


def test_attempt_cursor_gap_limit_and_sequence_are_committed_together() -> None:
    connection = fresh_database()
    stream = Stream(
        "s",
        "posts",
        cursor={"known": 7, "walk": None},
        failures=2,
        next_poll_at=START + HOUR,
        last_success_at=START,
        note="slow",
    )
    report = PollReport(
        "s",
        "posts",
        START,
        duration_ms=12,
        status="rate_limited",
        http_status=429,
        fetched=3,
        skipped=1,
        requests=2,
        bytes=99,
        error="wait",
        retry_after_s=60.0,
    )
    gap, limit = (
        GapRow("s", "posts", START - DAY, START, "fell off the list", START),
        Limit("source:s", START + HOUR, "wait"),
    )
    with transaction(connection):
        apply(connection, [Batch(report, stream, gaps=(gap,), limits=(limit,), fetched_at=START)], sequence=41)
    assert rows(
        connection,
        "SELECT up, status, http_status, fetched, added, skipped, requests, bytes, error, retry_after_s, covers_from FROM polls",
    ) == [(0, "rate_limited", 429, 3, 0, 1, 2, 99, "wait", 60.0, None)]
    assert state.load_streams(connection) == [stream]
    assert state.load_limits(connection) == [limit]
    assert rows(connection, "SELECT from_at, to_at, reason FROM gaps") == [
        (naive_utc(START - DAY), naive_utc(START), "fell off the list")
    ]
    assert state.applied_sequence(connection) == 41
    assert rows(connection, "SELECT count(*) FROM touched_coverage") == [(0,)]


def test_stream_stands_as_its_last_batch_left_it() -> None:
    connection = fresh_database()
    reports = [PollReport("s", "posts", START + n * HOUR, 1, "unchanged") for n in range(2)]
    commit(
        connection,
        *(
            Batch(report, Stream("s", "posts", cursor={"n": n}), fetched_at=report.started_at)
            for n, report in enumerate(reports)
        ),
    )
    assert [stream.cursor for stream in state.load_streams(connection)] == [{"n": 1}]
    assert rows(connection, "SELECT count(*), sum(up) FROM polls") == [(2, 2)]


def test_failed_commit_leaves_nothing() -> None:
    connection = fresh_database()
    commit(connection, batch_of([ONE]))
    before = dump(connection, *FACTS, "touched", "touched_coverage")

    class Trouble(TrackerError):
        pass

    def broken() -> None:
        with transaction(connection):
            apply(
                connection,
                [
                    batch_of(
                        [replace(ONE, id="2"), edit("5")], Heard("posts", START, START + DAY), [gone("1", revision="6")]
                    )
                ],
            )
            raise Trouble("the plug")

    with pytest.raises(TrackerError):
        broken()
    assert dump(connection, *FACTS, "touched", "touched_coverage") == before


def test_any_text_is_stored_as_it_is() -> None:
    connection = fresh_database()
    strange = ["", "'; DROP TABLE messages; --", "\u0000", "🚀" * 500, "a\u0301", None]
    commit(
        connection, batch_of(replace(ONE, id=str(n), text=text, key=(1 << 64) - 1) for n, text in enumerate(strange))
    )
    assert [text for (text,) in rows(connection, "SELECT text FROM messages ORDER BY id")] == strange
    assert rows(connection, "SELECT DISTINCT text_key FROM mentions") == [((1 << 64) - 1,)]


def test_edit_long_after_the_message_replaces_its_words_and_stands_once() -> None:
    """An edit event carries its own time: outside the span of the message's own, it has to be found all the same."""
    connection = fresh_database()
    commit(connection, batch_of([Said("1", START, ("GME",), revision="a")]))
    commit(connection, batch_of([Said("1", START + 3 * DAY, ("BABA",), revision="b", time_flag=True)]))
    assert connection.execute("SELECT id, created_at, revision FROM messages").fetchall() == [
        ("1", naive_utc(START), "b")
    ]
    assert connection.execute("SELECT symbol, created_at FROM mentions").fetchall() == [("BABA", naive_utc(START))]
