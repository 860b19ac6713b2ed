"""YouTube: comments of a video, rounds through a channel or a search, quotas, and a key that nobody sees."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from loopback import Asked, loopback, reply

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, Unavailable
from tracker.http import Access, Http
from tracker.models import Cursor, Flaw, Message, Page, Stream
from tracker.secret import Secret
from tracker.sources import youtube

SHARED = Path(os.environ.get("TRACKER_SHARED") or Path(__file__).parents[2] / "shared")
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
KEY = "AIzaPondPondPond&=+"
HTTP = Http()
CHANNEL = "channel/UCpondpondpondpondpond01"


def video(number: int) -> str:
    return f"pondVideo{number:02}"


def refusal(status: int, reason: str, domain: str = "youtube.quota", message: str = "no") -> bytes:
    errors = [{"message": message, "domain": domain, "reason": reason}]
    return reply(
        status,
        json.dumps({"error": {"code": status, "message": message, "errors": errors}}).encode(),
        {"Date": format_datetime(NOON, usegmt=True)},
    )


@dataclass
class Tube:
    """Videos with the minutes after noon at which somebody wrote below them."""

    now: datetime = NOON + timedelta(hours=10)
    comments: dict[str, list[int]] = field(default_factory=dict)
    uploads: list[tuple[str, datetime]] = field(default_factory=list)  # newest first; found by a search as well
    page: int = 100  # the most that one answer holds
    refused: dict[str, bytes] = field(default_factory=dict)  # a video or a path -> what comes in place of an answer
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def answer(self, asked: Asked) -> bytes:
        address = urlsplit(asked.target)
        params = {key: value[0] for key, value in parse_qs(address.query).items()}
        assert params.pop("key") == KEY
        path = address.path.rpartition("/")[2]
        self.asked.append((path, params))
        for what in (path, params.get("videoId", "")):
            if what in self.refused:
                return self.refused[what]
        items = getattr(self, f"_{path}")(params)
        return reply(200, json.dumps(items).encode(), {"Date": format_datetime(self.now, usegmt=True)})

    def _commentThreads(self, params: dict[str, str]) -> dict[str, Any]:
        of = params["videoId"]
        minutes = sorted(self.comments.get(of, []), reverse=True)
        start = int(params.get("pageToken", "p0")[1:])
        shown = minutes[start : start + min(self.page, int(params["maxResults"]))]
        found = {"kind": "youtube#commentThreadListResponse", "items": [self._thread(of, minute) for minute in shown]}
        return {**found, "nextPageToken": f"p{start + len(shown)}"} if start + len(shown) < len(minutes) else found

    def _thread(self, of: str, minute: int) -> dict[str, Any]:
        at = (NOON + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
        snippet = {"textDisplay": f"ale {minute}", "publishedAt": at, "updatedAt": at, "likeCount": 0}
        comment = {"kind": "youtube#comment", "id": f"{of}.{minute}", "snippet": snippet}
        return {"kind": "youtube#commentThread", "snippet": {"videoId": of, "topLevelComment": comment}}

    def _playlistItems(self, params: dict[str, str]) -> dict[str, Any]:
        assert params["playlistId"] == "UUpondpondpondpondpond01"
        items = [{"contentDetails": {"videoId": v, "videoPublishedAt": at.isoformat()}} for v, at in self.uploads]
        return {"kind": "youtube#playlistItemListResponse", "items": items[: int(params["maxResults"])]}

    def _search(self, params: dict[str, str]) -> dict[str, Any]:
        items = [{"id": {"videoId": v}, "snippet": {"publishedAt": at.isoformat()}} for v, at in self.uploads]
        return {"kind": "youtube#searchListResponse", "items": items[: int(params["maxResults"])]}

    def took(self, path: str) -> list[str]:
        return [params.get("videoId", params.get("q", "")) for found, params in self.asked if found == path]


async def poll(
    answer: Callable[[Asked], bytes],
    name: str = f"video/{video(1)}",
    cursor: Cursor | None = None,
    *,
    pages: int = 30,
    key: str | None = KEY,
) -> Page:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(asked))
        await writer.drain()

    async with loopback(script) as server:
        access = Access(
            source="youtube",
            base_url=f"{server.url}/youtube/v3",
            own_base_url=True,
            user_agent="tests",
            overlap_s=600.0,
            max_pages=pages,
            credentials={"key": Secret(key)} if key else {},
        )
        async with HTTP.session(access) as client:
            page = await youtube.fetch(client, Stream("youtube", name), cursor)
    assert KEY not in json.dumps(page.cursor)
    return page


async def round_of(tube: Tube, name: str, cursor: Cursor | None = None, *, pages: int = 30) -> tuple[Page, list[Page]]:
    """(the last page of a round, all of them)."""
    found = [await poll(tube.answer, name, cursor, pages=pages)]
    while found[-1].more:
        found.append(await poll(tube.answer, name, found[-1].cursor, pages=pages))
        assert len(found) < 50
    return found[-1], found


def ids(*pages: Page) -> set[str]:
    return {item.id for page in pages for item in page.items if isinstance(item, Message)}


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


# --------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("video/pondVideo01", "video/pondVideo01"),
        ("Video/pondVideo01", "video/pondVideo01"),
        ("https://www.youtube.com/watch?v=pondVideo01&t=3s", "video/pondVideo01"),
        ("youtube.com/watch?list=x&v=pondVideo01", "video/pondVideo01"),
        ("https://youtu.be/pondVideo01?si=x", "video/pondVideo01"),
        ("https://www.youtube.com/channel/UCpondpondpondpondpond01", CHANNEL),
        ("query/ BABA   stock", "query/BABA stock"),
        ("query/a/b", "query/a/b"),
    ],
)
def test_a_stream_is_a_video_a_channel_or_a_query(given: str, name: str) -> None:
    assert youtube.stream_name(given) == name
    assert youtube.stream_name(name) == name


@pytest.mark.parametrize(
    "given", ["video/short", "channel/@pond", "https://www.youtube.com/PondChannel", "query/ ", "pondVideo01"]
)
def test_what_is_none_of_these_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected video/ID"):
        youtube.stream_name(given)


# ------------------------------------------------------------------------------------------------------ one video


async def test_a_video_is_asked_for_its_newest_comments_in_plain_text() -> None:
    tube = Tube(comments={video(1): list(range(150))})
    page = await poll(tube.answer)
    assert ids(page) == {f"{video(1)}.{minute}" for minute in range(50, 150)}
    assert page.covers_from == at(50)
    assert tube.asked == [
        (
            "commentThreads",
            {
                "part": "snippet,replies",
                "videoId": video(1),
                "order": "time",
                "maxResults": "100",
                "textFormat": "plainText",
            },
        )
    ]


async def test_later_polls_walk_back_to_known_ground() -> None:
    tube = Tube(comments={video(1): list(range(300))}, page=50)
    page = await poll(tube.answer, cursor={"known": at(120).timestamp()})
    assert ids(page) >= {f"{video(1)}.{minute}" for minute in range(110, 300)}
    assert len(tube.asked) == 4
    assert (page.gap, page.more) == (None, False)


async def test_a_quiet_video_is_covered_though_nobody_wrote() -> None:
    tube = Tube(comments={video(1): []})
    page = await poll(tube.answer, cursor={"known": at(5).timestamp()})
    assert (page.items, page.covers_from, page.note) == ((), at(5), None)


async def test_a_page_token_that_has_run_out_begins_the_walk_anew() -> None:
    tube = Tube(comments={video(1): list(range(300))}, page=50)
    first = await poll(tube.answer, cursor={"known": at(120).timestamp()}, pages=2)

    def answer(asked: Asked) -> bytes:
        gone = "pageToken=p100" in asked.target and len(tube.asked) == 2
        given = tube.answer(asked)
        return refusal(400, "invalidPageToken", "youtube.parameter") if gone else given

    second = await poll(answer, cursor=first.cursor)
    assert ids(first, second) >= {f"{video(1)}.{minute}" for minute in range(110, 300)}
    assert second.gap is None


async def test_replies_say_nothing_of_how_far_a_page_reaches() -> None:
    def answer(asked: Asked) -> bytes:
        threads = [tube._thread(video(1), minute) for minute in (50, 40, 30)]
        for thread in threads:
            late = tube._thread(video(1), 500)["snippet"]["topLevelComment"]
            thread["replies"] = {"comments": [{**late, "id": f"r{thread['snippet']['topLevelComment']['id']}"}]}
        tube.asked.append(("commentThreads", {}))
        body = {"kind": "youtube#commentThreadListResponse", "items": threads, "nextPageToken": f"p{len(tube.asked)}"}
        return reply(200, json.dumps(body).encode(), {"Date": format_datetime(tube.now, usegmt=True)})

    tube = Tube()
    page = await poll(answer, cursor={"known": at(100).timestamp()})
    assert len(tube.asked) == 1
    assert len(ids(page)) == 6


# ------------------------------------------------------------------------------------------- channels and searches


async def test_a_channel_is_its_newest_uploads_and_the_comments_below_each() -> None:
    tube = Tube(comments={video(n): [n] for n in range(1, 15)}, uploads=[(video(n), at(-n)) for n in range(1, 15)])
    page, _ = await round_of(tube, CHANNEL)
    assert tube.took("commentThreads") == [video(n) for n in range(1, 11)]
    assert ids(page) == {f"{video(n)}.{n}" for n in range(1, 11)}
    assert page.covers_from == tube.now
    assert len(tube.asked) == 11


async def test_a_round_may_take_several_polls_and_covers_from_the_one_before_it() -> None:
    tube = Tube(comments={video(n): [n] for n in (1, 2, 3)}, uploads=[(video(n), at(-n)) for n in (1, 2, 3)])
    began = tube.now
    first, _ = await round_of(tube, CHANNEL)
    tube.now += timedelta(minutes=15)
    last, pages = await round_of(tube, CHANNEL, first.cursor, pages=1)
    assert [page.more for page in pages] == [True, True, True, False]
    assert [page.covers_from for page in pages[:-1]] == [None] * 3
    assert last.covers_from == began


async def test_a_video_that_came_since_is_read_from_its_first_comment_on() -> None:
    tube = Tube(comments={video(1): [1]}, uploads=[(video(1), at(-1))])
    first, _ = await round_of(tube, CHANNEL)
    tube.uploads.insert(0, (video(2), at(601)))
    tube.comments[video(2)] = list(range(602, 902))
    tube.now += timedelta(hours=6)
    page, _ = await round_of(tube, CHANNEL, first.cursor)
    assert len([id_ for id_ in ids(page) if id_.startswith(video(2))]) == 300
    assert page.gap is None


async def test_an_older_video_is_read_from_its_newest_page_on() -> None:
    tube = Tube(comments={video(1): list(range(300))}, uploads=[(video(1), at(-9))])
    page, _ = await round_of(tube, CHANNEL)
    assert len(ids(page)) == 100


async def test_a_video_without_comments_is_left_alone_and_the_others_are_read() -> None:
    tube = Tube(comments={video(2): [2]}, uploads=[(video(1), at(-1)), (video(2), at(-2))])
    tube.refused[video(1)] = refusal(403, "commentsDisabled", "youtube.commentThread")
    first, _ = await round_of(tube, CHANNEL)
    assert ids(first) == {f"{video(2)}.2"}
    second, _ = await round_of(tube, CHANNEL, first.cursor)
    assert tube.took("commentThreads") == [video(1), video(2), video(2)]
    assert second.cut_short is None


async def test_a_search_is_made_once_in_so_many_rounds() -> None:
    tube = Tube(comments={video(1): [1]}, uploads=[(video(1), at(-1))])
    cursor: Cursor | None = None
    for _ in range(49):
        page, _ = await round_of(tube, "query/BABA stock", cursor)
        cursor = page.cursor
    assert tube.took("search") == ["BABA stock"] * 3
    assert len(tube.took("commentThreads")) == 49


async def test_what_a_search_finds_joins_what_is_followed() -> None:
    tube = Tube(uploads=[(video(n), at(-n)) for n in range(1, 8)])
    first, _ = await round_of(tube, "query/x")
    assert first.cursor is not None
    tube.uploads = [(video(n), at(-n)) for n in range(20, 25)]
    page, _ = await round_of(tube, "query/x", {**first.cursor, "rounds": 24})
    assert page.cursor is not None
    assert [found for found, _ in page.cursor["followed"]] == [video(n) for n in (20, 21, 22, 23, 24, 1, 2, 3, 4, 5)]


async def test_a_round_in_which_nobody_was_asked_claims_nothing() -> None:
    tube = Tube()
    first, _ = await round_of(tube, "query/x")
    second, _ = await round_of(tube, "query/x", first.cursor)
    assert first.covers_from == tube.now
    assert len(tube.asked) == 1
    assert (second.covers_from, second.more) == (None, False)


async def test_an_error_amid_a_round_keeps_what_came_before_it() -> None:
    tube = Tube(comments={video(1): [1], video(2): [2]}, uploads=[(video(1), at(-1)), (video(2), at(-2))])
    tube.refused[video(2)] = reply(503)
    page = await poll(tube.answer, CHANNEL)
    assert ids(page) == {f"{video(1)}.1"}
    assert isinstance(page.cut_short, Unavailable)
    del tube.refused[video(2)]
    page = await poll(tube.answer, CHANNEL, page.cursor)
    assert ids(page) == {f"{video(2)}.2"}
    assert not page.more


# ------------------------------------------------------------------------------------------------------- the quota


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (datetime(2026, 7, 1, 6, 59, 30, tzinfo=UTC), 30),
        (datetime(2026, 7, 1, 7, 0, tzinfo=UTC), 86_400),
        (datetime(2026, 12, 1, 7, 30, tzinfo=UTC), 1_800),
        (datetime(2026, 11, 1, 7, 0, tzinfo=UTC), 86_400),  # 25 hours: as long as a named time is believed
        (datetime(2027, 3, 14, 8, 0, tzinfo=UTC), 82_800),
    ],
)
async def test_a_quota_that_is_used_up_is_waited_for_until_midnight_in_california(
    moment: datetime, seconds: int
) -> None:
    body = refusal(403, "quotaExceeded").replace(
        format_datetime(NOON, usegmt=True).encode(), format_datetime(moment, usegmt=True).encode()
    )
    with pytest.raises(RateLimited) as caught:
        await poll(Tube(refused={"commentThreads": body}).answer)
    assert caught.value.retry_after_s == seconds
    assert "quota" in str(caught.value)


@pytest.mark.parametrize("answer", [refusal(403, "dailyLimitExceeded", "usageLimits"), refusal(429, "rateLimitExceeded", message="Quota exceeded for limit 'Queries per day'")])  # fmt: skip
async def test_other_words_for_it_are_understood(answer: bytes) -> None:
    with pytest.raises(RateLimited) as caught:
        await poll(Tube(refused={"commentThreads": answer}).answer)
    assert caught.value.retry_after_s == 20 * 3600  # noon UTC is 4 o'clock there


async def test_searches_that_are_used_up_stop_no_comments() -> None:
    tube = Tube(comments={video(1): [1]}, uploads=[(video(1), at(-1))])
    first, _ = await round_of(tube, "query/x")
    assert first.cursor is not None
    tube.refused["search"] = refusal(403, "quotaExceeded")
    page, _ = await round_of(tube, "query/x", {**first.cursor, "rounds": 24})
    assert page.note == "the day's searches are used up"
    assert ids(page) == {f"{video(1)}.1"}
    assert page.cursor is not None
    assert page.cursor["rounds"] == 25


async def test_where_everything_is_used_up_the_whole_source_waits() -> None:
    tube = Tube(comments={video(1): [1]}, uploads=[(video(1), at(-1))])
    first, _ = await round_of(tube, "query/x")
    tube.refused = {"search": refusal(403, "quotaExceeded"), "commentThreads": refusal(403, "quotaExceeded")}
    with pytest.raises(RateLimited):
        await poll(tube.answer, "query/x", first.cursor)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(403, "rateLimitExceeded", "usageLimits"), RateLimited),
        (refusal(403, "commentsDisabled", "youtube.commentThread"), NotFound),
        (refusal(403, "forbidden", "youtube.commentThread"), NotFound),
        (refusal(403, "forbidden", "global"), AccessDenied),
        (refusal(403, "accessNotConfigured", "usageLimits"), AccessDenied),
        (refusal(404, "videoNotFound", "youtube.commentThread"), NotFound),
        (refusal(400, "keyInvalid", "usageLimits"), AccessDenied),
        (refusal(400, "badRequest", "global", "API key not valid. Please pass a valid API key."), AccessDenied),
        (refusal(400, "processingFailure", "youtube.commentThread"), Unavailable),
        (reply(500), Unavailable),
        (reply(200, b'{"error": {"code": 403}}'), Malformed),
        (reply(200, b'{"kind": "youtube#commentThreadListResponse", "items": {}}'), Malformed),
    ],
)
async def test_a_refusal_is_an_error_by_what_to_do_about_it(answer: bytes, kind: type[SourceError]) -> None:
    with pytest.raises(kind):
        await poll(Tube(refused={"commentThreads": answer}).answer)


# --------------------------------------------------------------------------------------------------------- the key


async def test_nothing_is_asked_without_a_key() -> None:
    tube = Tube()
    with pytest.raises(AccessDenied, match="set key"):
        await poll(tube.answer, key=None)
    assert tube.asked == []


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
async def test_the_key_is_in_no_error(status: int) -> None:
    def answer(asked: Asked) -> bytes:
        echo = json.dumps({"error": {"message": f"bad key {KEY} at {asked.target}", "errors": [{"reason": "x"}]}})
        return reply(status, echo.encode())

    with pytest.raises(SourceError) as caught:
        await poll(answer)
    told = f"{caught.value}{caught.value!r}{caught.value.body!r}{caught.value.__cause__!r}"
    assert "PondPond" not in told


# ---------------------------------------------------------------------------------------------------------- fields


def test_an_edit_is_a_newer_revision() -> None:
    def revision(updated: str) -> str:
        snippet = {"textOriginal": "ale", "publishedAt": "2026-11-02T12:00:00Z", "updatedAt": updated}
        comment = {"kind": "youtube#comment", "id": "UgxReed", "snippet": snippet}
        (item,) = youtube.parse(json.dumps({"kind": "youtube#commentListResponse", "items": [comment]}).encode())
        assert isinstance(item, Message)
        assert item.revision is not None
        return item.revision

    moments = ["2026-11-02T12:00:00Z", "2026-11-02T12:00:00.5Z", "2026-11-02T12:00:01Z", "2026-11-02T13:00:00.001Z"]
    assert sorted(map(revision, moments)) == list(map(revision, moments))


def test_a_list_without_items_is_empty() -> None:
    assert youtube.parse(b'{"kind": "youtube#commentThreadListResponse"}') == []


def test_recorded_answers_are_read() -> None:
    folder = SHARED / "samples" / "youtube"
    if not folder.exists():
        pytest.skip("no recorded answers: set TRACKER_SHARED")
    counts = {}
    for file in sorted(folder.glob("comment*.json")):
        items = youtube.parse(file.read_bytes())
        assert not [item for item in items if isinstance(item, Flaw)]
        assert all(isinstance(item, Message) and item.created_at and item.author and item.revision for item in items)
        counts[file.name] = len(items)
    assert counts["comment_threads_by_video_paged_1.json"] == 5
    assert counts["comments_by_parent_paged_2.json"] == 1


# -------------------------------------------------------------------------------------------------------- re-check


async def rechecked(answer: bytes, *ids: str, key: str | None = KEY) -> list[str]:
    async with loopback(answer) as server:
        credentials = {"key": Secret(key)} if key else {}
        access = Access("youtube", f"{server.url}/youtube/v3", True, "tests", credentials=credentials)
        async with HTTP.session(access) as client:
            found = await youtube.recheck(client, ids)
        (asked,) = server.asked
    address = urlsplit(asked.target)
    assert address.path == "/youtube/v3/comments"
    assert parse_qs(address.query) == {"part": ["id"], "id": [",".join(ids)], "key": [KEY]}
    return [str(deletion.id) for deletion in found]


def comments(*ids: Any, **said: Any) -> bytes:
    items = [{"kind": "youtube#comment", "id": id_} for id_ in ids]
    return reply(200, json.dumps({"kind": "youtube#commentListResponse", "items": items, **said}).encode())


async def test_gone_is_what_a_whole_answer_leaves_out() -> None:
    assert await rechecked(comments("pond1", "pond3"), "pond1", "pond2", "pond3", "pond4") == ["pond2", "pond4"]
    assert await rechecked(comments("pond1", "pond2"), "pond1", "pond2") == []


@pytest.mark.parametrize(
    "answer",
    [
        comments(),  # a blank answer is doubted
        comments("pond1", nextPageToken="more"),
        comments("pond1", None),
        comments("pond1", "brook7"),
        reply(200, json.dumps({"kind": "youtube#commentListResponse"}).encode()),
        refusal(404, "commentNotFound", "youtube.comment"),  # of several: it does not say which
    ],
)
async def test_an_answer_that_is_not_whole_says_nothing(answer: bytes) -> None:
    assert await rechecked(answer, "pond1", "pond2") == []


async def test_of_a_single_comment_the_api_may_say_that_it_is_gone() -> None:
    assert await rechecked(refusal(404, "commentNotFound", "youtube.comment"), "pond1") == ["pond1"]
    assert await rechecked(comments(), "pond1") == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(200, b"<html></html>"), Malformed),
        (reply(200, b"{}"), Malformed),
        (reply(200, b'{"kind": "youtube#videoListResponse", "items": [{"id": "pond1"}]}'), Malformed),
        (reply(200, b'{"kind": "youtube#commentListResponse", "items": null}'), Malformed),
        (refusal(403, "quotaExceeded"), RateLimited),
        (refusal(403, "forbidden"), AccessDenied),
        (refusal(404, "videoNotFound", "youtube.video"), NotFound),
        (reply(404, b"<html></html>"), NotFound),
        (reply(500), Unavailable),
    ],
)
async def test_what_is_no_answer_about_stored_comments_is_an_error(answer: bytes, error: type[SourceError]) -> None:
    with pytest.raises(error):
        await rechecked(answer, "pond1", "pond2")


async def test_without_a_key_nobody_is_asked_about_stored_comments() -> None:
    with pytest.raises(AccessDenied, match="key"):
        await rechecked(comments(), "pond1", key=None)
