"""The universe in the file: rows that come back as they went in, and what the stream's own words teach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracker.store.connect import Connection, Opening, opened
from tracker.store.migrate import migrate
from tracker.store.universe import (
    PRIOR_DAYS,
    PRIORS_KEPT,
    ListState,
    bare_tokens,
    compute_priors,
    count_forms,
    days_to_count,
    keep_unverified,
    load_lists,
    load_priors,
    load_rows,
    priors_are_stale,
    save_universe,
    standing,
)
from tracker.universe_merge import Row

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TODAY = date(2026, 3, 2)
DAY = timedelta(days=1)

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\x1f"), min_size=1, max_size=8)
TIMES = st.none() | st.datetimes(datetime(2005, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
NAMES = st.lists(WORDS, max_size=3, unique=True).map(tuple)
ROWS = st.builds(
    Row, WORDS, st.none() | WORDS, st.none() | WORDS, st.sampled_from([None, "stock", "etf"]), NAMES, TIMES, TIMES,
    st.sampled_from(["listed", "retired", "unverified"]), NAMES, st.none() | WORDS, st.none() | st.floats(1, 1e12), st.none() | WORDS,
)  # fmt: skip
STATES = st.builds(
    ListState, WORDS, TIMES.filter(bool), TIMES, TIMES, st.none() | st.integers(0, 10**9), TIMES, st.none() | WORDS, st.none() | WORDS, st.none() | WORDS, st.none() | WORDS
)  # fmt: skip


@pytest.fixture
def connection() -> Iterator[Connection]:
    with opened(Opening(Path(":memory:"))) as found:
        migrate(found, NOON)
        yield found


def say(connection: Connection, *texts: str, at: datetime = NOON, author: str = "a", match: str | None = None, symbol: str = "") -> None:  # fmt: skip
    """Messages as they lie in the file, and with ``match`` what was found in each."""
    for text in texts:
        row = connection.execute("SELECT count(*) FROM messages").fetchone()
        own_id, moment = str(row[0] if row else 0), at.replace(tzinfo=None)
        connection.execute(
            """INSERT INTO messages (source, id, stream, created_at, fetched_at, time_flag, author, text, text_key)
               VALUES ('pond', ?, 'frogs', ?, ?, false, ?, ?, hash(?))""",
            [own_id, moment, moment, author, text, text],
        )
        if match is not None:
            connection.execute(
                """INSERT INTO mentions (source, message_id, symbol, match, confidence, created_at, fetched_at, author, stance, tone, reshare)
                   VALUES ('pond', ?, ?, ?, 0.8, ?, ?, ?, 0, 0, false)""",
                [own_id, symbol, match, moment, moment, author],
            )  # fmt: skip


def known(connection: Connection, *symbols: str) -> None:
    save_universe(connection, [Row(symbol, symbol.title(), kind="stock") for symbol in symbols], [])


def forms(connection: Connection) -> dict[str, tuple[int, int, int]]:
    rows = connection.execute("SELECT symbol, with_dollar, in_capitals, in_lower FROM symbol_forms").fetchall()
    return {symbol: (dollar, capitals, lower) for symbol, dollar, capitals, lower in rows}


# ---------------------------------------------------------------------------------------------------------- there and back


@given(st.lists(ROWS, max_size=5), st.lists(STATES, max_size=3, unique_by=lambda state: state.name))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_and_lists_come_back_as_they_were_saved(
    connection: Connection, rows: Sequence[Row], states: Sequence[ListState]
) -> None:
    connection.execute("DELETE FROM symbol_lists")
    save_universe(connection, rows, states)
    assert sorted(load_rows(connection), key=repr) == sorted(rows, key=repr)
    assert load_lists(connection) == {state.name: state for state in states}
    save_universe(connection, None, [])
    assert len(load_rows(connection)) == len(rows)


def test_an_older_file_keeps_its_symbols_as_our_own(tmp_path: Path) -> None:
    with opened(Opening(tmp_path / "t.duckdb")) as connection:
        migrate(connection, NOON)
        connection.execute("INSERT INTO symbols (symbol, name, kind, status) VALUES ('GME', 'Game Shop', 'stock', 'listed')")  # fmt: skip
        assert load_rows(connection) == [Row("GME", "Game Shop", None, "stock")]


def test_it_is_counted_by_kind(connection: Connection) -> None:
    save_universe(connection, [Row("A", kind="stock"), Row("B", kind="stock", status="retired"), Row("C", status="unverified")], [])  # fmt: skip
    assert standing(connection) == [("stock", 1, 1, 0), ("unknown", 0, 0, 1)]


# --------------------------------------------------------------------------------------------------------- the forms


def test_three_forms_each_once_a_message(connection: Connection) -> None:
    known(connection, "FROG", "ON", "HOP.X", "ES_F", "BRK.B")
    say(connection, "$FROG FROG $frog", "FROG and Frog", "frog on it, ON it", "nothing", "$hop Hop")
    count_forms(connection, TODAY)
    assert forms(connection) == {"FROG": (1, 2, 2), "ON": (0, 1, 1), "HOP": (1, 0, 1)}


def test_capitals_say_nothing_where_all_is_shouted(connection: Connection) -> None:
    known(connection, "FROG", "ON")
    say(connection, "BUY FROG NOW BEFORE IT GOES ON TO THE MOON", "FROG on")
    count_forms(connection, TODAY)
    assert forms(connection) == {"FROG": (0, 1, 0), "ON": (0, 0, 1)}


def test_addresses_people_and_tags_are_no_words(connection: Connection) -> None:
    known(connection, "FROG", "R", "COM")
    say(connection, "https://pond.com/FROG www.frog.com @FROG #FROG r/FROG u/frog")
    count_forms(connection, TODAY)
    assert forms(connection) == {}


def test_a_day_is_counted_by_when_its_messages_were_known_and_twice_is_once(connection: Connection) -> None:
    known(connection, "FROG")
    say(connection, "FROG", at=NOON - DAY)
    say(connection, "FROG", at=NOON.replace(hour=0))
    say(connection, "$FROG", at=NOON)
    assert days_to_count(connection, TODAY) == [TODAY - DAY]
    assert days_to_count(connection, TODAY + DAY) == [TODAY - DAY, TODAY]
    assert [count_forms(connection, TODAY) for _ in range(2)] == [2, 2]
    assert forms(connection) == {"FROG": (1, 1, 0)}
    assert days_to_count(connection, TODAY + DAY) == [TODAY - DAY]


@given(st.lists(st.sampled_from(["$FROG", "FROG", "frog", "Frog", "@FROG", "$frog", "on", "ON", "…", "a frog."]), max_size=8))  # fmt: skip
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_count_is_what_a_reader_counts(connection: Connection, words: list[str]) -> None:
    known(connection, "FROG", "ON")
    connection.execute("DELETE FROM messages")
    connection.execute("DELETE FROM symbol_forms")
    say(connection, *words)
    count_forms(connection, TODAY)
    expected = {
        symbol: (
            sum(word.upper() == f"${symbol}" for word in words), words.count(symbol),
            sum(word in (symbol.lower(), symbol.title()) or (symbol == "FROG" and word == "a frog.") for word in words),
        )
        for symbol in ("FROG", "ON")
    }  # fmt: skip
    assert forms(connection) == {symbol: counts for symbol, counts in expected.items() if any(counts)}


# --------------------------------------------------------------------------------------------------------- the priors


def test_a_version_sums_up_the_days_before_it_and_is_the_same_again(connection: Connection) -> None:
    known(connection, "FROG")
    for days_ago in (0, 1, PRIOR_DAYS, PRIOR_DAYS + 1):
        say(connection, "FROG", at=NOON - days_ago * DAY)
    for day in days_to_count(connection, TODAY + DAY):
        count_forms(connection, day)
    assert load_priors(connection) == (None, {})
    assert priors_are_stale(connection, TODAY)
    assert [compute_priors(connection, TODAY) for _ in range(2)] == [1, 1]
    assert load_priors(connection) == (TODAY, {"FROG": (0, 2, 0)})
    compute_priors(connection, TODAY + DAY)
    assert load_priors(connection) == (TODAY + DAY, {"FROG": (0, 2, 0)})
    assert load_priors(connection, TODAY) == (TODAY, {"FROG": (0, 2, 0)})
    assert load_priors(connection, TODAY - DAY) == (None, {})
    compute_priors(connection, TODAY + PRIORS_KEPT * DAY)
    assert load_priors(connection, TODAY) == (None, {}), "too old to be kept"


# ----------------------------------------------------------------------------------------------------- what is unknown


def test_what_two_people_write_with_a_dollar_is_kept_as_unverified(connection: Connection) -> None:
    known(connection, "FROG")
    for author in ("a", "b"):
        say(connection, "$NEWT", author=author, match="cashtag", symbol="NEWT")
        say(connection, "TOAD", author=author, match="symbol", symbol="TOAD")
        say(connection, "$FROG", author=author, match="cashtag", symbol="FROG")
    say(connection, "$ONCE", match="cashtag", symbol="ONCE")
    assert keep_unverified(connection, NOON - DAY, NOON + DAY) == 1
    assert keep_unverified(connection, NOON - DAY, NOON + DAY) == 0
    assert [row.symbol for row in load_rows(connection) if row.status == "unverified"] == ["NEWT"]


def test_the_days_new_tokens_with_their_dollar_share_and_samples(connection: Connection) -> None:
    known(connection, "FROG", "USUAL")
    for days_ago in range(1, 5):
        say(connection, *["USUAL stuff"] * 6, at=NOON - days_ago * DAY)
        count_forms(connection, TODAY - days_ago * DAY)
    say(connection, *["USUAL stuff"] * 6, *["big FOMO here"] * 3, "FOMO again", "yet FOMO", "$FROG", "FROG one", "FROG two", "FROG three", "FROGS", "TWICE", "TWICE")  # fmt: skip
    found = bare_tokens(connection, TODAY, decided=[])
    assert [(token.token, token.messages, token.with_dollar, token.before, token.known) for token in found] == [
        ("FOMO", 5, 0, 0.0, False), ("FROG", 3, 1, 0.0, True), ("USUAL", 6, 0, 6.0, True),
    ]  # fmt: skip
    assert found[1].dollar_share == 0.25
    assert found[0].samples == ("big FOMO here", "FOMO again", "yet FOMO"), (
        "copies are shown once, the most copied first"
    )
    assert found[1].samples == ("FROG one", "FROG three", "FROG two")
    assert [token.token for token in bare_tokens(connection, TODAY, decided=["FOMO", "USUAL"])] == ["FROG"]
    assert bare_tokens(connection, TODAY + DAY, decided=[]) == []
