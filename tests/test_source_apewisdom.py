"""ApeWisdom: pages from the top down, no further than they go and than is allowed."""

from __future__ import annotations

import json

import pytest
from loopback import loopback, reply

from tracker.errors import Malformed
from tracker.http import Access, Http
from tracker.models import Page, Rank, Stream
from tracker.sources import apewisdom


def page_of(number: int, pages: object) -> bytes:
    results = [{"rank": number * 10, "ticker": f"A{chr(64 + number)}", "mentions": number}]
    return reply(200, json.dumps({"pages": pages, "current_page": number, "results": results}).encode())


async def fetch(base_url: str, pages: int) -> Page:
    access = Access(source="apewisdom", base_url=base_url, own_base_url=True, user_agent="tests", max_pages=pages)
    async with Http().session(access) as client:
        return await apewisdom.fetch(client, Stream("apewisdom", "filter/all-stocks"), None)


@pytest.mark.parametrize(("allowed", "told", "asked"), [(2, 7, 2), (5, 2, 2), (3, "2", 2), (3, None, 1), (3, 0, 1)])
async def test_pages_are_read_as_far_as_they_go_and_as_is_allowed(allowed: int, told: object, asked: int) -> None:
    async with loopback(*(page_of(number, told) for number in range(1, 8))) as server:
        page = await fetch(server.url, allowed)
    assert [one.target for one in server.asked] == [f"/filter/all-stocks/page/{n}" for n in range(1, asked + 1)]
    assert [item.rank for item in page.items if isinstance(item, Rank)] == [10 * n for n in range(1, asked + 1)]
    assert (page.covers_from, page.gap, page.more) == (None, None, False)


async def test_an_empty_list_is_said() -> None:
    async with loopback(reply(200, b'{"pages": 0, "results": []}')) as server:
        assert (await fetch(server.url, 2)).note == "the list is empty"


async def test_an_answer_of_another_shape_is_malformed() -> None:
    async with loopback(reply(200, b'{"error": "down"}')) as server:
        with pytest.raises(Malformed, match="results"):
            await fetch(server.url, 2)


@pytest.mark.parametrize("given", [" Filter/All-Stocks ", "filter/all-stocks"])
def test_a_filter_has_one_name(given: str) -> None:
    assert apewisdom.stream_name(given) == "filter/all-stocks"


@pytest.mark.parametrize("given", ["all-stocks", "filter/", "filter/a/b", "filter/../x", "page/2"])
def test_what_is_no_filter_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected filter/NAME"):
        apewisdom.stream_name(given)
