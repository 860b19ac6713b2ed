"""Every metric against tables of given and expected: ``tests/metrics/<metric>.toml``.

A case holds ``listen`` (stream, from, to, source), ``said`` (messages; ``times`` and ``every`` repeat one, ``names`` says
it of several symbols, ``{n}`` and ``{s}`` number them), ``watch``, ``groups``, ``readings`` (moments to take), or ``labels``
(readings made up), ``taken`` (the same with any column; a list is one value ``every`` so often), ``lost`` (gaps: stream,
from, to) and ``prices`` (bars; ``closes`` are those of daily bars on one weekday after the other). ``gone`` are ids of
messages that were deleted, ``ballots``, ``headlines`` and ``spikes`` rows of these tables. Then ``ask`` is a query and
``expect`` its rows; "NULL" stands for what is undefined, times are UTC.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from worlds import Heard, Said, World, batch_of, commit, fresh_database, gone, new_database, rows, tell

from tracker.store import derive
from tracker.store.connect import Connection, aware_utc, naive_utc
from tracker.text import text_key

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("TRACKER_SHARED", HERE.parent.parent / "shared"))
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _cases() -> Iterator[Any]:
    for path in sorted((HERE / "metrics").glob("*.toml")):
        for number, case in enumerate(tomllib.loads(path.read_text(encoding="utf-8"))["case"]):
            yield pytest.param(case, id=f"{path.stem}-{number}: {case['claim']}")


def _letters(number: int) -> str:
    """Numbers do not count as words: a, b, … z, ba, bb, …"""
    return (_letters(number // 26) if number >= 26 else "") + chr(ord("a") + number % 26)


def _span(text: str) -> timedelta:
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def _said(lines: list[dict[str, Any]]) -> Iterator[Said]:
    count = 0
    for line in lines:
        for name in range(line.get("names", 1)):
            for time in range(line.get("times", 1)):
                count += 1
                text = line["text"].replace("{n}", _letters(time))
                author = line.get("author", "ann").replace("{n}", _letters(time))
                at = line["at"] + time * _span(line.get("every", "1s"))
                yield Said(
                    id=line.get("id", str(count)), at=at, symbols=tuple(symbol.replace("{s}", str(name)) for symbol in line["symbols"]),
                    author=None if author == "NULL" else author, key=text_key(text), text=text, stance=line.get("stance", 0), tone=line.get("tone", 0.0),
                    label=line.get("label"), reshare_of=line.get("reshare_of"), source=line.get("source", "s"), likes=line.get("likes"),
                    reshares=line.get("reshares"),
                )  # fmt: skip


def _made_up(connection: Connection, labels: list[list[Any]]) -> None:
    """Readings that hold nothing but a label."""
    zero = (
        "messages",
        "organic",
        "authors",
        "texts",
        "bullish",
        "bearish",
        "neutral",
        "previous_messages",
        "sources_up",
    )
    for symbol, at, label in labels:
        connection.execute(
            f"""INSERT INTO readings (symbol, "at", window_name, sentiment_label, baseline, volume_baseline, computed_at, {", ".join(zero)})
                VALUES (?, ?, '24h', nullif(?, 'NULL'), 'default', 'none', ?, {", ".join("0" for _ in zero)})""",
            [symbol, naive_utc(at), label, naive_utc(at)],
        )


def _series(
    line: dict[str, Any], name: str, at: datetime, step: timedelta, *, workdays: bool = False
) -> Iterator[tuple[datetime, Any]]:
    """(when, value) of a list that stands for one value after the other, or of the one value."""
    values = line[name] if isinstance(line[name], list) else [line[name]]
    for value in values:
        while workdays and at.isoweekday() > 5:
            at += step
        yield at, value
        at += step


def _taken(connection: Connection, lines: list[dict[str, Any]]) -> None:
    """Readings of which some columns are made up; counts that are not named are 0."""
    empty: dict[str, Any] = dict.fromkeys(
        ("messages", "organic", "authors", "texts", "bullish", "bearish", "neutral", "previous_messages", "sources_up"),
        0,
    )
    for line in lines:
        step = _span(line.get("every", "1d"))
        names = [name for name in line if name not in ("symbol", "at", "window", "every", "live")]
        series = {name: dict(_series(line, name, line["at"], step)) for name in names}
        moments = {line["at"], *(at for values in series.values() for at in values)}
        for at in sorted(moments):
            row = {
                **empty, "baseline": "default", "volume_baseline": "none", "symbol": line["symbol"], "at": naive_utc(at),
                "window_name": line.get("window", "24h"), "computed_at": naive_utc(at + _span("3s") * line.get("live", False)),
                **{name: values[at] for name, values in series.items() if values.get(at, "NULL") != "NULL"},
            }  # fmt: skip
            columns, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" for _ in row)
            connection.execute(f"INSERT INTO readings ({columns}) VALUES ({marks})", list(row.values()))


def _prices(connection: Connection, lines: list[dict[str, Any]]) -> None:
    """Price bars: daily and of the regular session unless a line says otherwise."""
    connection.execute("DELETE FROM prices")
    for line in lines:
        width = _span(line.get("width", "1d"))
        for at, close in _series(
            line, "closes" if "closes" in line else "close", line["at"], width, workdays="closes" in line
        ):
            session = line.get("session", "regular" if width == timedelta(days=1) else "NULL")
            connection.execute(
                """INSERT INTO prices (symbol, bucket_width, bucket_start, session, high, low, close, source, fetched_at)
                   VALUES (?, ?, ?, nullif(?, 'NULL'), ?, ?, ?, ?, ?)""",
                [
                    line["symbol"], width, naive_utc(at), session, line.get("high"), line.get("low"), close, line.get("source", "file"),
                    naive_utc(line.get("fetched", datetime(2026, 12, 31, tzinfo=UTC))),
                ],
            )  # fmt: skip


# what a row that a table makes up holds where it says nothing
_USUAL: dict[str, dict[str, Any]] = {
    "ballots": {"source": "s", "question": "Up or down?", "position": 1, "option": "up", "symbol": "AAA"},
    "headlines": {"source": "wire", "stream": "feed", "title": "News", "symbols": ["AAA"]},
    "spikes": {
        "symbol": "AAA", "bucket_width": "1h", "messages": 20, "organic": 15, "authors": 10, "texts": 15, "expected": 1.5, "z": 4.0,
        "p_value": 0.0, "severity": "notable", "kind": "organic",
    },
}  # fmt: skip


def _rows_of(table: str, line: dict[str, Any]) -> dict[str, Any]:
    """One row of a table: spans as 1h, aware times; a spike is known at the end of its bucket."""
    row = {**_USUAL[table], **line}
    if table == "headlines":
        row.setdefault("fetched_at", row["created_at"])
    if table == "spikes":
        row["bucket_width"] = _span(row["bucket_width"])
        row.setdefault("found_at", row["bucket_start"] + row["bucket_width"])
    values = {name: None if value == "NULL" else value for name, value in row.items()}
    return {name: naive_utc(value) if isinstance(value, datetime) else value for name, value in values.items()}


def _fill(connection: Connection, table: str, lines: list[dict[str, Any]]) -> None:
    """Rows made up, in a table that holds nothing else."""
    connection.execute(f"DELETE FROM {table}")
    for line in lines:
        row = _rows_of(table, line)
        marks = ", ".join("?" for _ in row)
        connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def _same(found: Any, expected: Any, tolerance: float) -> bool:
    if expected == "NULL" or found is None:
        return expected == "NULL" and found is None
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(expected, datetime):
        return aware_utc(found) == expected
    return type(found) is type(expected) and found == expected


@pytest.mark.parametrize("case", list(_cases()))
def test_metric_shows_what_its_table_says(case: dict[str, Any]) -> None:
    connection = fresh_database()
    heard = tuple(Heard(stream, from_at, to_at, *source) for stream, from_at, to_at, *source in case.get("listen", ()))
    tell(connection, World(tuple(_said(case.get("said", []))), heard, tuple(case.get("watch", ()))))
    for group, symbols in case.get("groups", {}).items():
        connection.executemany("INSERT INTO watchlist VALUES (?, ?)", [(symbol, group) for symbol in symbols])
    for stream, from_at, to_at in case.get("lost", ()):
        connection.execute(
            "INSERT INTO gaps VALUES ('s', ?, ?, ?, 'lost', ?)", [stream, *map(naive_utc, (from_at, to_at, to_at))]
        )
    derive.take_readings(connection, case.get("readings", ()), None)
    _made_up(connection, case.get("labels", []))
    _taken(connection, case.get("taken", []))
    _prices(connection, case.get("prices", []))
    for id_ in case.get("gone", ()):
        commit(connection, batch_of(deletions=[gone(id_)]))
    for table in ("ballots", "headlines"):
        _fill(connection, table, case.get(table, []))
    if "spikes" in case:
        _fill(connection, "spikes", case["spikes"])
    found, tolerance = rows(connection, case["ask"]), case.get("tolerance", 1e-6)
    alike = len(found) == len(case["expect"]) and all(
        len(got) == len(wanted) and all(_same(*pair, tolerance) for pair in zip(got, wanted, strict=True))
        for got, wanted in zip(found, case["expect"], strict=True)
    )
    assert alike, f"{case['claim']}\nfound    {found}\nexpected {case['expect']}"


def test_every_metric_has_a_table() -> None:
    """Each view and table macro of ``queries/metrics`` is asked by a table; those about the store have tests elsewhere."""
    asked = " ".join(path.read_text(encoding="utf-8") for path in (HERE / "metrics").glob("*.toml"))
    connection = fresh_database()
    named = {
        row[0]
        for row in rows(
            connection,
            "SELECT function_name FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal",
        )
    }
    named |= {row[0] for row in rows(connection, "SELECT view_name FROM duckdb_views() WHERE NOT internal")}
    through_readings = {
        "readings_at",
        "symbol_baseline",
        "marked_between",
        "marked_of",
        "volume_spikes",
        "baselines",
        "terms_of",
    }
    elsewhere = {"source_health", "hidden_sources"}
    assert {name for name in named - through_readings - elsewhere if name not in asked} == set()


# ---------------------------------------------------------------------------------------- a golden case from real messages

LISTING = date(2014, 9, 19)


def _cashtags(path: Path, since: date, until: date) -> Iterator[Said]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            tweet = json.loads(line)
            at = datetime.strptime(tweet["created_at"], "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
            symbols = tuple(dict.fromkeys(tag["text"].upper() for tag in tweet["entities"]["symbols"]))
            if symbols and since <= at.date() < until:
                original = tweet.get("retweeted_status", {}).get("id_str")
                yield Said(
                    tweet["id_str"],
                    at,
                    symbols,
                    tweet["user"]["id_str"],
                    text_key(tweet["text"]),
                    reshare_of=original,
                    text=None,
                )


@pytest.fixture(scope="module")
def golden() -> Iterator[Connection]:
    path = SHARED / "real" / "stocknet" / "tweets_2014h2.ndjson.gz"
    if not path.is_file():
        pytest.skip(f"TRACKER_SHARED names no folder with recorded messages: {path} is missing")
    connection = new_database()
    said = tuple(_cashtags(path, LISTING - timedelta(days=28), LISTING + timedelta(days=5)))
    begin = datetime(2014, 8, 22, tzinfo=UTC)
    tell(connection, World(said, (Heard("posts", begin, begin + timedelta(days=33)),)))
    derive.take_readings(connection, [datetime(2014, 9, 23, tzinfo=UTC)], None)
    yield connection
    connection.close()


def test_golden_listing_day_has_the_known_counts(golden: Connection) -> None:
    found = rows(
        golden,
        """SELECT bucket_start::DATE, messages FROM message_volume('BABA', TIMESTAMP '2014-09-16', TIMESTAMP '2014-09-23', INTERVAL 1 DAY)""",
    )
    assert [messages for _, messages in found] == [17, 13, 48, 322, 25, 3, 44]
    assert rows(
        golden,
        "SELECT authors FROM buckets WHERE symbol = 'BABA' AND source = '*' AND bucket_width = INTERVAL 1 DAY AND bucket_start = TIMESTAMP '2014-09-19'",
    ) == [(314,)]


def test_golden_listing_is_an_extreme_organic_spike_and_the_pasted_advert_is_none(golden: Connection) -> None:
    found = rows(
        golden,
        "SELECT symbol, severity, kind, organic FROM spikes WHERE bucket_width = INTERVAL 1 DAY AND bucket_start = TIMESTAMP '2014-09-19'",
    )
    spikes = {symbol: (severity, kind, organic) for symbol, severity, kind, organic in found}
    assert spikes["BABA"][:2] == ("extreme", "organic")
    assert 265 <= spikes["BABA"][2] <= 275
    assert spikes["YHOO"][1] == "organic"
    assert not {"GTAT", "BTU", "SCO", "CLF"} & {symbol for symbol, (_, kind, _) in spikes.items() if kind == "organic"}
    assert Counter(kind for _, kind, _ in spikes.values())["organic"] < 20


def test_golden_expectations_by_a_flat_clock(golden: Connection) -> None:
    """The design's worked example: BABA 2.5 expected and extreme, YHOO 0.8 expected and notable."""
    golden.execute("BEGIN TRANSACTION")
    try:
        golden.execute(
            "UPDATE market_days SET profile = list_transform(range(168), lambda h: 1.0::DOUBLE) WHERE day = $1",
            [LISTING],
        )
        golden.execute("DELETE FROM symbol_days WHERE day = $1", [LISTING])
        golden.execute("INSERT INTO symbol_days SELECT * FROM symbol_baseline($1)", [[LISTING]])
        found = rows(
            golden,
            """SELECT symbol, round(expected, 1), severity FROM volume_spikes(TIMESTAMP '2014-09-19', TIMESTAMP '2014-09-20')
               WHERE bucket_width = INTERVAL 1 DAY AND symbol IN ('BABA', 'YHOO', 'GTAT', 'BTU', 'SCO', 'CLF') ORDER BY symbol""",
        )
    finally:
        golden.execute("ROLLBACK")
    assert found == [("BABA", pytest.approx(2.5, abs=0.11), "extreme"), ("YHOO", 0.8, "notable")]


