"""Every metric against tables of given and expected: ``tests/metrics/<metric>.toml``.

A case holds ``listen`` (stream, from, to, source), ``said`` (messages; ``times`` and ``every`` repeat one, ``names`` says
it of several symbols, ``{n}`` and ``{s}`` number them), ``watch``, ``readings`` (moments to take), or ``labels`` (readings
made up). Then ``ask`` is a query and ``expect`` its rows; "NULL" stands for what is undefined, times are UTC.
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
from worlds import Heard, Said, World, fresh_database, new_database, rows, tell

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
    derive.take_readings(connection, case.get("readings", ()), None)
    _made_up(connection, case.get("labels", []))
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
    through_readings = {"readings_at", "symbol_baseline", "marked_between", "volume_spikes", "baselines"}
    elsewhere = {"source_health"}
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
