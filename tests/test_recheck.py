"""Passes over what is stored: what is told to be gone goes everywhere, what nothing is known of stays, polls come first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fakes import FakeClock, FakeGate, analysis, make_store, make_target
from fakes import FakeSource as Pond
from hypothesis import given
from hypothesis import strategies as st

from tracker.app import App
from tracker.cli import main
from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, StoreLocked, Unavailable
from tracker.http import Tally
from tracker.ingest import Attempt, conclude
from tracker.models import Message, Page, RecheckRow, Stream
from tracker.pacing import Budget, share_of
from tracker.parts import load_config, not_rechecked
from tracker.poller import _State, has_room_beside, settle
from tracker.recheck import begin_at, conclude_recheck, step_on
from tracker.sources import reddit
from tracker.store import Opening, Store

pytestmark = pytest.mark.slow

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
HOUR, DAY = 3600.0, 86_400.0
APP = '{ client_id = "app", client_secret = "hush" }'


@dataclass
class Forum:
    """Reddit as an app sees it: what it lists of the ids that it is asked about; answers as it is told."""

    clock: FakeClock
    gone: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> what its listing says instead
    hidden: set[str] = field(default_factory=set)  # ids that it leaves out
    answers: list[httpx.Response] = field(default_factory=list)  # what comes in place of the next answers about ids
    asked: list[list[str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # seconds after the clock's beginning
    polls: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/access_token"):
            return httpx.Response(200, json={"access_token": "sesame", "expires_in": 86_400})
        if not request.url.path.endswith("/api/info"):
            self.polls += 1
            return httpx.Response(200, json={"kind": "Listing", "data": {"children": [], "after": None}})
        ids = request.url.params["id"].split(",")
        self.asked.append(ids)
        self.times.append(self.clock.monotonic())
        if self.answers:
            return self.answers.pop(0)
        return httpx.Response(
            200, json=listing([{**post(id_), **self.gone.get(id_, {})} for id_ in ids if id_ not in self.hidden])
        )

    @property
    def ids(self) -> list[str]:
        return [id_ for page in self.asked for id_ in page]


def post(id_: str, words: str = "$GME all the way") -> dict[str, Any]:
    return {
        "name": id_,
        "title": words,
        "selftext": "",
        "author": "Newt",
        "created_utc": NOON.timestamp(),
        "edited": False,
    }


def listing(posts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "Listing", "data": {"children": [{"kind": "t3", "data": data} for data in posts], "after": None}}


REMOVED = {"author": "[deleted]", "selftext": "[deleted]", "removed_by_category": "deleted"}


@dataclass
class World:
    """A tracker on a folder, with a clock that stands still until it is walked."""

    folder: Path
    forum: Callable[[httpx.Request], httpx.Response]
    clock: FakeClock
    budget: str = "400/1m"
    keys: str = f"credentials = {APP}"  # further lines of the source
    source: str = "reddit"
    stream: str = "r/pond"

    @asynccontextmanager
    async def app(self) -> AsyncIterator[App]:
        path = self.folder / "config.toml"
        path.write_text(
            f'[tracker]\ndata_dir = "{self.folder}/data"\n[universe]\nenabled = false\n[tone]\nscorer = "lexicon"\n[sources.{self.source}]\nenabled = true\n'
            f'streams = ["{self.stream}"]\nbase_url = "https://pond.example"\nbudget = "{self.budget}"\nkeep = "all"\n'
            f"acknowledge_terms = true\n{self.keys}\n"
        )
        config = load_config(str(path), {})
        config = replace(config, sources={self.source: config.sources[self.source]})
        app = App(config, self.clock, httpx.MockTransport(self.forum), whole=False)
        for name, target in app.poller.targets.items():
            app.poller.targets[name] = replace(target, plan=replace(target.plan, gate=FakeGate(self.clock)))
        try:
            await app.open()
            yield app
        finally:
            await app.poller.drain(0)
            app._writer.shutdown(wait=True)  # as a kill leaves it: nothing is committed at the end
        assert app.failure is None

    async def holds(
        self, *ids: str, stream: str = "", words: str = "$GME all the way", revision: str | None = None
    ) -> None:
        """These messages are stored, a minute apart from each other, and rolled up."""
        async with self.app() as app:
            items = [
                Message(self.source, id_, self.clock.now() - timedelta(hours=3) + timedelta(minutes=n), words, author=f"newt {id_}", revision=revision)
                for n, id_ in enumerate(ids)
            ]  # fmt: skip
            plan, now = app.poller.targets[self.source].plan, self.clock.now()
            made = conclude(Stream(self.source, stream or self.stream), plan, app.analysis, Attempt(now, 1, Tally(), now), Page(tuple(items), None), None)  # fmt: skip
            app.store.keep(replace(made.batch, stream=None))
            app.store.flush()
            app.store.rollup()
        self.clock.advance(HOUR)

    async def go(self, seconds: float = 0.0, *, polling: bool = False) -> None:
        """The daemon's jobs for so long, from a start to a kill: what is kept lies in the journal."""
        async with self.app() as app:
            await go(app, self.clock, seconds, polling=polling)

    async def commit(self) -> None:
        async with self.app() as app:
            app.store.flush()
            app.store.rollup()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with Store(Opening(self.folder / "data" / "tracker.duckdb")).reading() as connection:
            return connection.execute(statement).fetchall()


