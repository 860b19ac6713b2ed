"""What waits to be told."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from apscheduler.triggers.cron import CronTrigger

from tracker.app import App
from tracker.errors import BadInput


async def run(app: App) -> None:
    """Start what is due; a slow receiver is waited for by nobody."""
    await app.tell(next_time)


def next_time(crontab: str, zone: str, after: datetime) -> datetime | None:
    """The next moment after ``after`` at which a crontab line is due in a zone; None: never again. BadInput for no such line."""
    found: datetime | None = _trigger(crontab, zone).get_next_fire_time(None, after + timedelta(microseconds=1))
    return None if found is None else found.astimezone(after.tzinfo)


@lru_cache(maxsize=64)
def _trigger(crontab: str, zone: str) -> CronTrigger:
    try:
        return CronTrigger.from_crontab(crontab, timezone=zone)
    except ValueError as error:
        raise BadInput("a time that no timetable knows", f"cron = {crontab!r}", error) from error
