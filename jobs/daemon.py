"""The long-running process: timetable, signals, an orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal

from tracker.app import App
from tracker.errors import TrackerError
from tracker.log import event

log = logging.getLogger(__name__)


async def serve(app: App) -> int:
    """Run all jobs until SIGTERM or SIGINT, or until something can't be kept. Exit code: 0, or 1 with the reason logged."""
    from jobs import build, guard, scheduler

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
    watching = asyncio.create_task(guard(timetable))
    try:
        await app.stopping.wait()
    finally:
        watching.cancel()
        timetable.pause()
        await app.close()
        timetable.shutdown(wait=False)
    event(log, "info", "stopped", kept=app.store.waiting)
    return 1 if app.failure is not None else 0
