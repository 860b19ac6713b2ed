"""The symbols that we know: canonical spellings and the tables that come with the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tracker.errors import BadInput
from tracker.universe import (
    DATA,
    SymbolInfo,
    Universe,
    load_aliases,
    load_ambiguous,
    load_phrases,
    load_renames,
    load_symbols,
    load_traps,
    load_universe,
    read_table,
)

SMALL = Universe(
    [
        SymbolInfo("GME", "GameStop", "stock"),
        SymbolInfo("BRK.B", "Berkshire Hathaway class B", "stock"),
        SymbolInfo("BTC.X", "Bitcoin", "coin"),
        SymbolInfo("SOL.X", "Solana", "coin"),
        SymbolInfo("SOL", "Sunny Solar", "stock", known=True),
    ],
    extra=["nbis", "$DOGE.X", "6e_f", "700.HK"],
)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("gme", "GME"),
        (" $GME ", "GME"),
        ("BRK-B", "BRK.B"),
        ("brk/b", "BRK.B"),
        ("BRK.B", "BRK.B"),
        ("ETC-X", "ETC.X"),
        ("eth-usd", "ETH.X"),
        ("es_f", "ES_F"),
        ("700.HK", "0700.HK"),
        ("9988.hk", "9988.HK"),
        ("RY.TO", "RY.CA"),
        ("COT.V", "COT.CA"),
        ("WEED.CN", "WEED.CA"),
        ("vod.l", "VOD.L"),
        ("DYN.PR.A", "DYN.PR.A"),
        ("BTC", "BTC"),
        ("", ""),
    ],
)
def test_canonical_spelling(written: str, canonical: str) -> None:
    assert SMALL.canonical(written) == canonical
    assert SMALL.canonical(canonical) == canonical


def test_a_coin_goes_by_its_short_name_only_where_no_security_has_those_letters() -> None:
    assert SMALL.resolve("btc") == "BTC.X"
    assert SMALL.resolve("SOL") == "SOL"
    assert SMALL.resolve("ETH") == "ETH"


def test_extra_symbols_are_known_in_canonical_form() -> None:
    assert {"NBIS", "DOGE.X", "6E_F", "0700.HK"} <= set(SMALL)
    kinds = [info.kind for symbol in ("NBIS", "DOGE.X", "6E_F") if (info := SMALL.get(symbol))]
    assert kinds == ["unknown", "coin", "future"]
    assert SMALL.get("ZZZZ") is None


def test_an_extra_symbol_never_hides_what_the_table_says() -> None:
    universe = Universe([SymbolInfo("GME", "GameStop", "stock")], extra=["GME", "gme"])
    info = universe.get("GME")
    assert info is not None
    assert info.name == "GameStop"
    assert len(universe) == 1


@pytest.mark.parametrize("name", ["symbols.tsv", "ambiguous.tsv", "aliases.tsv", "phrases.tsv", "lexicon.tsv"])
def test_tables_are_sorted_unique_and_end_in_lf(name: str) -> None:
    content = (DATA / name).read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"\n")
    keys = [line.split("\t")[0] for line in content.decode().splitlines()[1:]]
    assert keys == sorted(set(keys))


def test_the_bundled_universe_holds_what_people_talk_about() -> None:
    universe = load_universe()
    assert {"GME", "BABA", "SPY", "BTC.X", "ES_F", "SPX", "VIX", "BRK.B", "TCEHY"} <= set(universe)
    assert sum(info.kind == "stock" for info in load_symbols()) >= 600
    for symbol in ("YHOO", "TWTR", "FB"):
        info = universe.get(symbol)
        assert info is not None
        assert info.status == "retired"


def test_bundled_symbols_are_canonical() -> None:
    universe = load_universe()
    assert [symbol for symbol in universe if universe.canonical(symbol) != symbol] == []
    assert all(info.name for info in load_symbols())


def test_every_alias_names_a_known_symbol() -> None:
    universe = load_universe()
    aliases = load_aliases()
    assert (aliases["nvidia"].symbol, aliases["nvidia"].need) == ("NVDA", "free")
    assert (aliases["apple"].need, aliases["target"].need) == ("capital", "context")
    assert [name for name, alias in aliases.items() if alias.symbol not in universe] == []
    assert [name for name in aliases if name != " ".join(name.lower().split())] == []
    assert len({alias.symbol for alias in aliases.values() if not alias.symbol.endswith(".X")}) >= 300
    assert len({alias.symbol for alias in aliases.values() if alias.symbol.endswith(".X")}) >= 20


def test_words_that_are_symbols_carry_a_reason() -> None:
    ambiguous = load_ambiguous()
    assert all(doubt.reason for doubt in ambiguous.values())
    assert [ambiguous[word].need for word in ("SNAP", "ALL", "YOLO", "WSB")] == [
        "capital",
        "context",
        "cashtag",
        "never",
    ]
    assert {"ALL", "YOLO", "DD", "CEO", "IT", "YOU", "HODL", "USD", "TLDR"} <= set(ambiguous)
    assert not {"GME", "TSLA", "BABA", "SPY", "AMC", "PLTR"} & set(ambiguous)


def test_renames_follow_one_another_and_say_when() -> None:
    universe = load_universe()
    renames = load_renames()
    assert next(rename for rename in renames if rename.symbol == "FB").valid_to.isoformat() == "2022-06-09"
    assert [
        r.symbol for r in renames if r.symbol not in universe or (r.successor and r.successor not in universe)
    ] == []
    assert [r.symbol for r in renames if r.valid_from is not None and r.valid_from >= r.valid_to] == []


def test_traps_are_set_for_what_is_known() -> None:
    universe, aliases = load_universe(), load_aliases()
    assert [t.what for t in load_traps() if t.what not in aliases and universe.resolve(t.what) not in universe] == []


def test_phrases_are_no_aliases() -> None:
    assert "social media" in load_phrases()
    assert load_phrases().isdisjoint(load_aliases())


def test_lists_add_to_our_own_table_and_do_not_overrule_it() -> None:
    lists = [
        SymbolInfo("FB", "Some Fund", "etf", "listed", "BATS"),
        SymbolInfo("ZQXW", "Zq", "stock", "listed", "NYSE"),
    ]
    universe = load_universe(lists=lists)
    ours, theirs = universe.get("FB"), universe.get("ZQXW")
    assert ours is not None
    assert theirs is not None
    assert (ours.status, ours.known, ours.exchange) == ("retired", True, "BATS")
    assert (theirs.known, theirs.exchange) == (False, "NYSE")


def test_a_coin_that_is_known_goes_before_a_security_that_is_not() -> None:
    universe = load_universe(lists=[SymbolInfo("BTC", "Some Fund", "etf", "listed", "ARCA")])
    assert (universe.resolve("BTC"), universe.resolve("SOL")) == ("BTC.X", "SOL.X")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("symbol\tname\n", "expected the columns"),
        ("symbol\tname\tkind\tstatus\nGME\tGameStop\tstock\n", "expected 4 columns: x.tsv:2"),
        ("symbol\tname\tkind\tstatus\nGME\tGameStop\tmeme\tlisted\n", "expected a kind out of"),
        ("symbol\tname\tkind\tstatus\nGME\tGameStop\tstock\tgone\n", "expected a status out of"),
        ("symbol\tname\tkind\tstatus\nGME\tA\tstock\tlisted\nGME\tB\tstock\tlisted\n", "each symbol once: x.tsv:3"),
        ("symbol\tname\tkind\tstatus\n\tA\tstock\tlisted\n", "each symbol once: x.tsv:2"),
    ],
)
def test_a_bad_table_is_refused_with_the_line(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load_symbols(path)
    assert complaint in str(caught.value)


def test_a_missing_table_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        load_ambiguous(tmp_path / "none.tsv")


@pytest.mark.parametrize(
    ("load", "content"),
    [
        (load_ambiguous, "symbol\tclass\treason\nALL\tloud\tword\n"),
        (load_renames, "symbol\tsuccessor\tvalid_from\tvalid_to\twhat\nFB\tMETA\t\tsoon\tx\n"),
        (load_traps, "what\tkind\tside\twords\nBB\tsymbol\tabove\tlower\n"),
    ],
)
def test_other_tables_name_the_line_too(tmp_path: Path, load: Callable[[Path], object], content: str) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=r"x\.tsv:2"):
        load(path)


def test_comments_blank_lines_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"symbol\treason\r\n# mine\r\n\r\nALL\tword\r\n")
    assert [cells for _, cells in read_table(path, ("symbol", "reason"))] == [("ALL", "word")]


def test_an_alias_of_an_unknown_class_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("name\tsymbol\tclass\nacme\tACME\tloud\n", encoding="utf-8")
    with pytest.raises(BadInput, match="expected the class"):
        load_aliases(path)
