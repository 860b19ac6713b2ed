"""Going back: a span comes whole, once, politely, and can be ended and gone on with at any step."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fakes import FakeClock, FakeGate
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.app import App
from tracker.backfill import BackfillReport, Progress, backfill
from tracker.cli import main
from tracker.errors import BadInput, NotFound
from tracker.models import Cursor, Gap, Message, Stretch
from tracker.parts import DaemonLock, load_config
from tracker.sources import BackfillSource, load, names
from tracker.store import Opening, Store
from tracker.walk import Leaf, walk_past

pytestmark = pytest.mark.slow

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
SINCE, UNTIL = NOON - timedelta(days=2), NOON - timedelta(days=1)
EVERY_S = 300  # a comment every five minutes


@dataclass
class Forum:
    """A search by date over a comment every five minutes, for ever; fails and limits as it is told."""

    clock: FakeClock
    answers: list[httpx.Response] = field(default_factory=list)  # what comes in place of the next answers
    asked: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # seconds after the clock's beginning

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.params["numericFilters"] + "#" + request.url.params.get("page", "0"))
        self.times.append(self.clock.monotonic())
        if self.answers:
            return self.answers.pop(0)
        found = dict(re.findall(r"created_at_i(.)=(\d+)", request.url.params["numericFilters"]))
        low, high = int(found[">"]), int(found["<"])
        stamps = range(high - high % EVERY_S, low - 1, -EVERY_S)[: int(request.url.params["hitsPerPage"])]
        hits = [{"objectID": str(s), "created_at_i": s, "comment_text": f"$GME {s}", "author": "toad"} for s in stamps]
        return httpx.Response(200, json={"hits": hits})


WANTED = {str(s) for s in range(int(SINCE.timestamp()), int(UNTIL.timestamp()), EVERY_S)}


@dataclass
class World:
    """A tracker on a folder, with a clock that only moves when somebody sleeps."""

    folder: Path
    transport: Callable[[httpx.Request], httpx.Response]
    clock: FakeClock
    budget: str = "1000/1m"
    sleeps: list[float] = field(default_factory=list)
    stop_after: int | None = None  # steps between two of which it is ended, as by Ctrl-C

    @asynccontextmanager
    async def app(self, source: str, stream: str) -> AsyncIterator[App]:
        path = self.folder / "config.toml"
        path.write_text(
            f'[tracker]\ndata_dir = "{self.folder}/data"\n[universe]\nenabled = false\n[http]\nbreaker = "1h"\n'
            f'[sources.{source}]\nenabled = true\nstreams = ["{stream}"]\nkeep = "all"\nbudget = "{self.budget}"\n'
            f'base_url = "https://pond.example"\nacknowledge_terms = true\n'
        )
        config = load_config(str(path), {})
        config = replace(config, sources={source: config.sources[source]})
        app = App(config, self.clock, httpx.MockTransport(self.transport), whole=False)
        target = app.poller.targets[source]
        app.poller.targets[source] = replace(target, plan=replace(target.plan, gate=FakeGate(self.clock)))
        try:
            await app.open()
            yield app
        finally:
            await app.close()
        assert app.failure is None

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if self.stop_after is not None and len(self.sleeps) > self.stop_after:
            raise asyncio.CancelledError
        self.clock.advance(seconds)

    async def go_back(
        self,
        source: str = "hackernews",
        stream: str = "new",
        since: datetime = SINCE,
        until: datetime | None = UNTIL,
        **how: Any,
    ) -> BackfillReport:
        async with self.app(source, stream) as app:
            return await backfill(app, source, stream, since, until, sleep=self.sleep, **how)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with Store(Opening(self.folder / "data" / "tracker.duckdb")).reading() as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def forum(clock: FakeClock) -> Forum:
    return Forum(clock)


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock, forum: Forum) -> World:
    return World(tmp_path, forum, clock)


# ------------------------------------------------------------------------------------------------- a whole span


async def test_a_span_comes_whole_and_nothing_beside_it(world: World, forum: Forum) -> None:
    shown: list[Progress] = []
    report = await world.go_back(progress=shown.append)
    assert (report.finished, report.covered, report.gap, report.stopped) == (True, 1.0, None, None)
    assert report.requests == len(forum.asked) == 3
    assert report.added == len(WANTED) <= report.fetched
    stored = world.rows("SELECT source, id, stream, fetched_at FROM messages")
    assert {id_ for _, id_, _, _ in stored} == WANTED
    assert {(source, stream) for source, _, stream, _ in stored} == {("hackernews", "backfill/new")}
    assert all(fetched_at >= NOON.replace(tzinfo=None) for *_, fetched_at in stored), "nobody knew it before"
    assert [each.done for each in shown] == sorted(each.done for each in shown)
    assert shown[-1].done == 1.0


async def test_its_hours_count_as_listened_to_on_the_stream_itself(world: World) -> None:
    await world.go_back()
    heard = world.rows(
        "SELECT hour_start, streams, up FROM listening(TIMESTAMP '2026-09-28', TIMESTAMP '2026-10-02') WHERE source = 'hackernews' ORDER BY 1"
    )
    assert [hour for hour, _, _ in heard] == [SINCE.replace(tzinfo=None) + timedelta(hours=n) for n in range(24)]
    assert {(streams, up) for _, streams, up in heard} == {(1, 1.0)}
    buckets = world.rows(
        "SELECT DISTINCT up FROM buckets WHERE bucket_width = INTERVAL 1 HOUR AND source = 'hackernews'"
    )
    assert buckets == [(1.0,)]


async def test_a_deaf_span_that_is_read_later_was_not_deaf(world: World) -> None:
    """Half of an hour live, the other half by a backfill: one stream, heard whole."""
    half = SINCE + timedelta(minutes=30)
    async with world.app("hackernews", "new") as app:
        with app.store.writing() as connection:
            connection.execute(
                "INSERT INTO coverage_hours VALUES ('hackernews', 'new', $1, 0.5), ('hackernews', 'new', $2, 1)",
                [SINCE.replace(tzinfo=None), (SINCE + timedelta(hours=1)).replace(tzinfo=None)],
            )
    await world.go_back(since=half, until=SINCE + timedelta(hours=1))
    heard = world.rows(
        "SELECT streams, up FROM listening(TIMESTAMP '2026-09-28', TIMESTAMP '2026-10-02') WHERE source = 'hackernews'"
    )
    assert heard == [(1, 1.0), (1, 1.0)]


async def test_the_stream_that_is_polled_keeps_its_place_and_its_name(world: World) -> None:
    await world.go_back()
    streams = world.rows("SELECT name, enabled, cursor FROM streams")
    assert [(name, enabled) for name, enabled, _ in streams] == [("backfill/new", False)]


async def test_once_more_adds_nothing_and_a_finished_one_asks_nothing(world: World, forum: Forum) -> None:
    first = await world.go_back()
    assert await world.go_back() == replace(first, requests=0, fetched=0, added=0)
    assert await world.go_back(until=None) == replace(first, requests=0, fetched=0, added=0)
    assert len(forum.asked) == 3
    again = await world.go_back(again=True)
    assert (again.finished, again.requests, again.fetched, again.added) == (True, 3, first.fetched, 0)
    assert world.rows("SELECT count(*) FROM messages") == [(len(WANTED),)]


async def test_without_an_end_it_goes_to_where_listening_began(world: World) -> None:
    first = UNTIL.replace(tzinfo=None)
    async with world.app("hackernews", "new") as app:
        with app.store.writing() as connection:
            connection.execute("INSERT INTO coverage_hours VALUES ('hackernews', 'new', $1, 1)", [first])
    assert (await world.go_back(until=None)).until == UNTIL
    now = world.clock.now()
    assert (await world.go_back(since=UNTIL + timedelta(hours=3), until=None)).until == now


@pytest.mark.parametrize("until", [SINCE, SINCE - timedelta(hours=1)])
async def test_a_span_without_a_length_is_refused(world: World, until: datetime) -> None:
    with pytest.raises(BadInput, match="the span is empty"):
        await world.go_back(until=until)
    with pytest.raises(BadInput, match="the span is empty"):
        await world.go_back(since=NOON + timedelta(hours=1), until=None)


async def test_what_it_knows_of_the_past_survives_retention_and_a_rebuild(world: World) -> None:
    await world.go_back()
    asked = "FROM coverage_hours ORDER BY ALL"
    before = world.rows(asked)
    async with world.app("hackernews", "new") as app:
        late = NOON + timedelta(days=400)
        app.store.prune(text_before=late, mentions_before=SINCE, polls_before=late)
        app.store.rebuild()
    assert world.rows(asked) == before
    assert world.rows("SELECT count(*) FROM polls WHERE covers_from IS NULL") == [(0,)], "attempts are forgotten"


# --------------------------------------------------------------------------------------------- ended and gone on


@pytest.mark.parametrize("steps", [0, 1])
async def test_whenever_it_is_ended_the_same_words_go_on_from_there(world: World, forum: Forum, steps: int) -> None:
    world.stop_after = steps
    with pytest.raises(asyncio.CancelledError):
        await world.go_back()
    assert len(forum.asked) == steps + 1
    assert world.rows("SELECT count(*) > 0 FROM messages") == [(True,)], "what came is stored"
    world.stop_after = None
    report = await world.go_back(until=None)
    assert (report.finished, report.covered, report.until) == (True, 1.0, UNTIL)
    assert len(set(forum.asked)) == len(forum.asked) == 3
    assert {id_ for (id_,) in world.rows("SELECT id FROM messages")} == WANTED


async def test_another_span_begins_anew(world: World, forum: Forum) -> None:
    world.stop_after = 0
    with pytest.raises(asyncio.CancelledError):
        await world.go_back()
    world.stop_after = None
    report = await world.go_back(since=SINCE + timedelta(hours=12))
    assert (report.finished, report.requests) == (True, 2)
    assert forum.asked[1].endswith(f"<={int(UNTIL.timestamp())}#0")


# ------------------------------------------------------------------------------------------------------ politely


async def test_its_budget_is_kept(world: World, forum: Forum) -> None:
    world.budget = "1/1m"
    assert (await world.go_back()).finished
    assert all(later - earlier >= 60 for earlier, later in pairwise(forum.times))


async def test_what_was_used_before_counts_too(world: World, forum: Forum) -> None:
    world.budget = "2/1m"
    world.stop_after = 0
    with pytest.raises(asyncio.CancelledError):
        await world.go_back()
    world.stop_after = None
    await world.go_back()
    assert forum.times[2] - forum.times[0] >= 60


async def test_a_named_time_is_kept_and_the_span_comes_all_the_same(world: World, forum: Forum) -> None:
    forum.answers = [httpx.Response(429, headers={"Retry-After": "300"})]
    report = await world.go_back()
    assert forum.times[1] - forum.times[0] >= 300
    assert (report.finished, report.covered) == (True, 1.0)


async def test_who_is_to_wait_for_long_is_told_when_to_come_again(world: World, forum: Forum) -> None:
    forum.answers = [httpx.Response(429, headers={"Retry-After": "7200"})]
    report = await world.go_back()
    again = "hackernews may be asked again at 2026-10-01 14:00:00Z"
    assert report.stopped is not None
    assert re.fullmatch(f"too many requests: .*HTTP 429.*; {again}", report.stopped)
    assert (report.finished, report.covered, len(forum.asked)) == (False, 0.0, 1)
    assert (await world.go_back()).stopped == again
    assert len(forum.asked) == 1, "nobody was asked before the named time"
    world.clock.advance(7200)
    assert (await world.go_back()).finished


async def test_a_server_that_stumbles_is_asked_again_and_one_that_stays_down_is_left(
    world: World, forum: Forum
) -> None:
    forum.answers = [httpx.Response(502)] * 3
    assert (await world.go_back()).finished
    forum.answers = [httpx.Response(502)] * 30
    report = await world.go_back(again=True)
    assert report.stopped is not None
    assert "HTTP 502" in report.stopped
    assert (report.finished, len(forum.answers)) == (False, 26), "so seldom that it is left after four"
    assert world.rows("SELECT count(*) FROM polls WHERE up = 0 AND stream = 'backfill/new'") == [(7,)]


@pytest.mark.parametrize(
    "answer", [httpx.Response(403), httpx.Response(404), httpx.Response(200, text="<html>no</html>")]
)
async def test_a_refusal_is_not_argued_with(world: World, forum: Forum, answer: httpx.Response) -> None:
    forum.answers = [answer]
    report = await world.go_back()
    assert report.stopped is not None
    assert (report.finished, len(forum.asked)) == (False, 1)


# ----------------------------------------------------------------------------------------------------- the sources


def test_these_sources_can_go_back() -> None:
    able = {name for name in names() if isinstance(load(name), BackfillSource)}
    assert able == {"arctic_shift", "bluesky", "hackernews", "lemmy", "mastodon", "reddit", "stocktwits", "telegram"}


async def test_a_source_that_can_not_says_so_and_names_those_that_can(world: World) -> None:
    with pytest.raises(BadInput, match=r"can't go back.*fourchan.*arctic_shift.*hackernews"):
        await world.go_back("fourchan", "biz")


def dump(request: httpx.Request) -> httpx.Response:
    """An archive of Reddit with three comments, one of which was deleted."""
    base, path = int(SINCE.timestamp()), request.url.path
    assert path == "/api/comments/search"
    comments = [
        {"id": f"c{n}", "body": f"$GME {n}", "author": "toad", "created_utc": base + n * 600, "_meta": {"was_deleted_later": n == 1}}
        for n in (2, 1, 0)
    ]  # fmt: skip
    return httpx.Response(200, json={"data": comments})


async def test_what_an_archive_of_reddit_holds_is_stored_as_reddits(world: World) -> None:
    world.transport = dump
    report = await world.go_back("arctic_shift", "r/pond/comments")
    assert (report.finished, report.covered, report.added) == (True, 1.0, 2)
    stored = world.rows("SELECT source, id, stream FROM messages ORDER BY id")
    assert stored == [("reddit", f"t1_c{n}", "backfill/r/pond/comments") for n in (0, 2)]
    assert world.rows("SELECT source, id FROM tombstones") == [("reddit", "t1_c1")]
    heard = world.rows("SELECT DISTINCT source, stream FROM coverage_hours")
    assert heard == [("reddit", "backfill/r/pond/comments")]
    used = world.rows("SELECT source, sum(requests) FROM polls GROUP BY ALL ORDER BY 1")
    assert used == [("arctic_shift", 1), ("reddit", 0)], "its budget is its own"


def feed(request: httpx.Request) -> httpx.Response:
    """A subreddit's feed: a post every two minutes."""
    after = request.url.params.get("after")
    first = int(after.removeprefix("t3_")) - 999 if after else 0
    entries = "".join(
        f"<entry><id>t3_{1000 + n}</id><title>$GME {n}</title><author><name>/u/toad</name></author>"
        f"<published>{(NOON - timedelta(minutes=2 * n)).isoformat()}</published><content type='html'>words</content></entry>"
        for n in range(first, first + 100)
    )
    return httpx.Response(200, content=f"<feed xmlns='http://www.w3.org/2005/Atom'>{entries}</feed>".encode())


