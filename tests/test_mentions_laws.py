"""Laws of the finder and its pre-filter: they hold for any text, and no text takes them long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.mentions import Finder, make_finder
from tracker.universe import SymbolInfo

LISTS = (
    SymbolInfo("QBL", "Quibble Rockets Holdings, Inc.", "stock", "listed", "NYSE"),
    SymbolInfo("ZYN", "Zyntrix Corp.", "stock", "listed", "NASDAQ"),
    SymbolInfo("OLDQ", "Oldest Quarry", "stock", "retired", "PINK"),
    SymbolInfo("RQ", "Two Letters", "stock", "listed", "NYSE"),
    SymbolInfo("ZZQ.B", "Zzq", "stock", "listed", "NYSE"),
    SymbolInfo("QCOIN.X", "Qcoin", "coin"),
    SymbolInfo("QFUND", "Q", "etf", "listed", "ARCA"),
    SymbolInfo("WARQW", "Warrant", "other", "listed", "NYSE"),
)


def finder() -> Finder:
    return make_finder(
        ["BABA"], lists=LISTS, allow=["IT"], aliases={"nestlé": "NSRGY", "3m": "MMM", "åland bank": "ALBBY"}
    )


FINDER = finder()
OTHER = finder()

PIECES = st.sampled_from(
    ["$", "GME", "gme", "Gme", "ALL", "ALLs", "calls", "NYSE:", "NASDAQ", ": ", "F", "BRK.B", "zzq.b", "ZZQ/B", "700.HK",
     "700.hk", "nvidia", "Nvidia", "bed bath & beyond", "Bed", "bath", "Quibble", "Rockets", "quibble rockets", "Zyntrix",
     "OLDQ", "RQ", "Rq", "qcoin", "QCOIN", "AMDs", "amds", "ONs", "@a", "@a.b", "@a.b-c", "`b`", "```x", "http://", "https://t.co/",
     "www.", ".com/", "u/", "r/x", "x", "BTC", ".X", ".x", "_F", "ES", "15c", "3/19", "-50", "'s", "’s", " ", "  ", "\n",
     "\0", "\u3000", "é", "É", "ß", "İ", "\u212a", "ſ", "は", "🚀", "5k", ":", "(", ")", "&amp;", "&#71;ME", "&", ";", "&#0;",
     "AT&T", "AT&amp;T", "nestlé", "NESTLÉ", "3m", "3M", "åland bank", "IT", "it", "to", "TO", ".TO", ".V", "VOD", "TSX-V:", "#",
     "_", "target", "Target", "is", "I", "A", "U.S.", "ko", "no\u212aia", "\x1c", "puts", "and"]
)  # fmt: skip
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=14).map("".join)
SPACED = st.lists(PIECES, max_size=10).map(" ".join)
PLATFORM = st.lists(st.sampled_from(["GME", "brk-b", "BTC", "ZZZZ", "ALL", ""]), max_size=3)
SOURCES = st.sampled_from(["", "x", "stocktwits", "bluesky"])


@given(st.one_of(TEXTS, SPACED), PLATFORM, SOURCES)
def test_every_mention_stands_where_it_says_and_is_there_once(text: str, platform: list[str], source: str) -> None:
    mentions = FINDER.find(text, platform, source)
    assert len({mention.symbol for mention in mentions}) == len(mentions)
    places = [len(text) if mention.start is None else mention.start for mention in mentions]
    assert places == sorted(places)
    for mention in mentions:
        assert 0 < mention.confidence <= 1
        assert mention.reason
        assert mention.symbol == mention.symbol.upper()
        assert (mention.surface is None) == (mention.start is None)
        if mention.start is not None and mention.surface is not None:
            assert text[mention.start : mention.start + len(mention.surface)] == mention.surface


@given(st.one_of(TEXTS, SPACED))
def test_find_is_deterministic_and_needs_no_history(text: str) -> None:
    assert FINDER.find(text) == FINDER.find(text) == OTHER.find(text)


@given(st.lists(st.one_of(TEXTS, SPACED), max_size=6))
@settings(max_examples=300)
def test_the_pre_filter_never_drops_a_text_with_mentions(texts: list[str]) -> None:
    kept = FINDER.prefilter.keep(texts)
    assert kept == sorted(set(kept))
    assert {place for place, text in enumerate(texts) if FINDER.find(text)} <= set(kept)
    assert [place for place, text in enumerate(texts) if FINDER.could_mention(text)] == kept


@pytest.mark.parametrize(
    "text",
    ["nvidia", "Is it AMDs?", "GME$", "x $6e_f", "pays AT&amp;T", "NO\0GME\0", "買いGMEは", "NESTLÉ shares", "700.HK", "(F calls)",
     "TSX-V: ZQX", "Zyntrix stock", "Quibble Rockets", "gme"],
)  # fmt: skip
def test_the_pre_filter_keeps_what_has_mentions(text: str) -> None:
    assert FINDER.prefilter.keep(["the weather is nice", text, "so is the day"]) == [1]
    assert FINDER.find(text)


def test_the_pre_filter_drops_plain_prose_and_takes_nothing() -> None:
    assert FINDER.prefilter.keep(["the weather is nice today, and I like that :)", "bread for 5 dollars", ""]) == []
    assert FINDER.prefilter.keep([]) == []


@pytest.mark.parametrize("text", ["nvidiaxxxxhttp://a.example", "gmewww.a.example", "@a.bGME", "@a.bgme"])
def test_no_half_of_a_word_is_left_where_something_else_is_blanked(text: str) -> None:
    assert FINDER.find(text) == []


HOSTILE = ["$", "$a.b-", "GME ", "gme ", "AB", "A ", "NYSE:", "1.HK", "bed bath and ", "ß", "AB.CD-", "1", "&amp;", "&", "a@",
           "x://", "@a.", "`", "ON calls ", "Quibble ", "ALL ", "\0", "u/a ", "$F ", "#gme"]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_forty_thousand_hostile_characters_are_read(unit: str) -> None:
    """Each of these would take minutes if a pattern were quadratic."""
    text = unit * (40_000 // len(unit))
    FINDER.find(text, ["ZQXW"])
    FINDER.prefilter.keep([text])


@pytest.mark.parametrize("unit", ["$", "GME ", "A", "$F ", "ON calls ", "Bed Bath "])
def test_four_times_the_text_takes_no_sixteen_times_as_long(unit: str) -> None:
    seconds = [_seconds(unit * (size // len(unit))) for size in (20_000, 80_000)]
    assert seconds[1] < 10 * max(seconds[0], 0.005)


def _seconds(text: str) -> float:
    FINDER.find(text)
    best = 60.0
    for _ in range(3):
        started = time.process_time()
        FINDER.find(text)
        best = min(best, time.process_time() - started)
    return best
