"""Getting the lists over real sockets on loopback and from a folder: good, unchanged, refused, and what then stands."""

from __future__ import annotations

import gzip
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loopback import Answer, loopback, reply, reset

from tracker.errors import BadInput
from tracker.http import Http
from tracker.store import Opening, Store
from tracker.store.migrate import migrate
from tracker.store.universe import ListState, load_lists, load_rows
from tracker.universe_lists import ADDRESSES, DEFAULT, NAMES, PUBLISHED, chosen, of_file, trust
from tracker.universe_refresh import ListReport, Plan, Report, Teller, due, left_out, put_in, read_folder, refresh

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "universe"


def nasdaq(*symbols: str) -> bytes:
    head = "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares"
    rows = [f"{symbol}|{symbol} Pond Inc.|Q|N|N|100|N|N" for symbol in symbols]
    return "\r\n".join([head, *rows, "File Creation Time: 0301202618:30|||||||", ""]).encode()


def coins(*symbols: str) -> bytes:
    return json.dumps([{"id": symbol, "symbol": symbol, "name": symbol.title()} for symbol in symbols]).encode()


NASDAQ = next(replace(spec, least=1) for spec in PUBLISHED if spec.name == "nasdaq")
COINS = next(replace(spec, least=1) for spec in PUBLISHED if spec.name == "coins")
SEC = next(replace(spec, least=1) for spec in PUBLISHED if spec.name == "sec_tickers")
SEC_BODY = b'{"0": {"cik_str": 7, "ticker": "FROG", "title": "FROG POND INC"}}'
TWENTY = [f"F{chr(65 + n)}" for n in range(20)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(Opening(tmp_path / "t.duckdb"))
    with found.writing() as connection:
        migrate(connection, NOW)
    return found


async def at_once(call: Callable[..., Any], *arguments: Any) -> Any:
    return call(*arguments)


def plan(url: str, *lists: Any, contact: str | None = "tracker/1 frog@pond.example") -> Plan:
    return Plan(lists or (NASDAQ,), "tracker/1 (+frog@pond.example)", contact, {name: f"{url}/{name}" for name in ADDRESSES}, deadline_s=5.0)  # fmt: skip


async def run(store: Store, the_plan: Plan, now: datetime = NOW, **more: Any) -> Report:
    return await refresh(Http(clock=lambda: now), the_plan, store, now, at_once, pause_s=0.0, **more)


async def ask(store: Store, *answers: Answer, lists: tuple[Any, ...] = (NASDAQ,), now: datetime = NOW, **more: Any) -> tuple[Report, list[Any]]:  # fmt: skip
    async with loopback(*answers) as server:
        return await run(store, plan(server.url, *lists), now, **more), server.asked


def symbols(store: Store, status: str = "listed") -> list[str]:
    with store.reading() as connection:
        return [row.symbol for row in load_rows(connection) if row.status == status]


def state(store: Store, name: str = "nasdaq") -> ListState:
    with store.reading() as connection:
        return load_lists(connection)[name]


# -------------------------------------------------------------------------------------------------------- asking


async def test_a_list_is_read_and_kept_with_its_marks(store: Store) -> None:
    body = gzip.compress(nasdaq("FROG", "NEWT"))
    report, asked = await ask(store, reply(200, body, {"Content-Encoding": "gzip", "ETag": '"1"'}))
    assert [(one.name, one.status, one.rows) for one in report.lists] == [("nasdaq", "good", 2)]
    assert symbols(store) == ["FROG", "NEWT"]
    found = state(store)
    assert (found.rows, found.fetched_at, found.next_at, found.etag) == (2, NOW, NOW + DAY, '"1"')
    assert found.made_at == datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    assert asked[0].target == "/nasdaq/nasdaqlisted.txt"


async def test_the_next_question_is_conditional_and_nothing_new_changes_nothing(store: Store) -> None:
    async with loopback(reply(200, nasdaq("FROG"), {"ETag": '"1"'}), reply(304, headers={"ETag": '"1"'})) as server:
        await run(store, plan(server.url))
        report = await run(store, plan(server.url), NOW + 2 * DAY)
        assert server.asked[1].headers["if-none-match"] == '"1"'
    assert (report.lists[0].status, report.changed) == ("unchanged", False)
    assert symbols(store) == ["FROG"]
    assert state(store).checked_at == NOW + 2 * DAY


async def test_marks_of_one_address_are_not_sent_to_another(store: Store) -> None:
    await ask(store, reply(200, nasdaq("FROG"), {"ETag": '"1"'}))
    report, asked = await ask(store, reply(200, nasdaq("NEWT")))
    assert "if-none-match" not in asked[0].headers, "a mirror was configured: asked at once, and without marks"
    assert report.lists[0].status == "good"


async def test_nobody_is_asked_before_the_time(store: Store) -> None:
    async with loopback(reply(200, nasdaq("FROG"))) as server:
        await run(store, plan(server.url))
        await run(store, plan(server.url), NOW + DAY / 2)
        assert len(server.asked) == 1
        await run(store, plan(server.url), NOW + DAY / 2, every_list=True)
        await run(store, plan(server.url), NOW + 2 * DAY)
        assert len(server.asked) == 3


async def test_the_sec_is_told_whom_to_write_to_and_left_out_where_nobody_is(store: Store) -> None:
    async with loopback(reply(200, SEC_BODY)) as server:
        report = await run(store, plan(server.url, SEC, contact=None))
        assert [(one.name, one.status) for one in report.lists] == [("sec_tickers", "left out")]
        assert server.asked == []
        await run(store, plan(server.url, SEC))
        assert server.asked[0].headers["user-agent"] == "tracker/1 frog@pond.example"
    assert symbols(store) == ["FROG"]


HTML = reply(200, b"<!DOCTYPE html><html>Sign in</html>", {"Content-Type": "text/html"})
REFUSED: dict[str, tuple[Answer, str, str]] = {
    "403": (reply(403, b"no"), "failed", "access denied"),
    "404": (reply(404, b"no"), "failed", "not found"),
    "429": (reply(429, b"", {"Retry-After": "7200"}), "failed", "too many requests"),
    "500": (reply(500, b""), "failed", "the server failed"),
    "html": (HTML, "refused", "HTML where a list was expected"),
    "empty": (reply(200, b""), "refused", "an empty list"),
    "cut": (reply(200, nasdaq(*TWENTY)[:-60]), "refused", "cut short"),
    "half a gzip": (reply(200, gzip.compress(nasdaq(*TWENTY))[:-20], {"Content-Encoding": "gzip"}), "refused", "cut short"),
    "shrunken": (reply(200, nasdaq(*TWENTY[:17])), "refused", "17 rows where the last one had 20"),
    "elsewhere": (reply(302, b"", {"Location": "http://elsewhere.example/nasdaqlisted.txt"}), "failed", "redirect to another host refused"),
    "reset": (reset(), "failed", "can't be reached"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_whole_list_is_refused_and_the_old_one_stands(store: Store, case: str) -> None:
    answer, status, words = REFUSED[case]
    await ask(store, reply(200, nasdaq(*TWENTY), {"ETag": '"1"'}))
    report, _ = await ask(store, answer, now=NOW + 2 * DAY)
    assert report.lists[0].status == status
    assert words in (report.lists[0].reason or "")
    assert symbols(store) == sorted(TWENTY)
    found = state(store)
    assert (found.rows, found.fetched_at, found.checked_at) == (20, NOW, NOW + 2 * DAY)
    assert words in (found.error or "")
    assert found.next_at is not None
    assert found.next_at >= NOW + 2 * DAY + timedelta(hours=2 if case == "429" else 1)
    healed, _ = await ask(store, reply(200, nasdaq(*TWENTY[1:], "NEWT")), now=NOW + 4 * DAY)
    assert (healed.lists[0].status, state(store).error) == ("good", None)
    assert symbols(store, "retired") == [TWENTY[0]]


async def test_a_first_list_that_is_too_short_is_no_whole_one(store: Store) -> None:
    report, _ = await ask(store, reply(200, nasdaq("FROG")), lists=(replace(NASDAQ, least=3000),))
    assert report.lists[0].reason == "1 rows, and a whole one has 3,000 at least"
    assert symbols(store) == []


async def test_a_person_may_believe_a_list_that_has_shrunk(store: Store) -> None:
    await ask(store, reply(200, nasdaq(*TWENTY)))
    report, _ = await ask(store, reply(200, nasdaq("FROG")), now=NOW + DAY, accept=["nasdaq"])
    assert report.lists[0].status == "good"
    assert len(symbols(store, "retired")) == 20


async def test_one_bad_list_does_not_stop_the_others(store: Store) -> None:
    async def answer(asked: Any, writer: Any) -> None:
        writer.write(reply(200, coins("hop")) if "/coins/" in asked.target else reply(500))
        await writer.drain()

    report, asked = await ask(store, answer, lists=(NASDAQ, SEC, COINS))
    assert {one.name: one.status for one in report.lists} == {"nasdaq": "failed", "sec_tickers": "failed", "coins": "good"}  # fmt: skip
    assert symbols(store) == ["HOP.X"]
    assert len(asked) == 3


async def test_after_a_rate_limit_the_publisher_is_left_alone(store: Store) -> None:
    more = next(replace(spec, least=1) for spec in PUBLISHED if spec.name == "nasdaq_other")
    report, asked = await ask(store, reply(429, b"", {"Retry-After": "600"}), lists=(NASDAQ, more))
    assert [one.status for one in report.lists] == ["failed", "failed"]
    assert len(asked) == 1


async def test_a_failure_of_the_file_leaves_everything_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await ask(store, reply(200, nasdaq("FROG")))

    def breaks(*_: object) -> None:
        raise RuntimeError("the disk")

    monkeypatch.setattr("tracker.store.universe.naive_utc", breaks)
    with pytest.raises(RuntimeError):
        await ask(store, reply(200, nasdaq("FROG", "NEWT")), now=NOW + 2 * DAY)
    monkeypatch.undo()
    assert symbols(store) == ["FROG"]
    assert state(store).checked_at == NOW


# -------------------------------------------------------------------------------------------------------- deciding


def test_what_is_due() -> None:
    the_plan = plan("http://pond.example", NASDAQ, SEC)
    fresh = ListState("nasdaq", NOW, NOW, NOW + DAY, 5, address=the_plan.address(NASDAQ))
    assert [spec.name for spec in due(the_plan, {}, NOW)] == ["nasdaq", "sec_tickers"]
    assert [spec.name for spec in due(the_plan, {"nasdaq": fresh}, NOW)] == ["sec_tickers"]
    assert [spec.name for spec in due(replace(the_plan, contact=None), {}, NOW)] == ["nasdaq"]
    assert [one.name for one in left_out(replace(the_plan, contact=None))] == ["sec_tickers"]


def test_standing_trouble_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tracker.universe_refresh")
    teller = Teller()
    bad = Report((ListReport("nasdaq", "failed", 5, reason="no network", next_at=NOW), ListReport("sec_tickers", "left out", reason="no contact")), None)  # fmt: skip
    idle = Report((ListReport("sec_tickers", "left out", reason="no contact"),), None)
    for report in (bad, idle, bad, idle):
        teller.tell(report)
    assert len(caplog.records) == 1
    fields = caplog.records[0].fields  # type: ignore[attr-defined]
    assert "nasdaq: no network" in fields["reason"]
    assert fields["next_try"] == "2026-03-02 06:00Z"
    teller.tell(Report((ListReport("nasdaq", "good", 5),), None))
    teller.tell(bad)
    assert len(caplog.records) == 2


def test_every_published_list_has_a_publisher_and_a_floor() -> None:
    specs = chosen(NAMES, ("HKG", "LSE"))
    assert {spec.publisher for spec in specs} == set(ADDRESSES)
    assert all(spec.path and spec.least >= 50 for spec in specs)
    assert [spec.name for spec in chosen(DEFAULT, ("HKG",))][-1] == "foreign_HKG"
    assert all(address.startswith("https://") for address in ADDRESSES.values())
    assert sorted(["codes:2021-02", "coins", "screener_nyse", "nasdaq"], key=trust) == ["nasdaq", "coins", "screener_nyse", "codes:2021-02"]  # fmt: skip


# --------------------------------------------------------------------------------------------------------- a folder


def test_a_folder_is_read_like_the_network(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "nasdaqlisted.txt").write_bytes(nasdaq("FROG", "NEWT"))
    (folder / "SEC_company_tickers.json").write_bytes(SEC_BODY)
    (folder / "company_tickers_exchange_2020-01.json").write_bytes(b'{"fields": ["cik", "name", "ticker", "exchange"], "data": [[9, "OLD FROG", "OLDF", "NYSE"]]}')  # fmt: skip
    (folder / "screener_amex.json.gz").write_bytes(gzip.compress(b'[{"symbol": "FROG", "name": "Frog", "marketCap": "9"}]'))  # fmt: skip
    (folder / "coins.json").write_bytes(b"<html>")
    (folder / "notes.md").write_text("not a list")
    readings, others = read_folder(folder, ("HKG",))
    assert others == ["notes.md"]
    with store.writing() as connection:
        report = put_in(connection, readings, NOW, 86_400.0)
        again = put_in(connection, list(reversed(readings)), NOW + DAY, 86_400.0)
    assert {one.name: one.status for one in report.lists} == {
        "nasdaq": "good", "sec_tickers": "good", "sec_exchanges:2020-01": "good", "screener_amex": "good", "coins": "refused",
    }  # fmt: skip
    assert not again.changed
    assert (symbols(store), symbols(store, "retired")) == (["FROG", "NEWT"], ["OLDF"])
    with store.reading() as connection:
        frog = next(row for row in load_rows(connection) if row.symbol == "FROG")
    assert (frog.issuer, frog.market_cap, frog.lists) == ("7", 9.0, ("nasdaq", "screener_amex", "sec_tickers"))


def test_a_folder_without_lists_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no list of securities"):
        read_folder(tmp_path, ())
    with pytest.raises(BadInput, match="can't be read"):
        read_folder(tmp_path / "none", ())


def test_files_are_known_by_their_names() -> None:
    known = {name: of_file(name) for name in ("otherlisted.txt", "us_symbols_2021-02.csv.gz", "HKG.csv", "README.md")}
    assert {name: found and (found[1], found[2]) for name, found in known.items()} == {
        "otherlisted.txt": ("nasdaq_other", False), "us_symbols_2021-02.csv.gz": ("codes:2021-02", True), "HKG.csv": ("foreign_HKG", False), "README.md": None,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder of published lists (TRACKER_SHARED)")
def test_real_lists_are_read_whole_and_twice_is_once(store: Store) -> None:
    readings, _ = read_folder(SHARED, ())
    assert [reading.error for reading in readings if reading.error] == []
    rows = {reading.name: len(reading.parsed.listings) for reading in readings if reading.parsed is not None}
    assert (rows["nasdaq"], rows["nasdaq_other"], rows["sec_tickers"]) == (5355, 6993, 10338)
    odd = {reading.name: reading.parsed.unreadable for reading in readings if reading.parsed is not None}
    assert all(odd[name] <= 0.003 * rows[name] for name in rows), odd
    with store.writing() as connection:
        first = put_in(connection, readings, NOW, 86_400.0)
        again = put_in(connection, list(reversed(readings)), NOW + DAY, 86_400.0)
        listed = {row.symbol: row for row in load_rows(connection) if row.status == "listed"}
    assert first.merged is not None
    assert not again.changed
    assert {"BABA", "9988.HK", "BRK.B", "BAC.PR.B", "BTC.X", "META", "SPY", "ES_F"} <= listed.keys()
    assert (listed["SPY"].kind, listed["BAC.PR.B"].kind, listed["FB"].kind) == ("etf", "preferred", "etf")
    assert "TWTR" not in listed
