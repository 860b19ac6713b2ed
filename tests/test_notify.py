"""From the outbox to the channels: each alert once, tried again, given up, told apart; and what the log may show."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import MIDNIGHT, build
from desk import (
    HOUR,
    TOKEN,
    Desk,
    alert,
    channels_of,
    config_of,
    desk,
    never,
    nothing_secret,
    put,
    store_at,
    stored,
)
from loopback import loopback, reply, then_silence

from tracker import config as configuration
from tracker import log as logs
from tracker.alerts import Event
from tracker.config_schema import Alerts
from tracker.errors import StoreError, StoreLocked
from tracker.notify import verdict, wait_s
from tracker.notify_post import Outcome
from tracker.store import Store


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables and metrics and nothing in them."""
    return build(tmp_path_factory.mktemp("empty")).path


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Store:
    return store_at(tmp_path, empty)


# ------------------------------------------------------------------------------------------------ the outbox


async def test_each_alert_arrives_once_and_its_row_says_so(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, alert(0), alert(1), alert(2, status="dry", next_try_at=None), alert(3, next_try_at=MIDNIGHT + HOUR))
    with nothing_secret(tmp_path, caplog):
        async with desk(tmp_path, store, reply(200)) as (teller, server):
            for _ in range(3):
                await teller.tick()
    assert [asked.headers["idempotency-key"][-1] for asked in server.asked] == ["0", "1"]
    first, second, dry, later = stored(store)
    assert {(one.status, one.attempts, one.sent_at, one.next_try_at) for one in (first, second)} == {
        ("sent", 1, MIDNIGHT, None)
    }
    assert (dry.status, later.status, later.attempts) == ("dry", "waiting", 0)


async def test_a_failure_is_tried_again_after_a_pause_with_the_same_key(tmp_path: Path, store: Store) -> None:
    put(store, alert())
    async with desk(tmp_path, store, reply(500), reply(200), more="backoff = '30s'\n") as (teller, server):
        await teller.tick()
        (row,) = stored(store)
        assert (row.status, row.attempts, row.error) == ("waiting", 1, "HTTP 500")
        assert row.next_try_at == MIDNIGHT + timedelta(seconds=30)
        teller.clock.advance(29)
        await teller.tick()
        assert len(server.asked) == 1
        teller.clock.advance(2)
        await teller.tick()
    (row,) = stored(store)
    assert (row.status, row.attempts, row.error) == ("sent", 2, None)
    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 1
    assert server.asked[0].body == server.asked[1].body


async def test_a_receiver_that_names_a_time_is_left_alone_until_then_also_after_a_restart(
    tmp_path: Path, store: Store
) -> None:
    put(store, alert(0), alert(1))
    async with desk(tmp_path, store, reply(429, headers={"Retry-After": "600"}), reply(200)) as (teller, server):
        await teller.tick()
        for minutes in (5, 4):
            teller.clock.advance(minutes * 60)
            await teller.tick()
        again = Desk(config_of(tmp_path, channels_of({"desk": f"json://{server.host}/x"})), store, teller.clock.now())
        await again.tick()
        assert len(server.asked) == 1, "neither this alert nor another one"
        again.clock.advance(61)
        await again.tick()
    assert {one.status for one in stored(store)} == {"sent"}
    assert len(server.asked) == 3


async def test_after_a_failure_the_channel_rests_and_the_next_one_is_not_wasted_on_it(
    tmp_path: Path, store: Store
) -> None:
    put(store, *(alert(number) for number in range(5)))
    async with desk(tmp_path, store, reply(503), reply(503), reply(200)) as (teller, server):
        await teller.tick()
        assert [one.attempts for one in stored(store)] == [1, 0, 0, 0, 0]
        teller.clock.advance(31)
        await teller.tick()
        teller.clock.advance(61)
        await teller.tick()
    assert {one.status for one in stored(store)} == {"sent"}
    assert len(server.asked) == 7