async def test_where_a_listing_ends_the_rest_is_a_gap(world: World) -> None:
    world.transport = feed
    report = await world.go_back("reddit", "r/pond", since=SINCE, until=NOON)
    assert report.finished
    assert report.gap is not None
    assert "about 1,000 messages" in report.gap
    assert (report.requests, round(report.covered, 2)) == (10, 0.69)  # 1,000 posts are 33 hours of 48
    gaps = world.rows("SELECT source, stream, from_at FROM gaps")
    assert gaps == [("reddit", "backfill/r/pond", SINCE.replace(tzinfo=None))]


async def test_stocktwits_without_a_key_has_its_first_page_and_a_gap(tmp_path: Path, clock: FakeClock) -> None:
    def page(request: httpx.Request) -> httpx.Response:
        newest = int(request.url.params.get("max", "1000"))
        messages = [
            {
                "id": n,
                "body": f"$GME {n}",
                "created_at": (NOON - timedelta(hours=1000 - n)).isoformat(),
                "user": {"id": 1},
            }
            for n in range(newest, newest - 30, -1)
        ]
        return httpx.Response(200, json={"response": {"status": 200}, "cursor": {"more": True}, "messages": messages})

    world = World(tmp_path, page, clock)
    report = await world.go_back("stocktwits", "symbol/GME", since=NOON - timedelta(hours=100), until=NOON)
    assert (report.finished, report.gap, report.covered) == (True, None, 1.0), "an own address may be asked for more"
    assert report.requests == 4
    assert report.fetched >= 99


