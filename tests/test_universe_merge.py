"""Lists and stored rows put together: what is new, gone, back, renamed; and the laws that hold for any lists at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.listings import Listing, Parsed
from tracker.universe_merge import OWN, Merged, Row, as_of, infos_of, merge, refusal, seed

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


def listing(symbol: str, name: str | None = None, kind: str = "stock", **more: object) -> Listing:
    return Listing(symbol, name, None, kind, **more)  # type: ignore[arg-type]


def names(**lists: Sequence[Listing]) -> dict[str, Sequence[Listing]]:
    return lists


def only(merged: Merged, symbol: str) -> Row:
    (row,) = [row for row in merged.rows if row.symbol == symbol]
    return row


# ------------------------------------------------------------------------------------------------------------ lives


def test_a_first_list_makes_rows_without_a_date_a_later_newcomer_has_one() -> None:
    first = merge([], names(pond=[listing("FROG", "Frog Pond")]), NOW)
    assert only(first, "FROG") == Row("FROG", "Frog Pond", None, "stock", lists=("pond",))
    second = merge(first.rows, names(pond=[listing("FROG", "Frog Pond"), listing("NEWT", "Newt")]), NOW + DAY, known=["pond"])  # fmt: skip
    assert only(second, "NEWT").valid_from == NOW + DAY
    assert (second.added, second.retired) == (("NEWT",), ())
    third = merge(second.rows, names(lake=[listing("TOAD", "Toad")]), NOW + DAY, known=["pond"])
    assert only(third, "TOAD").valid_from is None, "new to us, not new"


def test_a_symbol_retires_when_the_last_list_that_held_it_does_not() -> None:
    both = merge([], names(pond=[listing("FROG"), listing("NEWT")], lake=[listing("FROG")]), NOW)
    one = merge(both.rows, names(lake=[listing("EFT")]), NOW + DAY)
    assert (only(one, "FROG").status, only(one, "FROG").lists) == ("listed", ("pond",))
    none = merge(one.rows, names(pond=[listing("EFT")]), NOW + 2 * DAY)
    assert none.retired == ("FROG", "NEWT")
    assert (only(none, "FROG").status, only(none, "FROG").valid_to, only(none, "FROG").lists) == ("retired", NOW + 2 * DAY, ())  # fmt: skip


def test_a_list_that_could_not_be_read_holds_what_it_held() -> None:
    rows = merge([], names(pond=[listing("FROG")], lake=[listing("NEWT")]), NOW).rows
    assert merge(rows, names(lake=[listing("NEWT")]), NOW + DAY).rows == rows
    assert merge(rows, {}, NOW + DAY).rows == rows


def test_one_that_comes_back_as_itself_goes_on_and_as_another_begins_anew() -> None:
    first = merge([], names(pond=[listing("FROG", "Frog Pond Inc."), listing("EFT")]), NOW)
    gone = merge(first.rows, names(pond=[listing("EFT")]), NOW + DAY, known=["pond"])
    same = merge(gone.rows, names(pond=[listing("FROG", "FROG POND, INC"), listing("EFT")]), NOW + 2 * DAY, known=["pond"])  # fmt: skip
    assert (only(same, "FROG").status, only(same, "FROG").valid_to) == ("listed", None)
    assert same.returned == ("FROG",)
    other = merge(gone.rows, names(pond=[listing("FROG", "Amphibian ETF", "etf"), listing("EFT")]), NOW + 2 * DAY, known=["pond"])  # fmt: skip
    before, after = [row for row in other.rows if row.symbol == "FROG"]
    assert (before.name, before.status, before.valid_to) == ("Frog Pond Inc.", "retired", NOW + DAY)
    assert (after.name, after.kind, after.status, after.valid_from) == ("Amphibian ETF", "etf", "listed", NOW + 2 * DAY)
    assert as_of(other.rows)["FROG"] == after
    assert as_of(other.rows, NOW)["FROG"] == before
    assert as_of(other.rows, NOW + 2 * DAY)["FROG"] == after


def test_a_new_name_under_the_same_letters_keeps_the_old_one_as_an_alias() -> None:
    rows = merge([], names(pond=[listing("FROG", "Square Pond")]), NOW).rows
    after = only(merge(rows, names(pond=[listing("FROG", "Block Lake")]), NOW + DAY), "FROG")
    assert (after.name, after.aliases) == ("Block Lake", ("Square Pond",))
    spelt = only(merge(rows, names(pond=[listing("FROG", "SQUARE POND CORP")]), NOW + DAY), "FROG")
    assert spelt.aliases == ()


def test_new_letters_of_an_issuer_are_a_rename_only_when_nothing_else_is_possible() -> None:
    first = merge([], names(pond=[listing("FB", "Face", issuer="7"), listing("EFT", issuer="8")]), NOW)
    moved = merge(first.rows, names(pond=[listing("META", "Meta", issuer="7"), listing("EFT", issuer="8")]), NOW + DAY)
    assert moved.renamed == (("FB", "META"),)
    assert only(moved, "FB").renamed_to == "META"
    split = merge(first.rows, names(pond=[listing("METB", issuer="7"), listing("META", issuer="7"), listing("EFT", issuer="8")]), NOW + DAY)  # fmt: skip
    assert split.renamed == ()
    older = merge(first.rows, names(pond=[listing("EFT", issuer="7")]), NOW + DAY)
    assert older.renamed == (), "EFT was there before"


def test_a_list_of_the_past_says_what_there_was() -> None:
    past = [listing("FROG", "Frog Pond", status="retired"), listing("OLDF", "Old Frog", status="retired")]
    merged = merge([], names(pond=[listing("FROG", "Amphibian ETF", "etf")], then=past), NOW)
    assert [(row.symbol, row.name, row.status) for row in merged.rows] == [
        ("FROG", "Frog Pond", "retired"), ("FROG", "Amphibian ETF", "listed"), ("OLDF", "Old Frog", "retired"),
    ]  # fmt: skip
    assert merge(merged.rows, names(pond=[listing("FROG", "Amphibian ETF", "etf")], then=past), NOW + DAY).rows == merged.rows  # fmt: skip


def test_the_most_trusted_list_names_it_and_the_others_add_what_it_leaves_out() -> None:
    lists = names(b=[listing("FROG", "FROG CO", issuer="7")], a=[listing("FROG", "Frog Company", "etf")])
    row = only(merge([], lists, NOW, order=["a", "b"]), "FROG")
    assert (row.name, row.kind, row.issuer) == ("Frog Company", "etf", "7")


# --------------------------------------------------------------------------------------------------------- our own


def test_our_own_symbols_stand_where_no_list_has_ever_held_them() -> None:
    own = [Row("FROG", "Frog", None, "stock"), Row("TCEHY", "Lotus", None, "stock"), Row("OLDF", "Old", None, "stock", status="retired")]  # fmt: skip
    rows = seed([], own)
    assert [(row.symbol, row.lists) for row in rows] == [("FROG", (OWN,)), ("OLDF", (OWN,)), ("TCEHY", (OWN,))]
    assert seed(rows, own) == rows
    listed = merge(rows, names(pond=[listing("FROG", "FROG POND INC", issuer="7")]), NOW)
    frog = only(listed, "FROG")
    assert (frog.name, frog.issuer, frog.lists) == ("Frog", "7", (OWN, "pond"))
    assert (only(listed, "TCEHY").status, listed.retired) == ("listed", ()), "no list has it: it is not missed"
    gone = merge(listed.rows, names(pond=[listing("NEWT")]), NOW + DAY)
    assert only(gone, "FROG").status == "retired"
    assert seed(gone.rows, own) == sorted(gone.rows, key=lambda row: row.symbol), "our table does not bring it back"


def test_a_newer_table_of_ours_changes_what_only_it_has_said() -> None:
    rows = seed([], [Row("FROG", "Frog", None, "stock"), Row("NEWT", "Newt", None, "stock")])
    after = seed(rows, [Row("FROG", "Frog", None, "stock", status="retired")])
    assert [(row.symbol, row.status) for row in after] == [("FROG", "retired"), ("NEWT", "listed")]


def test_what_people_write_is_verified_by_the_first_list_that_has_it() -> None:
    rows = [Row("NEWT", kind="unknown", status="unverified")]
    assert as_of(rows) == {}
    merged = merge(rows, names(pond=[listing("NEWT", "Newt", "etf")]), NOW)
    assert (only(merged, "NEWT").status, only(merged, "NEWT").kind) == ("listed", "etf")


def test_the_finders_universe_has_one_row_a_symbol() -> None:
    rows = [Row("FROG", "Old", "NYSE", "stock", status="retired"), Row("FROG", None, "OTC", "warrant"), Row("EFT", "E", None, None)]  # fmt: skip
    infos = {info.symbol: info for info in infos_of(rows)}
    assert (infos["FROG"].kind, infos["FROG"].status, infos["FROG"].exchange, infos["FROG"].name) == ("other", "listed", "OTC", "")  # fmt: skip
    assert infos["EFT"].kind == "unknown"


# --------------------------------------------------------------------------------------------------------- sanity


@pytest.mark.parametrize(
    ("rows", "before", "least", "is_refused"),
    [(100, None, 1, False), (100, 111, 1, False), (100, 112, 1, True), (99, None, 100, True), (0, None, 1, True), (500, 100, 1, False)],
)  # fmt: skip
def test_a_list_with_too_few_rows_is_refused(rows: int, before: int | None, least: int, is_refused: bool) -> None:
    parsed = Parsed(tuple(listing(f"F{n}") for n in range(rows)))
    assert (refusal(parsed, before, least) is not None) is is_refused


# ------------------------------------------------------------------------------------------------------------ laws

LISTINGS = st.builds(
    Listing, st.sampled_from(["FROG", "NEWT", "TOAD", "EFT"]), st.sampled_from([None, "Frog Pond", "Newt Lake Inc", "Toad"]), st.sampled_from([None, "NYSE", "OTC"]),
    st.sampled_from(["stock", "etf"]), st.sampled_from(["listed", "listed", "retired"]), st.sampled_from([None, "7", "8"]),
)  # fmt: skip
LISTS = st.dictionaries(
    st.sampled_from(["pond", "lake", "sea"]), st.lists(LISTINGS, max_size=4, unique_by=lambda row: row.symbol)
)
ORDER = ["lake", "pond", "sea"]


def story(lists: Sequence[Mapping[str, Sequence[Listing]]]) -> list[Merged]:
    """Refreshes, a day apart."""
    told: list[Merged] = []
    known: set[str] = set()
    for day, fresh in enumerate(lists):
        told.append(merge(told[-1].rows if told else (), fresh, NOW + day * DAY, known=known, order=ORDER))
        known |= fresh.keys()
    return told


@given(st.lists(LISTS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
def test_twice_is_once_and_order_does_not_matter(lists: list[dict[str, list[Listing]]]) -> None:
    told = story(lists)
    last = told[-1]
    again = merge(last.rows, lists[-1], NOW + 9 * DAY, known=ORDER, order=ORDER)
    assert again.rows == last.rows
    assert (again.added, again.retired, again.renamed) == ((), (), ())
    turned = [{name: fresh[name][::-1] for name in sorted(fresh, reverse=True)} for fresh in lists]
    assert story(turned)[-1] == last


@given(st.lists(LISTS, min_size=2, max_size=5))
@settings(deadline=None, max_examples=200)
def test_nothing_is_ever_deleted_and_one_row_at_most_is_listed(lists: list[dict[str, list[Listing]]]) -> None:
    told = story(lists)
    for before, after in pairwise(told):
        for symbol in {row.symbol for row in before.rows}:
            old = [row for row in before.rows if row.symbol == symbol]
            new = [row for row in after.rows if row.symbol == symbol]
            assert len(new) >= len(old)
            assert sum(row.status == "listed" for row in new) <= 1
    held = {row.symbol for fresh in lists for rows in fresh.values() for row in rows}
    assert {row.symbol for row in told[-1].rows} == held


@given(st.lists(LISTS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=200)
def test_listed_is_who_stands_on_a_list(lists: list[dict[str, list[Listing]]]) -> None:
    on: dict[str, set[str]] = {}
    for fresh in lists:
        on.update({name: {row.symbol for row in rows if row.status == "listed"} for name, rows in fresh.items()})
    assert {row.symbol for row in story(lists)[-1].rows if row.status == "listed"} == set().union(*on.values())


def test_rows_of_any_kind_survive_a_merge_of_nothing() -> None:
    row = Row("FROG", "Frog", "NYSE", "stock", ("Toad",), NOW, NOW + DAY, "retired", (), "7", 1e9, "NEWT")
    assert merge([row, replace(row, status="unverified")], {}, NOW).rows == (row, replace(row, status="unverified"))
