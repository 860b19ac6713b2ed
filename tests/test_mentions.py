"""Which securities a message names: the grammar, the confidence, and laws that hold for any text."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import BadInput
from tracker.mentions import Finder, make_finder
from tracker.models import Mention
from tracker.universe import SymbolInfo, Universe, load_aliases, load_ambiguous, load_universe

FINDER = make_finder(["BABA"])
UNIVERSE = load_universe(["BABA"])
AMBIGUOUS = load_ambiguous()
ALIASES = load_aliases()
SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).parents[2] / "shared"))

PIECES = st.sampled_from(
    ["$", "GME", "gme ", "ALL ", "NYSE:", " F", "BRK.B", "700.HK", "nvidia", "bed bath & beyond", "@a", "`b`", "http://",
     "x", "BTC", ".X", "_F", "ES", "-50", "'s", " ", "\n", "é", "ß", "は", "🚀", "5k", "u/", ":", "("]
)  # fmt: skip
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=14).map("".join)


def found(text: str, *platform: str) -> dict[str, Mention]:
    return {mention.symbol: mention for mention in FINDER.find(text, platform)}


def confidences(text: str, *platform: str) -> dict[str, float]:
    return {mention.symbol: mention.confidence for mention in FINDER.find(text, platform)}


# ------------------------------------------------------------------------------------------------------- cashtags


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$GME up", {"GME": 0.95}),
        ("$gme up", {"GME": 0.95}),
        ("$$GME", {"GME": 0.95}),
        ("($GME)", {"GME": 0.95}),
        ('"$GME"', {"GME": 0.95}),
        ("$F is cheap", {"F": 0.95}),
        ("$ZQXW", {"ZQXW": 0.8}),
        ("$Zqxw", {"ZQXW": 0.8}),
        ("$wow such gains", {"WOW": 0.55}),
        ("$ZQXWVU", {"ZQXWVU": 0.6}),
        ("$Q", {"Q": 0.6}),
        ("$ZQXWVUT", {}),
        ("$LABU-50", {"LABU": 0.95}),
        ("$SPY-Crazy", {"SPY": 0.95}),
        ("$D-LO", {"D": 0.95}),
        ("$TSLAs", {"TSLA": 0.95}),
        ("$5 $50k $1.2B $ 5", {}),
        ("U$D 25 a$GME", {}),
        ("$GME$AMC", {"GME": 0.95}),
        ("$GME_fan $GME2", {}),
        ("$TSLAは上がる", {"TSLA": 0.95}),
        ("買い$TSLA", {"TSLA": 0.95}),
        ("$TSLAé", {}),
        ("$BRK.B! $BRK-A", {"BRK.B": 0.95, "BRK.A": 0.95}),
        ("$GME. Next", {"GME": 0.95}),
        ("$ETH.X $ETC-X $FOO.X", {"ETH.X": 0.95, "ETC.X": 0.95, "FOO.X": 0.8}),
        ("$BTC", {"BTC.X": 0.95}),
        ("$ES_F $6e_f $ZT_F", {"ES_F": 0.95, "6E_F": 0.95, "ZT_F": 0.8}),
        ("$USD/JPY", {"USDJPY": 0.95}),
        ("$DYN.PR.A", {"DYN.PR.A": 0.8}),
        ("$RY.TO", {"RY.CA": 0.8}),
        ("$700.HK", {"0700.HK": 0.8}),
    ],
)
def test_cashtag_grammar(text: str, expected: dict[str, float]) -> None:
    assert confidences(text) == expected


def test_surface_and_start_are_those_of_the_text() -> None:
    mention = found("mail a@b.example about $$LABU-50")["LABU"]
    assert (mention.match, mention.surface, mention.start) == ("cashtag", "$$LABU", 23)


def test_links_users_and_code_name_nothing() -> None:
    assert FINDER.find("@GME u/TSLA r/AMC https://a.example/$SPY `$QQQ` AMD@a.example") == []


# ------------------------------------------------------------------------------------------------- qualified, bare


@pytest.mark.parametrize(
    ("text", "symbol", "surface"),
    [
        ("NYSE: BABA", "BABA", "BABA"),
        ("(NASDAQ:TSLA)", "TSLA", "TSLA"),
        ("TSX:SHOP", "SHOP", "SHOP"),
        ("TSX: ZQX", "ZQX.CA", "ZQX"),
        ("LSE: VOD", "VOD", "VOD"),
        ("HKEX: 700", "0700.HK", "700"),
        ("(NYSE: UP)", "UP", "UP"),
        ("9988.HK", "9988.HK", "9988.HK"),
        ("700.HK", "0700.HK", "700.HK"),
        ("VOD.L", "VOD.L", "VOD.L"),
        ("BRK.B", "BRK.B", "BRK.B"),
        ("BRK-B", "BRK.B", "BRK-B"),
        ("BRK/B", "BRK.B", "BRK/B"),
        ("ETH.X", "ETH.X", "ETH.X"),
        ("ES_F", "ES_F", "ES_F"),
    ],
)
def test_qualified_forms(text: str, symbol: str, surface: str) -> None:
    [mention] = FINDER.find(f"bought {text} today")
    assert (mention.symbol, mention.match, mention.confidence, mention.surface) == (symbol, "qualified", 0.9, surface)
    assert mention.start == f"bought {text}".index(surface)


@pytest.mark.parametrize("text", ["Nasdaq: UP 2%", "NYSE: 700", "12.700.HK", "USA.L"])
def test_what_only_looks_qualified_is_not(text: str) -> None:
    assert not [mention for mention in FINDER.find(text) if mention.match == "qualified"]


@pytest.mark.parametrize("text", ["GME", "GME's dip", "(GME)", "#GME", "GME, now", "AMC/GME", "GME.", "“GME”", "GMEs"])
def test_a_bare_symbol_in_capitals_counts(text: str) -> None:
    mention = found(text)["GME"]
    assert (mention.match, mention.surface, mention.confidence) == ("symbol", "GME", 0.7)
    assert mention.start == text.index("GME")


@pytest.mark.parametrize("text", ["gme", "Gme", "ZQXW", "GMEX", "xGME", "F", "U and A", "PG&E", "AT&X", "GME_fan"])
def test_other_bare_words_do_not(text: str) -> None:
    assert FINDER.find(text) == []


def test_a_coin_is_found_by_its_short_name() -> None:
    assert confidences("stacking BTC") == {"BTC.X": 0.7}


def test_words_that_are_symbols_stay_below_the_threshold() -> None:
    mentions = FINDER.find("ALL this IT talk ON a YOLO day")
    assert {mention.confidence for mention in mentions} == {0.2}
    assert {mention.symbol for mention in mentions} == {"ALL", "IT", "ON"}
    assert all(mention.reason.startswith("also: ") for mention in mentions)
    assert FINDER.counted(mentions) == []


def test_an_ambiguous_symbol_adds_nothing_to_its_cashtag() -> None:
    [mention] = FINDER.find("ALL in, on $ALL")
    assert (mention.match, mention.confidence, mention.start) == ("cashtag", 0.95, 11)


def test_shouting_lowers_bare_symbols_and_leaves_cashtags() -> None:
    assert confidences("PLEASE STOP SELLING MY GME AND $AMC") == {"GME": 0.4, "AMC": 0.95}


@pytest.mark.parametrize("text", ["WATCHING AAPL, MSFT, GOOG, AMZN", "BUY GME", "GME IS what i like the most here"])
def test_lists_short_texts_and_single_words_in_capitals_are_no_shouting(text: str) -> None:
    assert set(confidences(text).values()) <= {0.7, 0.2}
    assert FINDER.counted(FINDER.find(text))


# -------------------------------------------------------------------------------------------------- names, lists


@pytest.mark.parametrize(
    ("text", "symbol", "surface"),
    [
        ("I like Nvidia's chips", "NVDA", "Nvidia"),
        ("#tesla", "TSLA", "tesla"),
        ("Bed Bath & Beyond is back", "BBBY", "Bed Bath & Beyond"),
        ("AT&T pays", "T", "AT&T"),
        ("more bitcoin", "BTC.X", "bitcoin"),
    ],
)
def test_free_names_count_in_any_case(text: str, symbol: str, surface: str) -> None:
    [mention] = FINDER.find(text)
    assert (mention.symbol, mention.match, mention.surface) == (symbol, "name", surface)
    assert (mention.confidence, mention.start) == (0.7, text.index(surface))


@pytest.mark.parametrize("text", ["bitcoins", "nvidiafan", "xnvidia", "bed bath", "apple pie", "a target", "$tesla2"])
def test_parts_of_words_and_other_classes_are_no_names(text: str) -> None:
    assert not [mention for mention in FINDER.find(text) if mention.match == "name"]


def test_the_longest_alias_wins() -> None:
    finder = make_finder(aliases={"acme": "ACM", "acme rockets": "ROK"})
    assert [m.symbol for m in finder.find("acme rockets")] == ["ROK"]
    assert [m.symbol for m in finder.find("acme rocket")] == ["ACM"]


def test_an_alias_without_letters_is_refused() -> None:
    with pytest.raises(BadInput, match="begins with a letter"):
        make_finder(aliases={"!!": "GME"})


def test_blocked_symbols_are_never_mentions() -> None:
    finder = make_finder(block=["gme", "BTC"])
    assert finder.find("$GME and BTC, GameStop", ["GME", "BTC.X"]) == []


def test_allowed_symbols_count_although_they_are_words_or_unknown() -> None:
    finder = make_finder(allow=["ALL", "zqxw"])
    assert {m.symbol: m.confidence for m in finder.find("ALL about ZQXW")} == {"ALL": 0.7, "ZQXW": 0.7}


def test_the_watch_list_is_known() -> None:
    assert [m.symbol for m in make_finder(["ZQXW"]).find("more ZQXW")] == ["ZQXW"]


def test_the_threshold_is_inclusive() -> None:
    universe = Universe([SymbolInfo("GME", "GameStop", "stock")])
    mentions = Finder(universe, {}, threshold=0.7).find("GME")
    assert Finder(universe, {}, threshold=0.7).counted(mentions) == mentions
    assert Finder(universe, {}, threshold=0.71).counted(mentions) == []


# ------------------------------------------------------------------------------------------------ the platform's word


@pytest.mark.parametrize(
    ("text", "symbol", "expected"),
    [
        ("$NVDA up", "NVDA", ("NVDA", 1.0, "$NVDA", 0)),
        ("more NVDA", "NVDA", ("NVDA", 1.0, "NVDA", 5)),
        ("more nvda", "NVDA", ("NVDA", 1.0, "nvda", 5)),
        ("ZQXW flies", "zqxw", ("ZQXW", 1.0, "ZQXW", 0)),
        ("ALL is up", "ALL", ("ALL", 1.0, "ALL", 0)),
        ("all is up", "ALL", ("ALL", 0.6, None, None)),
        ("nice gap up", "NVDA", ("NVDA", 0.6, None, None)),
        ("envdap", "NVDA", ("NVDA", 0.6, None, None)),
        ("doge!", "DOGE.X", ("DOGE.X", 1.0, "doge", 0)),
        ("$BRK.B", "BRK-B", ("BRK.B", 1.0, "$BRK.B", 0)),
        ("straße ßß nvda", "NVDA", ("NVDA", 1.0, "nvda", 10)),
    ],
)
def test_platform_symbols(text: str, symbol: str, expected: tuple[str, float, str | None, int | None]) -> None:
    [mention] = FINDER.find(text, [symbol])
    assert mention.match == "platform"
    assert (mention.symbol, mention.confidence, mention.surface, mention.start) == expected


def test_mentions_come_in_order_and_unwritten_ones_last() -> None:
    mentions = FINDER.find("TSLA then $AMD", ["BABA", "AMD"])
    assert [mention.symbol for mention in mentions] == ["TSLA", "AMD", "BABA"]


def test_of_equal_mentions_the_first_is_kept() -> None:
    [mention] = FINDER.find("more GME and GME")
    assert mention.start == 5


def test_an_empty_platform_symbol_is_nothing() -> None:
    assert FINDER.find("hello", ["", " "]) == []


# --------------------------------------------------------------------------------------------------------------- laws


@given(TEXTS, st.lists(st.sampled_from(["GME", "brk-b", "BTC", "ZZZZ", "ALL"]), max_size=3))
def test_every_mention_stands_where_it_says_and_is_there_once(text: str, platform: list[str]) -> None:
    mentions = FINDER.find(text, platform)
    assert len({mention.symbol for mention in mentions}) == len(mentions)
    for mention in mentions:
        assert 0 < mention.confidence <= 1
        assert mention.reason
        assert mention.symbol == mention.symbol.upper()
        assert (mention.surface is None) == (mention.start is None)
        if mention.start is not None and mention.surface is not None:
            assert text[mention.start : mention.start + len(mention.surface)] == mention.surface


@given(TEXTS)
def test_find_is_deterministic_and_needs_no_history(text: str) -> None:
    assert FINDER.find(text) == FINDER.find(text) == Finder(UNIVERSE, AMBIGUOUS, aliases=ALIASES).find(text)


@given(TEXTS)
def test_bare_symbols_and_names_are_never_invented(text: str) -> None:
    for mention in FINDER.find(text):
        if mention.match in ("symbol", "name"):
            assert mention.symbol in UNIVERSE


@given(TEXTS)
def test_could_mention_never_rejects_a_text_with_mentions(text: str) -> None:
    if FINDER.find(text):
        assert FINDER.could_mention(text)


def test_could_mention_sees_the_word_that_blanking_a_link_leaves() -> None:
    text = "nvidiaxxxxhttp://a.example"
    assert [mention.symbol for mention in FINDER.find(text)] == ["NVDA"]
    assert FINDER.could_mention(text)


def test_could_mention_rejects_plain_prose() -> None:
    assert not FINDER.could_mention("the weather is nice today, and I like it :)")


@pytest.mark.parametrize("unit", ["$", "$a.b-", "GME ", "AB", "NYSE:", "1.HK", "bed bath and ", "ß", "AB.CD-", "1"])
def test_forty_thousand_hostile_characters_are_read(unit: str) -> None:
    """Each of these would take minutes if a pattern were quadratic."""
    FINDER.find(unit * (40_000 // len(unit)), ["ZQXW"])


def test_quality_on_labelled_messages_has_a_floor() -> None:
    """Symbols that a person labelled in 543 messages: precision and recall of what is counted."""
    path = SHARED / "eval" / "tickers" / "dev.jsonl"
    if not path.exists():
        pytest.skip(f"labelled messages are not here: {path.name}")
    right = wrong = missed = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["layer"] != "full":
            continue
        gold = [{_fold(symbol) for symbol in [entry["symbol"], *entry.get("alt", [])]} for entry in row["gold"]]
        neutral = {_fold(symbol) for entry in row["optional"] for symbol in [entry["symbol"], *entry.get("alt", [])]}
        symbols = {_fold(mention.symbol) for mention in FINDER.counted(FINDER.find(row["text"]))}
        wrong += len([symbol for symbol in symbols if symbol not in neutral.union(*gold)])
        right += sum(not accepted.isdisjoint(symbols) for accepted in gold)
        missed += sum(accepted.isdisjoint(symbols) for accepted in gold)
    assert right / (right + wrong) > 0.97
    assert right / (right + missed) > 0.85


def _fold(symbol: str) -> str:
    return UNIVERSE.canonical(symbol).removesuffix(".X")


def test_a_cashtag_that_x_passed_over_is_a_bare_symbol() -> None:
    found = make_finder().find("old news, see '#$BABA' and $ZZQX", (), "x")
    assert {(mention.symbol, mention.match) for mention in found} == {("BABA", "symbol"), ("ZZQX", "symbol")}
    assert [mention.symbol for mention in make_finder().counted(found)] == ["BABA"]


def test_what_the_platform_names_is_of_the_platform_also_where_only_the_name_is_written() -> None:
    finder = make_finder()
    (found,) = finder.counted(finder.find("Alibaba opens above its price $BA…", ("BABA",), "x"))
    assert (found.symbol, found.match, found.surface) == ("BABA", "platform", "Alibaba")


def test_a_symbol_that_stocktwits_does_not_know_is_not_counted_beside_one_that_it_knows() -> None:
    finder = make_finder()
    found = finder.find("$APPL is up, $NVDA too", ("NVDA",), "stocktwits")
    assert [mention.symbol for mention in finder.counted(found)] == ["NVDA"]
