"""StockTwits: what is particular to it, beyond the contract of all sources."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, Unavailable
from tracker.http import Access, Http
from tracker.models import Cursor, Message, Page, Stream
from tracker.secret import Secret
from tracker.sources import stocktwits

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SHARED = Path(os.environ.get("TRACKER_SHARED") or Path(__file__).parents[2] / "shared")


def raw(native: int, **more: Any) -> dict[str, Any]:
    """A message as the service sends it; one a second, so that its id tells its time."""
    made = (START + timedelta(seconds=native)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"id": native, "body": f"$BABA number {native}", "created_at": made, "user": {"id": 7}, **more}


class Service:
    """Symbol streams of messages 1…newest, thirty a page, with or without ``max`` being included."""

    size = 30

    def __init__(self, newest: int, oldest: int = 1, *, inclusive: bool = True, head: dict[str, str] | None = None):
        self.newest, self.oldest, self.inclusive, self.head = newest, oldest, inclusive, head or {}
        self.asked: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        newest = self.newest
        if "max" in request.url.params:
            newest = int(request.url.params["max"]) - (0 if self.inclusive else 1)
        shown = [raw(native) for native in range(newest, max(self.oldest - 1, newest - self.size), -1)]
        more = bool(shown) and shown[-1]["id"] > self.oldest
        body = {"response": {"status": 200}, "symbol": {"symbol": "BABA"}, "cursor": {"more": more}, "messages": shown}
        return httpx.Response(200, json=body, headers=self.head)


async def fetch(
    handler: Callable[[httpx.Request], httpx.Response],
    cursor: Cursor | None = None,
    *,
    name: str = "symbol/BABA",
    own: bool = False,
    token: str | None = None,
    overlap_s: float = 10.0,
) -> Page:
    access = Access(
        source="stocktwits",
        base_url=stocktwits.BASE_URL,
        own_base_url=own,
        user_agent="tracker-tests",
        credentials={"access_token": Secret(token)} if token else {},
        overlap_s=overlap_s,
    )
    async with Http(httpx.MockTransport(handler)).session(access) as client:
        return await stocktwits.fetch(client, Stream("stocktwits", name), cursor)


def ids(page: Page) -> set[int]:
    return {int(item.id) for item in page.items if isinstance(item, Message)}


def known(native: int) -> Cursor:
    return {"known": (START + timedelta(seconds=native)).timestamp(), "validators": {}}


# -------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("BABA", "symbol/BABA"),
        ("$baba", "symbol/BABA"),
        (" symbol/brk.b ", "symbol/BRK.B"),
        ("btc.x", "symbol/BTC.X"),
        ("user/4411", "user/4411"),
        ("trending", "trending"),
    ],
)
def test_a_stream_may_be_written_as_people_do(given: str, name: str) -> None:
    assert stocktwits.stream_name(given) == name


@pytest.mark.parametrize("given", ["symbol/", "user/", "user/../x", "symbol/BA BA", "$", "trending/x", "?max=1", "/"])
def test_what_would_change_the_address_is_no_stream(given: str) -> None:
    with pytest.raises(ValueError, match=r"expected symbol/BABA"):
        stocktwits.stream_name(given)


def test_each_symbol_of_the_watch_list_is_a_stream() -> None:
    assert stocktwits.streams(("BABA", "BTC.X")) == ("symbol/BABA", "symbol/BTC.X")


# ------------------------------------------------------------------------------------------------------- fetching


async def test_without_a_key_no_address_has_a_query_string() -> None:
    service = Service(newest=500)
    await fetch(service)
    await fetch(service, known(100))
    assert [str(url) for url in service.asked] == ["https://api.stocktwits.com/api/2/streams/symbol/BABA.json"] * 2


async def test_a_first_page_that_does_not_reach_known_ground_leaves_a_gap() -> None:
    page = await fetch(Service(newest=500), known(100))
    assert ids(page) == set(range(471, 501))
    assert page.gap is not None
    assert page.gap.reason.startswith("first page only")
    assert page.gap.from_at == START + timedelta(seconds=100)
    assert page.gap.to_at == START + timedelta(seconds=471)
    assert not page.more


async def test_a_first_page_that_reaches_known_ground_leaves_none() -> None:
    page = await fetch(Service(newest=500), known(480))
    assert page.gap is None
    assert page.covers_from is not None
    assert page.covers_from <= START + timedelta(seconds=480)


async def test_a_short_page_is_the_whole_stream_and_a_full_one_may_have_been_cut() -> None:
    assert (await fetch(Service(newest=20, oldest=10), known(5))).gap is None
    assert (await fetch(Service(newest=500, oldest=471), known(5))).gap is not None


async def test_a_stream_that_is_empty_all_at_once_is_not_believed() -> None:
    def empty(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"response": {"status": 200}, "cursor": {"more": False}, "messages": []})

    page = await fetch(empty, known(100))
    assert (page.cursor, page.covers_from, page.gap) == (None, None, None)
    assert page.note == "the listing is empty"


@pytest.mark.parametrize("inclusive", [True, False])
async def test_with_an_own_base_url_it_walks_back_whatever_max_means(inclusive: bool) -> None:
    service = Service(newest=200, inclusive=inclusive)
    page = await fetch(service, known(100), own=True)
    assert ids(page) >= set(range(90, 201))
    assert page.gap is None
    assert page.covers_from is not None
    assert page.covers_from <= START + timedelta(seconds=100)
    assert [url.params.get("max") for url in service.asked][:2] == [None, "171"]


async def test_pages_of_one_message_are_walked_too() -> None:
    service = Service(newest=20, oldest=5)
    service.size = 1
    page = await fetch(service, known(18), own=True, overlap_s=0.0)
    assert ids(page) == {20, 19, 18, 17}


async def test_with_a_token_it_walks_back_and_sends_it_each_time() -> None:
    service = Service(newest=100)
    page = await fetch(service, known(50), token="sesame")
    assert page.gap is None
    assert len(service.asked) > 1
    assert {url.params.get("access_token") for url in service.asked} == {"sesame"}


async def test_a_window_that_ends_before_known_ground_leaves_a_gap() -> None:
    page = await fetch(Service(newest=500, oldest=420), known(100), own=True)
    assert ids(page) == set(range(420, 501))
    assert page.gap is not None
    assert "older" in page.gap.reason


async def test_a_service_that_ignores_max_ends_the_poll() -> None:
    service = Service(newest=500)

    def deaf(request: httpx.Request) -> httpx.Response:
        return service(httpx.Request("GET", request.url.copy_remove_param("max")))

    page = await fetch(deaf, known(100), own=True)
    assert page.gap is not None
    assert len(service.asked) == 2


async def test_an_unchanged_answer_asked_for_by_its_etag_moves_nothing() -> None:
    page = await fetch(Service(newest=500, head={"ETag": '"a"'}))
    assert page.cursor is not None

    def unchanged(request: httpx.Request) -> httpx.Response:
        assert request.headers["If-None-Match"] == '"a"'
        return httpx.Response(304)

    second = await fetch(unchanged, page.cursor)
    assert (second.unchanged, second.cursor) == (True, None)


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (404, "Symbol not found", NotFound),
        (429, "Rate limit exceeded. Client may not make more than 200 requests an hour.", RateLimited),
        (403, "no", AccessDenied),
        (503, "no", Unavailable),
        (422, "no", Malformed),
    ],
)
@pytest.mark.parametrize("http_status", [200, None])
async def test_the_status_in_the_body_counts_whatever_the_answer_says(
    status: int, told: str, kind: type[SourceError], http_status: int | None
) -> None:
    body = {"response": {"status": status}, "errors": [{"message": told}]}
    if http_status is None and status == 422:
        kind = Unavailable  # as the one door to the network names it
    with pytest.raises(kind) as caught:
        await fetch(lambda _: httpx.Response(http_status or status, json=body))
    assert caught.value.http_status == status


async def test_an_error_next_to_no_messages_is_not_silence() -> None:
    body = {"response": {"status": 200}, "errors": [{"message": "Symbol not found"}]}
    with pytest.raises(NotFound, match="Symbol not found"):
        await fetch(lambda _: httpx.Response(200, json=body))


@pytest.mark.parametrize("messages", [None, {}, "none", 3])
def test_messages_that_are_no_list_are_malformed(messages: object) -> None:
    with pytest.raises(Malformed, match="messages is not a list"):
        stocktwits.parse(json.dumps({"response": {"status": 200}, "messages": messages}).encode())


# ----------------------------------------------------------------------------------------------------------- fields


def only(**more: Any) -> Message:
    (item,) = stocktwits.parse(json.dumps({"messages": [raw(1, **more)]}).encode())
    assert isinstance(item, Message)
    return item


@pytest.mark.parametrize(
    ("entities", "label"),
    [
        ({"sentiment": {"basic": "Bullish"}}, "bullish"),
        ({"sentiment": {"basic": "Bearish"}}, "bearish"),
        ({"sentiment": {"basic": "Sideways"}}, None),
        ({"sentiment": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_label_is_what_the_author_declared(entities: Any, label: str | None) -> None:
    assert only(entities=entities).label == label


def test_counters_that_are_not_there_are_unknown() -> None:
    found = only()
    assert (found.likes, found.reshares, found.replies) == (None, None, None)


def test_a_reply_does_not_carry_the_counter_of_its_conversation() -> None:
    thread = {"parent_message_id": 9, "in_reply_to_message_id": None, "parent": False, "replies": 40}
    found = only(conversation=thread)
    assert (found.reply_to, found.replies) == ("9", None)


def test_a_reshare_in_the_same_words_is_a_reshare_and_one_with_own_words_is_not() -> None:
    original = {"message": {"id": 5, "body": "up &amp; away"}}
    assert only(body=" up &amp; away ", reshare_message=original).reshare_of == "5"
    assert only(body="", reshare_message=original).text == "up & away"
    quoting = only(body="really?", reshare_message=original)
    assert (quoting.text, quoting.reshare_of) == ("really?", None)


# --------------------------------------------------------------------------------------------------- recorded pages


def test_recorded_streams_give_the_messages_and_labels_that_were_counted_by_hand() -> None:
    files = sorted((SHARED / "samples" / "stocktwits").glob("stream_*.ndjson"))
    if not files:
        pytest.skip("no recorded streams: set TRACKER_SHARED")
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    items = [item for line in lines for item in stocktwits.ARCHIVE["stocktwits"](line)]
    found = {item.id: item for item in items if isinstance(item, Message)}
    assert all(isinstance(item, Message) for item in items)
    assert len(found) == 828
    assert Counter(item.label for item in found.values()) == {"bullish": 291, "bearish": 58, None: 479}
    assert all(item.created_at and item.author and item.symbols and item.url for item in found.values())


def test_recorded_pages_of_2019_and_rankings_are_read() -> None:
    folder = SHARED / "samples" / "stocktwits"
    if not folder.exists():
        pytest.skip("no recorded pages: set TRACKER_SHARED")
    counts = {file.name: len(stocktwits.parse(file.read_bytes())) for file in folder.glob("*.json")}
    assert counts == {
        "page_2019_get_symbol_msgs.json": 30,
        "page_2019_get_user_msgs.json": 5,
        "page_2019_get_specified_conversation_msgs.json": 3,
        "trending_symbols_20260928_trimmed.json": 0,
    }
