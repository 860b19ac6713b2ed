"""The symbols that we know: canonical spellings and the tables that come with the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracker.errors import BadInput
from tracker.universe import (
    DATA,
    SymbolInfo,
    Universe,
    load_aliases,
    load_ambiguous,
    load_symbols,
    load_universe,
    read_table,
)

SMALL = Universe(
    [
        SymbolInfo("GME", "GameStop", "stock"),
        SymbolInfo("BRK.B", "Berkshire Hathaway class B", "stock"),
        SymbolInfo("BTC.X", "Bitcoin", "coin"),
        SymbolInfo("SOL.X", "Solana", "coin"),
        SymbolInfo("SOL", "Sunny Solar", "stock"),
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


@pytest.mark.parametrize("name", ["symbols.tsv", "ambiguous.tsv", "aliases.tsv", "lexicon.tsv"])
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
    assert aliases["nvidia"] == "NVDA"
    assert [name for name, symbol in aliases.items() if symbol not in universe] == []
    assert "apple" not in aliases, "needs a capital letter, which is not looked at yet"


def test_words_that_are_symbols_carry_a_reason() -> None:
    ambiguous = load_ambiguous()
    assert all(ambiguous.values())
    assert {"ALL", "YOLO", "DD", "CEO", "IT", "YOU", "HODL", "USD", "TLDR"} <= set(ambiguous)
    assert not {"GME", "TSLA", "BABA", "SPY", "AMC", "PLTR"} & set(ambiguous)


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


def test_comments_blank_lines_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"symbol\treason\r\n# mine\r\n\r\nALL\tword\r\n")
    assert [cells for _, cells in read_table(path, ("symbol", "reason"))] == [("ALL", "word")]


def test_an_alias_of_an_unknown_class_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("name\tsymbol\tclass\nacme\tACME\tloud\n", encoding="utf-8")
    with pytest.raises(BadInput, match="expected the class"):
        load_aliases(path)
