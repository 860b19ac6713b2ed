"""Readings beside what the price did next, against an oracle; the table for backtests with its statement; the commands."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from builders import build, crowd, make_batch, utc
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from price_oracle import DAY, HOUR, STARTS, PriceBar, beside, chance_bars, put
from worlds import fresh_database, rows

from tracker import backtest
from tracker.cli import main
from tracker.errors import BadInput
from tracker.store import Opening, naive_utc
from tracker.store.connect import Connection, aware_utc, opened

EXAMPLES = int(os.environ.get("TRACKER_EXAMPLES", "100"))
TRIED = settings(max_examples=max(1, EXAMPLES // 8), deadline=None)
SEEDS = st.integers(0, 10**6)
COUNTS = ("messages", "organic", "authors", "texts", "bullish", "bearish", "neutral", "previous_messages", "sources_up")


def take(
    connection: Connection, symbol: str, moments: Sequence[datetime], window: str = "24h", **columns: Sequence[Any]
) -> None:
    """Readings of these moments; a column that is named gives one value for each."""
    names = ["symbol", '"at"', "window_name", "baseline", "volume_baseline", "computed_at", *COUNTS, *columns]
    for number, at in enumerate(moments):
        values = [
            symbol,
            naive_utc(at),
            window,
            "default",
            "none",
            naive_utc(at),
            *[0] * len(COUNTS),
            *(values[number] for values in columns.values()),
        ]
        connection.execute(
            f"INSERT INTO readings ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})", values
        )


def close(found: float | None, wanted: float | None) -> bool:
    return found == wanted or (
        found is not None and wanted is not None and found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    )


# ------------------------------------------------------------------------------------------------ against the oracle

COLUMNS = ("price", "price_at", "close_date", "before_1d", "before_5d", "forward_1h", "forward_1d", "forward_5d")


def readings_of(seed: int, bars: Sequence[PriceBar]) -> list[datetime]:
    """Moments all over the market, many of them when a bar ends or an hour before."""
    dice = random.Random(seed)  # noqa: S311 (moments, no secrets)
    start = datetime.combine(STARTS[seed % len(STARTS)], datetime.min.time(), UTC)
    ends = dice.sample(sorted({bar.known_at for bar in bars}), min(8, len(bars)))
    anywhere = [start + timedelta(minutes=5 * dice.randrange(28 * 288)) for _ in range(12)]
    return sorted(
        {*ends, *(end - HOUR for end in ends[:4]), *(end - timedelta(minutes=5) for end in ends[4:]), *anywhere}
    )


@TRIED
@given(SEEDS, st.sampled_from(["AAA", "BTC.X"]))
def test_readings_beside_prices_agree_with_the_oracle(seed: int, symbol: str) -> None:
    bars, others = chance_bars(seed, symbol, 25), chance_bars(seed, "OTHER", 25)
    moments = readings_of(seed, bars)
    connection = fresh_database()
    put(connection, [*bars, *others])
    for name in (symbol, "OTHER"):
        take(connection, name, moments)
    found = rows(
        connection,
        f'SELECT symbol, "at", {", ".join(COLUMNS)} FROM priced_readings([$1, $2], $3, $4, $5, NULL)',
        symbol, "OTHER", naive_utc(moments[0]), naive_utc(moments[-1]), "24h",
    )  # fmt: skip
    assert len(found) == 2 * len(moments)
    for name, at, *values in found:
        wanted = beside(bars if name == symbol else others, name, aware_utc(at) or at)
        got = dict(
            zip(COLUMNS, [aware_utc(value) if isinstance(value, datetime) else value for value in values], strict=True)
        )
        assert all(close(got[column], wanted[column]) for column in COLUMNS), (
            f"{name} at {at}\nfound    {got}\nexpected {wanted}"
        )


def test_the_markets_that_the_oracle_is_asked_about_have_every_return() -> None:
    told = [
        beside(bars, "AAA", at)
        for seed in range(12)
        for bars in [chance_bars(seed, "AAA", 25)]
        for at in readings_of(seed, bars)
    ]
    assert all(
        any(row[column] is not None for row in told) and any(row[column] is None for row in told) for column in COLUMNS
    )


@TRIED
@given(SEEDS)
def test_a_row_does_not_depend_on_the_span_and_its_past_not_on_what_comes_later(seed: int) -> None:
    bars = chance_bars(seed, "AAA", 25)
    moments = readings_of(seed, bars)
    at = moments[len(moments) // 2]
    connection = fresh_database()
    put(connection, bars)
    take(connection, "AAA", moments)
    query = f"SELECT {', '.join(COLUMNS)} FROM priced_readings(['AAA'], $1, $2, '24h', NULL) WHERE \"at\" = $3"
    wide = rows(connection, query, naive_utc(moments[0]), naive_utc(moments[-1]), naive_utc(at))
    assert rows(connection, query, naive_utc(at), naive_utc(at), naive_utc(at)) == wide
    put(connection, [bar for bar in bars if bar.known_at <= at])
    past = rows(connection, query, naive_utc(at), naive_utc(at), naive_utc(at))
    assert past[0][:2] == wide[0][:2]
    assert past[0][5:] == (None, None, None)


def ranks(values: Sequence[float]) -> list[float]:
    """1 for the smallest; equal ones share the mean of their places."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]


