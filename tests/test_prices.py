"""Prices from files: what is read, what is refused and how it is said; and where the price stands, against an oracle."""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import METER
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from price_oracle import DAY, HOUR
from worlds import rows

from tracker.errors import BadInput, StoreLocked
from tracker.prices import FileReport, Options, import_prices, read_options
from tracker.store import Opening, Store, naive_utc
from tracker.universe import SymbolInfo, Universe

NOW = datetime(2026, 11, 20, 21, 30, tzinfo=UTC)  # a Friday, half an hour after the close
UNIVERSE = Universe([SymbolInfo("BABA", "Alibaba", "stock"), SymbolInfo("BTC.X", "Bitcoin", "coin")])
HEADER = "symbol,date,open,high,low,close,adj_close,volume"
EXAMPLES = int(os.environ.get("TRACKER_EXAMPLES", "100"))
SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, made once: making one takes longer than most tests."""
    found = Store(Opening(tmp_path_factory.mktemp("prepared") / "tracker.duckdb", memory_limit="256MB", threads=1))
    found.prepare(NOW, METER, [], [], {}, [])
    return found.opening.path


@pytest.fixture
def store(prepared: Path, tmp_path: Path) -> Store:
    path = tmp_path / "tracker.duckdb"
    shutil.copy(prepared, path)
    return Store(Opening(path, memory_limit="256MB", threads=1))


def options(**given: Any) -> Options:
    told = {"source": "file", "symbol": None, "width": None, "timezone": "UTC", **given}
    return read_options(UNIVERSE, **told)


def load(store: Store, text: str | bytes, now: datetime = NOW, **given: Any) -> FileReport:
    """One file, through the standard input."""
    data = text.encode() if isinstance(text, str) else text
    (report,) = import_prices(store, ["-"], options(**given), now, stdin=io.BytesIO(data))
    return report


def stored(store: Store, columns: str = "symbol, bucket_start, close") -> list[tuple[Any, ...]]:
    with store.reading() as connection:
        return rows(connection, f"SELECT {columns} FROM prices ORDER BY symbol, bucket_width, bucket_start, source")


def counts(report: FileReport) -> tuple[int, int, int, int]:
    return report.added, report.updated, report.unchanged, report.bad


# ------------------------------------------------------------------------------------------------ what is read


def test_a_daily_bar_lies_at_midnight_utc_of_its_date_and_is_regular(store: Store) -> None:
    report = load(store, f"{HEADER}\nbaba,2026-11-19,10,12.5,9,11,10.5,1000\n$BABA,2026-11-18,,,,9.5,,\n")
    assert counts(report) == (2, 0, 0, 0)
    assert (report.symbols, report.first_at, report.last_at) == (
        {"BABA"},
        datetime(2026, 11, 18, tzinfo=UTC),
        datetime(2026, 11, 19, tzinfo=UTC),
    )
    assert stored(store, "* EXCLUDE fetched_at") == [
        ("BABA", DAY, datetime(2026, 11, 18), "regular", None, None, None, 9.5, None, None, "file"),
        ("BABA", DAY, datetime(2026, 11, 19), "regular", 10, 12.5, 9, 11, 10.5, 1000, "file"),
    ]


def test_a_coin_has_no_session_whatever_the_file_says(store: Store) -> None:
    load(store, "date,close,session\n2026-11-18,1,regular\n2026-11-19,2,\n", symbol="btc-usd")
    assert stored(store, "symbol, session, close") == [("BTC.X", None, 1), ("BTC.X", None, 2)]


def test_times_are_read_in_the_zone_that_was_named_unless_they_have_an_offset(store: Store) -> None:
    text = "symbol,time,close,session\nBABA,2026-10-30 09:30,1,regular\nBABA,2026-11-02T09:30:00,2,\nBABA,2026-11-02 12:00Z,3,PRE\n"
    load(store, text, width="5m", timezone="America/New_York")
    assert stored(store, "bucket_start, session, bucket_width") == [
        (datetime(2026, 10, 30, 13, 30), "regular", timedelta(minutes=5)), (datetime(2026, 11, 2, 12), "pre", timedelta(minutes=5)),
        (datetime(2026, 11, 2, 14, 30), None, timedelta(minutes=5)),
    ]  # fmt: skip


def test_each_line_may_say_its_width(store: Store) -> None:
    load(
        store,
        "symbol,timestamp,close,width\nBABA,2026-11-19T15:00Z,1,1h\nBABA,2026-11-19,2,1d\nBABA,2026-11-19 15:00,3,\n",
        width="30m",
    )
    assert stored(store, "bucket_width, close") == [(timedelta(minutes=30), 3), (HOUR, 1), (DAY, 2)]


def test_headers_are_known_by_name_in_any_case_and_order_and_the_others_are_told(store: Store) -> None:
    report = load(store, "\ufeffClose,Dividends,Adj Close,DATE,Stock\u202e,Symbol\n11,0,10.5,2026-11-19,x,BABA\n\n")
    assert (report.unused, report.rows, stored(store, "close, adj_close")) == (
        ("Dividends", "Stock\u202e"),
        1,
        [(11, 10.5)],
    )


@pytest.mark.parametrize("spelled", ["BRK-B", "brk.b", "$BRK/B", " BRK.B "])
def test_symbols_have_one_spelling(store: Store, spelled: str) -> None:
    load(store, f'symbol,date,close\n"{spelled}",2026-11-19,1\n')
    assert stored(store, "symbol") == [("BRK.B",)]


def test_packed_files_and_plain_ones_are_the_same(store: Store, tmp_path: Path) -> None:
    text = f"{HEADER}\nBABA,2026-11-19,10,12.5,9,11,10.5,1000\n".encode()
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(text))
    (tmp_path / "plain.csv").write_bytes(text)
    paths = [str(tmp_path / name) for name in ("packed.csv.gz", "plain.csv")]
    assert [counts(report) for report in import_prices(store, paths, options(), NOW)] == [(1, 0, 0, 0), (0, 0, 1, 0)]


# ------------------------------------------------------------------------------------------------ what is refused

BAD = [
    ("BABA,2026-11-19,1,2,1,,,", "close", "an empty cell", "a price"),
    ("BABA,2026-11-19,1,2,1,null,,", "close", "'null'", "a price above 0"),
    ("BABA,2026-11-19,1,2,1,NaN,,", "close", "'NaN'", "a price above 0"),
    ("BABA,2026-11-19,1,inf,1,1,,", "high", "'inf'", "a price above 0"),
    ("BABA,2026-11-19,1,1e999,1,1,,", "high", "'1e999'", "a price above 0"),
    ("BABA,2026-11-19,-1,2,1,1,,", "open", "'-1'", "a price above 0"),
    ("BABA,2026-11-19,0,2,1,1,,", "open", "'0'", "a price above 0"),
    ("BABA,2026-11-19,1_0,2,1,1,,", "open", "'1_0'", "a price above 0"),
    ("BABA,2026-11-19,1,2,1,1,-3,", "adj_close", "'-3'", "a price above 0"),
    ("BABA,2026-11-19,1,2,1,1,,-5", "volume", "'-5'", "a number from 0 on"),
    ('BABA,2026-11-19,1,2,1,1,,"1,000"', "volume", "'1,000'", "a number from 0 on"),
    ("BABA,2026-11-19,1,1,2,1.5,,", "high", "1 below the low of 2", "the highest price of the bar"),
    ("BABA,2026-11-19,1,2,1,2.1,,", "close", "2.1 above the high of 2", "a price between low and high"),
    ("BABA,2026-11-19,1,,1,0.9,,", "close", "0.9 below the low of 1", "a price between low and high"),
    ("BABA,19.11.2026,1,2,1,1,,", "date", "'19.11.2026'", "a date such as 2026-11-20"),
    ("BABA,2026-02-30,1,2,1,1,,", "date", "'2026-02-30'", "a date such as 2026-11-20"),
    ("BABA,,1,2,1,1,,", "date", "an empty cell", "a date such as 2026-11-20"),
    ("BABA,2026-11-19 15:00,1,2,1,1,,", "date", "'2026-11-19 15:00'", "a date such as 2026-11-20, or midnight: the bars are daily"),
    ("BABA,1969-12-31,1,2,1,1,,", "date", "'1969-12-31'", "a time from 1970 to 2026-11-20T21:30Z"),
    ("BABA,2026-11-21,1,2,1,1,,", "date", "'2026-11-21'", "a time from 1970 to 2026-11-20T21:30Z"),
    ("BA BA,2026-11-19,1,2,1,1,,", "symbol", "'BA BA'", "a symbol such as BABA, BRK.B or BTC.X"),
    (",2026-11-19,1,2,1,1,,", "symbol", "an empty cell", "a symbol such as BABA, BRK.B or BTC.X"),
    ("BABA,2026-11-19,1,2,1,1", "line", "6 cells", "8 as in the header"),
    ('BABA,"2026-11-19"x,1,2,1,1,,', "line", "',' expected after '\"'", "cells with commas between them"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "column", "found", "expected"), BAD, ids=lambda value: str(value)[:40])
def test_a_bad_line_is_named_with_its_place_and_the_others_are_stored(
    store: Store, line: str, column: str, found: str, expected: str
) -> None:
    report = load(store, f"{HEADER}\nBABA,2026-11-17,1,2,1,1,,\n{line}\nBABA,2026-11-18,1,2,1,1,,\n")
    assert counts(report) == (2, 0, 0, 1)
    assert [str(bad) for bad in report.named] == [
        f"standard input line 3, {column}: found {found}, expected {expected}"
    ]
    assert len(stored(store)) == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("BABA,2026-11-19,1,", "time: found '2026-11-19', expected a time such as 2026-11-20T14:30 or"),
        ("BABA,2026-11-01 01:30,1,", "found '2026-11-01 01:30', which the clocks of America/New_York skip or show twice, expected a time with"),
        ("BABA,2026-03-08T02:30,1,", "skip or show twice, expected a time with its offset, such as 01:30-05:00"),
        ("BABA,0001-01-01T00:00+14:00,1,", "time: found '0001-01-01T00:00+14:00', expected a time such as"),
        ("BABA,2026-11-19 10:00,1,night", "session: found 'night', expected pre, regular, post or an empty cell"),
        ("BABA,2026-11-20 16:00,1,post", "line 2, time: found a bar of 1 h from 2026-11-20T21:00Z on, expected one that was over by 2026-11-20T21:30Z"),
    ],
)  # fmt: skip
def test_a_bad_line_of_hours_is_named(store: Store, line: str, told: str) -> None:
    report = load(store, f"symbol,time,close,session\n{line}\n", width="1h", timezone="America/New_York")
    assert counts(report) == (0, 0, 0, 1)
    assert told in str(report.named[0])


def test_a_daily_bar_knows_its_session_and_one_that_still_runs_is_not_stored(store: Store) -> None:
    text = "symbol,date,close,session\nBABA,2026-11-19,1,post\nBABA,2026-11-20,2,regular\nBTC.X,2026-11-20,3,\n"
    report = load(store, text)
    assert [str(bad).split(", ", 1)[1] for bad in report.named] == [
        "session: found 'post', expected regular or an empty cell: the bar is daily",
        "time: found a bar of 1 day from 2026-11-20T00:00Z on, expected one that was over by 2026-11-20T21:30Z",
    ]
    assert stored(store) == [("BABA", datetime(2026, 11, 20), 2)]
    assert counts(load(store, text, now=datetime(2026, 11, 20, 20, 59, tzinfo=UTC)))[3] == 3


def test_the_first_ten_bad_lines_are_named_and_all_are_counted(store: Store) -> None:
    report = load(store, HEADER + "\n" + "BABA,2026-11-19,x,,,,,\n" * 12)
    assert (report.bad, [bad.line for bad in report.named]) == (12, [*range(2, 12)])


def test_a_close_may_miss_its_bar_by_rounding(store: Store) -> None:
    assert counts(
        load(store, "symbol,date,low,high,close\nBABA,2026-11-18,9,10,10.000009\nBABA,2026-11-19,9,10,10.00002\n")
    ) == (1, 0, 0, 1)


@pytest.mark.parametrize(
    ("header", "given", "told"),
    [
        ("", {}, "no column close; no column for the time, expected one of date, time, timestamp; no column symbol, name it with --symbol (columns: nothing)"),
        ("symbol;date;close", {}, "no column close; no column for the time"),
        ("symbol,date,time,close", {}, "found date and time for the time, expected one of date, time, timestamp"),
        ("symbol,date,close,Close", {}, "found two columns close"),
        ("symbol,time,close", {}, "found a column time and no width of the bars, expected --width such as 1h or a column width"),
        ("symbol,date,close", {"symbol": "BABA"}, "found a column symbol, --symbol is for files without one"),
        ("date,close", {}, "found no column symbol, name it with --symbol"),
    ],
)  # fmt: skip
def test_a_file_with_a_wrong_header_is_refused_whole(
    store: Store, tmp_path: Path, header: str, given: dict[str, str], told: str
) -> None:
    good, wrong = tmp_path / "good.csv", tmp_path / "wrong.csv"
    good.write_text(f"{'date' if given else 'symbol,date'},close\nBABA,2026-11-19,1\n")
    wrong.write_text(f"{header}\nBABA,2026-11-19,1\n" if header else "")
    with pytest.raises(BadInput, match="the header can't be used") as refused:
        import_prices(store, [str(good), str(wrong)], options(**given), NOW)
    assert told in str(refused.value)
    assert str(wrong) in str(refused.value)
    assert stored(store) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"width": "2d"}, "not a width of price bars: 2d: expected minutes, hours or 1d"),
        ({"width": "0m"}, "not a width of price bars: 0m"),
        ({"timezone": "Mars/Olympus"}, "not a time zone: Mars/Olympus: expected a name such as UTC"),
        ({"timezone": "../etc/passwd"}, "not a time zone"),
        ({"symbol": "BA BA"}, "not a symbol: BA BA: expected one such as BABA"),
        ({"source": ""}, "not a name of a source"),
    ],
)
def test_an_option_that_can_not_be_used_is_named(given: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        options(**given)


def test_a_file_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the file can't be read: .*none.csv: No such file"):
        import_prices(store, [str(tmp_path / "none.csv")], options(), NOW)


def test_a_packed_file_that_breaks_off_keeps_what_came_and_says_so(store: Store) -> None:
    lines = "".join(
        f"BABA,2026-{month:02}-{day:02},{month * 31 + day}\n" for month in range(1, 11) for day in range(1, 29)
    )
    whole = gzip.compress(f"symbol,date,close\n{lines}".encode())
    report = load(store, whole[: len(whole) * 2 // 3])
    assert report.bad == 1
    assert "a file that breaks off" in str(report.named[0])
    assert 0 < report.added == len(stored(store)) < 280


# ------------------------------------------------------------------------------------------------ again and again


def test_the_same_file_again_changes_nothing_and_a_new_value_replaces_the_old_one(store: Store) -> None:
    later = NOW + DAY
    text = f"{HEADER}\nBABA,2026-11-18,1,2,1,1,,\nBABA,2026-11-19,1,2,1,2,,5\n"
    assert counts(load(store, text)) == (2, 0, 0, 0)
    assert counts(load(store, text, later)) == (0, 0, 2, 0)
    assert counts(load(store, text.replace(",5\n", ",6\n"), later)) == (0, 1, 1, 0)
    assert counts(load(store, text, later, source="other")) == (2, 0, 0, 0)
    assert stored(store, "volume, fetched_at, source") == [
        (None, naive_utc(NOW), "file"), (None, naive_utc(later), "other"), (6, naive_utc(later), "file"), (5, naive_utc(later), "other"),
    ]  # fmt: skip


def test_a_bar_that_stands_twice_in_a_file_counts_as_if_it_came_twice(store: Store) -> None:
    lines = ["1", "1", "2", "2", "1"]
    report = load(store, "symbol,date,close\n" + "".join(f"BABA,2026-11-19,{close}\n" for close in lines))
    assert counts(report) == (1, 2, 2, 0)
    assert stored(store) == [("BABA", datetime(2026, 11, 19), 1)]


LINES = st.lists(
    st.tuples(st.sampled_from(["BABA", "BTC.X"]), st.integers(1, 6), st.integers(1, 3), st.sampled_from(["", "4", "x"])), max_size=30
)  # fmt: skip


@settings(
    max_examples=max(1, EXAMPLES // 12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(LINES, st.integers(1, 7))
def test_how_a_file_is_cut_into_parts_changes_nothing(
    store: Store, lines: list[tuple[str, int, int, str]], size: int
) -> None:
    with store.writing() as connection:
        connection.execute("DELETE FROM prices")
    body = [f"{symbol},2026-11-{day:02},{close},{volume}\n" for symbol, day, close, volume in lines]
    header = "symbol,date,close,volume\n"
    whole = load(store, header + "".join(body))
    there = stored(store, "symbol, bucket_start, close, volume")
    assert (whole.added, whole.rows, whole.bad) == (len(there), len(body), sum(line.endswith(",x\n") for line in body))
    assert whole.added + whole.updated + whole.unchanged + whole.bad == whole.rows
    assert counts(load(store, header + "".join(dict.fromkeys(body))))[0] == 0
    with store.writing() as connection:
        connection.execute("DELETE FROM prices")
    parts = [load(store, header + "".join(body[start : start + size])) for start in range(0, len(body), size)]
    assert (
        tuple(map(sum, zip(*map(counts, parts), strict=True))) == counts(whole)
        if parts
        else counts(whole) == (0, 0, 0, 0)
    )
    assert stored(store, "symbol, bucket_start, close, volume") == there


@settings(
    max_examples=max(1, EXAMPLES // 4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.lists(
            st.text(max_size=8) | st.sampled_from(["BABA", "2026-11-19", "1", "1e400", "-0", "9999-12-31"]),
            min_size=8,
            max_size=8,
        ),
        max_size=5,
    )
)
def test_no_line_breaks_the_reader(store: Store, lines: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([HEADER.split(","), *lines])
    report = load(store, text.getvalue().encode("utf-8", errors="replace"))
    assert report.added + report.updated + report.unchanged + report.bad == report.rows


def test_a_database_that_is_held_is_told_with_what_is_stored_already(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(_: float) -> None:
        raise StoreLocked("tracker.duckdb", 4711)

    monkeypatch.setattr(store, "writing", held)
    with pytest.raises(
        StoreLocked,
        match=r"process 4711 holds it: tracker.duckdb: 0 bars of standard input are stored, import it again",
    ):
        load(store, "symbol,date,close\nBABA,2026-11-19,1\n")
