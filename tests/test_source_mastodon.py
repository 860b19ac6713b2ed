"""Mastodon: what a server allows, paging forward, and what a status says, against a real server on the loopback."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import Asked, Server, loopback, reply

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, Unavailable
from tracker.http import Access, Http
from tracker.models import Ballot, Cursor, Message, Page, Stream
from tracker.secret import Secret
from tracker.sources import mastodon

SHARED = Path(os.environ.get("TRACKER_SHARED") or Path(__file__).parents[2] / "shared")
START = datetime(2026, 10, 1, 6, 0, tzinfo=UTC)
OPEN = {"local": "public", "remote": "public"}


def id_at(second: float) -> int:
    return int((START + timedelta(seconds=second)).timestamp() * 1000) << 16


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def status(id_: int, words: str = "a frog", **more: Any) -> dict[str, Any]:
    return {
        "id": str(id_),
        "uri": f"https://pond.example/statuses/{id_}",
        "created_at": (datetime.fromtimestamp((id_ >> 16) / 1000, UTC)).isoformat(),
        "content": f"<p>{words}</p>",
        "visibility": "public",
        "account": {"acct": "newt", "url": "https://pond.example/@newt"},
        **more,
    }


@dataclass
class Instance:
    """A Mastodon server: its settings, and one timeline paged by ``min_id``."""

    ids: list[int]
    hashtags: Any = field(default_factory=lambda: dict(OPEN))  # what timelines_access says of them
    settings: int = 200  # status of /api/v2/instance
    broken: dict[int, bytes] = field(default_factory=dict)  # n-th request of the timeline -> answer
    forward: bool = True  # knows min_id
    page: int = 40
    now: datetime = field(default_factory=lambda: at(3600))
    limit: dict[str, str] = field(default_factory=dict)  # headers of every timeline
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    url: str = ""

    @property
    def timelines(self) -> list[dict[str, list[str]]]:
        return [params for path, params in self.asked if "/timelines/tag/" in path]

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        target = urlsplit(asked.target)
        params = parse_qs(target.query)
        self.asked.append((target.path, params))
        self.tokens.append(asked.headers.get("authorization"))
        writer.write(self._said(target.path, params))
        await writer.drain()

    def _said(self, path: str, params: dict[str, list[str]]) -> bytes:
        date = {"Date": format_datetime(self.now, usegmt=True), "Content-Type": "application/json"}
        if path == "/api/v2/instance":
            told = {"configuration": {"timelines_access": {"hashtag_feeds": self.hashtags}}} if self.hashtags else {}
            return reply(self.settings, json.dumps(told).encode(), date)
        if (number := len(self.timelines)) in self.broken:
            return self.broken[number]
        found = sorted(self.ids)
        if "min_id" in params and self.forward:
            found = [id_ for id_ in found if id_ > int(params["min_id"][0])][: self.page]
        found = found[-self.page :]
        return reply(200, json.dumps([status(id_) for id_ in reversed(found)]).encode(), {**date, **self.limit})


@asynccontextmanager
async def instance(*ids: int, **how: Any) -> AsyncIterator[Instance]:
    told = Instance(list(ids), **how)
    async with loopback(told.answer) as server:
        told.url = server.url
        yield told


async def polled(told: Instance | Server, cursor: Cursor | None = None, name: str = "tag/nvda", **how: Any) -> Page:
    chosen = {"overlap_s": 60.0, "max_pages": 10, **how}
    access = Access(source="mastodon", base_url=told.url, own_base_url=True, user_agent="tests", **chosen)
    async with Http().session(access) as client:
        page = await mastodon.fetch(client, Stream("mastodon", name), cursor)
    json.dumps(page.cursor)
    return page


def seconds(page: Page) -> set[float]:
    found = [item for item in page.items if isinstance(item, Message)]
    return {(item.created_at - START).total_seconds() for item in found if item.created_at is not None}


def known(second: float, **more: Any) -> Cursor:
    looked = at(3000).timestamp()
    return {"top": str(id_at(second)), "part": "all", "mastodon": True, "looked": looked, **more}


# --------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("tag/nvda", "tag/nvda"),
        (" #NVDA ", "tag/nvda"),
        ("nvda", "tag/nvda"),
        ("tag/Stocks+#Investing+stocks", "tag/stocks+investing"),
        ("tag/börse", "tag/börse"),
    ],
)
def test_a_stream_is_one_hashtag_or_a_few(given: str, name: str) -> None:
    assert mastodon.stream_name(given) == name


@pytest.mark.parametrize("given", ["tag/", "tag/a b", "tag/123", "tag/a+b+c+d+e+f", "tag/nvda@other.example", "c/x"])
def test_what_is_no_hashtag_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected a hashtag"):
        mastodon.stream_name(given)


def test_symbols_become_hashtags() -> None:
    found = mastodon.streams(("NVDA", "BRK.B", "BTC.X", "F", "NVDA"))
    assert found[1:] == ("tag/nvda", "tag/brkb", "tag/btc")


# ------------------------------------------------------------------------------------------- what a server allows


async def test_the_first_poll_reads_the_settings_and_then_the_newest_page() -> None:
    async with instance(*(id_at(second) for second in range(100))) as told:
        page = await polled(told)
    assert [path for path, _ in told.asked] == ["/api/v2/instance", "/api/v1/timelines/tag/nvda"]
    assert told.timelines == [{"limit": ["40"]}]
    assert seconds(page) == set(range(60, 100))
    assert page.covers_from == at(60)
    assert page.cursor is not None
    assert page.cursor["top"] == str(id_at(99))
    assert (page.gap, page.more) == (None, False)


async def test_settings_are_read_again_after_a_day_and_not_before() -> None:
    async with instance(id_at(0)) as told:
        first = await polled(told)
        second = await polled(told, first.cursor)
        told.now += timedelta(days=1, seconds=1)
        third = await polled(told, second.cursor)
        assert len(told.asked) == len(told.timelines) + 1
        await polled(told, third.cursor)
    assert len(told.asked) == len(told.timelines) + 2


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"local": "authenticated", "remote": "authenticated"}, "needs an access_token for hashtag timelines"),
        ({"local": "authenticated", "remote": "disabled"}, "needs an access_token"),
        ({"local": "disabled", "remote": "disabled"}, "does not open hashtag timelines"),
    ],
)
async def test_a_server_that_shuts_its_hashtags_is_asked_no_further(told: dict[str, str], words: str) -> None:
    async with instance(id_at(0), hashtags=told) as server:
        with pytest.raises(AccessDenied, match=words):
            await polled(server)
    assert server.timelines == []


async def test_with_a_token_what_is_open_to_tokens_is_read() -> None:
    credentials = {"access_token": Secret("hush")}
    async with instance(id_at(0), hashtags={"local": "authenticated", "remote": "authenticated"}) as told:
        page = await polled(told, credentials=credentials)
    assert seconds(page) == {0}
    assert told.tokens == ["Bearer hush"] * 2
    async with instance(id_at(0), hashtags={"local": "disabled", "remote": "disabled"}) as told:
        with pytest.raises(AccessDenied, match="does not open"):
            await polled(told, credentials=credentials)


@pytest.mark.parametrize("part", ["local", "remote"])
async def test_where_a_part_is_open_that_part_is_asked_for(part: str) -> None:
    async with instance(id_at(0), hashtags={"local": "disabled", "remote": "disabled", part: "public"}) as told:
        first = await polled(told)
        await polled(told, first.cursor)
    assert all(params[part] == ["true"] for params in told.timelines)


@pytest.mark.parametrize("hashtags", [None, [], "public", {"local": "public"}])
async def test_a_server_that_says_nothing_hides_nothing(hashtags: Any) -> None:
    async with instance(id_at(0), hashtags=hashtags) as told:
        assert seconds(await polled(told)) == {0}


async def test_an_old_server_without_settings_is_asked_and_may_refuse() -> None:
    async with instance(id_at(0), settings=404) as told:
        page = await polled(told)
        assert seconds(page) == {0}
        await polled(told, page.cursor)
    assert len(told.asked) == len(told.timelines) + 1
    refused = reply(401, b'{"error": "The access token is invalid"}')
    async with instance(id_at(0), settings=404, broken={1: refused}) as told:
        with pytest.raises(AccessDenied, match="needs an access_token for hashtag timelines") as caught:
            await polled(told)
    assert caught.value.http_status == 401


async def test_a_server_that_is_no_mastodon_is_not_found() -> None:
    async with instance(settings=404, broken={1: reply(404)}) as told:
        with pytest.raises(NotFound):
            await polled(told)


async def test_a_hashtag_that_nobody_has_used_is_no_failure() -> None:
    async with instance(broken={1: reply(404, b'{"error": "Record not found"}')}) as told:
        page = await polled(told)
        assert page.note == "nobody has used this hashtag on this server"
        told.ids.append(id_at(5))
        page = await polled(told, page.cursor)
    assert seconds(page) == {5}
    assert len(told.asked) == len(told.timelines) + 1


async def test_settings_that_are_no_json_fail_the_poll() -> None:
    async with loopback(reply(200, b"<!doctype html><html></html>")) as server:
        with pytest.raises(Malformed):
            await polled(server)


# ---------------------------------------------------------------------------------------------------------- paging


async def test_a_poll_begins_the_overlap_before_the_newest_and_ends_at_an_empty_page() -> None:
    async with instance(*(id_at(second) for second in range(0, 200, 10))) as told:
        page = await polled(told, known(150))
    assert [params["min_id"] for params in told.timelines] == [[str(id_at(90))], [str(id_at(190))]]
    assert seconds(page) == set(range(100, 200, 10))
    assert page.covers_from == at(90)
    assert page.cursor is not None
    assert (page.cursor["top"], page.cursor["at"]) == (str(id_at(190)), None)


async def test_a_late_one_with_a_lower_id_is_found_in_the_overlap() -> None:
    async with instance(id_at(0), id_at(100)) as told:
        first = await polled(told)
        told.ids.append(id_at(70))  # from another server, and of its own time
        page = await polled(told, first.cursor)
    assert 70 in seconds(page)


async def test_a_short_page_is_not_the_end() -> None:
    async with instance(*(id_at(second) for second in range(100)), page=7) as told:
        page = await polled(told, known(0), max_pages=50)
    assert seconds(page) == set(range(100))


async def test_a_burst_larger_than_the_pages_goes_on_in_the_next_polls_without_a_gap() -> None:
    async with instance(*(id_at(second) for second in range(500))) as told:
        cursor: Cursor | None = known(10)
        found: set[float] = set()
        polls = 0
        more = True
        while more:
            page = await polled(told, cursor, max_pages=3)
            assert page.gap is None
            assert (page.covers_from is None) == page.more
            cursor, more, polls = json.loads(json.dumps(page.cursor)), page.more, polls + 1
            found |= seconds(page)
    assert found == set(range(500))
    assert polls == 5
    assert page.covers_from == at(-50)


async def test_one_request_a_poll_is_enough() -> None:
    async with instance(id_at(0)) as told:
        first = await polled(told, max_pages=1)
        assert (first.items, first.more) == ((), True)
        second = await polled(told, first.cursor, max_pages=1)
    assert seconds(second) == {0}
    assert len(told.asked) == 2


async def test_what_came_before_an_error_is_kept() -> None:
    async with instance(*(id_at(second) for second in range(100)), broken={2: reply(502)}) as told:
        page = await polled(told, known(0))
        assert isinstance(page.cut_short, Unavailable)
        assert seconds(page) == set(range(40))
        page = await polled(told, page.cursor)
    assert seconds(page) == set(range(40, 100))


async def test_an_error_at_the_first_page_leaves_the_cursor_alone() -> None:
    async with instance(id_at(0), broken={1: reply(502)}) as told:
        with pytest.raises(Unavailable):
            await polled(told, known(0))


async def test_a_used_up_limit_stops_the_walk_until_the_time_that_was_named() -> None:
    resets = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": at(3700).isoformat().replace("+00:00", "Z")}
    async with instance(*(id_at(second) for second in range(100)), limit=resets) as told:
        page = await polled(told, known(0))
    assert isinstance(page.cut_short, RateLimited)
    assert page.cut_short.retry_after_s == pytest.approx(100, abs=2)
    assert len(told.timelines) == 1


async def test_a_server_that_does_not_page_forward_leaves_a_gap_and_ends() -> None:
    async with instance(*(id_at(second) for second in range(100)), forward=False) as told:
        page = await polled(told, known(10))
    assert page.gap is not None
    assert (page.gap.from_at, page.gap.to_at) == (at(10), at(60))
    assert page.covers_from == at(60)
    assert len(told.timelines) == 2


async def test_an_empty_hashtag_is_heard_from_then_on() -> None:
    async with instance() as told:
        first = await polled(told)
        second = await polled(told, first.cursor)
    assert first.covers_from == at(3600)
    assert second.covers_from == at(3540)


async def test_an_id_of_the_future_does_not_carry_the_cursor_away() -> None:
    async with instance(id_at(0), id_at(10), id_at(500_000)) as told:
        page = await polled(told)
    assert len(page.items) == 3
    assert page.cursor is not None
    assert page.cursor["top"] == str(id_at(10))


async def test_ids_that_do_not_count_time_are_paged_without_an_overlap() -> None:
    async with instance(7, 9) as told:
        page = await polled(told, known(0) | {"top": "7"})
    assert told.timelines[0]["min_id"] == ["7"]
    assert page.covers_from is None
    assert page.cursor is not None
    assert page.cursor["top"] == "9"


@pytest.mark.parametrize("top", [None, 5, "x", "-1", "9" * 30, True, {}, "٣"])
async def test_an_unusable_cursor_begins_anew(top: Any) -> None:
    async with instance(id_at(0)) as told:
        await polled(told, known(0) | {"top": top, "looked": "x"})
    assert "min_id" not in told.timelines[0]


async def test_several_hashtags_are_asked_for_at_once() -> None:
    async with instance(id_at(0)) as told:
        await polled(told, known(0), name="tag/börse+nvda+stocks")
    assert told.asked[0][0] == "/api/v1/timelines/tag/b%C3%B6rse"
    assert told.timelines[0]["any[]"] == ["nvda", "stocks"]


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 400), max_size=60), st.integers(0, 400), st.integers(1, 9), st.integers(1, 4))
def test_walking_by_pages_finds_exactly_what_lies_behind_the_overlap(
    there: set[int], top: int, size: int, pages: int
) -> None:
    async def walk() -> set[float]:
        async with instance(*(id_at(second) for second in there), page=size) as told:
            cursor: Cursor | None = known(top)
            found: set[float] = set()
            more = True
            while more:
                page = await polled(told, cursor, max_pages=pages)
                cursor, more = page.cursor, page.more
                found |= seconds(page)
        return found

    assert asyncio.run(walk()) == {second for second in there if second > top - 60}


# ---------------------------------------------------------------------------------------------------------- fields


def only(**changed: Any) -> Message:
    (item,) = mastodon.parse(json.dumps([status(id_at(0), **changed)]).encode())
    assert isinstance(item, Message)
    return item


def test_a_higher_edit_is_a_higher_revision() -> None:
    first, second = only(), only(edited_at="2026-10-01T06:00:01.000Z")
    third = only(edited_at="2026-10-01T06:00:01.001Z")
    assert first.revision is not None
    assert second.revision is not None
    assert third.revision is not None
    assert first.revision < second.revision < third.revision
    assert first.created_at == third.created_at


def test_hidden_votes_are_unknown_and_shown_ones_are_counted() -> None:
    options = [{"title": "up", "votes_count": None}, {"title": "down", "votes_count": 0}, {"title": " "}, 7]
    ballot = only(poll={"options": options, "voters_count": None, "expires_at": None}).ballot
    assert isinstance(ballot, Ballot)
    assert [(option.text, option.votes) for option in ballot.options] == [("up", None), ("down", 0)]
    assert (ballot.voters, ballot.closes_at, ballot.question) == (None, None, None)
    assert only(poll={"options": []}).ballot is None


@pytest.mark.parametrize("visibility", ["unlisted", "private", "direct", None, 7])
def test_what_is_not_public_is_no_item(visibility: Any) -> None:
    assert mastodon.parse(json.dumps([status(1, visibility=visibility)]).encode()) == []


def test_a_boost_of_somebody_who_does_not_want_to_be_found_is_no_item() -> None:
    shy = status(2, account={"acct": "heron", "noindex": True})
    assert mastodon.parse(json.dumps([status(1, reblog=shy)]).encode()) == []


def test_an_error_in_place_of_a_timeline_is_told() -> None:
    with pytest.raises(Malformed, match="The access token is invalid"):
        mastodon.parse(b'{"error": "The access token is invalid"}')


def test_the_statuses_of_a_search_are_read() -> None:
    found = {"accounts": [{"id": "1"}], "statuses": [status(id_at(1)), status(id_at(2))], "hashtags": []}
    items = mastodon.parse(json.dumps(found).encode())
    assert [item.id for item in items if isinstance(item, Message)] == [
        f"https://pond.example/statuses/{id_at(second)}" for second in (1, 2)
    ]


def test_recorded_answers_are_read() -> None:
    folder = SHARED / "samples" / "mastodon"
    if not folder.exists():
        pytest.skip("no recorded answers: set TRACKER_SHARED")
    counts = {}
    for file in sorted(folder.glob("*timeline*.json")) + sorted(folder.glob("status_mastodon_social*.json")):
        items = mastodon.parse(json.dumps(json.loads(file.read_text("utf-8"))["body"]).encode())
        assert all(isinstance(item, Message) and item.created_at and item.author and item.revision for item in items)
        counts[file.name] = len(items)
    assert counts["tag_timeline_page1.json"] == 10
    assert counts["tag_timeline_page4.json"] == 0
    assert counts["status_mastodon_social_poll.json"] == 1


# -------------------------------------------------------------------------------------------------------- re-check


async def rechecked(answer: bytes, path: str = "/statuses/77", **how: Any) -> list[str]:
    """What is gone, when a server answers this about a message that was written there."""
    async with loopback(answer) as server:
        access = Access("mastodon", server.url, True, "tests", **how)
        async with Http().session(access) as client:
            found = await mastodon.recheck(client, [f"https://{server.host}{path}"])
        assert [asked.target for asked in server.asked] == ["/api/v1/statuses/77"]
        token = server.asked[0].headers.get("authorization")
        assert token == ("Bearer sesame" if how else None)
        assert all(deletion.id == f"https://{server.host}{path}" for deletion in found)
    return [path for _ in found]


def said(status_: int, body: Any) -> bytes:
    return reply(status_, json.dumps(body).encode(), {"Content-Type": "application/json"})


@pytest.mark.parametrize("path", ["/statuses/77", "/statuses/77/activity"])
async def test_gone_is_what_its_own_server_has_no_record_of(path: str) -> None:
    assert await rechecked(said(404, {"error": "Record not found"}), path) == [path]
    assert await rechecked(said(200, status(77)), path) == []
    assert await rechecked(said(200, status(77, "other words", edited_at="2026-10-02T00:00:00.000Z")), path) == []


async def test_a_token_is_used_where_there_is_one() -> None:
    credentials = {"access_token": Secret("sesame")}
    assert await rechecked(said(404, {"error": "Record not found"}), credentials=credentials) != []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said(404, {"error": "Not Found"}), NotFound),  # no such route: none of Mastodon's kind, or an old one
        (reply(404, b"<html></html>"), NotFound),
        (reply(404), NotFound),
        (said(410, {"error": "Record not found"}), NotFound),
        (said(401, {"error": "This method requires an authenticated user"}), AccessDenied),
        (said(403, {"error": "This action is not allowed"}), AccessDenied),
        (said(429, {"error": "Too many requests"}), RateLimited),
        (said(500, {"error": "Record not found"}), Unavailable),
        (reply(200, b"<html></html>"), Malformed),
    ],
)
async def test_no_other_answer_says_that_a_message_is_gone(answer: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await rechecked(answer)


@pytest.mark.parametrize(
    ("id_", "can"),
    [
        ("https://pond.example/statuses/77", True),
        ("https://POND.example/statuses/77", True),
        ("https://brook.example/statuses/77", False),
        ("https://pond.example:8443/statuses/77", False),
        ("https://pond.example/statuses/77?x=1", False),
        ("http://pond.example/statuses/77", False),
        ("https://pond.example/notes/77", False),
        ("https://pond.example/b/statuses/77", False),
        ("https://[pond", False),
    ],
)
def test_only_what_was_written_on_the_server_itself_can_be_asked_about(id_: str, can: bool) -> None:
    assert mastodon.recheckable("https://pond.example", id_) is can


@pytest.mark.parametrize(
    ("uri", "id_"),
    [
        ("https://pond.example/users/newt/statuses/77", "https://pond.example/statuses/77"),
        ("https://pond.example/users/newt/statuses/77/activity", "https://pond.example/statuses/77/activity"),
        ("https://pond.example/ap/users/123/statuses/77", "https://pond.example/statuses/77"),
        ("https://pond.example/users/newt/statuses/01HZX", "https://pond.example/statuses/01HZX"),
        ("https://pond.example/objects/users/a/statuses/7", "https://pond.example/objects/users/a/statuses/7"),
        ("https://pond.example/notes/9abc", "https://pond.example/notes/9abc"),
    ],
)
def test_an_id_is_the_same_everywhere_and_names_nobody(uri: str, id_: str) -> None:
    (found,) = mastodon.parse(json.dumps([{**status(77), "uri": uri}]).encode())
    assert isinstance(found, Message)
    assert found.id == id_


def test_an_archive_holds_answers_as_they_came_or_with_what_was_asked() -> None:
    one = status(77)
    plain = mastodon.parse(json.dumps([one]).encode())
    for archived in (one, [one], {"request": {}, "body": [one]}, {"status": {"code": 200}, "body": json.dumps(one)}):
        assert mastodon.parse_archive(json.dumps(archived).encode()) == plain
    for broken in ({"body": "<html>"}, {"body": {"error": "no"}}, {"request": {}}):
        with pytest.raises(Malformed):
            mastodon.parse_archive(json.dumps(broken).encode())