def pearson(one: Sequence[float], other: Sequence[float]) -> float | None:
    mean_one, mean_other = sum(one) / len(one), sum(other) / len(other)
    spread = (sum((a - mean_one) ** 2 for a in one) * sum((b - mean_other) ** 2 for b in other)) ** 0.5
    return sum((a - mean_one) * (b - mean_other) for a, b in zip(one, other, strict=True)) / spread if spread else None


@TRIED
@given(SEEDS, st.sampled_from([1, 3, 100]))
def test_talk_leads_price_is_spearmans_rank_correlation_over_sessions(seed: int, grain: int) -> None:
    dice = random.Random(seed)  # noqa: S311 (a market, not a secret)
    days = [datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=number) for number in range(60)]
    bars = [
        PriceBar("AAA", DAY, day, "regular", None, dice.randrange(90, 90 + 2 * grain) / 4)
        for day in days
        if day.isoweekday() < 6
    ]
    moments = [day + timedelta(hours=hour) for day in days for hour in (6, 24)]
    talk = [None if dice.random() < 0.1 else dice.randrange(grain) / 2 for _ in moments]
    connection = fresh_database()
    put(connection, bars)
    take(connection, "AAA", moments, volume_z=talk)
    pairs: dict[Any, list[float]] = {}
    for at, z in zip(moments, talk, strict=True):
        row = beside(bars, "AAA", at)
        values = [row[name] for name in ("before_5d", "before_1d", "forward_1d", "forward_5d")]
        if (
            at.hour == 0 and row["close_date"] is not None and row["close_date"] not in pairs
        ):  # the newest reading of its UTC day
            pairs[row["close_date"]] = [z, *values] if z is not None and None not in values else []
    kept = list(zip(*(pair for pair in pairs.values() if pair), strict=True))
    wanted = [pearson(ranks(kept[0]), ranks(column)) for column in kept[1:]]
    ((count, *found),) = rows(
        connection,
        "SELECT * EXCLUDE (symbol, talk) FROM talk_leads_price(['AAA'], TIMESTAMP '2026-01-01', TIMESTAMP '2026-04-01', '24h')",
    )
    assert count == len(kept[0]) >= 20
    assert all(close(*pair) for pair in zip(found, wanted, strict=True))


# ------------------------------------------------------------------------------------------------ the table

