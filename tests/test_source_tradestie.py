"""Tradestie: one list, one request."""

from __future__ import annotations

from loopback import loopback, reply

from tracker.http import Access, Http
from tracker.models import Rank, Stream
from tracker.sources import tradestie


async def test_the_list_is_one_request_and_its_order_is_the_rank() -> None:
    body = b'[{"ticker": "GME", "no_of_comments": 9}, {"ticker": "ON", "no_of_comments": 4, "sentiment_score": "-0.5"}]'
    async with loopback(reply(200, body)) as server:
        access = Access(source="tradestie", base_url=server.url, own_base_url=True, user_agent="tests")
        async with Http().session(access) as client:
            page = await tradestie.fetch(client, Stream("tradestie", "wallstreetbets"), None)
    assert [asked.target for asked in server.asked] == ["/reddit"]
    assert page.items == (
        Rank("tradestie", "GME", rank=1, mentions=9),
        Rank("tradestie", "ON", rank=2, mentions=4, sentiment=-0.5),
    )
    assert page.covers_from is None
