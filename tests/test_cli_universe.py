"""The universe as a person meets it: the commands, the configuration, and the running tracker that takes a new one up."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fakes import FakeClock, make_batch, rows
from loopback import loopback, reply

from tracker.app import App
from tracker.cli import main
from tracker.config import Config
from tracker.errors import ConfigError
from tracker.models import Message
from tracker.parts import load_config, store_of, universe_plan
from tracker.sources import names
from tracker.verdicts import load_verdicts, save_verdicts


def nasdaq(*symbols: str) -> bytes:
    head = "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares"
    listed = [f"{symbol}|{symbol} Pond Inc.|Q|N|N|100|N|N" for symbol in symbols]
    return "\r\n".join([head, *listed, "File Creation Time: 0301202618:30|||||||", ""]).encode()


SOURCES = "".join(f"\n[sources.{name}]\nenabled = false\n" for name in names())


def configured(folder: Path, text: str = "", contact: str = "") -> Path:
    path = folder / "config.toml"
    path.write_text(f'[tracker]\ndata_dir = "data"\ncontact = "{contact}"\n{SOURCES}{text}', encoding="utf-8")
    return path


def config_of(folder: Path, text: str = "", contact: str = "") -> Config:
    return load_config(str(configured(folder, text, contact)), {})


def ask(config: Path, *arguments: str, code: int = 0) -> Any:
    found = CliRunner().invoke(main, ["--config", str(config), *arguments])
    assert found.exit_code == code, found.output
    return json.loads(found.stdout) if "--json" in arguments else found


# --------------------------------------------------------------------------------------------------- configuration


def test_out_of_the_box_all_but_the_funds_are_fetched_and_the_sec_needs_a_contact(tmp_path: Path) -> None:
    plan = universe_plan(config_of(tmp_path))
    assert {spec.name for spec in plan.lists} >= {"nasdaq", "nasdaq_other", "sec_tickers", "coins", "foreign_HKG"}
    assert "sec_funds" not in {spec.name for spec in plan.lists}
    assert plan.contact is None
    assert "frog@pond.example" in str(universe_plan(config_of(tmp_path, contact="frog@pond.example")).contact)
    assert universe_plan(config_of(tmp_path, contact="https://pond.example")).contact is None, "no address to write to"
    own = '[http]\nuser_agent = "pond frog@pond.example"\n'
    assert universe_plan(config_of(tmp_path, own)).contact == "pond frog@pond.example"


def test_a_mirror_takes_the_place_of_a_publisher(tmp_path: Path) -> None:
    text = '[universe]\nlists = ["nasdaq"]\nevery = "2h"\n[universe.addresses]\nnasdaq = "https://mirror.example/n/"\n'
    plan = universe_plan(config_of(tmp_path, text))
    assert [plan.address(spec) for spec in plan.lists] == ["https://mirror.example/n/nasdaqlisted.txt"]
    assert plan.every_s == 7200.0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('lists = ["nyse"]', "universe.lists[0]"), ('foreign = ["../x"]', "universe.foreign[0]"), ("every = 0", "universe.every"),
        ('addresses = { sec = "ftp://x" }', "universe.addresses.sec"), ('addresses = { nyse = "https://x" }', "universe.addresses.nyse"), ("evry = 1", "universe.evry"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_table_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint.replace("[", r"\[")):
        config_of(tmp_path, f"[universe]\n{line}\n")


# -------------------------------------------------------------------------------------------------------- commands


def test_a_folder_is_read_and_its_state_shown(tmp_path: Path) -> None:
    config, folder = configured(tmp_path), tmp_path / "lists"
    folder.mkdir()
    (folder / "nasdaqlisted.txt").write_bytes(nasdaq("ZZFRG", "ZZNWT"))
    (folder / "notes.md").write_text("no list")
    found = ask(config, "universe", "refresh", "--from", str(folder))
    assert "2 new" in found.stderr
    assert "notes.md" in found.stderr
    told = ask(config, "universe", "refresh", "--from", str(folder), "--json")
    assert [(row["list"], row["status"], row["symbols"]) for row in told] == [("nasdaq", "good", 2)]
    (folder / "nasdaqlisted.txt").write_bytes(nasdaq("ZZFRG"))
    told = ask(config, "universe", "refresh", "--from", str(folder), "--json", code=1)
    assert "more than a tenth is missing" in told[0]["reason"]
    told = ask(config, "universe", "refresh", "--from", str(folder), "--accept", "nasdaq", "--json")
    assert told[0]["status"] == "good"
    (state,) = ask(config, "universe", "status", "--json")
    assert (state["list"], state["symbols"], state["error"]) == ("nasdaq", 1, None)
    assert "stock" in ask(config, "universe", "status").stdout
    (folder / "nasdaqlisted.txt").rename(folder / "gone.txt")
    (folder / "otherlisted.txt").write_text("<!DOCTYPE html><html><body>please log in</body></html>")
    told = ask(config, "universe", "refresh", "--from", str(folder), "--json", code=1)
    assert {(row["list"], row["status"], row["symbols"]) for row in told} == {("nasdaq", "failed", 1), ("nasdaq_other", "refused", None)}  # fmt: skip
    assert any("not there any more" in row["reason"] and "nasdaqlisted.txt" in row["reason"] for row in told)
    (tmp_path / "none").mkdir()
    assert "no list of securities" in ask(config, "universe", "refresh", "--from", str(tmp_path / "none"), code=2).stderr  # fmt: skip


def said(folder: Path, *texts: str) -> Path:
    """A tracker that has heard these messages."""
    config = configured(folder)
    ask(config, "rebuild")
    store = store_of(load_config(str(config), {}))
    at = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
    items = [Message("pond", str(n), at, text) for n, text in enumerate(texts)]
    store.keep(make_batch(*items))
    store.flush()
    return config


def test_new_tokens_are_shown_and_what_is_said_of_them_is_kept(tmp_path: Path) -> None:
    config = said(tmp_path, "big ZOFO here", "ZOFO again", "ZOFO <b>now", "so it is")
    (shown,) = ask(config, "mentions", "review", "--json")
    assert (shown["token"], shown["messages"], shown["dollar_share"], len(shown["samples"])) == ("ZOFO", 3, 0.0, 3)
    ask(config, "mentions", "review", "--no", "zofo", "--yes", "HOPR")
    assert load_verdicts(tmp_path / "data").block == {"ZOFO"}
    assert ask(config, "mentions", "review", "--json") == []
    assert "HOPR\tyes" in (tmp_path / "data" / "verdicts.tsv").read_text()
    ask(config, "mentions", "review", "--no", "X", "--yes", "X", code=2)
    ask(config, "mentions", "review", "--day", "soon", code=2)


# ----------------------------------------------------------------------------------------------------- the daemon


async def opened(config: Config, transport: httpx.AsyncBaseTransport | None = None) -> App:
    app = App(config, FakeClock(), transport)
    await app.open()
    return app


def nobody(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route to host")


async def test_without_a_network_nothing_stops_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    app = await opened(config_of(tmp_path), httpx.MockTransport(nobody))
    try:
        for _ in range(2):
            await app.refresh_universe()
        before = len(rows(app.store, "SELECT symbol FROM symbols"))
    finally:
        await app.close()
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in warned] == ["some lists of symbols can't be had; what is known stands"]
    assert {"reason", "next_try"} <= warned[0].fields.keys()  # type: ignore[attr-defined]
    assert before > 1000
    assert app.failure is None


async def test_a_new_universe_is_taken_up_without_a_restart_and_kept_over_one(tmp_path: Path) -> None:
    many = [f"ZZ{chr(65 + n // 26 % 26)}{chr(65 + n % 26)}{chr(65 + n // 676)}" for n in range(3001)]
    async with loopback(reply(200, nasdaq(*many))) as server:
        text = f'[universe]\nlists = ["nasdaq"]\n[universe.addresses]\nnasdaq = "{server.url}"\n'
        config = config_of(tmp_path, text)
        app = await opened(config)
        try:
            first = app.analysis
            await app.refresh_universe()
            assert app.analysis is not first
            assert [m.symbol for m in app.analysis.finder.find(f"${many[0]} up")] == [many[0]]
            second = app.analysis
            await app.refresh_universe()
            assert app.analysis is second, "nothing new"
            save_verdicts(config.tracker.data_dir, {"GME": False})
            await app.refresh_universe()
            assert app.analysis is not second
            assert app.analysis.finder.counted(app.analysis.finder.find("GME calls")) == []
        finally:
            await app.close()
        again = await opened(config)
        try:
            assert again.analysis.finder.counted(again.analysis.finder.find("GME calls")) == []
            assert len(server.asked) == 1
        finally:
            await again.close()
    assert rows(app.store, "SELECT count(*) FROM symbols WHERE list_contains(lists, 'nasdaq')") == [(3001,)]


async def test_switched_off_nobody_is_asked(tmp_path: Path) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(500)

    app = await opened(config_of(tmp_path, "[universe]\nenabled = false\n"), httpx.MockTransport(answer))
    try:
        await app.refresh_universe()
    finally:
        await app.close()
    assert asked == []