START = utc("2026-11-02T00:00")  # a Monday
END = START + timedelta(days=14)


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Opening:
    """Two weeks of talk about two symbols, heard but for the last six hours; a gap; daily prices of one of them from two sources."""
    said = [
        one
        for number in range(14)
        for one in crowd(START + timedelta(days=number, hours=15), "BABA", bulls=3, bears=number % 3)
    ]
    said += crowd(START + timedelta(days=2, hours=3), "JD", bulls=4)
    lost = (START + timedelta(days=3), START + timedelta(days=3, hours=6), "the page was too short to reach back")
    heard = make_batch(said, fetched_at=END - 6 * HOUR, covers_from=START, gaps=[lost])
    elsewhere = make_batch(stream="symbol/OTHER", fetched_at=END - 6 * HOUR, covers_from=START, gaps=[lost])
    found = build(
        tmp_path_factory.mktemp("backtest"),
        [heard, elsewhere],
        readings=[START + timedelta(hours=12 * n) for n in range(1, 29)],
    )
    with opened(found) as connection:
        connection.execute("INSERT INTO watchlist VALUES ('BABA', 'china'), ('JD', 'china'), ('NOBODY', 'none')")
        days = [START + timedelta(days=number) for number in range(14) if number % 7 < 5]
        put(
            connection,
            [
                PriceBar("BABA", DAY, day, "regular", None, 100.0 + number, source="ab"[number % 2])
                for number, day in enumerate(days)
            ],
        )
    return found


@pytest.fixture
def connection(opening: Opening) -> Iterator[Connection]:
    with opened(opening, read_only=True) as connection:
        yield connection


def test_there_is_one_row_for_each_symbol_and_day_with_a_reading(connection: Connection) -> None:
    asked = backtest.ask(connection, group="china", since=START, until=END)
    columns = backtest.take(connection, asked)
    found = [dict(zip(columns, row, strict=True)) for page in backtest.rows(connection) for row in page]
    assert [(row["symbol"], aware_utc(row["at"])) for row in found] == [
        *(("BABA", START + timedelta(days=number)) for number in range(1, 15)), ("JD", START + timedelta(days=3)),
    ]  # fmt: skip
    assert [name for (name,) in rows(connection, "SELECT column_name FROM (DESCRIBE readings)")] == columns[
        : columns.index("price")
    ]
    first = found[0]
    assert (first["price"], first["price_at"], first["forward_1d"], first["taken"]) == (
        100,
        datetime(2026, 11, 2, 21),
        pytest.approx(0.01),
        "replayed",
    )
    assert [found[number]["gaps"] for number in (2, 3, 4)] == [0, 1, 0]
    assert (found[3]["gap_hours"], found[2]["heard"], found[13]["heard"]) == (6, 1, 0.75)


def test_the_statement_says_what_the_rows_rest_on(connection: Connection) -> None:
    asked = backtest.ask(connection, symbols=["$baba", "JD", "GME"], since=START, until=END)
    backtest.take(connection, asked)
    stated = backtest.about(connection, asked)
    assert (stated.rows, stated.symbols, stated.silent, stated.unpriced) == (15, 2, ("GME",), ("JD",))
    assert (stated.missing, stated.intervals) == (3 * 14 - 15, 42)
    assert (stated.first_at, stated.last_at) == (START + DAY, END)
    assert stated.heard == pytest.approx(14.75 / 15)
    assert (stated.unheard, stated.replayed, stated.default_baseline) == (0, 15, 15)
    assert (stated.priced, stated.forward_1h, stated.forward_1d, stated.forward_5d) == (14, 0, 11, 7)
    assert stated.gaps == (backtest.StreamGaps("stocktwits", "posts", 1, 6),)
    assert [(price.source, price.bucket_width, price.symbols, price.bars) for price in stated.prices] == [
        ("a", DAY, 1, 5),
        ("b", DAY, 1, 5),
    ]
    assert (stated.prices[0].first_at, stated.prices[1].last_at) == (START, datetime(2026, 11, 13, tzinfo=UTC))


def test_the_statement_as_text_names_coverage_gaps_prices_formulas_and_caveats(connection: Connection) -> None:
    asked = backtest.ask(connection, symbols=["BABA", "JD", "GME"], since=START, until=END)
    backtest.take(connection, asked)
    told = backtest.as_text(backtest.about(connection, asked))
    for words in (
        "15 rows of 2 symbols, from 2026-11-03 00:00 UTC to 2026-11-16 00:00 UTC", "27 of 42 days of symbols have no reading (64%)",
        "without any reading: GME", "Polls covered 98.3% of the windows", "15 rows (100%) were replayed, 0 taken live",
        "stocktwits posts: 1 gaps, 6.0 h", "a, bars of 24 h: 5 of 1 symbols, from 2026-11-02", "14 rows have a price", "Without any price: JD",
        "forward_5d (priced_readings)", "never fed back", "Survivorship", "Look-ahead",
    ):  # fmt: skip
        assert words in told