async def test_an_alert_is_given_up_after_its_attempts_and_that_is_said_once(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, alert())
    with nothing_secret(tmp_path, caplog):
        async with desk(tmp_path, store, reply(500), more="attempts = 3\n") as (teller, server):
            for _ in range(6):
                await teller.tick()
                teller.clock.advance(3600)
    (row,) = stored(store)
    assert (row.status, row.attempts, row.next_try_at, row.error) == ("failed", 3, None, "HTTP 500")
    assert len(server.asked) == 3
    assert [record.getMessage() for record in caplog.records if record.name == "tracker.notify"] == [
        "alerts do not reach the channel", "an alert is given up",
    ]  # fmt: skip


async def test_a_channel_that_works_again_is_said_once(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, alert(0), alert(1))
    with caplog.at_level(logging.INFO, "tracker.notify"):
        async with desk(tmp_path, store, reply(500), reply(500), reply(200)) as (teller, _):
            for _ in range(4):
                await teller.tick()
                teller.clock.advance(120)
    assert [record.getMessage() for record in caplog.records if record.name == "tracker.notify"] == [
        "alerts do not reach the channel", "alerts reach the channel again",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("attempts", "age", "retry_after", "expected"),
    [
        (0, 0, None, ("waiting", 30.0)), (1, 0, None, ("waiting", 60.0)), (6, 0, None, ("waiting", 1920.0)), (7, 0, None, ("failed", None)),
        (0, 0, "7", ("waiting", 30.0)), (0, 0, "90", ("waiting", 90.0)), (0, 0, "soon", ("waiting", 30.0)),
        (0, 0, "999999999", ("waiting", 86_400.0)), (0, 60, "999999999", ("failed", None)), (1, 86_399, None, ("failed", None)),
        (0, 0, "Tue, 17 Nov 2026 00:02:00 GMT", ("waiting", 120.0)),
    ],
)  # fmt: skip
def test_when_it_is_tried_again(
    attempts: int, age: float, retry_after: str | None, expected: tuple[str, float | None]
) -> None:
    row = alert(attempts=attempts, created_at=MIDNIGHT - timedelta(seconds=age))
    status, again = verdict(Alerts(), row, Outcome(False, "x", retry_after, None), MIDNIGHT)
    assert (status, again and (again - MIDNIGHT).total_seconds()) == expected


