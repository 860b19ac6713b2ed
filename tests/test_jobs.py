"""The timetable on a real scheduler: late runs run once, none overlaps itself, a clock that is set stops nobody."""

from __future__ import annotations

import asyncio
import logging
import pkgutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler

import jobs
from jobs import JOBS, Job, build, guard, rearm, scheduler
from jobs.alerts import next_time
from tracker.app import App
from tracker.config_alerts import crontab
from tracker.errors import BadInput, StoreFatal, StoreLocked, TrackerError
from tracker.parts import load_config
from tracker.pulse import Pulse

ROOT = Path(__file__).resolve().parent.parent
FAR = 1000.0  # seconds: later than any test


class FakeApp:
    """Remembers what the jobs have told it."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.pulse = Pulse()

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)


class Runs:
    """A job that counts its runs and does what it was told to in each of them."""

    def __init__(self, *does: BaseException | None, stays: bool = False) -> None:
        self.does = list(does)
        self.stays = stays
        self.started = self.inside = self.most_inside = 0

    async def __call__(self, app: App) -> None:
        self.started += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if self.stays:
                await asyncio.Event().wait()
            if self.does and (error := self.does.pop(0)) is not None:
                raise error
        finally:
            self.inside -= 1


async def until(true: Callable[[], bool]) -> None:
    """Wait until it is so; a test that waits for what never comes fails."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for is a fact, not an event
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(
    run: Runs, *, every_s: float = 0.05, deadline_s: float = 30.0, due: timedelta | None = timedelta(0)
) -> AsyncIterator[tuple[AsyncIOScheduler, FakeApp]]:
    """A started timetable with one job on it, due ``due`` from now (None: an interval from now)."""
    app, timetable = FakeApp(), scheduler()
    build(timetable, cast(App, app), [Job("one", run, lambda _: every_s, deadline_s)])
    timetable.start(paused=True)
    (job,) = timetable.get_jobs()
    job.modify(next_run_time=datetime.now(UTC) + (due if due is not None else timedelta(seconds=every_s)))
    timetable.resume()
    try:
        yield timetable, app
    finally:
        timetable.pause()
        timetable.shutdown(wait=False)
        await asyncio.sleep(0)


@asynccontextmanager
async def guarded(timetable: AsyncIOScheduler, wall: Callable[[], float]) -> AsyncIterator[None]:
    task = asyncio.create_task(guard(timetable, every_s=0.005, wall=wall))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Wall:
    """The wall clock, off by what an operator has set it to, and how often it was looked at."""

    def __init__(self, drift_a_look: float = 0.0) -> None:
        self.off = 0.0
        self.looks = 0
        self._drift = drift_a_look

    def __call__(self) -> float:
        self.looks += 1
        self.off += self._drift
        return time.time() + self.off


# ------------------------------------------------------------------------------------------------ the timetable


def test_every_module_of_the_folder_is_on_the_timetable_but_the_daemon() -> None:
    modules = {module.name for module in pkgutil.iter_modules(jobs.__path__)} - {"daemon"}
    assert {job.name for job in JOBS} == modules
    assert [job.run.__module__ for job in JOBS] == [f"jobs.{job.name}" for job in JOBS]


async def test_each_job_runs_as_often_as_the_configuration_says_with_the_three_settings(tmp_path: Path) -> None:
    app = App(load_config(str(ROOT / "config.toml"), {}, str(tmp_path)))
    timetable = scheduler()
    build(timetable, app)
    timetable.start(paused=True)
    try:
        found = {job.id: job for job in timetable.get_jobs()}
        assert set(found) == {job.name for job in JOBS}
        for job in JOBS:
            scheduled = found[job.name]
            assert scheduled.trigger.interval == timedelta(seconds=job.every_s(app))
            assert (scheduled.coalesce, scheduled.misfire_grace_time, scheduled.max_instances) == (True, None, 1)
            assert job.deadline_s >= 30
    finally:
        timetable.shutdown(wait=False)
        await app.close()


async def test_a_machine_that_slept_owes_one_run_and_a_late_run_is_a_run() -> None:
    run = Runs()
    async with running(run, every_s=60.0, due=timedelta(hours=-10)) as (timetable, _):
        await until(lambda: run.started == 1)
        (job,) = timetable.get_jobs()
        assert job.next_run_time > datetime.now(UTC)
    assert run.started == 1


async def test_a_job_never_overlaps_itself_and_skipped_runs_are_said_quietly(caplog: pytest.LogCaptureFixture) -> None:
    run = Runs(stays=True)
    with caplog.at_level(logging.DEBUG, "jobs"):
        async with running(run, every_s=0.05):
            await until(lambda: sum("skipped" in record.getMessage() for record in caplog.records) >= 2)
    assert run.most_inside == run.started == 1
    assert {record.levelno for record in caplog.records if record.name == "jobs"} == {logging.DEBUG}


