"""Single promises of the guarantee, each on the smallest piece of the collector that could break it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import NOON, make_batch, make_store, message, rows
from world_posts import Post, jetstream_frame, native_id

import tracker.store
from tracker.errors import RateLimited, Unavailable
from tracker.models import Deletion, Message
from tracker.sources import bluesky, hackernews, stocktwits
from tracker.store import Store

STORED = "SELECT id FROM messages ORDER BY id"


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = make_store(tmp_path)
    store.standing(NOON)
    return store


def test_position_and_messages_are_one_transaction(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of a commit: neither is there, and both come out of the journal at the next start."""

    def dies(*_: object) -> None:
        raise Killed

    store.keep(make_batch(message("$GME", "m1")))
    with monkeypatch.context() as patched:
        patched.setattr(tracker.store, "apply", dies)
        with pytest.raises(Killed):
            store.flush()
    assert rows(store, "SELECT cursor FROM streams WHERE cursor IS NOT NULL") == []
    again = make_store(tmp_path)
    (stream,) = again.standing(NOON).streams
    assert stream.cursor == {"n": 1}
    again.flush()
    assert rows(again, STORED) == [("m1",)]


def test_equal_words_of_two_people_are_two_messages(store: Store) -> None:
    store.keep(make_batch(message("$GME up", "m1", author="newt"), message("$GME up", "m2", author="carp")))
    store.flush()
    assert rows(store, STORED) == [("m1",), ("m2",)]
    assert rows(store, "SELECT count(*) FROM mentions") == [(2,)]


def test_the_same_page_twice_is_once(store: Store) -> None:
    for flushes in (1, 2):
        for _ in range(2):
            store.keep(make_batch(message("$GME", "m1"), message("$GME", "m2"), number=flushes))
        store.flush()
    assert rows(store, STORED) == [("m1",), ("m2",)]


def test_a_stream_tells_of_posts_edits_deletions_and_accounts_that_end() -> None:
    post = Post("bluesky", 5, NOON, 0.0, "newt", "$BABA up")
    events = [post, Post("bluesky", 5, NOON, 0.0, "newt", "$BABA down", edits=True)]
    events += [
        Post("bluesky", 6, NOON, 0.0, "newt", "", removes=5),
        Post("bluesky", 7, NOON, 0.0, "newt", "", ends=True),
    ]
    made, edited, gone, ended = bluesky.parse("\n".join(map(jetstream_frame, events)).encode())
    id_ = native_id("bluesky", 5, "newt")
    assert isinstance(made, Message)
    assert isinstance(edited, Message)
    assert (made.id, made.text, made.edited) == (id_, "$BABA up", False)
    assert (edited.id, edited.text, edited.edited) == (id_, "$BABA down", True)
    assert isinstance(gone, Deletion)
    assert (gone.id, gone.author) == (id_, None)
    assert isinstance(ended, Deletion)
    assert (ended.id, ended.author) == (None, made.author)


def test_one_bad_item_costs_itself_and_nothing_else() -> None:
    good = {"id": 1, "body": "$BABA", "created_at": "2026-03-02T12:00:00Z"}
    page = stocktwits.parse(json.dumps({"response": {"status": 200}, "messages": [7, good, {}, None]}).encode())
    assert [type(item).__name__ for item in page] == ["Flaw", "Message", "Flaw", "Flaw"]
    hit = {"objectID": "1", "title": "BABA", "created_at_i": 1_790_000_000}
    found = hackernews.parse(json.dumps({"hits": [7, hit, {}, None]}).encode())
    assert [type(item).__name__ for item in found] == ["Flaw", "Message", "Flaw", "Flaw"]


def test_a_named_time_is_read_from_the_file(store: Store, tmp_path: Path) -> None:
    store.keep(make_batch(failed=RateLimited("slow down", retry_after_s=600.0)))
    store.flush()
    again = make_store(tmp_path).standing(NOON)
    assert [(limit.scope, limit.not_before) for limit in again.limits] == [
        ("source:pond", NOON + timedelta(seconds=600))
    ]


async def test_news_of_accounts_are_no_posts_for_the_watchdog() -> None:
    """The stream stays busy with other things and carries no post any more."""
    loop = asyncio.get_running_loop()
    gives_up_at = loop.time() + 3.0

    class Busy:
        async def receive(self, timeout_s: float) -> str:
            await asyncio.sleep(0.01)
            if loop.time() > gives_up_at:
                raise Killed
            return json.dumps({"did": "did:plc:newt", "time_us": 1_790_000_000_000_000, "kind": "identity"})

    events: asyncio.Queue[object] = asyncio.Queue()
    await bluesky._read_ahead(Busy(), events, 0.7)  # type: ignore[arg-type]
    found = [events.get_nowait() for _ in range(events.qsize())]
    assert isinstance(found[-1], Unavailable)
    assert "silent" in str(found[-1])
