"""Who is asked when: afternoons on a clock that is walked, against a server that remembers every request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from fakes import (
    NOON,
    FakeClock,
    FakePushSource,
    FakeServer,
    FakeSource,
    Kept,
    make_plan,
    make_poller,
    make_target,
    message,
    walk,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.errors import AccessDenied, Malformed, StoreFatal, Unavailable
from tracker.models import Cursor, Gap, Limit, Page, Stream
from tracker.poller import Poller, Target, settle

MINUTE = 60.0
HOUR = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> FakeServer:
    return FakeServer(clock)


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def until(true: Callable[[], bool]) -> None:
    """Let everybody run until it is so; a test that waits for what never comes fails."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for is a fact, not an event
            await asyncio.sleep(0)


def due_in(seconds: float, name: str = "frogs", source: str = "pond", **more: Any) -> Stream:
    return Stream(source, name, next_poll_at=NOON + timedelta(seconds=seconds), **more)


# ------------------------------------------------------------------------------------------------------ order


async def test_every_stream_is_asked_once_an_interval(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    poller = make_poller([make_target("pond", FakeSource(), "frogs", "toads")], server, clock, kept)
    await walk(poller, clock, 10 * MINUTE)
    assert server.times("frogs") == server.times("toads") == [MINUTE * number for number in range(10)]
    assert kept.statuses == ["ok"] * 20


async def test_who_has_waited_longest_is_asked_first(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    streams = [due_in(-10, "newts"), due_in(-30, "toads"), due_in(-20, "frogs"), due_in(+10, "later")]
    poller = make_poller(
        [make_target("pond", FakeSource(), "frogs", "later", "newts", "toads")],
        server,
        clock,
        kept,
        concurrency=1,
        streams=streams,
    )
    for _ in range(4):
        await settle(poller.tick())
    assert server.paths() == ["toads", "frogs", "newts"]


async def test_the_cursor_of_one_poll_is_where_the_next_one_starts(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    source = FakeSource().page(message("$GME")).fails_once(Malformed("x")).page()
    poller = make_poller(
        [make_target("pond", source, "frogs")], server, clock, kept, streams=[due_in(0, cursor={"n": 0})]
    )
    await walk(poller, clock, 10 * MINUTE, step=30)
    assert source.cursors[:4] == [{"n": 0}, {"n": 1}, {"n": 1}, {"n": 2}]


async def test_no_stream_is_asked_twice_at_a_time(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    poller = make_poller([make_target("pond", FakeSource(), "frogs")], server, clock, kept)
    server.hold()
    tasks = poller.tick()
    await until(lambda: server.inside == 1)
    clock.advance(10 * MINUTE)
    assert poller.tick() == []
    server.release()
    await settle(tasks)
    assert len(server.asked) == 1


# ------------------------------------------------------------------------------------------------- concurrency


async def test_at_most_so_many_are_asked_at_a_time_and_all_get_their_turn(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    names = [f"s{number}" for number in range(9)]
    targets = [make_target(f"pond{number}", FakeSource(), *names[number::3]) for number in range(3)]
    poller = make_poller(targets, server, clock, kept, concurrency=4)
    server.hold()
    tasks = poller.tick()
    await until(lambda: server.inside == 4)
    assert poller.tick() == []
    server.release()
    await settle(tasks)
    while tasks := poller.tick():
        await settle(tasks)
    assert server.most_inside == 4
    assert sorted(server.paths()) == names


async def test_a_stream_that_stays_connected_takes_nobodys_place(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    push = FakePushSource(stays=True)
    targets = [make_target("a-push", push, "posts"), make_target("pond", FakeSource(), "frogs")]
    poller = make_poller(targets, server, clock, kept, concurrency=1)
    assert [task.get_name() for task in poller.tick(push=False)] == ["pond/frogs"]
    assert [task.get_name() for task in poller.tick(push=True)] == ["a-push/posts"]
    await until(lambda: set(server.paths()) == {"frogs", "posts"})
    await poller.drain(1)


async def test_where_nobody_stays_a_push_source_takes_nobodys_place_either(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    targets = [make_target("a-push", FakePushSource(), "posts"), make_target("pond", FakeSource(), "frogs")]
    poller = make_poller(targets, server, clock, kept, concurrency=1)
    await settle(poller.tick())
    assert sorted(server.paths()) == ["frogs", "posts"]


# ----------------------------------------------------------------------------------------------------- budgets


def most_in(times: list[float], span: float) -> int:
    """The most requests in any half-open span of so many seconds."""
    return max(sum(1 for other in times if start <= other < start + span) for start in times)


async def test_streams_of_a_source_share_its_budget_of_one_request_a_minute(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    target = make_target("pond", FakeSource(pages=5), "frogs", "newts", "toads", budget=(1, MINUTE))
    poller = make_poller([target], server, clock, kept)
    await walk(poller, clock, 30 * MINUTE)
    assert server.times() == [MINUTE * number for number in range(30)], "none too early, none wasted"
    assert {name: server.paths().count(name) for name in target.streams} == {"frogs": 10, "newts": 10, "toads": 10}


@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 12), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_no_span_sees_more_requests_than_the_budget(requests: int, streams: int, pages: int, concurrency: int) -> None:
    clock, kept = FakeClock(), Kept()
    server = FakeServer(clock)
    names = [f"s{number}" for number in range(streams)]
    target = make_target("pond", FakeSource(pages=pages), *names, budget=(requests, MINUTE), interval_s=20.0)
    asyncio.run(walk(make_poller([target], server, clock, kept, concurrency=concurrency), clock, 3 * MINUTE))
    assert most_in(server.times(), MINUTE) <= requests
    assert set(server.paths()) == set(names) or requests * 3 < streams * pages, "nobody starves"


async def test_a_poll_that_is_given_up_has_used_what_it_used(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    class Stuck(FakeSource):
        async def fetch(self, client: Any, stream: Stream, cursor: Cursor | None) -> Page:
            await super().fetch(client, stream, cursor)
            await asyncio.Event().wait()
            raise AssertionError

    poller = make_poller([make_target("pond", Stuck(pages=3), "frogs")], server, clock, kept, deadline_s=0.05)
    await settle(poller.tick())
    (batch,) = kept.batches
    assert (batch.report.status, batch.report.requests) == ("unavailable", 3)
    assert "took longer than 0.05 s" in str(batch.report.error)


async def test_requests_of_the_last_run_count(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    target = make_target("pond", FakeSource(), "frogs", budget=(3, HOUR))
    poller = make_poller(
        [target],
        server,
        clock,
        kept,
        used={"pond": [(NOON - timedelta(minutes=50), 2), (NOON - timedelta(minutes=20), 1)]},
    )
    await walk(poller, clock, 11 * MINUTE, step=MINUTE)
    assert server.times() == [10 * MINUTE]


# ------------------------------------------------------------------------------------------------------- homes


def homed(budget: tuple[int, float], **hosts: str) -> Target:
    """A source each of whose streams (name = host) lives on a host of its own."""
    target = make_target("pond", FakeSource(), *hosts, budget=budget)
    plans = {
        stream: make_plan("pond", base_url=f"https://{host}", scope=f"host:{host}") for stream, host in hosts.items()
    }
    return replace(target, homes=plans)


async def test_a_stream_is_asked_at_its_home_and_each_host_has_a_budget_of_its_own(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    target = homed((1, 10.0), frogs="a.example", toads="a.example", newts="a.example", pike="b.example")
    poller = make_poller([target], server, clock, kept)
    await walk(poller, clock, 60.0, step=1.0)
    assert {(asked.path, asked.host) for asked in server.asked} == {
        ("/frogs", "a.example"), ("/toads", "a.example"), ("/newts", "a.example"), ("/pike", "b.example")
    }  # fmt: skip
    of_a = [asked.seconds for asked in server.asked if asked.host == "a.example"]
    assert of_a == [0.0, 10.0, 20.0]
    assert server.times("pike") == [0.0]


async def test_a_limit_of_one_home_silences_that_host_alone(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    server.will("frogs", 429, {"retry-after": "600"})
    target = homed((100, 60.0), frogs="a.example", toads="a.example", pike="b.example")
    poller = make_poller([target], server, clock, kept, concurrency=1, streams=[due_in(-60), due_in(-30, "toads")])
    await walk(poller, clock, 9 * MINUTE)
    assert [asked.seconds for asked in server.asked if asked.host == "a.example"] == [0.0]
    assert len(server.times("pike")) == 9
    (limit,) = {limit.scope for batch in kept.batches for limit in batch.limits}
    assert limit == "host:a.example"
    await walk(poller, clock, 2 * MINUTE)
    assert server.times("toads") == [600.0]


async def test_requests_of_the_last_run_count_for_every_home(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    """Which host they went to is not stored: none is asked sooner than it might have been."""
    target = homed((1, 100.0), frogs="a.example", pike="b.example")
    poller = make_poller([target], server, clock, kept, used={"pond": [(NOON - timedelta(seconds=40), 1)]})
    await walk(poller, clock, 90.0)
    assert [(asked.seconds, asked.host) for asked in server.asked] == [(60.0, "a.example"), (60.0, "b.example")]


# ------------------------------------------------------------------------------------------------------ limits


async def test_a_limit_by_source_silences_all_its_streams_and_nobody_else(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    server.will("frogs", 429, {"retry-after": "600"})
    targets = [make_target("pond", FakeSource(), "frogs", "toads"), make_target("lake", FakeSource(), "pike")]
    poller = make_poller(targets, server, clock, kept, concurrency=1)
    poller.stand([due_in(-60)], [], {})
    await walk(poller, clock, 20 * MINUTE, step=30)
    asked = [found for found in server.asked if found.host == "pond.example"]
    assert asked[0].path == "/frogs"
    assert asked[1].seconds >= 600
    assert max(later - sooner for sooner, later in pairwise(server.times("pike"))) <= 90


@pytest.mark.parametrize(
    ("scopes", "silenced"), [(("host:pond.example",) * 2, True), (("source:a", "source:b"), False)]
)
async def test_a_limit_by_host_holds_for_both_sources_that_ask_it(
    clock: FakeClock, server: FakeServer, kept: Kept, scopes: tuple[str, str], silenced: bool
) -> None:
    server.will("frogs", 429, {"retry-after": "600"})
    host = "https://pond.example"
    targets = [
        make_target("a", FakeSource(), "frogs", scope=scopes[0], base_url=host),
        make_target("b", FakeSource(), "toads", scope=scopes[1], base_url=host),
    ]
    poller = make_poller(targets, server, clock, kept, concurrency=1)
    await walk(poller, clock, 10 * MINUTE)
    assert server.times("frogs") == [0.0]
    assert (server.times("toads") == []) is silenced
    await walk(poller, clock, MINUTE)
    if silenced:
        assert server.times()[1] == 600.0, "and not a moment longer"
    assert server.times("frogs")[1] >= 600
    assert server.times("toads") != []


async def test_a_used_up_window_is_waited_for_though_the_answer_was_good(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    server.will("frogs", 200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "300"})
    poller = make_poller([make_target("pond", FakeSource(), "frogs", "toads")], server, clock, kept, concurrency=1)
    await walk(poller, clock, 10 * MINUTE)
    assert server.times()[:2] == [0.0, 300.0]
    assert kept.statuses[0] == "ok"


async def test_a_shorter_limit_does_not_lift_a_longer_one(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    """Two polls are under way; the first comes home with an hour, the second with a minute."""
    server.will("frogs", 403).will("toads", 429, {"retry-after": "60"})
    order: list[asyncio.Event] = [asyncio.Event()]

    class Slow(FakeSource):
        async def fetch(self, client: Any, stream: Stream, cursor: Cursor | None) -> Page:
            if stream.name == "toads":
                await order[0].wait()
            return await super().fetch(client, stream, cursor)

    poller = make_poller([make_target("pond", Slow(), "frogs", "toads")], server, clock, kept)
    first, second = poller.tick()
    await settle([first])
    order[0].set()
    await settle([second])
    assert kept.statuses == ["denied", "rate_limited"]
    assert [len(batch.limits) for batch in kept.batches] == [1, 0], "the shorter one is not stored over the longer one"
    await walk(poller, clock, HOUR + MINUTE)
    assert server.times()[2] >= HOUR


NAMED = [
    ("429", {"retry-after": "7200"}),
    ("503", {"retry-after": "7200"}),
    ("403", {}),
    ("401", {"retry-after": "7200"}),
]


@pytest.mark.parametrize(("status", "headers"), NAMED)
async def test_a_named_time_is_kept_across_restarts(
    clock: FakeClock, server: FakeServer, kept: Kept, status: str, headers: dict[str, str]
) -> None:
    """The process starts anew every ten minutes, with nothing but what was stored."""
    server.will("frogs", int(status), headers)
    target = make_target("pond", FakeSource(), "frogs", "toads")
    poller = make_poller([target], server, clock, kept, concurrency=1)
    poller.stand([due_in(-60)], [], {})
    while len(server.asked) < 2:
        await walk(poller, clock, 10 * MINUTE)
        streams = {batch.stream.key: batch.stream for batch in kept.batches if batch.stream is not None}
        limits = {limit.scope: limit for batch in kept.batches for limit in batch.limits}
        poller = make_poller(
            [target], server, clock, kept, streams=list(streams.values()), limits=list(limits.values())
        )
        assert clock.monotonic() < 3 * HOUR, "it is asked again some day"
    assert server.times()[1] >= (7200.0 if headers else HOUR)


async def test_a_stored_time_that_no_server_could_have_named_is_not_waited_for(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    """The clock stood in the year 2040 when it was written."""
    year = timedelta(days=5000)
    target = make_target("pond", FakeSource(), "frogs")
    limits = [Limit("source:pond", NOON + year, "x")]
    poller = make_poller(
        [target], server, clock, kept, streams=[replace(due_in(0), next_poll_at=NOON + year)], limits=limits
    )
    await walk(poller, clock, 25 * HOUR, step=HOUR)
    assert server.times()[0] == 24 * HOUR


# --------------------------------------------------------------------------------------------------- the clock


@pytest.mark.parametrize("step", [-HOUR, HOUR, -5000 * 24 * HOUR])
async def test_setting_the_wall_clock_neither_stops_nor_hurries_anybody(
    clock: FakeClock, server: FakeServer, kept: Kept, step: float
) -> None:
    server.will("toads", 429, {"retry-after": "300"})
    targets = [make_target("pond", FakeSource(), "frogs"), make_target("lake", FakeSource(), "toads")]
    poller = make_poller(targets, server, clock, kept)
    await walk(poller, clock, 2 * MINUTE)
    clock.set_wall(step)
    await walk(poller, clock, 8 * MINUTE)
    assert server.times("frogs") == [MINUTE * number for number in range(10)]
    assert server.times("toads") == [0.0, 300.0, 360.0, 420.0, 480.0, 540.0]


@pytest.mark.parametrize("step", [-HOUR, HOUR])
async def test_a_clock_that_was_set_before_the_start_changes_no_wait(
    clock: FakeClock, server: FakeServer, kept: Kept, step: float
) -> None:
    clock.set_wall(step)
    stored = replace(due_in(120), next_poll_at=clock.now() + timedelta(seconds=120))
    limits = [Limit("source:pond", clock.now() + timedelta(seconds=300), "x")]
    poller = make_poller(
        [make_target("pond", FakeSource(), "frogs")], server, clock, kept, streams=[stored], limits=limits
    )
    await walk(poller, clock, 6 * MINUTE)
    assert server.times() == [300.0]


async def test_rows_are_stamped_by_the_wall_clock(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    clock.set_wall(HOUR)
    poller = make_poller([make_target("pond", FakeSource().message("$GME"), "frogs")], server, clock, kept)
    await settle(poller.tick())
    assert kept.batches[0].fetched_at == clock.now() == NOON + timedelta(hours=1)


# ------------------------------------------------------------------------------------------------------- errors


async def test_a_bug_in_a_source_is_a_row_of_its_own_and_the_others_go_on(
    clock: FakeClock, server: FakeServer, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    buggy = FakeSource().fails_once(KeyError("colour")).message("$GME")
    poller = make_poller(
        [make_target("pond", buggy, "frogs"), make_target("lake", FakeSource(), "pike")], server, clock, kept
    )
    with caplog.at_level(logging.ERROR):
        await walk(poller, clock, 5 * MINUTE)
    reports = {(batch.report.source, batch.report.status) for batch in kept.batches}
    assert reports == {("pond", "error"), ("pond", "ok"), ("lake", "ok")}
    assert server.times("pike") == [MINUTE * number for number in range(5)]
    first = next(batch for batch in kept.batches if batch.report.status == "error")
    assert "KeyError('colour')" in str(first.report.error)
    assert first.report.requests == 1
    assert poller.failure is None
    assert any(record.exc_info for record in caplog.records), "a bug leaves its traceback"


async def test_failures_wait_longer_and_longer_and_one_success_forgets_them(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    source = FakeSource()
    for _ in range(4):
        source.fails_once(Unavailable("gone"))
    poller = make_poller([make_target("pond", source, "frogs")], server, clock, kept)
    await walk(poller, clock, HOUR)
    waits = [later - sooner for sooner, later in pairwise(server.times())]
    for wait, least in zip(waits, (120, 240, 480, 960, 60, 60), strict=False):
        assert least <= wait <= 1.1 * least + 5


async def test_one_line_tells_that_a_source_went_and_one_that_it_is_back(
    clock: FakeClock, server: FakeServer, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    source = FakeSource().page()
    for _ in range(3):
        source.fails_once(AccessDenied("no"))
    source.page(gap=Gap(NOON, NOON + timedelta(hours=1), "too old"))
    poller = make_poller([make_target("pond", source, "frogs")], server, clock, kept)
    with caplog.at_level(logging.INFO):
        await walk(poller, clock, 4 * HOUR, step=MINUTE)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["pond answers", "pond refuses us", "messages were lost", "pond answers"]


# ----------------------------------------------------------------------------------------------------- keeping


async def test_what_cannot_be_kept_has_not_happened_and_stops_the_run(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    full = StoreFatal("the disk is full")
    poller = make_poller(
        [make_target("pond", FakeSource().message("$GME"), "frogs")], server, clock, kept.breaks_once(full)
    )
    with pytest.raises(StoreFatal):
        await settle(poller.tick())
    assert poller.failure is full
    (stream,) = poller.streams
    assert (stream.cursor, stream.last_success_at) == (None, None)


async def test_a_poll_that_is_being_kept_is_kept_though_the_run_is_over(clock: FakeClock, server: FakeServer) -> None:
    kept, may = Kept(), asyncio.Event()

    async def slowly(batch: Any) -> None:
        await may.wait()
        await kept(batch)

    poller = make_poller([make_target("pond", FakeSource(), "frogs")], server, clock, slowly)  # type: ignore[arg-type]
    (task,) = poller.tick()
    await until(lambda: len(server.asked) == 1 and not server.inside)
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    may.set()
    await settle([task])
    await until(lambda: kept.statuses == ["ok"])
    assert poller.failure is None


async def test_draining_waits_for_polls_in_hand_and_gives_up_the_rest(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    class Stuck(FakeSource):
        async def fetch(self, *arguments: Any) -> Page:
            await asyncio.Event().wait()
            raise AssertionError

    targets = [make_target("pond", FakeSource(), "frogs"), make_target("lake", Stuck(), "pike")]
    poller = make_poller(targets, server, clock, kept)
    tasks = poller.tick()
    await poller.drain(0.05)
    assert all(task.done() for task in tasks)
    assert [batch.report.source for batch in kept.batches] == ["pond"]
    assert poller.failure is None


# --------------------------------------------------------------------------------------------------------- push


def push_poller(source: FakePushSource, server: FakeServer, clock: FakeClock, kept: Kept) -> Poller:
    return make_poller(
        [make_target("pond", source, "posts")], server, clock, kept, streams=[Stream("pond", "posts", cursor={"n": 0})]
    )


async def test_a_push_source_commits_its_cursor_page_by_page(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    source = FakePushSource(stays=True)
    source.message("$GME one").message("$GME two").message("$GME three")
    poller = push_poller(source, server, clock, kept)
    poller.tick(push=True)
    await until(lambda: len(kept.batches) == 3)
    assert kept.cursors == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [[row.text for row in batch.messages] for batch in kept.batches] == [
        ["$GME one"],
        ["$GME two"],
        ["$GME three"],
    ]
    assert [batch.report.requests for batch in kept.batches] == [1, 0, 0], "one connection is one request"
    await poller.drain(1)
    assert source.closed == 1
    assert len(kept.batches) == 3


async def test_a_lost_connection_is_a_failed_poll_that_keeps_the_last_cursor(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    source = FakePushSource().message("$GME")
    source.fails_once(Unavailable("the connection was closed"))
    poller = push_poller(source, server, clock, kept)
    await settle(poller.tick(push=True))
    assert kept.statuses == ["ok", "unavailable"]
    assert kept.cursors == [{"n": 1}, {"n": 1}]
    assert poller.tick(push=True) == [], "it is not connected again at once"
    clock.advance(150)
    await settle(poller.tick(push=True))
    assert source.cursors == [{"n": 0}, {"n": 1}]


async def test_a_stream_that_ends_without_a_word_is_connected_again(
    clock: FakeClock, server: FakeServer, kept: Kept
) -> None:
    poller = push_poller(FakePushSource(), server, clock, kept)
    await settle(poller.tick(push=True))
    assert kept.statuses == ["unavailable"]
    assert "ended" in str(kept.batches[0].report.error)
    clock.advance(150)
    assert len(poller.tick(push=True)) == 1
    await poller.drain(1)


async def test_a_bug_while_listening_is_a_row_and_not_the_end(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    source = FakePushSource().message("$GME")
    source.fails_once(ZeroDivisionError())
    poller = push_poller(source, server, clock, kept)
    await settle(poller.tick(push=True))
    assert kept.statuses == ["ok", "error"]
    assert kept.cursors == [{"n": 1}, {"n": 1}]
    assert poller.failure is None


async def test_a_page_that_cannot_be_kept_ends_the_run_and_its_cursor_is_nowhere(
    clock: FakeClock, server: FakeServer
) -> None:
    """The disk takes the next batch again: no row may claim what the lost page held."""
    full = StoreFatal("the disk is full")

    class FailsSecond(Kept):
        async def __call__(self, batch: Any) -> None:
            if len(self.batches) == 1 and not self.failed:
                self.failed = True
                raise full
            await super().__call__(batch)

        failed = False

    kept = FailsSecond()
    source = FakePushSource(stays=True)
    source.message("$GME one").message("$GME two").message("$GME three")
    poller = push_poller(source, server, clock, kept)
    with pytest.raises(StoreFatal):
        await settle(poller.tick(push=True))
    assert poller.failure is full
    assert kept.cursors == [{"n": 1}]
    assert [stream.cursor for stream in poller.streams] == [{"n": 1}]
    assert source.closed == 1


async def test_a_push_source_is_asked_once_where_nobody_stays(clock: FakeClock, server: FakeServer, kept: Kept) -> None:
    """``tracker once`` takes what there is and goes."""
    poller = push_poller(FakePushSource().message("$GME"), server, clock, kept)
    await settle(poller.tick())
    assert (kept.statuses, kept.cursors) == (["ok"], [{"n": 1}])
