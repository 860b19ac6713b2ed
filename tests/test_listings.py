"""Published lists of securities: each format, each way in which a file may be less than whole."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker import listings, listings_files
from tracker.errors import Malformed
from tracker.listings import Listing, Parsed, american, coin, foreign, issuer_name, kind_of, of_the_past

MADE = "File Creation Time: 0715202618:30"


def nasdaq(*rows: str, made: str = MADE + "|||||||") -> bytes:
    head = "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares"
    return "\r\n".join([head, *rows, made, ""]).encode()


def other(*rows: str, made: str = MADE + "|||||||") -> bytes:
    head = "ACT Symbol|Security Name|Exchange|CQS Symbol|ETF|Round Lot Size|Test Issue|NASDAQ Symbol"
    return "\r\n".join([head, *rows, made, ""]).encode()


def sec(*rows: tuple[int, str, str]) -> bytes:
    return json.dumps({str(n): {"cik_str": c, "ticker": t, "title": name} for n, (c, t, name) in enumerate(rows)}).encode()  # fmt: skip


def fields(names: list[str], *rows: list[object]) -> bytes:
    return json.dumps({"fields": names, "data": rows}).encode()


def table(header: list[str], *rows: list[str], delimiter: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    return out.getvalue().encode()


NASDAQ = nasdaq(
    "FROG|Frog Pond Inc. - Common Stock|Q|N|N|100|N|N", "TADP|Tadpole 2x Daily ETF|G|N|N|100|Y|N", "ZTEST|A test issue|G|Y|N|100|N|N",
    "FROGW|Frog Pond Inc. - Warrants|Q|N|N|100|N|N", "LILYU|Lily Acquisition Corp - Units|Q|N|N|100|N|N",
)  # fmt: skip
OTHER = other(
    "NEWT|Newt Holdings Common Stock |N|NEWT|N|100|N|NEWT", "NEWT.B|Newt Holdings Class B Common Stock|N|NEWT.B|N|100|N|NEWT.B",
    "NEWT$C|Newt Holdings 5% Series C Preferred Stock|N|NEWTpC|N|100|N|NEWT-C", "TOAD.W|Toad Ltd. Redeemable Warrants|A|TOAD.WS|N|100|N|TOAD+",
    "POND|Pond & Lake ETF|P|POND|Y|100|N|POND", "ATEST|Test|A|ATEST|N|100|Y|ATEST",
)  # fmt: skip
EQUITIES = table(
    ["symbol", "name", "summary", "exchange", "delisted"],
    ["77.HK", "Lotus Ltd.", "Makes, sells\nlotus", "HKG", "False"], ["LEAF.TO", "Leaf", "", "TOR", "False"], ["GONE.L", "Gone plc", "", "LSE", "True"],
    ["NODOT", "On no market", "", "XXX", "False"],
)  # fmt: skip
MERGED = table(
    ["symbol", "kind", "status", "venue", "mcap", "name", "sources"],
    ["FROG", "stock", "active", "NASDAQ", "1200000", "Frog Pond Inc.", "a"], ["OLDF", "stock", "former", "NYSE", "0", "Old Frog", "b"],
    ["HOP.X", "crypto", "active", "CCC", "0", "Hop", "c"], ["0077.HK", "intl", "active", "HKG", "0", "Lotus", "d"], ["ES_F", "future", "active", "FUT", "0", "E-mini", "e"],
    delimiter="\t",
)  # fmt: skip


def by_symbol(parsed: Parsed) -> dict[str, Listing]:
    return {listing.symbol: listing for listing in parsed.listings}


# ------------------------------------------------------------------------------------------------------- spelling


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("frog", "FROG"), ("NEWT-B", "NEWT.B"), ("NEWT.B", "NEWT.B"), ("NEWT/B", "NEWT.B"), ("NEWT$C", "NEWT.PR.C"), ("NEWT-PC", "NEWT.PR.C"),
        ("NEWT.PRC", "NEWT.PR.C"), ("NEWT-P-C", "NEWT.PR.C"), ("NEWT$", "NEWT.PR"), ("NEWT-P", "NEWT.PR"), ("TOAD.W", "TOAD.WS"), ("TOAD-WT", "TOAD.WS"),
        ("TOAD-WS-A", "TOAD.WS.A"), ("LILY-UN", "LILY.U"), ("LILY.U", "LILY.U"), ("LILY-RI", "LILY.R"), ("MKC-V", "MKC.V"), ("", None), ("TWO WORDS", None), ("12", None),
    ],
)  # fmt: skip
def test_one_spelling_for_what_american_lists_write_in_many_ways(written: str, canonical: str | None) -> None:
    assert american(written) == canonical
    if canonical is not None:
        assert american(canonical) == canonical


def test_foreign_symbols_carry_their_market_and_coins_their_x() -> None:
    assert [foreign(text) for text in ("77.hk", "LEAF.TO", "NEWT-B.ST", "FROG", "")] == ["0077.HK", "LEAF.CA", "NEWT-B.ST", None, None]  # fmt: skip
    assert [coin(text) for text in ("hop", "1inch", "42", "$hop", "слон")] == ["HOP.X", "1INCH.X", None, None, None]


@given(st.text(max_size=12))
def test_what_is_canonical_stays_so(text: str) -> None:
    for spelling in (american, foreign):
        found = spelling(text)
        assert found is None or spelling(found) == found


@pytest.mark.parametrize(
    ("written", "issuer"),
    [
        ("Frog Pond Inc. - Class A Common Stock", "Frog Pond Inc."), ("Newt Holdings Common Stock", "Newt Holdings"),
        ("Toad Ltd. Redeemable Warrants, each whole warrant exercisable for one share", "Toad Ltd."), ("Frog plc American Depositary Shares", "Frog plc"),
        ("Lily Acquisition Corp - Units", "Lily Acquisition Corp"), ("FROG BANCORP /DE/", "FROG BANCORP"), ("Common Stock", "Common Stock"), ("Frog", "Frog"),
    ],
)  # fmt: skip
def test_the_issuer_stands_before_the_kind_of_paper(written: str, issuer: str) -> None:
    assert issuer_name(written) == issuer


@given(st.text(max_size=200))
@settings(deadline=None)
def test_an_issuer_is_never_empty_unless_the_name_is(text: str) -> None:
    assert bool(issuer_name(text)) == bool(text.split())


def test_long_names_are_read_in_no_time() -> None:
    assert issuer_name("new registered " * 2000 + "x").endswith("x")


def test_the_kind_of_paper_by_spelling_and_name() -> None:
    assert kind_of("NEWT.PR.C", "") == "preferred"
    assert kind_of("TOAD.WS", "Toad") == "warrant"
    assert kind_of("AB", "Lake Partners L.P. Units") == "stock", "units of a partnership are its shares"
    assert kind_of("SPYU", "Leveraged ETN") == "etf"


# ---------------------------------------------------------------------------------------------------------- formats


def test_nasdaq_lists_drop_test_issues_and_tell_funds_and_classes_apart() -> None:
    parsed = listings.nasdaq_listed(NASDAQ)
    assert parsed.made_at == datetime(2026, 7, 15, 22, 30, tzinfo=UTC)
    assert [(found.symbol, found.kind, found.name) for found in parsed.listings] == [
        ("FROG", "stock", "Frog Pond Inc."), ("TADP", "etf", "Tadpole 2x Daily ETF"), ("FROGW", "warrant", "Frog Pond Inc."), ("LILYU", "unit", "Lily Acquisition Corp"),
    ]  # fmt: skip
    found = by_symbol(listings.nasdaq_other(OTHER))
    assert {symbol: row.kind for symbol, row in found.items()} == {"NEWT": "stock", "NEWT.B": "stock", "NEWT.PR.C": "preferred", "TOAD.WS": "warrant", "POND": "etf"}  # fmt: skip
    assert (found["NEWT"].exchange, found["TOAD.WS"].exchange, found["POND"].exchange) == ("NYSE", "NYSE American", "NYSE Arca")  # fmt: skip


def test_the_secs_lists_carry_the_number_of_the_issuer() -> None:
    found = by_symbol(listings.sec_tickers(sec((7, "FROG", "FROG POND INC"), (8, "NEWT-B", "NEWT HOLDINGS"), (8, "NEWT-PC", "NEWT HOLDINGS"))))  # fmt: skip
    assert {symbol: row.issuer for symbol, row in found.items()} == {"FROG": "7", "NEWT.B": "8", "NEWT.PR.C": "8"}
    rows = fields(["cik", "name", "ticker", "exchange"], [7, "FROG POND INC", "FROG", "Nasdaq"], [9, "MUD CO", "MUDDF", None])  # fmt: skip
    found = by_symbol(listings.sec_exchanges(rows))
    assert (found["FROG"].exchange, found["MUDDF"].exchange) == ("Nasdaq", listings.NO_EXCHANGE)
    funds = by_symbol(listings.sec_funds(fields(["cik", "seriesId", "classId", "symbol"], [5, "S01", "C01", "PONDX"])))
    assert (funds["PONDX"].kind, funds["PONDX"].name, funds["PONDX"].issuer) == ("fund", None, "5")
    again = by_symbol(listings.sec_csv(table(["cik", "ticker", "exchange", "name"], ["0000000007", "FROG", "Nasdaq", "Frog Pond Inc"])))  # fmt: skip
    assert again["FROG"].issuer == "7"


def test_letters_of_coins_go_to_the_largest() -> None:
    rows = [
        {"id": "hop-bridged", "symbol": "hop", "name": "Hop Bridged"}, {"id": "hop", "symbol": "hop", "name": "Hop"}, {"id": "hop-2", "symbol": "HOP", "name": "Hop"},
        {"id": "skip", "symbol": "skip", "name": "Skip", "market_cap_rank": 900}, {"id": "big-skip", "symbol": "skip", "name": "Big Skip", "market_cap_rank": 12, "market_cap": 5e9},
        {"id": "odd", "symbol": "слон", "name": "Odd"},
    ]  # fmt: skip
    for order in (rows, rows[::-1]):
        parsed = listings.coins(json.dumps(order).encode())
        found = by_symbol(parsed)
        assert {symbol: row.name for symbol, row in found.items()} == {"HOP.X": "Hop", "SKIP.X": "Big Skip"}
        assert found["SKIP.X"].market_cap == 5e9
        assert (parsed.unreadable, parsed.repeated) == (1, 3)


def test_markets_elsewhere_say_who_is_gone() -> None:
    found = by_symbol(listings.equities(EQUITIES))
    assert {symbol: row.status for symbol, row in found.items()} == {"0077.HK": "listed", "LEAF.CA": "listed", "GONE.L": "retired"}  # fmt: skip


def test_files_of_a_folder() -> None:
    screen = [{"symbol": "NEWT^C", "name": "Newt Preferred Stock", "marketCap": ""}, {"symbol": "FROG", "name": "Frog Pond Inc. Common Stock", "marketCap": "1200000.00"}]  # fmt: skip
    found = by_symbol(listings_files.screener(json.dumps(screen).encode()))
    assert (found["FROG"].market_cap, found["NEWT.PR.C"].market_cap) == (1.2e6, None)
    merged = by_symbol(listings_files.table(MERGED))
    assert {symbol: (row.kind, row.status) for symbol, row in merged.items()} == {
        "FROG": ("stock", "listed"), "OLDF": ("stock", "retired"), "HOP.X": ("coin", "listed"), "0077.HK": ("stock", "listed"), "ES_F": ("future", "listed"),
    }  # fmt: skip
    codes = listings_files.codes(table(["Code", "Name", "Country", "Exchange", "Currency", "Type"], ["NEWT-P-C", "Newt", "USA", "NYSE", "USD", "Preferred Share"], ["PONDX", "PONDX", "USA", "NMFQS", "USD", "FUND"]))  # fmt: skip
    assert [(row.symbol, row.kind, row.name) for row in codes.listings] == [("NEWT.PR.C", "preferred", "Newt"), ("PONDX", "fund", None)]  # fmt: skip
    assert {row.status for row in of_the_past(codes).listings} == {"retired"}
    names = listings.coin_names(table(["symbol", "name"], ["HOP", "Hop"]))
    assert names.listings == (Listing("HOP.X", "Hop", None, "coin"),)


def test_a_symbol_that_stands_twice_is_taken_once() -> None:
    parsed = listings.nasdaq_listed(nasdaq(*["FROG|Frog Pond Inc.|Q|N|N|100|N|N"] * 3))
    assert (len(parsed.listings), parsed.repeated) == (1, 2)


def test_a_few_odd_rows_are_left_out_and_counted() -> None:
    rows = [f"F{chr(65 + n)}|Frog {n}|Q|N|N|100|N|N" for n in range(20)]
    parsed = listings.nasdaq_listed(nasdaq("??|Odd|Q|N|N|100|N|N", "TOO|FEW|CELLS", *rows))
    assert (len(parsed.listings), parsed.unreadable) == (20, 2)


def test_names_in_another_encoding_are_read_all_the_same() -> None:
    body = nasdaq("FROG|Rémy Frog S.A.|Q|N|N|100|N|N")
    for encoded in (body, body.decode().encode("cp1252"), b"\xef\xbb\xbf" + body):
        assert listings.nasdaq_listed(encoded).listings[0].name == "Rémy Frog S.A."


# ------------------------------------------------------------------------------------------------- less than whole

WHOLE: dict[str, tuple[Callable[[bytes], Parsed], bytes]] = {
    "nasdaq": (listings.nasdaq_listed, NASDAQ),
    "nasdaq_other": (listings.nasdaq_other, OTHER),
    "sec_tickers": (listings.sec_tickers, sec((7, "FROG", "Frog"), (8, "NEWT", "Newt"))),
    "sec_exchanges": (listings.sec_exchanges, fields(["cik", "name", "ticker", "exchange"], [7, "Frog", "FROG", "NYSE"])),
    "sec_funds": (listings.sec_funds, fields(["cik", "seriesId", "classId", "symbol"], [5, "S01", "C01", "PONDX"])),
    "sec_csv": (listings.sec_csv, table(["cik", "ticker", "exchange", "name"], ["7", "FROG", "Nasdaq", "Frog"])),
    "coins": (listings.coins, b'[{"id": "hop", "symbol": "hop", "name": "Hop"}]'),
    "coin_names": (listings.coin_names, table(["symbol", "name"], ["HOP", "Hop"])),
    "equities": (listings.equities, EQUITIES),
    "screener": (listings_files.screener, b'[{"symbol": "FROG", "name": "Frog", "marketCap": "1"}]'),
    "codes": (listings_files.codes, table(["Code", "Name", "Exchange", "Type"], ["FROG", "Frog", "NYSE", "Common Stock"])),
    "table": (listings_files.table, MERGED),
}  # fmt: skip
BROKEN = {
    "empty": b"", "blank": b" \r\n", "html": b"<!DOCTYPE html><html><body>Sign in</body></html>", "error": b'{"message": "Forbidden"}', "null": b"null", "[]": b"[]",
    "nested": b"[" * 100_000, "binary": bytes(range(256)) * 4, "other rows": b'[1, 2, {"symbol": 3}]', "other table": b"a,b\n1,2\n",
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_list_is_read(name: str) -> None:
    parse, body = WHOLE[name]
    assert parse(body).listings


@pytest.mark.parametrize("damage", BROKEN)
@pytest.mark.parametrize("name", WHOLE)
def test_what_is_no_list_is_refused(name: str, damage: str) -> None:
    with pytest.raises(Malformed):
        WHOLE[name][0](BROKEN[damage])


@pytest.mark.parametrize("name", WHOLE)
def test_a_wide_encoding_is_refused(name: str) -> None:
    parse, body = WHOLE[name]
    with pytest.raises(Malformed):
        parse(body.decode().encode("utf-16"))


@pytest.mark.parametrize(
    "name", ["nasdaq", "nasdaq_other", "sec_tickers", "sec_exchanges", "sec_funds", "coins", "screener"]
)
def test_a_list_that_was_cut_anywhere_is_refused(name: str) -> None:
    parse, body = WHOLE[name]
    for end in range(0, len(body.rstrip(b"\r\n|")) - 1, 7):
        with pytest.raises(Malformed):
            parse(body[:end])


@pytest.mark.parametrize("name", ["sec_csv", "codes", "table"])
def test_a_table_that_ends_within_a_row_is_refused(name: str) -> None:
    parse, body = WHOLE[name]
    last = body.rstrip(b"\n").rindex(b"\n")
    with pytest.raises(Malformed, match="cut short"):
        parse(body[: last + 4] if name != "codes" else body[: last + 7])


@pytest.mark.parametrize("made", ["", "File Creation Time:", "File Creation Time: 9915202618:30|||||||"])
def test_without_its_time_a_nasdaq_list_is_not_whole(made: str) -> None:
    with pytest.raises(Malformed):
        listings.nasdaq_listed(nasdaq("FROG|Frog|Q|N|N|100|N|N", made=made))


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=200)
def test_no_bytes_bring_a_parser_down(body: bytes) -> None:
    for parse, _ in WHOLE.values():
        with contextlib.suppress(Malformed):
            parse(body)
