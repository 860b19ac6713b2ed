"""Reddit: the walk through its listings, the two ways in, and what its answers say."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import httpx
import pytest

from tracker.errors import AccessDenied, Malformed, NotFound, SourceError
from tracker.http import Access, Client, Http
from tracker.models import Ballot, BallotOption, Cursor, Deletion, Flaw, Message, Page, Stream
from tracker.secret import Secret
from tracker.sources import load, reddit

SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).parents[1] / ".." / "shared"))
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


@dataclass
class FakeReddit:
    """One subreddit: a post a minute, the newest at noon; answers Atom without a token and JSON with one."""

    numbers: list[int]  # of its posts, newest first; number n was written n minutes before noon
    page: int = 100  # the most that one answer holds
    end: int = 1_000  # no listing goes further back
    expires_in: int = 3_600
    now: datetime = NOON
    valid: set[str] = field(default_factory=set)  # tokens
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        headers = {"Date": format_datetime(self.now, usegmt=True)}
        if request.url.path.endswith("/api/v1/access_token"):
            return self._token(request, headers)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.valid:
            return httpx.Response(401, json={"message": "Unauthorized", "error": 401}, headers=headers)
        found, after = self._listing(dict(request.url.params))
        body = _listing(found, after) if token else _feed(found)
        return httpx.Response(200, content=body, headers=headers)

    def _token(self, request: httpx.Request, headers: dict[str, str]) -> httpx.Response:
        if httpx.BasicAuth("app", "hush").auth_flow(httpx.Request("GET", "https://x")).__next__().headers[
            "Authorization"
        ] != request.headers.get("Authorization"):
            return httpx.Response(401, json={"message": "Unauthorized", "error": 401}, headers=headers)
        assert parse_qs(request.content.decode()) == {"grant_type": ["client_credentials"]}
        token = f"token-{len(self.tokens_asked)}"
        self.valid.add(token)
        answer = {"access_token": token, "token_type": "bearer", "expires_in": self.expires_in, "scope": "*"}
        return httpx.Response(200, json=answer, headers=headers)

    def _listing(self, params: dict[str, str]) -> tuple[list[int], str | None]:
        offered = self.numbers[: self.end]
        if after := params.get("after"):
            anchor = int(after.removeprefix("t3_"), 36)
            # Reddit finds nothing after an anchor that is gone
            offered = offered[offered.index(anchor) + 1 :] if anchor in offered else []
        found = offered[: min(self.page, int(params.get("limit", "25")))]
        return found, f"t3_{_base36(found[-1])}" if found and len(offered) > len(found) else None

    @property
    def tokens_asked(self) -> list[httpx.Request]:
        return [request for request in self.asked if request.url.path.endswith("/api/v1/access_token")]

    @property
    def listings_asked(self) -> list[httpx.Request]:
        return [request for request in self.asked if request not in self.tokens_asked]


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return (_base36(number // 36) if number >= 36 else "") + digits[number % 36]


def at(number: int) -> datetime:
    return NOON - timedelta(minutes=number)


def _feed(numbers: list[int]) -> bytes:
    entries = "".join(
        f"<entry><author><name>/u/tin_meadow</name></author><id>t3_{_base36(number)}</id>"
        f"<link href='https://www.reddit.com/r/x/comments/{_base36(number)}/'/>"
        f"<published>{at(number).isoformat()}</published><updated>{at(number).isoformat()}</updated>"
        f"<title>post {number}</title><content type='html'>"
        f"{escape(f'<!-- SC_OFF --><p>words {number}</p><!-- SC_ON -->')}</content></entry>"
        for number in numbers
    )
    return f"<feed xmlns='http://www.w3.org/2005/Atom'>{entries}</feed>".encode()


def _listing(numbers: list[int], after: str | None) -> bytes:
    posts = [
        {
            "kind": "t3",
            "data": {
                "name": f"t3_{_base36(number)}",
                "title": f"post {number}",
                "selftext": f"words {number}",
                "author": "Tin_Meadow",
                "created_utc": at(number).timestamp(),
                "edited": False,
                "score": 1,
                "num_comments": 0,
                "permalink": f"/r/x/comments/{_base36(number)}/",
            },
        }
        for number in numbers
    ]
    return json.dumps({"kind": "Listing", "data": {"children": posts, "after": after, "before": None}}).encode()


async def poll(
    server: Callable[[httpx.Request], httpx.Response],
    cursor: Cursor | None = None,
    *,
    name: str = "r/x",
    credentials: dict[str, str] | None = None,
    base_url: str = "https://mirror.example",
    **access: Any,
) -> Page:
    async with client_of(server, credentials=credentials, base_url=base_url, **access) as client:
        return await reddit.fetch(client, Stream("reddit", name), cursor)


@asynccontextmanager
async def client_of(
    server: Any, *, credentials: dict[str, str] | None, base_url: str, **access: Any
) -> AsyncIterator[Client]:
    """A client of a network that is ``server``."""
    found = Access(
        source="reddit",
        base_url=base_url,
        own_base_url=base_url != reddit.BASE_URL,
        user_agent="tests",
        credentials={key: Secret(value) for key, value in (credentials or {}).items()},
        **{"overlap_s": 600.0, **access},
    )
    async with Http(transport=httpx.MockTransport(server)).session(found) as client:
        yield client


def ids(page: Page) -> list[int]:
    return [int(item.id.removeprefix("t3_"), 36) for item in page.items if isinstance(item, Message)]


# ------------------------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("stocks", "r/stocks"),
        ("/r/stocks/", "r/stocks"),
        (" r/Stocks ", "r/stocks"),
        ("r/stocks/new", "r/stocks"),
        ("r/stocks/comments", "r/stocks/comments"),
        ("Stocks/Comments/", "r/stocks/comments"),
        ("r/stocks+Investing", "r/stocks+investing"),
        ("r/stocks+investing/comments", "r/stocks+investing/comments"),
        ("https://www.reddit.com/r/Stocks/comments/.rss", "r/stocks/comments"),
    ],
)
def test_a_stream_has_one_name(given: str, name: str) -> None:
    assert reddit.stream_name(given) == name
    assert reddit.stream_name(name) == name


@pytest.mark.parametrize("given", ["", "r/", "r/a b", "r/stocks/hot", "$TSLA", "../etc", "r/stocks?x=1", "r/a+", "ü"])
def test_what_is_no_subreddit_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected a subreddit"):
        reddit.stream_name(given)


def test_the_default_streams_are_named_canonically() -> None:
    assert all(reddit.stream_name(name) == name for name in reddit.streams(("TSLA",)))


def test_the_module_is_a_source() -> None:
    assert load("reddit").BASE_URL == "https://www.reddit.com"


# --------------------------------------------------------------------------------------------------------- Atom


async def test_the_first_poll_takes_the_newest_page() -> None:
    server = FakeReddit(list(range(250)))
    page = await poll(server)
    assert ids(page) == list(range(100))
    assert not page.more
    assert page.covers_from == at(99)
    (request,) = server.asked
    assert request.url.path == "/r/x/new/.rss"
    assert dict(request.url.params) == {"limit": "100"}


async def test_comments_are_asked_for_at_their_own_address() -> None:
    server = FakeReddit([1])
    await poll(server, name="r/x+y/comments")
    assert server.asked[0].url.path == "/r/x+y/comments/.rss"


async def test_the_walk_goes_back_to_known_ground_over_several_polls() -> None:
    server = FakeReddit(list(range(200, 300)))
    first = await poll(server, max_pages=1)
    server.numbers = list(range(300))
    seen: list[int] = []
    cursor, polls, more = first.cursor, 0, True
    while more:
        page = await poll(server, cursor, max_pages=1)
        seen += ids(page)
        cursor, more, polls = page.cursor, page.more, polls + 1
    assert polls == 3
    assert sorted(set(seen)) == list(range(300))
    assert page.gap is None
    assert page.covers_from is not None
    assert page.covers_from <= at(200)
    assert cursor == {"known": at(0).timestamp(), "validators": {}}


async def test_answers_of_25_are_walked_as_well() -> None:
    server = FakeReddit(list(range(60)), page=25)
    page = await poll(server, {"known": at(70).timestamp()}, max_pages=5)
    assert ids(page) == list(range(60))
    assert len(server.asked) == 3
    assert page.gap is None  # the last page was short: the listing holds nothing older
    assert not page.more


async def test_a_quiet_subreddit_is_complete_after_one_answer() -> None:
    page = await poll(FakeReddit([5, 40, 900]), {"known": at(30).timestamp()}, max_pages=5)
    assert ids(page) == [5, 40, 900]
    assert not page.more
    assert page.gap is None


async def test_messages_beyond_the_end_of_the_listing_are_a_gap() -> None:
    server = FakeReddit(list(range(1500)))
    page = await poll(server, {"known": at(1400).timestamp()}, max_pages=20)
    assert ids(page) == list(range(1000))
    assert page.gap is not None
    assert (page.gap.from_at, page.gap.to_at) == (at(1400), at(999))
    assert "1,000" in page.gap.reason
    assert len(server.asked) == 10


async def test_a_listing_thinned_out_by_removals_still_ends_in_a_gap() -> None:
    page = await poll(FakeReddit(list(range(1500)), end=920), {"known": at(1400).timestamp()}, max_pages=20)
    assert page.gap is not None


async def test_a_walk_whose_anchor_was_deleted_begins_again() -> None:
    server = FakeReddit(list(range(300)))
    first = await poll(server, {"known": at(250).timestamp()}, max_pages=1)
    assert first.more
    server.numbers.remove(99)  # the anchor of the walk
    seen, page = ids(first), first
    while page.more:
        page = await poll(server, page.cursor, max_pages=1)
        seen += ids(page)
    assert set(range(260)) <= set(seen)
    assert page.gap is None


async def test_a_listing_of_exactly_one_page_does_not_walk_for_ever() -> None:
    server = FakeReddit(list(range(100)))
    page = await poll(server, {"known": at(120).timestamp()}, max_pages=1)
    for _ in range(4):
        if not page.more:
            break
        page = await poll(server, page.cursor, max_pages=1)
    assert not page.more
    assert page.gap is None


@pytest.mark.parametrize("credentials", [{}, {"client_id": "app", "client_secret": "hush"}])
async def test_an_empty_listing_is_not_taken_for_silence(credentials: dict[str, str]) -> None:
    cursor = {"known": at(30).timestamp()}
    page = await poll(FakeReddit([]), cursor, credentials=credentials, base_url="https://empty.example")
    assert page == Page(items=(), cursor=None, note="the listing is empty")


async def test_the_feed_token_is_sent_and_never_told() -> None:
    server = FakeReddit([1])
    async with client_of(
        server, credentials={"feed_token": "s3cr3t", "feed_user": "me"}, base_url="https://mirror.example"
    ) as client:
        await reddit.fetch(client, Stream("reddit", "r/x"), None)
        assert dict(server.asked[0].url.params) == {"limit": "100", "feed": "s3cr3t", "user": "me"}

    def broken(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, text=str(request.url))

    with pytest.raises(NotFound) as caught:
        await poll(broken, credentials={"feed_token": "s3cr3t", "feed_user": "me"})
    assert "s3cr3t" not in f"{caught.value}{caught.value!r}"


async def test_a_feed_token_without_its_user_is_not_sent() -> None:
    server = FakeReddit([1])
    await poll(server, credentials={"feed_token": "s3cr3t"})
    assert dict(server.asked[0].url.params) == {"limit": "100"}


async def test_an_unchanged_feed_is_a_success_with_nothing_new() -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if request.headers.get("If-None-Match") == '"a"':
            return httpx.Response(304)
        return httpx.Response(200, content=_feed([1, 2]), headers={"ETag": '"a"'})

    first = await poll(server)
    second = await poll(server, first.cursor)
    assert second.unchanged
    assert second.items == ()
    assert second.cursor is None


# -------------------------------------------------------------------------------------------------------- OAuth

APP = {"client_id": "app", "client_secret": "hush"}


async def test_an_app_reads_json_with_a_token_and_keeps_the_token() -> None:
    server, base_url = FakeReddit(list(range(250))), "https://keeps.example/reddit"
    page = await poll(server, credentials=APP, base_url=base_url)
    await poll(server, page.cursor, credentials=APP, base_url=base_url)
    assert ids(page) == list(range(100))
    assert len(server.tokens_asked) == 1
    assert server.asked[0].url == "https://keeps.example/reddit/api/v1/access_token"
    request = server.asked[1]
    assert request.url.path == "/reddit/r/x/new"
    assert dict(request.url.params) == {"limit": "100", "raw_json": "1"}
    assert "token" not in json.dumps(page.cursor)


async def test_without_an_own_address_the_listing_is_asked_at_the_api_host() -> None:
    if "other_urls" not in {found.name for found in fields(Access)}:
        pytest.skip("the client asks no second host yet")
    server = FakeReddit([1])
    await poll(server, credentials=APP, base_url=reddit.BASE_URL, other_urls=reddit.OTHER_URLS)
    hosts = [f"{request.url.scheme}://{request.url.host}" for request in server.asked]
    assert hosts == [reddit.BASE_URL, reddit.OAUTH_URL]


async def test_an_app_pages_with_after_until_known_ground() -> None:
    server = FakeReddit(list(range(400)))
    page = await poll(
        server, {"known": at(150).timestamp()}, credentials=APP, base_url="https://after.example", max_pages=10
    )
    assert ids(page) == list(range(200))
    assert [request.url.params.get("after") for request in server.listings_asked] == [None, f"t3_{_base36(99)}"]
    assert not page.more
    assert page.gap is None


async def test_the_end_of_a_small_listing_is_no_gap_for_an_app() -> None:
    page = await poll(
        FakeReddit(list(range(130))), {"known": at(150).timestamp()}, credentials=APP, base_url="https://end.example"
    )
    assert ids(page) == list(range(130))
    assert page.gap is None


async def test_messages_beyond_the_end_of_a_listing_are_a_gap_for_an_app() -> None:
    page = await poll(
        FakeReddit(list(range(1500)), end=980),
        {"known": at(1400).timestamp()},
        credentials=APP,
        base_url="https://gap.example",
        max_pages=20,
    )
    assert page.gap is not None
    assert (page.gap.from_at, page.gap.to_at) == (at(1400), at(979))


async def test_a_refused_token_is_replaced_once() -> None:
    server, base_url = FakeReddit([1]), "https://refused.example"
    await poll(server, credentials=APP, base_url=base_url)
    server.valid.clear()
    page = await poll(server, credentials=APP, base_url=base_url)
    assert ids(page) == [1]
    assert len(server.tokens_asked) == 2


async def test_a_token_that_is_always_refused_is_asked_for_no_more_than_twice() -> None:
    class Refusing(FakeReddit):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            self.valid.clear()
            return super().__call__(request)

    server = Refusing([1])
    with pytest.raises(AccessDenied):
        await poll(server, credentials=APP, base_url="https://always.example")
    assert len(server.tokens_asked) == 2


async def test_a_token_is_let_go_at_its_end_by_the_servers_clock() -> None:
    server, base_url = FakeReddit([1], expires_in=3600), "https://expires.example"
    await poll(server, credentials=APP, base_url=base_url)
    server.now = NOON + timedelta(seconds=3590)
    await poll(server, credentials=APP, base_url=base_url)
    assert len(server.tokens_asked) == 1
    await poll(server, credentials=APP, base_url=base_url)
    assert len(server.tokens_asked) == 2
    assert len(server.listings_asked) == 3  # none of them was refused


async def test_wrong_credentials_are_access_denied() -> None:
    with pytest.raises(AccessDenied):
        await poll(FakeReddit([1]), credentials={**APP, "client_secret": "wrong"}, base_url="https://wrong.example")


@pytest.mark.parametrize("body", [b'{"access_token": "half-of-a-tok', b"[]", b'{"error": "invalid_grant"}', b"<html>"])
async def test_an_answer_without_a_token_is_access_denied_and_tells_none_of_it(body: bytes) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body)

    with pytest.raises(AccessDenied) as caught:
        await poll(server, credentials=APP, base_url="https://none.example")
    assert caught.value.body is None
    assert "half" not in str(caught.value)


async def test_half_of_an_apps_credentials_is_no_app() -> None:
    server = FakeReddit([1])
    await poll(server, credentials={"client_id": "app"})
    assert server.tokens_asked == []


async def test_a_forbidden_subreddit_is_not_asked_again_with_a_new_token() -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 3600})
        asked.append(request)
        return httpx.Response(403, json={"reason": "private", "message": "Forbidden", "error": 403})

    asked: list[httpx.Request] = []
    with pytest.raises(AccessDenied):
        await poll(server, credentials=APP, base_url="https://private.example")
    assert len(asked) == 1


# ------------------------------------------------------------------------------------------------------ parsing


def comment(**data: Any) -> dict[str, Any]:
    return {"kind": "t1", "data": {"name": "t1_a1", "body": "words", "author": "x", "created_utc": 1.79e9, **data}}


def parsed(*things: Any) -> list[Any]:
    return reddit.parse(json.dumps({"kind": "Listing", "data": {"children": list(things), "after": None}}).encode())


def test_both_ways_in_agree_on_a_message() -> None:
    (json_one,) = reddit.parse(_listing([7], None))
    (atom_one,) = reddit.parse(_feed([7]))
    assert isinstance(json_one, Message)
    assert isinstance(atom_one, Message)
    told = {found.name for found in fields(Message)} - {"likes", "replies", "url"}
    assert {name: getattr(json_one, name) for name in told} == {name: getattr(atom_one, name) for name in told}
    assert (atom_one.likes, atom_one.replies) == (None, None)


def test_revisions_of_a_message_sort_by_their_age() -> None:
    made = [
        item.revision
        for item in parsed(comment(edited=False), comment(edited=1.79e9 + 1), comment(edited=1.79e9 + 86_400))
    ]
    assert made == sorted(made)
    assert len({len(revision) for revision in made}) == 1
    assert len(set(made)) == 3


def test_a_literal_mention_of_removal_by_a_living_author_stays() -> None:
    (item,) = parsed(comment(body="[removed]", author="tin_meadow"))
    assert isinstance(item, Message)


@pytest.mark.parametrize("body", ["[removed]", "[deleted]", "[ Removed by Reddit ]"])
def test_a_removed_comment_is_a_deletion(body: str) -> None:
    assert parsed(comment(body=body, author="[deleted]")) == [Deletion("reddit", id="t1_a1")]


@pytest.mark.parametrize("data", [{"author": None, "body": None}, {"name": "t3_a1"}, {"name": "a/b", "id": 1.5}])
def test_a_broken_item_is_a_flaw_and_the_rest_is_kept(data: dict[str, Any]) -> None:
    first, second = parsed(comment(**data), comment(name="t1_b2"))
    assert isinstance(first, Flaw)
    assert first.place.startswith("data.children[0]")
    assert isinstance(second, Message)


def test_a_deep_thread_is_read_whole() -> None:
    replies: Any = ""
    for number in range(100):
        one = comment(name=f"t1_{number}", replies=replies)
        replies = {"kind": "Listing", "data": {"children": [one]}}
    assert len(reddit.parse(json.dumps(replies).encode())) == 100


def test_html_without_reddits_marks_is_read_up_to_its_footer() -> None:
    content = escape('<div><div class="md"><p>words</p></div> submitted by <a>/u/x</a></div>')
    body = (
        "<feed xmlns='http://www.w3.org/2005/Atom'><entry><id>t3_a1</id><title>T</title>"
        f"<content type='html'>{content}</content></entry></feed>"
    )
    (item,) = reddit.parse(body.encode())
    assert isinstance(item, Message)
    assert item.text == "T\n\nwords"


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        (b'{"message": "Not Found", "error": 404}', NotFound, "404 Not Found"),
        (b'{"message": "Forbidden", "error": 403}', Malformed, "403 Forbidden"),
        (b'{"json": {"errors": [["TOO_LONG", "x", "y"]]}}', Malformed, "TOO_LONG"),
        (b'{"kind": "Listing", "data": {"children": null}}', Malformed, "without a list"),
        (b'{"kind": "Listing", "data": []}', Malformed, "without a list"),
        (b'[{"file": "x.json"}]', Malformed, "neither a listing nor a thread"),
        (b"[]", Malformed, "neither a listing nor a thread"),
        (b"17", Malformed, "neither a listing nor a thread"),
        (b"whoa there, pardner!", Malformed, "not a whole JSON document"),
        (b"<html>whoa there, pardner!</html>", Malformed, "HTML"),
        (b"", Malformed, "empty body"),
    ],
)
def test_what_is_no_answer_is_refused_by_name(body: bytes, error: type[SourceError], reason: str) -> None:
    with pytest.raises(error, match=re.escape(reason)):
        reddit.parse(body)
    with pytest.raises(error):
        reddit.ARCHIVE["reddit"](body)


def post(**data: Any) -> dict[str, Any]:
    return {"kind": "t3", "data": {"name": "t3_a1", "title": "Up?", "selftext": "", "author": "x", **data}}


def test_votes_that_a_running_poll_hides_are_unknown_and_its_voters_are_known() -> None:
    poll = {"options": [{"id": "1", "text": "Yes"}, {"id": "2", "text": "No"}], "total_vote_count": 9}
    (item,) = parsed(post(poll_data={**poll, "voting_end_timestamp": 1_790_000_000_000}))
    assert isinstance(item, Message)
    ends = datetime.fromtimestamp(1_790_000_000, tz=UTC)
    assert item.ballot == Ballot((BallotOption("Yes"), BallotOption("No")), "Up?", 9, ends)
    poll["options"] = [{"text": "Yes", "vote_count": 9}, {"text": "No", "vote_count": 0}]
    (item,) = parsed(post(poll_data=poll))
    assert isinstance(item, Message)
    assert item.ballot == Ballot((BallotOption("Yes", 9), BallotOption("No", 0)), "Up?", 9)


@pytest.mark.parametrize(
    "poll",
    [None, [], "x", {}, {"options": None}, {"options": [None, 3, {"text": " "}, {"text": 4}, {"vote_count": 2}]}],
)
def test_a_poll_without_a_readable_option_is_none_and_the_post_stays(poll: Any) -> None:
    (item,) = parsed(post(poll_data=poll))
    assert isinstance(item, Message)
    assert item.ballot is None


@pytest.mark.parametrize("ends", [None, "soon", -1, 10**30, 10**18, float("inf"), True])
def test_an_end_of_voting_that_is_no_time_is_unknown(ends: Any) -> None:
    (item,) = parsed(post(poll_data={"options": [{"text": "Yes"}], "voting_end_timestamp": ends}))
    assert isinstance(item, Message)
    assert item.ballot == Ballot((BallotOption("Yes"),), "Up?")


def test_a_comment_carries_no_poll() -> None:
    (item,) = parsed(comment(poll_data={"options": [{"text": "Yes"}]}))
    assert isinstance(item, Message)
    assert item.ballot is None


# ----------------------------------------------------------------------------------------------------- archives

POST_LINE = {
    "id": "1aaaa09",
    "title": "S&amp;P",
    "selftext": "1 &lt; 2",
    "author": "X",
    "created_utc": 1.79e9,
    "_meta": {"was_deleted_later": False},
}
COMMENT_LINE = {"id": "kxy1", "body": "c", "author": "y", "created_utc": "1790000000", "link_id": "t3_1aaaa09"}


def test_dump_objects_are_read_a_line_at_a_time_or_together() -> None:
    lines = [json.dumps(POST_LINE).encode(), json.dumps(COMMENT_LINE).encode()]
    archive = reddit.ARCHIVE["arctic_shift"]
    post, reply = archive(b"\n".join(lines) + b"\n")
    assert [post, reply] == archive(lines[0]) + archive(lines[1])
    assert isinstance(post, Message)
    assert (post.id, post.text) == ("t3_1aaaa09", "S&P\n\n1 < 2")
    assert isinstance(reply, Message)
    assert reply.id == "t1_kxy1"
    assert reply.url == "https://www.reddit.com/comments/1aaaa09/_/kxy1"


def test_an_answer_of_the_archive_is_read() -> None:
    body = json.dumps({"data": [POST_LINE, COMMENT_LINE]}).encode()
    assert [item.id for item in reddit.ARCHIVE["arctic_shift"](body) if isinstance(item, Message)] == [
        "t3_1aaaa09",
        "t1_kxy1",
    ]


def test_what_was_deleted_later_is_a_deletion_in_an_archive() -> None:
    line = json.dumps({**POST_LINE, "_meta": {"was_deleted_later": True}}).encode()
    assert reddit.ARCHIVE["reddit"](line) == [Deletion("reddit", id="t3_1aaaa09")]


def test_one_broken_line_of_an_archive_is_a_flaw() -> None:
    lines = [json.dumps(POST_LINE), '{"id": "kxy', json.dumps(COMMENT_LINE)]
    kinds = [type(item) for item in reddit.ARCHIVE["reddit"]("\n".join(lines).encode())]
    assert kinds == [Message, Flaw, Message]


def test_a_table_of_posts_is_read() -> None:
    body = (
        "title,score,id,url,comms_num,created,body,timestamp\r\n"
        '"Tin, ""copper""",3,1aaaa09,https://www.reddit.com/r/x/comments/1aaaa09/tin/,5,1790000000.0,'
        '"two\nlines",2026-09-21 16:53:20\r\n'
        "A picture,,1aaaa10,https://i.redd.it/x.png,,1790000000.0,,2026-09-21 16:53:20\r\n"
        ",1,,,0,,,\r\n"
    )
    first, second, third = reddit.ARCHIVE["reddit"](body.encode())
    assert first == Message(
        source="reddit",
        id="t3_1aaaa09",
        created_at=datetime.fromtimestamp(1_790_000_000, tz=UTC),
        text='Tin, "copper"\n\ntwo\nlines',
        url="https://www.reddit.com/r/x/comments/1aaaa09/tin/",
        likes=3,
        replies=5,
        revision=datetime.fromtimestamp(1_790_000_000, tz=UTC).isoformat(),
    )
    assert isinstance(second, Message)
    assert (second.likes, second.replies) == (None, None)
    assert second.url == "https://www.reddit.com/comments/1aaaa10"
    assert isinstance(third, Flaw)


