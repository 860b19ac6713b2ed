"""Nasdaq's history: where a poll begins, and the error that comes as an answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from loopback import loopback, reply

from tracker.errors import Malformed, NotFound
from tracker.http import Access, Http
from tracker.models import Cursor, Page, PriceBar, Stream
from tracker.sources import prices_nasdaq as nasdaq

SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).parents[1] / ".." / "shared"))
SAMPLE = (Path(__file__).parent / "samples" / "prices_nasdaq.rows.json").read_bytes()
UNKNOWN = b'{"data":null,"message":null,"status":{"rCode":400,"bCodeMessage":[{"code":1001,"errorMessage":"Symbol not exists."}]}}'


async def fetch(base_url: str, cursor: Cursor | None = None, name: str = "daily/BABA") -> Page:
    access = Access(source="prices_nasdaq", base_url=base_url, own_base_url=True, user_agent="tests")
    async with Http().session(access) as client:
        return await nasdaq.fetch(client, Stream("prices_nasdaq", name), cursor)


async def test_a_later_poll_begins_a_week_before_the_newest_bar() -> None:
    async with loopback(reply(200, SAMPLE)) as server:
        first = await fetch(server.url)
        await fetch(server.url, first.cursor, "etf/SPY")
    assert [asked.target for asked in server.asked] == [
        "/api/quote/BABA/historical?assetclass=stocks&limit=9999",
        "/api/quote/SPY/historical?assetclass=etf&limit=9999&fromdate=2026-11-13",
    ]
    assert first.covers_from is None


async def test_an_unknown_symbol_is_not_found_though_the_status_is_200() -> None:
    async with loopback(reply(200, UNKNOWN)) as server:
        with pytest.raises(NotFound, match="Symbol not exists"):
            await fetch(server.url)


def test_another_error_is_malformed() -> None:
    with pytest.raises(Malformed, match="error"):
        nasdaq.parse(b'{"data":null,"status":{"rCode":500}}')


@pytest.mark.skipif(not (SHARED / "samples" / "prices").is_dir(), reason="no recorded prices here (TRACKER_SHARED)")
def test_recorded_bars_are_read_without_a_flaw() -> None:
    for path in (SHARED / "samples" / "prices").glob("nasdaq_historical_*_trimmed.json"):
        found = nasdaq.parse(path.read_bytes())
        assert len(found) == 10
        assert all(isinstance(item, PriceBar) and item.volume for item in found)