# --------------------------------------------------------------------------------------------------- crontab


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)


@pytest.mark.parametrize(
    ("line", "after", "due"),
    [
        ("0 8 * * 1-5", "2026-11-17T07:59:59.9", "2026-11-17T08:00"),
        ("0 8 * * 1-5", "2026-11-17T08:00", "2026-11-18T08:00"),
        ("0 8 * * 1-5", "2026-11-20T09:00", "2026-11-23T08:00"),  # Friday to Monday, as crontab counts, not to Tuesday
        ("0 8 * * 0", "2026-11-17T09:00", "2026-11-22T08:00"),  # 0 is Sunday
        ("0 8 * * 7", "2026-11-17T09:00", "2026-11-22T08:00"),
        ("*/20 9-10 * * *", "2026-11-17T10:40", "2026-11-18T09:00"),
        ("0 0 29 2 *", "2026-11-17T10:40", "2028-02-29T00:00"),
        ("0 8 * * *", "2026-10-31T09:00", "2026-11-01T08:00"),  # the night in which clocks go back
        ("0 8 * * *", "2027-03-13T09:00", "2027-03-14T08:00"),
    ],
)
def test_a_digest_is_due_when_a_crontab_in_new_york_says_so(line: str, after: str, due: str) -> None:
    assert next_time(crontab(line), "America/New_York", new_york(after)) == new_york(due)


def test_a_line_that_no_timetable_knows_is_bad_input() -> None:
    with pytest.raises(BadInput, match="a time that no timetable knows"):
        next_time("61 * * * *", "UTC", datetime.now(UTC))


# --------------------------------------------------------------------------------------------------- bad runs


def said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return any(words in record.getMessage() for record in caplog.records)


async def test_a_run_over_its_deadline_is_given_up_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    run = Runs(stays=True)
    async with running(run, deadline_s=0.02) as (_, app):
        await until(lambda: run.started >= 2)
    assert run.most_inside == 1
    assert said(caplog, "took too long and was given up")
    assert app.failures == []


@pytest.mark.parametrize("error", [TrackerError("no"), StoreLocked("t.duckdb", 7)])
async def test_an_error_of_ours_is_logged_and_the_job_comes_again(
    error: TrackerError, caplog: pytest.LogCaptureFixture
) -> None:
    run = Runs(error)
    async with running(run) as (_, app):
        await until(lambda: run.started >= 2)
    assert said(caplog, "tried again at its next time")
    assert app.failures == []


async def test_a_dead_disk_stops_the_whole_tracker() -> None:
    full = StoreFatal("the disk is full")
    async with running(Runs(full)) as (_, app):
        await until(lambda: bool(app.failures))
    assert app.failures == [full]


async def test_a_bug_leaves_its_traceback_and_the_job_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    run = Runs(ZeroDivisionError("a bug"))
    async with running(run) as (_, app):
        await until(lambda: run.started >= 2)
    (record,) = [record for record in caplog.records if record.getMessage() == "a job failed through an error of ours"]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert app.failures == []


# -------------------------------------------------------------------------------------------------- the guard


@pytest.mark.parametrize("step", [-3600.0, 3600.0, -2.0])
async def test_a_step_of_the_wall_clock_runs_every_job_at_once(step: float, caplog: pytest.LogCaptureFixture) -> None:
    run, wall = Runs(), Wall()
    async with running(run, every_s=FAR, due=None) as (timetable, _), guarded(timetable, wall):
        await until(lambda: wall.looks >= 3)
        assert run.started == 0
        wall.off += step
        await until(lambda: run.started == 1)
        seen = wall.looks
        await until(lambda: wall.looks >= seen + 5)
        assert run.started == 1, "one step, one run"
    assert said(caplog, "the clock was set")


@pytest.mark.parametrize(("drift", "step"), [(0.0, 1.0), (0.0, -1.0), (0.3, 0.0)])
async def test_a_clock_that_is_put_right_slowly_runs_nothing(drift: float, step: float) -> None:
    run, wall = Runs(), Wall(drift)
    async with running(run, every_s=FAR, due=None) as (timetable, _), guarded(timetable, wall):
        await until(lambda: wall.looks >= 3)
        wall.off += step
        await until(lambda: wall.looks >= 15)
    assert run.started == 0


async def test_rearming_makes_due_and_changes_nothing_else() -> None:
    run = Runs()
    async with running(run, every_s=FAR, due=None) as (timetable, _):
        (job,) = timetable.get_jobs()
        before: Any = job.trigger.interval
        rearm(timetable)
        await until(lambda: run.started == 1)
        assert job.trigger.interval == before
        assert timetable.get_jobs()[0].next_run_time > datetime.now(UTC) + timedelta(seconds=FAR / 2)
