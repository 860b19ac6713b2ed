"""Arctic Shift: the walk through an archive by time, whatever its bounds mean, and what it knows of deletions."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.errors import Malformed, RateLimited, Unavailable
from tracker.http import Access, Http
from tracker.models import Cursor, Deletion, Gap, Message, Page, Stream, Stretch
from tracker.sources import archive_parsers, arctic_shift, reddit, service_of

T0 = 1_790_000_000
NOW = T0 + 30 * 86_400


def at(second: float) -> datetime:
    return datetime.fromtimestamp(T0 + second, tz=UTC)


@dataclass
class Archive:
    """One subreddit: comments at seconds after ``T0``; the last ones of ``gone`` were deleted."""

    seconds: list[int]
    inclusive: bool = False  # do ``after`` and ``before`` mean their own second too
    gone: int = 0
    slow_above: int = 1000  # searches for more than this are too much
    now: int = NOW
    asked: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        params = dict(request.url.params)
        self.asked.append({"path": request.url.path, **params})
        assert params["sort"] == "desc"
        headers = {"Date": format_datetime(datetime.fromtimestamp(self.now, tz=UTC), usegmt=True)}
        if int(params["limit"]) > self.slow_above:
            return httpx.Response(422, json={"data": None, "error": "Timeout. Maybe slow down a bit"}, headers=headers)
        wide = int(self.inclusive)
        low, high = int(params.get("after", "0")) - wide, int(params.get("before", NOW)) + wide
        numbered = sorted(((T0 + second, number) for number, second in enumerate(self.seconds)), reverse=True)
        shown = [(stamp, number) for stamp, number in numbered if low < stamp < high][: int(params["limit"])]
        return httpx.Response(200, json={"data": [self.comment(*each) for each in shown]}, headers=headers)

    def comment(self, stamp: int, number: int) -> dict[str, Any]:
        meta = {"was_deleted_later": True} if number < self.gone else {}
        return {"id": f"c{number:05d}", "body": f"$GME {number}", "author": "toad", "created_utc": stamp, "_meta": meta}


def access() -> Access:
    return Access(
        source="arctic_shift", base_url=arctic_shift.BASE_URL, own_base_url=False, user_agent="tests", overlap_s=60.0
    )


async def poll(server: Callable[[httpx.Request], httpx.Response], cursor: Cursor | None = None) -> Page:
    async with Http(httpx.MockTransport(server)).session(access()) as client:
        return await arctic_shift.fetch(client, Stream("arctic_shift", "r/pond/comments"), cursor)


async def read(
    server: Callable[[httpx.Request], httpx.Response], since: float, until: float, *, anew: bool = False
) -> list[Stretch]:
    """All stretches of a span; ``anew``: each by a client and a generator of its own, from the place before."""
    stream, found, place = Stream("arctic_shift", "r/pond/comments"), [], None
    while True:
        async with (
            Http(httpx.MockTransport(server)).session(access()) as client,
            aclosing(arctic_shift.backfill(client, stream, at(since), at(until), place)) as stretches,
        ):
            async for stretch in stretches:
                found.append(stretch)
                place = json.loads(json.dumps(stretch.place))
                if anew:
                    break
        if place is None:
            return found


def numbers(stretches: list[Stretch]) -> set[int]:
    return {int(item.id[-5:]) for each in stretches for item in each.items if isinstance(item, Message)}


# --------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("given", ["Stocks", "/r/stocks/", "https://www.reddit.com/r/stocks/new/", "r/stocks"])
def test_a_subreddit_is_named_as_reddit_names_it(given: str) -> None:
    assert arctic_shift.stream_name(given) == reddit.stream_name(given) == "r/stocks"


def test_several_subreddits_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one subreddit"):
        arctic_shift.stream_name("r/stocks+investing")


def test_its_messages_are_those_that_reddit_and_the_dumps_give() -> None:
    line = json.dumps(Archive([5]).comment(T0, 7)).encode()
    (ours,) = arctic_shift.parse(b'{"data": [' + line + b"]}")
    assert [ours] == archive_parsers("reddit")["arctic_shift"](line)
    assert isinstance(ours, Message)
    assert (ours.source, ours.id) == ("reddit", "t1_c00007")
    assert service_of("arctic_shift") == "reddit"
    assert service_of("hackernews") == "hackernews"


def test_an_early_score_is_unknown_until_the_archive_looks_again() -> None:
    seen = {**Archive([]).comment(T0, 7), "retrieved_on": T0 + 20}

    def likes(**more: Any) -> int | None:
        (item,) = arctic_shift.parse(json.dumps({"data": [{**seen, **more}]}).encode())
        assert isinstance(item, Message)
        return item.likes

    assert likes(score=1) is None
    assert likes(score=0) is None
    assert likes(score=12) == 12
    assert likes(score=1, _meta={"retrieved_2nd_on": T0 + 200_000}) == 1
    assert likes(score=1, retrieved_on=T0 + 2 * 86_400) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"_meta": {"was_deleted_later": True}}, {"_meta": {"removal_type": "moderator"}}, {"body": "[removed]"},
        {"body": "[deleted]", "author": "[deleted]"}, {"removed_by_category": "reddit"},
    ],
)  # fmt: skip
def test_what_is_gone_is_a_deletion_without_words(change: dict[str, Any]) -> None:
    body = json.dumps({"data": [{**Archive([]).comment(T0, 7), **change}]}).encode()
    assert arctic_shift.parse(body) == [Deletion("reddit", id="t1_c00007")]


# -------------------------------------------------------------------------------------------------------- a backfill


async def test_a_span_is_read_from_its_end_to_its_beginning() -> None:
    server = Archive([n * 60 for n in range(1000)])
    stretches = await read(server, 6_000, 54_000)
    assert numbers(stretches) == set(range(100, 901))  # a second wider on both sides
    assert server.asked[0] == {
        "path": "/api/comments/search", "subreddit": "pond", "sort": "desc", "limit": "100",
        "after": str(T0 + 6_000 - 1), "before": str(T0 + 54_000 + 1),
    }  # fmt: skip
    assert len(server.asked) == len(stretches) == 9
    edges = [each.covers for each in stretches]
    assert edges[0] is not None
    assert edges[0][1] == at(54_000)
    assert edges[-1] is not None
    assert edges[-1][0] == at(6_000)
    assert all(one and other and one[0] == other[1] for one, other in itertools.pairwise(edges))
    assert all(each.gap is None for each in stretches)


async def test_what_is_younger_than_an_hour_does_not_count_as_heard() -> None:
    server = Archive([10, 20], now=T0 + 7_200)
    (stretch,) = await read(server, 0, 7_200)
    assert stretch.covers == (at(0), at(3_600))


async def test_a_subreddit_that_shows_nothing_at_all_is_not_believed() -> None:
    (stretch,) = await read(Archive([]), 0, 1_000)
    assert (stretch.items, stretch.place, stretch.covers) == ((), None, None)
    assert stretch.gap == Gap(at(0), at(1_000), "the archive shows nothing more")


async def test_a_page_of_nothing_but_deletions_ends_no_walk() -> None:
    server = Archive([n * 60 for n in range(350)], gone=300)
    stretches = await read(server, 0, 350 * 60)
    assert numbers(stretches) == set(range(300, 350))
    assert {item.id for each in stretches for item in each.items if isinstance(item, Deletion)} == {
        f"t1_c{number:05d}" for number in range(300)
    }
    assert len(server.asked) == 4


async def test_a_search_that_is_too_slow_is_asked_for_less() -> None:
    server = Archive([n * 60 for n in range(120)], slow_above=50)
    stretches = await read(server, 0, 120 * 60)
    assert numbers(stretches) == set(range(120))
    assert [asked["limit"] for asked in server.asked[:4]] == ["100", "50", "100", "50"]


async def test_a_search_that_is_always_too_slow_is_given_up() -> None:
    server = Archive([1], slow_above=0)
    with pytest.raises(Unavailable) as caught:
        await read(server, 0, 100)
    assert caught.value.http_status == 422
    assert [asked["limit"] for asked in server.asked] == ["100", "50", "25"]


async def test_more_than_a_page_in_one_second_does_not_stop_the_walk() -> None:
    stretches = await read(Archive([10] * 150 + [5]), 0, 100)
    assert 150 in numbers(stretches)
    assert len(numbers(stretches)) == 101


@settings(max_examples=40, deadline=None, database=None)
@given(
    seconds=st.lists(st.integers(0, 2_000), max_size=260),
    bounds=st.lists(st.integers(0, 2_000), min_size=2, max_size=2, unique=True).map(sorted),
    inclusive=st.booleans(),
    anew=st.booleans(),
)
def test_everything_of_a_span_comes_and_every_second_is_covered_once(
    seconds: list[int], bounds: list[int], inclusive: bool, anew: bool
) -> None:
    since, until = bounds
    stretches = asyncio.run(read(Archive(seconds, inclusive), since, until, anew=anew))
    wanted = {number for number, second in enumerate(seconds) if since <= second < until}
    assert wanted <= numbers(stretches)
    if not numbers(stretches):
        assert [each.gap is not None for each in stretches] == [True], "a silence is not believed"
        return
    reached = at(until)
    for each in stretches:
        assert each.gap is None
        if each.covers is not None:
            assert each.covers[1] == reached
            assert each.covers[0] < reached
            reached = each.covers[0]
    assert reached == at(since)


# ----------------------------------------------------------------------------------------------------------- a poll


async def test_a_poll_brings_what_is_new_and_claims_no_coverage() -> None:
    server = Archive([n * 60 for n in range(300)])
    first = await poll(server)
    assert len(first.items) == 100
    server.seconds += [300 * 60, 301 * 60]
    second = await poll(server, first.cursor)
    assert {item.id for item in second.items if isinstance(item, Message)} >= {"t1_c00300", "t1_c00301"}
    assert (first.covers_from, second.covers_from, second.gap) == (None, None, None)


# ---------------------------------------------------------------------------------------------------------- errors


async def test_maintenance_with_a_good_status_is_no_answer() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": None, "error": "Under maintenance"})

    with pytest.raises(Unavailable, match="Under maintenance"):
        await poll(down)
    with pytest.raises(Malformed, match="Under maintenance"):
        arctic_shift.parse(b'{"data": null, "error": "Under maintenance"}')


async def test_a_limit_is_told_as_one() -> None:
    def limited(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"})

    with pytest.raises(RateLimited) as caught:
        await poll(limited)
    assert caught.value.retry_after_s == 30.0


async def test_the_beginning_of_an_archive_without_an_answer_is_a_gap() -> None:
    """A full page without a single time leads nowhere: what lies before it is told as lost."""

    def timeless(request: httpx.Request) -> httpx.Response:
        nobody = [{"id": f"c{n}", "body": "words", "author": "toad"} for n in range(100)]
        return httpx.Response(200, json={"data": nobody})

    (stretch,) = await read(timeless, 0, 1_000)
    assert stretch.gap == Gap(at(0), at(1_000), "the archive shows nothing more")
    assert stretch.covers is None
    assert timedelta(0) < stretch.gap.to_at - stretch.gap.from_at
