"""How the app asks sources whose streams live on many hosts, and what `tracker check` says of each source."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
from click.testing import CliRunner
from fakes import FakeClock, rows

from tracker import sources
from tracker.app import App
from tracker.cli import main
from tracker.http import Gate
from tracker.parts import load_config, target_of
from tracker.poller import Target, settle

FEEDS = 'streams = ["yahoo/BABA", "yahoo/JD", "globenewswire", "feed/http://127.0.0.1:9/x"]'


def target(folder: Path, text: str, gates: dict[str, Gate] | None = None) -> Target:
    path = folder / "config.toml"
    path.write_text(f"[sources.rss]\n{text}\n", encoding="utf-8")
    return target_of(load_config(str(path), {}).sources["rss"], {} if gates is None else gates)


def test_each_stream_is_asked_at_its_own_host_and_streams_of_one_host_share_a_limit(tmp_path: Path) -> None:
    gates: dict[str, Gate] = {}
    found = target(tmp_path, FEEDS, gates)
    plans = [found.plan_of(stream) for stream in found.streams]
    assert [plan.access.base_url for plan in plans] == [
        "https://feeds.finance.yahoo.com", "https://feeds.finance.yahoo.com", "https://www.globenewswire.com", "http://127.0.0.1:9"
    ]  # fmt: skip
    assert [plan.scope for plan in plans] == [
        "host:feeds.finance.yahoo.com", "host:feeds.finance.yahoo.com", "host:www.globenewswire.com", "host:127.0.0.1"
    ]  # fmt: skip
    assert plans[0].gate is plans[1].gate is gates["host:feeds.finance.yahoo.com"]
    assert plans[0].gate is not plans[2].gate
    assert {plan.brings for plan in plans} == {"news"}
    assert not any(plan.access.other_urls or plan.access.own_base_url for plan in plans)


def test_a_mirror_of_the_operator_is_asked_for_all_of_them(tmp_path: Path) -> None:
    found = target(tmp_path, f'base_url = "http://127.0.0.1:9/feeds"\n{FEEDS}')
    assert found.homes == {}
    assert {found.plan_of(stream).access.base_url for stream in found.streams} == {"http://127.0.0.1:9/feeds"}
    assert {found.pool_of(stream) for stream in found.streams} == {"rss"}


def test_a_fresh_install_reads_two_news_feeds_and_one_list_and_no_undocumented_interface(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("", encoding="utf-8")
    found = load_config(str(path), {}).sources
    assert len(found["rss"].streams) == 2
    assert {name for name in found if found[name].enabled and sources.brings(name) != "talk"} == {"rss", "apewisdom"}
    for name in ("prices_yahoo", "prices_nasdaq", "options_cboe", "stocktwits_firestream"):
        assert sources.load(name).NEEDS_ACKNOWLEDGEMENT


def test_switched_on_without_acknowledgement_is_off(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[watchlist]\nsymbols = ["BABA"]\n[sources.prices_yahoo]\nenabled = true\n', encoding="utf-8")
    settings = load_config(str(path), {}).sources["prices_yahoo"]
    assert not settings.enabled
    assert "acknowledge" in (settings.off_reason or "")


def test_check_says_of_each_source_whether_it_is_on_why_its_terms_and_what_a_key_would_add(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        f'[tracker]\ndata_dir = "{tmp_path}"\n[watchlist]\nsymbols = ["BABA"]\n'
        "[sources.tradestie]\nenabled = true\n[sources.apewisdom]\nenabled = false\n"
        "[sources.prices_yahoo]\nenabled = true\nacknowledge_terms = true\n"
        '[sources.reddit]\nenabled = true\nfeed_token = "a"\nfeed_user = "b"\nclient_id = "c"\nclient_secret = "d"\n',
        encoding="utf-8",
    )
    found = CliRunner().invoke(main, ["--config", str(path), "check", "--json"])
    assert found.exit_code == 0, found.output
    told = {verdict["what"]: verdict for verdict in json.loads(found.stdout)}
    assert {f"source {name}" for name in sources.names()} <= set(told)
    for name in sources.names():
        said = told[f"source {name}"]["said"]
        assert f"; terms: {sources.load(name).TERMS}" in said
        assert f"; brings {sources.brings(name)}" in said
    said = {name: told[f"source {name}"]["said"] for name in sources.names()}
    assert said["rss"].startswith("on, by default: 2 streams every 600 s")
    assert said["tradestie"].startswith("on, switched on: 1 streams")
    assert said["prices_yahoo"].startswith("on, its terms are acknowledged: 1 streams")
    assert said["apewisdom"].startswith("off: switched off (enabled = false)")
    assert said["prices_nasdaq"].startswith("off: off by default")
    assert (
        f"could use username, password: {sources.load('stocktwits_firestream').KEY_ADDS}"
        in said["stocktwits_firestream"]
    )  # type: ignore[attr-defined]
    assert "could use" not in said["reddit"]


# ------------------------------------------------------------------------------------------------------- a story


class Places:
    """The hosts of three sources, as they would answer; each request is remembered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[httpx.Headers] = []
        self.items = ["GameStop Corp. (NYSE: GME) opens a pond"]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        self.headers.append(request.headers)
        if request.url.host == "apewisdom.io":
            return httpx.Response(200, json={"pages": 1, "results": [{"ticker": "GME", "rank": 1, "mentions": 7}]})
        if request.url.host == "www.prnewswire.com":
            return httpx.Response(429, headers={"retry-after": "7200"})
        if request.headers.get("if-none-match") == f'"{len(self.items)}"':
            return httpx.Response(304)
        told = "".join(f"<item><title>{title}</title></item>" for title in self.items)
        body = f"<rss><channel><title>Wire</title>{told}</channel></rss>"
        return httpx.Response(200, content=body.encode(), headers={"etag": f'"{len(self.items)}"'})