def test_the_statement_as_json_holds_the_same(connection: Connection) -> None:
    asked = backtest.ask(connection, symbols=["BABA"], since=START, until=END)
    backtest.take(connection, asked)
    found = json.loads(json.dumps(backtest.as_json(backtest.about(connection, asked))))
    assert (found["rows"], found["ask"]["since"], found["gaps"][0]["hours"]) == (14, "2026-11-02T00:00:00Z", 6)
    assert found["caveats"] == list(backtest.CAVEATS)


def test_what_is_not_given_is_the_whole_of_what_is_stored(connection: Connection) -> None:
    asked = backtest.ask(connection, everything=True)
    assert (asked.symbols, asked.since, asked.until) == (("BABA", "JD", "NOBODY")[:2], START, END)
    assert backtest.ask(connection, everything=True, since=START + timedelta(days=5)).symbols == ("BABA",)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "whose readings\\?: expected symbols, --group NAME or --all, one of the three"),
        ({"symbols": ["BABA"], "everything": True}, "whose readings"),
        ({"group": "cars"}, "there is no such group: cars: known are china, none"),
        ({"symbols": ["BABA"], "window": "2h"}, "there is no such window: 2h: expected one of 1h, 24h, 7d"),
        ({"symbols": ["BABA"], "since": END, "until": START}, "the span is empty: 2026-11-16T00:00Z to 2026-11-02T00:00Z"),
    ],
)  # fmt: skip
def test_a_question_that_can_not_be_asked_is_answered_with_what_is_expected(
    connection: Connection, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        backtest.ask(connection, **given)


def test_an_empty_file_has_nothing_to_test(tmp_path: Path) -> None:
    with (
        opened(build(tmp_path), read_only=True) as connection,
        pytest.raises(BadInput, match="there are no readings of this window yet: 24h"),
    ):
        backtest.ask(connection, everything=True)


@pytest.mark.parametrize(
    ("since", "until", "every", "count"),
    [("2026-11-02", "2026-11-04", "day", 2), ("2026-11-02T01:00", "2026-11-04T01:00", "day", 3), ("2026-11-02T00:30", "2026-11-02T01:00", "hour", 1)],
)  # fmt: skip
def test_intervals_are_those_that_the_span_touches(since: str, until: str, every: str, count: int) -> None:
    asked = backtest.Ask(("A", "B"), utc(since), utc(until), "24h", backtest.EVERY[every])
    connection = fresh_database()
    backtest.take(connection, asked)
    assert backtest.about(connection, asked).intervals == 2 * count


# ------------------------------------------------------------------------------------------------ commands


@pytest.fixture
def config(opening: Opening, tmp_path: Path) -> Path:
    """The configuration of a tracker with a copy of that database, brought up to date by a first command."""
    path, file = tmp_path / "config.toml", tmp_path / "tracker.duckdb"
    shutil.copy(opening.path, file)
    path.write_text(
        f"[tracker]\ndata_dir = '{tmp_path / 'data'}'\n[store]\npath = '{file}'\n[watchlist.groups]\nchina = ['BABA', 'JD']\n"
    )
    assert run(path, "status").exit_code == 0
    return path


def run(config: Path, *arguments: str, given: str | bytes | None = None) -> Any:
    found = CliRunner().invoke(main, ["--config", str(config), *arguments], input=given)
    broken = found.exception is not None and not isinstance(found.exception, SystemExit)
    assert not broken, "".join(traceback.format_exception(found.exception))
    return found


def test_backtest_prints_rows_on_stdout_and_the_statement_on_stderr(config: Path) -> None:
    found = run(config, "backtest", "BABA", "--since", "2026-11-02", "--until", "2026-11-09")
    table = list(csv.DictReader(io.StringIO(found.stdout)))
    assert found.exit_code == 0
    assert [row["at"] for row in table] == [f"2026-11-{day:02}T00:00:00Z" for day in range(3, 10)]
    assert (table[0]["price"], table[0]["forward_1h"], table[0]["heard"]) == ("100.0", "", "1.0")
    assert found.stderr.startswith("# About this table")


def test_backtest_writes_files_with_the_statement_beside_them(config: Path, tmp_path: Path) -> None:
    lines, packed = tmp_path / "rows.jsonl", tmp_path / "rows.parquet"
    for form, output in (("jsonl", lines), ("parquet", packed)):
        found = run(config, "backtest", "--group", "china", "--format", form, "--output", str(output))
        assert (found.exit_code, found.stdout) == (0, "")
        assert Path(f"{output}.about.md").read_text() == found.stderr
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    with duckdb.connect() as connection:
        columns = connection.execute(f"DESCRIBE FROM '{packed}'").fetchall()
        held = connection.execute(f"SELECT count(*), sum(forward_1d) FROM '{packed}'").fetchall()
    assert held == [(len(told), pytest.approx(sum(row["forward_1d"] or 0 for row in told)))]
    assert {name: kind for name, kind, *_ in columns}["forward_1h"] == "DOUBLE"


def test_backtest_as_one_object_holds_statement_and_rows(config: Path) -> None:
    found = json.loads(run(config, "backtest", "--all", "--json", "--every", "hour", "--window", "7d").stdout)
    assert found["about"]["rows"] == len(found["rows"]) > 28
    assert {row["window_name"] for row in found["rows"]} == {"7d"}


def test_backtest_without_a_row_fails_and_says_why(config: Path) -> None:
    found = run(config, "backtest", "GME")
    assert (found.exit_code, len(found.stdout.splitlines())) == (1, 1)
    assert "without any reading: GME" in found.stderr
    assert run(config, "backtest", "GME", "--json").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["BABA", "--format", "parquet"], "parquet needs a file of its own"),
        (["BABA", "--output", "/nowhere/at/all.csv"], "the file can't be written: /nowhere/at/all.csv"),
        (["BABA", "--format", "parquet", "--output", "/nowhere/at/all.parquet"], "the file can't be written: /nowhere/at/all.parquet"),
        ([], "whose readings?"),
    ],
)  # fmt: skip
def test_backtest_refuses_what_it_can_not_do(config: Path, arguments: list[str], told: str) -> None:
    found = run(config, "backtest", *arguments)
    assert (found.exit_code, told in found.stderr) == (2, True)


