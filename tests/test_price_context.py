"""Where the price stands at a moment: against an oracle, by its laws, as typed rows, and on recorded prices."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import METER
from hypothesis import given, settings
from hypothesis import strategies as st
from price_oracle import DAY, PriceBar, add, chance_bars, context, put
from worlds import fresh_database, rows

from tracker import metrics
from tracker.prices import FileReport, import_prices, read_options
from tracker.rows import PriceContext
from tracker.store import Opening, Store, derive
from tracker.store.connect import Connection, aware_utc, opened
from tracker.universe import Universe

EXAMPLES = int(os.environ.get("TRACKER_EXAMPLES", "100"))
SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))

RATIOS = ("change", "session_change", "week_change", "month_change", "year_change", "below_high")
SEEDS = st.integers(0, 10**6)
SYMBOLS = st.sampled_from(["AAA", "BTC.X"])
TRIED = settings(max_examples=max(1, EXAMPLES // 6), deadline=None)


def moments(bars: list[PriceBar], seed: int) -> list[datetime]:
    """Ends of bars, a moment before, and times in between, at which much is known."""
    dice = random.Random(seed)  # noqa: S311 (moments, no secrets)
    ends = dice.sample(sorted({bar.known_at for bar in bars}), min(3, len(bars)))
    return [
        *ends,
        *(end - timedelta(microseconds=1) for end in ends),
        *(end + timedelta(hours=dice.randrange(100)) for end in ends),
    ]


def asked(connection: Connection, symbol: str, at: datetime) -> dict[str, Any] | None:
    found = metrics.price_context(connection, symbol, at)
    return (
        None
        if found is None
        else {name: value for name, value in dataclasses.asdict(found).items() if name not in ("symbol", "at")}
    )


def alike(found: dict[str, Any] | None, wanted: dict[str, Any] | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return found.keys() == wanted.keys() and all(
        found[name] == (pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value)
        for name, value in wanted.items()
    )


@TRIED
@given(SEEDS, SYMBOLS)
def test_price_context_agrees_with_the_oracle(seed: int, symbol: str) -> None:
    bars = [*chance_bars(seed, symbol), *chance_bars(seed, "OTHER")]
    connection = fresh_database()
    put(connection, bars)
    for at in moments(bars, seed):
        found, wanted = asked(connection, symbol, at), context(bars, symbol, at)
        assert alike(found, wanted), f"{symbol} at {at}\nfound    {found}\nexpected {wanted}"


def test_the_markets_that_the_oracle_is_asked_about_are_rich() -> None:
    """Otherwise agreeing proves nothing."""
    found = [
        context(bars, "AAA", at)
        for seed in range(30)
        for bars in [chance_bars(seed, "AAA")]
        for at in moments(bars, seed)
    ]
    told = [row for row in found if row is not None]
    assert {row["session"] for row in told} >= {"pre", "regular", "post"}
    assert {row["source"] for row in told} == {"a", "b"}
    assert all(any(row[name] is not None for row in told) for name in told[0])
    assert any(row["below_high"] > 0 for row in told)
    assert any(row is None for row in found)


@TRIED
@given(SEEDS, SYMBOLS)
def test_bars_that_come_later_change_no_context(seed: int, symbol: str) -> None:
    bars = chance_bars(seed, symbol)
    connection = fresh_database()
    for at in moments(bars, seed)[:3]:
        put(connection, [bar for bar in bars if bar.known_at <= at])
        before = asked(connection, symbol, at)
        add(connection, [bar for bar in bars if bar.known_at > at])
        assert asked(connection, symbol, at) == before


@TRIED
@given(SEEDS, SYMBOLS, st.sampled_from([0.001, 7.0, 1e6]))
def test_scaling_all_prices_leaves_every_ratio(seed: int, symbol: str, factor: float) -> None:
    bars = chance_bars(seed, symbol)
    at = moments(bars, seed)[-1]
    connection = fresh_database()
    put(connection, bars)
    before = asked(connection, symbol, at)
    put(
        connection,
        [
            dataclasses.replace(bar, close=bar.close * factor, high=bar.high and bar.high * factor)
            for bar in reversed(bars)
        ],
    )
    after = asked(connection, symbol, at)
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert after["price"] == pytest.approx(before["price"] * factor)
        assert alike({name: after[name] for name in RATIOS}, {name: before[name] for name in RATIOS})
        assert 0 <= before["below_high"] <= 1
        assert after["high_date"] == before["high_date"]


def test_rows_have_every_column_of_price_context() -> None:
    connection = fresh_database()
    names = [row[0] for row in rows(connection, "DESCRIBE FROM price_context('BABA', TIMESTAMP '2026-11-20')")]
    members = [row[0] for row in rows(connection, "DESCRIBE FROM group_readings('x', TIMESTAMP '2026-11-20', '24h')")]
    assert names == [field.name for field in dataclasses.fields(PriceContext)]
    assert members == [field.name for field in dataclasses.fields(metrics.GroupMember)]


def test_a_group_stands_side_by_side_as_typed_rows() -> None:
    connection = fresh_database()
    put(
        connection,
        [
            PriceBar("AAA", DAY, datetime(2026, 11, day, tzinfo=UTC), "regular", None, close)
            for day, close in ((16, 10.0), (17, 11.0))
        ],
    )
    connection.execute("INSERT INTO watchlist VALUES ('AAA', 'tech'), ('BBB', 'tech')")
    at = datetime(2026, 11, 18, tzinfo=UTC)
    derive.take_readings(connection, [at], None)
    found = metrics.group_readings(connection, "tech", at)
    assert [(one.symbol, one.at, one.messages, one.price) for one in found] == [
        ("AAA", at, 0, 11.0),
        ("BBB", at, 0, None),
    ]
    assert (found[0].price_at, found[0].session_change) == (datetime(2026, 11, 17, 21, tzinfo=UTC), pytest.approx(0.1))


# ------------------------------------------------------------------------------------------------ recorded prices


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileReport, Connection]]:
    path = SHARED / "real" / "stocknet" / "prices_daily.csv.gz"
    if not path.is_file():
        pytest.skip(f"TRACKER_SHARED names no folder with recorded prices: {path} is missing")
    store = Store(Opening(tmp_path_factory.mktemp("recorded") / "tracker.duckdb", memory_limit="256MB", threads=1))
    now = datetime(2026, 11, 20, tzinfo=UTC)
    store.prepare(now, METER, [], [], {}, [])
    options = read_options(Universe([]), source="file", symbol=None, width=None, timezone="UTC")
    (report,) = import_prices(store, [str(path)], options, now)
    with opened(store.opening, read_only=True) as connection:
        yield report, connection


def test_recorded_prices_are_stored_but_for_three_lines_without_any(recorded: tuple[FileReport, Connection]) -> None:
    report, _ = recorded
    assert (report.rows, report.added, report.bad, len(report.symbols)) == (108_592, 108_589, 3, 88)
    assert {(bad.column, bad.found) for bad in report.named} == {("open", "'null'")}
    assert {"BRK.A", "RDS.B"} <= report.symbols


def test_recorded_prices_tell_of_the_days_after_a_listing(recorded: tuple[FileReport, Connection]) -> None:
    _, connection = recorded
    found = metrics.price_context(connection, "BABA", datetime(2014, 9, 23, tzinfo=UTC))
    assert found is not None
    assert (found.price, found.price_at, found.session) == (89.889999, datetime(2014, 9, 22, 20, tzinfo=UTC), "regular")
    assert (found.previous_close, found.session_date, found.high) == (
        93.889999,
        datetime(2014, 9, 22).date(),
        99.699997,
    )
    assert round(100 * (found.session_change or 0), 2) == -4.26
    assert (found.high_date, found.first_date, found.bars) == (
        datetime(2014, 9, 19).date(),
        datetime(2014, 9, 19).date(),
        2,
    )
    assert (found.month_change, found.year_change) == (None, None)
    assert metrics.price_context(connection, "BABA", datetime(2014, 9, 19, 19, 59, tzinfo=UTC)) is None


def test_recorded_prices_have_each_bar_once_known_when_its_session_was_over(
    recorded: tuple[FileReport, Connection],
) -> None:
    _, connection = recorded
    ((bars, known, hours),) = rows(
        connection,
        """SELECT count(*), count(DISTINCT (symbol, known_at)), list(DISTINCT hour(known_at) ORDER BY hour(known_at))
           FROM bars_of((SELECT list(DISTINCT symbol) FROM prices), TIMESTAMP '2018-01-01')""",
    )
    assert (bars, known, hours) == (108_589, 108_589, [20, 21])
    assert aware_utc(
        rows(connection, "SELECT max(known_at) FROM price_bars('AAPL', TIMESTAMP '2018-01-01')")[0][0]
    ) == datetime(2017, 9, 1, 20, tzinfo=UTC)