def test_golden_message_volume_soared_by_973_percent(golden: Connection) -> None:
    ((change, messages, before),) = rows(
        golden,
        "SELECT volume_change, messages, previous_messages FROM readings WHERE symbol = 'BABA' AND window_name = '7d'",
    )
    assert (messages, before) == (472, 44)
    assert round(100 * change) == 973


def test_words_of_a_hidden_source_are_counted_and_not_shown() -> None:
    """The newest setting counts; what is hidden stands in no list of messages."""
    connection = fresh_database()
    at = datetime(2026, 1, 5, 10, tzinfo=UTC)
    said = (
        Said("1", at, ("AAA",), text="buy it", key=1, reshares=3),
        Said("2", at, ("AAA",), text="sell it", key=2, reshares=2, source="t"),
    )
    tell(connection, World(said))
    asked = "SELECT source, reshares, text FROM most_reshared('AAA', TIMESTAMP '2026-01-05', TIMESTAMP '2026-01-06')"
    assert rows(connection, asked) == [("s", 3, "buy it"), ("t", 2, "sell it")]
    connection.execute(
        "INSERT INTO settings VALUES ('sources.s.show', 'false', TIMESTAMP '2026-01-01'), ('sources.t.show', 'true', TIMESTAMP '2026-01-01')"
    )
    try:
        assert rows(connection, asked) == [("s", 3, None), ("t", 2, "sell it")]
        connection.execute("INSERT INTO settings VALUES ('sources.s.show', 'true', TIMESTAMP '2026-01-02')")
        assert rows(connection, asked) == [("s", 3, "buy it"), ("t", 2, "sell it")]
    finally:
        connection.execute("DELETE FROM settings")
