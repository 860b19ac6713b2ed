"""What is no talk becomes rows of its own kind: it is never a message, never a mention and never listened to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import NOON, analysis, make_plan, message

from tracker.http import Tally
from tracker.ingest import Attempt, Digest, Outcome, conclude, digest
from tracker.models import (
    Brings,
    Flaw,
    Gap,
    Headline,
    Item,
    OptionTotals,
    Page,
    PriceBar,
    Rank,
    Stream,
)
from tracker.wire import EARLIEST

HOUR = timedelta(hours=1)
NEWS = Headline("wire", "n1", NOON - HOUR, "GameStop Corp. (NYSE: GME) opens a pond", "Shares of $BABA rose, too.")
RANK = Rank("pond", "gme", rank=1, mentions=7)
BAR = PriceBar("pond", "GME", 300, NOON - HOUR, 10.0)
OPTIONS = OptionTotals("pond", "GME", NOON - HOUR, put_volume=3)
ASIDE: list[Item] = [NEWS, RANK, BAR, OPTIONS]


def rows_of(*items: Item, keep: str = "all", only: frozenset[str] | None = None, simulated: bool = False) -> Digest:
    fetched_at = None if simulated else NOON
    return digest(items, analysis(only), stream="symbol/BABA", fetched_at=fetched_at, keep=keep)


def finish(page: Page, brings: Brings) -> Outcome:
    plan = replace(make_plan(), brings=brings)
    attempt = Attempt(NOON - timedelta(seconds=2), 2000, Tally(requests=1), NOON)
    return conclude(Stream("pond", "frogs"), plan, analysis(), attempt, page, None)


def test_what_is_no_talk_is_never_a_message_a_mention_or_a_tone() -> None:
    found = rows_of(*ASIDE)
    assert (found.messages, found.mentions, found.tones, found.ballots, found.skipped) == ((), (), (), (), 0)
    assert [len(rows) for rows in (found.headlines, found.ranks, found.bars, found.options)] == [1, 1, 1, 1]


def test_beside_talk_each_keeps_to_its_own() -> None:
    found = rows_of(message("$GME up", "1"), *ASIDE, Flaw("bad"))
    assert [row.id for row in found.messages] == ["1"]
    assert [(mention.message_id, mention.symbol) for mention in found.mentions] == [("1", "GME")]
    assert found.skipped == 1


def test_a_headline_names_what_its_words_name_and_what_its_feed_is_about() -> None:
    (plain,) = rows_of(NEWS).headlines
    assert sorted(plain.symbols) == ["BABA", "GME"]
    (own,) = rows_of(replace(NEWS, symbols=("jd", "GME"), text=None)).headlines
    assert own.symbols == ("JD", "GME")
    assert (own.source, own.id, own.stream) == ("wire", "n1", "symbol/BABA")
    assert (own.created_at, own.fetched_at) == (NOON - HOUR, NOON)


def test_copies_of_a_title_share_a_key_whatever_their_summary() -> None:
    found = rows_of(
        NEWS, replace(NEWS, id="n2", title=NEWS.title.upper(), text=None), replace(NEWS, id="n3", title="x")
    )
    one, two, three = (row.text_key for row in found.headlines)
    assert one == two != three


def test_headlines_about_nothing_that_we_know_are_dropped_where_only_mentions_are_kept() -> None:
    dull = replace(NEWS, id="n2", title="A quiet day", text=None)
    assert [row.id for row in rows_of(NEWS, dull).headlines] == ["n1", "n2"]
    kept = rows_of(NEWS, dull, keep="mentions")
    assert [row.id for row in kept.headlines] == ["n1"]
    assert kept.skipped == 0


def test_where_nothing_is_to_be_discovered_only_watched_symbols_are_kept() -> None:
    others = [replace(RANK, symbol="JD"), replace(BAR, symbol="JD"), replace(OPTIONS, symbol="JD")]
    found = rows_of(*ASIDE, *others, only=frozenset({"GME"}))
    assert found.headlines[0].symbols == ("GME",)
    assert {row.symbol for row in (*found.ranks, *found.bars, *found.options)} == {"GME"}


@pytest.mark.parametrize(("claimed", "stored"), [(None, NOON), (NOON + HOUR, NOON), (EARLIEST - HOUR, EARLIEST)])
def test_an_impossible_time_gives_way_to_when_it_was_fetched(claimed: object, stored: object) -> None:
    items = (replace(NEWS, created_at=claimed), replace(RANK, at=claimed), replace(OPTIONS, at=claimed))  # type: ignore[arg-type]
    found = rows_of(*items)
    assert (found.headlines[0].created_at, found.ranks[0].at, found.options[0].at) == (stored, stored, stored)


def test_a_symbol_that_the_answer_leaves_out_is_that_of_the_stream() -> None:
    found = rows_of(replace(RANK, symbol=""), replace(OPTIONS, symbol=""))
    assert (found.ranks[0].symbol, found.options[0].symbol) == ("BABA", "BABA")


def test_symbols_are_spelled_as_everywhere() -> None:
    bars = rows_of(replace(BAR, symbol="BRK-B"), replace(BAR, symbol="BTC-USD")).bars
    assert [bar.symbol for bar in bars] == ["BRK.B", "BTC.X"]


def test_on_the_simulated_clock_what_has_no_time_has_no_place() -> None:
    found = rows_of(*ASIDE, replace(NEWS, id="n2", created_at=None), simulated=True)
    assert [row.fetched_at for row in found.headlines] == [NOON - HOUR]
    assert (len(found.ranks), len(found.bars), len(found.options)) == (0, 1, 1)
    assert found.skipped == 2


# ------------------------------------------------------------------------------------------------ one attempt


@pytest.mark.parametrize("brings", ["news", "ranks", "prices"])
def test_streams_that_are_no_talk_cover_nothing_and_lose_nothing(brings: Brings) -> None:
    page = Page(tuple(ASIDE), {"n": 1}, covers_from=NOON - HOUR, gap=Gap(NOON - 2 * HOUR, NOON - HOUR, "lost"))
    batch = finish(page, brings).batch
    assert (batch.report.covers_from, batch.gaps, batch.report.brings) == (None, (), brings)
    talk = finish(page, "talk").batch
    assert (talk.report.covers_from, len(talk.gaps), talk.report.brings) == (NOON - HOUR, 1, "talk")


def test_position_and_items_go_into_one_batch() -> None:
    batch = finish(Page(tuple(ASIDE), {"n": 5}), "news").batch
    assert batch.stream is not None
    assert batch.stream.cursor == {"n": 5}
    assert batch.stream.last_message_at == NEWS.created_at
    assert [len(rows) for rows in (batch.headlines, batch.ranks, batch.bars, batch.options)] == [1, 1, 1, 1]
    assert (batch.report.status, batch.report.fetched, batch.report.skipped) == ("ok", 4, 0)


def test_a_stream_that_asks_for_patience_gets_it_without_a_limit_for_others() -> None:
    outcome = finish(Page((), None, wait_s=7200.0), "news")
    assert (outcome.wait_s, outcome.batch.limits) == (7200.0, ())
    assert finish(Page((), None, wait_s=1.0), "news").wait_s == 60.0
    assert finish(Page((), None, wait_s=1e9), "news").wait_s == 86_400.0
