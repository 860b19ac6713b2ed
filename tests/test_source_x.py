"""X: the paid search, and archives in the classic form."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tracker.errors import AccessDenied, Malformed, SourceError
from tracker.http import Access, Http
from tracker.models import Cursor, Flaw, Message, Page, Stream
from tracker.secret import Secret
from tracker.sources import x

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SHARED = Path(os.environ.get("TRACKER_SHARED") or Path(__file__).parents[2] / "shared")


def moment(second: int) -> str:
    return (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Search:
    """``search/recent`` over messages 1…newest, one a second, a hundred a page; refuses a start before ``oldest``."""

    def __init__(self, newest: int, oldest: int = 1):
        self.newest, self.oldest = newest, oldest
        self.tokens_end_with = ""
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        params = request.url.params
        start = self.oldest
        if "start_time" in params:
            start = int((datetime.fromisoformat(params["start_time"]) - START).total_seconds())
        newest = self.newest
        if token := params.get("next_token"):
            if not token.endswith(self.tokens_end_with):
                return httpx.Response(400, json={"title": "Invalid Request"})
            newest = int(token.split("-")[1])
        if start < self.oldest:
            return httpx.Response(400, json={"title": "Invalid Request", "detail": "'start_time' must be on or after"})
        shown = range(newest, max(start - 1, newest - 100), -1)
        meta: dict[str, Any] = {"result_count": len(shown)}
        if len(shown) and shown[-1] > start:
            meta["next_token"] = f"t-{shown[-1] - 1}-{self.tokens_end_with}"
        data = [{"id": str(i), "text": f"$AMD {i}", "created_at": moment(i), "author_id": "9"} for i in shown]
        return httpx.Response(200, json={"meta": meta, **({"data": data} if data else {})})


async def fetch(
    handler: Callable[[httpx.Request], httpx.Response],
    cursor: Cursor | None = None,
    *,
    bearer: str | None = "sesame",
    pages: int = 50,
) -> Page:
    access = Access(
        source="x",
        base_url=x.BASE_URL,
        own_base_url=False,
        user_agent="tracker-tests",
        credentials={"bearer_token": Secret(bearer)} if bearer else {},
        overlap_s=10.0,
        max_pages=pages,
    )
    async with Http(httpx.MockTransport(handler)).session(access) as client:
        return await x.fetch(client, Stream("x", "search/($AMD OR $NVDA) -is:retweet"), cursor)


def ids(page: Page) -> set[int]:
    return {int(item.id) for item in page.items if isinstance(item, Message)}


def known(second: int) -> Cursor:
    return {"known": (START + timedelta(seconds=second)).timestamp(), "validators": {}}


# --------------------------------------------------------------------------------------------------------- streams


def test_the_watch_list_is_one_query_without_reshares() -> None:
    assert x.streams(("AMD", "BRK.B")) == ("search/($AMD OR $BRK.B) -is:retweet",)
    assert x.streams(()) == ()


def test_a_long_watch_list_becomes_several_queries_that_each_fit() -> None:
    symbols = tuple(f"SYM{number}" for number in range(200))
    found = x.streams(symbols)
    assert len(found) > 1
    assert all(len(stream.removeprefix("search/")) <= x.QUERY_LENGTH for stream in found)
    assert [word[1:] for stream in found for word in stream[8:].split(")")[0].split(" OR ")] == list(symbols)


@pytest.mark.parametrize(
    ("given", "name"), [("$AMD", "search/$AMD"), ("search/ a  b", "search/a b"), ("search/a/b", "search/a/b")]
)
def test_a_stream_is_a_query(given: str, name: str) -> None:
    assert x.stream_name(given) == name


@pytest.mark.parametrize("given", ["$", "AMD", "search/", "find/AMD"])
def test_what_is_no_query_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected search/QUERY"):
        x.stream_name(given)


# -------------------------------------------------------------------------------------------------------- fetching


async def test_without_a_bearer_token_nothing_is_asked() -> None:
    search = Search(newest=5)
    with pytest.raises(AccessDenied, match="bearer_token"):
        await fetch(search, bearer=None)
    assert search.asked == []


async def test_the_first_poll_asks_for_one_page_with_everything_that_is_needed() -> None:
    search = Search(newest=500)
    page = await fetch(search)
    (request,) = search.asked
    assert ids(page) == set(range(401, 501))
    assert request.url.path == "/2/tweets/search/recent"
    assert request.headers["Authorization"] == "Bearer sesame"
    assert request.url.params["query"] == "($AMD OR $NVDA) -is:retweet"
    assert request.url.params["max_results"] == "100"
    assert {"created_at", "public_metrics", "entities", "referenced_tweets", "author_id"} <= set(
        request.url.params["tweet.fields"].split(",")
    )
    assert "start_time" not in request.url.params


async def test_later_polls_ask_from_the_overlap_before_what_is_known_and_walk() -> None:
    search = Search(newest=500)
    page = await fetch(search, known(200))
    assert {request.url.params["start_time"] for request in search.asked} == {moment(190).replace(".000", "")}
    assert ids(page) == set(range(190, 501))
    assert page.covers_from == START + timedelta(seconds=190)
    assert (page.gap, page.more) == (None, False)


async def test_nothing_new_is_a_success_that_covers_the_time() -> None:
    page = await fetch(Search(newest=100), known(200))
    assert (page.items, page.cursor, page.gap) == ((), None, None)
    assert page.covers_from == START + timedelta(seconds=200)


async def test_what_is_older_than_the_search_goes_back_leaves_a_gap() -> None:
    search = Search(newest=2000, oldest=1500)
    page = await fetch(search, known(100))
    assert ids(page) == set(range(1500, 2001))
    assert page.gap is not None
    assert page.gap.to_at == START + timedelta(seconds=1500)
    assert "seven days" in page.gap.reason


async def test_a_walk_without_a_start_goes_on_without_one() -> None:
    search = Search(newest=2000, oldest=1500)
    first = await fetch(search, known(100), pages=2)
    assert first.more
    asked = len(search.asked)
    page = await fetch(search, json.loads(json.dumps(first.cursor)))
    resumed = search.asked[asked].url.params
    assert "next_token" in resumed
    assert "start_time" not in resumed
    assert ids(first) | ids(page) == set(range(1500, 2001))
    assert page.gap is not None
    assert page.gap.to_at == START + timedelta(seconds=1500)


async def test_a_token_that_has_run_out_begins_the_walk_again() -> None:
    search = Search(newest=900)
    first = await fetch(search, known(100), pages=2)
    assert first.more
    search.tokens_end_with = "later"
    page = await fetch(search, first.cursor)
    assert ids(page) == set(range(90, 901))
    assert page.gap is None


async def test_a_refused_query_is_an_error() -> None:
    with pytest.raises(SourceError):
        await fetch(lambda _: httpx.Response(400, json={"title": "Invalid Request"}))
    with pytest.raises(SourceError):
        await fetch(lambda _: httpx.Response(400, json={"title": "Invalid Request"}), known(5))


def test_an_error_in_place_of_data_is_malformed_and_told() -> None:
    with pytest.raises(Malformed, match="no credits left"):
        x.parse(b'{"title": "CreditsDepleted", "detail": "no credits left", "status": 402}')


# ----------------------------------------------------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("Tue Dec 31 23:10:08 +0000 2013", datetime(2013, 12, 31, 23, 10, 8, tzinfo=UTC)),
        ("2026-03-02T14:30:05.123Z", datetime(2026, 3, 2, 14, 30, 5, 123000, tzinfo=UTC)),
        ("Tue Dez 31 23:10:08 +0000 2013", None),
        ("Tue anF 31 23:10:08 +0000 2013", None),
        ("Sat Feb 30 23:10:08 +0000 2013", None),
        ("Tue Dec 31 23:10:08 +0100 2013", None),
        ("", None),
        (5, None),
        (None, None),
    ],
    ids=str,
)
def test_times_of_both_forms_are_read_and_others_are_unknown(written: Any, found: datetime | None) -> None:
    (item,) = x.ARCHIVE["x"](json.dumps({"id_str": "7", "text": "ale", "created_at": written}).encode())
    assert isinstance(item, Message)
    assert item.created_at == found


@pytest.mark.parametrize(("written", "found"), [("en", "en"), ("und", None), ("qme", None), ("qu", "qu"), ("iw", "he")])
def test_codes_that_name_no_language_are_none(written: str, found: str | None) -> None:
    (item,) = x.ARCHIVE["x"](json.dumps({"id_str": "7", "text": "ale", "lang": written}).encode())
    assert isinstance(item, Message)
    assert item.lang == found


def test_one_bad_message_is_a_flaw_and_the_rest_is_kept() -> None:
    items = x.parse(b'{"data": [{"id": "1", "text": "ale"}, {"id": "2"}, 3, {"text": "x"}, {"id": "4", "text": ""}]}')
    assert [type(item) for item in items] == [Message, Flaw, Flaw, Flaw, Message]


# --------------------------------------------------------------------------------------------------------- archives


def test_the_archive_of_62410_messages_is_read_whole() -> None:
    files = sorted((SHARED / "real" / "stocknet").glob("tweets_*.ndjson.gz"))
    if not files:
        pytest.skip("no archive: set TRACKER_SHARED")
    ids: set[str] = set()
    lines = reshares = 0
    for file in files:
        with gzip.open(file) as opened:
            for line in opened:
                (item,) = x.ARCHIVE["x"](line)
                assert isinstance(item, Message)
                assert item.created_at is not None
                assert item.author
                ids.add(item.id)
                lines += 1
                reshares += item.reshare_of is not None
    assert (lines, len(ids), reshares) == (62_410, 62_410, 15_573)


def test_recorded_searches_and_counts_are_read() -> None:
    folder = SHARED / "samples" / "x"
    if not folder.exists():
        pytest.skip("no recordings: set TRACKER_SHARED")
    items = {file.name: x.ARCHIVE["x"](file.read_bytes()) for file in folder.glob("*.json")}
    assert {name: len(found) for name, found in items.items()} == {
        "asyncclient_search_recent_tweets.json": 10,
        "client_search_all_tweets.json": 10,
        "client_search_recent_tweets.json": 10,
        "client_get_all_tweets_count.json": 0,
        "client_get_recent_tweets_count.json": 0,
    }
    assert all(
        isinstance(item, Message) and item.created_at is not None and item.created_at.year == 2022
        for found in items.values()
        for item in found
    )


def test_an_id_carries_its_time_where_the_answer_has_none() -> None:
    (item,) = x.parse(b'{"data": [{"id": "1578000000000000002", "text": "kelp"}], "meta": {"result_count": 1}}')
    assert isinstance(item, Message)
    assert item.created_at == datetime(2022, 10, 6, 12, 31, 32, 479000, tzinfo=UTC)


# -------------------------------------------------------------------------------------------------------- re-check


def missing(id_: str, **said: Any) -> dict[str, Any]:
    return {
        "value": id_, "detail": f"Could not find tweet with ids: [{id_}].", "title": "Not Found Error", "resource_type": "tweet",
        "parameter": "ids", "resource_id": id_, "type": "https://api.twitter.com/2/problems/resource-not-found", **said,
    }  # fmt: skip


async def rechecked(answer: httpx.Response, *ids: str, bearer: str | None = "sesame") -> list[str]:
    asked: list[httpx.Request] = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer

    credentials = {"bearer_token": Secret(bearer)} if bearer else {}
    access = Access("x", x.BASE_URL, False, "tests", credentials=credentials)
    async with Http(httpx.MockTransport(server)).session(access) as client:
        found = await x.recheck(client, ids)
    assert [(request.url.path, request.url.params["ids"]) for request in asked] == [("/2/tweets", ",".join(ids))]
    assert asked[0].headers["Authorization"] == "Bearer sesame"
    return [str(deletion.id) for deletion in found]


def told(*errors: Any, shown: tuple[str, ...] = ()) -> httpx.Response:
    data = [{"id": id_, "text": "frogs"} for id_ in shown]
    return httpx.Response(
        200, json={**({"data": data} if data else {}), **({"errors": list(errors)} if errors else {})}
    )


async def test_gone_is_what_x_can_not_find() -> None:
    assert await rechecked(told(missing("2"), shown=("1", "3")), "1", "2", "3") == ["2"]
    assert await rechecked(told(missing("1"), missing("2", type="https://api.x.com/2/problems/resource-not-found")), "1", "2") == ["1", "2"]  # fmt: skip
    assert await rechecked(told(shown=("1",)), "1") == []


@pytest.mark.parametrize(
    "said",
    [
        {"type": "https://api.twitter.com/2/problems/not-authorized-for-resource", "title": "Authorization Error"},
        {"type": "about:blank"},
        {"type": None},
        {"resource_type": "user"},
        {"parameter": "referenced_tweets.id"},
        {"resource_id": None},
        {"resource_id": "9"},
    ],
)
async def test_what_x_does_not_show_or_says_of_others_is_not_gone(said: dict[str, Any]) -> None:
    assert await rechecked(told(missing("1", **said), shown=("2",)), "1", "2") == []


async def test_what_is_left_out_without_a_word_or_shown_all_the_same_is_not_gone() -> None:
    assert await rechecked(told(shown=("2",)), "1", "2") == []
    assert await rechecked(told(missing("1"), "odd", None, shown=("1",)), "1") == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, text="<html></html>"), Malformed),
        (httpx.Response(200, json={}), Malformed),
        (httpx.Response(200, json=[]), Malformed),
        (httpx.Response(200, json={"errors": {"1": "gone"}}), Malformed),
        (httpx.Response(401, json={"title": "Unauthorized"}), AccessDenied),
        (httpx.Response(404), SourceError),
        (httpx.Response(429, json=missing("1")), SourceError),
        (httpx.Response(503), SourceError),
    ],
)
async def test_what_is_no_answer_about_stored_messages_is_an_error(
    answer: httpx.Response, error: type[SourceError]
) -> None:
    with pytest.raises(error):
        await rechecked(answer, "1")


async def test_without_a_token_nobody_is_asked_about_stored_messages() -> None:
    with pytest.raises(AccessDenied, match="bearer_token"):
        await rechecked(told(missing("1")), "1", bearer=None)


def test_reads_are_billed_so_it_is_off_unless_configured() -> None:
    assert x.RECHECK_EVERY == 0
