"""The long-running process: timetable, signals, an orderly end."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from collections.abc import Awaitable, Callable, Sequence

from tracker.app import App
from tracker.errors import TrackerError
from tracker.log import event
from tracker.systemd import Manager, manager

log = logging.getLogger(__name__)

TELL_S = 10.0  # how often the service manager is told where we stand, at least

LEAST_FILES = 128  # descriptors: database, journal, sockets of the web; beside those of the polls

Beside = Callable[[App], Awaitable[None]]  # runs until the tracker stops


async def serve(app: App, beside: Sequence[Beside] = ()) -> int:
    """Run all jobs until SIGTERM or SIGINT, or until something can't be kept. Exit code: 0, or 1 with the reason logged.

    What runs ``beside`` ends by itself when the tracker stops; when it fails the tracker goes on without it.
    """
    from jobs import build, guard, listen_for_stalls, scheduler

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stopping.set)
    try:
        await app.open()
    except TrackerError as error:
        event(log, "error", "the tracker can't start", reason=str(error))
        await app.close()
        return 1
    on = ", ".join(f"{target.name} ({len(target.streams)})" for target in app.poller.targets.values())
    event(log, "info", "started", sources=on or "none", database=str(app.store.opening.path), kept=app.store.waiting)
    timetable = scheduler()
    build(timetable, app)
    timetable.start()
    told = manager()
    told.ready()
    others = [asyncio.create_task(_beside(one, app)) for one in beside]
    watching = [asyncio.create_task(one) for one in (guard(timetable), listen_for_stalls(app.pulse), tell(app, told))]
    try:
        await app.stopping.wait()
    finally:
        told.stopping()
        for task in watching:
            task.cancel()
        timetable.pause()
        await app.close()
        timetable.shutdown(wait=False)
        if others:
            await asyncio.wait(others, timeout=2.0)
            for task in others:
                task.cancel()
    event(log, "info", "stopped", kept=app.store.waiting)
    return 1 if app.failure is not None else 0


def enough_files(polls: int) -> None:
    """Allow ourselves the file descriptors that we need; TrackerError where the machine does not let us have them."""
    least = LEAST_FILES + 2 * polls
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < least:
        raise TrackerError(
            "too few files may be open at a time", f"{hard} are allowed, {least} are needed", "raise LimitNOFILE= of the unit, or ulimit -n"
        )  # fmt: skip
    if soft != resource.RLIM_INFINITY and soft < least:
        resource.setrlimit(resource.RLIMIT_NOFILE, (least, hard))


async def _beside(one: Beside, app: App) -> None:
    try:
        await one(app)
    except Exception as error:
        event(log, "error", "what runs beside the jobs has failed; they go on", exc_info=error)


async def tell(app: App, told: Manager) -> None:
    """Tell the service manager where we stand, and that we live: only while a restart would not help.

    Being asked at all shows that the loop turns; the pulse shows that jobs end and that the writer writes. A file that
    somebody else holds is no reason: the next process could not have it either.
    """
    said: tuple[str, ...] = ()
    every_s = TELL_S if told.watchdog_s is None else min(TELL_S, told.watchdog_s / 2)
    while True:
        stuck = app.pulse.stuck(app.config.jobs.stuck_s)
        if stuck and stuck != said:
            event(log, "error", "jobs give no sign of life; a service manager with a watchdog starts us anew", jobs=", ".join(stuck))  # fmt: skip
        said = stuck
        failing = sum(1 for stream in app.poller.streams if stream.failures)
        told.status(
            f"stuck: {', '.join(stuck)}" if stuck
            else f"{len(app.poller.streams)} streams, {failing} failing; {app.store.waiting} batches wait"
        )  # fmt: skip
        if not stuck:
            told.alive()
        await asyncio.sleep(every_s)