async def poll_once(folder: Path, places: Places, clock: FakeClock) -> App:
    """A process that is started, polls what is due, stores it, takes its readings and ends."""
    off = "".join(
        f"[sources.{name}]\nenabled = false\n" for name in sources.names() if name not in ("rss", "apewisdom")
    )
    path = folder / "config.toml"
    path.write_text(f'[tracker]\ndata_dir = "{folder}"\n[universe]\nenabled = false\n{off}', encoding="utf-8")
    app = App(load_config(str(path), {}), clock, httpx.MockTransport(places))
    await app.open()
    await settle(app.poll_due())
    clock.advance(400)
    await app.flush()
    await app.rollup()
    await app.close()
    assert app.failure is None
    return app


async def test_an_afternoon_of_news_and_ranks_over_two_processes(tmp_path: Path) -> None:
    places, clock = Places(), FakeClock()
    app = await poll_once(tmp_path, places, clock)
    assert sorted(places.asked) == ["apewisdom.io", "www.globenewswire.com", "www.prnewswire.com"]
    assert rows(app.store, "SELECT title, symbols, publisher FROM headlines") == [(places.items[0], ["GME"], "Wire")]
    assert rows(app.store, "SELECT service, stream, symbol, rank, mentions, window_name FROM crosscheck") == [
        ("apewisdom", "filter/all-stocks", "GME", 1, 7, "24h")
    ]
    assert rows(app.store, "SELECT scope FROM limits") == [("host:www.prnewswire.com",)]

    places.items.append("$BABA buys the pond")
    clock.advance(1800)
    app = await poll_once(tmp_path, places, clock)
    assert places.asked.count("www.prnewswire.com") == 1, "its named time holds over a restart, for its host alone"
    assert places.asked.count("www.globenewswire.com") == 2
    assert rows(app.store, "SELECT title FROM headlines ORDER BY title") == [(title,) for title in sorted(places.items)]
    asked = rows(app.store, "SELECT stream, status, added FROM polls WHERE source = 'rss' ORDER BY started_at, stream")
    assert asked == [("globenewswire", "ok", 1), ("prnewswire", "rate_limited", 0), ("globenewswire", "ok", 1)]

    clock.advance(1800)
    app = await poll_once(tmp_path, places, clock)
    assert rows(app.store, "SELECT status FROM polls WHERE source = 'rss' ORDER BY started_at DESC LIMIT 1") == [
        ("unchanged",)
    ]
    assert rows(app.store, "SELECT count(*) FROM crosscheck") == [(3,)]
    for table in ("messages", "mentions", "buckets", "readings", "coverage_hours", "coverage", "gaps"):
        assert rows(app.store, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert not any("mozilla" in headers["user-agent"].lower() for headers in places.headers)