def test_a_table_of_something_else_is_refused() -> None:
    with pytest.raises(Malformed, match="nor a table of posts"):
        reddit.ARCHIVE["reddit"](b"a,b\n1,2\n")


# ---------------------------------------------------------------------------------------------------- recordings


@pytest.mark.parametrize(
    ("name", "messages", "deletions"),
    [
        ("reddit/info_by_id_20170831.json", 1, 0),
        ("reddit/listing_comments_20231008_page1.json", 100, 0),
        ("reddit/listing_comments_20231008_page2_before.json", 95, 0),
        ("reddit/listing_r_all_new_20161222.json", 100, 0),
        ("reddit/listing_r_popular_hot_20260413.json", 100, 0),
        ("reddit/morechildren_20200109.json", 99, 1),
        ("reddit/poll_r_all_comments_20161222_02.json", 0, 0),
        ("reddit/poll_r_all_comments_20161222_03.json", 99, 0),
        ("reddit/thread_20170831_with_removed_comment.json", 201, 0),
        ("reddit/thread_20200109_small.json", 2, 0),
        ("reddit/wallstreetbets_posts_202201.csv", 1892, 0),
        ("rss/reddit-home.rss.xml", 24, 0),
    ],
)
def test_recordings_are_read_whole(name: str, messages: int, deletions: int) -> None:
    items = reddit.ARCHIVE["reddit"](recording(name))
    found = [item for item in items if isinstance(item, Message)]
    assert len(found) == messages
    assert len({item.id for item in found}) == messages
    assert all(item.text and item.created_at and item.url for item in found)
    assert sum(isinstance(item, Deletion) for item in items) == deletions
    assert not any(isinstance(item, Flaw) for item in items)


