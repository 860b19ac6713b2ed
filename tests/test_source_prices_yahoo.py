"""Yahoo's charts: how far back a poll reaches, and what of an answer is a bar."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from loopback import loopback, reply

from tracker.errors import Malformed, NotFound, RateLimited
from tracker.http import Access, Http
from tracker.models import Cursor, Flaw, Page, PriceBar, Stream
from tracker.sources import prices_yahoo as yahoo

SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).parents[1] / ".." / "shared"))
OPEN = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def chart(*starts: datetime, symbol: str = "BABA", width: str = "1d", **meta: Any) -> dict[str, Any]:
    stamps = [int(start.timestamp()) for start in starts]
    quote = {name: [10.0 + n for n in range(len(stamps))] for name in ("open", "high", "low", "close")}
    meta = {"symbol": symbol, "dataGranularity": width, "gmtoffset": -18000, **meta}
    return {"chart": {"result": [{"meta": meta, "timestamp": stamps, "indicators": {"quote": [quote]}}], "error": None}}


def bars(document: dict[str, Any]) -> list[PriceBar]:
    found = yahoo.parse(json.dumps(document).encode())
    assert not any(isinstance(item, Flaw) for item in found)
    return [item for item in found if isinstance(item, PriceBar)]


async def fetch(base_url: str, cursor: Cursor | None = None, name: str = "daily/BRK.B") -> Page:
    access = Access(source="prices_yahoo", base_url=base_url, own_base_url=True, user_agent="tests")
    async with Http().session(access) as client:
        return await yahoo.fetch(client, Stream("prices_yahoo", name), cursor)


def answer(*starts: datetime) -> bytes:
    return reply(200, json.dumps(chart(*starts)).encode())


async def test_the_first_poll_reaches_far_and_the_next_ones_do_not() -> None:
    async with loopback(answer(OPEN, OPEN + DAY)) as server:
        first = await fetch(server.url)
        await fetch(server.url, first.cursor)
    asked = [urlsplit(one.target) for one in server.asked]
    assert [one.path for one in asked] == ["/v8/finance/chart/BRK-B"] * 2
    assert [parse_qs(one.query)["range"] for one in asked] == [["1y"], ["1mo"]]
    assert {item.symbol for item in first.items if isinstance(item, PriceBar)} == {"BRK.B"}
    assert (first.covers_from, first.more) == (None, False)


async def test_after_a_longer_absence_a_poll_reaches_back_as_far_as_the_first() -> None:
    long_ago = {"known": (OPEN - 90 * DAY).timestamp(), "behind": False}
    async with loopback(answer(OPEN), answer(OPEN - 100 * DAY, OPEN)) as server:
        behind = await fetch(server.url, long_ago)
        again = await fetch(server.url, behind.cursor)
    assert behind.more
    assert behind.items
    assert [parse_qs(urlsplit(one.target).query)["range"] for one in server.asked] == [["1mo"], ["1y"]]
    assert not again.more
    assert again.cursor == {"known": OPEN.replace(hour=0, minute=0).timestamp(), "behind": False}


async def test_what_can_not_be_had_any_more_does_not_make_it_ask_for_ever() -> None:
    async with loopback(answer(OPEN)) as server:
        page = await fetch(server.url, {"known": 1.0, "behind": True})
        assert not page.more
        assert not (await fetch(server.url, page.cursor)).more


async def test_a_chart_without_bars_leaves_the_cursor() -> None:
    async with loopback(answer()) as server:
        page = await fetch(server.url)
    assert (page.items, page.cursor, page.note) == ((), None, "no bars")


async def test_refusals_are_told_apart() -> None:
    gone = b'{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found"}}}'
    async with loopback(reply(404, gone), reply(429, b"Edge: Too Many Requests"), reply(200, gone)) as server:
        for expected in (NotFound, RateLimited, NotFound):
            with pytest.raises(expected):
                await fetch(server.url)


@pytest.mark.parametrize("body", [b'{"chart":null}', b'{"chart":{"result":[]}}', b'{"finance":{}}'])
def test_what_is_no_chart_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        yahoo.parse(body)


def test_a_daily_bar_lies_on_its_trading_date_wherever_the_market_is() -> None:
    assert [bar.start_at.date().isoformat() for bar in bars(chart(OPEN))] == ["2026-11-16"]
    hong_kong = chart(datetime(2026, 11, 16, 1, 30, tzinfo=UTC), symbol="9988.HK", gmtoffset=28800)
    assert [bar.start_at for bar in bars(hong_kong)] == [datetime(2026, 11, 16, tzinfo=UTC)]
    assert bars(hong_kong)[0].session == "regular"


@pytest.mark.parametrize(
    "chart_of", [{"symbol": "BTC-USD"}, {"symbol": "ES=F", "instrumentType": "FUTURE"}, {"instrumentType": "CURRENCY"}]
)
def test_what_never_closes_has_no_session(chart_of: dict[str, Any]) -> None:
    for width in ("1d", "5m"):
        assert [bar.session for bar in bars(chart(OPEN, width=width, gmtoffset=0, **chart_of))] == [None]


def test_the_last_trade_is_no_bar() -> None:
    found = bars(chart(OPEN, OPEN + timedelta(seconds=301), width="5m"))
    assert [bar.start_at for bar in found] == [OPEN]


@pytest.mark.skipif(not (SHARED / "samples" / "prices").is_dir(), reason="no recorded prices here (TRACKER_SHARED)")
def test_a_recorded_chart_is_read() -> None:
    for path in (SHARED / "samples" / "prices").glob("yahoo_chart_*.json"):
        (bar,) = bars(json.loads(path.read_bytes())["response"]["bodyJson"])
        assert bar.width_s == 86_400
        assert bar.low is not None
        assert bar.low <= bar.close