async def go(app: App, clock: FakeClock, seconds: float, *, polling: bool = False) -> None:
    end = clock.monotonic() + seconds
    while True:
        if polling:
            await settle(app.poll_due())
        await settle(app.recheck())
        if clock.monotonic() >= end:
            return
        clock.advance(1.0 if seconds < 700 else 10.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def forum(clock: FakeClock) -> Forum:
    return Forum(clock)


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock, forum: Forum, monkeypatch: pytest.MonkeyPatch) -> World:
    reddit._tokens.clear()
    monkeypatch.setattr(reddit, "RECHECK", 3)
    data = tmp_path / "data"
    data.mkdir()
    make_store(data).opening.path.rename(data / "tracker.duckdb")  # a file of the newest shape: making one takes long
    return World(tmp_path, forum, clock)


def numbered(count: int) -> list[str]:
    return [f"t3_a{number}" for number in range(count)]


# ---------------------------------------------------------------------------------------------------- what goes


async def test_what_is_gone_there_goes_everywhere_here_and_the_rest_stays(world: World, forum: Forum) -> None:
    await world.holds(*numbered(4))
    assert world.rows(
        "SELECT sum(messages) FROM buckets WHERE source = 'reddit' AND bucket_width = INTERVAL 1 DAY"
    ) == [(4,)]
    forum.gone = {"t3_a1": REMOVED, "t3_a2": {"author": "[deleted]"}}
    await world.go(5)
    assert forum.asked == [["t3_a0", "t3_a1", "t3_a2"], ["t3_a3"]]
    await world.commit()
    told = world.rows(
        "SELECT id, text IS NULL, author IS NULL, text_key IS NULL, deleted_at IS NOT NULL FROM messages ORDER BY id"
    )
    assert told == [
        ("t3_a0", False, False, False, False), ("t3_a1", True, True, True, True),
        ("t3_a2", True, True, True, True), ("t3_a3", False, False, False, False),
    ]  # fmt: skip
    for table in ("mentions", "tones"):
        assert world.rows(f"SELECT message_id FROM {table} ORDER BY 1") == [("t3_a0",), ("t3_a3",)]
    assert world.rows("SELECT id FROM tombstones ORDER BY 1") == [("t3_a1",), ("t3_a2",)]
    assert world.rows(
        "SELECT sum(messages) FROM buckets WHERE source = 'reddit' AND bucket_width = INTERVAL 1 DAY"
    ) == [(2,)]
    assert world.rows("SELECT asked, gone, failures, error, ended_at IS NOT NULL FROM rechecks") == [
        (4, 2, 0, None, True)
    ]
    await world.holds("t3_a1")
    assert world.rows("SELECT text FROM messages WHERE id = 't3_a1'") == [(None,)], "it does not come back"