# -------------------------------------------------------------------------------------------------- walking past


@dataclass
class Listing:
    """A newest-first listing of a message a minute, by anchor; nothing comes after an anchor that is gone."""

    number: int
    window: int = 10_000
    size: int = 10
    ends: bool = True  # its end is known to be the end
    gone: set[int] = field(default_factory=set)
    lost: bool = False  # a place that is gone is not found, in place of empty
    asked: list[str | None] = field(default_factory=list)

    async def ask(self, token: str | None) -> Leaf:
        self.asked.append(token)
        shown = [n for n in range(self.number) if n not in self.gone][: self.window]
        if token is not None and int(token) in self.gone:
            if self.lost:
                raise NotFound("gone", "pond")
            return Leaf((), None, NOON)
        shown = [n for n in shown if token is None or n > int(token)]
        page = shown[: self.size]
        more = len(shown) > len(page)
        items = tuple(Message("pond", str(n), NOON - timedelta(minutes=n), "words") for n in page)
        return Leaf(items, str(page[-1]) if more else None, NOON, complete=not more and self.ends)


async def walked(listing: Listing, minutes: int, place: Cursor | None = None, most: int = 1000) -> list[Stretch]:
    found: list[Stretch] = []
    async for stretch in walk_past(listing.ask, NOON - timedelta(minutes=minutes), NOON, place, dead_end="no more"):
        found.append(replace(stretch, place=json.loads(json.dumps(stretch.place))))
        if len(found) == most:
            break
    return found


