"""Hacker News: the walk by time, and what Algolia's answers look like."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tracker.errors import Malformed, SourceError
from tracker.http import Access, Http
from tracker.models import Cursor, Flaw, Message, Page, Stream
from tracker.sources import hackernews

START = 1_772_000_000
SHARED = Path(os.environ.get("TRACKER_SHARED") or Path(__file__).parents[2] / "shared")


class Search:
    """``search_by_date`` over hits ``{id: second}``: bounds, pages and the thousand hits that paging shows."""

    def __init__(self, hits: dict[int, int]):
        self.hits = hits
        self.asked: list[httpx.QueryParams] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/search_by_date"
        params = request.url.params
        self.asked.append(params)
        found = sorted(self.hits.items(), key=lambda hit: (-hit[1], hit[0]))
        for sign, second in re.findall(r"created_at_i([<>])=(\d+)", params.get("numericFilters", "")):
            found = [hit for hit in found if (hit[1] >= int(second) if sign == ">" else hit[1] <= int(second))]
        size, number = int(params["hitsPerPage"]), int(params.get("page", "0"))
        shown = found[:1000][number * size : (number + 1) * size]
        hits = [{"objectID": str(i), "created_at_i": second, "comment_text": f"<p>ale {i}"} for i, second in shown]
        return httpx.Response(200, json={"hits": hits, "page": number, "hitsPerPage": size})


async def fetch(
    handler: Callable[[httpx.Request], httpx.Response],
    cursor: Cursor | None = None,
    *,
    name: str = "new",
    overlap_s: float = 60.0,
    pages: int = 50,
) -> Page:
    access = Access(
        source="hackernews",
        base_url=hackernews.BASE_URL,
        own_base_url=False,
        user_agent="tracker-tests",
        overlap_s=overlap_s,
        max_pages=pages,
    )
    async with Http(httpx.MockTransport(handler)).session(access) as client:
        return await hackernews.fetch(client, Stream("hackernews", name), cursor)


def ids(page: Page) -> set[int]:
    return {int(item.id) for item in page.items if isinstance(item, Message)}


def known(second: int) -> Cursor:
    return {"known": float(START + second), "validators": {}}


def every(seconds: int, number: int) -> dict[int, int]:
    """``number`` hits, one every ``seconds``."""
    return {i: START + i * seconds for i in range(number)}


# --------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    ("given", "name"), [("new", "new"), (" NEW ", "new"), ("query/NVDA", "query/NVDA"), ("Query/a  b/c", "query/a b/c")]
)
def test_a_stream_is_everything_new_or_a_query(given: str, name: str) -> None:
    assert hackernews.stream_name(given) == name


# -------------------------------------------------------------------------------------------------------- fetching


async def test_the_first_poll_asks_for_the_newest_of_stories_and_comments() -> None:
    search = Search(every(10, 250))
    page = await fetch(search)
    assert ids(page) == set(range(150, 250))
    assert [dict(params) for params in search.asked] == [{"tags": "(story,comment)", "hitsPerPage": "100"}]
    assert page.cursor is not None
    assert page.cursor["known"] == START + 2490


async def test_later_polls_ask_from_the_overlap_before_what_is_known() -> None:
    search = Search(every(10, 250))
    page = await fetch(search, known(2400))
    assert search.asked[0]["numericFilters"] == f"created_at_i>={START + 2340}"
    assert ids(page) == set(range(234, 250))
    assert page.covers_from == datetime.fromtimestamp(START + 2340, tz=UTC)
    assert (page.gap, page.more) == (None, False)


async def test_a_burst_beyond_a_thousand_hits_is_walked_by_time() -> None:
    search = Search(every(1, 4000))
    page = await fetch(search, known(500))
    assert ids(page) == set(range(440, 4000))
    assert (page.gap, page.more) == (None, False)
    assert all("page" not in params for params in search.asked)


async def test_a_walk_goes_on_in_the_next_poll() -> None:
    search = Search(every(1, 1000))
    cursor: Cursor | None = known(300)
    found: set[int] = set()
    polls = 0
    more = True
    while more:
        page = await fetch(search, cursor, pages=2)
        cursor, more, polls = json.loads(json.dumps(page.cursor)), page.more, polls + 1
        found |= ids(page)
    assert found == set(range(240, 1000))
    assert polls > 2
    assert page.gap is None


async def test_a_second_that_spans_pages_is_read_by_page_number() -> None:
    crowd = dict.fromkeys(range(1000, 1350), START + 500)
    search = Search(every(1, 900) | crowd)
    page = await fetch(search, known(300))
    assert ids(page) >= set(range(240, 900)) - set(range(1000, 1350)) | set(crowd)
    assert page.gap is None
    assert any(params.get("page") for params in search.asked)


async def test_more_than_a_thousand_hits_in_one_second_leave_a_gap() -> None:
    search = Search({**every(1, 400), **dict.fromkeys(range(5000, 6500), START + 500)})
    page = await fetch(search, known(300))
    assert page.gap is not None
    assert "one second" in page.gap.reason
    assert max(int(params.get("page", "0")) for params in search.asked) == 9


async def test_a_query_is_asked_without_tolerance_for_near_words() -> None:
    search = Search({})
    await fetch(search, name="query/NVDA")
    assert search.asked[0]["query"] == "NVDA"
    assert search.asked[0]["typoTolerance"] == "false"


async def test_a_query_may_find_nothing_but_the_forum_is_never_silent() -> None:
    silent = Search({})
    assert (await fetch(silent, known(10), name="query/NVDA")).covers_from is not None
    page = await fetch(silent, known(10))
    assert page.covers_from is None
    assert page.note == "the listing is empty"


async def test_a_service_that_ignores_the_bounds_ends_the_walk() -> None:
    search = Search(every(1, 400))

    def deaf(request: httpx.Request) -> httpx.Response:
        return search(httpx.Request("GET", request.url.copy_remove_param("numericFilters")))

    page = await fetch(deaf, known(10))
    assert page.gap is not None
    assert len(search.asked) < 10


# ---------------------------------------------------------------------------------------------------------- fields


def only(**hit: Any) -> Message | Flaw:
    (item,) = hackernews.parse(json.dumps({"hits": [{"objectID": "7", **hit}]}).encode())
    assert isinstance(item, Message | Flaw)
    return item


def test_a_title_comes_before_the_text_below_it() -> None:
    found = only(title="AT&amp;T &amp; me", story_text="One.<p>Two &lt;3")
    assert isinstance(found, Message)
    assert found.text.splitlines()[0] == "AT&T & me"
    assert found.text.endswith("Two <3")


@pytest.mark.parametrize("markup", ["<![x[", "ale <![foo[bar]]> ale", "<!", "</", "<a href='", "&#xD800;", "<p><p>"])
def test_no_markup_is_too_broken_for_a_message_or_a_flaw(markup: str) -> None:
    only(comment_text=markup)
    assert isinstance(only(title="a title", story_text=markup), Message)


def test_a_thread_of_any_depth_is_read() -> None:
    deepest: dict[str, Any] = {"id": 0, "type": "comment", "text": "ale 0", "children": []}
    for number in range(1, 150):
        deepest = {"id": number, "type": "comment", "text": f"ale {number}", "children": [deepest]}
    items = hackernews.parse(json.dumps(deepest).encode())
    assert [item.id for item in items if isinstance(item, Message)] == [str(i) for i in range(149, -1, -1)]


@pytest.mark.parametrize("hits", [None, {}, "none", 3])
def test_hits_that_are_no_list_are_malformed(hits: object) -> None:
    with pytest.raises(Malformed, match="hits is not a list"):
        hackernews.parse(json.dumps({"hits": hits}).encode())


def test_an_error_in_place_of_hits_is_told() -> None:
    with pytest.raises(Malformed, match="filters are wrong"):
        hackernews.parse(b'{"message": "filters are wrong", "status": 400}')


def test_recorded_answers_are_read() -> None:
    folder = SHARED / "samples" / "hackernews"
    if not folder.exists():
        pytest.skip("no recorded answers: set TRACKER_SHARED")
    counts = {}
    for file in folder.glob("*.json"):
        items = hackernews.ARCHIVE["hackernews"](file.read_bytes())
        assert all(isinstance(item, Message) and item.created_at and item.author for item in items)
        counts[file.name] = len(items)
    # 24 hits and an item with two replies; the author's page and the empty answers hold none
    assert counts == {"algolia_2014_26_responses.json": 27, "algolia_search_20260928_trimmed.json": 2}


# -------------------------------------------------------------------------------------------------------- re-check


async def rechecked(answer: httpx.Response, id_: str = "77", *, own: bool = False) -> list[str]:
    asked: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answer

    other = () if own else hackernews.OTHER_URLS
    access = Access("hackernews", hackernews.BASE_URL, own, "tests", other_urls=other)
    async with Http(httpx.MockTransport(server)).session(access) as client:
        found = await hackernews.recheck(client, [id_])
    assert asked == [f"https://hacker-news.firebaseio.com/v0/item/{id_}.json"]
    return [str(deletion.id) for deletion in found]


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ({"id": 77, "type": "comment", "by": "newt", "text": "frogs"}, False),
        ({"id": 77, "type": "comment", "deleted": True}, True),
        ({"id": 77, "type": "story", "title": "[flagged]", "dead": True}, True),
        ({"id": 77, "deleted": False, "dead": "true"}, False),
        ({"id": 78, "deleted": True}, False),
        ({"deleted": True}, False),
        (None, False),  # not known, or not visible yet
    ],
)
async def test_gone_is_what_the_site_calls_deleted_or_dead(said: Any, gone: bool) -> None:
    assert await rechecked(httpx.Response(200, text=json.dumps(said))) == (["77"] if gone else [])


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html></html>"),
        httpx.Response(200, text=""),
        httpx.Response(200, json=[]),
        httpx.Response(401, json={"error": "Permission denied"}),
        httpx.Response(404),
        httpx.Response(429),
        httpx.Response(500),
    ],
)
async def test_what_is_no_answer_about_a_stored_message_is_an_error(answer: httpx.Response) -> None:
    with pytest.raises(SourceError):
        await rechecked(answer)


async def test_with_an_address_of_ones_own_the_other_host_is_never_asked() -> None:
    with pytest.raises(ValueError, match="only its own host is asked"):
        await rechecked(httpx.Response(200, text="null"), own=True)
    assert hackernews.RECHECK_ELSEWHERE


@pytest.mark.parametrize(("id_", "can"), [("41", True), ("", False), ("4/1", False), ("٤", False), ("1" * 20, False)])
def test_only_numbers_can_be_asked_about(id_: str, can: bool) -> None:
    assert hackernews.recheckable(hackernews.BASE_URL, id_) is can
