"""Where the tracker stands, written and read back: streams, limits, budgets, and the configuration in force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON, make_batch, make_store, prepare, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracker.errors import Malformed, RateLimited
from tracker.models import Stream
from tracker.store.connect import Connection, Opening, opened
from tracker.store.migrate import migrate
from tracker.store.state import (
    applied_sequence,
    load_limits,
    load_streams,
    requests_since,
    save_configuration,
    save_streams,
)

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
TIMES = st.none() | st.datetimes(datetime(2005, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
CURSORS = st.none() | st.dictionaries(
    WORDS, st.none() | st.integers() | WORDS | st.lists(WORDS, max_size=2), max_size=3
)
STREAMS = st.builds(
    Stream, WORDS, WORDS, CURSORS, st.booleans(), st.integers(0, 99), TIMES, TIMES, TIMES, st.none() | WORDS
)
SYMBOLS = [("GME", "Game Shop", "stock", "listed"), ("BABA", None, "stock", "listed")]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with opened(Opening(Path(":memory:"))) as found:
        migrate(found, NOON)
        yield found


@given(st.lists(STREAMS, max_size=4, unique_by=lambda stream: stream.key))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_streams_come_back_as_they_were_saved(connection: Connection, streams: list[Stream]) -> None:
    connection.execute("DELETE FROM streams")
    save_streams(connection, streams)
    assert {stream.key: stream for stream in load_streams(connection)} == {stream.key: stream for stream in streams}


def test_a_stream_that_is_saved_again_is_replaced(connection: Connection) -> None:
    save_streams(connection, [Stream("pond", "frogs", {"n": 1}, failures=3), Stream("pond", "toads")])
    save_streams(connection, [Stream("pond", "frogs", {"n": 2})])
    assert load_streams(connection) == [Stream("pond", "frogs", {"n": 2}), Stream("pond", "toads")]


def test_a_fresh_file_has_applied_nothing_and_knows_nobody(connection: Connection) -> None:
    assert applied_sequence(connection) == 0
    assert load_streams(connection) == []
    assert load_limits(connection) == []
    assert requests_since(connection, NOON) == {}


def test_limits_and_budgets_are_read_back_with_the_journal_on_top(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.standing(NOON)
    store.keep(make_batch(number=1, at=NOON))
    store.keep(make_batch(at=NOON + timedelta(minutes=1), failed=RateLimited("x", retry_after_s=600)))
    store.flush()
    store.keep(make_batch(at=NOON + timedelta(minutes=2), failed=RateLimited("y", retry_after_s=900)))
    standing = make_store(tmp_path).standing(NOON + timedelta(seconds=1))
    (limit,) = standing.limits
    assert (limit.scope, limit.reason, limit.not_before) == ("source:pond", "y", NOON + timedelta(minutes=17))
    assert standing.used == {"pond": [(NOON + timedelta(minutes=1), 1), (NOON + timedelta(minutes=2), 1)]}
    (stream,) = standing.streams
    assert stream.next_poll_at == limit.not_before


def test_cursor_rows_and_attempt_are_committed_together(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.standing(NOON)
    store.keep(make_batch(number=5))
    store.keep(make_batch(at=NOON + timedelta(minutes=1), failed=Malformed("x"), stream="toads"))
    store.flush()
    with store.reading() as connection:
        assert applied_sequence(connection) == 2
        assert [(stream.name, stream.cursor, stream.failures) for stream in load_streams(connection)] == [
            ("frogs", {"n": 5}, 0),
            ("toads", None, 1),
        ]
    assert rows(store, "SELECT stream, status, up FROM polls ORDER BY started_at") == [
        ("frogs", "ok", 1),
        ("toads", "malformed", 0),
    ]


# -------------------------------------------------------------------------------------------- configuration


class Configured:
    """Saves configurations, a minute apart."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.minutes = 0

    def save(self, symbols: Sequence[tuple[str, str | None, str, str]] = SYMBOLS, /, **settings: str) -> int:
        """The number of rows that this added to ``settings``."""
        before = self.count()
        self.minutes += 1
        moment = NOON + timedelta(minutes=self.minutes)
        save_configuration(
            self.connection, moment, list(settings.items()), ["GME"], {"memes": ["GME", "BABA"]}, symbols
        )
        return self.count() - before

    def count(self) -> int:
        row = self.connection.execute("SELECT count(*) FROM settings").fetchone()
        assert row is not None
        return int(row[0])

    def history(self, key: str) -> list[Any]:
        return [
            row[0]
            for row in self.connection.execute(
                "SELECT value FROM settings WHERE key = ? ORDER BY since", [key]
            ).fetchall()
        ]


@pytest.fixture
def configured(connection: Connection) -> Configured:
    found = Configured(connection)
    found.save()  # the mark of the symbols
    return found


def test_a_setting_gets_a_row_when_it_changes_and_only_then(configured: Configured) -> None:
    assert configured.save(colour="green", size="1") == 2
    assert configured.save(colour="green", size="1") == 0
    assert configured.save(colour="red", size="1") == 1
    assert configured.history("colour") == ["green", "red"]


def test_a_setting_that_is_gone_ends_once_and_may_come_back(configured: Configured) -> None:
    configured.save(colour="green")
    assert configured.save() == 1
    assert configured.save() == 0
    assert configured.save(colour="green") == 1
    assert configured.history("colour") == ["green", None, "green"]


def test_the_watch_list_is_replaced_with_its_groups(configured: Configured) -> None:
    configured.save()
    found = configured.connection.execute("SELECT symbol, group_name FROM watchlist ORDER BY ALL").fetchall()
    assert found == [("BABA", "memes"), ("GME", "memes"), ("GME", None)]


@pytest.mark.parametrize(
    "symbols",
    [
        SYMBOLS[:1],
        [*SYMBOLS, ("NEWT", "Newt Inc", "stock", "listed")],
        [SYMBOLS[0], ("BABA", "Ali", "stock", "retired")],
    ],
    ids=["fewer", "more", "as many"],
)
def test_our_own_symbols_are_put_in_when_anything_in_them_changed_and_none_is_taken_out(
    configured: Configured, symbols: list[tuple[str, str | None, str, str]]
) -> None:
    configured.save(symbols)
    found = configured.connection.execute("SELECT symbol, name, kind, status FROM symbols").fetchall()
    expected = {row[0]: row for row in [*SYMBOLS, *symbols]}
    assert sorted(found, key=str) == sorted(expected.values(), key=str)


def test_preparing_again_changes_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for days in (1, 2):
        prepare(store, now=NOON + timedelta(days=days))
    assert rows(store, "SELECT count(*) FROM settings WHERE since = TIMESTAMP '2026-03-04 12:00'") == [(0,)]