async def test_what_is_not_shown_or_only_edited_stays(world: World, forum: Forum) -> None:
    await world.holds(*numbered(3), revision="2026-10-01T09:00:00+00:00")
    forum.hidden = {"t3_a0"}
    forum.gone = {"t3_a1": {"selftext": "other words", "edited": NOON.timestamp()}}
    await world.go(5)
    await world.commit()
    assert world.rows("SELECT count(*) FROM messages WHERE text IS NULL OR author IS NULL") == [(0,)]
    assert world.rows("SELECT asked, gone FROM rechecks") == [(3, 0)]


async def test_a_source_can_not_delete_what_it_was_not_asked_about(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def liar(client: Any, ids: Sequence[str]) -> list[Any]:
        return [reddit.Deletion("reddit", id=id_) for id_ in ("t3_a2", "t3_zz")]

    await world.holds(*numbered(3))
    monkeypatch.setattr(reddit, "RECHECK", 2)
    monkeypatch.setattr(reddit, "recheck", liar)
    async with world.app() as app:
        await settle(app.recheck())
    await world.commit()
    assert world.rows("SELECT count(*) FROM tombstones") == [(0,)]
    assert world.rows("SELECT asked, gone FROM rechecks") == [(2, 0)]


async def test_an_archive_of_ones_own_is_left_alone(world: World, forum: Forum) -> None:
    await world.holds("t3_b0", stream="archive/dump.zst")
    await world.holds("t3_a0", stream="backfill/r/pond")
    await world.go(5)
    assert forum.ids == ["t3_a0"]


async def test_what_has_neither_words_nor_author_is_not_asked_about(world: World, forum: Forum) -> None:
    await world.holds(*numbered(3))
    async with world.app() as app:
        with app.store.writing() as connection:
            connection.execute("UPDATE messages SET text = NULL WHERE id IN ('t3_a0', 't3_a1')")
            connection.execute("UPDATE messages SET author = NULL WHERE id = 't3_a0'")
    await world.go(5)
    assert forum.ids == ["t3_a1", "t3_a2"]


# ------------------------------------------------------------------------------------------------ errors delete nothing

FAILURES = {
    "html": httpx.Response(200, text="<html>blocked</html>"),
    "forbidden": httpx.Response(403, text="<html>blocked</html>"),
    "not found": httpx.Response(404, json={"message": "Not Found", "error": 404}),
    "failed": httpx.Response(500),
    "another document": httpx.Response(200, json={"data": []}),
    "cut": httpx.Response(200, content=json.dumps(listing([{**post("t3_a0"), **REMOVED}])).encode()[:-3]),
}


@pytest.mark.parametrize("what", FAILURES)
async def test_no_failure_deletes_anything_and_the_same_page_is_asked_again(
    world: World, forum: Forum, what: str
) -> None:
    await world.holds(*numbered(4))
    forum.answers = [FAILURES[what]]
    await world.go()
    await world.go(2 * HOUR)
    assert forum.asked == [numbered(3), numbered(3), ["t3_a3"]]
    await world.commit()
    assert world.rows("SELECT count(*) FROM tombstones") == [(0,)]
    assert world.rows("SELECT asked, gone, failures, error FROM rechecks") == [(4, 0, 0, None)]
    first, *_ = world.rows("SELECT up, fetched, error IS NULL FROM polls WHERE stream = 'recheck' ORDER BY started_at")
    assert first == (0, 0, False)


async def test_a_page_that_is_never_answered_for_is_left_behind_and_nothing_of_it_deleted(
    world: World, forum: Forum
) -> None:
    await world.holds(*numbered(5))
    forum.answers = [FAILURES["another document"]] * 3
    await world.go(4 * HOUR)
    assert forum.asked == [numbered(3)] * 3 + [["t3_a3", "t3_a4"]]
    await world.commit()
    assert world.rows("SELECT asked, gone, failures, ended_at IS NOT NULL FROM rechecks") == [(2, 0, 0, True)]


async def test_a_source_that_is_down_is_asked_again_for_ever_and_ever_more_rarely(world: World, forum: Forum) -> None:
    await world.holds("t3_a0")
    forum.answers = [httpx.Response(503) for _ in range(9)]
    await world.go(8 * HOUR)
    waits = [later - earlier for earlier, later in pairwise(forum.times)]
    assert len(waits) >= 6
    assert all(later >= earlier * 0.9 for earlier, later in pairwise(waits))
    assert set(forum.ids) == {"t3_a0"}


# ------------------------------------------------------------------------------------------------------ politely


async def test_a_named_time_holds_for_the_polls_too_and_across_a_restart(world: World, forum: Forum) -> None:
    await world.holds(*numbered(4))
    forum.answers = [httpx.Response(429, headers={"Retry-After": "1800"})]
    await world.go()
    await world.go(1790, polling=True)
    assert (len(forum.asked), forum.polls) == (1, 0)
    await world.go(10, polling=True)
    assert forum.polls == 1
    assert forum.asked[1] == numbered(3)


async def test_a_time_that_was_named_to_a_poll_holds_here_too(world: World, forum: Forum) -> None:
    await world.holds(*numbered(4))
    until = world.clock.now() + timedelta(minutes=30)
    async with world.app() as app:
        with app.store.writing() as connection:
            connection.execute(
                "INSERT INTO limits VALUES ('source:reddit', ?, 'asked', ?)", [until.replace(tzinfo=None), NOON.replace(tzinfo=None)]
            )  # fmt: skip
    await world.go(1790)
    assert forum.asked == []
    await world.go(20)
    assert forum.asked[0] == numbered(3)


async def test_a_refusal_of_this_question_does_not_silence_the_polls(world: World, forum: Forum) -> None:
    await world.holds("t3_a0")
    forum.answers = [FAILURES["forbidden"]]
    await world.go()
    await world.go(1800, polling=True)
    assert forum.polls > 10
    assert len(forum.asked) == 1, "but is not asked again within the hour"


async def test_no_more_than_a_quarter_of_the_budget_is_used(world: World, forum: Forum) -> None:
    world.budget = "8/1m"
    await world.holds(*numbered(60))
    await world.go(600)
    spans = [forum.times[n + 2] - forum.times[n] for n in range(len(forum.times) - 2)]
    assert len(forum.times) >= 15
    assert min(spans) >= 60, "two in a minute, wherever the minute begins"


async def test_what_was_used_before_a_restart_counts(world: World, forum: Forum) -> None:
    world.budget = "4/10m"
    await world.holds(*numbered(9))
    for _ in range(4):
        await world.go(140)
    assert len(forum.asked) == 1
    await world.go(60)
    assert len(forum.asked) == 2


@pytest.mark.parametrize(
    ("left", "due", "running", "beside", "limited", "slots", "room"),
    [
        (4, 0, 0, 0, False, 8, True),
        (4, 3, 0, 0, False, 8, True),
        (4, 4, 0, 0, False, 8, False),  # all that is left is for the polls that are due
        (4, 0, 4, 0, False, 8, False),  # or for those under way
        (4, 2, 2, 0, False, 8, False),
        (40, 0, 0, 10, False, 8, False),  # the share is used
        (40, 0, 0, 9, False, 8, True),
        (4, 0, 0, 0, True, 8, False),
        (4, 0, 0, 0, False, 0, False),
    ],
)
def test_polls_come_first(
    left: int, due: int, running: int, beside: int, limited: bool, slots: int, room: bool
) -> None:
    target = make_target("pond", Pond(), budget=(40, 60.0))
    streams = {("pond", f"s{n}"): NOON for n in range(due)} | {("pond", "later"): NOON + timedelta(seconds=1)}
    state = _State(due_at={**streams, ("brook", "other"): NOON})
    state.used = {"pond": [NOON] * (40 - left), target.beside: [NOON] * beside}
    state.allowed = {("pond", "busy"): running, ("brook", "other"): 9} if running else {}
    state.not_before = {"source:pond": NOON + timedelta(seconds=limited)}
    assert has_room_beside(target, state, NOON, slots) is room


@given(st.integers(1, 10_000), st.floats(0.1, 1e6))
def test_a_share_is_never_more_than_a_quarter_and_never_nothing(requests: int, seconds: float) -> None:
    share = share_of(Budget(requests, seconds))
    assert share.requests >= 1
    assert share.requests / share.seconds <= requests / seconds / 4 * (1 + 1e-9)


# -------------------------------------------------------------------------------------------------- passes and kills


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_after_a_kill_it_goes_on_behind_the_last_page_that_was_kept(
    world: World, forum: Forum, steps: int
) -> None:
    await world.holds(*numbered(10))
    for _ in range(12 // steps):
        async with world.app() as app:
            for _ in range(steps):
                await settle(app.recheck())
        world.clock.advance(1)
    assert forum.ids == numbered(10), "each once, oldest first"
    await world.commit()
    assert world.rows("SELECT asked, requests >= 4, ended_at IS NOT NULL FROM rechecks") == [(10, True, True)]


async def test_a_kill_within_a_request_costs_that_request_and_nothing_else(world: World, forum: Forum) -> None:
    await world.holds(*numbered(4))
    forum.gone = {"t3_a0": REMOVED}

    async def slow(request: httpx.Request) -> httpx.Response:
        answer = forum(request)
        if forum.asked:
            await asyncio.Event().wait()
        return answer

    world.forum = slow  # type: ignore[assignment]
    async with world.app() as app:
        app.recheck()
        while not forum.asked:  # noqa: ASYNC110 - the request is a fact, not an event
            await asyncio.sleep(0.001)
    world.forum = forum
    await world.go(5)
    assert forum.asked == [numbered(3), numbered(3), ["t3_a3"]]
    await world.commit()
    assert world.rows("SELECT id FROM tombstones") == [("t3_a0",)]


async def test_the_place_and_the_deletions_are_one(world: World, forum: Forum) -> None:
    await world.holds(*numbered(3))
    forum.gone = {"t3_a0": REMOVED}
    await world.go()
    assert world.rows("SELECT count(*) FROM rechecks") == [(0,)], "both wait in the journal"
    assert world.rows("SELECT count(*) FROM tombstones") == [(0,)]
    await world.commit()
    assert world.rows("SELECT place_id, gone FROM rechecks") == [("t3_a2", 1)]
    assert world.rows("SELECT count(*) FROM tombstones") == [(1,)]


async def test_a_pass_begins_no_sooner_than_configured_and_leaves_out_what_came_since(
    world: World, forum: Forum
) -> None:
    world.keys += '\nrecheck = "2h"'
    await world.holds("t3_a0")
    began = world.clock.monotonic()
    await world.go(5)
    await world.commit()
    await world.holds("t3_a1")
    await world.go(HOUR - 60)
    assert forum.ids == ["t3_a0"]
    await world.go(120)
    assert forum.ids == ["t3_a0", "t3_a0", "t3_a1"]
    assert forum.times[1] - began >= 2 * HOUR
    await world.commit()
    assert world.rows("SELECT asked FROM rechecks ORDER BY began_at") == [(1,), (2,)]


async def test_what_comes_in_during_a_pass_waits_for_the_next(world: World, forum: Forum) -> None:
    await world.holds(*numbered(4))
    await world.go()
    await world.commit()
    await world.holds("t3_z9")
    await world.go(5)
    assert forum.ids == numbered(4)


async def test_a_source_of_which_nothing_is_stored_is_not_asked_and_is_not_silent(world: World, forum: Forum) -> None:
    for _ in range(4):
        await world.go(2)
        world.clock.advance(DAY)
    await world.commit()
    assert forum.asked == []
    assert world.rows("SELECT count(*), sum(requests) FROM rechecks") == [(4, 0)]
    assert world.rows("SELECT status FROM source_health WHERE stream = 'recheck'") == [("unchanged",)]


async def test_while_somebody_holds_the_file_it_waits(world: World, forum: Forum) -> None:
    await world.holds("t3_a0")
    async with world.app() as app:
        wait, app.store.next_to_recheck = app.store.next_to_recheck, held  # type: ignore[method-assign]
        await settle(app.recheck())
        app.store.next_to_recheck = wait  # type: ignore[method-assign]
        await go(app, world.clock, 9)
        assert forum.asked == []
        await go(app, world.clock, 5)
    assert forum.ids == ["t3_a0"]


def held(*_: Any) -> Any:
    raise StoreLocked("t.duckdb", 7)


# ------------------------------------------------------------------------------------------------------ what it leaves


async def test_an_attempt_is_a_row_that_never_counts_as_listening(world: World, forum: Forum) -> None:
    await world.holds(*numbered(4))
    before = world.rows("FROM coverage_hours")
    await world.go(5)
    await world.commit()
    attempts = world.rows(
        "SELECT up, status, fetched, added, covers_from, brings, requests FROM polls WHERE stream = 'recheck' ORDER BY started_at"
    )
    assert attempts == [(1, "ok", 3, 0, None, "recheck", 2), (1, "ok", 1, 0, None, "recheck", 1)]
    assert world.rows("FROM coverage_hours") == before
    assert world.rows("SELECT enabled, status FROM source_health WHERE stream = 'recheck'") == [(False, "ok")]
    assert world.rows("SELECT count(*) FROM streams WHERE name = 'recheck'") == [(0,)]


async def test_retention_keeps_the_newest_pass(world: World) -> None:
    await world.holds("t3_a0")
    for _ in range(2):
        await world.go(5)
        world.clock.advance(2 * DAY)
    await world.commit()
    assert world.rows("SELECT count(*) FROM rechecks") == [(2,)]
    late = world.clock.now() + timedelta(days=400)
    async with world.app() as app:
        app.store.prune(text_before=late, mentions_before=late, polls_before=late)
    assert len(world.rows("FROM rechecks")) == 1


# ---------------------------------------------------------------------------------------------------------- who is asked


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("", "it takes client_id and client_secret"),
        ('credentials = { feed_token = "t", feed_user = "newt" }', "it takes client_id and client_secret"),
        (f'credentials = {APP}\nrecheck = "off"', "recheck is off"),
        (f"credentials = {APP}\nrecheck = 0", "recheck is off"),
        (f"credentials = {APP}", None),
    ],
)
async def test_reddit_is_asked_with_an_app_and_unless_it_is_off(
    world: World, forum: Forum, keys: str, why: str | None
) -> None:
    world.keys = keys
    await world.holds("t3_a0")
    async with world.app() as app:
        assert not_rechecked(app.config.sources["reddit"]) == why
        await go(app, world.clock, 5)
    assert forum.asked == ([["t3_a0"]] if why is None else [])