@settings(max_examples=100, deadline=None, database=None)
@given(st.integers(0, 80), st.integers(0, 60), st.integers(1, 100), st.booleans())
def test_what_is_not_covered_is_a_gap(number: int, window: int, minutes: int, ends: bool) -> None:
    listing = Listing(number, window=window, ends=ends)
    stretches = asyncio.run(walked(listing, minutes))
    since, reached = NOON - timedelta(minutes=minutes), NOON
    for each in stretches:
        if each.covers is not None:
            assert each.covers[1] == reached
            reached = each.covers[0]
    assert [each.gap for each in stretches[:-1]] == [None] * (len(stretches) - 1)
    assert stretches[-1].gap == (Gap(since, reached, "no more") if reached > since else None)
    came = {int(item.id) for each in stretches for item in each.items if isinstance(item, Message)}
    heard = (NOON - reached) / timedelta(minutes=1)
    assert {n for n in range(number) if n < heard} <= came | set(range(window, number) if ends else ())
    assert stretches[-1].place is None


@pytest.mark.parametrize("lost", [False, True])
async def test_a_place_that_is_gone_is_begun_anew_once(lost: bool) -> None:
    listing = Listing(40, lost=lost)
    (first,) = await walked(listing, 35, most=1)
    listing.gone = {9}
    rest = await walked(listing, 35, first.place)
    assert listing.asked[:3] == [None, "9", None]
    assert rest[-1].place is None
    assert rest[-1].gap is None
    came = {item.id for each in [first, *rest] for item in each.items if isinstance(item, Message)}
    assert {str(n) for n in range(35)} <= came