def test_prices_are_imported_into_a_new_database_and_counted(tmp_path: Path) -> None:
    config, file = tmp_path / "config.toml", tmp_path / "bars.csv"
    config.write_text(f"[tracker]\ndata_dir = '{tmp_path / 'data'}'\n")
    file.write_text("date,close,who\n2026-01-05,1,x\n2026-01-06,2,x\n")
    found = run(config, "prices", "import", str(file), "--symbol", "baba", "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout) == [
        {"file": str(file), "rows": 2, "added": 2, "updated": 0, "unchanged": 0, "bad": 0, "symbols": 1, "first_at": "2026-01-05T00:00:00Z", "last_at": "2026-01-06T00:00:00Z"}
    ]  # fmt: skip
    assert found.stderr.strip() == f"{file}: columns that are not used: who"
    partly = run(
        config,
        "prices",
        "import",
        "-",
        "--source",
        "other",
        given="symbol,date,close\nBABA,2026-01-05,\nBABA,2026-01-06,2\n",
    )
    assert (
        partly.exit_code,
        "standard input line 2, close: found an empty cell, expected a price" in partly.stderr,
    ) == (3, True)
    failed = run(config, "prices", "import", "-", given="symbol,date,close\n" + "BABA,2026-01-05,\n" * 12)
    assert (failed.exit_code, "standard input: 2 more bad lines" in failed.stderr) == (1, True)
    refused = run(config, "prices", "import", str(file))
    assert (refused.exit_code, "no column symbol, name it with --symbol" in refused.stderr) == (2, True)
    assert json.loads(run(config, "sql", "SELECT source, count(*) AS n FROM prices GROUP BY ALL ORDER BY 1", "--json").stdout) == [
        {"source": "import", "n": 2}, {"source": "other", "n": 1},
    ]  # fmt: skip
