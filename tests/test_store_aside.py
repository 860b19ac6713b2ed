"""What is no talk lies in tables of its own, once, and is part of no count of the talk."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from fakes import NOON, analysis, make_plan, make_store, message
from fakes import rows as stored
from worlds import DAY, DERIVED, HOUR, MINUTE, commit, dump, fresh_database, rows

from tracker import metrics
from tracker.http import Tally
from tracker.ingest import Attempt, conclude
from tracker.models import Batch, Brings, Headline, Item, OptionTotals, Page, PriceBar, Rank, Stream
from tracker.store import derive
from tracker.store.connect import Connection, naive_utc
from tracker.store.upkeep import prune

TABLES = ("headlines", "crosscheck", "prices", "options")
NEWS = Headline("rss", "n1", NOON - HOUR, "$GME opens a pond", "Frogs.", symbols=("JD",))
RANK = Rank("apewisdom", "GME", window_name="24h", rank=1, mentions=7)
BAR = PriceBar("prices_yahoo", "GME", 300, NOON - HOUR, 10.0, volume=5.0, session="regular")
OPTIONS = OptionTotals("options_cboe", "GME", NOON - HOUR, put_volume=3)
ASIDE: list[Item] = [NEWS, RANK, BAR, OPTIONS]


def brought(
    *items: Item, at: timedelta = timedelta(0), brings: Brings = "news", stream: str = "wire", **page: object
) -> Batch:
    """What a poll that ended so long after noon brings."""
    moment = NOON + at
    attempt = Attempt(moment, 20, Tally(requests=1), moment)
    plan = replace(make_plan("rss"), brings=brings)
    found = Page(items, {"n": 1}, **page)  # type: ignore[arg-type]
    return conclude(Stream("rss", stream), plan, analysis(), attempt, found, None).batch


def everything(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    return dump(connection, *TABLES)


def test_each_lies_in_its_table() -> None:
    connection = fresh_database()
    done = commit(connection, brought(*ASIDE))
    assert done.added == 4
    assert rows(
        connection, "SELECT source, id, stream, title, text, symbols, created_at, fetched_at FROM headlines"
    ) == [("rss", "n1", "wire", "$GME opens a pond", "Frogs.", ["JD", "GME"], naive_utc(NOON - HOUR), naive_utc(NOON))]
    assert rows(
        connection, 'SELECT service, stream, symbol, "at", window_name, rank, mentions, sentiment FROM crosscheck'
    ) == [("apewisdom", "wire", "GME", naive_utc(NOON), "24h", 1, 7, None)]
    assert rows(
        connection, "SELECT symbol, bucket_width, bucket_start, session, close, volume, source, fetched_at FROM prices"
    ) == [("GME", 5 * MINUTE, naive_utc(NOON - HOUR), "regular", 10.0, 5.0, "prices_yahoo", naive_utc(NOON))]
    assert rows(connection, 'SELECT symbol, "at", put_volume, call_volume, source FROM options') == [
        ("GME", naive_utc(NOON - HOUR), 3, None, "options_cboe")
    ]
    assert rows(connection, "SELECT added, updated, brings FROM polls") == [(4, 0, "news")]
    assert rows(connection, "SELECT cursor FROM streams") == [('{"n": 1}',)]


def test_the_same_page_twice_in_one_commit_or_in_two_is_stored_once() -> None:
    connection = fresh_database()
    fixed = [NEWS, replace(RANK, at=NOON), BAR, OPTIONS]
    commit(connection, brought(*fixed))
    first = everything(connection)
    assert commit(connection, brought(*fixed, at=HOUR), brought(*fixed, at=2 * HOUR)).added == 0
    assert everything(connection) == first
    connection = fresh_database()
    assert commit(connection, brought(*fixed, *fixed), brought(*fixed, at=HOUR)).added == 4
    assert everything(connection) == first


def test_a_rank_without_a_time_is_a_new_one_at_each_look() -> None:
    connection = fresh_database()
    commit(connection, brought(RANK), brought(replace(RANK, rank=2), at=HOUR))
    assert rows(connection, 'SELECT "at", rank FROM crosscheck ORDER BY "at"') == [
        (naive_utc(NOON), 1),
        (naive_utc(NOON + HOUR), 2),
    ]


def test_spans_and_parts_of_a_service_stand_side_by_side_also_where_the_span_is_unknown() -> None:
    connection = fresh_database()
    spans = [replace(RANK, at=NOON, window_name=name) for name in ("15m", "24h", None)]
    commit(connection, brought(*spans), brought(*spans, stream="other"))
    assert rows(connection, "SELECT count(*) FROM crosscheck") == [(6,)]
    assert commit(connection, brought(*spans)).added == 0


def test_a_headline_of_two_feeds_is_one_and_names_the_symbols_of_both() -> None:
    connection = fresh_database()
    commit(connection, brought(NEWS))
    again = replace(NEWS, symbols=("BABA", "JD"), title="Another title", created_at=NOON)
    done = commit(connection, brought(again, at=HOUR, stream="yahoo/BABA"))
    assert (done.added, done.updated) == (0, 1)
    assert rows(connection, "SELECT stream, title, symbols, fetched_at FROM headlines") == [
        ("wire", "$GME opens a pond", ["BABA", "GME", "JD"], naive_utc(NOON))
    ]
    assert commit(connection, brought(again, at=2 * HOUR)).updated == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_symbols_of_a_headline_do_not_depend_on_the_order_of_its_feeds(order: tuple[int, ...]) -> None:
    feeds = [replace(NEWS, title="x", symbols=(symbol,)) for symbol in ("AAA", "BBB", "CCC")]
    connection = fresh_database()
    for number in order:
        commit(connection, brought(feeds[number]))
    assert rows(connection, "SELECT symbols FROM headlines") == [(["AAA", "BBB", "CCC"],)]


def test_a_bar_that_is_not_over_waits_and_one_that_is_corrected_is_replaced() -> None:
    connection = fresh_database()
    young = replace(BAR, start_at=NOON - MINUTE)
    assert commit(connection, brought(young, brings="prices")).added == 0
    assert commit(connection, brought(young, at=HOUR, brings="prices")).added == 1
    done = commit(connection, brought(replace(young, close=11.0), at=2 * HOUR, brings="prices"))
    assert (done.added, done.updated) == (0, 1)
    assert rows(connection, "SELECT close, fetched_at FROM prices") == [(11.0, naive_utc(NOON + 2 * HOUR))]


def test_nothing_of_it_is_counted_as_talk() -> None:
    """Mentions, buckets, readings, coverage: all of it empty, whatever the pages claim to cover."""
    connection = fresh_database()
    for brings in ("news", "ranks", "prices"):
        commit(connection, brought(*ASIDE, brings=brings, stream=brings, covers_from=NOON - DAY))  # type: ignore[arg-type]
    derive.rollup(connection)
    derive.take_readings(connection, [NOON + HOUR], None)
    counted = ("messages", "mentions", "tones", "gaps", "buckets", "coverage_hours", "spikes", "readings", "touched")
    assert dump(connection, *counted) == {table: [] for table in counted}
    assert rows(connection, "FROM coverage") == []
    assert (
        rows(connection, f"FROM heard_between('GME', TIMESTAMP '{NOON - DAY:%F %T}', TIMESTAMP '{NOON + DAY:%F %T}')")
        == []
    )


def test_beside_talk_it_changes_no_count_of_it() -> None:
    """The same talk with and without news of the same symbol gives the same buckets, readings and coverage."""
    talk = brought(
        message("$GME up", "1", source="rss", at=NOON - HOUR), brings="talk", stream="posts", covers_from=NOON - DAY
    )
    found = []
    for others in ((), (brought(*ASIDE, covers_from=NOON - DAY), brought(*ASIDE, brings="ranks", stream="symbol/GME"))):
        connection = fresh_database()
        commit(connection, talk, *others)
        derive.rollup(connection)
        derive.take_readings(connection, [NOON + HOUR], None)
        heard = metrics.coverage(connection, "GME", NOON + HOUR)
        found.append((dump(connection, *DERIVED), heard, rows(connection, "FROM coverage ORDER BY ALL")))
    assert found[0] == found[1]
    assert found[0][0]["buckets"]
    assert found[0][1].sources == 1


def test_sources_that_were_asked_for_news_alone_are_not_sources_that_were_listened_to() -> None:
    connection = fresh_database()
    commit(connection, brought(NEWS))
    assert metrics.coverage(connection, "GME", NOON + HOUR).sources == 0


def test_the_brief_finds_the_headline_by_the_symbol_of_its_words() -> None:
    connection = fresh_database()
    commit(connection, brought(NEWS))
    (found,) = metrics.headlines(connection, "GME", NOON - DAY, NOON + DAY)
    assert (found.title, found.source) == ("$GME opens a pond", "rss")


def test_texts_go_after_their_time_and_headlines_after_that_of_mentions() -> None:
    connection = fresh_database()
    commit(connection, brought(*ASIDE))
    prune(connection, NOON + HOUR, NOON - DAY, NOON - DAY)
    assert rows(connection, "SELECT title, text FROM headlines") == [("$GME opens a pond", None)]
    prune(connection, NOON + HOUR, NOON + HOUR, NOON - DAY)
    assert [rows(connection, f"SELECT count(*) FROM {table}") for table in TABLES] == [[(0,)], [(0,)], [(1,)], [(0,)]]


def test_the_journal_carries_it_over_a_restart(tmp_path) -> None:  # type: ignore[no-untyped-def]
    store = make_store(tmp_path)
    store.keep(brought(*ASIDE))
    again = make_store(tmp_path)
    again.standing(NOON - DAY)
    assert again.waiting == 1
    assert again.flush().added == 4
    for table in TABLES:
        assert stored(again, f"SELECT count(*) FROM {table}") == [(1,)]