@pytest.mark.parametrize("name", ["_index.json", "errors_oauth_api.json", "ratelimit_headers_series.json"])
def test_recordings_without_messages_are_refused(name: str) -> None:
    with pytest.raises(Malformed, match="neither a listing nor a thread"):
        reddit.ARCHIVE["reddit"](recording(f"reddit/{name}"))


def recording(name: str) -> bytes:
    path = SHARED / "samples" / name
    if not path.exists():
        pytest.skip("the recordings are not here (TRACKER_SHARED)")
    return path.read_bytes()


# -------------------------------------------------------------------------------------------------------- re-check

KEYS = {"client_id": "app", "client_secret": "hush"}


async def rechecked(body: Any, *ids: str, status: int = 200, credentials: dict[str, str] | None = None) -> list[str]:
    """What of ``ids`` is gone, when /api/info answers ``body``."""
    reddit._tokens.clear()
    asked: list[httpx.Request] = []

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/access_token"):
            return httpx.Response(200, json={"access_token": "t"})
        asked.append(request)
        return httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())

    wanted = KEYS if credentials is None else credentials
    async with client_of(server, credentials=wanted, base_url="https://mirror.example") as client:
        found = await reddit.recheck(client, ids)
    assert [request.url.params["id"] for request in asked] == [",".join(ids)]
    assert {request.url.path for request in asked} == {"/api/info"}
    assert all(deletion == Deletion("reddit", id=deletion.id) for deletion in found)
    return [str(deletion.id) for deletion in found]


