"""Which securities a message names: the grammar, bare symbols, names, the platform's word, the day's letters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tracker.errors import BadInput
from tracker.mentions import Finder, make_finder
from tracker.models import Mention
from tracker.universe import Alias, Doubt, SymbolInfo, Universe

FINDER = make_finder(["BABA"])


def found(text: str, *platform: str) -> dict[str, Mention]:
    return {mention.symbol: mention for mention in FINDER.find(text, platform)}


def counted(text: str, source: str = "") -> list[str]:
    return [mention.symbol for mention in FINDER.counted(FINDER.find(text, (), source))]


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
        ("$RY.TO $weed.ca", {"RY.CA": 0.8, "WEED.CA": 0.8}),
        ("$WSB $STONKS", {}),
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
        ("NYSE:UP", "UP", "UP"),
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
    assert (mention.match, mention.surface) == ("symbol", "GME")
    assert mention.start == text.index("GME")
    assert FINDER.threshold <= mention.confidence < 0.9, "less sure than a cashtag or a symbol with its exchange"


@pytest.mark.parametrize("text", ["on gme today", "Gme again", "amd, gme", "#gme"])
def test_letters_that_are_no_word_count_in_any_case(text: str) -> None:
    assert "GME" in counted(text)


@pytest.mark.parametrize(
    "text", ["ZQXW", "GMEX5", "xGME", "F", "U and A", "AT&X", "GME_fan", "I'M fine", "on and on", "It", "all", "open"]
)
def test_other_bare_words_do_not(text: str) -> None:
    assert FINDER.find(text) == []


def test_a_coin_is_found_by_its_short_name() -> None:
    assert counted("stacking BTC and doge") == ["BTC.X", "DOGE.X"]


def test_a_coin_that_people_talk_about_goes_before_a_fund_with_its_letters() -> None:
    finder = make_finder(lists=[SymbolInfo("BTC", "Some Bitcoin Fund", "etf", "listed", "ARCA")])
    assert [mention.symbol for mention in finder.find("$BTC or BTC")] == ["BTC.X"]


def test_words_that_are_symbols_stay_below_the_threshold() -> None:
    mentions = FINDER.find("ALL this IT talk ON a YOLO day")
    assert {mention.symbol for mention in mentions} == {"ALL", "ON"}, "IT and YOLO need a $ of their own"
    assert all(mention.reason.startswith("also: ") for mention in mentions)
    assert FINDER.counted(mentions) == []


@pytest.mark.parametrize("text", ["bought ON shares", "ON 80c 3/19", "NVDA, AMD, ON calls"])
def test_what_stands_beside_it_makes_a_word_a_symbol(text: str) -> None:
    assert "ON" in counted(text)


@pytest.mark.parametrize(
    ("text", "symbol"), [("F calls", "F"), ("F 15c 3/19", "F"), ("long T shares", "T"), ("15 ES puts", "ES_F")]
)
def test_single_letters_and_futures_need_their_neighbours(text: str, symbol: str) -> None:
    assert counted(text) == [symbol]
    assert counted(text.split()[0]) == []


@pytest.mark.parametrize(
    "text", ["reports Thursday AMC", "BTC 100 at 5", "the lower BB holds", "roth IRA", "at 9:30 ET", "07/16 C $800"]
)
def test_traps_are_no_symbols(text: str) -> None:
    assert counted(text) == []


def test_an_ambiguous_symbol_adds_nothing_to_its_cashtag() -> None:
    [mention] = FINDER.find("ALL in, on $ALL")
    assert (mention.match, mention.confidence, mention.start) == ("cashtag", 0.95, 11)


def test_shouting_takes_from_words_and_leaves_cashtags_and_what_is_no_word() -> None:
    assert counted("PLEASE STOP SELLING MY GME AND $AMC") == ["GME", "AMC"]
    shouted, said = found("PLEASE OPEN THE GATES AND LET US OUT"), found("we want OPEN to fly")
    assert shouted["OPEN"].confidence < said["OPEN"].confidence


def test_a_few_words_in_capitals_are_emphasis() -> None:
    assert counted("and I LOVE THIS stock so much") == []


# -------------------------------------------------------------------------------------------------- names, lists


@pytest.mark.parametrize(
    ("text", "symbol", "surface"),
    [
        ("I like Nvidia's chips", "NVDA", "Nvidia"),
        ("#tesla", "TSLA", "tesla"),
        ("Bed Bath & Beyond is back", "BBBY", "Bed Bath & Beyond"),
        ("AT&T pays", "T", "AT&T"),
        ("more bitcoin", "BTC.X", "bitcoin"),
        ("Apple is up", "AAPL", "Apple"),
        ("APPLE", "AAPL", "APPLE"),
        ("apple calls", "AAPL", "apple"),
        ("Target shares fall", "TGT", "Target"),
    ],
)
def test_names_are_found_where_they_stand(text: str, symbol: str, surface: str) -> None:
    [mention] = FINDER.counted(FINDER.find(text))
    assert (mention.symbol, mention.match, mention.surface) == (symbol, "name", surface)
    assert mention.start == text.index(surface)


@pytest.mark.parametrize(
    "text",
    ["bitcoins", "nvidiafan", "xnvidia", "bed bath", "apple pie", "a target", "$tesla2", "Apple juice", "Target is empty",
     "my price target is 5", "the delta variant", "go to Yahoo Finance"],
)  # fmt: skip
def test_parts_of_words_and_other_things_are_no_names(text: str) -> None:
    assert not [mention for mention in FINDER.counted(FINDER.find(text)) if mention.match == "name"]


def test_a_symbol_that_is_the_issuers_name_is_a_name_but_in_capitals() -> None:
    assert [found(text)["SONY"].match for text in ("Sony", "SONY", "$SONY")] == ["name", "symbol", "cashtag"]


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("Quibble Rockets soars", ["QBL"]),
        ("quibble rockets soars", []),
        ("Zyntrix shares soar", ["ZYN"]),
        ("Zyntrix is a nice place", []),
        ("Wall Street is open", []),
    ],
)
def test_names_out_of_lists_need_their_capitals(text: str, symbols: list[str]) -> None:
    lists = [
        SymbolInfo("QBL", "Quibble Rockets Holdings, Inc. - Class A Common Stock", "stock", "listed", "NYSE"),
        SymbolInfo("QBLW", "Quibble Rockets Holdings, Inc. - Warrants", "other", "listed", "NYSE"),
        SymbolInfo("ZYN", "Zyntrix Corp.", "stock", "listed", "NASDAQ"),
        SymbolInfo("WSM0", "Wall Street Media Co", "stock", "listed", "NASDAQ"),
    ]
    finder = make_finder(lists=lists)
    assert [mention.symbol for mention in finder.counted(finder.find(text))] == symbols


def test_brand_talk_is_told_and_not_counted_where_talk_is_about_anything() -> None:
    [brand] = FINDER.find("watching Disney with the kids", (), "bluesky")
    assert (brand.symbol, brand.match) == ("DIS", "name")
    assert brand.confidence < FINDER.threshold
    assert counted("watching Disney with the kids", "reddit") == ["DIS"]
    assert counted("Disney earnings beat", "bluesky") == ["DIS"]
    assert counted("Disney and $NFLX", "bluesky") == ["DIS", "NFLX"]


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
    assert [m.symbol for m in finder.counted(finder.find("ALL about ZQXW"))] == ["ALL", "ZQXW"]


def test_the_watch_list_is_known() -> None:
    assert [m.symbol for m in make_finder(["ZQXW"]).find("more ZQXW")] == ["ZQXW"]


def test_the_threshold_is_inclusive() -> None:
    universe = Universe([SymbolInfo("GME", "GameStop", "stock", known=True)])
    [mention] = Finder(universe).find("GME")
    assert Finder(universe, threshold=mention.confidence).counted([mention]) == [mention]
    assert Finder(universe, threshold=mention.confidence + 0.01).counted([mention]) == []


def test_what_a_word_needs_comes_from_the_table() -> None:
    universe = Universe([SymbolInfo("LOUD", "Loud Corp", "stock", known=True)], extra=["GME"])
    doubts = {need: {"LOUD": Doubt(need, "a word")} for need in ("capital", "context", "cashtag", "never")}
    texts = ("loud", "LOUD", "LOUD calls", "$LOUD")
    seen = {
        need: [bool(finder.counted(finder.find(text))) for text in texts]
        for need, doubt in doubts.items()
        if (finder := Finder(universe, doubt))
    }
    assert seen == {
        "capital": [False, True, True, True],
        "context": [False, False, True, True],
        "cashtag": [False, False, False, True],
        "never": [False, False, False, False],
    }


def test_what_a_name_needs_comes_from_the_table() -> None:
    universe = Universe([SymbolInfo("ACM", "Acme", "stock", known=True)])
    texts = ("acme", "Acme", "Acme earnings")
    seen = {
        need: [bool(finder.counted(finder.find(text))) for text in texts]
        for need in ("free", "capital", "context")
        if (finder := Finder(universe, aliases={"acme": Alias("ACM", need)}))
    }
    assert seen == {"free": [True] * 3, "capital": [False, True, True], "context": [False, False, True]}


def test_entities_are_written_out_and_offsets_are_those_of_the_text() -> None:
    text = "&#36;GME &gt; AT&amp;T"
    mentions = FINDER.find(text)
    assert [(m.symbol, m.surface) for m in mentions] == [("GME", "&#36;GME"), ("T", "AT&amp;T")]
    assert [m.start for m in mentions] == [text.index("&#36;"), text.index("AT&")]


# -------------------------------------------------------------------------------------------- letters of their day


@pytest.mark.parametrize(
    ("text", "day", "symbols"),
    [
        ("Facebook up", None, ["META"]),
        ("Facebook up", "2014-09-16", ["FB"]),
        ("Facebook up", "2022-06-08", ["FB"]),
        ("Facebook up", "2022-06-09", ["META"]),
        ("$FB up", "2014-09-16", ["FB"]),
        ("$FB up", "2022-06-09", ["META"]),
        ("$FB and Facebook", "2014-09-16", ["FB"]),
        ("$SQ up", "2024-01-01", ["SQ"]),
        ("$SQ up", "2025-02-01", ["XYZ"]),
        ("$TWTR up", "2023-01-01", ["TWTR"]),
    ],
)
def test_letters_are_those_of_the_day(text: str, day: str | None, symbols: list[str]) -> None:
    at = None if day is None else datetime.fromisoformat(day).replace(tzinfo=UTC)
    assert [mention.symbol for mention in FINDER.find(text, created_at=at)] == symbols


def test_the_platforms_letters_and_the_issuers_name_are_one_mention() -> None:
    [mention] = FINDER.find("Facebook up", ["FB"], "x", datetime(2014, 9, 16, tzinfo=UTC))
    assert (mention.symbol, mention.match, mention.surface) == ("FB", "platform", "Facebook")


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
