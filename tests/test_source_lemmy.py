"""Lemmy: walking back through a community, and what posts and comments say, against a real server on the loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from loopback import Asked, loopback, reply

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, Unavailable
from tracker.http import Access, Http
from tracker.models import Cursor, Deletion, Message, Page, Stream
from tracker.sources import lemmy

START = datetime(2026, 10, 1, 6, 0, tzinfo=UTC)
POSTS, COMMENTS = "c/stocks@lemmy.example", "c/stocks@lemmy.example/comments"


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def view(number: int, second: float, kind: str = "post", **more: Any) -> dict[str, Any]:
    words = {"name": f"frog {number}"} if kind == "post" else {"content": f"frog {number}", "path": f"0.{number}"}
    entry = {
        "id": number,
        "ap_id": f"https://lemmy.example/{kind}/{number}",
        "published": at(second).isoformat().replace("+00:00", "Z"),
        **words,
        **more,
    }
    return {kind: entry, "creator": {"name": "newt", "actor_id": "https://bog.example/u/newt"}, "counts": {"score": 1}}


@dataclass
class Community:
    """A server with one community: newest first, pinned before all, by page cursor or by number."""

    seconds: list[float]
    pinned: list[float] = field(default_factory=list)  # posts alone
    cursors: bool = True  # a page cursor comes with posts
    broken: dict[int, bytes] = field(default_factory=dict)  # n-th request -> answer
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    url: str = ""

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        target = urlsplit(asked.target)
        params = parse_qs(target.query)
        self.asked.append((target.path, params))
        writer.write(self.broken.get(len(self.asked)) or self._page(target.path, params))
        await writer.drain()

    def _page(self, path: str, params: dict[str, list[str]]) -> bytes:
        kind = "post" if path == "/api/v3/post/list" else "comment"
        views = [view(10_000 + number, second, kind) for number, second in enumerate(sorted(self.seconds))][::-1]
        if kind == "post":
            views = [view(number, second) for number, second in enumerate(self.pinned, 1)] + views
        size, token = int(params["limit"][0]), params.get("page_cursor", [""])[0]
        start = int(token.removeprefix("P")) if token else (int(params.get("page", ["1"])[0]) - 1) * size
        shown = views[start : start + size]
        told: dict[str, Any] = {f"{kind}s": shown}
        if kind == "post" and self.cursors:
            told["next_page"] = f"P{start + size}" if start + size < len(views) else None
        return reply(200, json.dumps(told).encode(), {"Date": format_datetime(at(9000), usegmt=True)})


@asynccontextmanager
async def community(*seconds: float, **how: Any) -> AsyncIterator[Community]:
    told = Community(list(seconds), **how)
    async with loopback(told.answer) as server:
        told.url = server.url + "/api/v3"
        yield told


async def polled(told: Community, cursor: Cursor | None = None, name: str = POSTS, **how: Any) -> Page:
    chosen = {"overlap_s": 60.0, "max_pages": 20, **how}
    access = Access(source="lemmy", base_url=told.url, own_base_url=True, user_agent="tests", **chosen)
    async with Http().session(access) as client:
        page = await lemmy.fetch(client, Stream("lemmy", name), cursor)
    json.dumps(page.cursor)
    return page


def seconds(page: Page) -> set[float]:
    found = [item for item in page.items if isinstance(item, Message)]
    return {(item.created_at - START).total_seconds() for item in found if item.created_at is not None}


def known(second: float) -> Cursor:
    return {"known": at(second).timestamp(), "validators": {}}


# --------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("c/stocks@lemmy.world", "c/stocks@lemmy.world"),
        (" !Stocks@Lemmy.World ", "c/stocks@lemmy.world"),
        ("stocks", "c/stocks"),
        ("c/stocks/posts", "c/stocks"),
        ("c/stocks@lemmy.world/comments", "c/stocks@lemmy.world/comments"),
    ],
)
def test_a_stream_is_a_communitys_posts_or_comments(given: str, name: str) -> None:
    assert lemmy.stream_name(given) == name


# -------------------------------------------------------------------------------------------------------- fetching


@pytest.mark.parametrize(("name", "path"), [(POSTS, "/api/v3/post/list"), (COMMENTS, "/api/v3/comment/list")])
async def test_the_first_poll_asks_for_the_newest_of_the_community(name: str, path: str) -> None:
    async with community(*range(120)) as told:
        page = await polled(told, name=name)
    params = {"type_": ["All"], "sort": ["New"], "limit": ["50"], "community_name": ["stocks@lemmy.example"]}
    assert told.asked == [(path, params)]
    assert seconds(page) == set(range(70, 120))
    assert page.cursor is not None
    assert page.cursor["known"] == at(119).timestamp()


@pytest.mark.parametrize("cursors", [True, False])
@pytest.mark.parametrize("name", [POSTS, COMMENTS])
async def test_a_burst_is_walked_by_page_cursor_or_by_number(name: str, cursors: bool) -> None:
    async with community(*range(0, 2000, 2), cursors=cursors) as told:
        page = await polled(told, known(1500), name=name)
        by_cursor = any("page_cursor" in params for _, params in told.asked)
    assert {second for second in seconds(page) if second >= 1440} == set(range(1440, 2000, 2))
    assert (page.gap, page.more) == (None, False)
    assert by_cursor == (cursors and name == POSTS)


async def test_a_walk_goes_on_in_the_next_poll() -> None:
    async with community(*range(400)) as told:
        cursor: Cursor | None = known(100)
        found: set[float] = set()
        more, polls = True, 0
        while more:
            page = await polled(told, cursor, max_pages=2)
            cursor, more, polls = json.loads(json.dumps(page.cursor)), page.more, polls + 1
            found |= seconds(page)
    assert found >= set(range(40, 400))
    assert polls > 2
    assert page.gap is None


async def test_pinned_posts_do_not_end_the_walk() -> None:
    async with community(*range(200), pinned=[-9_000, -8_000]) as told:
        page = await polled(told, known(100))
    assert seconds(page) >= set(range(40, 200))


async def test_the_end_of_a_small_community_is_no_gap() -> None:
    async with community(10, 20) as told:
        page = await polled(told, known(-5000))
    assert page.gap is None
    assert page.covers_from == at(-5000)


async def test_an_empty_list_says_nothing() -> None:
    async with community() as told:
        page = await polled(told, known(10))
    assert page.note == "the listing is empty"
    assert page.covers_from is None


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "rate_limit_error", RateLimited),
        (429, "rate_limit_error", RateLimited),
        (429, "", RateLimited),
        (200, "rate_limit_error", RateLimited),
        (400, "couldnt_find_community", NotFound),
        (404, "not_found", NotFound),
        (400, "instance_is_private", AccessDenied),
        (400, "something_else", Unavailable),
        (400, "", Unavailable),
        (200, "something_else", Malformed),
    ],
)
async def test_a_servers_word_is_told_as_what_it_is(status: int, word: str, kind: type[SourceError]) -> None:
    body = json.dumps({"error": word}).encode() if word else b""
    async with community(broken={1: reply(status, body)}) as told:
        with pytest.raises(SourceError) as caught:
            await polled(told)
    assert type(caught.value) is kind
    assert status not in (200, 400) or word in str(caught.value)


# ---------------------------------------------------------------------------------------------------------- fields


def only(one: dict[str, Any], kind: str = "post") -> Any:
    (item,) = lemmy.parse(json.dumps({f"{kind}s": [one]}).encode())
    return item


@pytest.mark.parametrize("kind", ["post", "comment"])
@pytest.mark.parametrize("flag", ["deleted", "removed"])
def test_a_flag_is_a_deletion(kind: str, flag: str) -> None:
    item = only(view(7, 0, kind, **{flag: True}), kind)
    assert item == Deletion("lemmy", id=f"https://lemmy.example/{kind}/7")
    assert isinstance(only(view(7, 0, kind, **{flag: False}), kind), Message)


def test_a_single_view_is_read_too() -> None:
    (item,) = lemmy.parse(json.dumps({"post_view": view(7, 0)}).encode())
    assert isinstance(item, Message)
    (item,) = lemmy.parse(json.dumps({"comment_view": view(8, 0, "comment")}).encode())
    assert isinstance(item, Message)


def test_an_edit_is_a_higher_revision() -> None:
    first = only(view(7, 0))
    second = only(view(7, 0, updated="2026-10-01T06:00:00.000001"))
    assert first.revision < second.revision
    assert first.created_at == second.created_at


@pytest.mark.parametrize("path", [None, 7, "", "0", "0.", "a.b", "0.1.2.3"])
def test_a_parent_that_is_not_on_the_page_is_unknown(path: Any) -> None:
    assert only(view(9, 0, "comment", path=path), "comment").reply_to is None


@pytest.mark.parametrize("name", ["posts", "comments"])
def test_a_list_that_is_none_is_malformed(name: str) -> None:
    with pytest.raises(Malformed, match=f"{name} is not a list"):
        lemmy.parse(json.dumps({name: {"0": {}}}).encode())