def info(*things: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    found = []
    for name, said in things:
        words = {"title": "a pond", "selftext": "frogs"} if name.startswith("t3_") else {"body": "frogs"}
        data = {"name": name, "author": "newt", "created_utc": 1.0, "edited": False, **words, **said}
        found.append({"kind": name[:2], "data": data})
    return {"kind": "Listing", "data": {"children": found, "after": None}}


@pytest.mark.parametrize(
    ("name", "said", "gone"),
    [
        ("t3_a", {}, False),
        ("t3_a", {"edited": 1_772_000_000.0, "selftext": "toads"}, False),
        ("t3_a", {"author": "[deleted]", "selftext": "[deleted]"}, True),
        ("t3_a", {"removed_by_category": "moderator", "selftext": "[removed]"}, True),
        ("t3_a", {"removed_by_category": "deleted"}, True),
        ("t3_a", {"author": "[deleted]"}, True),  # the account is gone, its words are not: nothing may tell who it was
        ("t3_a", {"selftext": "[removed]"}, False),  # words of a living person
        ("t3_a", {"author": None}, False),  # an author that is not told is not one that is gone
        ("t3_a", {"title": None}, False),
        ("t1_a", {"author": "[deleted]", "body": "[removed]"}, True),
        ("t1_a", {"author": "[deleted]", "body": "[deleted]"}, True),
        ("t1_a", {"score_hidden": True}, False),
    ],
)
async def test_gone_is_what_reddit_lists_as_removed_or_as_nobodys(name: str, said: dict[str, Any], gone: bool) -> None:
    assert await rechecked(info((name, said), ("t3_b", {})), name, "t3_b") == ([name] if gone else [])


async def test_what_reddit_leaves_out_is_not_shown_to_us_and_not_gone() -> None:
    assert await rechecked(info(("t3_b", {})), "t3_a", "t3_b") == []
    assert await rechecked(info(), "t3_a", "t3_b") == []


async def test_nothing_is_said_of_what_was_not_asked_about() -> None:
    dead = {"author": "[deleted]", "selftext": "[deleted]"}
    assert await rechecked(info(("t3_z", dead), ("t3_a", dead), ("t3_a", dead)), "t3_a") == ["t3_a"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>whoa there, pardner!</html>", Malformed),
        (200, b"", Malformed),
        (200, b'{"message": "Forbidden", "error": 403}', Malformed),
        (200, b'{"kind": "Listing", "data": {"children": null}}', Malformed),
        (403, b"<html>blocked</html>", AccessDenied),
        (404, b'{"message": "Not Found", "error": 404}', NotFound),
        (500, b"", SourceError),
        (429, b"", SourceError),
    ],
)
async def test_what_is_no_answer_about_stored_messages_is_an_error(
    status: int, body: bytes, error: type[SourceError]
) -> None:
    with pytest.raises(error):
        await rechecked(body, "t3_a", status=status)


async def test_feeds_can_not_be_asked_about_stored_messages() -> None:
    with pytest.raises(AccessDenied, match="client_id"):
        await rechecked(info(), "t3_a", credentials={"feed_token": "t", "feed_user": "newt"})