async def test_a_place_that_is_lost_underway_goes_up() -> None:
    listing = Listing(40, lost=True)

    async def ask(token: str | None) -> Leaf:
        if len(listing.asked) == 2:
            listing.gone = {19}
        return await listing.ask(token)

    with pytest.raises(NotFound):
        async for _ in walk_past(ask, NOON - timedelta(minutes=35), NOON, None):
            pass


# ------------------------------------------------------------------------------------------------ the command line


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f'[tracker]\ndata_dir = "{tmp_path}/data"\n[universe]\nenabled = false\n')
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gossip", "new", "--since", "2026-10-01"], "unknown source"),
        (["hackernews", "no/such", "--since", "2026-10-01"], "no stream of this source"),
        (["stocktwits", "GME", "--since", "2026-10-01"], "this source is off: stocktwits"),
        (["fourchan", "biz", "--since", "2026-10-01"], "can't go back"),
        (["hackernews", "new", "--since", "yesterday"], "expected a time"),
        (["hackernews", "new"], "Missing option '--since'"),
    ],
)
def test_what_can_not_be_is_told_with_code_2(config: Path, arguments: list[str], said: str) -> None:
    found = CliRunner().invoke(main, ["--config", str(config), "backfill", *arguments])
    assert found.exit_code == 2
    assert said in found.stderr


def test_beside_a_running_daemon_it_is_refused(config: Path) -> None:
    lock = DaemonLock(config.parent / "data")
    lock.acquire()
    try:
        found = CliRunner().invoke(
            main, ["--config", str(config), "backfill", "hackernews", "new", "--since", "2026-10-01"]
        )
    finally:
        lock.release()
    assert found.exit_code == 1
    assert "already runs on this data folder" in found.stderr