def test_a_pause_grows_to_an_hour_and_no_further() -> None:
    waits = [wait_s(Alerts(), Outcome(False), attempts, MIDNIGHT) for attempts in range(1, 100)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (30.0, 3600.0)


async def test_a_slow_channel_delays_no_other_and_the_job_returns_at_once(tmp_path: Path, store: Store) -> None:
    put(store, alert(0, "slow"), alert(0, "quick"), alert(1, "slow"))
    async with loopback(then_silence()) as slow, loopback(reply(200)) as quick:
        urls = {"slow": f"json://{slow.host}/x", "quick": f"json://{quick.host}/x"}
        teller = Desk(config_of(tmp_path, "timeout = '3s'\n" + channels_of(urls)), store)
        async with asyncio.timeout(2):
            await teller.teller.tick(never)
        async with asyncio.timeout(30):
            while not any(one.status == "sent" for one in stored(store)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert [one.status for one in stored(store) if one.channel == "slow"] == ["waiting", "waiting"]
        put(store, alert(2, "quick"))
        async with asyncio.timeout(30):
            while len(quick.asked) < 2:
                teller.teller._look = True
                await teller.teller.tick(never)
                await asyncio.sleep(0.05)
        await teller.teller.settle()
        assert [one.status for one in stored(store) if one.channel == "quick"] == ["sent", "sent"]
        assert len(slow.asked) == 1, "one at a time, and a rest after a failure"


async def test_at_the_end_what_is_under_way_is_given_up_and_stays_waiting(tmp_path: Path, store: Store) -> None:
    put(store, alert(0), alert(1))
    async with desk(tmp_path, store, then_silence()) as (teller, server):
        await teller.teller.tick(never)
        async with asyncio.timeout(30):
            while not server.asked:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            await teller.teller.drain(0.2)
        await teller.tick()
    assert [(one.status, one.attempts) for one in stored(store)] == [("waiting", 0), ("waiting", 0)]
    assert len(server.asked) == 1


async def test_a_result_is_written_down_when_the_file_is_free_again(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, alert())
    held = [StoreLocked("t.duckdb", 7), StoreLocked("t.duckdb", 7)]
    free = Store.writing

    def writing(self: Store, wait_s: float = 10.0) -> Any:
        if held:
            raise held.pop()
        return free(self, wait_s)

    monkeypatch.setattr(Store, "writing", writing)
    async with desk(tmp_path, store, reply(200)) as (teller, server):
        await teller.tick()
        await teller.tick()
    assert held == []
    assert [one.status for one in stored(store)] == ["sent"]
    assert len(server.asked) == 1


async def test_a_result_that_can_not_be_written_down_stops_the_tracker(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the same alert would be told every few seconds."""
    put(store, alert())
    broken = StoreError("the database can't be used")

    def writing(self: Store, wait_s: float = 10.0) -> Any:
        raise broken

    monkeypatch.setattr(Store, "writing", writing)
    async with desk(tmp_path, store, reply(200)) as (teller, server):
        await teller.tick()
    assert teller.failures == [broken]
    assert len(server.asked) == 1


async def test_where_no_process_can_be_started_the_alert_waits(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, alert())

    async def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError

    async with desk(tmp_path, store, reply(200)) as (teller, server):
        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
        await teller.tick()
        (row,) = stored(store)
        assert (row.status, row.attempts, row.error) == ("waiting", 1, "the process that sends could not start")
        monkeypatch.undo()
        teller.clock.advance(31)
        await teller.tick()
    assert [one.status for one in stored(store)] == ["sent"]
    assert len(server.asked) == 1


async def test_alerts_for_a_channel_that_is_gone_are_given_up(tmp_path: Path, store: Store) -> None:
    put(store, alert(0, "gone"), alert(1))
    async with desk(tmp_path, store, reply(200)) as (teller, _):
        await teller.tick()
    gone, sent = stored(store)
    assert (gone.status, gone.error) == ("failed", "there is no such channel any more")
    assert sent.status == "sent"


async def test_an_alert_put_off_by_a_clock_that_ran_ahead_is_sent_now(tmp_path: Path, store: Store) -> None:
    put(
        store,
        alert(0, next_try_at=MIDNIGHT + timedelta(days=300)),
        alert(1, next_try_at=MIDNIGHT + timedelta(hours=20)),
    )
    async with desk(tmp_path, store, reply(200)) as (teller, _):
        await teller.tick()
    assert [one.status for one in stored(store)] == ["sent", "waiting"]


def test_what_is_meant_to_be_sent_takes_the_place_of_a_dry_one_and_of_no_other(store: Store) -> None:
    put(store, alert(0, status="dry", next_try_at=None), alert(1), alert(2, status="sent", attempts=1))
    put(store, *(alert(number, title="again") for number in range(3)))
    assert [(one.title, one.status) for one in stored(store)] == [
        ("again", "waiting"),
        ("title 1", "waiting"),
        ("title 2", "sent"),
    ]


async def test_without_channels_nobody_looks(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "reading", lambda *_: pytest.fail("nobody asked"))
    await Desk(config_of(tmp_path, ""), store).tick()


def test_the_masker_of_the_log_knows_the_addresses(tmp_path: Path) -> None:
    config = config_of(tmp_path, channels_of({"desk": f"slack://{TOKEN}/B1234567890/hook"}))
    masker = logs.Masker(configuration.secrets(config))
    assert TOKEN not in masker(f"asked https://hooks.example/{TOKEN} in vain")


def test_an_event_of_a_source_has_a_key_like_any_other() -> None:
    moment = datetime(2026, 11, 17, tzinfo=UTC)
    assert (
        Event("r", "reddit", moment, "source_down", "t", "s").key
        != Event("r", "reddit", moment, "source_back", "t", "s").key
    )