@pytest.mark.parametrize(
    ("source", "stream", "keys", "why"),
    [
        ("hackernews", "new", "", "another host answers than the base_url, and is left alone"),
        ("x", "search/$GME", 'credentials = { bearer_token = "t" }', "recheck is off"),
        ("x", "search/$GME", 'credentials = { bearer_token = "t" }\nrecheck = "7d"', None),
        ("youtube", "video/pondVideo01", "", "it takes key"),
        ("mastodon", "tag/gme", "", None),
        ("lemmy", "c/pond", "", "there is nobody to ask"),
    ],
)
def test_who_is_asked_is_decided_by_configuration_alone(
    tmp_path: Path, source: str, stream: str, keys: str, why: str | None
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[sources.{source}]\nstreams = ["{stream}"]\nbase_url = "https://pond.example"\n{keys}\n')
    assert not_rechecked(load_config(str(path), {}).sources[source]) == why


async def test_a_source_that_is_off_is_not_asked(world: World, forum: Forum) -> None:
    await world.holds("t3_a0")
    world.keys += "\n[sources.hackernews]"
    path = world.folder / "config.toml"
    text = path.read_text().replace("enabled = true\nstreams", "enabled = false\nstreams")
    path.write_text(text)
    config = load_config(str(path), {})
    app = App(replace(config, sources={"reddit": config.sources["reddit"]}), world.clock, httpx.MockTransport(forum))
    try:
        await app.open()
        assert app.recheck() == []
    finally:
        await app.close()
    assert forum.asked == []


async def test_only_what_can_be_asked_about_is_and_the_rest_is_passed_by(world: World, forum: Forum) -> None:
    await world.holds("elsewhere/1", "t3_a1", "elsewhere/3", "t3_a4", "elsewhere/9")
    await world.go(5)
    assert forum.asked == [["t3_a1", "t3_a4"]]
    await world.commit()
    assert world.rows("SELECT place_id, asked, ended_at IS NOT NULL FROM rechecks") == [("elsewhere/9", 2, True)]


def test_the_command_runs_it_and_unknown_jobs_name_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[universe]\nenabled = false\n[sources.bluesky]\nenabled = false\n[sources.hackernews]\nenabled = false\n[sources.fourchan]\nenabled = false\n[sources.rss]\nenabled = false\n[sources.apewisdom]\nenabled = false\n')  # fmt: skip
    asked = ["--config", str(path), "--data-dir", str(tmp_path / "data"), "once"]
    assert CliRunner().invoke(main, [*asked, "recheck"]).exit_code == 0
    wrong = CliRunner().invoke(main, [*asked, "rechek"])
    assert wrong.exit_code == 2
    told = CliRunner().invoke(main, ["--config", str(path), "--data-dir", str(tmp_path / "data"), "check", "--json"])
    said = {verdict["what"]: verdict["said"] for verdict in json.loads(told.stdout)}
    assert "deletions: announced by the stream" in said["source bluesky"]
    assert "NOT asked: it takes client_id and client_secret" in said["source reddit"]
    assert "asked every 7 d" in said["source hackernews"]
    assert "deletions" not in said["source rss"]


# ------------------------------------------------------------------------------------------------------------ deciding


@pytest.mark.parametrize(
    ("row", "due_s"),
    [
        (None, 0.0),
        (RecheckRow("pond", NOON - timedelta(days=3)), 0.0),  # in the middle of a pass
        (RecheckRow("pond", NOON, next_at=NOON + timedelta(seconds=90)), 90.0),
        (RecheckRow("pond", NOON - timedelta(hours=20), ended_at=NOON - timedelta(hours=19)), 4 * HOUR),
        (RecheckRow("pond", NOON - timedelta(days=3), ended_at=NOON), 0.0),  # a pass that took longer than a day
        (RecheckRow("pond", NOON - timedelta(days=3), ended_at=NOON, next_at=NOON + timedelta(seconds=90)), 90.0),
        (RecheckRow("pond", NOON + timedelta(days=900), ended_at=NOON), DAY),  # written by a clock that was ahead
    ],
)
def test_when_a_source_may_be_asked_again(row: RecheckRow | None, due_s: float) -> None:
    assert begin_at(row, DAY, NOON) == NOON + timedelta(seconds=due_s)


@pytest.mark.parametrize(
    ("error", "failures", "moves"),
    [
        (Malformed("odd"), 0, False),
        (Malformed("odd"), 1, False),
        (Malformed("odd"), 2, True),
        (NotFound("gone"), 2, True),
        (SourceError("a bug"), 2, True),
        (Unavailable("down"), 9, False),
        (RateLimited("slowly"), 9, False),
        (AccessDenied("no"), 9, False),
        (None, 9, True),
    ],
)
def test_a_page_is_left_behind_only_when_it_is_to_blame(error: SourceError | None, failures: int, moves: bool) -> None:
    target = make_target("pond", Pond())
    attempt = Attempt(NOON, 1, Tally(requests=1), NOON)
    outcome = conclude_recheck("pond", target.plan, analysis(), attempt, ["1", "2"], (), error, failures)
    before = RecheckRow("pond", NOON - timedelta(hours=1), asked=7, failures=failures)
    after = step_on(before, ["1", "2"], (NOON, "2"), False, outcome)
    assert (after.place_id, after.failures) == (("2", 0) if moves else (None, failures + 1))
    assert after.asked == (9 if error is None else 7)
    assert (after.error is None) is (error is None)
    assert (after.next_at is None) is (error is None)
    assert after.requests == 1
