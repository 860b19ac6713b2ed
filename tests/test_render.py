"""Rows for people and machines: every form can be read back, and no stranger's word acts on the reader's machine."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import BadInput
from tracker.render import FORMATS, emit, plain, shown, table, text

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    TEXTS,
    st.lists(TEXTS, max_size=3),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.timedeltas(),
    st.binary(max_size=8),
    st.decimals(allow_nan=False),
)
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=5)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NOON, "2026-03-02T12:00:00Z"),
        (NOON.replace(tzinfo=None), "2026-03-02T12:00:00Z"),
        (NOON.replace(microsecond=5), "2026-03-02T12:00:00.000005Z"),
        (NOON.astimezone(timezone(timedelta(hours=-5))), "2026-03-02T12:00:00Z"),
        (date(2026, 3, 2), "2026-03-02"),
        (timedelta(minutes=5), 300.0),
        (b"\x00\xff", "00ff"),
        ((1, NOON), [1, "2026-03-02T12:00:00Z"]),
        ({1: b"\x01"}, {"1": "01"}),
        (Decimal("1.50"), "1.50"),
        (None, None),
        (0, 0),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_a_value_as_json_knows_it(value: object, expected: object) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (1234567, "1,234,567"),
        (0.0, "0"),
        (0.01234, "0.0123"),
        (0.5, "0.50"),
        (1234.5, "1,234"),
        (NOON, "2026-03-02 12:00"),
        (NOON.replace(second=1), "2026-03-02 12:00:01"),
        (["a", None], "a, –"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202eevil", "\\u202eevil"),
    ],
)
def test_a_value_as_a_person_sees_it(value: object, expected: str) -> None:
    assert shown(value) == expected


@given(ROWS)
def test_json_and_jsonl_are_strict_and_say_the_same(rows: list[tuple[Any, Any]]) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    whole = json.loads(text(["a", "b"], rows, "json"), parse_constant=refuse)
    lines = [json.loads(line, parse_constant=refuse) for line in text(["a", "b"], rows, "jsonl").split("\n") if line]
    assert whole == lines
    assert [list(row.values()) for row in whole] == [[plain(a), plain(b)] for a, b in rows]


@given(st.lists(st.tuples(TEXTS, st.integers()), max_size=5))
def test_csv_is_read_back_as_it_was(rows: list[tuple[str, int]]) -> None:
    written = text(["a", "b"], rows, "csv") + "\n"
    header, *found = csv.reader(io.StringIO(written, newline=""))
    assert header == ["a", "b"]
    assert [
        (a.removeprefix("'") if not original.startswith("'") else a, int(b))
        for (a, b), (original, _) in zip(found, rows, strict=True)
    ] == rows


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula_and_numbers_stay_numbers(start: str) -> None:
    written = text(["a", "b"], [(f"{start}SUM(1)", -1.5)], "csv")
    ((cell, number),) = list(csv.reader(io.StringIO(written, newline="")))[1:]
    assert cell == f"'{start}SUM(1)"
    assert number == "-1.5"


def test_unknown_is_an_empty_cell_and_lists_are_json() -> None:
    assert text(["a", "b", "c"], [(None, float("nan"), ["x", "y"])], "csv") == 'a,b,c\n,,"[""x"", ""y""]"'


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_a_markdown_row_is_one_line_with_its_cells(rows: list[tuple[str, str]]) -> None:
    lines = text(["a", "b"], rows, "markdown").split("\n")
    assert lines[:2] == ["| a | b |", "| --- | --- |"]
    assert len(lines) == 2 + len(rows)
    assert all(line.replace(r"\|", "").count("|") == 3 for line in lines)


@pytest.mark.parametrize(
    "word", ["[red]x[/red]", "\\[bold]x", "[link=https://pond.example]x[/link]", "[/]", ":rocket:", "a\\"]
)
def test_brackets_and_names_of_emoji_are_words_and_no_markup(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    table([word], [(word,)], title=word)
    title, header, cell = capsys.readouterr().out.splitlines()
    assert title.strip() == header.strip() == word
    assert cell.strip() == word.replace("\\", "\\\\"), "backslashes are doubled, so that \\n can't be feigned"


def test_a_table_without_rows_shows_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    table(["symbol", "messages"], [])
    assert capsys.readouterr().out.split() == ["symbol", "messages"]


def test_long_cells_are_not_cut_where_no_terminal_listens(capsys: pytest.CaptureFixture[str]) -> None:
    table(["a"], [("x" * 300,)])
    assert "x" * 300 in capsys.readouterr().out


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_can_be_printed_and_written_to_a_file(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "out"
    emit(["symbol"], [("GME",)], form)
    printed = capsys.readouterr().out
    emit(["symbol"], [("GME",)], form, str(place))
    assert "GME" in printed
    written = place.read_text(encoding="utf-8")
    assert written == printed if form != "table" else written.startswith("| symbol |")
    assert capsys.readouterr().out == ""


def test_no_rows_print_nothing_but_what_the_form_needs(capsys: pytest.CaptureFixture[str]) -> None:
    emit(["a"], [], "jsonl")
    assert capsys.readouterr().out == ""
    emit(["a"], [], "json")
    assert capsys.readouterr().out == "[]\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be written") as caught:
        emit(["a"], [(1,)], "csv", str(tmp_path / "missing" / "out.csv"))
    assert caught.value.subject == str(tmp_path / "missing" / "out.csv")
