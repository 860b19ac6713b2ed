"""4chan: rounds through a board that never miss a post nor ask too often, and what its posts look like."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import Asked, loopback, reply

from tracker.errors import Malformed, RateLimited, Unavailable
from tracker.http import Access, Http
from tracker.models import Cursor, Flaw, Message, Page, Stream
from tracker.pacing import Budget
from tracker.sources import fourchan

SHARED = Path(os.environ.get("TRACKER_SHARED") or Path(__file__).parents[2] / "shared")
START = 1_793_600_000
HTTP = Http()


@dataclass
class Board:
    """A board of its own: threads of posts, the second of their last change, a clock, and what may go wrong."""

    now: float = START
    threads: dict[int, dict[int, tuple[int, str]]] = field(default_factory=dict)  # no -> post no -> (second, words)
    modified: dict[int, int] = field(default_factory=dict)
    archived: set[int] = field(default_factory=set)  # off the list, still served
    spoilt: dict[int, bytes] = field(default_factory=dict)  # no -> an answer in place of the thread
    stale: dict[int, tuple[int, bytes]] = field(default_factory=dict)  # no -> (its second, an old copy in a cache)
    targets: list[str] = field(default_factory=list)
    conditions: list[str | None] = field(default_factory=list)
    last_no: int = 100
    changed: int = START  # the second in which the list changed last

    def post(self, thread: int | None = None, words: str = "ale") -> int:
        """A new post, in a new thread unless one is given."""
        self.last_no += 1
        thread = self.last_no if thread is None else thread
        self.threads.setdefault(thread, {})[self.last_no] = (int(self.now), words)
        self.modified[thread] = self.changed = int(self.now)
        return self.last_no

    def delete(self, thread: int, no: int) -> None:
        del self.threads[thread][no]
        self.modified[thread] = self.changed = int(self.now)

    def prune(self, thread: int, *, archive: bool) -> None:
        self.changed = int(self.now)
        if archive:
            self.archived.add(thread)
        else:
            del self.threads[thread], self.modified[thread]

    def document(self, no: int) -> bytes:
        posts = [
            {"no": n, "resto": 0 if n == no else no, "time": at, "com": words, "id": "f"}
            for n, (at, words) in sorted(self.threads[no].items())
        ]
        return json.dumps({"posts": posts}).encode()

    def listed(self) -> bytes:
        entries = [
            {"no": no, "last_modified": self.modified[no], "replies": len(posts) - 1}
            for no, posts in self.threads.items()
            if no not in self.archived
        ]
        return json.dumps([{"page": 1, "threads": entries}]).encode()

    def answer(self, asked: Asked) -> bytes:
        self.targets.append(asked.target)
        self.conditions.append(asked.headers.get("if-modified-since"))
        if asked.target == "/biz/threads.json":
            return self._conditional(self.changed, self.listed(), asked)
        no = int(asked.target.removeprefix("/biz/thread/").removesuffix(".json"))
        if no in self.spoilt:
            return self.spoilt[no]
        if no in self.stale:
            return self._conditional(*self.stale[no], asked)
        if no not in self.threads:
            return reply(404, b"", {"Date": formatdate(self.now, usegmt=True)})
        return self._conditional(self.modified[no], self.document(no), asked)

    def _conditional(self, modified: int, body: bytes, asked: Asked) -> bytes:
        headers = {"Date": formatdate(self.now, usegmt=True), "Last-Modified": formatdate(modified, usegmt=True)}
        since = asked.headers.get("if-modified-since")
        if since is not None and parsedate_to_datetime(since).timestamp() >= modified:
            return reply(304, b"", headers, length=False)
        return reply(200, body, headers)


@dataclass
class Reader:
    """Polls a board as the daemon does, one cursor after the other."""

    board: Board
    own: bool = False  # a mirror of the operator's: several requests a poll
    pages: int = 10
    overlap_s: float = 0.0
    cursor: Cursor | None = None
    seen: set[int] = field(default_factory=set)
    pages_read: list[Page] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)

    async def poll(self) -> Page:
        async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(self.board.answer(asked))
            await writer.drain()

        async with loopback(script) as server:
            access = Access(
                source="fourchan",
                base_url=server.url,
                own_base_url=self.own,
                user_agent="tests",
                overlap_s=self.overlap_s,
                max_pages=self.pages,
            )
            before = len(self.board.targets)
            async with HTTP.session(access) as client:
                page = await fourchan.fetch(client, Stream("fourchan", "biz"), self.cursor)
        self.requests.append(len(self.board.targets) - before)
        self.cursor = json.loads(json.dumps(page.cursor)) if page.cursor is not None else self.cursor
        self.seen |= {int(item.id.removeprefix("biz/")) for item in page.items if isinstance(item, Message)}
        self.pages_read.append(page)
        return page

    async def round(self, after_s: float = 60.0) -> list[Page]:
        """All polls of one round, which begins ``after_s`` after the one before it."""
        self.board.now += after_s
        pages = [await self.poll()]
        while pages[-1].more:
            self.board.now += 1
            pages.append(await self.poll())
        return pages


def at(second: float) -> datetime:
    return datetime.fromtimestamp(second, tz=UTC)


# --------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("given", ["biz", "/biz/", " BIZ ", "https://boards.4chan.org/biz/", "boards/../biz"])
def test_a_stream_is_a_board(given: str) -> None:
    if ".." in given:
        with pytest.raises(ValueError, match="expected a board"):
            fourchan.stream_name(given)
    else:
        assert fourchan.stream_name(given) == "biz"


def test_the_budget_is_the_rule_of_the_site() -> None:
    budget = Budget(*fourchan.BUDGET)
    assert budget.left(at(START), [at(START - 0.9)]) == 0
    assert budget.left(at(START), [at(START - 1.0)]) == 1


# ------------------------------------------------------------------------------------------------------ the rounds


async def test_a_round_is_the_list_and_then_each_thread_the_latest_change_first() -> None:
    board = Board()
    first = board.post()
    board.now += 5
    second = board.post()
    board.now += 5
    board.post(first)
    reader = Reader(board)
    pages = await reader.round(60)
    assert board.targets == ["/biz/threads.json", f"/biz/thread/{first}.json", f"/biz/thread/{second}.json"]
    assert reader.seen == {101, 102, 103}
    assert [page.more for page in pages] == [True, True, False]
    assert [page.covers_from for page in pages] == [None, None, at(START + 70)]


async def test_at_the_sites_own_address_a_poll_is_one_request_whatever_is_configured() -> None:
    board = Board()
    for _ in range(5):
        board.post()
    reader = Reader(board, pages=50)
    await reader.round()
    assert reader.requests == [1] * 6


async def test_a_mirror_of_the_operator_gives_as_many_pages_a_poll_as_configured() -> None:
    board = Board()
    for _ in range(8):
        board.post()
    reader = Reader(board, own=True, pages=4)
    await reader.round()
    assert reader.requests == [4, 4, 1]
    assert reader.seen == set(range(101, 109))


async def test_only_what_changed_is_read_again_and_only_its_new_posts_come() -> None:
    board = Board()
    quiet, busy = board.post(), board.post()
    reader = Reader(board)
    await reader.round()
    board.now += 30
    new = board.post(busy)
    board.targets.clear()
    pages = await reader.round(30)
    assert board.targets == ["/biz/threads.json", f"/biz/thread/{busy}.json"]
    assert [item.id for page in pages for item in page.items if isinstance(item, Message)] == [f"biz/{new}"]
    assert quiet in reader.seen


async def test_later_rounds_cover_from_the_list_of_the_one_before() -> None:
    board = Board()
    thread = board.post()
    reader = Reader(board)
    await reader.round(60)
    board.now += 20
    board.post(thread)
    pages = await reader.round(40)
    assert pages[-1].covers_from == at(START + 60)


async def test_posts_within_the_overlap_come_again() -> None:
    board = Board()
    thread = board.post()
    reader = Reader(board, overlap_s=120)
    await reader.round(60)
    board.post(thread)
    pages = await reader.round(30)
    assert [item.id for item in pages[-1].items if isinstance(item, Message)] == ["biz/101", "biz/102"]


async def test_a_post_that_shows_up_late_under_a_lower_number_is_found_within_the_overlap() -> None:
    board = Board()
    thread = board.post()
    late = board.last_no = board.last_no + 1
    board.now += 30
    board.post(thread)
    reader = Reader(board, overlap_s=120)
    await reader.round(10)
    board.threads[thread][late] = (int(board.now) - 20, "late")
    board.modified[thread] = board.changed = int(board.now)
    await reader.round(20)
    assert late in reader.seen


# ------------------------------------------------------------------------------------- what whole seconds can hide


async def test_two_changes_within_one_second_are_both_seen() -> None:
    board = Board(now=START + 100)
    thread = board.post()
    reader = Reader(board)
    await reader.poll()
    await reader.poll()  # the thread is read in the very second of its change
    hidden = board.post(thread)
    assert board.modified[thread] == START + 100
    await reader.round(60)
    assert hidden in reader.seen


async def test_a_post_and_a_deletion_within_the_second_of_the_reading_hide_nothing() -> None:
    """Neither the time nor the number of replies tells: only that the state was too young to be sure of."""
    board = Board(now=START + 100)
    thread = board.post()
    board.post(thread)
    reader = Reader(board)
    await reader.poll()
    await reader.poll()
    board.delete(thread, 102)
    hidden = board.post(thread)
    assert board.modified[thread] == START + 100
    assert hidden not in reader.seen
    await reader.round(60)
    assert hidden in reader.seen
    board.targets.clear()
    await reader.round(60)
    assert board.targets == ["/biz/threads.json"], "once it is old enough it is known"


async def test_an_unchanged_list_still_has_young_threads_read_again() -> None:
    board = Board(now=START + 100)
    thread = board.post()
    reader = Reader(board)
    await reader.poll()
    await reader.poll()
    hidden = board.post(thread)
    reader.cursor = {**(reader.cursor or {}), "validators": {"last_modified": formatdate(START + 100, usegmt=True)}}
    pages = await reader.round(60)
    assert board.conditions[2] is not None
    assert hidden in reader.seen
    assert pages[0].more


async def test_an_old_copy_from_a_cache_is_not_taken_for_the_thread() -> None:
    board = Board()
    thread = board.post()
    board.stale[thread] = (START, board.document(thread))
    board.now += 60
    behind_the_cache = board.post(thread)
    reader = Reader(board)
    await reader.round(60)
    assert behind_the_cache not in reader.seen
    board.stale.clear()
    await reader.round(60)
    assert behind_the_cache in reader.seen


async def test_a_lying_304_is_asked_again_and_then_believed() -> None:
    board = Board()
    thread = board.post()
    reader = Reader(board)
    await reader.round(60)
    board.stale[thread] = (START, b"")
    board.now += 10
    board.post(thread)
    for _ in range(3):
        await reader.round(60)
    assert board.targets.count(f"/biz/thread/{thread}.json") == 3
    board.stale.clear()
    board.post(thread)
    await reader.round(60)
    assert reader.seen == {101, 102, 103}


async def test_a_board_that_counts_otherwise_than_its_list_is_not_asked_for_ever() -> None:
    board = Board()
    thread = board.post()
    entry = {"no": thread, "last_modified": START, "replies": 9}
    board.listed = lambda: json.dumps([{"page": 1, "threads": [entry]}]).encode()  # type: ignore[method-assign]
    reader = Reader(board)
    for _ in range(5):
        await reader.round(60)
    assert board.targets.count(f"/biz/thread/{thread}.json") == 2


# ------------------------------------------------------------------------------------------- politeness


async def test_what_has_not_changed_is_asked_with_if_modified_since() -> None:
    board = Board()
    board.post()
    reader = Reader(board)
    await reader.round(60)
    (page,) = await reader.round(60)
    assert page.unchanged
    assert page.items == ()
    assert board.conditions[-1] == formatdate(START, usegmt=True)
    assert page.covers_from == at(START + 60)


async def test_a_thread_that_changed_is_asked_with_the_time_of_its_last_reading() -> None:
    board = Board()
    thread = board.post()
    reader = Reader(board)
    await reader.round(60)
    board.post(thread)
    await reader.round(60)
    assert board.targets[-1] == f"/biz/thread/{thread}.json"
    assert board.conditions[-1] == formatdate(START, usegmt=True)


async def test_a_thread_is_not_asked_twice_within_ten_seconds_and_not_forgotten() -> None:
    board = Board()
    thread = board.post()
    reader = Reader(board)
    await reader.round(60)
    new = board.post(thread)
    board.targets.clear()
    await reader.round(5)
    assert board.targets == ["/biz/threads.json"]
    await reader.round(5)
    assert new in reader.seen


# --------------------------------------------------------------------------------------------------- what goes wrong


async def test_a_thread_that_left_the_list_is_read_one_last_time() -> None:
    board = Board()
    thread, other = board.post(), board.post()
    reader = Reader(board)
    await reader.round(60)
    last = board.post(thread)
    board.prune(thread, archive=True)
    pages = await reader.round(60)
    assert last in reader.seen
    assert all(page.gap is None for page in pages)
    board.targets.clear()
    board.post(other)
    await reader.round(60)
    assert f"/biz/thread/{thread}.json" not in board.targets


async def test_a_quiet_thread_that_is_gone_is_finished_without_a_gap() -> None:
    board = Board()
    thread = board.post()
    board.post()
    reader = Reader(board)
    await reader.round(60)
    board.prune(thread, archive=False)
    pages = await reader.round(60)
    assert all(page.gap is None for page in pages)
    assert str(thread) not in (reader.cursor or {})["threads"]


async def test_a_changed_thread_that_is_gone_before_it_was_read_is_a_gap() -> None:
    board = Board()
    thread = board.post()
    board.post()
    reader = Reader(board)
    await reader.round(60)
    board.now += 30
    board.post(thread)
    board.now += 30
    await reader.poll()
    board.prune(thread, archive=False)
    page = await reader.poll()
    assert page.gap is not None
    assert (page.gap.from_at, page.gap.to_at) == (at(START + 62), at(START + 122))
    assert "gone" in page.gap.reason
    assert not page.more


async def test_before_the_first_round_is_over_nothing_is_promised_and_nothing_a_gap() -> None:
    board = Board()
    board.spoilt[board.post()] = reply(404)
    pages = await Reader(board).round(60)
    assert all(page.gap is None for page in pages)


async def test_one_spoilt_thread_keeps_no_other_waiting_and_is_read_in_the_next_round() -> None:
    board = Board()
    good = board.post()
    board.now += 1
    bad = board.post()
    board.spoilt[bad] = reply(200, b"<!DOCTYPE html><html>Just a moment</html>")
    reader = Reader(board)
    board.now += 60
    await reader.poll()
    page = await reader.poll()
    assert isinstance(page.cut_short, Malformed)
    page = await reader.poll()
    assert reader.seen == {good}
    assert page.covers_from is None, "not everything was read"
    board.spoilt.clear()
    await reader.round(60)
    assert reader.seen == {good, bad}


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, Unavailable)])
async def test_a_refusal_leaves_the_cursor_where_it_is(status: int, kind: type[Exception]) -> None:
    board = Board()
    board.spoilt[board.post()] = reply(status)
    reader = Reader(board)
    await reader.poll()
    with pytest.raises(kind):
        await reader.poll()
    board.spoilt.clear()
    await reader.poll()
    assert reader.seen == {101}


async def test_a_refusal_amid_a_poll_keeps_what_came_before_it() -> None:
    board = Board()
    board.spoilt[board.post()] = reply(429, b"", {"Retry-After": "30"})
    board.now += 1
    board.post()
    reader = Reader(board, own=True)
    page = await reader.poll()
    assert reader.seen == {102}
    assert isinstance(page.cut_short, RateLimited)
    assert page.more


async def test_an_empty_list_is_not_taken_for_an_empty_board() -> None:
    board = Board()
    thread = board.post()
    reader = Reader(board)
    await reader.round(60)
    known = reader.cursor
    board.prune(thread, archive=False)
    board.now += 60
    page = await reader.poll()
    assert (page.cursor, page.note) == (None, "the list of threads is empty")
    assert reader.cursor == known


@pytest.mark.parametrize("body", [b"{}", b"[{}]", b'[{"threads":{}}]', b"[1]", b"", b"<html></html>"])
async def test_a_list_that_is_none_is_malformed(body: bytes) -> None:
    board = Board()
    board.listed = lambda: body  # type: ignore[method-assign]
    with pytest.raises(Malformed):
        await Reader(board).poll()


async def test_a_list_longer_than_any_board_is_malformed() -> None:
    board = Board()
    entries = [{"no": no, "last_modified": START, "replies": 0} for no in range(1, 1200)]
    board.listed = lambda: json.dumps([{"threads": entries}]).encode()  # type: ignore[method-assign]
    with pytest.raises(Malformed, match="more threads"):
        await Reader(board).poll()


async def test_a_post_with_an_absurd_number_hides_none_of_those_after_it() -> None:
    board = Board()
    thread = board.post()
    board.threads[thread][2**62] = (START, "liar")
    reader = Reader(board, overlap_s=120)
    await reader.round(60)
    new = board.post(thread)
    await reader.round(60)
    assert new in reader.seen


@settings(max_examples=25, deadline=None, database=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["new", "reply", "reply", "reply", "delete", "archive", "poll", "round"]), st.integers(0, 9)
        ),
        max_size=40,
    )
)
async def test_whatever_happens_on_a_board_every_post_that_stays_is_read(steps: list[tuple[str, int]]) -> None:
    board, reader = Board(), None
    reader = Reader(board, own=True, pages=3, overlap_s=120)
    deleted: set[int] = set()
    for step, number in steps:
        alive = [no for no in board.threads if no not in board.archived]
        board.now += number / 4
        thread = alive[number % len(alive)] if alive else None
        if step == "new" or thread is None:
            board.post()
        elif step == "reply":
            board.post(thread)
        elif step == "delete" and len(board.threads[thread]) > 1:
            gone = max(board.threads[thread])
            board.delete(thread, gone)
            deleted.add(gone)
        elif step == "archive" and len(alive) > 1:
            board.prune(thread, archive=True)
        elif step == "poll":
            await reader.poll()
        elif step == "round":
            await reader.round(number)
    known = {int(no) for no in (reader.cursor or {}).get("threads", {})}
    planned = {entry[0] for entry in (reader.cursor or {}).get("todo", [])}
    for _ in range(2):
        await reader.round(30)
    # what left the list before it was ever on one of ours was never promised
    promised = {no for no in board.threads if no not in board.archived or no in known | planned}
    assert {no for thread in promised for no in board.threads[thread]} - deleted <= reader.seen
    board.targets.clear()
    await reader.round(30)
    assert board.targets == ["/biz/threads.json"], "and then there is nothing left to ask for"


# ---------------------------------------------------------------------------------------------------------- fields


def only(**post: Any) -> Message | Flaw | None:
    items = fourchan.parse(json.dumps({"posts": [{"no": 7, "resto": 0, "time": START, **post}]}).encode())
    assert len(items) <= 1
    assert all(isinstance(item, Message | Flaw) for item in items)
    return items[0] if items else None  # type: ignore[return-value]


def words(com: str) -> str:
    found = only(com=com)
    assert isinstance(found, Message)
    return found.text


@pytest.mark.parametrize(
    ("com", "text"),
    [
        ("one<br>two<br><br>three", "one\ntwo\n\nthree"),
        ("one<br>\r\n<br>\r\ntwo", "one\n\ntwo"),
        ('<span class="quote">&gt;be me</span><br>I am', ">be me\nI am"),
        ("<s>it was the heron</s>", "it was the heron"),
        ("$BA<wbr>BA and long<wbr>words", "$BABA and longwords"),
        ("AT&amp;T &lt;3 don&#039;t", "AT&T <3 don't"),
        ('<a href="//boards.4chan.org/g/thread/1#p2" class="quotelink">&gt;&gt;&gt;/g/2</a>', ">>>/g/2"),
    ],
)
def test_markup_becomes_the_words_that_people_see(com: str, text: str) -> None:
    assert words(com) == text


@pytest.mark.parametrize(
    ("com", "parent"),
    [
        ("no quote", "biz/5"),
        ('<a href="#p6" class="quotelink">&gt;&gt;6</a> yes', "biz/6"),
        ("&gt;&gt;7 itself, then &gt;&gt;6", "biz/6"),
        ("&gt;&gt;&gt;6", "biz/5"),
        ("&gt;&gt;&gt;/g/6", "biz/5"),
        ("&gt;&gt;" + "9" * 30, "biz/5"),
    ],
)
def test_a_reply_is_to_the_first_post_that_it_quotes_else_to_its_thread(com: str, parent: str) -> None:
    found = only(com=com, resto=5)
    assert isinstance(found, Message)
    assert found.reply_to == parent
    assert found.url == "https://boards.4chan.org/biz/thread/5#p7"


def test_a_picture_without_words_is_no_item_and_no_flaw() -> None:
    assert only(filename="frog", ext=".png") is None


def test_a_posters_id_is_somebody_within_its_thread_only() -> None:
    one, other = only(com="ale", id="aBc"), only(com="ale", id="aBc", resto=5)
    assert isinstance(one, Message)
    assert isinstance(other, Message)
    assert one.author != other.author
    assert getattr(only(com="ale", name="Anonymous"), "author", "") is None


def test_a_pinned_thread_is_passed_over() -> None:
    assert only(com="rules", sticky=1) is None


def test_the_board_of_a_stream_is_in_the_ids() -> None:
    board = Board()
    board.post()
    reader = Reader(board)

    async def biz() -> Page:
        await reader.poll()
        return await reader.poll()

    page = asyncio.run(biz())
    assert [item.id for item in page.items if isinstance(item, Message)] == ["biz/101"]


def test_recorded_answers_are_read() -> None:
    folder = SHARED / "samples" / "fourchan"
    if not folder.exists():
        pytest.skip("no recorded answers: set TRACKER_SHARED")
    counts = {}
    for file in sorted(folder.glob("*.json")):
        if "archive" not in file.name:
            items = fourchan.parse(file.read_bytes())
            assert all(isinstance(item, Message) and item.created_at and item.text for item in items)
            counts[file.name] = len(items)
    assert counts["thread_g_20261001_trimmed.json"] == 5
    assert counts["docs_example_threadlist_0.json"] == 0
