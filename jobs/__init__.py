"""Schedules: which call, how often. No logic lives here.

APScheduler's three settings are stated once, and why:

* ``coalesce``: a machine that slept owes one run, not a hundred;
* ``misfire_grace_time=None``: a late run is a run (the default drops anything over one second late);
* ``max_instances=1``: a job never overlaps itself; a run that is skipped for it is counted and logged.

APScheduler 3 runs on the wall clock, so a clock that is set back an hour would stop every job for an hour
(agronholm/apscheduler#339). ``guard`` watches the steady clock beside the wall and runs all jobs at once after a step.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
    SchedulerEvent,
)
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from jobs import alerts, flush, learn, poll, prune, publish, readings, recheck, rollup, scrub, second, stream, universe
from tracker.app import App
from tracker.errors import StoreFatal, TrackerError
from tracker.log import event
from tracker.pulse import LOOK_S, Pulse

log = logging.getLogger(__name__)

STEP_S = 1.5  # the wall may run ahead of or behind the steady clock by this much between two looks


@dataclass(frozen=True, slots=True)
class Job:
    """One line of the timetable."""

    name: str
    run: Callable[[App], Awaitable[None]]
    every_s: Callable[[App], float]
    deadline_s: float  # a run that takes longer is given up, said so, and tried again at its next time


JOBS: tuple[Job, ...] = (
    Job("poll", poll.run, lambda app: app.config.jobs.tick_s, 30.0),
    Job("stream", stream.run, lambda app: app.config.jobs.tick_s, 30.0),
    Job("recheck", recheck.run, lambda app: app.config.jobs.tick_s, 30.0),
    Job("flush", flush.run, lambda app: min(flush.LOOK_S, app.config.store.flush_s), 300.0),
    Job("rollup", rollup.run, lambda app: app.config.jobs.rollup_s, 300.0),
    Job("readings", readings.run, lambda app: app.config.jobs.readings_s, 300.0),
    Job("alerts", alerts.run, lambda app: app.config.store.flush_s, 120.0),
    Job("publish", publish.run, lambda app: app.config.jobs.publish_s, 900.0),
    Job("scrub", scrub.run, lambda app: app.config.store.flush_s, 900.0),
    Job("prune", prune.run, lambda app: app.config.jobs.prune_s, 900.0),
    Job("universe", universe.run, lambda app: min(universe.LOOK_S, app.config.universe.every_s), 900.0),
    Job("learn", learn.run, lambda app: min(learn.LOOK_S, app.config.jobs.learn_s), 7200.0),
    Job("second", second.run, lambda app: app.config.jobs.second_s, 600.0),
)


def build(scheduler: AsyncIOScheduler, app: App, jobs: Sequence[Job] = JOBS) -> None:
    """Put the timetable on a scheduler that has not been started."""
    for job in jobs:
        app.pulse.expect(job.name, max(0.05, job.every_s(app)), job.deadline_s)
        scheduler.add_job(
            _guarded(job, app), IntervalTrigger(seconds=max(0.05, job.every_s(app)), timezone=UTC), id=job.name,
            next_run_time=datetime.now(UTC) + timedelta(seconds=0 if job.every_s(app) <= 60 else 30),
        )  # fmt: skip
    logging.getLogger("apscheduler").setLevel(
        logging.CRITICAL
    )  # what it says of skipped and failed runs the listener says
    scheduler.add_listener(_listen, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)


def scheduler() -> AsyncIOScheduler:
    return AsyncIOScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
    )


def _guarded(job: Job, app: App) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        failed: str | None = "an error of ours"
        app.pulse.began(job.name)
        try:
            async with asyncio.timeout(job.deadline_s):
                await job.run(app)
            failed = None
        except asyncio.CancelledError:
            if not app.stopping.is_set():  # at the end whoever is still at it is sent home: that is no failure
                raise
        except TimeoutError:
            failed = "it took too long and was given up"
            event(log, "error", "a job took too long and was given up", job=job.name, deadline_s=job.deadline_s)
        except StoreFatal as error:
            failed = error.message
            app.fail(error)
        except TrackerError as error:
            failed = error.message
            event(log, "error", "a job failed; it is tried again at its next time", job=job.name, reason=str(error))
        finally:
            app.pulse.ended(job.name, failed)

    return run


def _listen(happened: SchedulerEvent) -> None:
    if happened.code == EVENT_JOB_MAX_INSTANCES:
        event(log, "debug", "a run was skipped, the one before is not over", job=happened.job_id)
    elif happened.code == EVENT_JOB_MISSED:
        event(log, "warning", "a run was missed", job=happened.job_id)
    elif isinstance(happened, JobExecutionEvent):
        event(log, "error", "a job failed through an error of ours", job=happened.job_id, exc_info=happened.exception)


async def guard(scheduler: AsyncIOScheduler, every_s: float = 1.0, wall: Callable[[], float] = time.time) -> None:
    """Run every job at once when the wall clock has stepped: they are due on a timetable that no longer exists."""
    offset = wall() - time.monotonic()
    while True:
        await asyncio.sleep(every_s)
        step = (wall() - time.monotonic()) - offset
        offset += step  # a clock that is slowly put right has not stepped
        if abs(step) > STEP_S:
            event(log, "warning", "the clock was set; all jobs run at once", by_s=round(step, 1))
            rearm(scheduler)


async def listen_for_stalls(pulse: Pulse) -> None:
    """Ask the loop to be on time, again and again, and write down how late it was."""
    while True:
        asked = pulse.monotonic()
        await asyncio.sleep(LOOK_S)
        now = pulse.monotonic()
        pulse.stalls.late(now, max(0.0, now - asked - LOOK_S))


def rearm(scheduler: AsyncIOScheduler) -> None:
    for job in scheduler.get_jobs():
        job.modify(next_run_time=datetime.now(UTC))
